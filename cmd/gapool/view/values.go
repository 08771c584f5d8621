package view

import (
	"encoding/json"

	"github.com/zclconf/go-cty/cty"
)

// The JSON of a value as Terraform's plans have it: the value itself, in which
// what is unknown is left out (null in a list) and what is sensitive is null;
// and beside it two values of the same shape that say true where something is
// unknown and where something is sensitive.

// plainJSON is a value without what is unknown or sensitive.
func plainJSON(v cty.Value) any {
	if v == cty.NilVal || v.IsMarked() || !v.IsKnown() || v.IsNull() {
		return nil
	}
	switch ty := v.Type(); {
	case ty == cty.String:
		return v.AsString()
	case ty == cty.Number:
		return json.RawMessage(v.AsBigFloat().Text('f', -1))
	case ty == cty.Bool:
		return v.True()
	case ty.IsMapType() || ty.IsObjectType():
		out := map[string]any{}
		for name, e := range v.AsValueMap() {
			if e.IsKnown() {
				out[name] = plainJSON(e)
			}
		}
		return out
	default:
		out := []any{}
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			out = append(out, plainJSON(e))
		}
		return out
	}
}

// whereJSON has the value's shape and says true at each place that is; a place
// of an object or a map where nothing is, is left out.
func whereJSON(v cty.Value, is func(cty.Value) bool) any {
	switch {
	case v == cty.NilVal:
		return false
	case is(v):
		return true
	case v.IsMarked():
		v, _ = v.Unmark()
		return whereJSON(v, is)
	case !v.IsKnown() || v.IsNull():
		return false
	}
	switch ty := v.Type(); {
	case ty.IsMapType() || ty.IsObjectType():
		out := map[string]any{}
		for name, e := range v.AsValueMap() {
			if at := whereJSON(e, is); at != false {
				out[name] = at
			}
		}
		return out
	case ty.IsListType() || ty.IsSetType() || ty.IsTupleType():
		out := []any{}
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			out = append(out, whereJSON(e, is))
		}
		return out
	default:
		return false
	}
}

func isUnknown(v cty.Value) bool { return !v.IsKnown() }

func isSensitive(v cty.Value) bool { return v.IsMarked() }
