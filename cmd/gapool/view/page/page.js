(function () {
  var tools = document.getElementById("tools"), find = document.getElementById("find"), shown = document.getElementById("shown");
  if (!tools) return;
  var changes = Array.prototype.slice.call(document.querySelectorAll(".change"));
  var names = changes.map(function (c) { return c.querySelector("code").textContent.toLowerCase(); });
  function tell() {
    var n = changes.filter(function (c) { return c.getClientRects().length > 0; }).length;
    shown.textContent = n === changes.length ? "" : n + " of " + changes.length + " shown";
  }
  function look() {
    var words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    changes.forEach(function (c, i) {
      c.hidden = !words.every(function (w) { return names[i].indexOf(w) >= 0; });
    });
    tell();
  }
  function fold(open) {
    return function () {
      changes.forEach(function (c) {
        var d = c.querySelector("details");
        if (d && c.getClientRects().length > 0) d.open = open;
      });
    };
  }
  tools.hidden = false;
  find.addEventListener("input", look);
  document.getElementById("open").addEventListener("click", fold(true));
  document.getElementById("close").addEventListener("click", fold(false));
  document.querySelectorAll("fieldset input").forEach(function (i) { i.addEventListener("change", tell); });
  look();
})();
