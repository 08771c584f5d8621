package engine

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// Members lowers a cluster whose value may have secrets in it. Marks do not
// follow through a lowering, so it is lowered once more as if the secrets were
// not known: what comes out otherwise has one in it, and is marked.
func Members(l providers.Lowerer, cluster schema.Addr, want cty.Value, live []*providers.Object, info providers.Info) ([]providers.Member, error) {
	bare, marks := want.UnmarkDeep()
	members, err := l.Lower(cluster, bare, live, info)
	if err != nil {
		return nil, schema.Discreet(err, want)
	}
	if len(marks) == 0 {
		return members, nil
	}
	open := map[schema.Addr]cty.Value{}
	// What has to be known may be a secret: then all may have it in it.
	if list, err := l.Lower(cluster, Open(want), live, info); err == nil {
		for _, m := range list {
			open[m.Addr] = m.Want
		}
	}
	for i := range members {
		m := &members[i]
		m.Want = hideMember(m.Want, open[m.Addr])
	}
	return members, nil
}

// hideMember marks the attributes of a member in which it differs from one that
// was made without the secrets, NilVal for none: then it is all but its name.
func hideMember(v, open cty.Value) cty.Value {
	vals := v.AsValueMap()
	for name, x := range vals {
		differs := name != "name" && !x.IsNull()
		if open != cty.NilVal {
			differs = !x.RawEquals(open.GetAttr(name))
		}
		if differs {
			vals[name] = x.Mark(schema.SensitiveMark)
		}
	}
	return cty.ObjectVal(vals)
}
