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
	bare, marks := w.value.UnmarkDeepWithPaths()
	live := slices.DeleteFunc(p.liveMembers(w), func(o *providers.Object) bool {
		return slices.ContainsFunc(p.o.Leaving, func(a schema.Addr) bool { return a.String() == o.Owner.Address })
	})
	p.plan.Live[w.addr] = live
	members, err := lowerer.Lower(w.addr, bare, live, p.info(w.provider))
	if err != nil {
		p.errorf(w.block.Range.Ptr(), "Invalid configuration", "%s: %v", w.addr, err)
		return
	}
	changed, anew := false, false
	for _, m := range members {
		p.members[m.Addr] = m
		value := m.Want
		if len(marks) > 0 {
			value = engine.HideMember(m.Type, value)
		}
		mw := &wanted{
			addr: m.Addr, typ: m.Type, provider: w.provider, value: value, block: w.block,
			deps: slices.SortedFunc(slices.Values(append(slices.Clone(w.deps), m.Follows...)), schema.CompareAddr),
		}
		mw.replace = p.asked(m.Addr)
		if mw.replace == "" {
			mw.replace = w.replace
		}
		lead := p.leadMadeAnew(m)
		if lead != nil && len(lead.OnlyIf) == 0 && mw.replace == "" {
			mw.replace = "goes with " + lead.Addr.String() + ", which is made anew"
		}
		c := p.decide(mw)
		if lead != nil && len(lead.OnlyIf) > 0 {
			p.goAlong(c, mw, lead)
		}
		changed = changed || c.Action != engine.NoOp
		anew = anew || (m.Addr.Member.Role == schema.Head && (c.Action == engine.Create || c.Action.Replaces()))
	}
	for _, addr := range p.membersOf(w.addr) {
		if p.changes[addr] == nil && p.selected(addr) {
			p.unwanted(addr, p.known[addr])
			changed = true
		}
	}
	p.whole(w, changed, anew)
}

// leadMadeAnew returns the first of those that a live member follows that is
// made anew, for certain or perhaps.
func (p *planner) leadMadeAnew(m providers.Member) *engine.Change {
	if len(p.at(m.Addr).objects) == 0 {
		return nil
	}
	var perhaps *engine.Change
	for _, f := range m.Follows {
		lead := p.changes[f]
		switch {
		case lead == nil || (lead.Action != engine.Create && !lead.Action.Replaces()):
		case len(lead.OnlyIf) == 0:
			return lead
		case perhaps == nil:
			perhaps = lead
		}
	}
	return perhaps
}

// goAlong replaces a member if the one that it follows proves to be replaced.
// One that changes for certain is replaced for certain.
func (p *planner) goAlong(c *engine.Change, w *wanted, lead *engine.Change) {
	if c.Object == nil || c.Action.Replaces() {
		return
	}
	if c.Action == engine.NoOp {
		c.OnlyIf = lead.OnlyIf
	}
	c.Action, c.Reason = engine.Replace, "goes with "+lead.Addr.String()
	p.settleAfter(c, w.value)
}

// whole decides the cluster itself: something is to be done if a member
// changes, or if it was never seen whole.
func (p *planner) whole(w *wanted, changed, anew bool) {
	k := p.at(w.addr)
	bare, marks := w.value.UnmarkDeepWithPaths()
	c := &engine.Change{
		Addr: w.addr, Type: w.typ, Provider: w.provider, Record: k.record, Deps: w.deps,
		Before: cty.NullVal(w.typ.Implied()), Action: engine.NoOp,
	}
	p.protect(c, w)
	p.changes[w.addr] = c
	p.order = append(p.order, c)

	stored := engine.StoredValue(w.typ, k.record)
	if len(k.objects) > 0 && k.objects[0].obj.Attrs != cty.NilVal {
		c.Object, c.Adopted = k.objects[0].obj, k.record == nil
		c.Before = schema.With(w.typ.Null(), merge(stored, notNull(k.objects[0].obj.Attrs)))
	} else if k.record != nil {
		c.Before = schema.With(w.typ.Null(), stored)
	}
	// What was configured is the members'; the cluster repeats it as wanted.
	if !c.Before.IsNull() {
		c.Before = schema.With(c.Before, notComputed(w.typ, bare))
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
	c.Before = hideLike(w.typ, c.Before, marks)
	p.eval.Set(w.addr, c.After)
}

func (p *planner) info(provider string) providers.Info {
	if e := p.engines[provider]; e != nil {
		return e.Info()
	}
	return providers.Info{}
}

// liveMembers are the objects of the cluster's members, those included that
// only their labels know. They are sorted by address.
func (p *planner) liveMembers(w *wanted) []*providers.Object {
	p.pool = slices.DeleteFunc(p.pool, func(f *found) bool {
		addr, err := schema.ParseAddr(f.obj.Owner.Address)
		if err != nil || addr.Member.IsZero() || addr.Cluster() != w.addr || f.provider != w.provider {
			return false
		}
		p.at(addr).take(addr, f)
		return true
	})
	var live []*providers.Object
	for _, addr := range p.membersOf(w.addr) {
		for _, f := range p.known[addr].objects {
			live = append(live, f.obj)
		}
	}
	return live
}

// membersOf returns the known members of a cluster, sorted.
func (p *planner) membersOf(cluster schema.Addr) []schema.Addr {
	var addrs []schema.Addr
	for addr := range p.known {
		if addr.Cluster() == cluster && !addr.Member.IsZero() {
			addrs = append(addrs, addr)
		}
	}
	slices.SortFunc(addrs, schema.CompareAddr)
	return addrs
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
