package view

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Output is an output's value as a person may see it.
type Output struct {
	Value     cty.Value
	Sensitive bool
}

// Outputs prints outputs by name, those that are sensitive without their value.
func Outputs(w io.Writer, outputs map[string]Output) error {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		o := outputs[name]
		text := "<sensitive>"
		if !o.Sensitive {
			text = Value(o.Value, 0)
		}
		fmt.Fprintf(&b, "%s = %s\n", name, text)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Value prints a value as an expression of the language, depth levels in.
func Value(v cty.Value, depth int) string {
	if !group(v) {
		return leafText(v)
	}
	inner := strings.Repeat("  ", depth+1)
	closing := strings.Repeat("  ", depth)
	var b strings.Builder
	switch kind(v) {
	case byLine:
		b.WriteString("<<-EOT\n")
		for _, l := range lines(v) {
			b.WriteString(inner + visible(l) + "\n")
		}
		return b.String() + closing + "EOT"
	case byPlace:
		b.WriteString("[\n")
		for _, e := range v.AsValueSlice() {
			b.WriteString(inner + Value(e, depth+1) + ",\n")
		}
		return b.String() + closing + "]"
	default:
		b.WriteString("{\n")
		elems := v.AsValueMap()
		for _, k := range slices.Sorted(maps.Keys(elems)) {
			name := k
			if !v.Type().IsObjectType() || !hclsyntax.ValidIdentifier(k) {
				name = leafText(cty.StringVal(k))
			}
			b.WriteString(inner + name + " = " + Value(elems[k], depth+1) + "\n")
		}
		return b.String() + closing + "}"
	}
}
