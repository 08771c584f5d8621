package schema

import (
	"cmp"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"
)

// Difference is one place where a live object is not as wanted.
type Difference struct {
	Attr string // the row of the table
	// Path leads from the resource's value to the place and starts with Attr.
	// It leads into the wanted value, or into the live one where Want is null.
	Path cty.Path
	// Want and Live are the values at the place: null is "nothing there". Want
	// has the marks of the configuration, and is the default where the
	// configuration says nothing.
	Want, Live cty.Value
	// Replace says that only a new object can have what is wanted.
	Replace bool
	// Unknown says that Want is not known yet, so that there may turn out to
	// be no difference.
	Unknown bool
}

// Differences compares a live object with what is wanted of it: none means that
// there is nothing to do. All three values are of the type's normal form; want
// may be unknown in parts and marked; defaults may be cty.NilVal, for an
// object of which nothing is known but its attributes. They come in the order
// of the table.
//
// Not compared are gapool's own attributes (Change None), volatile ones, and
// computed ones that the configuration leaves out. For the others:
//
//   - What the configuration leaves out is wanted to be as in defaults; where
//     these are null, anything is accepted.
//   - A Merge attribute is wanted as the defaults overlaid with what is
//     configured. Where the defaults are null, only the configured keys are
//     compared.
//   - A Recorded attribute that is left out is wanted to be left out.
//   - A Demand attribute that is wanted false never differs.
//   - A map is compared key by key, another argument as a whole.
//   - Nested blocks are compared with their counterparts: a Single one
//     directly, those of a Map by label, of a List or Set by Block.Key, without
//     one of a List by position and of a Set by being without a difference. A
//     key that is left out fits any. One without a counterpart is a difference.
//   - Within a block, what is left out is taken from the counterpart: it is
//     no difference.
//   - A null collection equals an empty one.
//   - What is unknown in want is a difference marked Unknown: of a map or a
//     block the place, of other arguments the whole; of a block that cannot be
//     matched for it, all blocks of the attribute.
//
// A row inside a block without a Change of its own has the block's. ReplaceIf
// is asked of known values only; for others it is taken to be true.
func Differences(t *Type, want, live, defaults cty.Value) []Difference {
	want, marks := Unmark(want)
	live = Bare(live)
	if defaults == cty.NilVal || defaults.IsNull() {
		defaults = t.Null()
	}
	defaults = Bare(defaults)
	var d differ
	for i := range t.Attrs {
		a := &t.Attrs[i]
		if a.Change != None {
			d.attr = a.Name
			d.compare(a, cty.GetAttrPath(a.Name), want.GetAttr(a.Name), live.GetAttr(a.Name), defaults.GetAttr(a.Name))
		}
	}
	for i := range d.found {
		f := &d.found[i]
		for _, m := range marks {
			if f.Path.HasPrefix(m.Path) || m.Path.HasPrefix(f.Path) {
				f.Want = f.Want.WithMarks(m.Marks)
			}
		}
	}
	return d.found
}

type differ struct {
	attr  string
	row   row
	found []Difference
}

// row is the row of the table that says what a difference leads to, with the
// values that its ReplaceIf is asked about.
type row struct {
	*Attr
	configured, live cty.Value
}

func (d *differ) add(path cty.Path, want, live cty.Value) {
	unknown := !want.IsWhollyKnown()
	r := d.row
	replace := r.Change == Replace
	if replace && r.ReplaceIf != nil && r.configured.IsWhollyKnown() {
		replace = r.ReplaceIf(r.live, r.configured)
	}
	d.found = append(d.found, Difference{Attr: d.attr, Path: path, Want: want, Live: live, Replace: replace, Unknown: unknown})
}

func (d *differ) compare(a *Attr, path cty.Path, configured, live, defaults cty.Value) {
	want := configured
	if want.IsNull() {
		want = defaults
	}
	if a.Volatile || want.IsNull() && !a.Recorded || a.Computed && configured.IsNull() {
		return
	}
	if a.Change != None {
		outer := d.row
		defer func() { d.row = outer }()
		d.row = row{a, configured, live}
	}
	switch {
	case !want.IsKnown():
		d.add(path, want, live)
	case a.Demand && want.False():
	case a.Block != nil:
		d.compareBlocks(a.Block, path, want, live, defaults)
	case a.Type.IsMapType():
		under, open := defaults, false
		if !a.Merge || configured.IsNull() {
			under = cty.NullVal(a.Type)
		} else {
			open = under.IsNull()
		}
		d.compareMaps(path, entries(under), entries(want), entries(live), open)
	case !want.IsWhollyKnown() || !same(want, live):
		d.add(path, want, live)
	}
}

// compareMaps compares live with want laid over under. With open, live may
// have keys of its own.
func (d *differ) compareMaps(path cty.Path, under, want, live map[string]cty.Value, open bool) {
	all := maps.Clone(live)
	maps.Copy(all, under)
	maps.Copy(all, want)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		w, wanted := want[k]
		if !wanted {
			w, wanted = under[k]
		}
		if !wanted && open {
			continue
		}
		w, l := orNull(w, all[k].Type()), orNull(live[k], all[k].Type())
		if !w.IsWhollyKnown() || !same(w, l) {
			d.add(path.IndexString(k), w, l)
		}
	}
}

func (d *differ) compareBlocks(b *Block, path cty.Path, want, live, defaults cty.Value) {
	switch b.Nesting {
	case Single:
		if live.IsNull() {
			d.add(path, want, live)
			return
		}
		d.compareObjects(b.Attrs, path, want, live, defaults)
	case Map:
		wants, lives := entries(want), entries(live)
		all := maps.Clone(wants)
		maps.Copy(all, lives)
		for _, k := range slices.Sorted(maps.Keys(all)) {
			d.compareElement(b, path.IndexString(k), orNull(wants[k], all[k].Type()), orNull(lives[k], all[k].Type()))
		}
	default:
		wants, lives := elements(want), elements(live)
		pairs, ok := b.match(wants, lives)
		if !ok {
			d.add(path, want, live)
			return
		}
		at := func(i int, el cty.Value) cty.Path {
			if b.Nesting == List {
				return path.IndexInt(i)
			}
			return path.Index(el)
		}
		met := make([]bool, len(lives))
		for i, w := range wants {
			l := cty.NullVal(w.Type())
			if j := pairs[i]; j >= 0 {
				l, met[j] = lives[j], true
			}
			d.compareElement(b, at(i, w), w, l)
		}
		for j, l := range lives {
			if !met[j] {
				d.compareElement(b, at(j, l), cty.NullVal(l.Type()), l)
			}
		}
	}
}

// compareElement compares one block with its counterpart; either may be null.
func (d *differ) compareElement(b *Block, path cty.Path, want, live cty.Value) {
	if want.IsNull() || live.IsNull() || !want.IsKnown() {
		d.add(path, want, live)
		return
	}
	d.compareObjects(b.Attrs, path, want, live, cty.NilVal)
}

func (d *differ) compareObjects(attrs []Attr, path cty.Path, want, live, defaults cty.Value) {
	for i := range attrs {
		a := &attrs[i]
		under := cty.NullVal(a.Implied())
		if defaults != cty.NilVal && !defaults.IsNull() {
			under = defaults.GetAttr(a.Name)
		}
		d.compare(a, path.GetAttr(a.Name), want.GetAttr(a.Name), live.GetAttr(a.Name), under)
	}
}

// match finds for each wanted element its live counterpart, -1 for none. It
// reports false where an unknown value keeps it from telling.
func (b *Block) match(wants, lives []cty.Value) ([]int, bool) {
	pairs := make([]int, len(wants))
	if b.Nesting == List && len(b.Key) == 0 {
		for i := range wants {
			pairs[i] = i
			if i >= len(lives) {
				pairs[i] = -1
			}
		}
		return pairs, true
	}
	for _, w := range wants {
		if !b.tellable(w) {
			return nil, false
		}
	}
	order := make([]int, len(wants))
	for i := range order {
		order[i], pairs[i] = i, -1
	}
	// An element that says little fits what one that says more needs, so that
	// one chooses first.
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(nulls(wants[i]), nulls(wants[j])) })
	taken := make([]bool, len(lives))
	pair := func(fits func(want, live cty.Value) bool) {
		for _, i := range order {
			if pairs[i] >= 0 {
				continue
			}
			for j, l := range lives {
				if !taken[j] && fits(wants[i], l) {
					pairs[i], taken[j] = j, true
					break
				}
			}
		}
	}
	pair(func(w, l cty.Value) bool { return b.keyed(w, l) && b.satisfied(w, l) })
	if len(b.Key) > 0 {
		pair(b.keyed)
	}
	return pairs, true
}

// tellable reports whether enough of a wanted element is known to match it.
func (b *Block) tellable(w cty.Value) bool {
	if len(b.Key) == 0 || !w.IsKnown() {
		return w.IsWhollyKnown()
	}
	for _, k := range b.Key {
		if !w.GetAttr(k).IsWhollyKnown() {
			return false
		}
	}
	return true
}

// keyed reports whether the keys fit.
func (b *Block) keyed(w, l cty.Value) bool {
	for _, k := range b.Key {
		if v := w.GetAttr(k); !v.IsNull() && !same(v, l.GetAttr(k)) {
			return false
		}
	}
	return true
}

// satisfied reports whether the live element is all that is wanted.
func (b *Block) satisfied(w, l cty.Value) bool {
	d := differ{row: row{Attr: &Attr{}}}
	d.compareObjects(b.Attrs, nil, w, l, cty.NilVal)
	return len(d.found) == 0
}

func nulls(obj cty.Value) int {
	n := 0
	for _, v := range obj.AsValueMap() {
		if v.IsNull() {
			n++
		}
	}
	return n
}

// same reports whether two known values are equal, where no collection is as
// good as an empty one.
func same(a, b cty.Value) bool {
	return vacant(a) && vacant(b) || a.RawEquals(b)
}

func vacant(v cty.Value) bool {
	return v.IsNull() || v.IsKnown() && v.Type().IsCollectionType() && v.LengthInt() == 0
}

func orNull(v cty.Value, ty cty.Type) cty.Value {
	if v == cty.NilVal {
		return cty.NullVal(ty)
	}
	return v
}

// entries returns a map's, which may be null.
func entries(v cty.Value) map[string]cty.Value {
	if vacant(v) {
		return map[string]cty.Value{}
	}
	return v.AsValueMap()
}

// elements returns a list's or set's, which may be null.
func elements(v cty.Value) []cty.Value {
	if vacant(v) {
		return nil
	}
	return v.AsValueSlice()
}
