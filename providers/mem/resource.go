package mem

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// resource has the verbs for objects of one type.
type resource struct {
	e *engine
	t *schema.Type
}

func (r *resource) Type() *schema.Type { return r.t }

func (r *resource) step(op Op, name string, effect func() error) error {
	return r.e.call(Call{Op: op, Kind: r.t.Name, Name: name}, effect)
}

// fail says which verb failed on what.
func (r *resource) fail(verb, name string, err error) error {
	return fmt.Errorf("%s %s %s: %w", verb, noun(r.t), name, err)
}

func (r *resource) refuse(verb, name string, err error) error {
	return providers.NoEffect(r.fail(verb, name, err))
}

func (r *resource) Create(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, r.refuse("create", req.Name, err)
	}
	var made providers.Ref
	err := r.step(Create, req.Name, func() error {
		o, err := r.create(req)
		if o != nil {
			made = o.ref()
		}
		return err
	})
	if err != nil || demand(r.t) == "" || isFalse(r.t, req.Want, "start") {
		return r.result(made, err)
	}
	if err := ctx.Err(); err != nil {
		return r.result(made, r.fail("start", req.Name, err))
	}
	if err := r.step(Start, req.Name, func() error { return r.start(made) }); err != nil {
		return r.result(made, err)
	}
	err = r.step(Ready, req.Name, func() error {
		if o := r.e.w.find(made); o == nil || !o.running {
			return r.fail("wait for", req.Name, errors.New("it ended before it was ready"))
		}
		return nil
	})
	return r.result(made, err)
}

func (r *resource) create(req *providers.Request) (*object, error) {
	w := r.e.w
	old := w.names[key{r.t.Name, req.Name}]
	if old != nil && !r.t.ByName {
		return nil, r.refuse("create", req.Name, fmt.Errorf("%w: the name is taken by %s %s (%s); rename or remove it, or import it",
			providers.ErrConflict, noun(r.t), old.id, whose(old.owner)))
	}
	refs, err := w.resolve(r.t, req.Want)
	if err != nil {
		return nil, r.refuse("create", req.Name, err)
	}
	if old != nil {
		w.remove(old)
	}
	o := w.make(r.t, req.Name, req.Want, req.Owner)
	o.refs = refs
	w.insert(o)
	return o, nil
}

func (r *resource) start(ref providers.Ref) error {
	w := r.e.w
	o := w.find(ref)
	if o == nil {
		return r.refuse("start", ref.Name, providers.ErrNotFound)
	}
	for _, u := range o.refs {
		if w.ids[key{u.Kind, u.ID}] == nil && !w.byName[u.Kind].ByName {
			return r.refuse("start", o.name, fmt.Errorf("no such %s: %s", noun(w.byName[u.Kind]), u.Word))
		}
	}
	o.started, o.running = true, true
	o.starts++
	w.changed = true
	return nil
}

// result shows what exists of an object beside an error. A process that died
// has nothing to show.
func (r *resource) result(ref providers.Ref, err error) (*providers.Object, error) {
	if ref.Kind == "" || errors.Is(err, ErrCrash) {
		return nil, err
	}
	var shown *providers.Object
	lost := r.e.w.locked(func() error {
		if o := r.e.w.find(ref); o != nil {
			shown = r.e.w.show(o)
		}
		return nil
	})
	if lost != nil {
		return nil, errors.Join(err, lost)
	}
	return shown, err
}

func (r *resource) Update(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	prior := req.Prior.Ref()
	if err := ctx.Err(); err != nil {
		return nil, r.refuse("update", prior.Name, err)
	}
	err := r.step(Update, prior.Name, func() error { return r.update(req) })
	if d := demand(r.t); err == nil && slices.Contains(req.Changed, d) && isTrue(r.t, req.Want, d) {
		err = r.step(Start, prior.Name, func() error { return r.start(prior) })
	}
	return r.result(prior, err)
}

func (r *resource) update(req *providers.Request) error {
	w, name := r.e.w, req.Prior.Name
	o := w.find(req.Prior.Ref())
	if o == nil {
		return r.refuse("update", name, providers.ErrNotFound)
	}
	set := map[string]cty.Value{}
	live := w.show(o).Attrs
	for _, attr := range req.Changed {
		a := r.t.Attr(attr)
		if a == nil {
			return r.refuse("update", name, fmt.Errorf("there is no attribute %s", attr))
		}
		want := req.Want.GetAttr(attr)
		if a.Change == schema.Replace && (a.ReplaceIf == nil || a.ReplaceIf(live.GetAttr(attr), want)) {
			return r.refuse("update", name, fmt.Errorf("%s cannot be changed in place", attr))
		}
		set[attr] = want
	}
	want := schema.With(o.want, set)
	refs, err := w.resolve(r.t, want)
	if err != nil {
		return r.refuse("update", name, err)
	}
	o.want = want
	o.starts++
	w.hold(o, refs)
	w.changed = true
	return nil
}

func (r *resource) Delete(ctx context.Context, req *providers.Request) error {
	prior := req.Prior
	if err := ctx.Err(); err != nil {
		return r.refuse("delete", prior.Name, err)
	}
	w := r.e.w
	var runs bool
	if err := w.locked(func() error {
		o := w.find(prior.Ref())
		runs = o != nil && o.running
		return nil
	}); err != nil {
		return err
	}
	if runs {
		err := r.step(Stop, prior.Name, func() error {
			if o := w.find(prior.Ref()); o != nil {
				o.running, w.changed = false, true
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return r.step(Delete, prior.Name, func() error {
		o := w.find(prior.Ref())
		if o == nil {
			return nil
		}
		// A name alone may have come to mean another object.
		if o.id != prior.ID && prior.ID != "" || o.owner.UID != prior.Owner.UID {
			return r.refuse("delete", prior.Name, fmt.Errorf("%w: it is another one now (%s); plan again", providers.ErrConflict, whose(o.owner)))
		}
		if users := w.holders(o); len(users) > 0 {
			var names []string
			for _, u := range users {
				names = append(names, noun(w.byName[u.Kind])+" "+u.Name)
			}
			return r.refuse("delete", prior.Name, fmt.Errorf("it is in use by %s", strings.Join(names, ", ")))
		}
		w.remove(o)
		return nil
	})
}

// Linger is what the option Lingers says.
func (r *resource) Linger(req *providers.Request) time.Duration {
	if r.e.w.lingers == nil {
		return 0
	}
	return r.e.w.lingers(r.t.Name, req.Prior.Attrs)
}

func (r *resource) Read(ctx context.Context, ref providers.Ref) (*providers.Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var shown *providers.Object
	ref.Kind = r.t.Name
	err := r.step(Read, ref.Name, func() error {
		o := r.e.w.find(ref)
		if o == nil {
			return r.fail("read", ref.Name, providers.ErrNotFound)
		}
		shown = r.e.w.show(o)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return shown, nil
}

// renamer is a resource whose objects can be renamed.
type renamer struct{ *resource }

func (r *renamer) Rename(ctx context.Context, obj *providers.Object, name string) (*providers.Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, r.refuse("rename", obj.Name, err)
	}
	w := r.e.w
	err := r.step(Rename, obj.Name, func() error {
		o := w.find(obj.Ref())
		if o == nil {
			return r.refuse("rename", obj.Name, providers.ErrNotFound)
		}
		if old := w.names[key{r.t.Name, name}]; old != nil && old != o {
			return r.refuse("rename", obj.Name, fmt.Errorf("%w: the name %s is taken by %s %s (%s)",
				providers.ErrConflict, name, noun(r.t), old.id, whose(old.owner)))
		}
		delete(w.names, key{r.t.Name, o.name})
		o.name = name
		w.names[key{r.t.Name, name}] = o
		w.changed = true
		return nil
	})
	return r.result(obj.Ref(), err)
}

// virtual is a resource without an object: it only has its computed attributes.
type virtual struct{ *resource }

func (r *virtual) Create(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	return r.settle(ctx, Create, req, req.Name, req.Owner)
}

func (r *virtual) Update(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	return r.settle(ctx, Update, req, req.Prior.Name, req.Prior.Owner)
}

func (r *virtual) settle(ctx context.Context, op Op, req *providers.Request, name string, owner providers.Owner) (*providers.Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, r.refuse(string(op), name, err)
	}
	var shown *providers.Object
	err := r.step(op, name, func() error {
		shown = r.e.w.show(&object{t: r.t, id: hash(r.t.Name, name), name: name, owner: owner, want: req.Want})
		return nil
	})
	return shown, err
}

func (r *virtual) Delete(ctx context.Context, req *providers.Request) error {
	if err := ctx.Err(); err != nil {
		return r.refuse("delete", req.Prior.Name, err)
	}
	return r.step(Delete, req.Prior.Name, func() error { return nil })
}

func (r *virtual) Read(_ context.Context, ref providers.Ref) (*providers.Object, error) {
	return nil, r.fail("read", ref.Name, providers.ErrNotFound)
}

func whose(o providers.Owner) string {
	if o.UID == "" {
		return "not ours"
	}
	return fmt.Sprintf("%s of stack %s, workspace %s", o.Address, o.Stack, o.Workspace)
}

func isTrue(t *schema.Type, v cty.Value, attr string) bool {
	return known(t, v, attr) && v.GetAttr(attr).True()
}

func isFalse(t *schema.Type, v cty.Value, attr string) bool {
	return known(t, v, attr) && v.GetAttr(attr).False()
}

func known(t *schema.Type, v cty.Value, attr string) bool {
	a := t.Attr(attr)
	return a != nil && a.Type == cty.Bool && !v.GetAttr(attr).IsNull()
}
