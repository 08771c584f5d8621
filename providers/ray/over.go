package ray

import (
	"context"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// containerType is the type of the members.
const containerType = "docker_container"

// Over adds the type ray_cluster to a provider of containers. The provider must
// have the type docker_container, and its Engine the methods of [Container].
//
// It is a [providers.Lowerer].
func Over(inner providers.Provider) providers.Provider { return over(inner, dialGCS) }

// OverWith is Over with another way to ask a cluster: a fake's.
func OverWith(inner providers.Provider, dial Dialer) providers.Provider { return over(inner, dial) }

func over(inner providers.Provider, dial Dialer) *provider {
	p := &provider{Provider: inner, dial: dial}
	for _, t := range inner.Types() {
		if t.Name == containerType {
			t = withJoinCheck(t)
			p.container = memberTable(t)
		}
		p.types = append(p.types, t)
	}
	if p.container == nil {
		panic("ray: the provider " + inner.Name() + " has no " + containerType)
	}
	p.cluster = clusterTable(p.container)
	p.types = append(p.types, p.cluster)
	slices.SortFunc(p.types, func(a, b *schema.Type) int { return strings.Compare(a.Name, b.Name) })
	return p
}

// provider is another one with clusters.
type provider struct {
	providers.Provider
	types     []*schema.Type
	container *schema.Type // of the members, see memberTable
	cluster   *schema.Type
	dial      Dialer
}

// Types are those of the provider underneath, and ray_cluster.
func (p *provider) Types() []*schema.Type { return slices.Clone(p.types) }

// withJoinCheck returns the container's table with one more check: a worker
// that somebody starts by hand must join the right port.
func withJoinCheck(t *schema.Type) *schema.Type {
	own := *t
	own.Validate = func(v cty.Value) []schema.Problem {
		var problems []schema.Problem
		if t.Validate != nil {
			problems = t.Validate(v)
		}
		var args []string
		at := "command"
		for _, name := range []string{"entrypoint", "command"} {
			list := v.GetAttr(name)
			if list.IsNull() || !list.IsKnown() {
				continue
			}
			for _, word := range list.AsValueSlice() {
				if word.IsKnown() && !word.IsNull() {
					args = append(args, word.AsString())
				}
			}
		}
		if v.GetAttr("command").IsNull() {
			at = "entrypoint"
		}
		if bad, ok := JoinPortMistake(args); ok {
			problems = append(problems, schema.Problem{Attr: at, Detail: JoinAdvice(bad) + "."})
		}
		return problems
	}
	return &own
}

// memberTable returns the container's table for members: what a plan remarks on
// ports is said of the cluster, in whose words they are configured.
func memberTable(t *schema.Type) *schema.Type {
	own := *t
	if t.Remarks != nil {
		own.Remarks = func(v cty.Value) []string {
			return t.Remarks(schema.With(v, map[string]cty.Value{"ports": cty.NullVal(v.GetAttr("ports").Type())}))
		}
	}
	return &own
}

// Connect connects to the engine underneath.
func (p *provider) Connect(ctx context.Context, cfg cty.Value) (providers.Engine, error) {
	inner, err := p.Provider.Connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return newEngine(ctx, p, inner)
}
