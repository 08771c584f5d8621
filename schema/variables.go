package schema

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// EnvPrefix is what the environment's name of a variable begins with.
const EnvPrefix = "GAPOOL_VAR_"

// VarFlag is one -var=NAME=VALUE, or one -var-file=FILE, which has no Name.
type VarFlag struct {
	Name, Value string
	File        string
	// Literal stands in for Value where there is no text: the value that a plan
	// file has.
	Literal cty.Value
}

// Inputs returns the value of each variable of the root module, converted to
// its type and marked where it is sensitive. Later sources win: env (lines
// NAME=VALUE as in os.Environ), the files of dir, the flags as they are given.
//
// With errors the map is complete all the same, with unknown values for what
// is wrong or missing. Diagnostics quote no value of a sensitive variable, nor
// the lines of files that hold values; these are not in Config.Sources.
func Inputs(m *Module, dir string, env []string, flags []VarFlag) (map[string]cty.Value, hcl.Diagnostics) {
	in := &inputs{module: m, given: map[string]given{}}
	in.environment(env)
	in.directory(dir)
	for _, f := range flags {
		if f.Name == "" {
			in.file(f.File)
			continue
		}
		in.flag(f)
	}
	vals := make(map[string]cty.Value, len(m.Variables))
	failed := map[string]bool{}
	for _, name := range sortedKeys(m.Variables) {
		v := m.Variables[name]
		val, ok := in.value(v)
		failed[name] = !ok
		if v.Sensitive {
			val = val.Mark(SensitiveMark)
		}
		vals[name] = val
	}
	ctx := &hcl.EvalContext{
		Variables: map[string]cty.Value{"var": cty.ObjectVal(vals)},
		Functions: Functions(m.Dir, nil),
	}
	for _, name := range sortedKeys(m.Variables) {
		if !failed[name] {
			in.validate(m.Variables[name], ctx)
		}
	}
	return vals, in.diags
}

// UnknownInputs returns an unknown value for each variable: what a
// configuration is validated with when nobody gives values.
func UnknownInputs(m *Module) map[string]cty.Value {
	vals := make(map[string]cty.Value, len(m.Variables))
	for name, v := range m.Variables {
		vals[name] = v.unknown()
		if v.Sensitive {
			vals[name] = vals[name].Mark(SensitiveMark)
		}
	}
	return vals
}

func (v *Variable) unknown() cty.Value {
	val := cty.UnknownVal(v.Type.WithoutOptionalAttributesDeep())
	if !v.Nullable && val.Type() != cty.DynamicPseudoType {
		val = val.RefineNotNull()
	}
	return val
}

type inputs struct {
	module *Module
	given  map[string]given
	diags  hcl.Diagnostics
}

// given is a value as it came, with its origin for messages.
type given struct {
	value  cty.Value // NilVal where the text could not be read; that is reported
	origin string
	rng    *hcl.Range // nil outside of files
}

func (in *inputs) report(d *hcl.Diagnostic) { in.diags = append(in.diags, d) }

func (in *inputs) environment(env []string) {
	for _, line := range env {
		name, text, _ := strings.Cut(line, "=")
		name, ok := strings.CutPrefix(name, EnvPrefix)
		if v := in.module.Variables[name]; ok && v != nil {
			in.given[name] = in.text(v, text, "the environment's "+EnvPrefix+name)
		}
	}
}

func (in *inputs) flag(f VarFlag) {
	v := in.module.Variables[f.Name]
	if v == nil {
		in.report(problem("Undeclared variable", "-var gives a value to %q, which is not declared.%s Declared are: %s.",
			f.Name, didYouMean(f.Name, sortedKeys(in.module.Variables)), orNone(sortedKeys(in.module.Variables))))
		return
	}
	if f.Literal != cty.NilVal {
		in.given[f.Name] = given{value: f.Literal, origin: "the plan"}
		return
	}
	in.given[f.Name] = in.text(v, f.Value, "-var")
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "no variables"
	}
	return strings.Join(names, ", ")
}

// text reads a value from outside of files. For a variable of a simple type, or
// of none, the text is the value; else it is an expression.
func (in *inputs) text(v *Variable, text, origin string) given {
	g := given{origin: origin}
	if v.Untyped || v.Type.IsPrimitiveType() {
		g.value = cty.StringVal(text)
		return g
	}
	expr, diags := hclsyntax.ParseExpression([]byte(text), "value", hcl.InitialPos)
	if !diags.HasErrors() {
		var d hcl.Diagnostics
		g.value, d = expr.Value(nil)
		diags = append(diags, d...)
	}
	if diags.HasErrors() {
		g.value = cty.NilVal
		why := "."
		if !v.Sensitive {
			why = ": " + diags[0].Summary + ". " + diags[0].Detail
		}
		in.report(problem("Invalid value for a variable", "What %s gives for var.%s (%s) is not an expression of literal values%s Write texts inside of it in quotes, as in '[\"a\", \"b\"]'.",
			origin, v.Name, v.Type.FriendlyNameForConstraint(), endSentence(why)))
	}
	return g
}

func endSentence(s string) string { return strings.TrimSuffix(s, ".") + "." }

// directory reads the files that need not be named.
func (in *inputs) directory(dir string) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		in.report(problem("Cannot look for variable files", "%s", err))
		return
	}
	for _, name := range []string{"gapool.vars.hcl", "gapool.vars.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			in.file(filepath.Join(dir, name))
		}
	}
	for _, e := range entries {
		name := e.Name()
		auto := strings.HasSuffix(name, ".auto.vars.hcl") || strings.HasSuffix(name, ".auto.vars.json")
		if auto && !e.IsDir() && !strings.HasPrefix(name, ".") {
			in.file(filepath.Join(dir, name))
		}
	}
}

func (in *inputs) file(name string) {
	src, err := os.ReadFile(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("there is no file %s", name)
		}
		in.report(problem("Cannot read variables", "%s", err))
		return
	}
	f, diags := parse(hclparse.NewParser(), name, src)
	var attrs hcl.Attributes
	if !diags.HasErrors() {
		attrs, diags = f.Body.JustAttributes()
	}
	in.diags = append(in.diags, in.withoutWords(diags)...)
	for _, a := range attributesInOrder(attrs) {
		v := in.module.Variables[a.Name]
		if v == nil {
			d := problemAt(a.NameRange, "Undeclared variable", "The file gives a value to %q, which is not declared; it is ignored.%s",
				a.Name, didYouMean(a.Name, sortedKeys(in.module.Variables)))
			d.Severity = hcl.DiagWarning
			in.report(d)
			continue
		}
		g := given{origin: filepath.Base(name), rng: a.Expr.Range().Ptr()}
		val, d := a.Expr.Value(nil)
		if d.HasErrors() {
			in.report(problemAt(a.Expr.Range(), "Invalid value for a variable", "The value of var.%s must be literal: a file of variables can refer to nothing and call no functions.", v.Name))
		} else {
			g.value = val
		}
		in.given[a.Name] = g
	}
}

// withoutWords takes out of messages about a file's syntax what could be a secret:
// they may quote the file.
func (in *inputs) withoutWords(diags hcl.Diagnostics) hcl.Diagnostics {
	secrets := slices.ContainsFunc(sortedKeys(in.module.Variables), func(name string) bool { return in.module.Variables[name].Sensitive })
	if !secrets {
		return diags
	}
	for _, d := range diags {
		d.Detail = "The file cannot be read from here on. Its words are not shown, since it may hold values of sensitive variables."
	}
	return diags
}

// value settles what the variable is; false after an error.
func (in *inputs) value(v *Variable) (cty.Value, bool) {
	g, ok := in.given[v.Name]
	switch {
	case ok && g.value == cty.NilVal:
		return v.unknown(), false
	case ok && g.value.IsNull() && !v.Nullable && v.Default == cty.NilVal:
		in.reject(v, g, "it must not be null (nullable = false)")
		return v.unknown(), false
	case ok && g.value.IsNull() && !v.Nullable, !ok && v.Default != cty.NilVal:
		return v.Default, true
	case !ok:
		in.report(problemAt(v.Range, "Missing variable",
			"The variable %q has no default, so it needs a value: -var %s=VALUE on the command line, a line %s = VALUE in gapool.vars.hcl, or %s%s in the environment.",
			v.Name, v.Name, v.Name, EnvPrefix, v.Name))
		return v.unknown(), false
	}
	val, err := v.convert(g.value)
	if err == nil {
		return val, true
	}
	in.reject(v, g, v.misfit(err))
	return v.unknown(), false
}

func (in *inputs) reject(v *Variable, g given, why string) {
	d := problem("Invalid value for a variable", "The value of var.%s from %s does not fit: %s.", v.Name, g.origin, why)
	d.Subject = g.rng
	in.report(d)
}

func (in *inputs) validate(v *Variable, ctx *hcl.EvalContext) {
	for _, c := range v.Validations {
		result, diags := c.Condition.Value(ctx)
		if diags.HasErrors() {
			in.diags = append(in.diags, diags...)
			continue
		}
		result, _ = result.Unmark()
		result, err := convert.Convert(result, cty.Bool)
		switch {
		case err != nil || result.IsNull():
			in.report(problemAt(c.Condition.Range(), "Invalid validation", "The condition must be true or false."))
		case !result.IsKnown() || result.True():
		default:
			d := problemAt(c.Condition.Range(), "Invalid value for a variable", "var.%s%s: %s", v.Name, in.from(v), message(c, ctx))
			if !v.Sensitive {
				d.Expression, d.EvalContext = c.Condition, ctx
			}
			in.report(d)
		}
	}
}

func (in *inputs) from(v *Variable) string {
	g, ok := in.given[v.Name]
	switch {
	case !ok:
		return " (its default)"
	case g.rng != nil:
		return fmt.Sprintf(" (from %s line %d)", g.rng.Filename, g.rng.Start.Line)
	}
	return " (from " + g.origin + ")"
}

// message is a condition's error message, unless it would show a secret.
func message(c Condition, ctx *hcl.EvalContext) string {
	val, diags := c.ErrorMessage.Value(ctx)
	if diags.HasErrors() {
		return "the condition is not met, and its error_message cannot be evaluated: " + diags[0].Summary + "."
	}
	if IsSensitive(val) {
		return "the condition is not met; its error_message has a sensitive value in it and is not shown."
	}
	text, err := convert.Convert(val, cty.String)
	if err != nil || text.IsNull() || !text.IsKnown() {
		return "the condition is not met."
	}
	return text.AsString()
}
