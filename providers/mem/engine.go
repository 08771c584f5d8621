package mem

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// engine is one process's connection to the world.
type engine struct {
	w    *World
	life int

	dead bool // guarded by w.mu
}

func (e *engine) Info() providers.Info { return e.w.info }

func (e *engine) Close() error { return nil }

// ask consults the fault. It reports whether the connection was alive before.
func (e *engine) ask(c Call) (alive bool, err error) {
	e.w.mu.Lock()
	fault, dead := e.w.fault, e.dead || e.life != e.w.lives
	e.w.mu.Unlock()
	if dead {
		return false, ErrCrash
	}
	if fault == nil {
		return true, nil
	}
	err = fault(c)
	if errors.Is(err, ErrCrash) {
		e.w.mu.Lock()
		e.dead = true
		e.w.mu.Unlock()
	}
	return true, err
}

// call runs one call: its effect with the world to itself, between the two
// moments at which it can fail.
func (e *engine) call(c Call, effect func() error) error {
	c.When = Before
	if alive, err := e.ask(c); err != nil {
		// A dead process sends nothing; the one that dies now has sent it.
		if alive && errors.Is(err, ErrCrash) && e.w.late >= 0 && c.Op != Read && c.Op != Refresh {
			e.w.mu.Lock()
			e.w.pending = append(e.w.pending, &pending{e.w.late, effect})
			e.w.mu.Unlock()
		}
		return err
	}
	if err := e.w.locked(effect); err != nil {
		return err
	}
	c.When = After
	_, err := e.ask(c)
	return err
}

// land lets calls of dead processes take effect that wait for no refresh any
// more. What cannot be done any more fails unseen, as it would on an engine
// whose client is gone.
func (w *World) land() {
	w.pending = slices.DeleteFunc(w.pending, func(p *pending) bool {
		if p.wait > 0 {
			return false
		}
		_ = p.effect() // nobody is there to be told
		return true
	})
}

func (e *engine) Refresh(ctx context.Context, scope providers.Scope) (*providers.World, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := &providers.World{Busy: e.w.busy}
	err := e.call(Call{Op: Refresh}, func() error {
		w := e.w
		w.land()
		// What this refresh does not see may happen as soon as it is over.
		defer func() {
			for _, p := range w.pending {
				p.wait--
			}
			w.land()
		}()
		seen := map[*object]bool{}
		for _, o := range w.ids {
			if o.owner.Stack != "" && o.owner.Stack == scope.Stack && o.owner.Workspace == scope.Workspace {
				seen[o] = true
			}
		}
		for _, r := range scope.Recorded {
			if o := w.find(r); o != nil {
				seen[o] = true
			}
		}
		for o := range seen {
			out.Objects = append(out.Objects, w.show(o))
		}
		sortObjects(out.Objects)

		// Names are those of this moment, as a list would have given them.
		names := make(map[key]*providers.Object, len(w.names))
		for _, o := range out.Objects {
			names[key{o.Kind, o.Name}] = o
		}
		for k, o := range w.names {
			if names[k] == nil {
				names[k] = w.show(o)
			}
		}
		out.Named = func(kind, name string) (*providers.Object, bool) {
			o, ok := names[key{kind, name}]
			return o, ok
		}
		held := map[string]schema.Claims[providers.Ref]{} // by kind
		for _, o := range w.ids {
			if o.t.Exclusive == nil || !o.running {
				continue
			}
			if held[o.t.Name] == nil {
				held[o.t.Name] = schema.Claims[providers.Ref]{}
			}
			for _, claim := range o.t.Exclusive(w.show(o).Attrs) {
				held[o.t.Name].Add(claim, o.ref())
			}
		}
		out.Held = func(kind string, claim schema.Claim) []providers.Ref {
			refs := held[kind].Clashing(claim)
			slices.SortFunc(refs, func(a, b providers.Ref) int { return cmp.Compare(a.Name, b.Name) })
			return refs
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func sortObjects(objs []*providers.Object) {
	slices.SortFunc(objs, func(a, b *providers.Object) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
}

// Resource panics on an address of which there is no table, since the engine
// takes addresses from configurations that were checked against the tables.
func (e *engine) Resource(addr schema.Addr) providers.Resource {
	kind := addr.Type
	if !addr.Member.IsZero() {
		kind = e.w.cluster[kind].member
	}
	t := e.w.byName[kind]
	if t == nil {
		panic("mem: there is no table for " + addr.String())
	}
	r := &resource{e: e, t: t}
	switch {
	case t.Virtual:
		return &virtual{r}
	case t.Renames:
		return &renamer{r}
	default:
		return r
	}
}
