// Package providertest holds every provider to the contract of package
// providers with one suite: what passes on the fake passes on the real engine.
//
// A provider's test describes itself with a [Harness], each type with a [Case],
// and calls [Run]:
//
//	func TestConformance(t *testing.T) {
//		providertest.Run(t, providertest.Harness{
//			Provider: docker.New(),
//			Config:   docker.New().Config().Null(),
//			Prefix:   "gapool-test-" + strconv.Itoa(os.Getpid()),
//			Foreign: func(t *testing.T, kind, name string) {
//				// docker network create NAME; t.Cleanup(docker network rm NAME)
//			},
//			Cases: []providertest.Case{{
//				Kind: "docker_network",
//				Want: func(name string) map[string]cty.Value {
//					return map[string]cty.Value{"name": cty.StringVal(name)}
//				},
//				Replace: func(name string) map[string]cty.Value {
//					return map[string]cty.Value{"name": cty.StringVal(name), "internal": cty.True}
//				},
//			}},
//		})
//	}
//
// An image or a network that a case needs is made by the test before, and
// removed with its Cleanup.
package providertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// Harness is what the suite has to know of a provider.
type Harness struct {
	Provider providers.Provider
	// Config is what Connect is given.
	Config cty.Value
	// Prefix is a word that the name of nothing on the engine begins with. The
	// names and the stack of all that the suite makes begin with it.
	Prefix string
	// Dir is the folder that relative paths start from.
	Dir string
	// Cases are the types to hold to the contract.
	Cases []Case
	// Foreign makes an object as another program would, without labels of ours,
	// and removes it with t.Cleanup. It is asked for the cases that are not
	// ByName.
	Foreign func(t *testing.T, kind, name string)
}

// Case is one type. Its functions return attributes as the configuration may
// set them, of the table's types; what they leave out is not configured. The
// name is free when they are called; the attribute "name", where the table has
// it, decides what the object is called.
type Case struct {
	Kind string
	Want func(name string) map[string]cty.Value
	// Update differs from Want in what the engine changes in place; nil where
	// there is no such thing.
	Update func(name string) map[string]cty.Value
	// Replace differs from Want in something that needs a new object; nil where
	// there is no such thing.
	Replace func(name string) map[string]cty.Value
	// Half is a configuration whose create makes the object and then fails, as
	// a container's whose command does not exist; nil where a create is one
	// call. It may arrange for the failure and has to undo that with t.Cleanup.
	Half func(t *testing.T, name string) map[string]cty.Value
	// User is an object that uses used, and its kind; nil where nothing does.
	User func(name string, used *providers.Object) (kind string, set map[string]cty.Value)
	// Named is an object that names the tag of used, and its kind; Moved makes
	// the tag another object, as another program would, and removes it with
	// t.Cleanup. Both are nil for what is
	// not ByName.
	Named func(name string, used *providers.Object) (kind string, set map[string]cty.Value)
	Moved func(t *testing.T, tag string)
	// Parallel is how many are made at once to see that they can be; 0 is 20.
	Parallel int
}

// Run holds the provider to its promises, one subtest for each type and
// promise, and leaves nothing behind.
func Run(t *testing.T, h Harness) {
	var serial atomic.Int64
	next := func() int { return int(serial.Add(1)) }
	t.Run("tables", func(t *testing.T) { testTables(t, h) })
	for _, c := range h.Cases {
		t.Run(c.Kind, func(t *testing.T) {
			for _, p := range []struct {
				name string
				test func(*suite)
			}{
				{"what is made is what was wanted", (*suite).testCreate},
				{"a refresh finds the scope's objects and the recorded ones", (*suite).testRefresh},
				{"only what is not there is not found", (*suite).testNotFound},
				{"what is gone is deleted", (*suite).testDelete},
				{"a name is taken once", (*suite).testConflict},
				{"a verb acts on its own object", (*suite).testStale},
				{"a tag is what it means now", (*suite).testTag},
				{"an update changes what it is for", (*suite).testUpdate},
				{"some changes need a new object", (*suite).testReplace},
				{"a rename keeps the object", (*suite).testRename},
				{"a half-made object is returned and found", (*suite).testHalf},
				{"what is not ours is found by name alone", (*suite).testForeign},
				{"what is used cannot be deleted", (*suite).testUsers},
				{"what was given up does not happen", (*suite).testCancelled},
				{"many at once", (*suite).testConcurrent},
			} {
				t.Run(p.name, func(t *testing.T) { p.test(newSuite(t, h, c, next)) })
			}
		})
	}
}

func testTables(t *testing.T, h Harness) {
	names := make([]string, 0, len(h.Provider.Types()))
	for _, ty := range h.Provider.Types() {
		names = append(names, ty.Name)
	}
	if !slices.IsSorted(names) {
		t.Errorf("the tables are not sorted by name: %v", names)
	}
	eng, err := h.Provider.Connect(t.Context(), h.Config)
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.Provider.Connect(t.Context(), h.Config)
	if err != nil {
		t.Fatal(err)
	}
	if eng.Info().ID == "" || eng.Info().ID != again.Info().ID {
		t.Errorf("one engine has the IDs %q and %q", eng.Info().ID, again.Info().ID)
	}
	if eng.Info().CPUs <= 0 || eng.Info().Memory <= 0 {
		t.Errorf("the engine has %d CPUs and %d bytes", eng.Info().CPUs, eng.Info().Memory)
	}
	for _, ty := range h.Provider.Types() {
		r := eng.Resource(schema.Addr{Type: ty.Name, Name: "x"})
		if r.Type().Name != ty.Name {
			t.Errorf("the resource of %s is one of %s", ty.Name, r.Type().Name)
		}
		if _, ok := r.(providers.Renamer); ok != ty.Renames {
			t.Errorf("%s can be renamed: the table says %v, the resource %v", ty.Name, ty.Renames, ok)
		}
	}
	for _, e := range []providers.Engine{eng, again} {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// suite is one promise's test on one type.
type suite struct {
	*testing.T
	h     Harness
	c     Case
	eng   providers.Engine
	stack string
	next  func() int // a number of its own each time

	mu   sync.Mutex
	made []*providers.Object
}

func newSuite(t *testing.T, h Harness, c Case, next func() int) *suite {
	eng, err := h.Provider.Connect(t.Context(), h.Config)
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{T: t, h: h, c: c, eng: eng, next: next, stack: fmt.Sprintf("%s-%d", h.Prefix, next())}
	t.Cleanup(s.cleanUp)
	return s
}

// cleanUp deletes what is left in the opposite order of its making.
func (s *suite) cleanUp() {
	ctx := context.WithoutCancel(s.Context())
	for _, o := range slices.Backward(s.made) {
		if err := s.delete(ctx, o); err != nil {
			s.Errorf("clean up: %v", err)
		}
	}
	left, err := s.eng.Refresh(ctx, s.scope())
	if err != nil {
		s.Fatalf("clean up: %v", err)
	}
	for _, o := range left.Objects {
		if err := s.delete(ctx, o); err != nil {
			s.Errorf("clean up: %v", err)
		}
	}
	if err := s.eng.Close(); err != nil {
		s.Errorf("close: %v", err)
	}
}

func (s *suite) scope(recorded ...providers.Ref) providers.Scope {
	return providers.Scope{Stack: s.stack, Workspace: "default", Recorded: recorded}
}

func (s *suite) name() string {
	return fmt.Sprintf("%s-%d", s.stack, s.next())
}

func (s *suite) resource(kind string) providers.Resource {
	return s.eng.Resource(schema.Addr{Type: kind, Name: "x"})
}

// wanted is a configuration in normal form, with what follows from files.
func (s *suite) wanted(kind string, set map[string]cty.Value) cty.Value {
	s.Helper()
	t := s.resource(kind).Type()
	v, err := t.Normalize(t.Build(set))
	if err != nil {
		s.Fatalf("the case's configuration: %v", err)
	}
	v, _ = v.UnmarkDeep()
	if t.Validate != nil {
		for _, p := range t.Validate(v) {
			s.Fatalf("the case's configuration: %s: %s", p.Attr, p.Detail)
		}
	}
	if t.Derive != nil {
		if v, err = t.Derive(s.h.Dir, v); err != nil {
			s.Fatalf("the case's configuration: %v", err)
		}
	}
	return v
}

// request asks for a new object.
func (s *suite) request(kind, name string, set map[string]cty.Value) *providers.Request {
	s.Helper()
	want := s.wanted(kind, set)
	if s.resource(kind).Type().Attr("name") != nil {
		name = want.GetAttr("name").AsString()
	}
	addr := schema.Addr{Type: kind, Name: "x"}
	return &providers.Request{
		Addr: addr,
		Owner: providers.Owner{
			Stack: s.stack, Workspace: "default", Lineage: "0c6b2ba2-7ef4-4d35-b4b1-1dc4d8c1e0a5",
			UID: fmt.Sprintf("%s-%d", s.stack, s.next()), Address: addr.String(),
			Deps: []schema.Addr{{Type: "docker_image", Name: "a"}},
		},
		Name: name, Want: want, Dir: s.h.Dir,
		Report: func(providers.Progress) {},
	}
}

func (s *suite) create(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	o, err := s.resource(req.Addr.Type).Create(ctx, req)
	if o != nil {
		s.mu.Lock()
		s.made = append(s.made, o)
		s.mu.Unlock()
	}
	return o, err
}

// mustCreate makes an object of the case's Want.
func (s *suite) mustCreate() (*providers.Request, *providers.Object) {
	s.Helper()
	name := s.name()
	return s.mustCreateOf(s.c.Kind, name, s.c.Want(name))
}

func (s *suite) mustCreateOf(kind, name string, set map[string]cty.Value) (*providers.Request, *providers.Object) {
	s.Helper()
	req := s.request(kind, name, set)
	o, err := s.create(s.Context(), req)
	if err != nil {
		s.Fatalf("create: %v", err)
	}
	if o == nil {
		s.Fatal("create returned neither an object nor an error")
	}
	return req, o
}

func (s *suite) delete(ctx context.Context, o *providers.Object) error {
	r := s.resource(o.Kind)
	return r.Delete(ctx, &providers.Request{
		Addr: schema.Addr{Type: o.Kind, Name: "x"}, Name: o.Name, Want: r.Type().Null(), Prior: o, Dir: s.h.Dir,
		Report: func(providers.Progress) {},
	})
}

func (s *suite) read(ref providers.Ref) *providers.Object {
	s.Helper()
	o, err := s.resource(ref.Kind).Read(s.Context(), ref)
	if err != nil {
		s.Fatalf("read: %v", err)
	}
	return o
}

func (s *suite) refresh(scope providers.Scope) *providers.World {
	s.Helper()
	w, err := s.eng.Refresh(s.Context(), scope)
	if err != nil {
		s.Fatalf("refresh: %v", err)
	}
	return w
}

// gone checks that the engine does not have the object.
func (s *suite) gone(ref providers.Ref) {
	s.Helper()
	if o, err := s.resource(ref.Kind).Read(s.Context(), ref); !errors.Is(err, providers.ErrNotFound) {
		s.Errorf("it should not be there: read gives %v, %v", o, err)
	}
}

// asWanted checks that nothing is to be done with an object.
func (s *suite) asWanted(want cty.Value, o *providers.Object) {
	s.Helper()
	for _, d := range schema.Differences(s.resource(o.Kind).Type(), want, o.Attrs, o.Defaults) {
		s.Errorf("%s: wanted %#v, is %#v", d.Attr, d.Want, d.Live)
	}
}

// sound checks what holds for every object that is ours or recorded.
func (s *suite) sound(o *providers.Object) {
	s.Helper()
	t := s.resource(o.Kind).Type()
	if o.ID == "" || o.Name == "" {
		s.Errorf("it has the ID %q and the name %q", o.ID, o.Name)
	}
	if o.Created.IsZero() && !t.ByName && o.ID != o.Name { // what is only a name may have no beginning
		s.Error("it does not say when it was created")
	}
	for what, v := range map[string]cty.Value{"attributes": o.Attrs, "defaults": o.Defaults} {
		switch {
		case v == cty.NilVal:
			s.Errorf("it has no %s", what)
			return
		case v.ContainsMarked():
			s.Errorf("its %s have marks", what)
			return
		case !v.Type().Equals(t.Implied()):
			s.Errorf("its %s are of another type than the table says: %v", what, v.Type().TestConformance(t.Implied()))
			return
		case !v.IsWhollyKnown():
			s.Errorf("its %s are unknown in part", what)
		}
	}
	if t.Attr("id") != nil && !o.Attrs.GetAttr("id").RawEquals(cty.StringVal(o.ID)) {
		s.Errorf("its ID is %s, its attribute id %#v", o.ID, o.Attrs.GetAttr("id"))
	}
	normal, err := t.Normalize(o.Attrs)
	if err != nil {
		s.Errorf("its attributes have no normal form: %v", err)
		return
	}
	normal, _ = normal.UnmarkDeep()
	for i := range t.Attrs {
		name := t.Attrs[i].Name
		is, should := o.Attrs.GetAttr(name), normal.GetAttr(name)
		if !is.IsNull() && !is.RawEquals(should) {
			s.Errorf("%s is not in its normal form: %#v, which would be %#v", name, is, should)
		}
	}
}

// equal checks that two readings show the same object. With but, these
// attributes may differ.
func (s *suite) equal(a, b *providers.Object, but ...string) {
	s.Helper()
	if diff := cmp.Diff(a.Ref(), b.Ref()); diff != "" {
		s.Errorf("two readings (-first +second):\n%s", diff)
	}
	s.sameOwner(a.Owner, b.Owner)
	if a.Started != b.Started || a.Broken != b.Broken {
		s.Errorf("started and broken: %v %q, then %v %q", a.Started, a.Broken, b.Started, b.Broken)
	}
	t := s.resource(a.Kind).Type()
	for i := range t.Attrs {
		at := &t.Attrs[i]
		if slices.Contains(but, at.Name) || volatile(at) {
			continue
		}
		if x, y := a.Attrs.GetAttr(at.Name), b.Attrs.GetAttr(at.Name); !x.RawEquals(y) {
			s.Errorf("%s: read as %#v, then as %#v", at.Name, x, y)
		}
	}
}

func (s *suite) sameOwner(want, got providers.Owner) {
	s.Helper()
	addrs := cmp.Comparer(func(a, b schema.Addr) bool { return a == b })
	if diff := cmp.Diff(want, got, addrs); diff != "" {
		s.Errorf("its owner:\n%s", diff)
	}
}

func volatile(a *schema.Attr) bool {
	if a.Block == nil {
		return a.Volatile
	}
	return a.Volatile || slices.ContainsFunc(a.Block.Attrs, func(b schema.Attr) bool { return volatile(&b) })
}

// refs describes objects for messages.
func refs(objs []*providers.Object) string {
	var words []string
	for _, o := range objs {
		words = append(words, o.Kind+" "+o.Name)
	}
	return strings.Join(words, ", ")
}
