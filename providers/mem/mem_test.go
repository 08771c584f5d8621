package mem_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/mem"
	"github.com/gapool/gapool/schema"
)

func str(name string, change schema.Change) schema.Attr {
	return schema.Attr{Name: name, Type: cty.String, Change: change}
}

func computed(name string, ty cty.Type) schema.Attr {
	return schema.Attr{Name: name, Type: ty, Computed: true}
}

// tables are a small engine's: a tag, a network, a volume, and what runs.
func tables() []*schema.Type {
	name := schema.Attr{Name: "name", Type: cty.String, Required: true, Change: schema.Replace}
	return []*schema.Type{
		{Name: "test_image", ByName: true, Attrs: []schema.Attr{
			name, computed("image_id", cty.String),
			{Name: "inputs", Type: cty.String, Computed: true, Change: schema.Update},
		}},
		{Name: "test_network", Attrs: []schema.Attr{name, computed("id", cty.String), str("driver", schema.Replace)}},
		{Name: "test_volume", HoldsData: true, Attrs: []schema.Attr{name, str("driver", schema.Replace)}},
		{Name: "test_box", Renames: true, Attrs: []schema.Attr{
			name,
			computed("id", cty.String),
			{Name: "address", Type: cty.String, Computed: true, Volatile: true},
			{Name: "image", Type: cty.String, Required: true, Change: schema.Replace},
			{Name: "env", Type: cty.Map(cty.String), Change: schema.Replace, Merge: true},
			{Name: "restart", Type: cty.String, Change: schema.Update},
			{Name: "must_run", Type: cty.Bool, Default: cty.True, Change: schema.Update, Demand: true},
			{Name: "start", Type: cty.Bool, Default: cty.True},
			{Name: "port", Change: schema.Replace, Block: &schema.Block{Nesting: schema.Set, Key: []string{"internal"}, Attrs: []schema.Attr{
				{Name: "internal", Type: cty.Number, Required: true},
				{Name: "external", Type: cty.Number, Computed: true},
			}}},
			{Name: "network", Change: schema.Update, Block: &schema.Block{Nesting: schema.Set, Key: []string{"name"}, Attrs: []schema.Attr{
				{Name: "name", Type: cty.String, Required: true},
			}}},
			{Name: "mount", Change: schema.Replace, Block: &schema.Block{Nesting: schema.List, Key: []string{"volume"}, Attrs: []schema.Attr{
				{Name: "volume", Type: cty.String, Required: true},
			}}},
		}},
	}
}

func uses(kind string, attrs cty.Value) []providers.Ref {
	if kind != "test_box" {
		return nil
	}
	refs := []providers.Ref{{Kind: "test_image", Name: attrs.GetAttr("image").AsString()}}
	for block, leaf := range map[string][2]string{"network": {"name", "test_network"}, "mount": {"volume", "test_volume"}} {
		if v := attrs.GetAttr(block); !v.IsNull() {
			for _, el := range v.AsValueSlice() {
				refs = append(refs, providers.Ref{Kind: leaf[1], Name: el.GetAttr(leaf[0]).AsString()})
			}
		}
	}
	return refs
}

func newWorld(opts ...mem.Option) *mem.World {
	config := &schema.Type{Name: "test"}
	return mem.New("test", config, tables(), append([]mem.Option{mem.Uses(uses)}, opts...)...)
}

// client makes calls as the engine does.
type client struct {
	t   *testing.T
	w   *mem.World
	eng providers.Engine
	n   int
}

func connect(t *testing.T, w *mem.World) *client {
	t.Helper()
	eng, err := w.Connect(t.Context(), cty.EmptyObjectVal)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t: t, w: w, eng: eng}
}

func (c *client) table(kind string) *schema.Type {
	for _, t := range c.w.Types() {
		if t.Name == kind {
			return t
		}
	}
	c.t.Fatalf("no table %s", kind)
	return nil
}

// want is an object's configured value in normal form.
func (c *client) want(kind, name string, set map[string]cty.Value) cty.Value {
	c.t.Helper()
	all := map[string]cty.Value{"name": cty.StringVal(name)}
	for k, v := range set {
		all[k] = v
	}
	v, err := c.table(kind).Normalize(c.table(kind).Build(all))
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}

func (c *client) resource(kind, name string) providers.Resource {
	return c.eng.Resource(schema.Addr{Type: kind, Name: name})
}

func (c *client) request(kind, name string, set map[string]cty.Value) *providers.Request {
	c.t.Helper()
	c.n++
	addr := schema.Addr{Type: kind, Name: name}
	return &providers.Request{
		Addr:   addr,
		Owner:  providers.Owner{Stack: "lab", Workspace: "default", Lineage: "l", UID: fmt.Sprint("u", c.n), Address: addr.String()},
		Name:   name,
		Want:   c.want(kind, name, set),
		Report: func(providers.Progress) {},
	}
}

func (c *client) create(kind, name string, set map[string]cty.Value) (*providers.Object, error) {
	c.t.Helper()
	return c.resource(kind, name).Create(c.t.Context(), c.request(kind, name, set))
}

func (c *client) mustCreate(kind, name string, set map[string]cty.Value) *providers.Object {
	c.t.Helper()
	o, err := c.create(kind, name, set)
	if err != nil {
		c.t.Fatal(err)
	}
	return o
}

func (c *client) delete(o *providers.Object) error {
	return c.resource(o.Kind, o.Name).Delete(c.t.Context(), &providers.Request{Prior: o, Report: func(providers.Progress) {}})
}

func (c *client) refresh(recorded ...providers.Ref) *providers.World {
	c.t.Helper()
	w, err := c.eng.Refresh(c.t.Context(), providers.Scope{Stack: "lab", Workspace: "default", Recorded: recorded})
	if err != nil {
		c.t.Fatal(err)
	}
	return w
}

func blocks(leaf string, words ...string) cty.Value {
	var list []cty.Value
	for _, w := range words {
		list = append(list, cty.ObjectVal(map[string]cty.Value{leaf: cty.StringVal(w)}))
	}
	return cty.ListVal(list)
}

func set(list cty.Value) cty.Value { return cty.SetVal(list.AsValueSlice()) }

// house makes one of each.
func house(c *client) (box *providers.Object) {
	c.t.Helper()
	img := c.mustCreate("test_image", "app:1", nil)
	net := c.mustCreate("test_network", "lan", nil)
	c.mustCreate("test_volume", "data", nil)
	return c.mustCreate("test_box", "web", map[string]cty.Value{
		"image":   img.Attrs.GetAttr("image_id"),
		"network": set(blocks("name", net.ID)),
		"mount":   blocks("volume", "data"),
		"port": cty.SetVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{
			"internal": cty.NumberIntVal(80), "external": cty.NullVal(cty.Number),
		})}),
	})
}

const houseDump = `test_box web (test_box.web in lab/default, running)
  image = <test_image app:1>
  must_run = true
  port = [{"internal":80}]
  network = [{"name":<test_network lan>}]
  mount = [{"volume":"data"}]
test_image app:1 (not ours)
test_network lan (test_network.lan in lab/default)
test_volume data (test_volume.data in lab/default)
`

func TestDumpNamesNothingThatDiffersBetweenRuns(t *testing.T) {
	w := newWorld()
	house(connect(t, w))
	if diff := cmp.Diff(houseDump, w.String()); diff != "" {
		t.Error(diff)
	}
}

func TestFileIsSharedByProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "world.json")
	one, two := newWorld(mem.File(path)), newWorld(mem.File(path))
	box := house(connect(t, one))
	if diff := cmp.Diff(houseDump, two.String()); diff != "" {
		t.Error(diff)
	}
	two.Stop("test_box", "web")
	if err := connect(t, two).delete(box); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(one.String(), "test_box") {
		t.Errorf("the first process still sees what the second deleted:\n%s", one)
	}
}

// verbs creates a box, updates, renames and deletes it.
func verbs(c *client) error {
	ctx := c.t.Context()
	o, err := c.create("test_box", "web", map[string]cty.Value{"image": cty.StringVal("app:1")})
	if err != nil {
		return err
	}
	req := c.request("test_box", "web", map[string]cty.Value{"image": cty.StringVal("app:1"), "restart": cty.StringVal("always")})
	req.Prior, req.Changed = o, []string{"restart"}
	if o, err = c.resource("test_box", "web").Update(ctx, req); err != nil {
		return err
	}
	if o, err = c.resource("test_box", "web").(providers.Renamer).Rename(ctx, o, "site"); err != nil {
		return err
	}
	return c.delete(o)
}

func TestFaultsStrikeBeforeAndAfterEachCall(t *testing.T) {
	var calls []string
	var mu sync.Mutex
	w := newWorld()
	c := connect(t, w)
	c.mustCreate("test_image", "app:1", nil)
	w.SetFault(func(call mem.Call) error {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, call.String())
		return nil
	})
	if err := verbs(c); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"before create test_box web", "after create test_box web",
		"before start test_box web", "after start test_box web",
		"before ready test_box web", "after ready test_box web",
		"before update test_box web", "after update test_box web",
		"before rename test_box web", "after rename test_box web",
		"before stop test_box site", "after stop test_box site",
		"before delete test_box site", "after delete test_box site",
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Error(diff)
	}
}

func TestWorldKeepsWhatHappenedBeforeACrash(t *testing.T) {
	for at, want := range []string{
		"", "never started", "never started", "running", "running", "running",
		"running", "restart", "running", "test_box site", "running", "stopped", "stopped", "",
	} {
		w := newWorld()
		c := connect(t, w)
		c.mustCreate("test_image", "app:1", nil)
		n := 0
		w.SetFault(func(mem.Call) error {
			n++
			if n == at+1 {
				return mem.ErrCrash
			}
			return nil
		})
		if err := verbs(c); !errors.Is(err, mem.ErrCrash) {
			t.Fatalf("fault %d: %v", at, err)
		}
		if n != at+1 {
			t.Errorf("fault %d: the dead process made %d more calls", at, n-at-1)
		}
		dump := w.String()
		if want == "" && strings.Contains(dump, "test_box") || !strings.Contains(dump, want) {
			t.Errorf("fault %d: want %q in:\n%s", at, want, dump)
		}
		if _, err := c.eng.Refresh(t.Context(), providers.Scope{}); !errors.Is(err, mem.ErrCrash) {
			t.Errorf("fault %d: the dead process refreshed: %v", at, err)
		}
		connect(t, w).refresh()
	}
}

func TestKillEndsEveryConnection(t *testing.T) {
	w := newWorld()
	a, b := connect(t, w), connect(t, w)
	w.Kill()
	for _, c := range []*client{a, b} {
		if _, err := c.create("test_network", "lan", nil); !errors.Is(err, mem.ErrCrash) {
			t.Errorf("got %v", err)
		}
	}
	connect(t, w).mustCreate("test_network", "lan", nil)
}

func TestLateCallTakesEffectAfterSomeRefreshes(t *testing.T) {
	for late := range 3 {
		w := newWorld(mem.Late(late))
		w.SetFault(func(mem.Call) error { return mem.ErrCrash })
		c := connect(t, w)
		if _, err := c.create("test_network", "lan", nil); !errors.Is(err, mem.ErrCrash) {
			t.Fatal(err)
		}
		// What a dead process would like to do never happens.
		if _, err := c.create("test_network", "wan", nil); !errors.Is(err, mem.ErrCrash) {
			t.Fatal(err)
		}
		w.SetFault(nil)
		next := connect(t, w)
		for i := range late + 2 {
			want := 0
			if i >= late {
				want = 1
			}
			if got := len(next.refresh().Objects); got != want {
				t.Errorf("late %d, refresh %d: %d objects, want %d", late, i, got, want)
			}
		}
	}
}

func TestErrorsAreWithAndWithoutEffect(t *testing.T) {
	boom := errors.New("cut")
	for _, when := range []mem.When{mem.Before, mem.After} {
		w := newWorld()
		c := connect(t, w)
		c.mustCreate("test_image", "app:1", nil)
		w.SetFault(func(call mem.Call) error {
			if call.Op == mem.Start && call.When == when {
				return boom
			}
			return nil
		})
		o, err := c.create("test_box", "web", map[string]cty.Value{"image": cty.StringVal("app:1")})
		if !errors.Is(err, boom) || providers.HadNoEffect(err) {
			t.Errorf("%s: got %v", when, err)
		}
		if o == nil || o.Started != (when == mem.After) {
			t.Errorf("%s: what exists is %+v", when, o)
		}
	}
}

func TestUsedThingsCannotBeDeleted(t *testing.T) {
	w := newWorld()
	c := connect(t, w)
	box := house(c)
	find := func(kind, name string) *providers.Object {
		o, ok := c.refresh().Named(kind, name)
		if !ok {
			t.Fatalf("no %s %s", kind, name)
		}
		return o
	}
	refuse := func(kind, name string) {
		t.Helper()
		err := c.delete(find(kind, name))
		if err == nil || !providers.HadNoEffect(err) || !strings.Contains(err.Error(), "box web") {
			t.Errorf("delete %s %s: %v", kind, name, err)
		}
	}
	refuse("test_network", "lan")
	refuse("test_volume", "data")
	refuse("test_image", "app:1")
	w.Stop("test_box", "web")
	refuse("test_volume", "data")
	if err := c.delete(find("test_network", "lan")); err != nil {
		t.Errorf("a stopped box holds no network: %v", err)
	}
	live := find("test_box", "web")
	if !live.Attrs.GetAttr("network").IsNull() {
		t.Errorf("still connected to what is gone: %#v", live.Attrs.GetAttr("network"))
	}
	var left []string
	for _, u := range live.Uses {
		left = append(left, u.Kind)
	}
	if diff := cmp.Diff([]string{"test_image", "test_volume"}, left); diff != "" {
		t.Error(diff)
	}
	if err := c.delete(box); err != nil {
		t.Fatal(err)
	}
	for _, n := range [][2]string{{"test_volume", "data"}, {"test_image", "app:1"}} {
		if err := c.delete(find(n[0], n[1])); err != nil {
			t.Error(err)
		}
	}
	if w.String() != "" {
		t.Errorf("left over:\n%s", w)
	}
}

func TestTagMoves(t *testing.T) {
	w := newWorld()
	c := connect(t, w)
	build := func(inputs string) *providers.Object {
		return c.mustCreate("test_image", "app:1", map[string]cty.Value{"inputs": cty.StringVal(inputs)})
	}
	first := build("a")
	box := c.mustCreate("test_box", "web", map[string]cty.Value{"image": cty.StringVal("app:1")})
	if again := build("a"); again.ID != first.ID {
		t.Errorf("the same inputs made another image: %s, %s", first.ID, again.ID)
	}
	image := func() string {
		o, err := c.resource("test_box", "web").Read(t.Context(), box.Ref())
		if err != nil {
			t.Fatal(err)
		}
		return o.Attrs.GetAttr("image").AsString()
	}
	if got := image(); got != "app:1" {
		t.Errorf("image reads %s", got)
	}
	if second := build("b"); second.ID == first.ID {
		t.Error("other inputs made the same image")
	}
	if got := image(); got != first.ID {
		t.Errorf("image reads %s after the tag moved, want %s", got, first.ID)
	}
	if err := c.delete(first); !errors.Is(err, providers.ErrConflict) || !providers.HadNoEffect(err) {
		t.Errorf("deleted a tag that names another image: %v", err)
	}
}

func TestVolatileAttributesChange(t *testing.T) {
	w := newWorld()
	c := connect(t, w)
	c.mustCreate("test_image", "app:1", nil)
	o := c.mustCreate("test_box", "web", map[string]cty.Value{"image": cty.StringVal("app:1")})
	w.Stop("test_box", "web")
	req := c.request("test_box", "web", map[string]cty.Value{"image": cty.StringVal("app:1")})
	req.Prior, req.Changed = o, []string{"must_run"}
	after, err := c.resource("test_box", "web").Update(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	if !after.Attrs.GetAttr("must_run").True() {
		t.Error("it does not run")
	}
	if after.Attrs.GetAttr("address").RawEquals(o.Attrs.GetAttr("address")) {
		t.Error("the address is as before")
	}
	if !after.Attrs.GetAttr("id").RawEquals(o.Attrs.GetAttr("id")) {
		t.Error("the ID changed")
	}
}

func TestPutIsForeign(t *testing.T) {
	w := newWorld()
	c := connect(t, w)
	put := w.Put(&providers.Object{Kind: "test_network", Name: "lan"})
	world := c.refresh()
	if len(world.Objects) != 0 {
		t.Errorf("took for ours: %v", world.Objects)
	}
	if o, ok := world.Named("test_network", "lan"); !ok || o.ID != put.ID {
		t.Errorf("not found by its name: %v", o)
	}
	if got := c.refresh(put.Ref()).Objects; len(got) != 1 {
		t.Errorf("what is recorded is not found: %v", got)
	}
}

func TestRunning(t *testing.T) {
	w := newWorld()
	c := connect(t, w)
	house(c)
	c.mustCreate("test_box", "idle", map[string]cty.Value{"image": cty.StringVal("app:1"), "start": cty.False})
	var names []string
	for _, o := range w.Running("test_box") {
		names = append(names, o.Name)
	}
	if diff := cmp.Diff([]string{"web"}, names); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkWorld(b *testing.B) {
	for _, n := range []int{1000, 3000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				w := newWorld()
				eng, err := w.Connect(b.Context(), cty.EmptyObjectVal)
				if err != nil {
					b.Fatal(err)
				}
				make := func(kind, name string, set map[string]cty.Value) {
					set["name"] = cty.StringVal(name)
					addr := schema.Addr{Type: kind, Name: "x"}
					r := eng.Resource(addr)
					_, err := r.Create(b.Context(), &providers.Request{
						Addr: addr, Name: name, Want: r.Type().Build(set),
						Owner: providers.Owner{Stack: "lab", Workspace: "default", UID: name},
					})
					if err != nil {
						b.Fatal(err)
					}
				}
				make("test_image", "app:1", map[string]cty.Value{})
				make("test_network", "lan", map[string]cty.Value{})
				for i := range n {
					make("test_box", fmt.Sprint("box", i), map[string]cty.Value{
						"image": cty.StringVal("app:1"), "network": set(blocks("name", "lan")),
					})
				}
				if _, err := eng.Refresh(b.Context(), providers.Scope{Stack: "lab", Workspace: "default"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestClone changes a world and one that was made of it: neither sees the other's
// changes.
func TestClone(t *testing.T) {
	w := newWorld()
	house(connect(t, w))
	was := w.Objects()
	c := w.Clone()
	same := func(what string, a, b []*providers.Object) {
		t.Helper()
		if diff := cmp.Diff(a, b, cmp.Comparer(func(a, b cty.Value) bool { return a.RawEquals(b) })); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
	}
	same("the clone is another one", was, c.Objects())
	c.Stop("test_box", "web")
	c.Rename("test_box", "web", "www")
	c.Remove("test_network", "lan")
	same("the world has changed with its clone", was, w.Objects())
	changed := c.Objects()
	w.Remove("test_box", "web")
	w.Put(&providers.Object{Kind: "test_network", Name: "other"})
	same("the clone has changed with its world", changed, c.Objects())
}
