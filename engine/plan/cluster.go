package plan

import (
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// cluster lowers a cluster into its members, decides each of them, and then the
// cluster itself, which is a step after its members.
func (p *planner) cluster(w *wanted) {
	lowerer, ok := p.plan.Engines.Provider(w.provider).(providers.Lowerer)
	if !ok {
		p.errorf(w.block.Range.Ptr(), "Not supported", "%s: the provider %q has no clusters.", w.addr, w.provider)
		return
	}
	p.claimMembers(w)
	live := slices.DeleteFunc(p.liveMembers(w.addr), func(o *providers.Object) bool {
		return slices.ContainsFunc(p.o.Leaving, func(a schema.Addr) bool { return a.String() == o.Owner.Address })
	})
	p.plan.Live[w.addr] = live
	members, err := engine.Members(lowerer, w.addr, w.value, live, p.info(w.provider))
	if err != nil {
		p.errorf(w.block.Range.Ptr(), "Invalid configuration", "%s: %v", w.addr, err)
		return
	}
	changed, anew := false, false
	takes := p.membersTaken(members)
	for _, m := range members {
		p.members[m.Addr] = m
		leads := p.madeAnew(m)
		if !takes[m.Addr] && len(leads) == 0 {
			continue
		}
		mw := &wanted{
			addr: m.Addr, typ: m.Type, provider: w.provider, block: w.block,
			deps: slices.SortedFunc(slices.Values(append(slices.Clone(w.deps), m.Follows...)), schema.CompareAddr),
		}
		mw.wants(m.Want)
		mw.replace = p.asked(m.Addr)
		if mw.replace == "" {
			mw.replace = w.replace
		}
		mw.leads = slices.Concat(w.leads, leads)
		c := p.decide(mw)
		changed = changed || c.Action != engine.NoOp
		anew = anew || (m.Addr.Member.Role == schema.Head && (c.Action == engine.Create || c.Action.Replaces()))
	}
	for _, addr := range p.membersOf(w.addr) {
		if p.changes[addr] == nil && p.selected(addr) {
			p.unwanted(addr, p.known[addr])
			changed = true
		}
	}
	if p.o.Mode == engine.RefreshOnly {
		p.observeWhole(w)
		return
	}
	p.whole(w, changed, anew)
}

// membersTaken are those that -target lets be touched, with those that they
// follow. What follows one that is made anew goes along whatever -target says.
func (p *planner) membersTaken(members []providers.Member) map[schema.Addr]bool {
	takes := map[schema.Addr]bool{}
	for _, m := range members {
		if !p.selected(m.Addr) {
			continue
		}
		takes[m.Addr] = true
		for _, f := range m.Follows {
			takes[f] = true
		}
	}
	return takes
}

// madeAnew are the changes that make anew what a member follows.
func (p *planner) madeAnew(m providers.Member) []lead {
	var leads []lead
	for _, f := range m.Follows {
		c := p.changes[f]
		if c == nil || (c.Action != engine.Create && !c.Action.Replaces()) {
			continue
		}
		reason := "goes with " + f.String()
		if len(c.OnlyIf) == 0 {
			reason += ", which is made anew"
		}
		leads = append(leads, leadOf(c, reason, false))
	}
	return leads
}

// whole decides the cluster itself: something is to be done if a member
// changes, or if it was never seen whole.
func (p *planner) whole(w *wanted, changed, anew bool) {
	k := p.at(w.addr)
	c := &engine.Change{
		Addr: w.addr, Type: w.typ, Provider: w.provider, Record: k.record, Deps: w.deps,
		Before: cty.NullVal(w.typ.Implied()), Action: engine.NoOp,
	}
	p.protect(c, w)
	p.changes[w.addr] = c
	p.decided[w.addr.Block()] = append(p.decided[w.addr.Block()], c)

	if len(k.objects) > 0 && k.objects[0].obj.Attrs != cty.NilVal {
		c.Object, c.Adopted = k.objects[0].obj, k.record == nil
	}
	c.Before = seen(w.typ, k)
	// What was configured is the members'; the cluster repeats it as wanted.
	if !c.Before.IsNull() {
		c.Before = schema.With(c.Before, notComputed(w.typ, w.bare))
	}
	switch {
	case p.o.Mode == engine.RefreshOnly && c.Before.IsNull():
		// Neither the state nor Ray knows it: its members are written down alone.
		delete(p.changes, w.addr)
		p.eval.Set(w.addr, cty.UnknownVal(w.typ.Implied()))
		return
	case p.o.Mode == engine.RefreshOnly:
	case anew || c.Before.IsNull():
		c.Action = engine.Create
		if k.record != nil {
			c.Action = engine.Update
		}
	case changed:
		c.Action = engine.Update
	}
	if c.Action == engine.Update {
		c.Reason = "has members that change"
	}
	if c.Action == engine.Update && anew {
		c.After = schema.Planned(w.typ, w.value, c.Before, true)
	} else {
		p.settleAfter(c, w.value)
	}
	c.Before = hideLike(w.typ, c.Before, w.marks)
	p.eval.Set(w.addr, c.After)
}

// observeWhole settles a cluster of which only what is there is to be written
// down: what was configured since is not.
func (p *planner) observeWhole(w *wanted) {
	k := p.at(w.addr)
	value := seen(w.typ, k)
	if k.record == nil {
		// Its members are recorded; of the cluster, nothing says what it was
		// applied with.
		p.eval.Set(w.addr, schema.Planned(w.typ, w.value, value, false))
		return
	}
	secret := map[string]cty.Value{} // recorded by their names only
	for _, name := range k.record.Sensitive {
		if a := w.typ.Attr(name); a != nil {
			secret[name] = cty.UnknownVal(a.Implied()).Mark(schema.SensitiveMark)
		}
	}
	value = schema.With(value, secret)
	c := &engine.Change{
		Addr: w.addr, Type: w.typ, Provider: w.provider, Record: k.record, Deps: k.record.Deps, Protect: k.record.Protected,
		Action: engine.NoOp, Before: value, After: value,
	}
	p.changes[w.addr] = c
	p.eval.Set(w.addr, value)
}

// seen is what is known of a cluster: what was recorded and what it says of
// itself. It is null where that is nothing.
func seen(t *schema.Type, k *known) cty.Value {
	stored := engine.StoredValue(t, k.record)
	switch {
	case len(k.objects) > 0 && k.objects[0].obj.Attrs != cty.NilVal:
		return schema.With(t.Null(), merge(stored, notNull(k.objects[0].obj.Attrs)))
	case k.record != nil:
		return schema.With(t.Null(), stored)
	default:
		return cty.NullVal(t.Implied())
	}
}

func (p *planner) info(provider string) providers.Info {
	if e := p.engines[provider]; e != nil {
		return e.Info()
	}
	return providers.Info{}
}

// claimMembers takes up the cluster's members that only their labels know, but
// for those that another address wants by their name.
func (p *planner) claimMembers(w *wanted) {
	for _, f := range p.labelled[w.addr] {
		if f.taken || f.provider != w.provider {
			continue
		}
		addr := f.label
		if by, named := p.wantedAs(f); named {
			addr = by
		}
		if addr.Cluster() == w.addr {
			p.at(addr).take(addr, f)
		}
	}
}

// liveMembers are the objects of the cluster's members, sorted by address.
func (p *planner) liveMembers(cluster schema.Addr) []*providers.Object {
	var live []*providers.Object
	for _, addr := range p.membersOf(cluster) {
		for _, f := range p.known[addr].objects {
			live = append(live, f.obj)
		}
	}
	return live
}

// membersOf returns the known members of a cluster, sorted.
func (p *planner) membersOf(cluster schema.Addr) []schema.Addr {
	addrs := slices.SortedFunc(slices.Values(p.memberAddrs[cluster]), schema.CompareAddr)
	return slices.DeleteFunc(slices.Compact(addrs), func(addr schema.Addr) bool { return p.known[addr] == nil })
}

func notNull(v cty.Value) map[string]cty.Value {
	out := v.AsValueMap()
	maps.DeleteFunc(out, func(_ string, x cty.Value) bool { return x.IsNull() })
	return out
}

func notComputed(t *schema.Type, v cty.Value) map[string]cty.Value {
	out := v.AsValueMap()
	maps.DeleteFunc(out, func(name string, x cty.Value) bool {
		a := t.Attr(name)
		return a == nil || (a.Computed && x.IsNull()) || !x.IsWhollyKnown()
	})
	return out
}

func merge(a, b map[string]cty.Value) map[string]cty.Value {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]cty.Value{}
	}
	maps.Copy(out, b)
	return out
}
