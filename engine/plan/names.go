package plan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// nameKey is what an engine has only once.
type nameKey struct{ provider, kind, name string }

// holder finds the object of ours that has a name.
func (p *planner) holder(provider string, t *schema.Type, name string) *found {
	return p.byName[nameKey{provider, t.Name, name}]
}

// names checks that every name that the plan gives is free by then, and
// remembers which change frees it.
func (p *planner) names(context.Context) {
	wanted := map[nameKey]*engine.Change{}
	for _, c := range p.plan.Changes {
		name := nameOf(bareOf(c.After))
		if name == "" || c.Type.ByName || c.Type.Virtual || c.Action == engine.Delete || c.Action == engine.Forget {
			continue
		}
		key := nameKey{c.Provider, c.Type.Name, name}
		if other := wanted[key]; other != nil {
			p.errorf(p.blockRange(c.Addr), "One name for two objects", "%s and %s both have the name %q, and an engine has it for one %s only. Give one of them another name.",
				other.Addr, c.Addr, name, c.Type.Name)
			continue
		}
		wanted[key] = c
		if c.Action == engine.NoOp || (c.Object != nil && c.Object.Name == name) {
			continue // it has the name already
		}
		p.acquire(c, key)
	}
	p.refuseSwaps()
}

// acquire looks who has the name that a change needs.
func (p *planner) acquire(c *engine.Change, key nameKey) {
	if f := p.byName[key]; f != nil {
		if by, extra := p.freedBy(f.obj); by != nil {
			p.frees[c.Addr] = freed{change: by, extra: extra, id: f.obj.ID}
			return
		}
		p.taken(c, key.name, f.obj)
		return
	}
	if obj := p.named(c.Provider, c.Type, key.name); obj != nil {
		p.taken(c, key.name, obj)
	}
}

// freed is the change after which a name is free, and its object.
type freed struct {
	change *engine.Change
	extra  bool
	id     string
}

// freedBy returns the change that deletes or renames an object of ours, nil if
// it keeps its name.
func (p *planner) freedBy(obj *providers.Object) (by *engine.Change, extra bool) {
	for _, e := range p.extras {
		if e.obj.Kind == obj.Kind && e.obj.ID == obj.ID {
			return e.change, true
		}
	}
	addr, err := schema.ParseAddr(obj.Owner.Address)
	if err != nil {
		return nil, false
	}
	c := p.changes[addr]
	if c == nil || c.Object == nil || c.Object.ID != obj.ID {
		return nil, false
	}
	return c, false
}

func (p *planner) taken(c *engine.Change, name string, by *providers.Object) {
	owner := "it is not gapool's"
	if by.Owner.UID != "" {
		owner = fmt.Sprintf("it is %s of stack %q, workspace %q", by.Owner.Address, by.Owner.Stack, by.Owner.Workspace)
	}
	verb := "created"
	if c.Renamed() {
		verb = "renamed"
	}
	p.errorf(p.blockRange(c.Addr), "Name is taken", "%s cannot be %s: the engine already has a %s named %q, and %s. Choose another name, or remove that one first.",
		c.Addr, verb, c.Type.Name, name, owner)
}

// refuseSwaps refuses objects that wait for each other's names.
func (p *planner) refuseSwaps() {
	told := map[schema.Addr]bool{}
	for _, c := range p.plan.Changes {
		var ring []string
		for at := c; at != nil && !told[at.Addr]; at = p.frees[at.Addr].change {
			told[at.Addr] = true
			ring = append(ring, at.Addr.String())
			next := p.frees[at.Addr].change
			if next == nil || (!next.Renamed() && next.Action != engine.ReplaceFirst) {
				break // that one goes before it needs another name
			}
			if next == c {
				p.errorf(p.blockRange(c.Addr), "Names are exchanged", "%s: each is to get a name that another one has until then. Give one of them a name that is free, apply, and then the one it is to have.",
					strings.Join(ring, ", "))
				break
			}
		}
	}
}

func (p *planner) blockRange(addr schema.Addr) *hcl.Range {
	if r := p.o.Config.Root.Resources[addr.Block()]; r != nil {
		return r.Range.Ptr()
	}
	return nil
}

// connectNames lets a step that gives a name wait for the one that frees it.
func (b *builder) connectNames() {
	for _, c := range b.p.plan.Changes {
		by, ok := b.p.frees[c.Addr]
		if !ok {
			continue
		}
		takes := b.first[c.Addr]
		if s := b.rename[c.Addr]; s != nil {
			takes = s
		}
		switch {
		case by.extra:
			i := slices.IndexFunc(b.extra[by.change.Addr], func(s *engine.Step) bool { return s.Target.ID == by.id })
			need(takes, b.extra[by.change.Addr][i])
		case by.change.Renamed():
			need(takes, b.rename[by.change.Addr])
		default:
			need(takes, b.del[by.change.Addr])
		}
	}
}

// wantNames finds out who wants which name, before anything is decided: where
// there are objects that only their labels know, and where a block may name what
// another one makes, and so comes after it, by a word that is no reference.
// Names that follow from what the engine will choose are not known yet.
func (p *planner) wantNames(context.Context) {
	kinds := map[string]bool{}
	for _, r := range p.graph.Resources() {
		kinds[r.Type.Name] = true
	}
	named := func(a schema.Attr) bool { return a.Names != nil && kinds[a.Names.Type] }
	if p.o.Mode == engine.Destroy || len(p.pool) == 0 &&
		!slices.ContainsFunc(p.graph.Resources(), func(r *schema.Resource) bool { return slices.ContainsFunc(r.Type.Attrs, named) }) {
		return
	}
	type use struct {
		block schema.Addr
		names nameKey
	}
	var uses []use
	p.wantedBy = map[nameKey]schema.Addr{}
	// What is wrong with the configuration is told when it is decided.
	eval := engine.NewEvaluator(p.o.Config, p.o.Vars, p.o.Workspace)
	for _, r := range p.graph.Resources() {
		x, diags := eval.Expand(r)
		if diags.HasErrors() {
			continue
		}
		for _, key := range x.Keys {
			addr := r.Addr.Instance(key)
			v, _ := eval.Body(r, key)
			bare, _ := v.UnmarkDeep()
			if name := nameOf(bare); name != "" {
				p.wantedBy[nameKey{r.Provider, r.Type.Name, name}] = addr
			}
			for _, a := range r.Type.Attrs {
				if named(a) && bare.IsKnown() {
					if name := wordOf(bare.GetAttr(a.Name)); name != "" {
						uses = append(uses, use{r.Addr, nameKey{r.Provider, a.Names.Type, name}})
					}
				}
			}
			eval.Set(addr, schema.Planned(r.Type, v, cty.NilVal, true))
		}
	}
	var pairs [][2]schema.Addr
	for _, u := range slices.Compact(uses) {
		if by, ok := p.wantedBy[u.names]; ok && !slices.Contains(p.graph.Deps(u.block), by.Block()) {
			pairs = append(pairs, [2]schema.Addr{u.block, by.Block()})
		}
	}
	p.graph.Follow(pairs)
}
