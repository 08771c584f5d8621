package schema

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	tfjson "github.com/hashicorp/terraform-json"
)

// The configuration as Terraform's own library reads it: nested blocks are lists,
// also one that may be written once only; a reference is there with all that it
// goes through; and each provider in use is there.
func TestDescribe(t *testing.T) {
	cfg := mustLoad(t, `
variable "limits" {
  type    = object({ memory = number })
  default = { memory = 512 }
}
resource "docker_network" "pool" {
  for_each = toset(["a\"b"])
  name     = each.key
}
resource "docker_container" "web" {
  name   = "web"
  image  = "nginx"
  memory = var.limits.memory
  labels = { net = docker_network.pool["a\"b"].name }
}
resource "ray_cluster" "pool" {
  name = "pool"
  head {
    memory = 1024
  }
}
`)
	raw, err := json.Marshal(cfg.Describe())
	if err != nil {
		t.Fatal(err)
	}
	type fields tfjson.Config // without its own decoder, which lets all in
	var read fields
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&read); err != nil {
		t.Fatalf("Terraform's format does not have it: %v\n%s", err, raw)
	}
	if p := read.ProviderConfigs["docker"]; p == nil || p.Name != "docker" || p.FullName != "docker" {
		t.Errorf("the provider that the resources name is not there:\n%s", raw)
	}
	resources := map[string]*tfjson.ConfigResource{}
	for _, r := range read.RootModule.Resources {
		resources[r.Address] = r
	}
	for name, want := range map[string][]string{
		"memory": {"var.limits.memory", "var.limits"},
		"labels": {`docker_network.pool["a\"b"].name`, `docker_network.pool["a\"b"]`, "docker_network.pool"},
	} {
		if diff := cmp.Diff(want, resources["docker_container.web"].Expressions[name].References); diff != "" {
			t.Errorf("the references of %s (-want +got):\n%s", name, diff)
		}
	}
	head := resources["ray_cluster.pool"].Expressions["head"].NestedBlocks
	if len(head) != 1 || head[0]["memory"].ConstantValue != 1024.0 {
		t.Errorf("the head is read as %v:\n%s", head, raw)
	}
}
