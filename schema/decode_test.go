package schema

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A table all of whose errors quote the value.
func quotingType() *Type {
	quote := func(v cty.Value) error { return fmt.Errorf("%#v is wrong", v) }
	refuse := func(v cty.Value) (cty.Value, error) { return cty.NilVal, quote(v) }
	return &Type{
		Name: "docker_thing",
		Attrs: []Attr{
			{Name: "checked", Type: cty.String, Check: quote},
			{Name: "accepted", Type: cty.List(cty.String), Accept: refuse},
			{Name: "number", Type: cty.Number},
			{Name: "always", Type: cty.String, Sensitive: true, Check: quote},
			{Name: "free", Type: cty.String},
			{Name: "list", Block: &Block{Nesting: List, Attrs: []Attr{{Name: "checked", Type: cty.String, Check: quote}, {Name: "free", Type: cty.String}}}},
			{Name: "set", Block: &Block{Nesting: Set, Attrs: []Attr{{Name: "free", Type: cty.String}}}},
		},
		Validate: func(v cty.Value) []Problem { return []Problem{{Attr: "free", Detail: fmt.Sprintf("%#v is wrong.", v)}} },
	}
}

func TestDecodeErrorsDoNotQuoteSecrets(t *testing.T) {
	for _, body := range []string{
		`checked = secret`,
		`checked = "a${secret}b"`,
		`accepted = [secret]`,
		`accepted = ["open", "A=${secret}"]`,
		`number = secret`,
		`always = "hunter2"`,
		"list {\nchecked = secret\n}",
		"free = secret",
		"list {\nfree = secret\n}",
		"set {\nfree = secret\n}",
		"dynamic \"list\" {\nfor_each = [1]\ncontent {\nchecked = secret\n}\n}",
	} {
		f, diags := hclsyntax.ParseConfig([]byte(body), "test.hcl", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		ctx := &hcl.EvalContext{Variables: map[string]cty.Value{"secret": cty.StringVal("hunter2").Mark(SensitiveMark)}}
		_, diags = quotingType().Decode(f.Body, ctx)
		if !diags.HasErrors() {
			t.Errorf("%s: no error", body)
		}
		var out bytes.Buffer
		if err := WriteDiagnostics(&out, nil, diags, 78, false); err != nil {
			t.Fatal(err)
		}
		if said := out.String() + diags.Error(); strings.Contains(said, "hunter2") || !strings.Contains(said, "sensitive") && !strings.Contains(body, "number") {
			t.Errorf("%s: got %s", body, said)
		}
	}
}

// What is not sensitive is quoted.
func TestDecodeQuotesTheRest(t *testing.T) {
	for _, body := range []string{`checked = "open"`, `accepted = ["open"]`, `free = "open"`} {
		f, diags := hclsyntax.ParseConfig([]byte(body), "test.hcl", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		_, diags = quotingType().Decode(f.Body, nil)
		if !strings.Contains(diags.Error(), `"open"`) {
			t.Errorf("%s: got %v", body, diags)
		}
	}
}

func TestSecrets(t *testing.T) {
	secret := func(s string) cty.Value { return cty.StringVal(s).Mark(SensitiveMark) }
	v := cty.ObjectVal(map[string]cty.Value{
		"open":    cty.StringVal("open"),
		"a":       secret("a"),
		"again":   secret("a"),
		"empty":   secret(""),
		"number":  cty.NumberFloatVal(1.5).Mark(SensitiveMark),
		"null":    cty.NullVal(cty.String).Mark(SensitiveMark),
		"unknown": cty.UnknownVal(cty.String).Mark(SensitiveMark),
		"list":    cty.ListVal([]cty.Value{cty.StringVal("shown"), secret("longest")}),
		"whole":   cty.MapVal(map[string]cty.Value{"k": cty.StringVal("in map")}).Mark(SensitiveMark),
	})
	if diff := cmp.Diff([]string{"longest", "in map", "1.5", "a"}, Secrets(v)); diff != "" {
		t.Error(diff)
	}
	if got := Secrets(cty.StringVal("open")); got != nil {
		t.Error(got)
	}
}
