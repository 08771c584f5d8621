package schema

import (
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

// TestNormalizeKeepsMarksByElement: a secret hides its element, where the
// normal form still has that element, and the whole argument elsewhere.
func TestNormalizeKeepsMarksByElement(t *testing.T) {
	secret := cty.StringVal("s").Mark(SensitiveMark)
	fromPairs := func(v cty.Value) (cty.Value, error) {
		if v.Type().IsObjectType() || v.Type().IsMapType() {
			return v, nil
		}
		m := map[string]cty.Value{}
		for _, el := range v.AsValueSlice() {
			name, value, _ := strings.Cut(el.AsString(), "=")
			m[name] = cty.StringVal(value)
		}
		return cty.MapVal(m), nil
	}
	swap := func(v cty.Value) (cty.Value, error) {
		m := v.AsValueMap()
		m["a"], m["b"] = m["b"], m["a"]
		return cty.MapVal(m), nil
	}
	both := func(a, b cty.Value) cty.Value { return cty.ObjectVal(map[string]cty.Value{"a": a, "b": b}) }
	tests := map[string]struct {
		attr     Attr
		in, want cty.Value
	}{
		"an object becomes a map": {
			Attr{Name: "x", Type: cty.Map(cty.String), Accept: fromPairs},
			both(cty.NumberIntVal(1), secret),
			cty.MapVal(map[string]cty.Value{"a": cty.StringVal("1"), "b": secret}),
		},
		"an object with an unknown element": {
			Attr{Name: "x", Type: cty.Map(cty.String), Accept: fromPairs},
			both(cty.UnknownVal(cty.String), secret),
			cty.MapVal(map[string]cty.Value{"a": cty.UnknownVal(cty.String), "b": secret}),
		},
		"an object that is sensitive as a whole": {
			Attr{Name: "x", Type: cty.Map(cty.String), Accept: fromPairs},
			both(cty.StringVal("1"), cty.StringVal("s")).Mark(SensitiveMark),
			cty.MapVal(map[string]cty.Value{"a": cty.StringVal("1"), "b": cty.StringVal("s")}).Mark(SensitiveMark),
		},
		"a list becomes a map": {
			Attr{Name: "x", Type: cty.Map(cty.String), Accept: fromPairs},
			cty.TupleVal([]cty.Value{cty.StringVal("a=1"), cty.StringVal("b=s").Mark(SensitiveMark)}),
			cty.MapVal(map[string]cty.Value{"a": cty.StringVal("1"), "b": cty.StringVal("s")}).Mark(SensitiveMark),
		},
		"elements change their places": {
			Attr{Name: "x", Type: cty.Map(cty.String), Accept: swap},
			both(cty.StringVal("1"), secret),
			cty.MapVal(map[string]cty.Value{"a": cty.StringVal("s"), "b": cty.StringVal("1")}).Mark(SensitiveMark),
		},
		"a set": {
			Attr{Name: "x", Type: cty.Set(cty.String)},
			cty.ListVal([]cty.Value{cty.StringVal("a"), secret}),
			cty.SetVal([]cty.Value{cty.StringVal("a"), cty.StringVal("s")}).Mark(SensitiveMark),
		},
		"a sensitive attribute": {
			Attr{Name: "x", Type: cty.Map(cty.String), Sensitive: true},
			both(cty.StringVal("1"), secret),
			cty.MapVal(map[string]cty.Value{"a": cty.StringVal("1"), "b": cty.StringVal("s")}).Mark(SensitiveMark),
		},
	}
	for name, test := range tests {
		table := &Type{Name: "docker_thing", Attrs: []Attr{test.attr}}
		got, err := table.Normalize(cty.ObjectVal(map[string]cty.Value{"x": test.in}))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := got.GetAttr("x"); !got.RawEquals(test.want) {
			t.Errorf("%s:\n got %#v\nwant %#v", name, got, test.want)
		}
	}
}
