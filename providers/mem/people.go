package mem

import (
	"fmt"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// What people and other programs do to the world. The methods panic where the
// object is not there or the file cannot be written: a test that asks for the
// impossible is wrong.

// Remove deletes an object by force, whoever uses it.
func (w *World) Remove(kind, name string) {
	w.change(kind, name, func(o *object) { w.remove(o) })
}

// Stop stops what runs.
func (w *World) Stop(kind, name string) {
	w.change(kind, name, func(o *object) { o.running = false })
}

// Break makes an object unfit, for a reason in words that follow "since".
func (w *World) Break(kind, name, why string) {
	w.change(kind, name, func(o *object) { o.broken = why })
}

// Rename gives an object another name, also where the type cannot be renamed.
func (w *World) Rename(kind, name, to string) {
	w.change(kind, name, func(o *object) {
		delete(w.names, key{kind, name})
		o.name = to
		w.names[key{kind, to}] = o
	})
}

// Set changes an attribute.
func (w *World) Set(kind, name, attr string, v cty.Value) {
	w.change(kind, name, func(o *object) {
		o.want = schema.With(o.want, map[string]cty.Value{attr: v})
		refs, err := w.resolve(o.t, o.want)
		if err != nil {
			panic(fmt.Sprintf("mem: set %s of %s %s: %v", attr, kind, name, err))
		}
		w.hold(o, refs)
	})
}

func (w *World) change(kind, name string, f func(*object)) {
	w.must(func() error {
		o := w.names[key{kind, name}]
		if o == nil {
			return fmt.Errorf("there is no %s called %s", kind, name)
		}
		f(o)
		w.changed = true
		return nil
	})
}

// Put makes an object as somebody else would: with any owner or none, whole and
// running. Of obj it takes Kind, Name, Owner and Attrs (NilVal is an object
// with nothing set); one that has the name already is removed before. It
// returns the object as it reads then.
func (w *World) Put(obj *providers.Object) *providers.Object {
	var shown *providers.Object
	w.must(func() error {
		t := w.byName[obj.Kind]
		if t == nil {
			return fmt.Errorf("there is no table for %s", obj.Kind)
		}
		if old := w.names[key{obj.Kind, obj.Name}]; old != nil {
			w.remove(old)
		}
		want := obj.Attrs
		if want == cty.NilVal {
			want = t.Null()
		}
		o := w.make(t, obj.Name, want, obj.Owner)
		refs, err := w.resolve(t, want)
		if err != nil {
			return err
		}
		o.refs = refs
		o.started, o.running = true, demand(t) != ""
		w.insert(o)
		shown = w.show(o)
		return nil
	})
	return shown
}

// Objects returns all that exists, whoever made it, sorted by kind, name, ID.
func (w *World) Objects() []*providers.Object {
	return w.list(func(*object) bool { return true })
}

// Running returns what runs of a kind, sorted by name. A fake of what lives in
// containers, such as Ray's list of nodes, can be made of it.
func (w *World) Running(kind string) []*providers.Object {
	return w.list(func(o *object) bool { return o.t.Name == kind && o.running })
}

func (w *World) list(match func(*object) bool) []*providers.Object {
	var objs []*providers.Object
	w.must(func() error {
		for _, o := range w.names {
			if match(o) {
				objs = append(objs, w.show(o))
			}
		}
		return nil
	})
	sortObjects(objs)
	return objs
}

func (w *World) must(f func() error) {
	if err := w.locked(f); err != nil {
		panic("mem: " + err.Error())
	}
}
