(function () {
  var tools = document.getElementById("tools"), find = document.getElementById("find"), shown = document.getElementById("shown");
  if (!tools) return;
  var list = Array.prototype.slice.call(document.querySelectorAll(".change")), boxes = {};
  document.querySelectorAll("fieldset input").forEach(function (i) {
    boxes[i.id.slice("show-".length)] = i;
    i.addEventListener("change", tell);
  });
  var changes = list.map(function (c) {
    return { item: c, details: c.querySelector("details"), name: c.querySelector("code").textContent.toLowerCase(), box: boxes[c.classList[1]], found: true };
  });
  // To ask an element whether it is drawn would have all drawn anew, for each of thousands.
  function seen(c) { return c.found && c.box.checked; }
  function tell() {
    var n = changes.filter(seen).length;
    shown.textContent = n === changes.length ? "" : n + " of " + changes.length + " shown";
  }
  function look() {
    var words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    changes.forEach(function (c) {
      c.found = words.every(function (w) { return c.name.indexOf(w) >= 0; });
      if (c.item.hidden === c.found) c.item.hidden = !c.found;
    });
    tell();
  }
  function fold(open) {
    return function () {
      // What is folded where it is drawn takes the square of their number.
      var drawn = tools.parentNode.querySelector(".changes");
      drawn.hidden = true;
      drawn.getClientRects();
      changes.forEach(function (c) {
        if (c.details && seen(c)) c.details.open = open;
      });
      drawn.getClientRects();
      drawn.hidden = false;
    };
  }
  tools.hidden = false;
  find.addEventListener("input", look);
  document.getElementById("open").addEventListener("click", fold(true));
  document.getElementById("close").addEventListener("click", fold(false));
  look();
})();
