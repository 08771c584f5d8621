package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// show -json of a plan has Terraform's fields and no others, also what only a
// configuration brings: variables, expressions, conditions, a cluster.
func TestPlanInTerraformsShape(t *testing.T) {
	b := newBench(t, t.TempDir())
	b.arrange(append(slices.Clone(lab), `variable "size" {
  default = 3
  validation {
    condition     = var.size > 1
    error_message = "too small"
  }
}`))
	b.must("plan", "-out=kept", "-var=workers=2", "-var=token=hunter2")
	out := b.must("show", "-json", "kept")
	type fields tfjson.Plan // without its own decoder, which is not strict
	var p struct {
		fields
		Applyable bool `json:"applyable"` // the library does not know these two
		Errored   bool `json:"errored"`
	}
	strict(t, out, &p)
	if strings.Contains(out, "hunter2") || strings.Contains(out, b.dir) || p.Timestamp != "" {
		t.Error("it has a secret, a path of this machine or a time in it")
	}
	if p.Variables["token"].Value != nil || p.Variables["size"].Value != 3.0 {
		t.Errorf("the variables are %v, %v", p.Variables["token"], p.Variables["size"])
	}
	if len(p.Checks) != 1 || p.Checks[0].Address.ToDisplay != "var.size" || p.Checks[0].Status != "pass" {
		t.Errorf("the checks are %+v", p.Checks)
	}
	if len(p.RelevantAttributes) == 0 || len(p.Config.RootModule.Resources) != 6 {
		t.Errorf("%d attributes are relevant to %d resources", len(p.RelevantAttributes), len(p.Config.RootModule.Resources))
	}
	kinds := map[string]string{}
	for _, rc := range p.ResourceChanges {
		if rc.Name != "pool" {
			continue
		}
		kinds[rc.Address] = rc.Type
		if after := rc.Change.After.(map[string]any); rc.Type == "docker_container" && (after["command"] == nil || after["shm_size"] == nil || after["restart"] != "unless-stopped") {
			t.Errorf("%s is no container that a policy could judge: %v", rc.Address, after)
		}
	}
	want := map[string]string{
		"ray_cluster.pool": "ray_cluster", "ray_cluster.pool.head": "docker_container",
		`ray_cluster.pool.worker["cpu"][0]`: "docker_container", `ray_cluster.pool.worker["cpu"][1]`: "docker_container",
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("the cluster is (-want +got):\n%s", diff)
	}
	token := p.OutputChanges["token"]
	if token.After != nil || token.AfterSensitive != true || !token.Actions.Create() {
		t.Errorf("the sensitive output is %+v", token)
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
