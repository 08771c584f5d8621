package planfile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/schema"
)

// FuzzParse reads the data as a plan file, and then as what stands in one whose
// checksum is right: as a plan to be shown, as the variables that make it again,
// and as one half of a comparison.
func FuzzParse(f *testing.F) {
	examples, err := filepath.Glob(filepath.Join("testdata", "*.plan"))
	if err != nil || len(examples) == 0 {
		f.Fatal("no examples", err)
	}
	for _, name := range examples {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		var e envelope
		if err := json.Unmarshal(data, &e); err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add([]byte(e.Plan))
	}
	types := map[string]*schema.Type{}
	for _, t := range fuzzTypes() {
		types[t.Name] = t
	}
	typeOf := func(name string) *schema.Type { return types[name] }
	f.Fuzz(func(t *testing.T, data []byte) {
		sum := sha256.Sum256(data)
		sealed, err := json.Marshal(envelope{format, version, hex.EncodeToString(sum[:]), data})
		if err != nil {
			sealed = nil // it is no JSON at all
		}
		for _, d := range [][]byte{data, sealed} {
			file, err := Parse(d)
			if err != nil {
				continue
			}
			if _, err := file.Bytes(); err != nil {
				t.Errorf("a plan that was read cannot be written: %v", err)
			}
			if _, err := file.Plan(typeOf); err != nil {
				continue
			}
			_, _ = file.Flags()                                                             // its errors are a person's business
			_, _ = file.OtherVariables(map[string]cty.Value{"memory": cty.NumberIntVal(1)}) // none with a hash, which takes long
			file.Leaving()
			file.SensitiveVariables()
			if differs := file.Differs(file, typeOf); len(differs) > 0 {
				t.Errorf("it differs from itself: %q", differs)
			}
		}
	})
}

// fuzzTypes are tables with each kind of value.
func fuzzTypes() []*schema.Type {
	name := schema.Attr{Name: "name", Type: cty.String, Required: true, Change: schema.Replace}
	id := schema.Attr{Name: "id", Type: cty.String, Computed: true}
	return []*schema.Type{
		{Name: "docker_network", Attrs: []schema.Attr{id, name, {Name: "internal", Type: cty.Bool, Change: schema.Replace}}},
		{Name: "docker_volume", HoldsData: true, Attrs: []schema.Attr{id, name, {Name: "driver", Type: cty.String, Change: schema.Replace}}},
		{Name: "docker_container", Renames: true, Attrs: []schema.Attr{
			id,
			{Name: "name", Type: cty.String, Required: true, Change: schema.Update},
			{Name: "image", Type: cty.String, Required: true, Change: schema.Replace},
			{Name: "env", Type: cty.Map(cty.String), Change: schema.Replace, Live: true, Merge: true},
			{Name: "memory", Type: cty.Number, Change: schema.Update},
			{Name: "must_run", Type: cty.Bool, Default: cty.True, Change: schema.Update, Demand: true},
			{Name: "command", Type: cty.List(cty.String), Change: schema.Replace},
			{Name: "networks_advanced", Change: schema.Update, Block: &schema.Block{Nesting: schema.Set, Key: []string{"name"}, Attrs: []schema.Attr{
				{Name: "name", Type: cty.String, Required: true},
			}}},
			{Name: "volumes", Change: schema.Replace, Block: &schema.Block{Nesting: schema.Set, Key: []string{"container_path"}, Attrs: []schema.Attr{
				{Name: "volume_name", Type: cty.String},
				{Name: "container_path", Type: cty.String},
			}}},
		}},
	}
}
