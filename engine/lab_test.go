package engine_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/apply"
	"github.com/gapool/gapool/engine/plan"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/mem"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// TestMain lets garbage lie for longer: plans are soon forgotten, and thousands
// are made.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		debug.SetGCPercent(400)
	}
	os.Exit(m.Run())
}

// lab is a configuration, a state and a world: what a person has who types
// gapool's verbs.
type lab struct {
	t           tester
	dir         string
	world       *mem.World
	mode        engine.Mode
	options     func(*plan.Options)
	fault       func(string) error // of the state's store
	uids        *counter
	parallelism int
	stop        <-chan struct{}
	report      func(engine.Event)
	config      *schema.Config // as read, of a lab that was taken from a photo
}

// tester is what a test and a draw of a property have in common.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Fatal(args ...any)
}

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) next() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return fmt.Sprintf("%08d-uid", c.n)
}

func newLab(t testing.TB, options ...mem.Option) *lab {
	options = append([]mem.Option{mem.Uses(uses)}, options...)
	return &lab{
		t: t, dir: tempDir(t), uids: &counter{}, mode: engine.Normal, parallelism: 1,
		world: mem.New("docker", &schema.Type{Name: "docker"}, tables(), options...),
	}
}

// tempDir is in memory where there is such a place: what a disk keeps when the
// power goes is for state to test.
func tempDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "gapool-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (l *lab) write(config string) {
	l.t.Helper()
	l.config = nil
	if err := os.WriteFile(filepath.Join(l.dir, "main.gapool.hcl"), []byte(config), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// run is one process: it locks, loads, plans and, if it is to, applies.
func (l *lab) run(applies bool) (*engine.Plan, error) {
	return l.runWith(context.Background(), applies)
}

func (l *lab) runWith(ctx context.Context, applies bool) (*engine.Plan, error) {
	cfg, diags := l.read()
	if diags.HasErrors() {
		return nil, diags
	}
	vars, diags := schema.Inputs(cfg.Root, l.dir, nil, nil)
	if diags.HasErrors() {
		return nil, diags
	}
	store := l.store()
	lock, err := store.Lock(ctx, "apply", 0)
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	loaded, err := store.Load()
	if err != nil {
		return nil, err
	}
	o := plan.Options{
		Config: cfg, Vars: vars, Stack: "lab", NamedStack: true, Workspace: "default", Loaded: loaded,
		Providers: []providers.Provider{l.world}, Mode: l.mode, Refresh: true,
		Sleep: func(context.Context, time.Duration) error { return nil },
	}
	if l.options != nil {
		l.options(&o)
	}
	p, diags := plan.Make(ctx, o)
	if diags.HasErrors() {
		return nil, diags
	}
	defer p.Engines.Close()
	if !applies {
		return p, nil
	}
	loaded.State.Lineage = p.Lineage
	j, err := store.Journal(loaded, lock)
	if err != nil {
		return p, err
	}
	defer func() { _ = j.Close() }()
	err = apply.Run(ctx, p, j, apply.Options{
		NewUID: l.uids.next, Parallelism: l.parallelism, Stop: l.stop, Report: l.report,
	})
	if cerr := j.State().Check(); cerr != nil {
		l.t.Errorf("the state is not sound: %v", cerr)
	}
	return p, err
}

func (l *lab) read() (*schema.Config, hcl.Diagnostics) {
	if l.config != nil {
		return l.config, nil
	}
	cfg, diags := schema.Load(l.dir, l.world.Types(), map[string]*schema.Type{"docker": l.world.Config()})
	if !diags.HasErrors() {
		diags = append(diags, cfg.Root.CheckRefs()...)
	}
	return cfg, diags
}

func (l *lab) store() *state.Store {
	return state.Open(l.stateDir(), filepath.Join(l.dir, "guard"), "lab", "default", state.Options{Fault: l.fault})
}

func (l *lab) stateDir() string { return filepath.Join(l.dir, ".gapool", "default") }

func (l *lab) plan() *engine.Plan {
	l.t.Helper()
	p, err := l.run(false)
	if err != nil {
		l.t.Fatalf("plan: %v", explain(err))
	}
	return p
}

func (l *lab) apply() *engine.Plan {
	l.t.Helper()
	p, err := l.run(true)
	if err != nil {
		l.t.Fatalf("apply: %v", explain(err))
	}
	return p
}

// settled says that there is nothing to do.
func (l *lab) settled() {
	l.t.Helper()
	if p := l.plan(); !p.Empty() {
		l.t.Fatalf("the second plan is not empty:\n%s", sketch(p))
	}
}

func (l *lab) destroy() {
	l.t.Helper()
	l.mode = engine.Destroy
	l.options = allowAll
	l.apply()
	l.mode, l.options = engine.Normal, nil
}

// everyVolume allows the deletion of all that holds data.
func everyVolume(o *plan.Options) []schema.Addr {
	var out []schema.Addr
	for addr := range o.Loaded.State.Records {
		out = append(out, addr)
	}
	for addr := range o.Config.Root.Resources {
		out = append(out, addr)
		for i := range 9 {
			out = append(out, addr.Instance(schema.IntKey(i)), addr.Instance(schema.StringKey(fmt.Sprint(i))))
		}
	}
	return out
}

func explain(err error) error {
	var diags hcl.Diagnostics
	if !errors.As(err, &diags) {
		return err
	}
	text := ""
	for _, d := range diags {
		text += "\n" + d.Error()
	}
	return errors.New(text)
}

// sketch writes a plan as few lines: what happens to each address, and the
// steps in their order.
func sketch(p *engine.Plan) string {
	if p == nil {
		return "there is no plan"
	}
	text := ""
	for _, c := range p.Changes {
		if c.Action == engine.NoOp {
			continue
		}
		text += fmt.Sprintf("%-3s %s", c.Action.Symbol(), c.Addr)
		if c.Reason != "" {
			text += " " + c.Reason
		}
		for _, d := range c.Differences {
			text += fmt.Sprintf(" [%s %s", d.Attr, show(d.Live)+"→"+show(d.Want))
			if d.Replace {
				text += " replaces"
			}
			text += "]"
		}
		if len(c.OnlyIf) > 0 {
			text += fmt.Sprintf(" only if %v", c.OnlyIf)
		}
		text += "\n"
	}
	for _, s := range p.Steps {
		if s.Verb != engine.Join {
			text += fmt.Sprintf("  %d %s %s after %v\n", s.ID, s.Verb, s.Addr, real(p, s))
		}
	}
	return text
}

// real are the steps that s comes after, seen through joins.
func real(p *engine.Plan, s *engine.Step) []int {
	var out []int
	for _, n := range s.Needs {
		if p.Steps[n].Verb == engine.Join {
			out = append(out, real(p, p.Steps[n])...)
		} else {
			out = append(out, n)
		}
	}
	return out
}

func show(v cty.Value) string {
	if v == cty.NilVal {
		return "?"
	}
	v, marks := v.Unmark()
	switch {
	case len(marks) > 0:
		return "(sensitive)"
	case v.IsNull():
		return "null"
	case !v.IsKnown():
		return "unknown"
	case v.Type() == cty.String:
		return fmt.Sprintf("%q", v.AsString())
	default:
		return fmt.Sprintf("%#v", v)
	}
}

// tables are small ones in the manner of Docker's.
func tables() []*schema.Type {
	computed := func(name string) schema.Attr { return schema.Attr{Name: name, Type: cty.String, Computed: true} }
	name := schema.Attr{Name: "name", Type: cty.String, Required: true, Change: schema.Replace}
	renamed := name
	renamed.Change = schema.Update
	return []*schema.Type{
		{Name: "docker_image", ByName: true, Attrs: []schema.Attr{
			name,
			{Name: "image_id", Type: cty.String, Computed: true},
			{Name: "inputs", Type: cty.String, Computed: true, Change: schema.Replace}, // they make the ID
			{Name: "note", Type: cty.String, Change: schema.Update},
			{Name: "platform", Type: cty.String, Change: schema.Replace, Recorded: true},
			{Name: "pull_triggers", Type: cty.Set(cty.String), Change: schema.Replace, Recorded: true},
		}},
		{Name: "docker_network", Attrs: []schema.Attr{
			name, computed("id"),
			{Name: "driver", Type: cty.String, Change: schema.Replace},
			{Name: "labels", Type: cty.Map(cty.String), Change: schema.Replace},
		}},
		{Name: "docker_volume", HoldsData: true, Attrs: []schema.Attr{
			name,
			{Name: "driver", Type: cty.String, Change: schema.Replace},
		}},
		{Name: "docker_container", Renames: true, Brings: func(v cty.Value) (list []schema.Named) {
			for _, u := range uses("docker_container", v) {
				if u.Kind == "docker_volume" {
					list = append(list, schema.Named{Type: u.Kind, Name: u.Name})
				}
			}
			return list
		}, Mentions: func(v cty.Value) (list []schema.Named) {
			for _, u := range uses("docker_container", v) {
				if u.Kind == "docker_network" {
					list = append(list, schema.Named{Type: u.Kind, Name: u.Name})
				}
			}
			return list
		}, Attrs: []schema.Attr{
			renamed, computed("id"),
			{Name: "mode", Type: cty.String, Change: schema.Replace}, // "host", or a network
			{Name: "address", Type: cty.String, Computed: true, Volatile: true},
			{Name: "health", Change: schema.Replace, Block: &schema.Block{Nesting: schema.Single, Attrs: []schema.Attr{
				{Name: "interval", Type: cty.String, Since: "1.9"}, // which is before 1.41
				{Name: "start_interval", Type: cty.String, Since: "1.44"},
			}}},
			{Name: "image", Type: cty.String, Required: true, Change: schema.Replace, Names: &schema.Naming{Type: "docker_image", ID: "image_id"}},
			{Name: "env", Type: cty.Map(cty.String), Change: schema.Replace, Merge: true, Live: true},
			{Name: "memory", Type: cty.Number, Change: schema.Update},
			// A limit that can be set, but not taken away.
			{Name: "swap", Type: cty.Number, Change: schema.Replace, ReplaceIf: func(_, want cty.Value) bool { return want.IsNull() }},
			{Name: "must_run", Type: cty.Bool, Default: cty.True, Change: schema.Update, Demand: true},
			{Name: "network", Change: schema.Replace, Block: &schema.Block{Nesting: schema.Set, Key: []string{"name"}, Attrs: []schema.Attr{
				{Name: "name", Type: cty.String, Required: true, Names: &schema.Naming{Type: "docker_network", ID: "id"}},
			}}},
			{Name: "mount", Change: schema.Replace, Block: &schema.Block{Nesting: schema.List, Key: []string{"volume"}, Attrs: []schema.Attr{
				{Name: "volume", Type: cty.String, Required: true},
			}}},
		}},
	}
}

func uses(kind string, attrs cty.Value) []providers.Ref {
	var refs []providers.Ref
	if kind != "docker_container" {
		return nil
	}
	// An image without a tag is one that the engine has, whatever it is; so is one
	// by its ID, whatever its tags mean by now.
	if image := attrs.GetAttr("image"); image.IsKnown() && !image.IsNull() && strings.Contains(image.AsString(), ":") && !strings.HasPrefix(image.AsString(), "sha256:") {
		refs = append(refs, providers.Ref{Kind: "docker_image", Name: image.AsString()})
	}
	if mode := attrs.GetAttr("mode"); mode.IsKnown() && !mode.IsNull() && mode.AsString() != "host" {
		refs = append(refs, providers.Ref{Kind: "docker_network", Name: mode.AsString()})
	}
	for _, block := range []struct{ attr, name, kind string }{{"network", "name", "docker_network"}, {"mount", "volume", "docker_volume"}} {
		v := attrs.GetAttr(block.attr)
		if v.IsNull() || !v.IsKnown() {
			continue
		}
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			if name := e.GetAttr(block.name); name.IsKnown() {
				refs = append(refs, providers.Ref{Kind: block.kind, Name: name.AsString()})
			}
		}
	}
	return refs
}

// allowAll allows the deletion of what holds data.
func allowAll(o *plan.Options) { o.AllowDataLoss = everyVolume(o) }

// lose deletes the state.
func (l *lab) lose() {
	l.t.Helper()
	if err := os.RemoveAll(l.stateDir()); err != nil {
		l.t.Fatal(err)
	}
}
