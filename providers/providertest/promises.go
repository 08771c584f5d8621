package providertest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

func (s *suite) testCreate() {
	req, o := s.mustCreate()
	s.sound(o)
	if o.Kind != s.c.Kind || o.Name != req.Name {
		s.Errorf("made %s %s, wanted %s %s", o.Kind, o.Name, s.c.Kind, req.Name)
	}
	if !o.Started || o.Broken != "" {
		s.Errorf("it is started: %v, broken: %q", o.Started, o.Broken)
	}
	t := s.resource(s.c.Kind).Type()
	if t.ByName {
		s.sameOwner(providers.Owner{}, o.Owner)
	} else {
		s.sameOwner(req.Owner, o.Owner)
	}
	s.asWanted(req.Want, o)
	s.equal(o, s.read(o.Ref()))
}

func (s *suite) testRefresh() {
	if got := s.refresh(s.scope()).Objects; len(got) > 0 {
		s.Fatalf("found in an empty stack: %s", refs(got))
	}
	req, o := s.mustCreate()
	byName := s.resource(s.c.Kind).Type().ByName
	for _, scope := range []providers.Scope{
		s.scope(),
		s.scope(o.Ref()),
		{Stack: s.stack + "-other", Workspace: "default", Recorded: []providers.Ref{o.Ref()}},
	} {
		if byName && len(scope.Recorded) == 0 {
			continue
		}
		got := s.refresh(scope).Objects
		if len(got) != 1 {
			s.Errorf("recorded %v: found %d objects: %s", scope.Recorded, len(got), refs(got))
			continue
		}
		s.sound(got[0])
		s.equal(o, got[0])
		s.asWanted(req.Want, got[0])
	}
	for _, other := range []providers.Scope{
		{Stack: s.stack + "-other", Workspace: "default"},
		{Stack: s.stack, Workspace: "other"},
	} {
		if got := s.refresh(other).Objects; len(got) > 0 {
			s.Errorf("found in stack %s, workspace %s: %s", other.Stack, other.Workspace, refs(got))
		}
	}
	named, ok := s.refresh(s.scope()).Named(o.Kind, o.Name)
	if !ok || named.ID != o.ID {
		s.Errorf("not found by its name: %v", named)
	}
	if _, ok := s.refresh(s.scope()).Named(o.Kind, s.name()); ok {
		s.Error("a free name is taken")
	}
}

func (s *suite) testNotFound() {
	name := s.name()
	absent := providers.Ref{Kind: s.c.Kind, Name: name}
	if t := s.resource(s.c.Kind).Type(); !t.ByName && !t.HoldsData {
		absent.ID = "00000000000000000000000000000000000000000000000000000000000000ff"
	}
	s.gone(absent)
	if got := s.refresh(s.scope(absent)).Objects; len(got) > 0 {
		s.Errorf("found what is not there: %s", refs(got))
	}
	cancelled, cancel := context.WithCancel(s.Context())
	cancel()
	_, err := s.resource(s.c.Kind).Read(cancelled, absent)
	if err == nil || errors.Is(err, providers.ErrNotFound) {
		s.Errorf("a read that did not come to its end says %v", err)
	}
}

func (s *suite) testDelete() {
	_, o := s.mustCreate()
	for _, which := range []string{"first", "second"} {
		if err := s.delete(s.Context(), o); err != nil {
			s.Fatalf("the %s delete: %v", which, err)
		}
		s.gone(o.Ref())
	}
	if got := s.refresh(s.scope(o.Ref())).Objects; len(got) > 0 {
		s.Errorf("deleted and found: %s", refs(got))
	}
}

func (s *suite) testConflict() {
	if s.resource(s.c.Kind).Type().ByName {
		return // a tag moves
	}
	name := s.name()
	req, o := s.mustCreateOf(s.c.Kind, name, s.c.Want(name))
	again, err := s.create(s.Context(), s.request(s.c.Kind, name, s.c.Want(name)))
	if !errors.Is(err, providers.ErrConflict) || !providers.HadNoEffect(err) {
		s.Errorf("a taken name: want a conflict without effect, got %v", err)
	}
	if again != nil {
		s.Errorf("a create that failed made %s", refs([]*providers.Object{again}))
	}
	got := s.refresh(s.scope()).Objects
	if len(got) != 1 {
		s.Fatalf("found %d objects: %s", len(got), refs(got))
	}
	s.equal(o, got[0])
	s.asWanted(req.Want, got[0])
}

func (s *suite) testStale() {
	if s.resource(s.c.Kind).Type().ByName {
		return // the same content is the same object
	}
	name := s.name()
	_, old := s.mustCreateOf(s.c.Kind, name, s.c.Want(name))
	if err := s.delete(s.Context(), old); err != nil {
		s.Fatalf("delete: %v", err)
	}
	if s.c.Update != nil {
		req := s.request(s.c.Kind, name, s.c.Update(name))
		s.changes(req, old)
		if _, err := s.resource(s.c.Kind).Update(s.Context(), req); err == nil {
			s.Error("updated what is gone")
		}
		s.gone(old.Ref())
	}
	_, o := s.mustCreateOf(s.c.Kind, name, s.c.Want(name))
	// Whether this is an error depends on how the engine names its objects.
	if err := s.delete(s.Context(), old); err != nil && !providers.HadNoEffect(err) {
		s.Errorf("a delete that found another object may have had an effect: %v", err)
	}
	s.equal(o, s.read(o.Ref()))
}

func (s *suite) testTag() {
	if !s.resource(s.c.Kind).Type().ByName {
		return
	}
	_, o := s.mustCreate()
	tag := providers.Ref{Kind: o.Kind, Name: o.Name}
	s.equal(o, s.read(tag))
	name := s.name()
	kind, set := s.c.Named(name, o)
	req, user := s.mustCreateOf(kind, name, set)
	s.asWanted(req.Want, user)

	s.c.Moved(s.T, o.Name)
	now := s.read(tag)
	if now.ID == o.ID {
		s.Fatalf("the case's Moved left the tag where it was: %s", o.ID)
	}
	s.equal(now, s.read(o.Ref()))
	replaces := func(d schema.Difference) bool { return d.Replace }
	if got := s.read(user.Ref()); !slices.ContainsFunc(schema.Differences(s.resource(kind).Type(), req.Want, got.Attrs, got.Defaults), replaces) {
		s.Errorf("%s was made of what the tag meant, and does not say so", user.Name)
	}
}

// changes makes an update of a request, if that is what its difference needs.
func (s *suite) changes(req *providers.Request, prior *providers.Object) {
	s.Helper()
	req.Prior = prior
	for _, d := range schema.Differences(s.resource(prior.Kind).Type(), req.Want, prior.Attrs, prior.Defaults) {
		if d.Replace || d.Unknown {
			s.Fatalf("%s is no change in place: from %#v to %#v", d.Attr, d.Live, d.Want)
		}
		req.Changed = append(req.Changed, d.Attr)
	}
	slices.Sort(req.Changed)
	req.Changed = slices.Compact(req.Changed)
	if len(req.Changed) == 0 {
		s.Fatal("the case's Update does not differ from its Want")
	}
}

func (s *suite) testUpdate() {
	if s.c.Update == nil {
		return
	}
	name := s.name()
	_, o := s.mustCreateOf(s.c.Kind, name, s.c.Want(name))
	req := s.request(s.c.Kind, name, s.c.Update(name))
	s.changes(req, o)
	got, err := s.resource(s.c.Kind).Update(s.Context(), req)
	if err != nil {
		s.Fatalf("update: %v", err)
	}
	s.sound(got)
	s.asWanted(req.Want, got)
	s.equal(o, got, req.Changed...)
	s.equal(got, s.read(o.Ref()))
}

func (s *suite) testReplace() {
	if s.c.Replace == nil {
		return
	}
	name := s.name()
	_, o := s.mustCreateOf(s.c.Kind, name, s.c.Want(name))
	want := s.wanted(s.c.Kind, s.c.Replace(name))
	replaces := func(d schema.Difference) bool { return d.Replace }
	if ds := schema.Differences(s.resource(s.c.Kind).Type(), want, o.Attrs, o.Defaults); !slices.ContainsFunc(ds, replaces) {
		s.Errorf("no difference needs a new object: %v", ds)
	}
	if err := s.delete(s.Context(), o); err != nil {
		s.Fatalf("delete: %v", err)
	}
	req, made := s.mustCreateOf(s.c.Kind, name, s.c.Replace(name))
	s.sound(made)
	s.asWanted(req.Want, made)
}

func (s *suite) testRename() {
	r, ok := s.resource(s.c.Kind).(providers.Renamer)
	if !ok {
		return
	}
	_, o := s.mustCreate()
	_, other := s.mustCreate()
	if _, err := r.Rename(s.Context(), o, other.Name); !errors.Is(err, providers.ErrConflict) || !providers.HadNoEffect(err) {
		s.Errorf("a taken name: want a conflict without effect, got %v", err)
	}
	s.equal(o, s.read(o.Ref()))
	s.equal(other, s.read(other.Ref()))
	name := s.name()
	got, err := r.Rename(s.Context(), o, name)
	if err != nil {
		s.Fatalf("rename: %v", err)
	}
	if got.Name != name || got.ID != o.ID {
		s.Errorf("renamed to %s: it is %s with the ID %s, was %s", name, got.Name, got.ID, o.ID)
	}
	s.equal(got, s.read(providers.Ref{Kind: o.Kind, ID: o.ID, Name: o.Name}))
	if _, ok := s.refresh(s.scope()).Named(o.Kind, o.Name); ok {
		s.Error("the old name is still taken")
	}
}

func (s *suite) testHalf() {
	if s.c.Half == nil {
		return
	}
	name := s.name()
	req := s.request(s.c.Kind, name, s.c.Half(s.T, name))
	o, err := s.create(s.Context(), req)
	if err == nil {
		s.Fatal("the case's Half was made without an error")
	}
	if o == nil {
		s.Fatalf("nothing was returned beside: %v", err)
	}
	if providers.HadNoEffect(err) {
		s.Errorf("an object was made, and the error says that nothing happened: %v", err)
	}
	s.sameOwner(req.Owner, o.Owner)
	got := s.refresh(s.scope()).Objects
	if len(got) != 1 {
		s.Fatalf("found %d objects: %s", len(got), refs(got))
	}
	s.sound(got[0])
	s.equal(o, got[0])
}

func (s *suite) testForeign() {
	if s.resource(s.c.Kind).Type().ByName {
		return // nobody owns a tag
	}
	name := s.name()
	s.h.Foreign(s.T, s.c.Kind, name)
	w := s.refresh(s.scope())
	if len(w.Objects) > 0 {
		s.Errorf("took for ours: %s", refs(w.Objects))
	}
	o, ok := w.Named(s.c.Kind, name)
	if !ok {
		s.Fatal("not found by its name")
	}
	s.sameOwner(providers.Owner{}, o.Owner)
	got := s.refresh(s.scope(o.Ref())).Objects
	if len(got) != 1 {
		s.Fatalf("recorded, and found %d objects: %s", len(got), refs(got))
	}
	s.sound(got[0])
	if made, err := s.create(s.Context(), s.request(s.c.Kind, name, s.c.Want(name))); !errors.Is(err, providers.ErrConflict) || !providers.HadNoEffect(err) || made != nil {
		s.Errorf("its name: want a conflict without effect, got %v, %v", made, err)
	}
	s.equal(got[0], s.read(o.Ref()))
}

func (s *suite) testUsers() {
	if s.c.User == nil {
		return
	}
	_, used := s.mustCreate()
	name := s.name()
	kind, set := s.c.User(name, used)
	_, user := s.mustCreateOf(kind, name, set)
	has := func(list []providers.Ref, o *providers.Object) bool {
		return slices.ContainsFunc(list, func(r providers.Ref) bool { return r.Kind == o.Kind && r.ID == o.ID })
	}
	if !has(user.Uses, used) {
		s.Errorf("%s does not say that it uses %s: %v", user.Name, used.Name, user.Uses)
	}
	for _, o := range s.refresh(s.scope(used.Ref(), user.Ref())).Objects {
		switch o.ID {
		case used.ID:
			if !has(o.Users, user) {
				s.Errorf("%s does not say that %s uses it: %v", used.Name, user.Name, o.Users)
			}
		case user.ID:
			if !has(o.Uses, used) {
				s.Errorf("%s does not say that it uses %s: %v", user.Name, used.Name, o.Uses)
			}
		}
	}
	if err := s.delete(s.Context(), used); err == nil {
		s.Error("it was deleted")
	}
	s.equal(used, s.read(used.Ref()))
}

func (s *suite) testCancelled() {
	cancelled, cancel := context.WithCancel(s.Context())
	cancel()
	req, o := s.mustCreate()
	if _, err := s.eng.Refresh(cancelled, s.scope()); err == nil {
		s.Error("a refresh succeeded")
	}
	if err := s.delete(cancelled, o); err == nil {
		s.Error("a delete succeeded")
	}
	if s.c.Update != nil {
		up := s.request(s.c.Kind, o.Name, s.c.Update(o.Name))
		s.changes(up, o)
		if _, err := s.resource(s.c.Kind).Update(cancelled, up); err == nil {
			s.Error("an update succeeded")
		}
	}
	s.equal(o, s.read(o.Ref()))
	s.asWanted(req.Want, s.read(o.Ref()))

	name := s.name()
	more := s.request(s.c.Kind, name, s.c.Want(name))
	if made, err := s.create(cancelled, more); err == nil || made != nil {
		s.Errorf("a create gave %v, %v", made, err)
	}
	if _, ok := s.refresh(s.scope()).Named(s.c.Kind, more.Name); ok {
		s.Error("a create that was given up made an object")
	}
}

func (s *suite) testConcurrent() {
	n := s.c.Parallel
	if n == 0 {
		n = 20
	}
	reqs := make([]*providers.Request, n)
	for i := range reqs {
		name := s.name()
		reqs[i] = s.request(s.c.Kind, name, s.c.Want(name))
	}
	objs := make([]*providers.Object, n)
	s.each(n, func(i int) {
		o, err := s.create(s.Context(), reqs[i])
		if err != nil {
			s.Errorf("create: %v", err)
		}
		objs[i] = o
	})
	if s.Failed() {
		return
	}
	var recorded []providers.Ref
	want := map[string]cty.Value{}
	for i, o := range objs {
		recorded = append(recorded, o.Ref())
		want[o.Name] = reqs[i].Want
	}
	got := s.refresh(s.scope(recorded...)).Objects
	if len(got) != n {
		s.Fatalf("made %d objects, found %d: %s", n, len(got), refs(got))
	}
	if !slices.IsSortedFunc(got, func(a, b *providers.Object) int {
		return slices.Compare([]string{a.Kind, a.Name, a.ID}, []string{b.Kind, b.Name, b.ID})
	}) {
		s.Errorf("not sorted: %s", refs(got))
	}
	for _, o := range got {
		s.asWanted(want[o.Name], o)
	}
	s.each(n, func(i int) {
		if err := s.delete(s.Context(), objs[i]); err != nil {
			s.Errorf("delete: %v", err)
		}
	})
	if got := s.refresh(s.scope(recorded...)).Objects; len(got) > 0 {
		s.Errorf("deleted and found: %s", refs(got))
	}
}

// each calls f for 0 to n-1 at once.
func (s *suite) each(n int, f func(int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}
