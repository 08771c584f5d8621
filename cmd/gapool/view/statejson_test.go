package view

import (
	"encoding/json"
	"testing"

	tfjson "github.com/hashicorp/terraform-json"

	"github.com/gapool/gapool/state"
)

// Of what a create left half-made, the name alone may be recorded.
func TestStateOfAHalfMadeObject(t *testing.T) {
	st := state.New("genetic", "default")
	a := addr(t, "docker_container.web")
	st.Records[a] = &state.Record{
		Addr: a, Kind: "docker_container", Provider: "docker", Sensitive: []string{"password"},
		Current: &state.Object{ID: "0a1b", Name: "web", Status: state.Tainted},
	}
	data, err := StateJSON(st, tables, nil)
	if err != nil {
		t.Fatal(err)
	}
	var read tfjson.State
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatalf("terraform-json refuses it: %v\n%s", err, data)
	}
	r := read.Values.RootModule.Resources[0]
	if _, there := r.AttributeValues["password"]; !r.Tainted || !there || r.AttributeValues["password"] != nil {
		t.Errorf("it is not tainted, or its secret is not null:\n%s", data)
	}
	if _, there := r.AttributeValues["env"]; there {
		t.Errorf("it has an env, of which the state knows nothing:\n%s", data)
	}
}
