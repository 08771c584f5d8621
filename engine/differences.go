package engine

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/schema"
)

// Differences are schema.Differences without those that the block's
// lifecycle.ignore_changes names. block may be nil.
func Differences(t *schema.Type, block *schema.Resource, want, live, defaults cty.Value) []schema.Difference {
	diffs := schema.Differences(t, want, live, defaults)
	if block == nil {
		return diffs
	}
	l := block.Lifecycle
	return slices.DeleteFunc(diffs, func(d schema.Difference) bool {
		return l.IgnoreAll || slices.ContainsFunc(l.IgnoreChanges, func(t hcl.Traversal) bool { return covers(t, d.Path) })
	})
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
