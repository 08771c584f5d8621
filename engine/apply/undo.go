package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// undoing takes back what an apply did until a step failed. It is a runner of
// the plan's inverse steps: each is in the journal before and after, like any
// other. What was not done is nothing to undo; what cannot be undone, or whose
// effect is not known, stays, and with it what it needs.
type undoing struct {
	*runner
	main *runner
	anew sync.Map          // ID of an object that was deleted → ID of the one made in its place
	tags map[string]string // tag that was moved → ID of the image that it named before
}

// RollbackError says how far an apply was taken back.
type RollbackError struct {
	Undone int
	// Left is what was not undone, a sentence for each, in the order of the
	// plan. None: what runs is as it was before the apply.
	Left []string
	// Interrupted is how many inverse steps were not begun for an interruption.
	Interrupted int
}

func (e *RollbackError) Error() string {
	if len(e.Left) == 0 && e.Interrupted == 0 {
		if e.Undone == 0 {
			return "nothing had to be undone, and what runs is as it was before; correct what failed, and apply again"
		}
		return fmt.Sprintf("rolled back: %s undone, and what runs is as it was before; correct what failed, and apply again", steps(e.Undone))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "rolled back in part: %s undone", steps(e.Undone))
	if e.Interrupted > 0 {
		fmt.Fprintf(&b, ", and %s not, since it was interrupted", steps(e.Interrupted))
	}
	for i, l := range e.Left {
		if i == 0 {
			b.WriteString("; not undone:")
		}
		b.WriteString("\n      " + l)
	}
	b.WriteString("\n    All that exists is recorded; gapool plan says what is left to do.")
	return b.String()
}

// kept is why an inverse step is not carried out.
type kept string

func (k kept) Error() string { return string(k) }

// rollback runs the inverse steps.
func (r *runner) rollback(ctx context.Context) error {
	interrupted := ctx.Err() != nil
	select {
	case <-r.o.Stop:
		interrupted = true
	default:
	}
	if interrupted {
		return fmt.Errorf("%w: nothing is undone; what was done is recorded, and another apply goes on from here", ErrInterrupted)
	}
	if err := r.j.Sync(); err != nil {
		return errors.New("what was done is not undone, since that could not be written down; it is found by its labels, and gapool plan says what is left to do")
	}
	if len(r.p.Undo) != len(r.p.Steps) {
		return errors.New("internal error: the plan has no inverse steps; please report this")
	}
	first := slices.IndexFunc(r.results, func(res result) bool { return res.outcome == failed })
	r.report(engine.Event{Kind: engine.RollingBack, Step: r.steps[first]})

	u := &undoing{main: r, tags: map[string]string{}, runner: &runner{
		p: r.p, j: r.j, o: r.o, eval: r.eval, lineage: r.lineage, live: maps.Clone(r.live),
		changes: r.changes, work: map[schema.Addr]*work{}, records: r.records, steps: r.p.Undo, undoes: true,
	}}
	for addr, w := range r.work {
		if w.made != nil {
			u.live[w.made.ID] = true
		}
		mine := &work{}
		mine.once.Do(func() {}) // what is wanted is not evaluated
		u.work[addr] = mine
	}
	for _, s := range r.steps {
		if did, _ := r.did(s); did && s.Verb == engine.DoCreate && s.Change.Type.ByName && s.Prev != nil && *s.Prev != "" {
			u.tags[r.work[s.Addr].made.Name] = *s.Prev
		}
	}
	u.act, u.idle = u.takeBack, func(s *engine.Step) bool {
		did, doubt := r.did(s.Undoes)
		return !did && !doubt
	}
	u.run(ctx)
	out := u.summary()
	if len(out.Left) == 0 && out.Interrupted == 0 {
		if err := u.moveBack(); err != nil {
			out.Left = append(out.Left, err.Error())
		}
	}
	return out
}

// did reports whether the step changed something, as far as is known, and
// whether that is in doubt.
func (r *runner) did(s *engine.Step) (did, doubt bool) {
	if s.Verb == engine.Join {
		return false, false
	}
	res, w := r.results[s.ID], r.work[s.Addr]
	switch {
	case res.outcome == succeeded:
		return s.Extra || !w.dropped, false
	case res.outcome != failed:
		return false, false
	case errors.Is(res.err, errDoubt):
		return false, true
	default: // a half-made object is one
		return w.made != nil && (s.Verb == engine.DoCreate || s.Verb == engine.DoUpdate), false
	}
}

// takeBack runs one inverse step.
func (u *undoing) takeBack(ctx context.Context, s *engine.Step) error {
	if _, doubt := u.main.did(s.Undoes); doubt {
		return u.keep(s, "whether it took effect is not known")
	}
	c, w := s.Change, u.work[s.Addr]
	t := *s
	switch s.Verb {
	case engine.DoKeep:
		return u.keep(s, s.Why)
	case engine.DoRecord:
		return u.putBack(c)
	case engine.DoDelete:
		t.Target = u.main.work[s.Addr].made
		if err := u.stillOurs(ctx, &t); err != nil {
			return u.keep(s, err.Error())
		}
		if err := u.step(ctx, &t); err != nil {
			return err
		}
		return u.putBackIfThere(c)
	case engine.DoRename:
		if t.Target == nil {
			t.Target = u.main.work[s.Addr].made
			t.Name = t.Target.Name
		}
		w.want = schema.With(u.main.work[s.Addr].want, map[string]cty.Value{"name": cty.StringVal(t.Name)})
		if err := u.step(ctx, &t); err != nil {
			return err
		}
		return u.putBackIfThere(c)
	default:
		w.want = u.asNow(c.After)
		w.secrets = secretsOf(c.Type, w.want)
		if err := u.step(ctx, &t); err != nil {
			return err
		}
		if s.Verb == engine.DoUpdate {
			return u.putBackIfThere(c)
		}
		u.anew.Store(s.Undoes.Target.ID, w.made.ID)
		return nil
	}
}

func (u *undoing) keep(s *engine.Step, why string) error {
	u.report(engine.Event{Kind: engine.Skipped, Step: s, Err: kept(why)})
	return kept(why)
}

// stillOurs looks whether a tag still names what this apply made.
func (u *undoing) stillOurs(ctx context.Context, s *engine.Step) error {
	if !s.Change.Type.ByName {
		return nil
	}
	_, res, err := u.engineOf(ctx, s.Change)
	if err != nil {
		return err
	}
	obj, err := res.Read(ctx, s.Target.Ref())
	if errors.Is(err, providers.ErrNotFound) {
		return nil
	}
	if err == nil && obj.ID != s.Target.ID {
		return errors.New("the tag was moved by somebody else since")
	}
	return err
}

// asNow is a value in which what was made anew goes by its new ID, and an
// image whose tag has moved by its ID.
func (u *undoing) asNow(v cty.Value) cty.Value {
	ids := map[string]string{}
	u.anew.Range(func(old, now any) bool {
		ids[old.(string)] = now.(string)
		return true
	})
	bare, marks := schema.Unmark(v)
	now, err := cty.Transform(bare, func(path cty.Path, x cty.Value) (cty.Value, error) {
		if x.Type() != cty.String || x.IsNull() || !x.IsKnown() {
			return x, nil
		}
		text := x.AsString()
		for old, id := range ids {
			text = strings.ReplaceAll(text, old, id)
		}
		if step, ok := path[0].(cty.GetAttrStep); ok && len(path) == 1 && step.Name == "image" && u.tags[text] != "" {
			text = u.tags[text]
		}
		return cty.StringVal(text), nil
	})
	if err != nil {
		panic(err) // the function fails never
	}
	return now.MarkWithPaths(marks)
}

// secretsOf are the strings that may be secret though no mark says so.
func secretsOf(t *schema.Type, v cty.Value) []string {
	set := map[string]cty.Value{}
	for i := range t.Attrs {
		if a := &t.Attrs[i]; engine.HoldsSecrets(a) && !v.GetAttr(a.Name).IsNull() {
			set[a.Name] = v.GetAttr(a.Name).Mark(schema.SensitiveMark)
		}
	}
	return schema.Secrets(schema.With(v, set))
}

// putBack records an address as it was before. What was found without a record
// stays recorded.
func (u *undoing) putBack(c *engine.Change) error {
	switch {
	case c.Type.Virtual || u.records[c.Addr] == nil:
	case c.Record == nil:
		return nil
	default:
		return u.putBackIfThere(c)
	}
	rec := u.edit(c.Addr, func(*state.Record) *state.Record { return c.Record.Clone() })
	return u.j.Put(c.Addr, rec)
}

// putBackIfThere records an address as it was before, but for objects that are
// not there any more. Where the current one was made anew, its record says so
// already.
func (u *undoing) putBackIfThere(c *engine.Change) error {
	u.recordsMu.Lock()
	now := u.records[c.Addr].Clone()
	u.recordsMu.Unlock()
	if now == nil || c.Record == nil || c.Record.Current == nil {
		return nil
	}
	there := func(o state.Object) bool {
		return slices.ContainsFunc(now.Objects(), func(x state.Object) bool { return x.ID == o.ID && x.Name == o.Name })
	}
	if !there(*c.Record.Current) {
		return nil
	}
	rec := u.edit(c.Addr, func(*state.Record) *state.Record {
		rec := c.Record.Clone()
		rec.Others = slices.DeleteFunc(rec.Others, func(o state.Object) bool { return !there(o) })
		return rec
	})
	return u.j.Put(c.Addr, rec)
}

// moveBack records what has moved under its old address again, where that is
// free.
func (u *undoing) moveBack() error {
	for _, c := range u.p.Changes {
		rec := u.records[c.Addr].Clone()
		if c.Prev.IsZero() || rec == nil || u.records[c.Prev] != nil {
			continue
		}
		rec.Addr = c.Prev
		if err := u.j.PutAll(map[schema.Addr]*state.Record{c.Addr: nil, c.Prev: rec}); err != nil {
			return err
		}
		delete(u.records, c.Addr)
		u.records[c.Prev] = rec
	}
	return nil
}

// summary says what came of it, in the order of the plan.
func (u *undoing) summary() *RollbackError {
	out := &RollbackError{}
	for i := range u.p.Steps {
		s := u.p.Undo[len(u.p.Undo)-1-i]
		if u.idle(s) {
			continue
		}
		shown := s.Verb != engine.DoRecord
		left := func(format string, args ...any) {
			out.Left = append(out.Left, fmt.Sprintf("%s (%s): ", s.Addr, s.Undoes.Verb)+fmt.Sprintf(format, args...))
		}
		switch res := u.results[s.ID]; {
		case res.outcome == succeeded && shown:
			out.Undone++
		case res.outcome == failed:
			left("%v", res.err)
		case res.outcome == skipped && res.because == interrupted && shown:
			out.Interrupted++
		case res.outcome == skipped && res.because >= 0 && s.Verb == engine.DoKeep:
			left("%s", s.Why)
		case res.outcome == skipped && res.because >= 0 && shown:
			left("%s needs it", u.p.Undo[res.because].Addr)
		}
	}
	return out
}
