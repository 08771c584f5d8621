package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/schema"
)

// unknownSources names the references of a block whose values are not known
// yet, sorted: what a conditional change depends on.
func (p *planner) unknownSources(r *schema.Resource) []string {
	set := map[string]bool{}
	for _, t := range r.Traversals() {
		if v, diags := p.eval.Traversal(t); !diags.HasErrors() && !v.IsWhollyKnown() {
			set[written(t)] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// written is a reference as people write it.
func written(t hcl.Traversal) string {
	var b strings.Builder
	for _, step := range t {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(s.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + s.Name)
		case hcl.TraverseIndex:
			switch s.Key.Type() {
			case cty.String:
				b.WriteString(`["` + s.Key.AsString() + `"]`)
			case cty.Number:
				b.WriteString("[" + s.Key.AsBigFloat().Text('f', 0) + "]")
			}
		}
	}
	return b.String()
}
