package schema

import (
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

func TestInputsPrecedence(t *testing.T) {
	cfg := mustLoad(t, `
variable "a" { default = "default" }
variable "b" { default = "default" }
variable "c" { default = "default" }
variable "d" { default = "default" }
variable "e" { default = "default" }
variable "f" { default = "default" }
`)
	writeFiles(t, map[string]string{
		"gapool.vars.hcl":       `c = "vars.hcl"` + "\n" + `d = "vars.hcl"` + "\n" + `e = "vars.hcl"` + "\n" + `f = "vars.hcl"`,
		"gapool.vars.json":      `{"d": "vars.json", "e": "vars.json"}`,
		"a.auto.vars.hcl":       `e = "a.auto"`,
		"b.auto.vars.json":      `{"e": "b.auto"}`,
		"other.vars.hcl":        `e = "not read"`,
		"named.hcl":             `f = "named"`,
		".hidden.auto.vars.hcl": `e = "not read"`,
	})
	env := []string{"GAPOOL_VAR_b=env", "GAPOOL_VAR_c=env", "GAPOOL_VAR_undeclared=x", "PATH=/bin"}
	vals, diags := Inputs(cfg.Root, ".", env, []VarFlag{{Name: "f", Value: "first"}, {File: "named.hcl"}})
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	for name, want := range map[string]string{"a": "default", "b": "env", "c": "vars.hcl", "d": "vars.json", "e": "b.auto", "f": "named"} {
		if got := vals[name].AsString(); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	vals, _ = Inputs(cfg.Root, ".", env, []VarFlag{{File: "named.hcl"}, {Name: "f", Value: "last"}})
	if got := vals["f"].AsString(); got != "last" {
		t.Errorf("f is %q, want the last flag's value", got)
	}
}

func TestInputsConversion(t *testing.T) {
	cfg := mustLoad(t, `
variable "untyped" {}
variable "any" { type = any }
variable "text" { type = string }
variable "number" { type = number }
variable "bool" { type = bool }
variable "list" { type = list(string) }
variable "bare" { type = list }
variable "object" { type = object({ a = optional(number, 5), b = optional(string) }) }
variable "secret" {
  type      = string
  sensitive = true
}
variable "filled" {
  default  = "x"
  nullable = false
}
variable "empty" { default = "x" }
`)
	writeFiles(t, map[string]string{"gapool.vars.hcl": "filled = null\nempty = null\n"})
	vals, diags := Inputs(cfg.Root, ".", nil, []VarFlag{
		{Name: "untyped", Value: "[1]"}, {Name: "any", Value: "[1]"}, {Name: "text", Value: "${x}"}, {Name: "number", Value: "12"},
		{Name: "bool", Value: "true"}, {Name: "list", Value: `["a", 1]`}, {Name: "bare", Value: `["a"]`}, {Name: "object", Value: "{}"}, {Name: "secret", Value: "hush"},
	})
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	for name, want := range map[string]cty.Value{
		"untyped": cty.StringVal("[1]"),
		"any":     cty.TupleVal([]cty.Value{cty.NumberIntVal(1)}),
		"text":    cty.StringVal("${x}"),
		"number":  cty.NumberIntVal(12),
		"bool":    cty.True,
		"list":    cty.ListVal([]cty.Value{cty.StringVal("a"), cty.StringVal("1")}),
		"bare":    cty.ListVal([]cty.Value{cty.StringVal("a")}),
		"object":  cty.ObjectVal(map[string]cty.Value{"a": cty.NumberIntVal(5), "b": cty.NullVal(cty.String)}),
		"secret":  cty.StringVal("hush").Mark(SensitiveMark),
		"filled":  cty.StringVal("x"),
		"empty":   cty.NullVal(cty.DynamicPseudoType),
	} {
		if !vals[name].RawEquals(want) {
			t.Errorf("%s = %#v, want %#v", name, vals[name], want)
		}
	}
}

// Each row gives values to the variables below and expects one message.
func TestInputsRefuse(t *testing.T) {
	const src = `
variable "workers" {
  type    = number
  default = 2
  validation {
    condition     = var.workers > 0 && var.workers <= var.most
    error_message = "Between 1 and ${var.most}, not ${var.workers}."
  }
}
variable "most" { default = 8 }
variable "list" {
  type     = list(object({ n = number }))
  default  = []
}
variable "must" {
  type     = string
  nullable = false
  default  = "x"
}
variable "required" {}
`
	required := VarFlag{Name: "required", Value: "x"}
	for name, test := range map[string]struct {
		flags []VarFlag
		files map[string]string
		want  string
	}{
		"missing":            {nil, nil, "-var required=VALUE on the command line, a line required = VALUE in gapool.vars.hcl, or GAPOOL_VAR_required"},
		"undeclared flag":    {[]VarFlag{required, {Name: "wrokers", Value: "1"}}, nil, `Did you mean "workers"?`},
		"not a number":       {[]VarFlag{required, {Name: "workers", Value: "many"}}, nil, "var.workers from -var does not fit: a number is required."},
		"not an expression":  {[]VarFlag{required, {Name: "list", Value: "[a"}}, nil, "is not an expression of literal values"},
		"a reference":        {[]VarFlag{required, {Name: "list", Value: "[a]"}}, nil, "Variables may not be used here."},
		"inside":             {[]VarFlag{required, {Name: "list", Value: `[{ n = 1 }, { n = "x" }]`}}, nil, "at [1].n: a number is required"},
		"validation":         {[]VarFlag{required, {Name: "workers", Value: "9"}}, nil, "var.workers (from -var): Between 1 and 8, not 9."},
		"validation in file": {[]VarFlag{required}, map[string]string{"gapool.vars.hcl": "\nworkers = 0"}, "var.workers (from gapool.vars.hcl line 2): Between 1 and 8, not 0."},
		"missing file":       {[]VarFlag{required, {File: "no.hcl"}}, nil, "there is no file no.hcl"},
		"not literal":        {[]VarFlag{required}, map[string]string{"gapool.vars.hcl": `workers = upper("a")`}, "On gapool.vars.hcl line 1: The value of var.workers must be literal"},
		"block in file":      {[]VarFlag{required}, map[string]string{"gapool.vars.hcl": "workers {}"}, "On gapool.vars.hcl line 1: Blocks are not allowed here."},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := mustLoad(t, src)
			writeFiles(t, test.files)
			vals, diags := Inputs(cfg.Root, ".", nil, test.flags)
			if len(vals) != 5 {
				t.Errorf("there are %d values, want all 5", len(vals))
			}
			if len(diags.Errs()) != 1 {
				t.Fatalf("got %v, want one error", diags)
			}
			var b strings.Builder
			if err := WriteDiagnostics(&b, cfg.Sources, diags, 0, false); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(b.String(), test.want) {
				t.Errorf("got:\n%s\nwant: %s", &b, test.want)
			}
		})
	}
}

func TestUndeclaredInFileIsAWarning(t *testing.T) {
	cfg := mustLoad(t, `variable "workers" { default = 1 }`)
	writeFiles(t, map[string]string{"gapool.vars.hcl": "wrokers = 3\n"})
	_, diags := Inputs(cfg.Root, ".", nil, nil)
	if diags.HasErrors() || len(diags) != 1 || !strings.Contains(diags[0].Detail, `Did you mean "workers"?`) || diags[0].Subject.Start.Line != 1 {
		t.Errorf("got %v, want one warning on line 1", diags)
	}
}

// However a secret is given and whatever is wrong with it, no message has it.
func TestDiagnosticsHideSensitiveVariables(t *testing.T) {
	const src = `
variable "secret" {
  type      = TYPE
  sensitive = true
  validation {
    condition     = can(var.secret.pin) || tostring(var.secret) == "right"
    error_message = "It is ${tostring(var.secret)}."
  }
  validation {
    condition     = jsondecode(var.secret) == "right"
    error_message = "Not JSON."
  }
}
`
	for _, test := range []struct {
		name, ty string
		env      []string
		flags    []VarFlag
		file     string
		json     string
	}{
		{name: "validation", ty: "string", flags: []VarFlag{{Name: "secret", Value: "hunter2"}}},
		{name: "type", ty: "number", flags: []VarFlag{{Name: "secret", Value: "hunter2"}}},
		{name: "environment", ty: "map(number)", env: []string{"GAPOOL_VAR_secret={ hunter2 = \"hunter2\" }"}},
		{name: "expression", ty: "list(string)", flags: []VarFlag{{Name: "secret", Value: "hunter2 hunter2"}}},
		{name: "reference", ty: "list(string)", flags: []VarFlag{{Name: "secret", Value: "hunter2"}}},
		{name: "file", ty: "object({ pin = number })", file: `secret = { pin = "hunter2" }`},
		{name: "file syntax", ty: "string", file: `secret = "hunter2` + "\n"},
		{name: "file reference", ty: "string", file: `secret = hunter2`},
		{name: "json syntax", ty: "string", json: `{"secret": hunter2}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := mustLoad(t, strings.Replace(src, "TYPE", test.ty, 1))
			files := map[string]string{}
			if test.file != "" {
				files["gapool.vars.hcl"] = test.file
			}
			if test.json != "" {
				files["gapool.vars.json"] = test.json
			}
			writeFiles(t, files)
			_, diags := Inputs(cfg.Root, ".", test.env, test.flags)
			if !diags.HasErrors() {
				t.Fatal("no error")
			}
			var b strings.Builder
			if err := WriteDiagnostics(&b, cfg.Sources, diags, 78, false); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(b.String()+diags.Error(), "hunter2") {
				t.Errorf("the secret is shown:\n%s\n%s", &b, diags)
			}
		})
	}
}

func TestUnknownInputs(t *testing.T) {
	cfg := mustLoad(t, `
variable "n" { type = number }
variable "s" { sensitive = true }
variable "o" {
  type     = object({ a = optional(string) })
  nullable = false
}
`)
	vals := UnknownInputs(cfg.Root)
	if v := vals["n"]; v.IsKnown() || v.Type() != cty.Number {
		t.Errorf("n = %#v", v)
	}
	if !vals["s"].HasMark(SensitiveMark) {
		t.Error("s is not marked")
	}
	if v := vals["o"]; !v.Type().Equals(cty.Object(map[string]cty.Type{"a": cty.String})) {
		t.Errorf("o has the type %#v", v.Type())
	}
}
