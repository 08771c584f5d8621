package apply

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// work is what the steps of one change share.
type work struct {
	once    sync.Once
	want    cty.Value // with marks
	err     error
	told    sync.Once // whether a conditional change is needed
	toldErr error
	dropped bool
	made    *providers.Object // by the change's create, or what its update left
	secrets []string          // where the marks do not tell
}

func newUID() string {
	b := make([]byte, 10)
	_, _ = rand.Read(b) // never fails: see crypto/rand
	return hex.EncodeToString(b)
}

// step runs one step and reports it.
func (r *runner) step(ctx context.Context, s *engine.Step) error {
	quiet := s.Verb == engine.DoRecord
	w := r.work[s.Addr]
	conditional := s.Change != nil && len(s.Change.OnlyIf) > 0 && !s.Extra
	if conditional {
		dropped, err := r.dropped(ctx, s.Change)
		if err != nil {
			r.report(engine.Event{Kind: engine.Failed, Step: s, Err: err})
			return err
		}
		if dropped {
			r.report(engine.Event{Kind: engine.Dropped, Step: s})
			return r.keep(ctx, s)
		}
	}
	if !quiet {
		r.report(engine.Event{Kind: engine.Started, Step: s})
	}
	obj, err := r.do(ctx, s)
	if err != nil && (s.Verb == engine.DoCreate || s.Verb == engine.DoUpdate) && w.want != cty.NilVal {
		err = hide(err, r.secrets(s.Addr))
	}
	switch {
	case err != nil:
		r.report(engine.Event{Kind: engine.Failed, Step: s, Err: err})
	case !quiet:
		r.report(engine.Event{Kind: engine.Done, Step: s, Object: obj})
	}
	return err
}

func (r *runner) do(ctx context.Context, s *engine.Step) (*providers.Object, error) {
	switch s.Verb {
	case engine.DoCreate, engine.DoUpdate:
		if s.Change.Type.Virtual {
			return r.verify(ctx, s)
		}
		if s.Verb == engine.DoCreate {
			return r.create(ctx, s)
		}
		return r.update(ctx, s)
	case engine.DoDelete:
		return nil, r.delete(ctx, s)
	case engine.DoRename:
		return r.rename(ctx, s)
	case engine.DoRecord:
		return s.Target, r.keep(ctx, s)
	case engine.DoForget:
		r.edit(s.Addr, func(*state.Record) *state.Record { return nil })
		return nil, r.j.Put(s.Addr, nil)
	default:
		return nil, fmt.Errorf("internal error: unknown verb %q", s.Verb)
	}
}

// prepare evaluates, once, what is wanted of a change, now that all that it
// refers to is known, and checks that it is what was planned.
func (r *runner) prepare(ctx context.Context, c *engine.Change) error {
	w := r.work[c.Addr]
	w.once.Do(func() { w.err = r.evaluate(ctx, c, w) })
	return w.err
}

func (r *runner) evaluate(ctx context.Context, c *engine.Change, w *work) error {
	block := r.eval.Config().Root.Resources[c.Addr.Block()]
	var err error
	if c.Addr.Member.IsZero() {
		w.want, err = r.wantOf(block, c.Addr.Key)
	} else {
		w.want, err = r.wantOfMember(ctx, block, c)
	}
	if err != nil {
		return err
	}
	if c.Action == engine.Update && c.Object != nil {
		w.want = engine.Kept(c.Type, block, w.want, c.Before, c.Object.Defaults)
	}
	bare, _ := w.want.UnmarkDeep()
	if err := r.asPlanned(c, bare); err != nil {
		return err
	}
	if _, diags := r.eval.Conditions(block, c.Addr.Key, block.Lifecycle.Preconditions, cty.NilVal); diags.HasErrors() {
		return diags
	}
	return nil
}

// meant is the live value of a change with the names in it as they read now:
// a step before this one may have given such a name to another object.
func (r *runner) meant(ctx context.Context, c *engine.Change, before cty.Value) (cty.Value, error) {
	var names []string
	for _, d := range c.Differences {
		if d.Unknown && c.Type.Attr(d.Attr).Names != nil {
			names = append(names, d.Attr)
		}
	}
	if len(names) == 0 {
		return before, nil
	}
	_, res, err := r.engineOf(ctx, c)
	if err != nil {
		return before, err
	}
	obj, err := r.target(ctx, res, &engine.Step{Addr: c.Addr, Change: c, Target: c.Object})
	if err != nil {
		return before, err
	}
	now := map[string]cty.Value{}
	for _, name := range names {
		now[name] = obj.Attrs.GetAttr(name)
	}
	return schema.With(before, now), nil
}

// dropped reports whether a conditional change proves not to be needed.
func (r *runner) dropped(ctx context.Context, c *engine.Change) (bool, error) {
	if len(c.OnlyIf) == 0 {
		return false, nil
	}
	w := r.work[c.Addr]
	w.told.Do(func() { w.dropped, w.toldErr = r.needless(ctx, c, w) })
	return w.dropped, w.toldErr
}

// needless looks at what the change goes along with first: where that is made
// anew, what this one refers to may not be known before its old object is gone.
func (r *runner) needless(ctx context.Context, c *engine.Change, w *work) (bool, error) {
	for _, f := range c.Follows {
		if dropped, err := r.dropped(ctx, r.changes[f]); err != nil || !dropped {
			return false, err
		}
	}
	if err := r.prepare(ctx, c); err != nil {
		return false, err
	}
	block := r.eval.Config().Root.Resources[c.Addr.Block()]
	bare, _ := w.want.UnmarkDeep()
	before, _ := c.Before.UnmarkDeep()
	before, err := r.meant(ctx, c, before)
	if err != nil {
		return false, err
	}
	if len(engine.Differences(c.Type, block, bare, before, c.Object.Defaults)) > 0 {
		return false, nil
	}
	w.want = engine.Kept(c.Type, block, w.want, before, c.Object.Defaults)
	r.eval.Set(c.Addr, schema.Settled(c.Type, w.want, before))
	return true, nil
}

func (r *runner) wantOf(block *schema.Resource, key schema.Key) (cty.Value, error) {
	v, diags := r.eval.Want(block, key)
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	return v, nil
}

// lowering is a cluster's members as they are wanted now.
type lowering struct {
	once    sync.Once
	members map[schema.Addr]providers.Member
	secrets []string // the cluster's
	err     error
}

func (r *runner) wantOfMember(ctx context.Context, block *schema.Resource, c *engine.Change) (cty.Value, error) {
	cluster := c.Addr.Cluster()
	shared, _ := r.lowered.LoadOrStore(cluster, &lowering{})
	l := shared.(*lowering)
	l.once.Do(func() {
		want, err := r.wantOf(block, cluster.Key)
		if err != nil {
			l.err = err
			return
		}
		eng, err := r.p.Engines.Get(ctx, c.Provider)
		if err != nil {
			l.err = err
			return
		}
		lowerer, ok := r.p.Engines.Provider(c.Provider).(providers.Lowerer)
		if !ok {
			l.err = fmt.Errorf("the provider %q has no clusters", c.Provider)
			return
		}
		l.secrets = schema.Secrets(want)
		list, err := engine.Members(lowerer, cluster, want, r.p.Live[cluster], eng.Info())
		if err != nil {
			l.err = err
			return
		}
		l.members = make(map[schema.Addr]providers.Member, len(list))
		for _, m := range list {
			l.members[m.Addr] = m
		}
	})
	if l.err != nil {
		return cty.NilVal, l.err
	}
	m, ok := l.members[c.Addr]
	if !ok {
		return cty.NilVal, errors.New("it was planned, but the values that are known now do not ask for it; plan again")
	}
	return m.Want, nil
}

// asPlanned holds an evaluation to the plan: a known planned value never
// changes, and nothing is unknown any more.
func (r *runner) asPlanned(c *engine.Change, bare cty.Value) error {
	if !bare.IsWhollyKnown() {
		return errors.New("a value that it refers to is still not known; plan again")
	}
	before, _ := c.Before.UnmarkDeep()
	planned, _ := c.After.UnmarkDeep()
	now := schema.Planned(c.Type, bare, before, c.Action != engine.Update)
	for i := range c.Type.Attrs {
		a := &c.Type.Attrs[i]
		p := planned.GetAttr(a.Name)
		if !p.IsWhollyKnown() || bare.GetAttr(a.Name).IsNull() {
			continue
		}
		if !p.RawEquals(now.GetAttr(a.Name)) {
			return fmt.Errorf("%s is not what was planned any more; nothing was done to it, plan again", a.Name)
		}
	}
	return nil
}

func (r *runner) request(s *engine.Step) *providers.Request {
	var ends []string
	if s.Target != nil && r.p.Approved[s.Addr] {
		ends = s.Target.Work
	}
	lead := r.lead(s)
	if lead != nil && r.p.Approved[lead.Addr] {
		ends = slices.Concat(ends, lead.Object.Work)
	}
	req := &providers.Request{
		Ends: ends,
		Addr: s.Addr, Prior: r.prior(s), Dir: r.eval.Config().Root.Dir, Cluster: r.clusterOf(s.Addr), Force: r.p.Force,
	}
	if lead != nil {
		req.Lead = lead.Object
	}
	req.Report = func(p providers.Progress) {
		p.Stage, p.Line = without(p.Stage, req.Sensitive), without(p.Line, req.Sensitive)
		r.report(engine.Event{Kind: engine.Progressed, Step: s, Progress: p})
	}
	return req
}

// lead is the change of the head that is deleted after a worker.
func (r *runner) lead(s *engine.Step) *engine.Change {
	if s.Verb != engine.DoDelete || s.Addr.Member.Role != schema.Worker {
		return nil
	}
	c := r.changes[s.Addr.Cluster().WithMember(schema.Member{Role: schema.Head})]
	if c == nil || c.Object == nil || c.Action != engine.Delete && !c.Action.Replaces() {
		return nil
	}
	return c
}

// prior is the step's target with its settings.
func (r *runner) prior(s *engine.Step) *providers.Object {
	r.recordsMu.Lock()
	defer r.recordsMu.Unlock()
	return engine.WithSettings(s.Change.Type, s.Target, r.records[s.Addr])
}

// clusterOf is the value of a member's cluster: as planned, or, where the
// cluster goes too, as it was.
func (r *runner) clusterOf(addr schema.Addr) cty.Value {
	c := r.changes[addr.Cluster()]
	if addr.Member.IsZero() || c == nil {
		return cty.NilVal
	}
	v := c.After
	if v.IsNull() {
		v = c.Before
	}
	if v.IsNull() {
		return cty.NilVal
	}
	bare, _ := v.UnmarkDeep()
	return bare
}

// secrets are the strings that the wanted value marks sensitive and, where there
// are any, the sensitive variables that they may have been made of: what runs may
// say these alone. The longest come first.
func (r *runner) secrets(addr schema.Addr) []string {
	list := r.marked(addr)
	if len(list) == 0 {
		return nil
	}
	list = slices.Concat(list, r.eval.Secrets())
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return slices.Compact(list)
}

// marked are the strings that the wanted value marks sensitive. A member's are
// its cluster's: what it was lowered to is marked by whole attributes only.
func (r *runner) marked(addr schema.Addr) []string {
	if list := r.work[addr].secrets; list != nil {
		return list
	}
	if l, ok := r.lowered.Load(addr.Cluster()); ok && !addr.Member.IsZero() {
		return l.(*lowering).secrets
	}
	return schema.Secrets(r.work[addr].want)
}

func (r *runner) create(ctx context.Context, s *engine.Step) (*providers.Object, error) {
	c := s.Change
	if err := r.prepare(ctx, c); err != nil {
		return nil, err
	}
	eng, res, err := r.engineOf(ctx, c)
	if err != nil {
		return nil, err
	}
	w := r.work[c.Addr]
	req := r.request(s)
	req.Prior = nil
	req.Want, _ = w.want.UnmarkDeep()
	req.Sensitive = r.secrets(c.Addr)
	req.Name = nameOf(req.Want)
	req.Owner = providers.Owner{
		Stack: r.p.Stack, Workspace: r.p.Workspace, Lineage: r.lineage,
		UID: r.o.NewUID(), Address: c.Addr.String(), Deps: c.Deps,
	}
	if s.Candidate {
		req.Name += "." + req.Owner.UID[:min(8, len(req.Owner.UID))]
	}
	if err := r.sameTag(ctx, res, s, req.Name); err != nil {
		return nil, err
	}
	n, err := r.j.Began(state.Began{
		Addr: c.Addr, Action: string(s.Verb), Kind: c.Type.Name, Provider: c.Provider, Engine: eng.Info().ID,
		UID: req.Owner.UID, Name: req.Name, Prev: s.Prev, Sensitive: engine.SensitiveAttrs(c.Type, w.want),
	})
	if err != nil {
		return nil, err
	}
	obj, err := res.Create(ctx, req)
	if err != nil && obj == nil {
		return nil, r.lost(n, c.Addr, err)
	}
	status := state.Ready
	if err != nil {
		status = state.Tainted
	}
	w.made = obj
	value := schema.Settled(c.Type, w.want, obj.Attrs)
	rec := r.edit(c.Addr, func(old *state.Record) *state.Record {
		rec := engine.RecordOf(c, obj, value, eng.Info().ID, status)
		rec.Others = r.others(old, c.Type, obj)
		rec.PrevTag = cmp.Or(prevTag(old, obj.Name), s.Prev)
		return rec
	})
	if jerr := r.j.Outcome(n, c.Addr, rec); jerr != nil {
		return obj, errors.Join(err, jerr)
	}
	if err != nil {
		return obj, err
	}
	return obj, r.finish(s, obj, value)
}

// finish makes the object's value known to what refers to it, and holds the
// engine to what was asked of it.
func (r *runner) finish(s *engine.Step, obj *providers.Object, value cty.Value) error {
	c := s.Change
	r.eval.Set(c.Addr, value)
	block := r.eval.Config().Root.Resources[c.Addr.Block()]
	want, _ := r.work[c.Addr].want.UnmarkDeep()
	if c.Addr.Member.IsZero() && !r.undoes {
		if _, diags := r.eval.Conditions(block, c.Addr.Key, block.Lifecycle.Postconditions, value); diags.HasErrors() {
			return diags
		}
	}
	// What the engine does not say back it is taken to have as asked for.
	live := engine.Recalled(c.Type, nil, want, obj.Attrs)
	for _, d := range engine.Differences(c.Type, block, want, live, obj.Defaults) {
		if d.Attr == "name" && s.Verb != engine.DoRename && (s.Candidate || c.Renamed()) {
			continue // it takes the name later
		}
		if s.Verb == engine.DoUpdate && !slices.ContainsFunc(c.Differences, func(p schema.Difference) bool { return p.Attr == d.Attr }) {
			continue // drift that the plan did not see
		}
		return fmt.Errorf("the engine did not take %s as configured; see what it supports, or leave the attribute out", d.Attr)
	}
	return nil
}

// prevTag keeps what a tag was before us as long as the record is of that tag.
func prevTag(old *state.Record, name string) *string {
	if old == nil || old.Current == nil || old.Current.Name != name {
		return nil
	}
	return old.PrevTag
}

// others are the recorded objects beside the current one that the plan found
// alive. Of tags they are those that the plan deletes: what the current one named
// before is no object of ours, and another one that stays is not ours to remove.
func (r *runner) others(old *state.Record, t *schema.Type, current *providers.Object) []state.Object {
	if old == nil {
		return nil
	}
	return slices.DeleteFunc(old.Objects(), func(o state.Object) bool {
		return sameObject(t, o, current) || !r.live[o.ID] || (t.ByName && (o.Name == current.Name || !r.untags[tag{old.Provider, t.Name, o.Name}]))
	})
}

// sameObject reports whether a recorded object is that one. Several tags may
// name one image, so an image is its name and its ID.
func sameObject(t *schema.Type, o state.Object, obj *providers.Object) bool {
	return o.ID == obj.ID && (!t.ByName || o.Name == obj.Name)
}

// errDoubt is in the error of a call that may have taken effect.
var errDoubt = errors.New("whether it took effect is not known; the next plan looks")

// lost deals with a call that failed and showed nothing: either it certainly
// had no effect, or it stays in doubt and the next run looks.
func (r *runner) lost(n uint64, addr schema.Addr, err error) error {
	if providers.HadNoEffect(err) {
		return errors.Join(err, r.j.Failed(n, addr))
	}
	return fmt.Errorf("%w (%w)", err, errDoubt)
}

func (r *runner) update(ctx context.Context, s *engine.Step) (*providers.Object, error) {
	c := s.Change
	if err := r.prepare(ctx, c); err != nil {
		return nil, err
	}
	eng, res, err := r.engineOf(ctx, c)
	if err != nil {
		return nil, err
	}
	if _, err := r.target(ctx, res, s); err != nil {
		return nil, err
	}
	if err := r.sameTag(ctx, res, s, s.Target.Name); err != nil {
		return nil, err
	}
	w := r.work[c.Addr]
	req := r.request(s)
	req.Want, _ = w.want.UnmarkDeep()
	req.Sensitive = r.secrets(s.Addr)
	req.Name = s.Target.Name
	for _, d := range c.Differences {
		if d.Attr != "name" || !c.Renamed() {
			req.Changed = append(req.Changed, d.Attr)
		}
	}
	slices.Sort(req.Changed)
	req.Changed = slices.Compact(req.Changed)
	n, err := r.j.Began(state.Began{
		Addr: c.Addr, Action: string(s.Verb), Kind: c.Type.Name, Provider: c.Provider, Engine: eng.Info().ID,
		TargetID: s.Target.ID, Name: s.Target.Name, Prev: s.Prev, Sensitive: engine.SensitiveAttrs(c.Type, w.want),
	})
	if err != nil {
		return nil, err
	}
	obj, err := res.Update(ctx, req)
	if err != nil && obj == nil {
		return nil, r.lost(n, c.Addr, err)
	}
	w.made = obj
	value := schema.Settled(c.Type, w.want, obj.Attrs)
	if err != nil {
		value = asFound(value, obj.Attrs, req.Changed)
	}
	rec := r.edit(c.Addr, func(old *state.Record) *state.Record {
		rec := engine.RecordOf(c, obj, value, eng.Info().ID, state.Ready)
		rec.Others = r.others(old, c.Type, s.Target)
		if rec.PrevTag == nil {
			rec.PrevTag = s.Prev
		}
		return rec
	})
	if jerr := r.j.Outcome(n, c.Addr, rec); jerr != nil {
		return obj, errors.Join(err, jerr)
	}
	if err != nil {
		return obj, err
	}
	return obj, r.finish(s, obj, value)
}

// asFound is what an update was to lead to with what it was to change as it is
// after it failed: what it did not change would read as changed by others.
func asFound(value, found cty.Value, changed []string) cty.Value {
	set := map[string]cty.Value{}
	for _, name := range changed {
		set[name] = found.GetAttr(name)
		if value.GetAttr(name).ContainsMarked() {
			set[name] = set[name].Mark(schema.SensitiveMark)
		}
	}
	return schema.With(value, set)
}

// sameTag reads what the name of a step ByName means before the step gives it
// away: somebody may have moved the tag since the plan, and what it means now
// would be lost. A name that several steps give is theirs to move.
func (r *runner) sameTag(ctx context.Context, res providers.Resource, s *engine.Step, name string) error {
	t := s.Change.Type
	if !t.ByName || s.Prev == nil || r.tags[tag{s.Change.Provider, t.Name, name}] > 1 {
		return nil
	}
	now := "nothing"
	switch obj, err := res.Read(ctx, providers.Ref{Kind: t.Name, Name: name}); {
	case err == nil && obj.ID == *s.Prev, errors.Is(err, providers.ErrNotFound) && *s.Prev == "":
		return nil
	case err == nil:
		now = obj.ID
	case !errors.Is(err, providers.ErrNotFound):
		return fmt.Errorf("it could not be read before the change, so nothing was done: %w", err)
	}
	return fmt.Errorf("the name %q means %s now, and meant %s when the plan was made; nothing was done, plan again", name, now, cmp.Or(*s.Prev, "nothing"))
}

// tag is a name of what is known ByName.
type tag struct{ provider, kind, name string }

// tagsOf counts the steps that give each tag, and finds the tags that are deleted.
func tagsOf(steps []*engine.Step) (given map[tag]int, deleted map[tag]bool) {
	given, deleted = map[tag]int{}, map[tag]bool{}
	for _, s := range steps {
		if s.Change == nil || !s.Change.Type.ByName {
			continue
		}
		switch s.Verb {
		case engine.DoCreate, engine.DoUpdate:
			given[tag{s.Change.Provider, s.Change.Type.Name, s.Name}]++
		case engine.DoDelete:
			deleted[tag{s.Change.Provider, s.Change.Type.Name, s.Target.Name}] = true
		}
	}
	return given, deleted
}

// target reads what a step is about to touch once more: it must be what was
// planned for.
func (r *runner) target(ctx context.Context, res providers.Resource, s *engine.Step) (*providers.Object, error) {
	obj, err := res.Read(ctx, s.Target.Ref())
	if errors.Is(err, providers.ErrNotFound) {
		if s.Verb == engine.DoDelete {
			return nil, err
		}
		return nil, fmt.Errorf("%s %q is gone since the plan was made; plan again", s.Target.Kind, s.Target.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("it could not be read before the change, so nothing was done: %w", err)
	}
	if !s.Change.Type.ByName && obj.Owner.UID != s.Target.Owner.UID {
		return nil, fmt.Errorf("%s %q is not the one that was planned for: somebody made it anew; plan again", s.Target.Kind, s.Target.Name)
	}
	return obj, nil
}

func (r *runner) delete(ctx context.Context, s *engine.Step) error {
	c := s.Change
	eng, res, err := r.engineOf(ctx, c)
	if err != nil {
		return err
	}
	if c.Type.HoldsData && !r.p.Approved[c.Addr] {
		return fmt.Errorf("it holds data and its deletion was not approved by name (-allow-data-loss='%s')", c.Addr)
	}
	if s.Target == nil {
		return errors.New("internal error: a delete without an object")
	}
	if made := r.work[c.Addr].made; c.Type.ByName && made != nil && made.Name == s.Target.Name {
		return nil // the tag has moved to the new image
	}
	if _, err := r.target(ctx, res, s); err != nil {
		if errors.Is(err, providers.ErrNotFound) {
			rec := r.without(s)
			return r.j.Put(c.Addr, rec)
		}
		return err
	}
	req := r.request(s)
	n, err := r.j.Began(state.Began{
		Addr: c.Addr, Action: string(s.Verb), Kind: c.Type.Name, Provider: c.Provider, Engine: eng.Info().ID,
		UID: s.Target.Owner.UID, TargetID: s.Target.ID, Name: s.Target.Name, Timeout: lingers(res, req),
	})
	if err != nil {
		return err
	}
	if err := res.Delete(ctx, req); err != nil {
		return r.lost(n, c.Addr, err)
	}
	return r.j.Outcome(n, c.Addr, r.without(s))
}

// lingers is for how many seconds a delete may go on without us.
func lingers(res providers.Resource, req *providers.Request) int {
	l, ok := res.(providers.Lingerer)
	if !ok {
		return 0
	}
	return int(math.Ceil(l.Linger(req).Seconds()))
}

// without takes the step's object out of the record.
func (r *runner) without(s *engine.Step) *state.Record {
	return r.edit(s.Addr, func(rec *state.Record) *state.Record {
		if rec == nil {
			return nil
		}
		if rec.Current != nil && sameObject(s.Change.Type, *rec.Current, s.Target) {
			rec.Current = nil
		}
		rec.Others = slices.DeleteFunc(rec.Others, func(o state.Object) bool { return sameObject(s.Change.Type, o, s.Target) })
		if rec.Current == nil && len(rec.Others) == 0 {
			return nil
		}
		return rec
	})
}

func (r *runner) rename(ctx context.Context, s *engine.Step) (*providers.Object, error) {
	c := s.Change
	eng, res, err := r.engineOf(ctx, c)
	if err != nil {
		return nil, err
	}
	renamer, ok := res.(providers.Renamer)
	if !ok {
		return nil, fmt.Errorf("internal error: a %s cannot be renamed", c.Type.Name)
	}
	if err := r.prepare(ctx, c); err != nil {
		return nil, err
	}
	w := r.work[c.Addr]
	obj := w.made
	if s.Target != nil {
		if obj, err = r.target(ctx, res, s); err != nil {
			return nil, err
		}
	}
	bare, _ := w.want.UnmarkDeep()
	n, err := r.j.Began(state.Began{
		Addr: c.Addr, Action: string(s.Verb), Kind: c.Type.Name, Provider: c.Provider, Engine: eng.Info().ID,
		TargetID: obj.ID, Name: nameOf(bare),
	})
	if err != nil {
		return nil, err
	}
	if obj, err = renamer.Rename(ctx, obj, nameOf(bare)); err != nil {
		return nil, r.lost(n, c.Addr, err)
	}
	value := schema.Settled(c.Type, w.want, obj.Attrs)
	rec := r.edit(c.Addr, func(old *state.Record) *state.Record {
		rec := engine.RecordOf(c, obj, value, eng.Info().ID, state.Ready)
		rec.Others = r.others(old, c.Type, obj)
		return rec
	})
	if err := r.j.Outcome(n, c.Addr, rec); err != nil {
		return obj, err
	}
	return obj, r.finish(s, obj, value)
}

// verify runs the step of something without an object of its own.
func (r *runner) verify(ctx context.Context, s *engine.Step) (*providers.Object, error) {
	c := s.Change
	if err := r.prepare(ctx, c); err != nil {
		return nil, err
	}
	eng, res, err := r.engineOf(ctx, c)
	if err != nil {
		return nil, err
	}
	w := r.work[c.Addr]
	req := r.request(s)
	req.Want, _ = w.want.UnmarkDeep()
	req.Sensitive = r.secrets(c.Addr)
	req.Name = nameOf(req.Want)
	verb := res.Create
	if s.Verb == engine.DoUpdate {
		verb = res.Update
		if req.Prior == nil {
			before, _ := c.Before.UnmarkDeep()
			req.Prior = &providers.Object{Kind: c.Type.Name, Name: req.Name, Attrs: before}
		}
	}
	obj, err := verb(ctx, req)
	if err != nil {
		return nil, err
	}
	value := schema.Settled(c.Type, w.want, obj.Attrs)
	rec := r.edit(c.Addr, func(*state.Record) *state.Record {
		return engine.RecordOf(c, nil, value, eng.Info().ID, state.Ready)
	})
	r.eval.Set(c.Addr, value)
	return obj, r.j.Put(c.Addr, rec)
}

// keep records an address whose object stays as it is.
func (r *runner) keep(ctx context.Context, s *engine.Step) error {
	c := s.Change
	eng, err := r.p.Engines.Get(ctx, c.Provider)
	if err != nil {
		return err
	}
	value := c.After
	if v, ok := r.eval.Instance(c.Addr); ok {
		value = v
	}
	obj := c.Object
	if c.Type.Virtual {
		obj = nil
	}
	rec := r.edit(c.Addr, func(old *state.Record) *state.Record {
		rec := engine.RecordOf(c, obj, value, eng.Info().ID, c.Status())
		if obj != nil {
			rec.Others = r.others(old, c.Type, obj)
		}
		return rec
	})
	return r.j.Put(c.Addr, rec)
}

// nameOf is the engine's name in a wanted value.
func nameOf(bare cty.Value) string {
	if !bare.Type().HasAttribute("name") {
		return ""
	}
	v := bare.GetAttr("name")
	if v.IsNull() {
		return ""
	}
	return v.AsString()
}
