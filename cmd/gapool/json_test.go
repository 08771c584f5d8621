package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	tfjson "github.com/hashicorp/terraform-json"
)

// strict reads JSON and refuses a field that Terraform's format does not have.
func strict(t *testing.T, text string, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// validate -json and output -json have Terraform's fields and no others.
func TestValidateAndOutputInTerraformsShape(t *testing.T) {
	dir := t.TempDir()
	w := world(filepath.Join(dir, ".world.json"))
	s := &shop{dir: dir, world: w, provider: w}
	s.write(`
resource "docker_network" "pool" { name = "pool" }
output "name" { value = docker_network.pool.name }
output "list" { value = [1, true] }
output "secret" {
  value     = docker_network.pool.name
  sensitive = true
}
`)
	type validation tfjson.ValidateOutput // without its own decoder, which is not strict
	var valid validation
	_, out := s.run("validate", "-json")
	strict(t, out, &valid)
	if !valid.Valid || valid.FormatVersion != "1.0" || valid.Diagnostics == nil {
		t.Errorf("a valid configuration reads as %+v", valid)
	}
	if code, out := s.run("apply", "-auto-approve"); code != 0 {
		t.Fatal(out)
	}
	var outputs map[string]tfjson.StateOutput
	_, out = s.run("output", "-json")
	type output struct {
		Sensitive bool            `json:"sensitive"`
		Type      json.RawMessage `json:"type"`
		Value     any             `json:"value"`
	}
	strict(t, out, &map[string]output{})
	if err := json.Unmarshal([]byte(out), &outputs); err != nil {
		t.Fatal(err)
	}
	if o := outputs["name"]; o.Value != "pool" || o.Type.FriendlyName() != "string" || o.Sensitive {
		t.Errorf("name reads as %+v", o)
	}
	if o := outputs["list"]; o.Type.FriendlyName() != "tuple" {
		t.Errorf("list reads as %+v", o)
	}
	if o := outputs["secret"]; !o.Sensitive || o.Value != nil {
		t.Errorf("secret reads as %+v", o)
	}

	s.write(`resource "docker_network" "pool" { nmae = "pool" }`)
	var wrong validation
	code, out := s.run("validate", "-json")
	strict(t, out, &wrong)
	if code != 1 || wrong.Valid || wrong.ErrorCount != len(wrong.Diagnostics) || wrong.Diagnostics[0].Range == nil || wrong.Diagnostics[0].Snippet == nil {
		t.Errorf("a mistake reads as %d %+v", code, wrong)
	}
}

// An object that is replaced since it is unfit is tainted in Terraform's words.
func TestUnfitIsTainted(t *testing.T) {
	dir := t.TempDir()
	w := world(filepath.Join(dir, ".world.json"))
	s := &shop{dir: dir, world: w, provider: w}
	s.write(`resource "docker_container" "web" {
  name  = "web"
  image = "nginx"
}`)
	s.run("apply", "-auto-approve")
	w.Break("docker_container", "web", "is unhealthy")
	s.run("plan", "-out=kept")
	var doc tfjson.Plan
	if _, out := s.run("show", "-json", "kept"); json.Unmarshal([]byte(out), &doc) != nil {
		t.Fatal(out)
	}
	if r := doc.PriorState.Values.RootModule.Resources; len(r) != 1 || !r[0].Tainted {
		t.Errorf("the prior state has %+v", r)
	}
	if why := doc.ResourceChanges[0].ActionReason; why != "replace_because_tainted" {
		t.Errorf("it is replaced: %s", why)
	}
}
