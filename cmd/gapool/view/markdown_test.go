package view

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-runewidth"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/planfile"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// typeOf finds a table by its name, with what an object takes.
func typeOf(name string) *schema.Type {
	c, v := *container, *volume
	c.Needs = func(v cty.Value) schema.Needs {
		n := schema.Needs{CPUs: schema.Amount{Open: 1}, Ports: []string{"0.0.0.0:8080/tcp"}}
		if m := v.GetAttr("memory"); m.IsKnown() && !m.IsNull() {
			mib, _ := m.AsBigFloat().Int64()
			n.Memory = schema.Amount{N: mib << 20}
		} else {
			n.Memory = schema.Amount{Unknown: 1}
		}
		return n
	}
	v.Needs = func(cty.Value) schema.Needs { return schema.Needs{Volumes: []string{"data"}} }
	switch name {
	case container.Name:
		return &c
	case volume.Name:
		return &v
	default:
		return tables(name)
	}
}

// review is a plan as it is read from its file.
func review(t *testing.T, p *engine.Plan) Review {
	t.Helper()
	file := kept(t, p)
	file.Engines = map[string]planfile.Engine{"docker": {ID: "x", CPUs: 4, Memory: 1 << 30}}
	again, err := file.Plan(typeOf)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range again.Changes {
		c.Provider = "docker"
	}
	return Review{Plan: again, Digest: "sha256:" + strings.Repeat("0123456789abcdef", 4)}
}

func printed(t *testing.T, f func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func withoutSecrets(t *testing.T, p *engine.Plan, text string) {
	t.Helper()
	for _, s := range append(secrets(p), "s3cr3t", "\x1b") {
		if strings.Contains(text, s) {
			t.Errorf("it shows %q", s)
		}
	}
}

func TestMarkdown(t *testing.T) {
	for name, p := range plans(t) {
		t.Run(name, func(t *testing.T) {
			got := printed(t, review(t, p).Markdown)
			golden(t, "markdown-"+name, got)
			withoutSecrets(t, p, got)
			if again := printed(t, review(t, p).Markdown); again != got {
				t.Error("made again, it is other bytes")
			}
		})
	}
}

// thousand is a plan of n changes: instances that go by number, by key and one
// by one, and as many that come.
func thousand(t *testing.T, n int) *engine.Plan {
	t.Helper()
	p := &engine.Plan{}
	change := func(a string, action engine.Action) {
		c := &engine.Change{Addr: addr(t, a), Type: container, Action: action, Before: web(), After: cty.NullVal(container.Implied()), Object: object("docker_container", "x")}
		switch action {
		case engine.Delete:
			c.Reason = "is not in the configuration"
		case engine.Create:
			c.Before, c.After, c.Object = c.After, c.Before, nil
		case engine.Replace:
			c.After = schema.With(web(), set{"image": str("other"), "id": unknown(cty.String)})
			diffs(c, true)
		}
		p.Changes = append(p.Changes, c)
	}
	for i := range n * 2 / 5 {
		change(fmt.Sprintf("docker_container.web[%d]", i), engine.Delete)
	}
	for i := range n / 10 {
		change(fmt.Sprintf("docker_container.keyed[\"key-%d\"]", i), engine.Delete)
	}
	for i := range n / 10 {
		change(fmt.Sprintf("docker_container.single_%d", i), engine.Replace)
	}
	for i := range n * 2 / 5 {
		change(fmt.Sprintf("docker_container.new_%d", i), engine.Create)
	}
	return p
}

func TestAThousandChangesFitIntoAComment(t *testing.T) {
	p := thousand(t, 1000)
	got := printed(t, review(t, p).Markdown)
	if len(got) > markdownLimit {
		t.Errorf("it is %d bytes long", len(got))
	}
	golden(t, "markdown-thousand", got)
	for _, want := range []string{"500 destroyed, 100 replaced", "docker_container.web&#91;0-399&#93;</code> (400)", "Left out here for length"} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	for _, c := range p.Changes {
		if c.Action == engine.Replace && !strings.Contains(got, c.Addr.String()+"<") {
			t.Errorf("%s is not named", c.Addr)
		}
	}
}

// Each that is destroyed is named, also where no range folds them: their
// attributes go first. Where even their names are too long, each block has some,
// and the rest is counted.
func TestEveryDestroyIsNamed(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	p := &engine.Plan{}
	destroy := func(a string) {
		p.Changes = append(p.Changes, &engine.Change{
			Addr: addr(t, a), Type: container, Action: engine.Delete, Reason: "is not in the configuration",
			Before: web(), After: cty.NullVal(container.Implied()), Object: object("docker_container", "x"),
		})
	}
	key := func() string {
		return fmt.Sprintf("%08x-%04x-%04x", random.Uint32(), random.Uint32()>>16, random.Uint32()>>16)
	}
	for range 900 {
		destroy(fmt.Sprintf("docker_container.run[%q]", key()))
	}
	for i := range 300 {
		destroy(fmt.Sprintf("docker_container.old_%s", strings.ReplaceAll(key(), "-", "_")))
		destroy(fmt.Sprintf("docker_container.web[%d]", i))
		destroy(fmt.Sprintf("docker_container.step[\"step-%03d\"]", i))
	}
	got := printed(t, Review{Plan: p, Digest: "sha256:0"}.Markdown)
	if len(got) > markdownLimit {
		t.Errorf("it is %d bytes long", len(got))
	}
	for _, c := range p.Changes {
		name := c.Addr.String() + "\n"
		switch c.Addr.Name {
		case "run":
			name = strconv.Quote(c.Addr.Key.Value().AsString())
		case "web":
			name = "web[0-299] (300)"
		case "step":
			name = `step["step-000" to "step-299"] (300)`
		}
		if !strings.Contains(got, name) {
			t.Fatalf("%s is not named", c.Addr)
		}
	}

	for range 9000 {
		destroy(fmt.Sprintf("docker_container.run[%q]", key()))
	}
	got = printed(t, Review{Plan: p, Digest: "sha256:0"}.Markdown)
	if len(got) > markdownLimit {
		t.Errorf("it is %d bytes long", len(got))
	}
	counted := regexp.MustCompile(`"([0-9a-f-]+)", … ([0-9]+) more\] \(9900\)\n`).FindStringSubmatch(got)
	if counted == nil {
		t.Fatalf("what is not named is not counted: %.2000s", got)
	}
	if rest, _ := strconv.Atoi(counted[2]); rest+len(regexp.MustCompile(`"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}"[],]`).FindAllString(got, -1)) != 9900 {
		t.Errorf("of 9900, those that are named and %d are not all", rest)
	}
	for _, want := range []string{"- 10800 to destroy:\n", "docker_container.web[0-299] (300)"} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q", want)
		}
	}
}

// More rows than anybody reads one by one are folded, also where they have room.
func TestManyRowsAreFolded(t *testing.T) {
	p := &engine.Plan{}
	for i := range 60 {
		p.Changes = append(p.Changes, &engine.Change{
			Addr: addr(t, fmt.Sprintf("docker_volume.data[%d]", i)), Type: volume, Action: engine.Delete, Reason: "is not in the configuration",
			Before: volume.Build(set{"name": str("x")}), After: cty.NullVal(volume.Implied()), Object: object("docker_volume", "x"),
		})
		p.DataLoss = append(p.DataLoss, p.Changes[i].Addr)
	}
	got := printed(t, review(t, p).Markdown)
	for _, want := range []string{
		"| **destroy** | <code>docker_volume.data&#91;0-59&#93;</code> (60) | is not in the configuration |\n",
		"> **THE DATA OF 60 VOLUMES WILL BE LOST, and no apply can bring it back:**\n>\n> - <code>docker_volume.data&#91;0-59&#93;</code> (60)\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q:\n%.1500s", want, got)
		}
	}
}

// A runner has no state: what stays as it is does not stand before the one
// change.
func TestWhatIsTakenUpIsFoldedAway(t *testing.T) {
	p := &engine.Plan{}
	for i := range 500 {
		c := &engine.Change{Addr: addr(t, fmt.Sprintf("docker_container.web[%d]", i)), Type: container, Action: engine.NoOp, Adopted: true, Before: web(), After: web(), Object: object("docker_container", "x")}
		if i == 499 {
			c.Action, c.After = engine.Update, schema.With(web(), set{"name": str("other")})
			diffs(c, false)
		}
		p.Changes = append(p.Changes, c)
	}
	got := printed(t, review(t, p).Markdown)
	update := strings.Index(got, "| update | <code>docker_container.web&#91;499&#93;</code>")
	taken := strings.Index(got, "<details><summary>499 taken up as they are</summary>")
	if update < 0 || taken < update {
		t.Errorf("the change is at %d, what is taken up at %d of:\n%s", update, taken, got)
	}
}

// Of two long texts both are told in short, and not the beginning of one and the
// end of the other.
func TestLongTextsAreShortenedEach(t *testing.T) {
	p := &engine.Plan{Outputs: []engine.OutputChange{{
		Name: "x", Action: engine.Update, Before: str("old" + strings.Repeat("-", 3000) + "1"), After: str("new" + strings.Repeat("-", 3000) + "2"),
	}}}
	got := printed(t, review(t, p).Markdown)
	if !regexp.MustCompile(`(?m)^! x = "old-+…-+1" -> "new-+…-+2"$`).MatchString(got) {
		t.Errorf("it does not tell both:\n%s", got)
	}
}

// Whatever a plan has in it, the comment is not too long.
func TestMarkdownIsNeverTooLong(t *testing.T) {
	long := strings.Repeat("x|`@#", 200)
	p := thousand(t, 2000)
	for i := range 1000 {
		a := addr(t, fmt.Sprintf("docker_volume.v%d[%q]", i, long))
		p.Changes = append(p.Changes, &engine.Change{Addr: a, Type: volume, Action: engine.Delete, Before: volume.Build(set{"name": str(long)}), After: cty.NullVal(volume.Implied()), Object: object("docker_volume", long)})
		p.DataLoss = append(p.DataLoss, a)
		p.Kept = append(p.Kept, object("docker_volume", long))
		p.Notes = append(p.Notes, long)
		p.Drift = append(p.Drift, engine.Drift{Addr: a, Type: volume, What: long, Differences: []schema.Difference{{Attr: "name", Path: cty.GetAttrPath("name"), Want: str(long), Live: str("y")}}})
		p.Outputs = append(p.Outputs, engine.OutputChange{Name: fmt.Sprintf("o%d", i), Action: engine.Create, Before: cty.NullVal(cty.String), After: str(long)})
	}
	for i := range 1000 {
		p.Changes = append(p.Changes, &engine.Change{
			Addr: addr(t, fmt.Sprintf("docker_volume.found%d[%q]", i, long)), Type: volume, Action: engine.NoOp, Adopted: true,
			Before: volume.Build(set{"name": str(long)}), After: volume.Build(set{"name": str(long)}), Object: object("docker_volume", long),
		})
	}
	p.Unapproved, p.Stack = strings.Repeat(long, 100), strings.Repeat("#", 5000)
	ticks := engine.OutputChange{Name: "ticks", Action: engine.Create, Before: cty.NullVal(cty.String), After: str(strings.Repeat("`", 2900))}
	for _, o := range [][]engine.OutputChange{p.Outputs, {ticks}} {
		p.Outputs = o
		neverTooLong(t, p)
	}
}

func neverTooLong(t *testing.T, p *engine.Plan) {
	t.Helper()
	got := printed(t, Review{Plan: p, Digest: "sha256:0"}.Markdown)
	if len(got) > markdownLimit || !utf8.ValidString(got) {
		t.Errorf("it is %d bytes long", len(got))
	}
	if !strings.Contains(got, "2000 destroyed") || !strings.HasSuffix(got, "nothing else.\n") {
		t.Error("it has no beginning or no end")
	}
}

// A table for each of many engines has a bound for all of them.
func TestManyEnginesFitIntoAComment(t *testing.T) {
	p := thousand(t, 2000)
	for i, c := range p.Changes {
		c.Provider, c.Type = fmt.Sprintf("docker.lab_%d", i%500), typeOf(c.Type.Name)
	}
	for i := range 3000 {
		p.Notes = append(p.Notes, fmt.Sprint("note ", i))
	}
	got := printed(t, Review{Plan: p, Digest: "sha256:0"}.Markdown)
	if len(got) > markdownLimit {
		t.Errorf("it is %d bytes long", len(got))
	}
	for want, n := range map[string]int{"**What it takes**": 1, "| on <code>docker.lab_0</code> |": 1, " rows of what it takes": 1} {
		if strings.Count(got, want) != n {
			t.Errorf("it has %q %d times", want, strings.Count(got, want))
		}
	}
}

// A worker is compared with one that is shown: the first one may have had no room.
func TestWorkersAreComparedWithOneThatIsShown(t *testing.T) {
	p := &engine.Plan{}
	create := func(a, script string) {
		p.Changes = append(p.Changes, &engine.Change{
			Addr: addr(t, a), Type: container, Action: engine.Create,
			Before: cty.NullVal(container.Implied()), After: container.Build(set{"name": str(a), "script": str(script)}),
		})
	}
	for i := range 8 {
		create(fmt.Sprintf("docker_container.web[%d]", i), strings.Repeat("a line that takes room\n", 190))
	}
	for i := range 4 {
		create(fmt.Sprintf("ray_cluster.pool.worker[\"cpu\"][%d]", i), strings.Repeat("a line that takes room\n", []int{230, 50, 50, 50}[i]))
	}
	got := printed(t, review(t, p).Markdown)
	as := regexp.MustCompile(`as of (ray_cluster\.pool\.worker\["cpu"\]\[[0-9]+\])`).FindAllStringSubmatch(got, -1)
	if len(as) == 0 {
		t.Errorf("none is compared with another one:\n%s", got)
	}
	for _, m := range as {
		if !strings.Contains(got, "<b>create</b> <code>"+htmlText(m[1])+"</code>") {
			t.Fatalf("%s is not shown", m[1])
		}
	}
}

var entity = regexp.MustCompile("&#[0-9]+;")

// A document is the same where the locale is one in which α and … are as wide as
// two letters.
func TestReviewsDoNotFollowTheLocale(t *testing.T) {
	p := &engine.Plan{Changes: []*engine.Change{{
		Addr: addr(t, "docker_container.α"), Type: container, Action: engine.Create,
		Before: cty.NullVal(container.Implied()), After: container.Build(set{"name": str("x"), "labels": dict("α→β…", "1", "b", "2")}),
	}}}
	views := func() string {
		r := review(t, p)
		return printed(t, r.Markdown) + printed(t, r.HTML) + printed(t, PlanDiagram(r.Plan).SVG)
	}
	t.Cleanup(func() { runewidth.DefaultCondition.EastAsianWidth = false })
	runewidth.DefaultCondition.EastAsianWidth = false
	here := views()
	runewidth.DefaultCondition.EastAsianWidth = true
	if there := views(); there != here {
		t.Error("in Japan it is another one:\n" + cmp.Diff(here, there))
	}
}

// Nor does a service make a link of it, to a request, a label, a milestone: it
// looks in the text that the numbers of characters have become.
func TestProseRefersToNothing(t *testing.T) {
	for text, want := range map[string]string{
		`web["!12"]`:              `web&#91;"&#33;<!-- -->12"&#93;`,
		"%1 ~bug $2 &3":           "&#37;<!-- -->1 &#126;<!-- -->bug &#36;<!-- -->2 &#38;<!-- -->3",
		`%"next" ~"bug"`:          `&#37;<!-- -->"next" &#126;<!-- -->"bug"`,
		"GH-1, gh-2":              "GH-<!-- -->1, gh-<!-- -->2",
		"100% done! high-1, gh-x": "100% done! high-1, gh-x",
	} {
		if got := prose(text); got != want {
			t.Errorf("%q is %q, not %q", text, got, want)
		}
	}
}

// What is written in a configuration, or by somebody else on the engine, is
// shown and not carried out.
func TestMarkdownInterpretsNothing(t *testing.T) {
	const evil = "```\n</details><script>alert(1)</script> | @octocat #1 [a](http://x) **b** _c_ www.x.org"
	a := addr(t, "docker_container.web["+fmt.Sprintf("%q", "`</code><script>|@octocat #1 **b** _c_ [x](y)")+"]")
	p := &engine.Plan{
		Changes: []*engine.Change{
			{Addr: a, Type: container, Action: engine.Create, Before: cty.NullVal(container.Implied()), After: container.Build(set{"name": str(evil), "script": str(evil + "\n" + evil)})},
			{Addr: addr(t, "docker_container.old"), Type: container, Action: engine.Delete, Reason: evil, Before: web(), After: cty.NullVal(container.Implied()), Object: object("docker_container", evil)},
		},
		Notes: []string{evil}, Kept: []*providers.Object{object("docker_volume", evil)}, Stack: evil,
		DataLoss: []schema.Addr{a}, Unapproved: evil,
		Drift: []engine.Drift{{Addr: a, Type: container, What: evil}},
	}
	got := printed(t, review(t, p).Markdown)
	golden(t, "markdown-evil", got)
	fence := ""
	for _, line := range strings.Split(got, "\n") {
		ticks := line[:len(line)-len(strings.TrimLeft(line, "`"))]
		switch {
		case fence != "" && line == fence:
			fence = ""
		case fence != "":
			// Nothing in a fence is interpreted.
		case len(ticks) >= 3:
			fence = ticks
		default:
			line = entity.ReplaceAllString(line, "?")
			if strings.HasPrefix(line, "<details>") { // HTML, in which Markdown is not looked for
				if tags := regexp.MustCompile("<[^>]*>").FindAllString(line, -1); strings.Join(tags, "") != "<details><summary><b></b><code></code></summary>" && strings.Join(tags, "") != "<details><summary></summary>" {
					t.Errorf("it is other HTML: %q", line)
				}
				continue
			}
			for _, bad := range []string{"<script", "@octocat", "#1", "**b**", " _c_", "](", "www.x"} {
				if strings.Contains(line, bad) {
					t.Errorf("%q is interpreted in %q", bad, line)
				}
			}
			if strings.HasPrefix(line, "| ") && strings.Count(line, "|") != 4 && strings.Count(line, "|") != 6 {
				t.Errorf("a row has other columns: %q", line)
			}
		}
	}
	if fence != "" {
		t.Error("a fence is not closed")
	}
}
