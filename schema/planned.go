package schema

import "github.com/zclconf/go-cty/cty"

// Planned returns what an object will be after a change: the value that
// references see while it is planned, and that the plan shows.
//
// What is configured is as configured. A computed attribute that is left out,
// at the top or in a nested block, keeps its live value; it is unknown in a new
// object or block, and a volatile one is unknown after any change. What else is
// left out is null, whatever the engine's default.
//
// The live object is null or cty.NilVal for a create; replaced says that a new
// one takes its place. Blocks have the counterparts that they have in
// [Differences], and of blocks that cannot be matched yet every missing
// computed attribute is unknown. Marks of want stay where they are.
//
// So a known value is a promise: the engine can hold the provider to it.
func Planned(t *Type, want, live cty.Value, replaced bool) cty.Value {
	if replaced {
		live = cty.NilVal
	}
	return complete(t, want, live, func(a *Attr, live cty.Value) cty.Value {
		if live == cty.NilVal || a.Volatile {
			return cty.UnknownVal(a.Implied())
		}
		return live
	})
}

// Settled returns what references see of an object that is as wanted, before or
// after an apply: Planned without anything left to find out. A computed
// attribute that the live object lacks is null.
func Settled(t *Type, want, live cty.Value) cty.Value {
	return complete(t, want, live, func(a *Attr, live cty.Value) cty.Value {
		return orNull(live, a.Implied())
	})
}

// complete fills each computed attribute that want leaves out with what missing
// says for its live value, which is NilVal where there is no counterpart.
func complete(t *Type, want, live cty.Value, missing func(a *Attr, live cty.Value) cty.Value) cty.Value {
	want, marks := Unmark(want)
	if live != cty.NilVal {
		live = Bare(live)
	}
	return completeObject(t.Attrs, want, live, missing).MarkWithPaths(marks)
}

func completeObject(attrs []Attr, want, live cty.Value, missing func(*Attr, cty.Value) cty.Value) cty.Value {
	if !want.IsKnown() || want.IsNull() {
		return want
	}
	vals := make(map[string]cty.Value, len(attrs))
	for i := range attrs {
		a := &attrs[i]
		v, l := want.GetAttr(a.Name), cty.NilVal
		if live != cty.NilVal && !live.IsNull() {
			l = live.GetAttr(a.Name)
		}
		switch {
		case v.IsNull() && a.Computed:
			v = missing(a, l)
		case a.Block != nil && v.IsKnown() && !vacant(v):
			v = completeBlocks(a.Block, v, l, missing)
		}
		vals[a.Name] = v
	}
	return cty.ObjectVal(vals)
}

func completeBlocks(b *Block, want, live cty.Value, missing func(*Attr, cty.Value) cty.Value) cty.Value {
	if live == cty.NilVal {
		live = cty.NullVal(want.Type())
	}
	switch b.Nesting {
	case Single:
		return completeObject(b.Attrs, want, live, missing)
	case Map:
		vals, lives := entries(want), entries(live)
		for k, v := range vals {
			vals[k] = completeObject(b.Attrs, v, lives[k], missing)
		}
		return cty.MapVal(vals)
	}
	vals, lives := elements(want), elements(live)
	pairs, matched := b.match(vals, lives)
	for i, v := range vals {
		l := cty.NilVal
		if matched && pairs[i] >= 0 {
			l = lives[pairs[i]]
		}
		vals[i] = completeObject(b.Attrs, v, l, missing)
	}
	if b.Nesting == List {
		return cty.ListVal(vals)
	}
	return cty.SetVal(vals)
}
