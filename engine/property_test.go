package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers/mem"
)

// block is one resource of a drawn configuration.
type block struct {
	kind, name string
	many       string // "", "count" or "for_each"
	n          int    // instances
	setting    string // what the kind has to set; a change of it may replace
	memory     int
	early      bool   // create_before_destroy
	word       bool   // of a container: it names single networks by a word
	image      string // of a container: how it is told its image
	refs       []int  // of a container: blocks that it is attached to; of a network: blocks in its labels
	after      []int  // depends_on
	triggers   []int  // replace_triggered_by
}

type drawn []block

// base is what the names of a block's objects begin with.
func (b block) base() string {
	if b.kind == "docker_image" {
		return "image:" + b.name
	}
	return strings.TrimPrefix(b.kind, "docker_") + "-" + b.name
}

// instances are the names of a block's objects.
func (b block) instances() []string {
	base := b.base()
	if b.many == "" {
		return []string{base}
	}
	var names []string
	for i := range b.n {
		names = append(names, fmt.Sprintf("%s-%d", base, i))
	}
	return names
}

// text is the block as it is written.
func (d drawn) text(at int) string {
	b := d[at]
	var s strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&s, format+"\n", args...) }
	line("resource %q %q {", b.kind, b.name)
	base := b.base()
	switch b.many {
	case "count":
		line("  count = %d", b.n)
		line("  name = \"%s-${count.index}\"", base)
	case "for_each":
		var keys []string
		for i := range b.n {
			keys = append(keys, fmt.Sprintf("%q", fmt.Sprint(i)))
		}
		line("  for_each = toset([%s])", strings.Join(keys, ", "))
		line("  name = \"%s-${each.key}\"", base)
	default:
		line("  name = %q", base)
	}
	switch b.kind {
	case "docker_image":
		line("  inputs = %q", b.setting)
	case "docker_network", "docker_volume":
		line("  driver = %q", b.setting)
	case "docker_container":
		d.container(b, line)
	}
	if len(b.after) > 0 {
		var on []string
		for _, i := range b.after {
			on = append(on, d[i].kind+"."+d[i].name)
		}
		line("  depends_on = [%s]", strings.Join(on, ", "))
	}
	if b.kind == "docker_network" && len(b.refs) > 0 {
		var labels []string
		for _, i := range b.refs {
			for _, at := range d[i].each() {
				attr := "id"
				if d[i].kind == "docker_image" {
					attr = "image_id"
				}
				labels = append(labels, fmt.Sprintf("L%d = %s.%s%s.%s", len(labels), d[i].kind, d[i].name, at, attr))
			}
		}
		line("  labels = { %s }", strings.Join(labels, ", "))
	}
	line("  lifecycle {")
	if b.early {
		line("    create_before_destroy = true")
	}
	if len(b.triggers) > 0 {
		var by []string
		for _, i := range b.triggers {
			by = append(by, d[i].kind+"."+d[i].name)
		}
		line("    replace_triggered_by = [%s]", strings.Join(by, ", "))
	}
	line("  }")
	line("}")
	return s.String()
}

func (d drawn) container(b block, line func(string, ...any)) {
	image, env := `"scratch"`, fmt.Sprintf("A = %q", b.setting)
	for _, i := range b.refs {
		to := d[i]
		for n, at := range to.each() {
			ref := to.kind + "." + to.name + at
			switch to.kind {
			case "docker_image":
				switch {
				case image == `"scratch"` && b.image == "word":
					image = fmt.Sprintf("%q", to.instances()[n])
				case image == `"scratch"`:
					image = ref + "." + b.image
				default:
					env += fmt.Sprintf(", I%d = %s.image_id", strings.Count(env, ","), ref)
				}
			case "docker_network":
				if b.word && b.many == "" && to.many == "" {
					line("  network { name = %q }", to.instances()[0])
				} else {
					line("  network { name = %s.name }", ref)
				}
			case "docker_volume":
				line("  mount { volume = %s.name }", ref)
			}
		}
	}
	line("  image = %s", image)
	line("  memory = %d", b.memory)
	line("  env = { %s }", env)
}

// each are the suffixes of the block's instances.
func (b block) each() []string {
	var out []string
	switch b.many {
	case "count":
		for i := range b.n {
			out = append(out, fmt.Sprintf("[%d]", i))
		}
	case "for_each":
		for i := range b.n {
			out = append(out, fmt.Sprintf("[%q]", fmt.Sprint(i)))
		}
	default:
		out = []string{""}
	}
	return out
}

func (d drawn) blocks() []string {
	var out []string
	for i := range d {
		out = append(out, d.text(i))
	}
	return out
}

var kindsDrawn = []string{"docker_image", "docker_network", "docker_volume", "docker_container", "docker_container", "docker_container"}

func drawConfig(r *rapid.T) drawn {
	var d drawn
	for i := range rapid.IntRange(1, 7).Draw(r, "blocks") {
		b := block{kind: rapid.SampledFrom(kindsDrawn).Draw(r, "kind"), name: string(rune('a' + i))}
		b.many = rapid.SampledFrom([]string{"", "", "count", "for_each"}).Draw(r, "many")
		b.image = rapid.SampledFrom([]string{"image_id", "name", "word"}).Draw(r, "image")
		b.early = b.kind == "docker_container" && rapid.Bool().Draw(r, "early")
		d = append(d, b)
	}
	d.wire(r, false)
	return d.change(r, false)
}

// wire draws anew what refers to what. turned lets a block refer to those behind
// it.
func (d drawn) wire(r *rapid.T, turned bool) {
	for i := range d {
		b := &d[i]
		b.after, b.refs, b.triggers = nil, nil, nil
		for j := range d {
			if i == j || (j > i) != turned {
				continue
			}
			switch how := rapid.IntRange(0, 5).Draw(r, "uses"); {
			case how == 0:
				b.after = append(b.after, j)
			case how <= 2 && b.kind == "docker_container" && d[j].kind != b.kind:
				b.refs = append(b.refs, j)
			case how == 1 && b.kind == "docker_network" && (d[j].kind == "docker_container" || d[j].kind == "docker_image"):
				b.refs = append(b.refs, j)
			case how == 3 && (b.kind == "docker_container" || b.kind == "docker_network"):
				b.triggers = append(b.triggers, j)
			}
		}
	}
}

// change draws the settings anew, and perhaps what refers to what. applied says
// that what it comes from was.
func (d drawn) change(r *rapid.T, applied bool) drawn {
	next := slices.Clone(d)
	wired := rapid.IntRange(0, 3).Draw(r, "wire") == 0
	if wired {
		next.wire(r, rapid.Bool().Draw(r, "turned"))
	}
	for i := range next {
		// Only of a network that it is attached to is a word known to be one.
		next[i].word = applied && !wired && rapid.Bool().Draw(r, "word")
		next[i].setting = rapid.SampledFrom([]string{"x", "y"}).Draw(r, "setting")
		next[i].memory = rapid.SampledFrom([]int{32, 64}).Draw(r, "memory")
		next[i].n = rapid.IntRange(0, 3).Draw(r, "n")
	}
	return next
}

// watch holds every create to what its block refers to: all of that exists.
func (d drawn) watch(l *lab, fail func(string)) {
	owner := map[string]int{}
	for i, b := range d {
		for _, name := range b.instances() {
			owner[b.kind+" "+name] = i
		}
	}
	l.world.SetFault(func(c mem.Call) error {
		if c.Op != mem.Create || c.When != mem.Before {
			return nil
		}
		name, _, _ := strings.Cut(c.Name, ".") // a candidate's has a suffix
		i, ok := owner[c.Kind+" "+name]
		if !ok {
			fail(c.String() + ", which nobody wants")
			return nil
		}
		there := map[string]bool{}
		for _, o := range l.world.Objects() {
			there[o.Kind+" "+o.Name] = true
			base, _, _ := strings.Cut(o.Name, ".")
			there[o.Kind+" "+base] = true
		}
		for _, j := range append(slices.Clone(d[i].refs), d[i].after...) {
			for _, name := range d[j].instances() {
				if !there[d[j].kind+" "+name] {
					fail(c.String() + " before " + d[j].kind + " " + name)
				}
			}
		}
		return nil
	})
}

// TestProperties applies drawn configurations one after the other: nothing is
// made before what it refers to, the second plan is empty, and destroy leaves
// nothing.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		l := newLab(t)
		l.t = r
		l.parallelism = rapid.SampledFrom([]int{1, 4}).Draw(r, "parallelism")
		l.options = allowAll
		d := drawConfig(r)
		for range rapid.IntRange(1, 3).Draw(r, "applies") {
			l.write(strings.Join(d.blocks(), ""))
			var mu sync.Mutex
			var early []string
			d.watch(l, func(what string) {
				mu.Lock()
				defer mu.Unlock()
				early = append(early, what)
			})
			p, err := l.run(true)
			l.world.SetFault(nil)
			if err != nil {
				r.Fatalf("apply: %v\n%s\n%s", explain(err), strings.Join(d.blocks(), ""), sketch(p))
			}
			if len(early) > 0 {
				r.Fatalf("%s\n%s\n%s", strings.Join(early, "\n"), strings.Join(d.blocks(), ""), sketch(p))
			}
			inOrder(r, p)
			l.settled()
			l.recordsAll()
			d = d.change(r, true)
		}
		l.mode = engine.Destroy
		inOrder(r, l.apply())
		if left := l.world.String(); left != "" {
			r.Fatalf("destroy leaves\n%s", left)
		}
	})
}

// inOrder says that each step has its place as its ID and needs earlier ones.
func inOrder(t tester, p *engine.Plan) {
	t.Helper()
	for i, s := range p.Steps {
		if s.ID != i || !slices.IsSorted(s.Needs) || len(s.Needs) > 0 && s.Needs[len(s.Needs)-1] >= i {
			t.Fatalf("step %d has the ID %d and needs %v", i, s.ID, s.Needs)
		}
	}
}

// TestOrderOfBlocksDoesNotMatter plans the same blocks in another order and in
// several files: it is the same plan.
func TestOrderOfBlocksDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		l := newLab(t)
		l.t = r
		d := drawConfig(r)
		l.write(strings.Join(d.blocks(), ""))
		if rapid.Bool().Draw(r, "applied") {
			l.apply()
			d = d.change(r, true)
		}
		blocks := d.blocks()
		l.write(strings.Join(blocks, ""))
		want := outline(l.plan())
		blocks = rapid.Permutation(blocks).Draw(r, "order")
		cut := rapid.IntRange(0, len(blocks)).Draw(r, "cut")
		l.write(strings.Join(blocks[:cut], ""))
		if err := os.WriteFile(filepath.Join(l.dir, "a.gapool.hcl"), []byte(strings.Join(blocks[cut:], "")), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := outline(l.plan()); got != want {
			r.Fatalf("the plan was\n%s\nand in another order it is\n%s", want, got)
		}
	})
}
