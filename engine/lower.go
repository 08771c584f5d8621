package engine

import (
	"fmt"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// Lower lowers a cluster's value, marks and all, into its members. Marks do not
// follow through the lowering, so it is done twice: what in a member is not
// known while the cluster's secrets are not follows from one, and is marked.
func Lower(l providers.Lowerer, cluster schema.Addr, want cty.Value, live []*providers.Object, info providers.Info) ([]providers.Member, error) {
	bare, marks := want.UnmarkDeep()
	members, err := l.Lower(cluster, bare, live, info)
	switch {
	case err != nil:
		return nil, schema.Discreet(want, err)
	case len(marks) == 0:
		return members, nil
	}
	open, err := l.Lower(cluster, Open(want), live, info)
	if err == nil && len(open) != len(members) {
		err = fmt.Errorf("without it there are %d members and not %d", len(open), len(members))
	}
	if err != nil {
		return nil, fmt.Errorf("which members there are depends on a sensitive value, and every listing shows them; use nonsensitive() if it is no secret (%w)", err)
	}
	for i := range members {
		m := &members[i]
		m.Want = veil(m.Type, m.Want, open[i].Want)
	}
	return members, nil
}

// veil marks in a value what is not known in open.
func veil(t *schema.Type, v, open cty.Value) cty.Value {
	vals := v.AsValueMap()
	for i := range t.Attrs {
		a := &t.Attrs[i]
		x, o := vals[a.Name], open.GetAttr(a.Name)
		switch {
		case x.IsNull() || !x.IsKnown() || x.ContainsMarked() || o.IsWhollyKnown() && !a.Sensitive:
		case o.IsKnown() && !o.IsNull() && a.Block == nil && a.Type.IsMapType():
			entries := x.AsValueMap() // one secret hides one key
			for key, e := range o.AsValueMap() {
				if entries[key].IsKnown() && !e.IsKnown() {
					entries[key] = entries[key].Mark(schema.SensitiveMark)
				}
			}
			vals[a.Name] = cty.MapVal(entries)
		default:
			vals[a.Name] = x.Mark(schema.SensitiveMark)
		}
	}
	return cty.ObjectVal(vals)
}
