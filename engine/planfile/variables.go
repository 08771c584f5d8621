package planfile

import (
	"fmt"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// WriteVariables writes down the variables. auto are the values that they have
// without flags and environment.
func WriteVariables(m *schema.Module, vals, auto map[string]cty.Value) (map[string]Variable, error) {
	out := make(map[string]Variable, len(vals))
	for name, v := range vals {
		bare, _ := v.UnmarkDeep()
		given := auto[name] == cty.NilVal || !sameValue(bare, auto[name])
		if !m.Variables[name].Sensitive {
			var w writer
			out[name] = Variable{typed: w.typed(bare), Given: given}
			continue
		}
		raw, err := ctyjson.Marshal(bare, bare.Type())
		if err != nil {
			return nil, fmt.Errorf("var.%s: %w", name, err)
		}
		hash, err := state.HashSecret(raw)
		if err != nil {
			return nil, err
		}
		out[name] = Variable{Hash: hash, Given: given}
	}
	return out, nil
}

func sameValue(a, b cty.Value) bool {
	b, _ = b.UnmarkDeep()
	return a.RawEquals(b)
}

// Flags are the values that the plan was given, for making it again. What the
// apply is given itself comes behind them.
func (f *File) Flags() ([]schema.VarFlag, error) {
	var out []schema.VarFlag
	for _, name := range slices.Sorted(maps.Keys(f.Variables)) {
		v := f.Variables[name]
		if v.Hash != "" || !v.Given {
			continue
		}
		val, err := v.read()
		if err != nil {
			return nil, damaged("var."+name, err)
		}
		out = append(out, schema.VarFlag{Name: name, Literal: val})
	}
	return out, nil
}

// OtherVariables says which variables are not as they were when the plan was
// made.
func (f *File) OtherVariables(vals map[string]cty.Value) ([]string, error) {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(vals)) {
		was, ok := f.Variables[name]
		bare, marks := vals[name].UnmarkDeep()
		switch {
		case !ok:
			out = append(out, fmt.Sprintf("var.%s did not exist", name))
		case was.Hash != "":
			raw, err := ctyjson.Marshal(bare, bare.Type())
			if err != nil {
				return nil, fmt.Errorf("var.%s: %w", name, err)
			}
			if !state.VerifySecret(was.Hash, raw) {
				out = append(out, fmt.Sprintf("var.%s, which is sensitive, has another value", name))
			}
		case len(marks) > 0:
			out = append(out, fmt.Sprintf("var.%s was not sensitive", name))
		default:
			old, err := was.read()
			if err != nil {
				return nil, damaged("var."+name, err)
			}
			if !old.RawEquals(bare) {
				out = append(out, fmt.Sprintf("var.%s was %s and is %s", name, short(was.Value), short((&writer{}).value(bare))))
			}
		}
	}
	return out, nil
}

// Values are the variables for showing them: a sensitive one is a stand-in with
// the mark.
func (f *File) Values() (map[string]cty.Value, error) {
	out := make(map[string]cty.Value, len(f.Variables))
	for name, v := range f.Variables {
		if v.Hash != "" {
			out[name] = cty.StringVal("").Mark(schema.SensitiveMark)
			continue
		}
		val, err := v.read()
		if err != nil {
			return nil, damaged("var."+name, err)
		}
		out[name] = val
	}
	return out, nil
}
