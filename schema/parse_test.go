package schema

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// load writes the files to a directory and loads it from there.
func load(t *testing.T, files map[string]string) (*Config, hcl.Diagnostics) {
	t.Helper()
	t.Chdir(t.TempDir())
	writeFiles(t, files)
	return Load(".", testTypes(), testProviders())
}

func mustLoad(t *testing.T, src string) *Config {
	t.Helper()
	cfg, diags := load(t, map[string]string{"main.gapool.hcl": src})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return cfg
}

func writeFiles(t *testing.T, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLoad(t *testing.T) {
	cfg := mustLoad(t, `
gapool {
  required_version = ">= 0.1"
  stack            = "genetic"
}
terraform {
  required_version = ">= 1.5"
  required_providers {
    docker = { source = "kreuzwerker/docker", version = "3.0.2" }
  }
}
variable "workers" {
  description = "How many."
  type        = number
  default     = "2"
}
variable "limits" {
  type = object({ memory = optional(number, 512), cpus = optional(number) })
  default = {}
  nullable = false
}
variable "token" {
  sensitive = true
  validation {
    condition     = length(var.token) > 3
    error_message = "Too short."
  }
}
locals {
  a = 1
}
locals {
  b = local.a
}
provider "docker" {
  host = "unix:///var/run/docker.sock"
}
provider "docker" {
  alias   = "lab"
  context = "lab"
}
resource "docker_network" "pool" {
  name = "pool"
}
resource "docker_container" "web" {
  count    = 2
  provider = docker.lab
  name     = "web-${count.index}"
  image    = "nginx"
  dynamic "ports" {
    for_each = [80]
    content { internal = ports.value }
  }
  labels {
    label = "a"
    value = "b"
  }
  depends_on = [docker_network.pool]
  lifecycle {
    create_before_destroy = true
    prevent_destroy       = false
    ignore_changes        = [image, labels["a"]]
    replace_triggered_by  = [docker_network.pool.id]
    precondition {
      condition     = true
      error_message = "never"
    }
    postcondition {
      condition     = self.name != ""
      error_message = "never"
    }
  }
}
resource "ray_cluster" "pool" {
  name = "ray"
  head {}
  worker_group "cpu" { replicas = 1 }
  lifecycle { ignore_changes = all }
}
output "url" {
  description = "Where."
  value       = ray_cluster.pool.dashboard_url
  sensitive   = true
  depends_on  = [docker_container.web]
}
`)
	m := cfg.Root
	if m.Settings.Stack != "genetic" || m.Settings.RequiredVersion != ">= 0.1" {
		t.Errorf("settings: %+v", m.Settings)
	}
	if v := m.Variables["workers"]; !v.Default.RawEquals(cty.NumberIntVal(2)) || v.Type != cty.Number || v.Description != "How many." {
		t.Errorf("variable workers: %+v", v)
	}
	want := cty.ObjectVal(map[string]cty.Value{"memory": cty.NumberIntVal(512), "cpus": cty.NullVal(cty.Number)})
	if v := m.Variables["limits"]; !v.Default.RawEquals(want) || v.Nullable {
		t.Errorf("variable limits: %#v", v.Default)
	}
	if v := m.Variables["token"]; v.Default != cty.NilVal || !v.Sensitive || !v.Untyped || len(v.Validations) != 1 {
		t.Errorf("variable token: %+v", v)
	}
	if diff := cmp.Diff([]string{"a", "b"}, sortedKeys(m.Locals)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"docker", "docker.lab"}, sortedKeys(m.Providers)); diff != "" {
		t.Error(diff)
	}

	web := m.Resources[Addr{Type: "docker_container", Name: "web"}]
	if web.Provider != "docker.lab" || web.Count == nil || web.ForEach != nil || len(web.DependsOn) != 1 || web.Type.Name != "docker_container" {
		t.Errorf("web: %+v", web)
	}
	l := web.Lifecycle
	if !l.CreateBeforeDestroy || l.PreventDestroy == nil || *l.PreventDestroy || len(l.IgnoreChanges) != 2 ||
		len(l.ReplaceTriggeredBy) != 1 || len(l.Preconditions) != 1 || len(l.Postconditions) != 1 {
		t.Errorf("lifecycle: %+v", l)
	}
	pool := m.Resources[Addr{Type: "ray_cluster", Name: "pool"}]
	if pool.Provider != "docker" || !pool.Lifecycle.IgnoreAll || pool.Lifecycle.PreventDestroy != nil {
		t.Errorf("pool: %+v", pool)
	}
	o := m.Outputs["url"]
	if o.Description != "Where." || !o.Sensitive || len(o.DependsOn) != 1 || o.Expr == nil {
		t.Errorf("output: %+v", o)
	}
}

func TestLoadJSON(t *testing.T) {
	cfg, diags := load(t, map[string]string{
		"a.gapool.json": `{
  "variable": {"n": {"type": "number", "default": 3}},
  "resource": {"docker_network": {"x": {
    "name": "${var.n}-net", "provider": "docker.lab", "depends_on": ["docker_network.y"],
    "labels": {"a": "b"},
    "lifecycle": {"ignore_changes": ["name"]}}}},
  "provider": {"docker": {"alias": "lab"}}
}`,
		"b.gapool.hcl": `resource "docker_network" "y" { name = "y" }`,
		"ignored.hcl":  `resource "x" {`,
	})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	x := cfg.Root.Resources[Addr{Type: "docker_network", Name: "x"}]
	if x.Provider != "docker.lab" || len(x.DependsOn) != 1 || len(x.Lifecycle.IgnoreChanges) != 1 {
		t.Errorf("x: %+v", x)
	}
	got, diags := x.Type.Decode(x.Body, &hcl.EvalContext{Variables: map[string]cty.Value{
		"var": cty.ObjectVal(map[string]cty.Value{"n": cty.NumberIntVal(3)}),
	}})
	if diags.HasErrors() || got.GetAttr("name").AsString() != "3-net" {
		t.Errorf("x = %#v, %s", got, diags)
	}
}
