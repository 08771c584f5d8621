package view

import (
	"encoding/base64"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
	"golang.org/x/net/html"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// readPage parses a page as a browser does and holds it to what makes it whole,
// safe and readable for everybody.
func readPage(t *testing.T, page string) *html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	ids, tags := map[string]bool{}, map[string]int{}
	var refs []string
	level, policy := 0, ""
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		tags[n.Data]++
		for _, a := range n.Attr {
			switch {
			case a.Key == "id":
				if ids[a.Val] {
					t.Errorf("two elements are called %s", a.Val)
				}
				ids[a.Val] = true
			case a.Key == "aria-labelledby", a.Key == "for":
				refs = append(refs, strings.Fields(a.Val)...)
			case a.Key == "href":
				if !strings.HasPrefix(a.Val, "#") {
					t.Errorf("a link leads to %s", a.Val)
				}
				refs = append(refs, strings.TrimPrefix(a.Val, "#"))
			case a.Key == "marker-end":
				refs = append(refs, strings.TrimSuffix(strings.TrimPrefix(a.Val, "url(#"), ")"))
			case a.Key == "src", a.Key == "srcset", a.Key == "action", a.Key == "data", a.Key == "style", strings.HasPrefix(a.Key, "on"):
				t.Errorf("<%s> has %s=%q", n.Data, a.Key, a.Val)
			case a.Key == "content":
				if attrOf(n, "http-equiv") == "Content-Security-Policy" {
					policy = a.Val
				}
			}
		}
		switch n.Data {
		case "h1", "h2", "h3", "h4", "h5", "h6":
			now := int(n.Data[1] - '0')
			if now > level+1 {
				t.Errorf("after a heading of level %d comes <%s>%s", level, n.Data, textOf(n))
			}
			if level = now; textOf(n) == "" {
				t.Errorf("a <%s> is empty", n.Data)
			}
		case "script", "style":
			if want := hashOf(textOf(n)); !strings.Contains(policy, "'"+want+"'") {
				t.Errorf("the policy %q does not let the page's <%s> in, which is %s", policy, n.Data, want)
			}
		case "input":
			if n.Parent.Data != "label" {
				t.Error("an input has no label")
			}
		case "button", "summary", "legend", "label", "caption":
			if strings.TrimSpace(textOf(n)) == "" {
				t.Errorf("a <%s> has no text", n.Data)
			}
		case "section", "nav":
			if attrOf(n, "aria-labelledby") == "" && attrOf(n, "aria-label") == "" {
				t.Errorf("a <%s> has no name", n.Data)
			}
		case "svg":
			if attrOf(n, "role") != "img" || attrOf(n, "aria-labelledby") == "" {
				t.Error("the drawing says nothing to who cannot see it")
			}
		case "th":
			if attrOf(n, "scope") == "" {
				t.Error("a <th> does not say of what")
			}
		case "li":
			if n.Parent.Data != "ul" {
				t.Errorf("a <li> is in a <%s>", n.Parent.Data)
			}
		}
	}
	for _, r := range refs {
		if !ids[r] {
			t.Errorf("#%s is referred to and not there", r)
		}
	}
	for _, tag := range []string{"html", "head", "body", "title", "h1", "main", "nav", "header", "footer", "style", "script"} {
		if tags[tag] != 1 && tag != "title" {
			t.Errorf("<%s> is there %d times", tag, tags[tag])
		}
	}
	if attrOf(first(root, "html"), "lang") == "" || !strings.Contains(policy, "default-src 'none'") {
		t.Error("it has no language or no policy")
	}
	return root
}

func attrOf(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func first(root *html.Node, tag string) *html.Node {
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == tag {
			return n
		}
	}
	return &html.Node{}
}

// changesOf are the items of the list of changes.
func changesOf(root *html.Node) []*html.Node {
	var out []*html.Node
	for n := range root.Descendants() {
		if n.Data == "li" && slices.Contains(strings.Fields(attrOf(n, "class")), "change") {
			out = append(out, n)
		}
	}
	return out
}

func TestHTML(t *testing.T) {
	all := plans(t)
	all["linked"] = linked(t)
	for name, p := range all {
		t.Run(name, func(t *testing.T) {
			got := printed(t, review(t, p).HTML)
			readPage(t, got)
			withoutSecrets(t, p, got)
			if again := printed(t, review(t, p).HTML); again != got {
				t.Error("made again, it is other bytes")
			}
			_, body, _ := strings.Cut(got, "</style>")
			body, _, _ = strings.Cut(body, "<script>")
			golden(t, "html-"+name, body)
		})
	}
}

// Many lines of outputs do not keep what comes after them out of reach.
func TestManyOutputsAreFolded(t *testing.T) {
	p := &engine.Plan{}
	for i := range 61 {
		p.Outputs = append(p.Outputs, engine.OutputChange{Name: fmt.Sprint("o", i), Action: engine.Create, Before: cty.NullVal(cty.String), After: str("x")})
		if page := printed(t, review(t, p).HTML); strings.Contains(page, "<details><summary>61 lines</summary>") != (i == 60) {
			t.Errorf("with %d outputs they are folded or not", i+1)
		}
	}
}

// Who does not see the graph is told it.
func TestTheGraphIsToldInWords(t *testing.T) {
	root := readPage(t, printed(t, review(t, linked(t)).HTML))
	var told []string
	for n := range root.Descendants() {
		if n.Data == "li" && strings.Contains(textOf(n), "refers to") {
			told = append(told, textOf(n))
		}
	}
	for _, want := range []string{
		"docker_container.web (create 3) refers to docker_container.db, docker_image.app, docker_network.pool",
		"ray_cluster.pool (create 2) refers to docker_image.app, docker_network.pool",
	} {
		if !slices.Contains(told, want) {
			t.Errorf("it does not say %q but %q", want, told)
		}
	}
}

func TestAThousandChangesOnAPage(t *testing.T) {
	p := thousand(t, 1000)
	root := readPage(t, printed(t, review(t, p).HTML))
	changes := changesOf(root)
	if len(changes) != len(p.Changes) {
		t.Errorf("%d of %d changes are there", len(changes), len(p.Changes))
	}
	if graph := textOf(root); !strings.Contains(graph, "The 150 that matter most are drawn, 352 more are left out.") {
		t.Error("it does not say that the graph is not whole")
	}
	if first := textOf(changes[0]); !strings.HasPrefix(first, "destroy") {
		t.Errorf("first comes %s", first)
	}
}

// What is written in a configuration, or by somebody else on the engine, is
// text on the page.
func TestHTMLInterpretsNothing(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=y></title></style></pre>&lt;{{.Policy}}`
	a := addr(t, "docker_container.web["+strconv.Quote(evil)+"]")
	p := &engine.Plan{
		Changes: []*engine.Change{
			{Addr: a, Type: container, Action: engine.Create, Before: cty.NullVal(container.Implied()), After: container.Build(set{"name": str(evil), "script": str(evil + "\n" + evil)})},
			{Addr: addr(t, "docker_container.old"), Type: container, Action: engine.Delete, Reason: evil, Before: web(), After: cty.NullVal(container.Implied()), Object: object("docker_container", evil)},
		},
		Notes: []string{evil}, Kept: []*providers.Object{object("docker_volume", evil)}, Stack: evil,
		DataLoss: []schema.Addr{a}, Unapproved: evil,
		Drift:   []engine.Drift{{Addr: a, Type: container, What: evil}},
		Outputs: []engine.OutputChange{{Name: "x", Action: engine.Create, Before: cty.NullVal(cty.String), After: str(evil)}},
	}
	root := readPage(t, printed(t, review(t, p).HTML))
	seen := 0
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "img" {
			t.Error("a value has become an element")
		}
		if n.Type == html.TextNode && n.Parent.Data != "script" && strings.Contains(n.Data, "alert(1)") {
			seen++
		}
	}
	if seen < 12 {
		t.Errorf("it is shown in %d places only", seen)
	}
}

// Letters stand out from what is behind them as WCAG asks for at level AA, in
// light and in dark.
func TestColoursCanBeRead(t *testing.T) {
	light, dark, _ := strings.Cut(pageStyle, "@media(prefers-color-scheme:dark)")
	dark, _, _ = strings.Cut(dark, "}}")
	variable := regexp.MustCompile(`--([a-z-]+):(#[0-9a-f]{6})`)
	for name, css := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]string{}
		for _, m := range variable.FindAllStringSubmatch(css, -1) {
			colours[m[1]] = m[2]
		}
		for _, pair := range strings.Fields("fg/bg fg/soft muted/bg muted/soft link/bg destroy/bg replace/bg update/bg create/bg forget/bg " +
			"destroy/alert-bg fg/alert-bg add-fg/add-bg del-fg/del-bg mod-fg/mod-bg") {
			front, back, _ := strings.Cut(pair, "/")
			if c := contrast(t, colours[front], colours[back]); c < 4.5 {
				t.Errorf("%s: %s has a contrast of %.2f", name, pair, c)
			}
		}
	}
	for _, f := range fills {
		if c := contrast(t, "#424a53", f.fill); c < 4.5 {
			t.Errorf("a box of what is to %s has a contrast of %.2f", f.class, c)
		}
	}
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	light := func(colour string) float64 {
		if len(colour) != 7 {
			t.Fatalf("%q is no colour", colour)
		}
		sum := 0.0
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			c := float64(n) / 255
			if c <= 0.04045 {
				c /= 12.92
			} else {
				c = math.Pow((c+0.055)/1.055, 2.4)
			}
			sum += weight * c
		}
		return sum
	}
	x, y := light(a), light(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// A policy names its hashes in the form that browsers read.
func TestPolicyHashes(t *testing.T) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(hashOf("x"), "sha256-"))
	if err != nil || fmt.Sprintf("%x", raw) != "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" {
		t.Errorf("%v, %x", err, raw)
	}
}
