package docker

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/schema"
)

// configured reads the body of a resource as the planner does, without marks.
func configured(t *testing.T, p *Provider, kind, text string) cty.Value {
	t.Helper()
	v, diags := decode(t, p, kind, text)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	v, _ = v.UnmarkDeep()
	if typ := typeOf(p, kind); typ.Derive != nil {
		var err error
		if v, err = typ.Derive(t.TempDir(), v); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func decode(t *testing.T, p *Provider, kind, text string) (cty.Value, hcl.Diagnostics) {
	t.Helper()
	f, diags := hclsyntax.ParseConfig([]byte(text), "test.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return typeOf(p, kind).Decode(f.Body, &hcl.EvalContext{Variables: map[string]cty.Value{
		"unknown": cty.UnknownVal(cty.String),
	}})
}

func typeOf(p *Provider, kind string) *schema.Type {
	for _, t := range p.Types() {
		if t.Name == kind {
			return t
		}
	}
	return p.Config()
}
