package engine

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/schema"
)

// Differences are schema.Differences without those that the block's
// lifecycle.ignore_changes names. block may be nil. Where the wanted value is
// secret the live one is too.
func Differences(t *schema.Type, block *schema.Resource, want, live, defaults cty.Value) []schema.Difference {
	diffs := schema.Differences(t, want, live, defaults)
	for i := range diffs {
		if d := &diffs[i]; d.Want.ContainsMarked() {
			d.Live = d.Live.Mark(schema.SensitiveMark)
		}
	}
	diffs = slices.DeleteFunc(diffs, func(d schema.Difference) bool { return ignored(block, d) })
	return whole(diffs, want, live)
}

// whole puts what differs within a secret together: by which key or in which
// element it differs would tell what is in it.
func whole(diffs []schema.Difference, want, live cty.Value) []schema.Difference {
	if len(diffs) == 0 {
		return nil
	}
	_, marks := schema.Unmark(want)
	_, more := schema.Unmark(live)
	marks = append(marks, more...)
	var out []schema.Difference
	put := map[int]bool{} // those of out that were put together
	for _, d := range diffs {
		within := false
		for _, m := range marks {
			if len(m.Path) < len(d.Path) && d.Path.HasPrefix(m.Path) {
				within = true
				d.Path = m.Path
				d.Want, d.Live = at(want, m.Path), at(live, m.Path).Mark(schema.SensitiveMark)
			}
		}
		if n := len(out) - 1; within && put[n] && out[n].Path.Equals(d.Path) {
			join(&out[n], d)
			continue
		}
		put[len(out)] = within
		out = append(out, d)
	}
	return out
}

// join adds what another difference of the same place leads to: that is certain
// where one of them is.
func join(d *schema.Difference, other schema.Difference) {
	d.Replace, d.Unknown = d.Replace || other.Replace, d.Unknown && other.Unknown
}

// at is what is at a place, null where there is nothing.
func at(v cty.Value, path cty.Path) cty.Value {
	x, err := path.Apply(v)
	if err != nil {
		return cty.NullVal(cty.DynamicPseudoType)
	}
	return x
}

func ignored(block *schema.Resource, d schema.Difference) bool {
	if block == nil {
		return false
	}
	l := block.Lifecycle
	return l.IgnoreAll || slices.ContainsFunc(l.IgnoreChanges, func(t hcl.Traversal) bool { return covers(t, d.Path) })
}

// Kept is the wanted value of an object that stays: what ignore_changes covers
// is as it is on the engine. Of nested blocks it is, where one difference in
// them is ignored, the whole attribute. What was secret on the engine stays it,
// and so does what the configuration does not show of a Live attribute: it may be.
func Kept(t *schema.Type, block *schema.Resource, want, live, defaults cty.Value) cty.Value {
	if block == nil || (!block.Lifecycle.IgnoreAll && len(block.Lifecycle.IgnoreChanges) == 0) {
		return want
	}
	bare, _ := live.UnmarkDeep()
	set := map[string]cty.Value{}
	for _, d := range schema.Differences(t, want, bare, defaults) {
		if !ignored(block, d) {
			continue
		}
		value, ok := set[d.Attr]
		if !ok {
			value = want.GetAttr(d.Attr)
		}
		value, marks := value.UnmarkDeep()
		if live.GetAttr(d.Attr).ContainsMarked() || t.Attr(d.Attr).Live && !Shown(d.Want) {
			marks = cty.NewValueMarks(schema.SensitiveMark)
		}
		if is := bare.GetAttr(d.Attr); len(d.Path) == 2 && t.Attr(d.Attr).Block == nil && value.IsKnown() {
			value = withKey(value, d.Path[1], d.Live)
		} else {
			value = is
		}
		set[d.Attr] = value.WithMarks(marks)
	}
	if len(set) == 0 {
		return want
	}
	return schema.With(want, set)
}

// withKey returns the map with one key as it is live; null is without it.
func withKey(m cty.Value, step cty.PathStep, live cty.Value) cty.Value {
	index, ok := step.(cty.IndexStep)
	if !ok {
		return m
	}
	all := map[string]cty.Value{}
	if !m.IsNull() {
		maps.Copy(all, m.AsValueMap())
	}
	if live.IsNull() {
		delete(all, index.Key.AsString())
	} else {
		all[index.Key.AsString()] = live
	}
	if len(all) == 0 {
		return cty.MapValEmpty(m.Type().ElementType())
	}
	return cty.MapVal(all)
}

// covers reports whether a relative traversal leads to the place or to
// something that the place is in.
func covers(t hcl.Traversal, place cty.Path) bool {
	if len(t) > len(place) {
		return false // the difference is wider than what is ignored
	}
	for i, step := range t {
		var name string
		var key cty.Value
		switch s := step.(type) {
		case hcl.TraverseRoot:
			name, key = s.Name, cty.StringVal(s.Name)
		case hcl.TraverseAttr:
			name, key = s.Name, cty.StringVal(s.Name)
		case hcl.TraverseIndex:
			key = s.Key
		default:
			return false
		}
		switch at := place[i].(type) {
		case cty.GetAttrStep:
			if at.Name != name {
				return false
			}
		case cty.IndexStep:
			if !at.Key.RawEquals(key) {
				return false
			}
		}
	}
	return true
}
