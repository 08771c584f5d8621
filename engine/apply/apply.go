// Package apply follows a plan: it runs the steps in the order of their edges,
// several at once, writes each into the journal before and after, and decides
// nothing. It imports no planner.
//
// What it may do less than the plan: a step that was planned because a value
// was unknown is dropped when the value proves equal.
package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/go-multierror"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// Options are the knobs of an apply.
type Options struct {
	// Parallelism is how many steps run at once; 0 is 10.
	Parallelism int
	// Report is given the news, one at a time. It may be nil.
	Report func(engine.Event)
	// Stop, when closed, lets what is in flight finish and starts nothing
	// more.
	Stop <-chan struct{}
	// NewUID makes the identity of an object; nil is a random one.
	NewUID func() string
}

// ErrInterrupted is among the errors of an apply that Stop cut short.
var ErrInterrupted = errors.New("interrupted")

// Run applies the plan. The journal is folded at a clean end. The error is a
// *multierror.Error in the order of the plan, each part with its address, the
// verb and the next move; what failed skips only what depends on it.
func Run(ctx context.Context, p *engine.Plan, j *state.Journal, o Options) error {
	if o.Parallelism <= 0 {
		o.Parallelism = 10
	}
	if o.Report == nil {
		o.Report = func(engine.Event) {}
	}
	if o.NewUID == nil {
		o.NewUID = newUID
	}
	r := &runner{
		p: p, j: j, o: o,
		eval:    p.Evaluator.Fresh(pending(p)),
		changes: map[schema.Addr]*engine.Change{},
		work:    map[schema.Addr]*work{},
		records: map[schema.Addr]*state.Record{},
		live:    live(p),
		steps:   p.Steps,
		halts:   p.OnFailure == engine.Rollback,
	}
	r.tags, r.untags = tagsOf(p.Steps)
	r.act, r.idle = r.step, func(s *engine.Step) bool { return s.Verb == engine.Join }
	for _, c := range p.Changes {
		r.changes[c.Addr], r.work[c.Addr] = c, &work{}
	}
	if err := r.writeFacts(); err != nil {
		return multierror.Append(nil, err)
	}
	r.run(ctx)
	errs := r.errors()
	if r.halted {
		errs = multierror.Append(errs, r.rollback(ctx))
	}
	if len(errs.Errors) == 0 {
		if err := r.outputs(); err != nil {
			errs = multierror.Append(errs, err)
		}
	}
	if err := j.Fold(); err != nil {
		errs = multierror.Append(errs, fmt.Errorf("the state could not be written; what was done is in the journal, and the next run reads it: %w", err))
	}
	return errs.ErrorOrNil()
}

// pending tells which addresses have no value until a step has run.
func pending(p *engine.Plan) func(schema.Addr) bool {
	set := map[schema.Addr]bool{}
	for _, c := range p.Changes {
		if c.Action != engine.NoOp {
			set[c.Addr] = true
		}
	}
	return func(a schema.Addr) bool { return set[a] }
}

// live are the IDs of the objects that the plan found.
func live(p *engine.Plan) map[string]bool {
	ids := map[string]bool{}
	add := func(o *providers.Object) {
		if o != nil {
			ids[o.ID] = true
		}
	}
	for _, c := range p.Changes {
		add(c.Object)
	}
	for _, s := range p.Steps {
		add(s.Target)
	}
	for _, o := range p.Kept {
		add(o)
	}
	return ids
}

type runner struct {
	p       *engine.Plan
	j       *state.Journal
	o       Options
	eval    *engine.Evaluator
	lineage string
	live    map[string]bool // IDs of the objects that the plan found
	tags    map[tag]int     // how many steps give each
	untags  map[tag]bool    // those that the plan deletes
	changes map[schema.Addr]*engine.Change
	work    map[schema.Addr]*work

	recordsMu sync.Mutex
	records   map[schema.Addr]*state.Record

	// What the scheduler runs, by what, and which of it is nothing to do. With
	// halts it starts nothing more after a failure; halted says that it was so.
	steps  []*engine.Step
	act    func(context.Context, *engine.Step) error
	idle   func(*engine.Step) bool
	halts  bool
	halted bool
	undoes bool // it takes back what another runner did

	reportMu sync.Mutex
	results  []result // by step
	lowered  sync.Map // cluster address → *lowering
}

type outcome int

const (
	waiting outcome = iota
	succeeded
	failed
	skipped
)

type result struct {
	outcome outcome
	err     error
	because int // of skipped: the step that failed, or one of those below
}

const (
	interrupted = -1
	halted      = -2 // another step failed, and what was done is taken back
)

// writeFacts puts into the journal what the plan found out, before anything is
// changed: what calls in doubt came to, and where records have moved.
func (r *runner) writeFacts() error {
	for _, f := range r.p.Recovered {
		if err := r.j.Outcome(f.N, f.Addr, f.Record); err != nil {
			return err
		}
	}
	st := r.j.State()
	r.lineage = st.Lineage
	for addr, rec := range st.Records {
		r.records[addr] = rec
	}
	for _, c := range r.p.Changes {
		if c.Prev.IsZero() {
			continue
		}
		moved := r.records[c.Prev].Clone()
		if moved == nil {
			continue
		}
		moved.Addr = c.Addr
		if err := r.j.PutAll(map[schema.Addr]*state.Record{c.Prev: nil, c.Addr: moved}); err != nil {
			return err
		}
		delete(r.records, c.Prev)
		r.records[c.Addr] = moved
	}
	return nil
}

// run is the scheduler: a step starts when all that it needs has succeeded, the
// lowest ID first.
func (r *runner) run(ctx context.Context) {
	steps := r.steps
	r.results = make([]result, len(steps))
	open := make([]int, len(steps))
	users := make([][]int, len(steps))
	for _, s := range steps {
		open[s.ID] = len(s.Needs)
		for _, n := range s.Needs {
			users[n] = append(users[n], s.ID)
		}
	}
	type ended struct {
		id  int
		err error
	}
	ends := make(chan ended)
	var ready []int // ascending
	running, left := 0, len(steps)
	stop := r.o.Stop
	stopped := false

	var settle func(id int, res result)
	settle = func(id int, res result) {
		r.results[id] = res
		left--
		s := steps[id]
		if res.outcome == skipped && !r.idle(s) {
			ev := engine.Event{Kind: engine.Skipped, Step: s}
			if res.because >= 0 {
				ev.Because = steps[res.because]
			}
			r.report(ev)
		}
		for _, u := range users[id] {
			if r.results[u].outcome != waiting {
				continue
			}
			if res.outcome != succeeded {
				because := id
				if res.outcome == skipped {
					because = res.because
				}
				settle(u, result{outcome: skipped, because: because})
				continue
			}
			if open[u]--; open[u] > 0 {
				continue
			}
			if r.idle(steps[u]) {
				settle(u, result{outcome: succeeded})
				continue
			}
			at, _ := slices.BinarySearch(ready, u)
			ready = slices.Insert(ready, at, u)
		}
	}
	for _, s := range steps {
		if open[s.ID] > 0 || r.results[s.ID].outcome != waiting {
			continue
		}
		if r.idle(s) {
			if len(s.Needs) == 0 {
				settle(s.ID, result{outcome: succeeded})
			}
			continue
		}
		if at, dup := slices.BinarySearch(ready, s.ID); !dup {
			ready = slices.Insert(ready, at, s.ID)
		}
	}
	for left > 0 {
		select {
		case <-stop: // it wins over an end that comes at the same time
			stopped, stop = true, nil
		default:
			stopped = stopped || ctx.Err() != nil
		}
		for !stopped && !r.halted && running < r.o.Parallelism && len(ready) > 0 {
			id := ready[0]
			ready = ready[1:]
			running++
			go func() { ends <- ended{id, r.act(ctx, steps[id])} }()
		}
		if running == 0 {
			r.abandon(stopped, settle)
			return
		}
		select {
		case e := <-ends:
			running--
			if e.err != nil {
				r.halted = r.halts
				settle(e.id, result{outcome: failed, err: e.err})
			} else {
				settle(e.id, result{outcome: succeeded})
			}
		case <-stop:
			stopped, stop = true, nil
		}
	}
}

// abandon marks what was never started. Without an interruption that is a
// mistake in the plan, and never a success.
func (r *runner) abandon(stopped bool, settle func(int, result)) {
	for id := range r.results {
		if r.results[id].outcome != waiting {
			continue
		}
		if r.halted && !stopped {
			settle(id, result{outcome: skipped, because: halted})
			continue
		}
		if !stopped {
			r.results[id] = result{outcome: failed, err: errors.New("internal error: nothing is ready and steps are left; please report this")}
			continue
		}
		settle(id, result{outcome: skipped, because: interrupted})
	}
}

// errors returns what went wrong, in the order of the plan.
func (r *runner) errors() *multierror.Error {
	errs := &multierror.Error{ErrorFormat: format}
	cut := 0
	for id, res := range r.results {
		s := r.steps[id]
		switch {
		case res.outcome == failed:
			errs.Errors = append(errs.Errors, &StepError{Step: s, Err: res.err})
		case res.outcome == skipped && res.because == interrupted && !r.idle(s):
			cut++
		}
	}
	if cut > 0 {
		errs.Errors = append(errs.Errors, fmt.Errorf("%w: %s not started; what was done is recorded, and another apply goes on from here", ErrInterrupted, steps(cut)))
	}
	return errs
}

func steps(n int) string {
	if n == 1 {
		return "1 step was"
	}
	return fmt.Sprintf("%d steps were", n)
}

func format(errs []error) string {
	if len(errs) == 1 {
		return errs[0].Error()
	}
	text := fmt.Sprintf("%d errors:", len(errs))
	for _, e := range errs {
		text += "\n  - " + e.Error()
	}
	return text
}

// StepError is what went wrong in one step.
type StepError struct {
	Step *engine.Step
	Err  error
}

func (e *StepError) Error() string {
	return fmt.Sprintf("%s: %s: %v", e.Step.Addr, e.Step.Verb, e.Err)
}

func (e *StepError) Unwrap() error { return e.Err }

func (r *runner) report(ev engine.Event) {
	r.reportMu.Lock()
	defer r.reportMu.Unlock()
	r.o.Report(ev)
}

// outputs evaluates and writes the outputs. One that did not change keeps what
// was recorded, so that a hash is not made anew.
func (r *runner) outputs() error {
	old := r.j.State().Outputs
	next := map[string]state.Output{}
	changed := false
	for _, oc := range r.p.Outputs {
		rec, had := old[oc.Name]
		unrecorded := !had && !oc.After.IsNull() // of a state that was rebuilt
		out := r.eval.Config().Root.Outputs[oc.Name]
		if out != nil && oc.Action != engine.Delete && r.p.Mode == engine.Normal {
			if _, diags := r.eval.OutputConditions(out); diags.HasErrors() {
				return fmt.Errorf("output.%s: %w", oc.Name, diags)
			}
		}
		if oc.Action != engine.NoOp || unrecorded {
			changed = true
		}
		switch {
		case oc.Action == engine.Delete:
			continue
		case oc.Action == engine.NoOp && !unrecorded:
			if had {
				next[oc.Name] = rec
			}
			continue
		}
		v, diags := r.eval.Output(out)
		if diags.HasErrors() {
			return fmt.Errorf("output.%s: %w", oc.Name, diags)
		}
		if schema.Bare(v).IsNull() {
			continue // an output that is null is not there
		}
		o, err := engine.OutputOf(v, out.Sensitive)
		if err != nil {
			return fmt.Errorf("output.%s: %w", oc.Name, err)
		}
		next[oc.Name] = o
	}
	if !changed {
		return nil
	}
	return r.j.Outputs(next)
}

// edit changes the record of an address and returns a copy of what it is then;
// nil where nothing is left.
func (r *runner) edit(addr schema.Addr, change func(*state.Record) *state.Record) *state.Record {
	r.recordsMu.Lock()
	defer r.recordsMu.Unlock()
	rec := change(r.records[addr].Clone())
	if rec == nil {
		delete(r.records, addr)
		return nil
	}
	r.records[addr] = rec
	return rec.Clone()
}

func (r *runner) engineOf(ctx context.Context, c *engine.Change) (providers.Engine, providers.Resource, error) {
	eng, err := r.p.Engines.Get(ctx, c.Provider)
	if err != nil {
		return nil, nil, err
	}
	res := eng.Resource(c.Addr)
	if res == nil {
		return nil, nil, fmt.Errorf("the provider %q has no verbs for it", c.Provider)
	}
	return eng, res, nil
}
