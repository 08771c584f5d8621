package plan

import (
	"maps"
	"slices"

	"github.com/gapool/gapool/schema"
)

// unknownSources names the references of a block whose values are not known
// yet, sorted: what a conditional change depends on.
func (p *planner) unknownSources(r *schema.Resource) []string {
	set := map[string]bool{}
	for _, t := range r.Traversals() {
		if v, diags := p.eval.Traversal(t); !diags.HasErrors() && !v.IsWhollyKnown() {
			set[schema.Written(t)] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}
