package view

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// StateJSON is Terraform's JSON of a state, which ends with a newline. What was
// sensitive is null; what a state keeps of no object is left out, since it is not
// known whether it is set.
func StateJSON(st *state.State, typeOf func(string) *schema.Type, outputs map[string]Output) ([]byte, error) {
	out := stateJSON{FormatVersion: "1.0", TerraformVersion: terraformVersion}
	for _, addr := range st.Addrs() {
		rec := st.Records[addr]
		t := typeOf(rec.Kind)
		if t == nil {
			continue // no provider has it any more; gapool show says so
		}
		vals := map[string]cty.Value{}
		maps.Copy(vals, engine.StoredValue(t, rec)) // which is nil of an object that is recorded by its name only
		for i := range t.Attrs {
			a := &t.Attrs[i]
			switch _, stored := vals[a.Name]; {
			case slices.Contains(rec.Sensitive, a.Name):
				vals[a.Name] = cty.NullVal(a.Implied()).Mark(schema.SensitiveMark)
			case !stored && engine.HoldsSecrets(a):
				vals[a.Name] = cty.UnknownVal(a.Implied())
			}
		}
		v := shaped(t.Attrs, t.Build(vals))
		r := resourceJSON{
			identity: identityOf(addr, t, rec.Provider), Values: plainJSON(v), Sensitive: whereJSON(v, isSensitive),
			Tainted: rec.Current != nil && rec.Current.Status == state.Tainted,
		}
		for _, d := range rec.Deps {
			r.DependsOn = append(r.DependsOn, d.String())
		}
		out.Values.Root.Resources = append(out.Values.Root.Resources, r)
	}
	out.Values.Outputs = map[string]outputJSON{}
	for name, o := range outputs {
		out.Values.Outputs[name] = outputValue(o.Value, o.Sensitive)
	}
	data, err := json.Marshal(out)
	return append(data, '\n'), err
}
