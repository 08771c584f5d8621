package engine

import (
	"fmt"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// Members lowers a cluster whose value may have secrets in it. Marks do not
// follow through a lowering, so it is lowered once more as if the secrets were
// not known: what comes out otherwise follows from one, and is marked. Which
// members there are must not depend on a secret, since every listing has them.
func Members(l providers.Lowerer, cluster schema.Addr, want cty.Value, live []*providers.Object, info providers.Info) ([]providers.Member, error) {
	bare, marks := schema.Unmark(want)
	members, err := l.Lower(cluster, bare, live, info)
	switch {
	case err != nil:
		return nil, schema.Discreet(err, want)
	case len(marks) == 0:
		return members, nil
	}
	open, err := l.Lower(cluster, Open(want), live, info)
	if err == nil && !slices.EqualFunc(members, open, func(a, b providers.Member) bool { return a.Addr == b.Addr }) {
		err = fmt.Errorf("without it there are %d members and not these %d", len(open), len(members))
	}
	if err != nil {
		return nil, fmt.Errorf("which members there are depends on a sensitive value, and every listing shows them; use nonsensitive() if it is no secret (%w)", err)
	}
	for i := range members {
		members[i].Want = veil(members[i].Want, open[i].Want)
	}
	return members, nil
}

// veil marks what of a value is otherwise than in one that was made without
// the secrets. One secret in a map hides one key.
func veil(v, open cty.Value) cty.Value {
	vals := v.AsValueMap()
	for name, x := range vals {
		o := open.GetAttr(name)
		switch {
		case schema.IsSensitive(x) || x.RawEquals(o):
		case x.Type().IsMapType() && !x.IsNull() && x.LengthInt() > 0 && o.IsKnown() && !o.IsNull():
			entries, others := x.AsValueMap(), o.AsValueMap()
			for key, e := range entries {
				if other, ok := others[key]; !ok || !e.RawEquals(other) {
					entries[key] = e.Mark(schema.SensitiveMark)
				}
			}
			vals[name] = cty.MapVal(entries)
		default:
			vals[name] = x.Mark(schema.SensitiveMark)
		}
	}
	return cty.ObjectVal(vals)
}
