package schema

import (
	"cmp"
	"slices"

	"github.com/zclconf/go-cty/cty"
)

type mark string

// SensitiveMark is the cty mark of values that are shown nowhere and stored
// nowhere in clear.
const SensitiveMark = mark("sensitive")

// IsSensitive reports whether v or anything in it is marked sensitive.
func IsSensitive(v cty.Value) bool {
	return marked(v)
}

// Unmark returns v without marks, and where they were: what
// cty.Value.UnmarkDeepWithPaths does, which rebuilds a value even where nothing
// in it is marked. Most values are of that kind, and a plan unmarks each often.
func Unmark(v cty.Value) (cty.Value, []cty.PathValueMarks) {
	if !marked(v) {
		return v, nil
	}
	return v.UnmarkDeepWithPaths()
}

// Bare returns v without marks.
func Bare(v cty.Value) cty.Value {
	v, _ = Unmark(v)
	return v
}

// marked is cty.Value.ContainsMarked without the path to each value, which that
// one makes for whoever wants to know it.
func marked(v cty.Value) bool {
	switch {
	case v.IsMarked():
		return true
	case v.IsNull() || !v.IsKnown() || !v.CanIterateElements():
		return false
	}
	for it := v.ElementIterator(); it.Next(); {
		if _, el := it.Element(); marked(el) {
			return true
		}
	}
	return false
}

// Secrets returns the known strings in v that are marked sensitive or stand
// within something that is, numbers included as they are written, the longest
// first and each once. What a message may quote of v must not contain one.
func Secrets(v cty.Value) []string {
	bare, marks := Unmark(v)
	if len(marks) == 0 {
		return nil
	}
	var found []string
	// The walk's function never fails.
	_ = cty.Walk(bare, func(path cty.Path, el cty.Value) (bool, error) {
		secret := slices.ContainsFunc(marks, func(m cty.PathValueMarks) bool { return path.HasPrefix(m.Path) })
		if !secret || el.IsNull() || !el.IsKnown() {
			return true, nil
		}
		switch el.Type() {
		case cty.String:
			found = append(found, el.AsString())
		case cty.Number:
			found = append(found, el.AsBigFloat().Text('f', -1))
		}
		return true, nil
	})
	slices.SortFunc(found, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return slices.DeleteFunc(slices.Compact(found), func(s string) bool { return s == "" })
}
