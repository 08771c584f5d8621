package plan

import (
	"context"
	"fmt"
	"slices"
	"strconv"
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
		name := nameOf(schema.Bare(c.After))
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

// occupied refuses what only one object of an engine can have at a time and another
// one has that the plan leaves where it is. What is a secret is not looked for.
func (p *planner) occupied(context.Context) {
	gone := map[string]bool{}
	for _, c := range p.plan.Changes {
		if c.Object != nil && (c.Action == engine.Delete || c.Action.Replaces()) {
			gone[refKey(c.Object.Kind, c.Object.ID)] = true
		}
	}
	for _, e := range p.extras {
		gone[refKey(e.obj.Kind, e.obj.ID)] = true
	}
	goes := func(r providers.Ref) bool { return gone[refKey(r.Kind, r.ID)] }
	for _, c := range p.plan.Changes {
		w := p.worlds[c.Provider]
		if c.Type.Exclusive == nil || w == nil || w.Held == nil || c.Action != engine.Create && !c.Action.Replaces() {
			continue
		}
		for _, claim := range c.Type.Exclusive(engine.Open(c.After)) {
			held := w.Held(c.Type.Name, claim)
			if i := slices.IndexFunc(held, func(by providers.Ref) bool { return !goes(by) }); i >= 0 {
				by := held[i]
				p.errorf(p.blockRange(c.Addr), "It is taken", "%s cannot be created: the %s %q runs and has %s. Choose another one, or stop that %s first.",
					c.Addr, by.Kind, by.Name, claim, by.Kind)
			} else if len(held) == 0 && w.Busy != nil {
				if by := w.Busy(c.Type.Name, claim, goes); by != "" {
					p.errorf(p.blockRange(c.Addr), "It is taken", "%s cannot be created: %s is taken by %s. Choose another one, or end that process first.", c.Addr, claim, by)
				}
			}
		}
	}
	p.contested()
}

// contested refuses what two objects that the plan makes claim.
func (p *planner) contested() {
	all := map[nameKey]schema.Claims[schema.Addr]{}
	for _, c := range p.plan.Changes {
		if c.Type.Exclusive == nil || !made(c) {
			continue
		}
		for _, claim := range c.Type.Exclusive(engine.Open(c.After)) {
			claims := claimsOf(all, c)
			for _, other := range claims.Clashing(claim) {
				if other != c.Addr {
					p.errorf(p.blockRange(c.Addr), "It is claimed twice", "%s and %s cannot both have %s. Give one of them another one.", other, c.Addr, claim)
					return // of a hundred containers one pair says it
				}
			}
			claims.Add(claim, c.Addr)
		}
	}
}

// claimsOf are the claims on objects of the change's type on its engine.
func claimsOf[T any](all map[nameKey]schema.Claims[T], c *engine.Change) schema.Claims[T] {
	key := nameKey{provider: c.Provider, kind: c.Type.Name}
	if all[key] == nil {
		all[key] = schema.Claims[T]{}
	}
	return all[key]
}

// lacking refuses what asks for more GPUs than its engine has at all: it would be
// created, and then not start.
func (p *planner) lacking(context.Context) {
	for _, c := range p.plan.Changes {
		info := p.info(c.Provider)
		if c.Type.Needs == nil || info.GPUs == nil || c.Action != engine.Create && !c.Action.Replaces() {
			continue
		}
		if asks := c.Type.Needs(engine.Open(c.After)).GPUs; asks.N > int64(*info.GPUs) || asks.Open > 0 && *info.GPUs == 0 {
			has := "none"
			if *info.GPUs > 0 {
				has = strconv.Itoa(*info.GPUs)
			}
			p.errorf(p.blockRange(c.Addr), "No such GPU", "%s asks for GPUs (%s), and the machine of the engine at %s has %s. Ask for what is there, or use an engine that has them.",
				c.Addr, engine.GPUs(asks), info.Host, has)
		}
	}
}

func (p *planner) blockRange(addr schema.Addr) *hcl.Range {
	if r := p.o.Config.Root.Resources[addr.Block()]; r != nil {
		return r.Range.Ptr()
	}
	return nil
}

// words looks up what the words mean by which changes name what is not the plan's.
func (p *planner) words(context.Context) {
	if !p.o.Refresh {
		return
	}
	seen := p.made()
	for _, c := range p.plan.Changes {
		if !made(c) && c.Action != engine.Update {
			continue
		}
		for _, n := range c.Type.Named(engine.Open(c.After)) {
			key := nameKey{c.Provider, n.Type, n.Name}
			t := p.plan.Engines.Type(n.Type)
			if t == nil || seen[key] {
				continue
			}
			seen[key] = true
			is := engine.Named{By: c.Addr, Provider: c.Provider, Kind: n.Type, Name: n.Name}
			if obj := p.named(c.Provider, t, n.Name); obj != nil {
				is.ID = obj.ID
			}
			p.plan.Named = append(p.plan.Named, is)
		}
	}
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

// connectExclusive lets what takes something that only one can have wait until
// the object that has it is gone.
func (b *builder) connectExclusive() {
	held := map[nameKey]schema.Claims[*engine.Step]{}
	hold := func(c *engine.Change, v cty.Value, gone *engine.Step) {
		if c.Type.Exclusive == nil || gone == nil || v == cty.NilVal || v.IsNull() {
			return
		}
		for _, claim := range c.Type.Exclusive(engine.Open(v)) {
			claimsOf(held, c).Add(claim, gone)
		}
	}
	for _, c := range b.p.plan.Changes {
		hold(c, c.Before, b.del[c.Addr])
	}
	for _, e := range b.p.extras {
		hold(e.change, e.obj.Attrs, b.byObj[refKey(e.obj.Kind, e.obj.ID)])
	}
	if len(held) == 0 {
		return
	}
	for _, c := range b.p.plan.Changes {
		if c.Type.Exclusive == nil || !made(c) {
			continue
		}
		for _, claim := range c.Type.Exclusive(engine.Open(c.After)) {
			for _, gone := range claimsOf(held, c).Clashing(claim) {
				if gone.Change != c {
					need(b.first[c.Addr], gone)
				}
			}
		}
	}
}

// wishes is what the configuration names, found out before it is decided.
type wishes struct {
	names map[nameKey]schema.Addr
	addrs map[schema.Addr]bool // instances; a cluster stands for its members
	uses  []nameUse
}

// nameUse is a block that names something by a word.
type nameUse struct {
	block schema.Addr
	names nameKey
}

// wishes evaluates the configuration with nothing known of what the engine will
// choose: a name that follows from that is not among the names. It is asked for
// only where the label of an object that no record knows may be stale, or where a
// block may name what another one makes by a word that is no reference.
func (p *planner) wishes() *wishes {
	if p.wished != nil {
		return p.wished
	}
	p.wished = &wishes{names: map[nameKey]schema.Addr{}, addrs: map[schema.Addr]bool{}}
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
			p.wished.addrs[addr] = true
			bare := schema.Bare(v)
			if r.Type.Virtual {
				p.wishMembers(r, addr, bare)
			} else {
				p.wish(r.Provider, r.Type, addr, bare)
			}
			for _, a := range r.Type.Attrs {
				if a.Names == nil || !bare.IsKnown() {
					continue
				}
				if name := wordOf(bare.GetAttr(a.Name)); name != "" {
					p.wished.uses = append(p.wished.uses, nameUse{r.Addr, nameKey{r.Provider, a.Names.Type, name}})
				}
			}
			eval.Set(addr, schema.Planned(r.Type, v, cty.NilVal, true))
		}
	}
	return p.wished
}

func (p *planner) wish(provider string, t *schema.Type, addr schema.Addr, bare cty.Value) {
	if name := nameOf(bare); name != "" {
		p.wished.names[nameKey{provider, t.Name, name}] = addr
	}
}

// wishMembers lowers a cluster with those that are recorded or labelled as its
// members.
func (p *planner) wishMembers(r *schema.Resource, cluster schema.Addr, bare cty.Value) {
	lowerer, ok := p.plan.Engines.Provider(r.Provider).(providers.Lowerer)
	if !ok || !bare.IsKnown() {
		return
	}
	live := p.liveMembers(cluster)
	for _, f := range p.labelled[cluster] {
		if f.provider == r.Provider && !f.taken {
			live = append(live, f.obj)
		}
	}
	members, err := lowerer.Lower(cluster, bare, live, p.info(r.Provider))
	if err != nil {
		return
	}
	for _, m := range members {
		p.wish(r.Provider, m.Type, m.Addr, m.Want)
	}
}

// wantedAs returns the address that wants an object by its name.
func (p *planner) wantedAs(f *found) (schema.Addr, bool) {
	addr, ok := p.wishes().names[f.nameKey()]
	return addr, ok
}

// followNames lets a block that names by a word what another one makes come
// after that one.
func (p *planner) followNames(context.Context) {
	kinds := map[string]bool{}
	for _, r := range p.graph.Resources() {
		kinds[r.Type.Name] = true
	}
	names := func(r *schema.Resource) bool {
		return slices.ContainsFunc(r.Type.Attrs, func(a schema.Attr) bool {
			return a.Names != nil && kinds[a.Names.Type] && r.NamesByWord(a.Name, a.Names.Type)
		})
	}
	if p.o.Mode == engine.Destroy || !slices.ContainsFunc(p.graph.Resources(), names) {
		return
	}
	w := p.wishes()
	var pairs [][2]schema.Addr
	for _, u := range slices.Compact(w.uses) {
		if by, ok := w.names[u.names]; ok && !slices.Contains(p.graph.Deps(u.block), by.Block()) {
			pairs = append(pairs, [2]schema.Addr{u.block, by.Block()})
		}
	}
	p.graph.Follow(pairs)
}
