//go:build browser

package view

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

// The page is held here to what only a browser knows: what is drawn, what can
// be reached, what is fetched. scripts/chromium sees to a browser.

var screenshots = flag.String("screenshots", "", "keep the pictures of the page in this folder, to be looked at")

// everything is a plan with each section that a page can have.
func everything(t *testing.T) *engine.Plan {
	t.Helper()
	all, p := plans(t), linked(t)
	p.Workspace = "lab"
	for i, from := range []struct{ plan, addr string }{
		{"create", "docker_container.api"}, {"replace", "docker_container.queue"}, {"update", `docker_container.cache["a\"b"]`},
		{"only-if", "docker_container.batch[0]"}, {"delete", "docker_container.old"}, {"data-loss", "docker_volume.scratch"},
		{"adopted", "docker_container.found"},
	} {
		c := *all[from.plan].Changes[0]
		c.Addr = addr(t, from.addr)
		if c.Action == engine.NoOp || c.Action == engine.Update || c.Action == engine.ReplaceFirst {
			plain := set{"env": dict("LEVEL", "debug")} // theirs is a secret in another plan of these
			c.Before, c.After = schema.With(c.Before, plain), schema.With(c.After, plain)
		}
		if c.Action == engine.Replace && c.Type == volume {
			p.DataLoss = append(p.DataLoss, c.Addr)
		}
		p.Changes = slices.Insert(p.Changes, i, &c)
	}
	p.Changes = append(p.Changes, all["mixed"].Changes[2:]...)
	p.Drift, p.Outputs = all["drift"].Drift, all["outputs"].Outputs
	p.Kept, p.Notes = all["mixed"].Kept, all["mixed"].Notes
	p.Unapproved = "data would be lost: -allow-data-loss=docker_volume.scratch at the plan allows it"
	return p
}

// browser starts one for the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	options := slices.Clone(chromedp.DefaultExecAllocatorOptions[:])
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses root otherwise
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("no browser starts; scripts/chromium sees to one: %v", err)
	}
	return ctx
}

// tab is a page as somebody has it before them.
type tab struct {
	*testing.T
	ctx context.Context

	mu            sync.Mutex
	fetched, said []string
}

// Where a page is looked at.
var (
	desktop = chromedp.EmulateViewport(1280, 900)
	phone   = chromedp.EmulateViewport(375, 812, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulateScale(2))
)

// open shows a page, read from a file as people do.
func open(t *testing.T, browser context.Context, page string, before ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	b := &tab{T: t, ctx: ctx}
	if err := chromedp.Listen(ctx, func(ev any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch ev := ev.(type) {
		case *network.EventRequestWillBeSent:
			b.fetched = append(b.fetched, ev.Request.URL)
		case *log.EventEntryAdded:
			b.said = append(b.said, ev.Entry.Text)
		case *runtime.EventExceptionThrown:
			b.said = append(b.said, ev.ExceptionDetails.Text)
		}
	}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "plan.html")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	b.do(before...)
	b.do(chromedp.Navigate("file://" + file))
	return b
}

// alone says that the page has fetched nothing but itself, and that the browser
// has nothing to say to it.
func (b *tab) alone() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.fetched) != 1 || !strings.HasSuffix(b.fetched[0], "/plan.html") {
		b.Errorf("besides itself it fetches: %q", b.fetched)
	}
	if len(b.said) > 0 {
		b.Errorf("the browser says: %q", b.said)
	}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

func get[V any](b *tab, a chromedp.Action[V]) V {
	b.Helper()
	v, err := chromedp.Run(b.ctx, a)
	if err != nil {
		b.Fatal(err)
	}
	return v
}

func ask[V any](b *tab, expression string) V {
	b.Helper()
	return get(b, chromedp.Evaluate[V](expression))
}

// colours has the page shown in "dark" or in "light".
func colours(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

// visible are the addresses of the changes that are shown.
func (b *tab) visible() []string {
	b.Helper()
	return ask[[]string](b, `[...document.querySelectorAll(".change")].filter(c => c.getClientRects().length).map(c => c.querySelector("code").textContent)`)
}

// unfolded is how many of them are open.
func (b *tab) unfolded() int {
	b.Helper()
	return ask[int](b, `document.querySelectorAll("details[open]").length`)
}

// unfoldAll opens what is folded; of a thousand, a hundred are enough.
const unfoldAll = `[...document.querySelectorAll("details")].slice(0, 100).forEach(d => d.open = true)`

func TestPageInABrowser(t *testing.T) {
	all := plans(t)
	all["everything"], all["thousand"] = everything(t), thousand(t, 1000)
	ctx := browser(t)
	for name, p := range all {
		t.Run(name, func(t *testing.T) {
			b := open(t, ctx, printed(t, review(t, p).HTML), desktop, colours("light"))
			b.tree(p)
			b.do(chromedp.Evaluate[chromedp.Void](unfoldAll))
			for _, scheme := range []string{"light", "dark"} {
				b.do(colours(scheme))
				b.contrasts(scheme)
				b.picture(name+"-desktop-"+scheme, scheme)
			}
			for _, width := range []int64{375, 320} { // a phone's; 1280 at a zoom of 400 %
				b.do(chromedp.EmulateViewport(width, 812, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulateScale(2)))
				if is := ask[int64](b, `document.documentElement.scrollWidth`); is > width {
					b.Errorf("on %d pixels it is %d wide; too wide are %s", width, is, ask[[]string](b, fmt.Sprintf(tooWide, width)))
				}
			}
			b.do(phone)
			for _, small := range ask[[]string](b, tooSmall) {
				b.Errorf("no finger meets %s", small)
			}
			if hidden := ask[int](b, `[...document.querySelectorAll("table")].filter(t => t.parentElement.scrollWidth > t.parentElement.clientWidth).length`); hidden > 0 {
				t.Error("a phone does not show what it takes at the peak and after")
			}
			b.picture(name+"-phone-dark", "dark")
			b.do(colours("light"))
			b.picture(name+"-phone-light", "light")
			b.alone()
		})
	}
}

const tooWide = `[...document.querySelectorAll("body *")].filter(e => {
  if (e.getBoundingClientRect().right <= %d + 1) return false;
  for (let p = e.parentElement; p; p = p.parentElement) if (getComputedStyle(p).overflowX === "auto") return false;
  return true;
}).slice(0, 3).map(e => e.tagName + " " + e.textContent.trim().slice(0, 40))`

// WCAG 2.5.8 asks for 24 pixels.
const tooSmall = `[...document.querySelectorAll("nav a, input, button, summary")].filter(e => e.getClientRects().length).filter(e => {
  const r = (e.closest("label") || e).getBoundingClientRect();
  return r.height < 23.5 || r.width < 23.5;
}).map(e => e.outerHTML.slice(0, 60))`

// picture looks at what is drawn: it has the size of the screen and its colour.
func (b *tab) picture(name, scheme string) {
	b.Helper()
	raw := get(b, chromedp.CaptureScreenshot())
	if *screenshots != "" {
		full := raw
		if ask[int](b, `document.documentElement.scrollHeight`) < 10_000 {
			full = get(b, chromedp.FullScreenshot(100))
		}
		if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), full, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	drawn, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		b.Fatal(err)
	}
	colours := map[[3]uint32]int{}
	for y := range drawn.Bounds().Dy() {
		for x := range drawn.Bounds().Dx() {
			colours[rgb(drawn, x, y)]++
		}
	}
	paper := rgb(drawn, 1, 1)
	if dark := paper[0]+paper[1]+paper[2] < 3*0x80; dark != (scheme == "dark") {
		b.Errorf("%s: the paper is %x", name, paper)
	}
	if len(colours) < 20 {
		b.Errorf("%s: with %d colours nothing can be drawn on it", name, len(colours))
	}
}

func rgb(i image.Image, x, y int) [3]uint32 {
	r, g, b, _ := i.At(x, y).RGBA()
	return [3]uint32{r >> 8, g >> 8, b >> 8}
}

// contrasts holds all letters that are drawn to WCAG's level AA, and what is to
// be told apart otherwise (lines, borders of what is typed into) to its 3:1.
func (b *tab) contrasts(scheme string) {
	b.Helper()
	type pair struct {
		Text, Front, Back string
		Ratio, Least      float64
	}
	pairs := ask[[]pair](b, measureContrast)
	if len(pairs) < 10 {
		b.Errorf("%s: only %d elements have letters", scheme, len(pairs))
	}
	seen := map[string]bool{}
	for _, p := range pairs {
		key := fmt.Sprint(p.Front, p.Back, p.Least)
		if p.Ratio < p.Least && !seen[key] {
			b.Errorf("%s: %q has a contrast of %.2f, %s on %s", scheme, p.Text, p.Ratio, p.Front, p.Back)
		}
		seen[key] = true
	}
}

const measureContrast = `(() => {
  const parse = c => { const n = c.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const light = c => [0.2126, 0.7152, 0.0722].reduce((sum, w, i) => {
    const x = c[i] / 255;
    return sum + w * (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  }, 0);
  const backs = new Map(); // by element
  const behind = e => {
    if (!e) return [255, 255, 255, 1];
    if (!backs.has(e)) {
      const s = getComputedStyle(e);
      if (s.opacity !== "1" || s.backgroundImage !== "none" || s.filter !== "none") throw new Error("it has more than colours: " + e.tagName + "." + e.className);
      backs.set(e, over(parse(s.backgroundColor), behind(e.parentElement)));
    }
    return backs.get(e);
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const out = [];
  const add = (text, front, back, least) => {
    front = over(front, back);
    out.push({Text: text.trim().slice(0, 60), Front: front.slice(0, 3).join(" "), Back: back.slice(0, 3).map(Math.round).join(" "),
      Ratio: ratio(front, back), Least: least});
  };
  for (const e of document.querySelectorAll("body *")) {
    const s = getComputedStyle(e);
    if (!e.getClientRects().length || s.visibility !== "visible" || ["SCRIPT", "STYLE", "title"].includes(e.tagName)) continue;
    const text = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data).join("");
    if (e instanceof SVGElement) {
      const svg = e.closest("svg");
      if (e.tagName === "text") {
        const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;
        const box = [...svg.querySelectorAll("rect")].reverse().find(b => { const q = b.getBoundingClientRect(); return q.left <= x && x <= q.right && q.top <= y && y <= q.bottom; });
        add(text, parse(s.fill), box ? parse(getComputedStyle(box).fill) : behind(svg), 4.5);
      } else if (s.stroke !== "none") {
        const paper = behind(svg), seen = [s.stroke, s.fill].filter(c => c !== "none").map(parse);
        add("the " + e.tagName + " in " + e.parentElement.getAttribute("class"), seen.sort((a, b) => ratio(b, paper) - ratio(a, paper))[0], paper, 3);
      }
      continue;
    }
    if (text.trim()) add(text, parse(s.color), behind(e), 4.5);
    if (e.matches("input[type=search], button")) {
      add(e.value || e.textContent || "x", parse(s.color), behind(e), 4.5);
      add("the border of " + e.id, parse(s.borderTopColor), behind(e.parentElement), 3);
    }
  }
  return out;
})()`

// node is a part of the page as a screen reader has it.
type node struct{ role, name string }

func (b *tab) nodes() []node {
	b.Helper()
	tree, err := chromedp.Call(b.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		b.Fatal(err)
	}
	word := func(v *accessibility.Value) string {
		var s string
		if v != nil && json.Unmarshal(v.Value, &s) != nil {
			return ""
		}
		return strings.Join(strings.Fields(s), " ")
	}
	var out []node
	for _, n := range tree.Nodes {
		if !n.Ignored {
			out = append(out, node{word(n.Role), word(n.Name)})
		}
	}
	return out
}

// tree holds what a screen reader is given to what is there.
func (b *tab) tree(p *engine.Plan) {
	b.Helper()
	n, filters := map[string]int{}, 0
	for _, x := range b.nodes() {
		n[x.role]++
		if x.role == "group" && x.name == "Show" {
			filters++
		}
		switch x.role {
		case "link", "button", "checkbox", "searchbox", "DisclosureTriangle", "heading", "region", "navigation", "table", "columnheader", "rowheader", "image", "img", "figure", "RootWebArea":
			if x.name == "" {
				b.Errorf("a %s has no name", x.role)
			}
		}
	}
	for role, want := range map[string]int{"banner": 1, "navigation": 1, "main": 1, "contentinfo": 1} {
		if n[role] != want {
			b.Errorf("there are %d of the role %s", n[role], role)
		}
	}
	pictures := 0
	if len(p.Changes) > 0 {
		pictures = 1
	}
	if n["image"]+n["img"] != pictures {
		b.Errorf("there are %d pictures and not %d: %v", n["image"]+n["img"], pictures, n)
	}
	if (n["checkbox"] > 0) != (filters == 1) {
		b.Errorf("%d groups of filters hold %d boxes", filters, n["checkbox"])
	}
	if n["region"] == 0 || n["heading"] < 2 {
		b.Errorf("it has no parts: %v", n)
	}
}

func TestPageIsUsed(t *testing.T) {
	page := printed(t, review(t, everything(t)).HTML)
	ctx := browser(t)

	t.Run("with a mouse", func(t *testing.T) {
		b := open(t, ctx, page, desktop)
		all := b.visible()
		if len(all) < 15 || b.unfolded() != 0 {
			t.Fatalf("%d changes are shown, %d of all are open", len(all), b.unfolded())
		}
		b.do(chromedp.Click(chromedp.CSS(".change.destroy summary")))
		if b.unfolded() != 1 {
			t.Errorf("after a click %d are open", b.unfolded())
		}
		b.do(chromedp.Click(chromedp.CSS(".change.destroy summary")))
		if b.unfolded() != 0 {
			t.Errorf("after another one %d are open", b.unfolded())
		}

		// One kind less.
		b.do(chromedp.Click(chromedp.ID("show-create")))
		for _, a := range b.visible() {
			if strings.Contains(a, "docker_container.web") {
				t.Errorf("%s is created, and is still shown", a)
			}
		}
		rest := len(b.visible())
		if want := fmt.Sprintf("%d of %d shown", rest, len(all)); ask[string](b, `document.getElementById("shown").textContent`) != want {
			t.Errorf("it does not say %q", want)
		}
		// And some addresses only; opening all opens those.
		b.do(chromedp.SendKeys(chromedp.ID("find"), "CONTAINER cache"))
		if diff := cmp.Diff([]string{`docker_container.cache["a\"b"]`}, b.visible()); diff != "" {
			t.Error(diff)
		}
		b.do(chromedp.Click(chromedp.ID("open")))
		if b.unfolded() != 1 {
			t.Errorf("of one that is shown %d are open", b.unfolded())
		}
		b.do(chromedp.Focus(chromedp.ID("find")), chromedp.KeyEvent("a", chromedp.KeyModifiers(chromedp.ModifierCtrl)), chromedp.KeyEvent(kb.Backspace))
		if len(b.visible()) != rest {
			t.Errorf("of %d, %d are shown again", rest, len(b.visible()))
		}
		b.do(chromedp.Click(chromedp.ID("open")))
		if b.unfolded() < 8 {
			t.Errorf("of all that is shown %d are open", b.unfolded())
		}
		b.do(chromedp.Click(chromedp.ID("close")))
		if b.unfolded() != 0 {
			t.Errorf("of all that is shown %d are still open", b.unfolded())
		}
		b.do(chromedp.Click(chromedp.ID("show-create")))
		if diff := cmp.Diff(all, b.visible()); diff != "" {
			t.Errorf("shown again, it is not what it was:\n%s", diff)
		}
		if ask[string](b, `document.getElementById("shown").textContent`) != "" {
			t.Error("it counts though all are shown")
		}
		b.do(chromedp.SendKeys(chromedp.ID("find"), "nothing is called so"))
		if len(b.visible()) != 0 || ask[string](b, `document.getElementById("shown").textContent`) != fmt.Sprintf("0 of %d shown", len(all)) {
			t.Error("nothing is found and it does not say so")
		}
	})

	t.Run("with a keyboard", func(t *testing.T) {
		b := open(t, ctx, page, desktop)
		controls := ask[int](b, `(() => {
  window.controls = [...document.querySelectorAll("a[href], button, input, summary, [tabindex]")].filter(e => e.getClientRects().length);
  return controls.length;
})()`)
		if controls < 20 {
			t.Fatalf("there are %d controls only", controls)
		}
		type stop struct {
			Place                int // among the controls, -1 for none
			What                 string
			Seen, InView, Marked bool
			Outline              float64
		}
		for i := range controls {
			b.do(chromedp.KeyEvent(kb.Tab))
			s := ask[stop](b, `(() => {
  const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
  return {Place: controls.indexOf(e), What: e.outerHTML.slice(0, 80), Seen: r.width > 0 && r.height > 0,
    InView: r.bottom > 0 && r.top < innerHeight && r.right > 0 && r.left < innerWidth,
    Marked: e.matches(":focus-visible") && s.outlineStyle !== "none" && s.outlineStyle !== "auto", Outline: parseFloat(s.outlineWidth)};
})()`)
			if s.Place != i {
				t.Fatalf("after %d times Tab it is at %d: %s", i+1, s.Place, s.What)
			}
			if !s.Seen || !s.InView || !s.Marked || s.Outline < 2 {
				t.Errorf("who comes to it does not see where they are: %+v", s)
			}
		}
		b.do(chromedp.KeyEvent(kb.Tab))
		if s := ask[bool](b, `controls.includes(document.activeElement) && document.activeElement !== controls[0]`); s {
			t.Error("Tab does not leave the page")
		}

		// The keys do what a click does.
		b.do(chromedp.Focus(chromedp.CSS(".change summary")))
		for i, key := range []string{kb.Enter, kb.Enter, " ", " "} {
			b.do(chromedp.KeyEvent(key))
			if want := 1 - i%2; b.unfolded() != want {
				t.Errorf("after key %d, %q, %d are open", i, key, b.unfolded())
			}
		}
		all := len(b.visible())
		b.do(chromedp.Focus(chromedp.ID("show-update")), chromedp.KeyEvent(" "))
		if got := len(b.visible()); got >= all || got == 0 {
			t.Errorf("of %d, %d are shown", all, got)
		}
		// From the first link it goes on behind what was skipped.
		b.do(chromedp.Focus(chromedp.CSS(".skip")), chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Tab))
		if id := ask[string](b, `document.activeElement.id`); id != "show-destroy" {
			t.Errorf("it goes on at %q", id)
		}
	})

	t.Run("without scripts", func(t *testing.T) {
		off := chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
			return err
		})
		b := open(t, ctx, page, desktop, off)
		if ask[bool](b, `document.getElementById("tools").getClientRects().length > 0`) {
			t.Error("it offers what takes a script")
		}
		all := len(b.visible())
		b.do(chromedp.Click(chromedp.ID("show-create")))
		if got := len(b.visible()); got >= all || got == 0 {
			t.Errorf("of %d, %d are shown", all, got)
		}
		b.do(chromedp.Click(chromedp.CSS(".change.replace summary")))
		if b.unfolded() != 1 {
			t.Errorf("after a click %d are open", b.unfolded())
		}
		b.contrasts("without scripts")
	})
}

// To open, fold and filter thousands takes no look at each: that would have all
// drawn anew each time.
func TestPageOfThousandsIsDrawnOnce(t *testing.T) {
	b := open(t, browser(t), printed(t, review(t, thousand(t, 1000)).HTML), desktop)
	drawn := func() (n int) {
		t.Helper()
		ask[int](b, `document.body.offsetHeight`)
		metrics, err := chromedp.Call(b.ctx, performance.GetMetrics, cdp.Empty{})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range metrics.Metrics {
			if m.Name == "LayoutCount" {
				n = int(m.Value)
			}
		}
		return n
	}
	if _, err := chromedp.Call(b.ctx, performance.Enable, performance.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []chromedp.Action[chromedp.Void]{
		chromedp.Click(chromedp.ID("open")), chromedp.Click(chromedp.ID("show-create")), chromedp.SendKeys(chromedp.ID("find"), "7"),
		chromedp.Click(chromedp.ID("close")),
	} {
		before := drawn()
		b.do(step)
		if n := drawn() - before; n > 30 {
			t.Errorf("all is drawn anew %d times", n)
		}
	}
	if numbered := ask[int](b, `[...document.querySelectorAll(".changes>li, summary")].filter(e => getComputedStyle(e).display === "list-item").length`); numbered > 0 {
		t.Errorf("%d are numbered as items of lists, anew with each that is hidden", numbered)
	}
}

// What somebody wrote into a value is text, and were it ever more than that,
// the page's policy would let it do nothing.
func TestPageRunsNothingOfOthers(t *testing.T) {
	asked := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	t.Cleanup(server.Close)
	evil := `</span></pre><script>document.title = "taken"</script>` +
		`<img src="` + server.URL + `/x.png" onerror="document.title='taken'"><style>body{display:none}</style>`
	p := &engine.Plan{
		Stack: evil, Notes: []string{evil},
		Changes: []*engine.Change{{
			Addr: addr(t, "docker_container.web["+strconv.Quote(evil)+"]"), Type: container, Action: engine.Create, Reason: evil,
			Before: cty.NullVal(container.Implied()), After: container.Build(set{"name": str(evil), "script": str(evil + "\n" + evil)}),
		}},
	}
	page := printed(t, review(t, p).HTML)
	ctx := browser(t)
	look := func(b *tab) {
		t.Helper()
		if title := get(b, chromedp.Title()); title != "Plan: 1 created" {
			t.Errorf("the page is called %q", title)
		}
		if len(b.visible()) != 1 {
			t.Error("nothing is shown any more")
		}
		if len(asked) > 0 {
			t.Errorf("it fetches %s", <-asked)
		}
	}
	b := open(t, ctx, page, desktop)
	look(b)
	b.alone()

	b = open(t, ctx, strings.Replace(page, "</header>", evil+"</header>", 1), desktop)
	look(b)
	if len(b.said) < 3 { // a script, a style, a picture
		t.Errorf("the browser refuses only %q", b.said)
	}
	b = open(t, ctx, `<img src="`+server.URL+`/y.png">`)
	if got := <-asked; got != "/y.png" { // without a policy it is fetched
		t.Errorf("the server was asked for %s", got)
	}
}
