package plan

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// known is what state, journal and labels together say of an address.
type known struct {
	record  *state.Record // nil where the state knows nothing
	objects []*found      // live ones; the current one is chosen by what is live
	from    schema.Addr   // where the record is now, if elsewhere
	gone    bool          // the record's current object does not exist any more
}

// found is a live object of ours.
type found struct {
	provider string
	obj      *providers.Object
	kind     *schema.Type
	recorded bool
	taken    bool        // matched to an address
	label    schema.Addr // what the object's label said, in the pool; it goes stale
	tainted  bool        // an earlier apply did not come to its end with it
	secret   []string    // attributes that a call in doubt may have put a secret into
}

// secrets names the attributes in which an object that may be recorded has a
// secret, whatever the configuration says now.
func secrets(rec *state.Record, f *found) []string {
	var names []string
	if rec != nil {
		names = slices.Clone(rec.Sensitive)
	}
	if f != nil {
		names = append(names, f.secret...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (f *found) nameKey() nameKey { return nameKey{f.provider, f.kind.Name, f.obj.Name} }

type objectKey struct{ provider, kind, id string }

// recover merges the three sources. It decides facts only; what it wants done
// becomes steps of the plan.
func (p *planner) recover(context.Context) {
	st := p.o.Loaded.State
	if !p.o.Refresh {
		p.recoverFromRecords(st)
		return
	}
	byID, byUID := map[objectKey]*found{}, map[string]*found{}
	var all []*found
	for _, provider := range slices.Sorted(maps.Keys(p.worlds)) {
		for _, obj := range p.worlds[provider].Objects {
			f := &found{provider: provider, obj: obj, kind: p.plan.Engines.Type(obj.Kind)}
			if f.kind == nil {
				continue // of a type that this version does not have
			}
			all = append(all, f)
			byID[objectKey{provider, obj.Kind, obj.ID}] = f
			if !f.kind.ByName {
				p.byName[nameKey{provider, obj.Kind, obj.Name}] = f
			}
			if obj.Owner.UID != "" {
				byUID[obj.Owner.UID] = f
			}
		}
		p.plan.Notes = append(p.plan.Notes, p.worlds[provider].Warnings...)
	}
	if p.checkLineage(all); p.diags.HasErrors() {
		return
	}
	if p.checkEngines(byID); p.diags.HasErrors() {
		return
	}

	for _, addr := range st.Addrs() {
		rec := st.Records[addr]
		t := p.plan.Engines.Type(rec.Kind)
		if t == nil {
			p.errorf(nil, "Unknown resource type in the state",
				"%s is a %s, which this version of gapool does not know. Use the version that wrote the state, or drop the record with 'gapool state rm'.", addr, rec.Kind)
			continue
		}
		k := p.at(addr)
		k.record = rec
		for _, o := range rec.Objects() {
			f := byID[objectKey{rec.Provider, rec.Kind, o.ID}]
			if t.ByName {
				f = p.byTag(rec.Provider, t, o.Name)
			}
			current := rec.Current != nil && o == *rec.Current
			if f == nil || (!t.ByName && f.obj.Owner.UID != o.UID) {
				k.gone = k.gone || current
				continue
			}
			f.recorded = true
			if o.Status == state.Tainted {
				breaks(f, "was left unfinished by an earlier apply")
			}
			k.take(addr, f)
		}
	}
	p.resolveDoubts(byID, byUID)
	for _, d := range p.o.Loaded.Doubts {
		p.plan.Recovered = append(p.plan.Recovered, engine.Recovered{N: d.N, Addr: d.Addr, Record: p.settled(d)})
	}
	for _, f := range all {
		switch {
		case f.taken:
		case f.kind.Virtual:
			if addr, err := schema.ParseAddr(f.obj.Owner.Address); err == nil {
				p.at(addr).take(addr, f)
			}
		case !p.owns(f.obj):
			// recorded once, but it is not ours, or not any more
		default:
			if !f.obj.Started {
				breaks(f, "was left unfinished by an earlier apply")
			}
			p.toPool(f)
		}
	}
}

// toPool keeps an object that no record knows for the address that claims it.
func (p *planner) toPool(f *found) {
	p.pool = append(p.pool, f)
	p.poolByName[f.nameKey()] = append(p.poolByName[f.nameKey()], f)
	if addr, err := schema.ParseAddr(f.obj.Owner.Address); err == nil {
		f.label = addr
		p.labelled[addr] = append(p.labelled[addr], f)
		if !addr.Member.IsZero() {
			p.labelled[addr.Cluster()] = append(p.labelled[addr.Cluster()], f)
		}
	}
}

// byTag finds an object that has no labels by its name. The world may hand the
// same object to several addresses, so each gets its own copy.
func (p *planner) byTag(provider string, t *schema.Type, name string) *found {
	obj := p.named(provider, t, name)
	if obj == nil {
		return nil
	}
	return &found{provider: provider, obj: obj, kind: t}
}

func (p *planner) at(addr schema.Addr) *known {
	k := p.known[addr]
	if k == nil {
		k = &known{}
		p.known[addr] = k
		if !addr.Member.IsZero() {
			p.memberAddrs[addr.Cluster()] = append(p.memberAddrs[addr.Cluster()], addr)
		}
	}
	return k
}

// take makes f an object of the address, and says so in the object, whose
// label may be stale.
func (k *known) take(addr schema.Addr, f *found) {
	f.taken = true
	own := *f.obj
	own.Owner.Address = addr.String()
	f.obj = &own
	k.objects = append(k.objects, f)
}

// breaks marks an object as one to be replaced. A volume that exists is good,
// and of an image all that counts can be compared.
func breaks(f *found, why string) {
	if f.kind.HoldsData || f.kind.ByName {
		return
	}
	f.tainted = true
	if f.obj.Broken != "" {
		return
	}
	own := *f.obj
	own.Broken = why
	f.obj = &own
}

// resolveDoubts looks up what the calls in doubt came to.
func (p *planner) resolveDoubts(byID map[objectKey]*found, byUID map[string]*found) {
	for _, d := range p.o.Loaded.Doubts {
		if t := p.plan.Engines.Type(d.Kind); t != nil && t.ByName {
			p.doubtfulTag(d)
			continue
		}
		switch engine.Verb(d.Action) {
		case engine.DoCreate:
			f := byUID[d.UID]
			if d.UID == "" || f == nil {
				continue // it never came to be
			}
			if !f.obj.Started {
				breaks(f, "was left unfinished by an earlier apply")
			}
			f.secret = d.Sensitive
			if !f.taken {
				p.at(d.Addr).take(d.Addr, f)
			}
		case engine.DoUpdate:
			if f := byID[objectKey{d.Provider, d.Kind, d.TargetID}]; f != nil {
				f.secret = d.Sensitive
			}
		case engine.DoDelete:
			// Under a volume's name there may be another one by now.
			if f := byID[objectKey{d.Provider, d.Kind, d.TargetID}]; f != nil && f.obj.Owner.UID == d.UID {
				if !f.taken {
					p.at(d.Addr).take(d.Addr, f)
				}
				p.breakTaken(d.Addr, f.obj.ID, "was being deleted by an earlier apply")
			}
		}
	}
}

// settled is what is to be recorded of an address after a call in doubt: the
// objects that are there.
func (p *planner) settled(d state.Began) *state.Record {
	k := p.known[d.Addr]
	if k == nil {
		return nil
	}
	rec := k.record.Clone()
	if rec == nil {
		rec = &state.Record{Addr: d.Addr, Provider: d.Provider, Engine: d.Engine, Kind: d.Kind}
	}
	was := rec.Current
	rec.Current, rec.Others = nil, nil
	for _, f := range k.objects {
		o := state.Object{ID: f.obj.ID, Name: f.obj.Name, UID: f.obj.Owner.UID, Status: state.Ready}
		if f.obj.Broken != "" {
			o.Status = state.Tainted
		}
		if len(f.secret) > 0 {
			rec.Sensitive = secrets(rec, f)
		}
		if was != nil && was.ID == o.ID && (!f.kind.ByName || was.Name == o.Name) {
			rec.Current = &o
		} else {
			rec.Others = append(rec.Others, o)
		}
	}
	if t := p.plan.Engines.Type(rec.Kind); rec.Current == nil && len(rec.Others) == 0 && (t == nil || !t.Virtual) {
		return nil
	}
	return rec
}

func (p *planner) breakTaken(addr schema.Addr, id, why string) {
	for _, f := range p.at(addr).objects {
		if f.obj.ID == id {
			breaks(f, why)
		}
	}
}

// doubtfulTag makes a tag that an attempt of ours has moved the address's own,
// and keeps what it was before, so that a later destroy still knows whether the
// tag is ours to remove.
func (p *planner) doubtfulTag(d state.Began) {
	f := p.byTag(d.Provider, p.plan.Engines.Type(d.Kind), d.Name)
	if d.Prev == nil || f == nil || f.obj.ID == *d.Prev {
		return // it did not move
	}
	k := p.at(d.Addr)
	rec := k.record.Clone()
	if rec == nil {
		rec = &state.Record{Addr: d.Addr, Provider: d.Provider, Engine: d.Engine, Kind: d.Kind}
	}
	old := rec.Current
	if old == nil || old.Name != d.Name {
		if old != nil && rec.PrevTag != nil && *rec.PrevTag == "" {
			rec.Others = append(rec.Others, *old)
		} else if old != nil { // not ours to remove
			k.objects = slices.DeleteFunc(k.objects, func(f *found) bool { return f.obj.Name == old.Name })
		}
		rec.PrevTag = d.Prev
	}
	rec.Current = &state.Object{ID: f.obj.ID, Name: f.obj.Name, Status: state.Ready}
	k.record, k.gone = rec, false
	if !slices.ContainsFunc(k.objects, func(f *found) bool { return f.obj.Name == d.Name }) {
		f.recorded = true
		k.take(d.Addr, f)
	}
}

// checkLineage refuses to touch the objects of another history of the same
// stack; a run without a state takes the lineage that it finds.
func (p *planner) checkLineage(all []*found) {
	seen := map[string]*found{}
	for _, f := range all {
		if l := f.obj.Owner.Lineage; l != "" && p.owns(f.obj) && seen[l] == nil {
			seen[l] = f
		}
	}
	own := p.plan.Lineage
	if own == "" && len(seen) == 1 {
		for l := range seen {
			p.plan.Lineage = l
		}
		p.rebuilt = true
		p.plan.Notes = append(p.plan.Notes, "There is no state here; it was rebuilt from the labels of what runs.")
		return
	}
	delete(seen, own)
	if len(seen) == 0 {
		return
	}
	l := slices.Min(slices.Collect(maps.Keys(seen)))
	f := seen[l]
	p.errorf(nil, "Another state owns this stack",
		"On this engine %s %q (%s) belongs to stack %q, workspace %q, but to another state (lineage %s, not %s). "+
			"Use that state (-state-dir), or give this stack another name: gapool { stack = \"…\" }.",
		f.obj.Kind, f.obj.Name, f.obj.Owner.Address, p.o.Stack, p.o.Workspace, l, orNone(own))
}

// owns reports whether an object was made by this stack in this workspace.
func (p *planner) owns(obj *providers.Object) bool {
	return obj.Owner.UID != "" && obj.Owner.Stack == p.o.Stack && obj.Owner.Workspace == p.o.Workspace
}

// checkEngines refuses to take the objects of one engine for gone because
// another one was asked. An engine whose ID has changed, as an upgrade does,
// still has the recorded objects under their IDs.
func (p *planner) checkEngines(byID map[objectKey]*found) {
	type elsewhere struct {
		engine string
		addrs  []schema.Addr
		found  bool
	}
	moved := map[string]*elsewhere{} // by provider
	note := func(provider, engine string, addr schema.Addr) *elsewhere {
		if engine == "" || p.engines[provider] == nil || engine == p.info(provider).ID {
			return nil
		}
		m := moved[provider]
		if m == nil {
			m = &elsewhere{engine: engine}
			moved[provider] = m
		}
		m.addrs = append(m.addrs, addr)
		return m
	}
	st := p.o.Loaded.State
	for _, addr := range st.Addrs() {
		rec := st.Records[addr]
		m := note(rec.Provider, rec.Engine, addr)
		if m == nil {
			continue
		}
		for _, o := range rec.Objects() {
			f := byID[objectKey{rec.Provider, rec.Kind, o.ID}]
			m.found = m.found || (o.UID != "" && f != nil && f.obj.Owner.UID == o.UID)
		}
	}
	for _, d := range p.o.Loaded.Doubts {
		note(d.Provider, d.Engine, d.Addr)
	}
	for _, provider := range slices.Sorted(maps.Keys(moved)) {
		m := moved[provider]
		if m.found {
			p.plan.Notes = append(p.plan.Notes, fmt.Sprintf("The engine at %s has another ID than before and the same objects; the new ID is recorded.", p.info(provider).Host))
			continue
		}
		p.errorf(nil, "Another engine",
			"The state has %d objects, %s first, on the engine %s, but the provider %q now leads to %s (%s). "+
				"Go back to that engine (DOCKER_HOST, DOCKER_CONTEXT or the provider block), or, if it is gone for good, drop its records with 'gapool state rm'.",
			len(m.addrs), m.addrs[0], m.engine, provider, p.info(provider).ID, p.info(provider).Host)
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// recoverFromRecords stands in for a reading where no engine may be asked: what
// is recorded is taken to be there, as it was recorded.
func (p *planner) recoverFromRecords(st *state.State) {
	if len(p.o.Loaded.Doubts) > 0 {
		p.errorf(nil, "An earlier run was cut off",
			"What %d of its calls came to can only be told by the engine: plan with a refresh.", len(p.o.Loaded.Doubts))
		return
	}
	for _, addr := range st.Addrs() {
		rec := st.Records[addr]
		t := p.plan.Engines.Type(rec.Kind)
		if t == nil {
			p.errorf(nil, "Unknown resource type in the state", "%s is a %s, which this version of gapool does not know.", addr, rec.Kind)
			continue
		}
		k := p.at(addr)
		k.record = rec
		attrs := t.Build(engine.StoredValue(t, rec))
		for _, o := range rec.Objects() {
			obj := &providers.Object{
				Kind: rec.Kind, ID: o.ID, Name: o.Name, Attrs: attrs, Defaults: t.Null(), Started: true,
				Owner: providers.Owner{Stack: st.Stack, Workspace: st.Workspace, Lineage: st.Lineage, UID: o.UID, Address: addr.String()},
			}
			f := &found{provider: rec.Provider, obj: obj, kind: t, recorded: true}
			if !t.ByName {
				p.byName[nameKey{rec.Provider, rec.Kind, o.Name}] = f
			}
			if o.Status == state.Tainted {
				breaks(f, "was left unfinished by an earlier apply")
			}
			k.take(addr, f)
		}
	}
	p.plan.Notes = append(p.plan.Notes, "Planned from the state alone: what differs on the engine, and what the state does not store (such as env), is not seen.")
}

// liveAttrs is what an object has, in part as it was recorded. Without a
// refresh, what is not stored is taken to be as wanted.
func (p *planner) liveAttrs(t *schema.Type, rec *state.Record, obj *providers.Object, want cty.Value) cty.Value {
	if want.IsNull() || !want.IsKnown() {
		return obj.Attrs
	}
	live := obj.Attrs
	if !p.o.Refresh {
		vals := live.AsValueMap()
		for name, w := range want.AsValueMap() {
			if vals[name].IsNull() && w.IsKnown() {
				vals[name] = w
			}
		}
		live = cty.ObjectVal(vals)
	}
	return engine.Recalled(t, rec, want, live)
}

func (f *found) String() string { return fmt.Sprintf("%s %q", f.obj.Kind, f.obj.Name) }
