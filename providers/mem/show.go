package mem

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// show returns the object as it reads now.
func (w *World) show(o *object) *providers.Object {
	out := &providers.Object{
		Kind: o.t.Name, ID: o.id, Name: o.name, Owner: o.owner, Created: o.created,
		Started: o.started || demand(o.t) == "",
		Broken:  o.broken,
		Users:   w.holders(o),
	}
	out.Owner.Deps = slices.Clone(o.owner.Deps)
	want := o.want
	for _, r := range o.refs {
		target := w.ids[key{r.Kind, r.ID}]
		switch {
		case w.byName[r.Kind].ByName:
			if target == nil || target.name != r.Name {
				// The tag means something else now.
				want = renamed(o.t, want, r.Word, r.ID)
			}
		case target == nil:
			want = without(o.t, want, r.Word)
			continue
		}
		out.Uses = append(out.Uses, r.Ref)
	}
	sortRefs(out.Uses)

	var defaults map[string]cty.Value
	if w.lies != nil {
		defaults = w.lies(o.t.Name, o.want)
	}
	out.Defaults = o.t.Build(nothing(o.t, defaults))
	attrs := make(map[string]cty.Value, len(o.t.Attrs))
	for i := range o.t.Attrs {
		a := &o.t.Attrs[i]
		v, under := want.GetAttr(a.Name), out.Defaults.GetAttr(a.Name)
		switch {
		case a.Name == "name" && a.Type == cty.String:
			v = cty.StringVal(o.name)
		case a.Demand:
			v = cty.BoolVal(o.running)
		case a.Recorded:
			v = cty.NullVal(a.Type) // as an engine that does not say it back
		case a.Change == schema.None && a.Block == nil && !a.Computed && !o.t.Virtual:
			v = cty.NullVal(a.Type)
		case a.Merge && !under.IsNull():
			v = overlay(under, v)
		case v.IsNull() && !under.IsNull():
			v = under
		}
		if a.Block != nil && a.Block.Nesting != schema.Single && !v.IsNull() && v.LengthInt() == 0 {
			v = cty.NullVal(v.Type()) // the normal form of no blocks
		}
		attrs[a.Name] = o.fill(a, v, a.Name)
	}
	out.Attrs = cty.ObjectVal(attrs)
	return out
}

// nothing adds to the defaults that lists, sets and maps are empty where the
// configuration leaves them out, so that taking one away is a difference.
func nothing(t *schema.Type, defaults map[string]cty.Value) map[string]cty.Value {
	out := make(map[string]cty.Value, len(t.Attrs))
	for i := range t.Attrs {
		a := &t.Attrs[i]
		if v, ok := defaults[a.Name]; ok {
			out[a.Name] = v
		} else if ty := a.Implied(); !a.Computed && ty.IsCollectionType() {
			out[a.Name] = empty(ty)
		}
	}
	return out
}

// empty returns the empty value of a collection type.
func empty(ty cty.Type) cty.Value {
	switch {
	case ty.IsListType():
		return cty.ListValEmpty(ty.ElementType())
	case ty.IsSetType():
		return cty.SetValEmpty(ty.ElementType())
	default:
		return cty.MapValEmpty(ty.ElementType())
	}
}

// holders are the objects that keep o from being deleted. A container that does
// not run holds its volumes and its image, but no network.
func (w *World) holders(o *object) []providers.Ref {
	var refs []providers.Ref
	for u := range w.users[key{o.t.Name, o.id}] {
		if u.running || demand(u.t) == "" || o.t.HoldsData || o.t.ByName {
			refs = append(refs, u.ref())
		}
	}
	sortRefs(refs)
	return refs
}

func sortRefs(refs []providers.Ref) {
	slices.SortFunc(refs, func(a, b providers.Ref) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
}

func overlay(under, over cty.Value) cty.Value {
	if over.IsNull() {
		return under
	}
	m := under.AsValueMap()
	if m == nil {
		return over
	}
	maps.Copy(m, over.AsValueMap())
	return cty.MapVal(m)
}

// fill gives computed attributes that nobody set a value.
func (o *object) fill(a *schema.Attr, v cty.Value, path string) cty.Value {
	if v.IsNull() {
		if a.Computed {
			return o.computed(a, path)
		}
		return v
	}
	if a.Block == nil {
		return v
	}
	element := func(v cty.Value, path string) cty.Value {
		vals := make(map[string]cty.Value, len(a.Block.Attrs))
		for i := range a.Block.Attrs {
			b := &a.Block.Attrs[i]
			vals[b.Name] = o.fill(b, v.GetAttr(b.Name), path+"."+b.Name)
		}
		return cty.ObjectVal(vals)
	}
	if a.Block.Nesting == schema.Single {
		return element(v, path)
	}
	if v.LengthInt() == 0 {
		return v
	}
	if a.Block.Nesting == schema.Map {
		m := v.AsValueMap()
		for k, x := range m {
			m[k] = element(x, path+"."+k)
		}
		return cty.MapVal(m)
	}
	var list []cty.Value
	for i, x := range v.AsValueSlice() {
		at := strconv.Itoa(i)
		if a.Block.Nesting == schema.Set {
			at = hash(fmt.Sprintf("%#v", x))
		}
		list = append(list, element(x, path+"."+at))
	}
	if a.Block.Nesting == schema.Set {
		return cty.SetVal(list)
	}
	return cty.ListVal(list)
}

// firstPort and ports are the range that ephemeral ports come from.
const (
	firstPort = 32768
	ports     = 28232
)

// computed returns a value that follows from the object's ID and the attribute.
func (o *object) computed(a *schema.Attr, path string) cty.Value {
	seed := hash(o.id, path)
	if a.Volatile {
		seed = hash(o.id, path, strconv.Itoa(o.starts))
	}
	n, err := strconv.ParseUint(seed[:8], 16, 64)
	if err != nil {
		panic(err) // a hash is hexadecimal
	}
	ty := a.Implied()
	switch {
	case path == "id" || path == noun(o.t)+"_id":
		return cty.StringVal(o.id)
	case ty == cty.String:
		return cty.StringVal(a.Name + "-" + seed[:12])
	case ty == cty.Number && a.Name == "external":
		return cty.NumberUIntVal(firstPort + n%ports)
	case ty == cty.Number:
		return cty.NumberUIntVal(n % 1000)
	case ty == cty.Bool:
		return cty.False
	case ty.IsCollectionType():
		return empty(ty)
	default:
		return cty.NullVal(ty)
	}
}

// renamed replaces a word among the string attributes of an object.
func renamed(t *schema.Type, v cty.Value, word, by string) cty.Value {
	set := map[string]cty.Value{}
	for i := range t.Attrs {
		a := &t.Attrs[i]
		if x := v.GetAttr(a.Name); a.Type == cty.String && !x.IsNull() && x.AsString() == word {
			set[a.Name] = cty.StringVal(by)
		}
	}
	return schema.With(v, set)
}

// without leaves out the nested blocks that name something which is gone: a
// container whose network was removed is not connected to it.
func without(t *schema.Type, v cty.Value, word string) cty.Value {
	set := map[string]cty.Value{}
	for i := range t.Attrs {
		a := &t.Attrs[i]
		x := v.GetAttr(a.Name)
		if a.Block == nil || a.Block.Nesting != schema.List && a.Block.Nesting != schema.Set || x.IsNull() {
			continue
		}
		kept := slices.DeleteFunc(x.AsValueSlice(), func(el cty.Value) bool {
			for _, leaf := range el.AsValueMap() {
				if leaf.Type() == cty.String && !leaf.IsNull() && leaf.AsString() == word {
					return true
				}
			}
			return false
		})
		switch {
		case len(kept) == 0:
			set[a.Name] = cty.NullVal(a.Implied())
		case a.Block.Nesting == schema.Set:
			set[a.Name] = cty.SetVal(kept)
		default:
			set[a.Name] = cty.ListVal(kept)
		}
	}
	return schema.With(v, set)
}
