package schema

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func TestReferences(t *testing.T) {
	for text, want := range map[string][]string{
		`var.a + local.b`:                                        {"var.a", "local.b"},
		`docker_network.x.id`:                                    {"docker_network.x"},
		`docker_network.x[2].id`:                                 {"docker_network.x[2]"},
		`docker_network.x["k"]`:                                  {`docker_network.x["k"]`},
		`docker_network.x[*].id`:                                 {"docker_network.x"},
		`docker_network.x[var.k].id`:                             {"docker_network.x", "var.k"},
		`{ for k, v in var.m : k => v.id if each.key == k }`:     {"var.m", "each.key"},
		`"${count.index}-${path.module}-${terraform.workspace}"`: {"count.index", "path.module", "terraform.workspace"},
		`self.name`:  {"self"},
		`upper("a")`: {},
	} {
		expr, diags := hclsyntax.ParseExpression([]byte(text), "x.hcl", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		refs, diags := References(expr.Variables())
		if diags.HasErrors() {
			t.Errorf("%s: %s", text, diags)
		}
		got := []string{}
		for _, r := range refs {
			got = append(got, r.text())
			if r.Range.Empty() {
				t.Errorf("%s: %s has no range", text, r.text())
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestResourceTraversals(t *testing.T) {
	cfg := mustLoad(t, `
variable "v" { default = {} }
locals {
  a = 1
  b = 2
  c = 3
}
resource "docker_network" "dep" { name = "dep" }
resource "docker_network" "trigger" { name = "trigger" }
resource "docker_container" "web" {
  for_each = var.v
  name     = "web-${each.key}"
  image    = local.a
  dynamic "ports" {
    for_each = { x = local.b }
    iterator = port
    content { internal = port.value }
  }
  labels {
    label = "a"
    value = local.c
  }
  depends_on = [docker_network.dep]
  lifecycle {
    replace_triggered_by = [docker_network.trigger.id]
    postcondition {
      condition     = self.name != path.root
      error_message = "no"
    }
  }
}
resource "ray_cluster" "pool" {
  name = "pool"
  head {}
  dynamic "worker_group" {
    for_each = var.v
    labels   = [worker_group.key, local.a]
    content { replicas = worker_group.value }
  }
}
output "o" {
  value      = local.a
  depends_on = [docker_network.dep]
}
provider "docker" { host = local.b }
`)
	if diags := cfg.Root.CheckRefs(); diags.HasErrors() {
		t.Fatal(diags)
	}
	for name, test := range map[string]struct {
		got  []hcl.Traversal
		want []string
	}{
		"web": {cfg.Root.Resources[Addr{Type: "docker_container", Name: "web"}].Traversals(),
			[]string{"var.v", "each.key", "local.a", "local.b", "local.c", "docker_network.dep", "docker_network.trigger", "self", "path.root"}},
		"pool":     {cfg.Root.Resources[Addr{Type: "ray_cluster", Name: "pool"}].Traversals(), []string{"var.v", "local.a"}},
		"output":   {cfg.Root.Outputs["o"].Traversals(), []string{"local.a", "docker_network.dep"}},
		"provider": {cfg.Root.Providers["docker"].Traversals(), []string{"local.b"}},
	} {
		refs, diags := References(test.got)
		if diags.HasErrors() {
			t.Errorf("%s: %s", name, diags)
		}
		var got []string
		for _, r := range refs {
			got = append(got, r.text())
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestWriteDiagnosticsOrder(t *testing.T) {
	at := func(file string, line, b int, summary string) *hcl.Diagnostic {
		return problemAt(hcl.Range{Filename: file, Start: hcl.Pos{Line: line, Column: 1, Byte: b}, End: hcl.Pos{Line: line, Column: 2, Byte: b + 1}}, summary, "Detail.")
	}
	diags := hcl.Diagnostics{at("b.hcl", 1, 0, "four"), at("a.hcl", 2, 6, "three"), at("a.hcl", 1, 0, "two"), problem("one", "Detail.")}
	var b bytes.Buffer
	if err := WriteDiagnostics(&b, map[string][]byte{"a.hcl": []byte("x = 1\ny = 2\n")}, diags, 0, false); err != nil {
		t.Fatal(err)
	}
	want := `Error: one

Detail.

Error: two

  on a.hcl line 1:
   1: x = 1

Detail.

Error: three

  on a.hcl line 2:
   2: y = 2

Detail.

Error: four

On b.hcl line 1: Detail.

`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diags[0].Summary != "four" || diags[0].Subject == nil {
		t.Error("the given diagnostics were changed")
	}
	b.Reset()
	if err := WriteDiagnostics(&b, nil, diags[:1], 0, true); err != nil || !strings.Contains(b.String(), "\x1b[31mError") {
		t.Errorf("no colour in %q (%v)", b.String(), err)
	}
}
