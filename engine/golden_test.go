package engine_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
	"golang.org/x/tools/txtar"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/plan"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

var update = flag.Bool("update", false, "write the golden plans anew")

// TestGoldenPlans reads testdata/plan. Each file is a story:
//
//	first.hcl    what is applied first, if anything
//	drift        what others do, one a line, before or after it
//	config.hcl   what is planned; first.hcl where it is left out
//	flags        of the plan, one a line
//	plan         what the plan says, or its errors
//	apply        if it stands there, what the apply of that plan does
//
// After an apply without errors the next plan with the same flags must be empty.
func TestGoldenPlans(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "plan", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			story, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := tell(t, story)
			if *update {
				if err := os.WriteFile(path, txtar.Format(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			for i, f := range got.Files {
				if string(f.Data) != string(story.Files[i].Data) {
					t.Errorf("%s is\n%s\nand not\n%s", f.Name, f.Data, story.Files[i].Data)
				}
			}
		})
	}
}

func part(a *txtar.Archive, name string) *txtar.File {
	i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return &a.Files[i]
}

// tell lives the story and returns it with what came of it.
func tell(t *testing.T, story *txtar.Archive) *txtar.Archive {
	out := &txtar.Archive{Comment: story.Comment, Files: slices.Clone(story.Files)}
	l := newLab(t)
	for _, f := range story.Files {
		switch f.Name {
		case "first.hcl":
			l.write(string(f.Data))
			l.options = allowAll
			l.apply()
			l.options = nil
		case "drift":
			for line := range strings.Lines(string(f.Data)) {
				drift(l, strings.Fields(line))
			}
		}
	}
	if f := part(story, "config.hcl"); f != nil {
		l.write(string(f.Data))
	}
	if f := part(story, "flags"); f != nil {
		flags(l, strings.Fields(string(f.Data)))
	}
	p, err := l.run(false)
	if err != nil {
		part(out, "plan").Data = []byte(words(explain(err).Error()))
		return out
	}
	part(out, "plan").Data = []byte(words(outline(p)))
	f := part(out, "apply")
	if f == nil {
		return out
	}
	var events strings.Builder
	l.report = func(e engine.Event) {
		if e.Kind != engine.Started {
			fmt.Fprintf(&events, "%s %s %s\n", kinds[e.Kind], e.Step.Verb, e.Step.Addr)
		}
	}
	if _, err := l.run(true); err != nil {
		fmt.Fprintf(&events, "error: %v\n", explain(err))
	} else {
		l.report = nil
		given := l.options
		l.options = func(o *plan.Options) {
			if given != nil {
				given(o)
			}
			o.Replace = nil // it was asked once
		}
		l.settled()
	}
	f.Data = []byte(words(events.String()))
	return out
}

var kinds = map[engine.EventKind]string{engine.Done: "done", engine.Failed: "failed", engine.Skipped: "skipped", engine.Dropped: "dropped"}

// drift is what others do to the world.
func drift(l *lab, words []string) {
	if len(words) == 0 {
		return
	}
	kind, name := "", ""
	if len(words) > 2 {
		kind, name = words[1], words[2]
	}
	switch words[0] {
	case "remove":
		l.world.Remove(kind, name)
	case "stop":
		l.world.Stop(kind, name)
	case "break":
		l.world.Break(kind, name, strings.Join(words[3:], " "))
	case "rename":
		l.world.Rename(kind, name, words[3])
	case "set": // kind name attribute value
		ty := l.table(kind).Attr(words[3]).Type
		v := cty.StringVal(words[4])
		if ty == cty.Number {
			v = cty.MustParseNumberVal(words[4])
		}
		l.world.Set(kind, name, words[3], v)
	case "put": // kind name, by somebody else
		l.world.Put(&providers.Object{Kind: kind, Name: name})
	case "theirs": // kind name, of the same stack by another state
		l.world.Put(&providers.Object{Kind: kind, Name: name, Owner: providers.Owner{
			Stack: "lab", Workspace: "default", Lineage: "another", UID: "foreign", Address: kind + ".x",
		}})
	case "candidate": // name address: of a replacement that was cut off
		for _, o := range l.world.Objects() {
			if o.Kind == "docker_container" && o.Name == words[1] {
				next := *o
				next.Name, next.Owner.UID = words[1]+".next", "next"
				l.world.Put(&next)
			}
		}
	case "attach": // a container of somebody else's, to a network
		t := l.table("docker_container")
		l.world.Put(&providers.Object{Kind: "docker_container", Name: words[1], Attrs: t.Build(map[string]cty.Value{
			"name": cty.StringVal(words[1]), "image": cty.StringVal("other"),
			"network": cty.SetVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(words[2])})}),
		})})
	case "lose-state":
		if err := os.RemoveAll(l.stateDir()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.t.Fatal(err)
		}
	default:
		l.t.Fatalf("no drift is called %q", words[0])
	}
}

func (l *lab) table(kind string) *schema.Type {
	for _, t := range l.world.Types() {
		if t.Name == kind {
			return t
		}
	}
	l.t.Fatalf("there is no table %q", kind)
	return nil
}

func flags(l *lab, words []string) {
	var set []func(*plan.Options)
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		addrs := func(list func(*plan.Options) *[]schema.Addr) {
			addr, err := schema.ParseTarget(value)
			if err != nil {
				l.t.Fatal(err)
			}
			set = append(set, func(o *plan.Options) { *list(o) = append(*list(o), addr) })
		}
		switch name {
		case "-destroy":
			l.mode = engine.Destroy
		case "-refresh-only":
			l.mode = engine.RefreshOnly
		case "-refresh":
			set = append(set, func(o *plan.Options) { o.Refresh = value != "false" })
		case "-target":
			addrs(func(o *plan.Options) *[]schema.Addr { return &o.Targets })
		case "-replace":
			addrs(func(o *plan.Options) *[]schema.Addr { return &o.Replace })
		case "-allow-data-loss":
			addrs(func(o *plan.Options) *[]schema.Addr { return &o.AllowDataLoss })
		case "unnamed": // the configuration does not name the stack
			set = append(set, func(o *plan.Options) { o.NamedStack = false })
		default:
			l.t.Fatalf("no flag is called %q", name)
		}
	}
	l.options = func(o *plan.Options) {
		for _, f := range set {
			f(o)
		}
	}
}

// outline writes down all that a plan says.
func outline(p *engine.Plan) string {
	var b strings.Builder
	sum := p.Summary()
	switch {
	case p.Empty():
		b.WriteString("No changes.\n")
	default:
		fmt.Fprintf(&b, "%d to add, %d to change, %d to destroy", sum.Add, sum.Change, sum.Destroy)
		if sum.Forget > 0 {
			fmt.Fprintf(&b, ", %d to forget", sum.Forget)
		}
		b.WriteString("\n")
	}
	b.WriteString(sketch(p))
	for _, c := range p.Changes {
		switch {
		case c.Orphan:
			fmt.Fprintf(&b, "orphan: %s\n", c.Addr)
		case c.Adopted:
			fmt.Fprintf(&b, "adopted: %s\n", c.Addr)
		}
		if !c.Prev.IsZero() {
			fmt.Fprintf(&b, "moved: %s was %s\n", c.Addr, c.Prev)
		}
	}
	for _, o := range p.Outputs {
		if o.Action != engine.NoOp {
			fmt.Fprintf(&b, "output %s %s %s→%s\n", o.Action.Symbol(), o.Name, show(o.Before), show(o.After))
		}
	}
	for _, d := range p.Drift {
		fmt.Fprintf(&b, "drift: %s %s", d.Addr, d.What)
		for _, x := range d.Differences {
			fmt.Fprintf(&b, " [%s %s→%s]", x.Attr, show(x.Want), show(x.Live))
		}
		b.WriteString("\n")
	}
	for _, o := range p.Kept {
		fmt.Fprintf(&b, "kept: %s %s\n", o.Kind, o.Name)
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	for _, a := range p.DataLoss {
		fmt.Fprintf(&b, "data loss: %s, approved: %v\n", a, p.Approved[a])
	}
	if p.Unapproved != "" {
		fmt.Fprintf(&b, "unapproved: %s\n", p.Unapproved)
	}
	return b.String()
}

var (
	longID  = regexp.MustCompile(`[0-9a-f]{64}`)
	lineage = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	folder  = regexp.MustCompile(`/[^ ]*/main.gapool.hcl`)
)

// words makes a text the same on each machine.
func words(text string) string {
	text = longID.ReplaceAllStringFunc(text, func(id string) string { return id[:6] })
	text = lineage.ReplaceAllString(text, "LINEAGE")
	text = folder.ReplaceAllString(text, "main.gapool.hcl")
	return strings.TrimLeft(strings.TrimRight(text, "\n")+"\n", "\n")
}
