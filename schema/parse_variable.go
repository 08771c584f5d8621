package schema

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// reservedVariables are the arguments of a module block, which a variable's
// name would hide there.
var reservedVariables = []string{"count", "depends_on", "for_each", "lifecycle", "locals", "providers", "source", "version"}

func (l *loader) variable(b *hcl.Block) hcl.Diagnostics {
	v := &Variable{Name: b.Labels[0], Type: cty.DynamicPseudoType, Untyped: true, Nullable: true, Range: b.DefRange}
	if d := validName(v.Name, b.LabelRanges[0], "a variable"); d != nil {
		return hcl.Diagnostics{d}
	}
	if slices.Contains(reservedVariables, v.Name) {
		return hcl.Diagnostics{problemAt(b.LabelRanges[0], "Reserved variable name",
			"%q cannot be the name of a variable, since it is an argument of module blocks. Choose another name.", v.Name)}
	}
	if old, ok := l.module.Variables[v.Name]; ok {
		return hcl.Diagnostics{duplicate(b.DefRange, old.Range, fmt.Sprintf("variable %q", v.Name), "Rename or remove one of them.")}
	}
	l.module.Variables[v.Name] = v
	content, diags := b.Body.Content(&hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{
			{Name: "type"}, {Name: "default"}, {Name: "description"}, {Name: "sensitive"}, {Name: "nullable"},
		},
		Blocks: []hcl.BlockHeaderSchema{{Type: "validation"}},
	})
	var d hcl.Diagnostics
	if a, ok := content.Attributes["type"]; ok {
		v.Type, v.Defaults, d = variableType(a.Expr)
		v.Untyped = false
		diags = append(diags, d...)
	}
	if a, ok := content.Attributes["description"]; ok {
		v.Description, d = literalString(a)
		diags = append(diags, d...)
	}
	if a, ok := content.Attributes["sensitive"]; ok {
		v.Sensitive, d = literalBool(a)
		diags = append(diags, d...)
	}
	if a, ok := content.Attributes["nullable"]; ok {
		v.Nullable, d = literalBool(a)
		diags = append(diags, d...)
	}
	if a, ok := content.Attributes["default"]; ok && !diags.HasErrors() {
		v.Default, d = v.defaultValue(a)
		if v.Sensitive {
			for _, problem := range d { // the line of the default is not quoted
				problem.Subject, problem.Context, problem.Expression = v.Range.Ptr(), nil, nil
			}
		}
		diags = append(diags, d...)
	}
	for _, inner := range content.Blocks {
		c, d := condition(inner)
		diags = append(diags, d...)
		v.Validations = append(v.Validations, c)
	}
	return diags
}

// variableType reads a type constraint. The bare words list and map are old
// ways of writing list(any) and map(any).
func variableType(expr hcl.Expression) (cty.Type, *typeexpr.Defaults, hcl.Diagnostics) {
	switch hcl.ExprAsKeyword(expr) {
	case "list":
		return cty.List(cty.DynamicPseudoType), nil, nil
	case "map":
		return cty.Map(cty.DynamicPseudoType), nil, nil
	}
	return typeexpr.TypeConstraintWithDefaults(expr)
}

func (v *Variable) defaultValue(a *hcl.Attribute) (cty.Value, hcl.Diagnostics) {
	val, diags := a.Expr.Value(nil)
	if diags.HasErrors() {
		for _, d := range diags {
			d.Detail = "A variable's default is a literal value: it cannot refer to anything or call functions. Compute the value in a locals block instead."
		}
		return cty.NilVal, diags
	}
	if val.IsNull() && !v.Nullable {
		return cty.NilVal, append(diags, problemAt(a.Expr.Range(), "Invalid default",
			"The variable %q has nullable = false, so its default cannot be null. Leave the default out to make the variable required.", v.Name))
	}
	val, err := v.convert(val)
	if err != nil {
		return cty.NilVal, append(diags, problemAt(a.Expr.Range(), "Invalid default",
			"The default does not fit the variable's type: %s.", v.misfit(err)))
	}
	return val, diags
}

// misfit says why a value is none of the variable's type, and of a sensitive one
// not where: a key may be a secret, too.
func (v *Variable) misfit(err error) string {
	if v.Sensitive {
		return v.Type.FriendlyNameForConstraint() + " is required"
	}
	return describeConversion(err)
}

// convert brings a value to the variable's type, with the defaults of its
// optional attributes filled in.
func (v *Variable) convert(val cty.Value) (cty.Value, error) {
	if v.Defaults != nil && !val.IsNull() {
		val = v.Defaults.Apply(val)
	}
	return convert.Convert(val, v.Type)
}
