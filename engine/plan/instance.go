package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// wanted is one address with its configured value.
type wanted struct {
	addr     schema.Addr
	typ      *schema.Type
	provider string
	value    cty.Value // normal form, with marks
	bare     cty.Value // the same without
	marks    []cty.PathValueMarks
	block    *schema.Resource
	key      schema.Key
	deps     []schema.Addr
	// replace is a reason to make it anew whatever its attributes say; leads
	// are the changes that it is made anew along with.
	replace string
	leads   []lead
}

func (w *wanted) wants(v cty.Value) {
	w.value = v
	w.bare, w.marks = schema.Unmark(v)
}

// instance evaluates and decides one instance of a block.
func (p *planner) instance(r *schema.Resource, key schema.Key) {
	addr := r.Addr.Instance(key)
	if !p.selected(addr) && !p.selectedInside(addr) {
		p.passBy(r, key)
		return
	}
	v, diags := p.eval.Want(r, key)
	p.add(diags)
	if diags.HasErrors() {
		return
	}
	if r.Type.Attr("name") != nil && v.GetAttr("name").ContainsMarked() {
		p.errorf(r.Range.Ptr(), "A name is not secret",
			"%s: the name has a sensitive value in it, and every listing, label and log has the name. Make the name of something else, or use nonsensitive() if the value is no secret.", addr)
		return
	}
	known := p.conditions(r, key, r.Lifecycle.Preconditions, cty.NilVal)
	w := &wanted{
		addr: addr, typ: r.Type, provider: r.Provider, block: r, key: key,
		deps: p.graph.Deps(r.Addr), replace: p.asked(addr), leads: p.triggers(r),
	}
	w.wants(v)
	if r.Type.Virtual {
		p.cluster(w)
		known = known && len(r.Lifecycle.Postconditions) == 0 // the apply asks them
	} else {
		c := p.decide(w)
		p.eval.Set(addr, c.After)
		known = p.conditions(r, key, r.Lifecycle.Postconditions, c.After) && known
	}
	if len(r.Lifecycle.Preconditions)+len(r.Lifecycle.Postconditions) > 0 {
		p.checked(engine.Check{Kind: engine.CheckResource, Addr: addr, Unknown: !known})
	}
}

// conditions holds an instance to conditions and reports whether all are known.
func (p *planner) conditions(r *schema.Resource, key schema.Key, conds []schema.Condition, self cty.Value) bool {
	if p.o.Mode == engine.RefreshOnly {
		return true
	}
	known, diags := p.eval.Conditions(r, key, conds, self)
	p.add(diags)
	return known
}

// checked keeps what conditions came to. A plan that only records holds nothing
// to them.
func (p *planner) checked(c engine.Check) {
	if p.o.Mode != engine.RefreshOnly {
		p.plan.Checks = append(p.plan.Checks, c)
	}
}

// passBy gives an instance that -target leaves out the value that it has, with
// what is or was a secret in it hidden.
func (p *planner) passBy(r *schema.Resource, key schema.Key) {
	addr := r.Addr.Instance(key)
	k := p.known[addr]
	if k == nil || len(k.objects) == 0 || k.objects[0].obj.Attrs == cty.NilVal {
		p.eval.Set(addr, cty.UnknownVal(r.Type.Implied()))
		return
	}
	v, _ := p.eval.Body(r, key) // what is wrong with it is not for this plan
	_, marks := schema.Unmark(v)
	is := engine.WithSettings(r.Type, k.objects[0].obj, k.record).Attrs
	if r.Type.Virtual {
		is = seen(r.Type, k)
	}
	p.eval.Set(addr, hideLike(r.Type, remembered(is, secrets(k.record, k.objects[0])), marks))
}

// asked returns the reason to replace what -replace names.
func (p *planner) asked(addr schema.Addr) string {
	for _, a := range p.o.Replace {
		if a.Contains(addr) {
			return "is replaced as asked by -replace"
		}
	}
	return ""
}

// triggers are the changes of what replace_triggered_by names: one that is
// certain, else all that may be. What it names has been decided before.
func (p *planner) triggers(r *schema.Resource) []lead {
	if leads, ok := p.triggered[r.Addr]; ok {
		return leads
	}
	var perhaps, certain []lead
	for _, expr := range r.Lifecycle.ReplaceTriggeredBy {
		refs, diags := schema.References(expr.Variables())
		p.add(diags)
		for _, ref := range refs {
			if ref.Kind != schema.RefResource {
				continue
			}
			for _, c := range p.decided[ref.Addr.Block()] {
				if !ref.Addr.Contains(c.Addr) && !ref.Addr.Contains(c.Addr.Cluster()) || !changes(c, attrOf(ref.Traversal)) {
					continue
				}
				l := leadOf(c, "is replaced, since "+c.Addr.String()+" changes (replace_triggered_by)", false)
				if len(l.onlyIf) > 0 {
					perhaps = append(perhaps, l)
				} else {
					certain = append(certain, l)
				}
			}
		}
	}
	leads := perhaps
	if len(certain) > 0 {
		leads = certain[:1]
	}
	p.triggered[r.Addr] = leads
	return leads
}

// changes reports whether an object changes, or, where an attribute is named,
// whether that one does.
func changes(c *engine.Change, attr string) bool {
	if attr != "" && c.Action == engine.Update {
		return slices.ContainsFunc(c.Differences, func(d schema.Difference) bool { return d.Attr == attr })
	}
	return c.Action == engine.Update || c.Action.Replaces()
}

// attrOf returns the attribute that a reference to a resource goes on to.
func attrOf(t hcl.Traversal) string {
	for _, step := range t[min(2, len(t)):] {
		if a, ok := step.(hcl.TraverseAttr); ok {
			return a.Name
		}
	}
	return ""
}

// decide compares the wanted value with what is live and settles the change.
func (p *planner) decide(w *wanted) *engine.Change {
	name := nameOf(w.bare)
	k := p.claim(w, name)
	c := &engine.Change{
		Addr: w.addr, Type: w.typ, Provider: w.provider, Record: k.record, Prev: k.from, Deps: w.deps,
		Before: cty.NullVal(w.typ.Implied()), Action: engine.NoOp,
	}
	p.protect(c, w)
	p.checkAPI(w)
	p.changes[w.addr] = c
	p.decided[w.addr.Block()] = append(p.decided[w.addr.Block()], c)

	current := p.pick(w, k, name)
	if p.o.Mode == engine.RefreshOnly {
		p.observe(c, w, k, current)
		return c
	}
	switch {
	case current == nil:
		c.Action = engine.Create
		if k.gone {
			c.Reason = "was removed outside of gapool"
			p.drift(c, nil, nil, c.Reason, nil)
		}
	default:
		p.compare(c, w, current)
	}
	p.settleAfter(c, w.value)
	if w.typ.ByName {
		key := nameKey{w.provider, w.typ.Name, nameOf(schema.Bare(c.After))}
		if p.tags[key] == nil || made(c) {
			p.tags[key] = c
		}
	}
	c.Before = hideLike(w.typ, c.Before, w.marks)
	return c
}

// checkAPI refuses what the engine is too old for: it would pass over it.
func (p *planner) checkAPI(w *wanted) {
	info := p.info(w.provider)
	api, err := version.NewVersion(info.API)
	if err != nil {
		return // no engine was asked, or it has no versions
	}
	for _, n := range w.typ.Newer(w.bare, api) {
		p.errorf(p.blockRange(w.addr), "The engine is too old", "%s: %s needs version %s of the Docker Engine API, and the engine at %s (%s) speaks %s. Remove the argument, or upgrade the engine.",
			w.addr, n.Path, n.Since, info.Host, info.Version, info.API)
	}
}

// compare settles what is to be done with an object that exists.
func (p *planner) compare(c *engine.Change, w *wanted, current *found) {
	obj := current.obj
	c.Object, c.Adopted = obj, !current.recorded
	p.byObject[refKey(obj.Kind, obj.ID)] = c
	live := p.liveAttrs(w.typ, c.Record, obj, w.bare)
	c.Before = live
	value, names := p.unsettled(w, live)
	secret := secrets(c.Record, current)
	c.Differences = engine.WithoutKeys(w.typ, engine.Differences(w.typ, w.block, value, live, obj.Defaults), value, live, secret)
	hideRemembered(c, secret)
	var replace, update, unknown, unknownReplaces bool
	for _, d := range c.Differences {
		switch {
		case d.Unknown:
			unknown = true
			unknownReplaces = unknownReplaces || d.Replace
		case d.Replace:
			replace = true
		default:
			update = true
		}
	}
	switch {
	case w.replace != "":
		c.Action, c.Reason = p.replacement(c, w), w.replace
	case obj.Broken != "":
		c.Action, c.Reason = p.replacement(c, w), obj.Broken
		p.drift(c, w, current, obj.Broken, nil)
	case replace || (update && unknownReplaces):
		c.Action = p.replacement(c, w)
	case update:
		c.Action = engine.Update
	case unknown:
		c.Action = engine.Update
		if unknownReplaces {
			c.Action = p.replacement(c, w)
		}
		c.OnlyIf = slices.Compact(slices.Sorted(slices.Values(append(p.unknownSources(w.block), names...))))
	}
	p.goAlong(c, w)
	if current.recorded {
		p.recordedDrift(c, w, current, live)
	}
}

// unsettled is the wanted value without the names that this plan makes anew:
// what they will mean is not known yet. It returns what they depend on, too.
func (p *planner) unsettled(w *wanted, live cty.Value) (cty.Value, []string) {
	var sources []string
	set := map[string]cty.Value{}
	for i := range w.typ.Attrs {
		a := &w.typ.Attrs[i]
		if a.Names == nil {
			continue
		}
		v, marks := w.value.GetAttr(a.Name).Unmark()
		by := p.tags[nameKey{w.provider, a.Names.Type, wordOf(v)}]
		// The live one may be of another name: that is a difference anyway.
		if is := wordOf(live.GetAttr(a.Name)); by == nil || !made(by) || is != wordOf(v) && p.named(w.provider, by.Type, is) != nil {
			continue
		}
		set[a.Name] = cty.UnknownVal(a.Type).WithMarks(marks)
		sources = append(sources, by.Addr.String()+"."+a.Names.ID)
	}
	if len(set) == 0 {
		return w.value, nil
	}
	return schema.With(w.value, set), sources
}

// made reports whether the plan makes an object at the address.
func made(c *engine.Change) bool { return c.Action == engine.Create || c.Action.Replaces() }

// observe settles an address of which only what is there is to be written down.
func (p *planner) observe(c *engine.Change, w *wanted, k *known, current *found) {
	switch {
	case current != nil:
		c.Object, c.Adopted, c.Tainted = current.obj, !current.recorded, current.tainted
		live := p.liveAttrs(w.typ, c.Record, c.Object, w.bare)
		// Only what is there is written down, so what the configuration shows says
		// what may be shown.
		is := engine.Concealed(w.typ, remembered(live, secrets(c.Record, current)), w.value, c.Object.Defaults)
		c.Before = schema.With(hideLike(w.typ, is, w.marks), notWanted(w.typ, w.bare))
		c.After = c.Before
		if current.recorded {
			p.recordedDrift(c, w, current, live)
		}
	case k.gone:
		c.Action, c.Reason = engine.Forget, "was removed outside of gapool"
		c.After = cty.UnknownVal(w.typ.Implied()) // for the outputs
		p.drift(c, nil, nil, c.Reason, nil)
	default:
		c.After = cty.UnknownVal(w.typ.Implied())
		delete(p.changes, w.addr)
	}
}

// notWanted are the attributes that the configuration says nothing of, as null:
// they are not recorded. What only the record tells stays in it.
func notWanted(t *schema.Type, want cty.Value) map[string]cty.Value {
	out := map[string]cty.Value{}
	for i := range t.Attrs {
		if a := &t.Attrs[i]; !a.Computed && !a.Recorded && want.GetAttr(a.Name).IsNull() {
			out[a.Name] = cty.NullVal(a.Implied())
		}
	}
	return out
}

// replacement chooses the order of a replacement.
func (p *planner) replacement(c *engine.Change, w *wanted) engine.Action {
	switch {
	case w.typ.ByName:
		return engine.ReplaceFirst // the new tag first, the old one last
	case w.block == nil || !w.block.Lifecycle.CreateBeforeDestroy || !w.addr.Member.IsZero():
		return engine.Replace
	case !w.typ.Renames && c.Object != nil && nameOf(w.bare) == c.Object.Name:
		p.errorf(w.block.Range.Ptr(), "Two objects of one name",
			"%s has create_before_destroy, but a %s cannot be renamed, so the new one cannot be made while the old one has its name. "+
				"Give it another name (one that has a hash of its settings in it, say) or remove create_before_destroy.", c.Addr, w.typ.Name)
		return engine.Replace
	case w.typ.Exclusive != nil && c.Object != nil:
		held, told := w.typ.Exclusive(schema.Bare(c.Before)), w.typ.Exclusive(engine.Open(w.value))
		for _, x := range w.typ.Exclusive(w.bare) {
			if slices.ContainsFunc(held, x.Clashes) {
				what := x.String()
				if !slices.Contains(told, x) {
					what = "what it is to have and is sensitive"
				}
				p.errorf(w.block.Range.Ptr(), "Two objects cannot share it",
					"%s has create_before_destroy, but the new one cannot be made while the old one has %s. Remove create_before_destroy, or give up %s.", c.Addr, what, what)
				return engine.Replace
			}
		}
		return engine.ReplaceFirst
	default:
		return engine.ReplaceFirst
	}
}

// claim returns what is known of a wanted address, taking up objects of ours
// that no record knows: by kind and name first, then, but for what holds data,
// by the address in their labels, which is as old as the object: what another
// address wants by its name is left to that one. An object recorded under an
// address that the configuration no longer has is taken over with its name.
func (p *planner) claim(w *wanted, name string) *known {
	k := p.at(w.addr)
	for _, f := range p.poolByName[nameKey{w.provider, w.typ.Name, name}] {
		if !f.taken && name != "" {
			k.take(w.addr, f)
		}
	}
	for _, f := range p.labelled[w.addr] {
		if f.taken || f.kind != w.typ || f.provider != w.provider || w.typ.HoldsData {
			continue
		}
		if by, named := p.wantedAs(f); !named || by == w.addr {
			k.take(w.addr, f)
		}
	}
	if name != "" && len(k.objects) == 0 && k.record == nil {
		p.takeOver(w, k, name)
	}
	if w.typ.ByName && len(k.objects) == 0 {
		if f := p.byTag(w.provider, w.typ, name); f != nil {
			k.take(w.addr, f)
		}
	}
	return k
}

// takeOver moves an object that is recorded under an address that nobody wants
// any more to the wanted address of the same name: a resource was renamed in
// the configuration, or has got another key, and the engine can have the name
// only once.
func (p *planner) takeOver(w *wanted, k *known, name string) {
	f := p.holder(w.provider, w.typ, name)
	if f == nil {
		return
	}
	addr, err := schema.ParseAddr(f.obj.Owner.Address)
	if err != nil || p.hasPlace(addr) {
		return
	}
	old := p.known[addr]
	if old == nil || old.record == nil || old.record.Current == nil || len(old.objects) != 1 || old.objects[0] != f {
		return
	}
	k.objects = nil
	k.take(w.addr, f)
	k.record, k.from = old.record, addr
	delete(p.known, addr)
}

// hasPlace reports whether the configuration has an instance of that address.
// Of blocks that were not expanded yet every instance may have its place.
func (p *planner) hasPlace(addr schema.Addr) bool {
	if p.o.Config.Root.Resources[addr.Block()] == nil {
		return false
	}
	x := p.eval.Expansion(addr.Block())
	return x == nil || !addr.Member.IsZero() || slices.Contains(x.Keys, addr.Key)
}

// pick chooses the current object of an address among the live ones: one that
// is whole, then one with the immutable attributes as wanted, then one with the
// wanted name, then the newest. The others are deleted, before anything new is
// made; what holds data is kept and listed.
func (p *planner) pick(w *wanted, k *known, name string) *found {
	if len(k.objects) == 0 {
		return nil
	}
	replaces := make(map[*found]bool, len(k.objects))
	if len(k.objects) > 1 {
		for _, f := range k.objects {
			for _, d := range schema.Differences(w.typ, w.bare, p.liveAttrs(w.typ, k.record, f.obj, w.bare), f.obj.Defaults) {
				replaces[f] = replaces[f] || (d.Replace && !d.Unknown)
			}
		}
	}
	slices.SortFunc(k.objects, func(a, b *found) int {
		return cmp.Or(
			order(a.obj.Broken == "", b.obj.Broken == ""),
			order(!replaces[a], !replaces[b]),
			order(a.obj.Name == name, b.obj.Name == name),
			b.obj.Created.Compare(a.obj.Created),
			cmp.Compare(a.obj.ID, b.obj.ID),
		)
	})
	for _, f := range k.objects[1:] {
		p.surplus(w.addr, f)
	}
	return k.objects[0]
}

// order puts true first.
func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

// surplus deals with an object beside the current one.
func (p *planner) surplus(addr schema.Addr, f *found) {
	if f.kind.HoldsData || p.o.Mode == engine.RefreshOnly {
		p.plan.Kept = append(p.plan.Kept, f.obj)
		return
	}
	c := &engine.Change{
		Addr: addr, Type: f.kind, Provider: f.provider, Action: engine.Delete, Object: f.obj,
		Reason: "is left over from an earlier apply", Before: f.obj.Attrs, After: cty.NullVal(f.kind.Implied()),
	}
	p.extras = append(p.extras, extra{c, f.obj})
}

// protect settles prevent_destroy: what the configuration says, else what was
// applied last.
func (p *planner) protect(c *engine.Change, w *wanted) {
	if w.block != nil && w.block.Lifecycle.PreventDestroy != nil {
		c.Protect = *w.block.Lifecycle.PreventDestroy && (w.addr.Member.IsZero() || w.addr.Member.Role == schema.Head)
	} else if c.Record != nil {
		c.Protect = c.Record.Protected
	}
}

// unwanted decides an address that the configuration does not have.
func (p *planner) unwanted(addr schema.Addr, k *known) {
	if len(k.objects) == 0 && k.record == nil {
		return
	}
	var t *schema.Type
	var provider string
	if k.record != nil {
		t, provider = p.plan.Engines.Type(k.record.Kind), k.record.Provider
	} else {
		t, provider = k.objects[0].kind, k.objects[0].provider
	}
	c := &engine.Change{
		Addr: addr, Type: t, Provider: provider, Record: k.record, Action: engine.Delete,
		Before: cty.NullVal(t.Implied()), After: cty.NullVal(t.Implied()),
	}
	if k.record != nil {
		c.Deps, c.Protect = k.record.Deps, k.record.Protected
	} else {
		c.Deps = k.objects[0].obj.Owner.Deps
	}
	if block := p.o.Config.Root.Resources[addr.Block()]; block != nil && block.Lifecycle.PreventDestroy != nil {
		c.Protect = *block.Lifecycle.PreventDestroy && addr.Member.IsZero()
	}
	if p.o.Mode == engine.Normal {
		c.Reason = p.whyUnwanted(addr)
	}
	p.changes[addr] = c
	p.decided[addr.Block()] = append(p.decided[addr.Block()], c)
	if len(k.objects) == 0 && !t.Virtual {
		c.Action, c.Reason = engine.Forget, "was removed outside of gapool"
		p.drift(c, nil, nil, c.Reason, nil)
		return
	}
	if p.o.Mode == engine.RefreshOnly {
		c.Action, c.Reason = engine.NoOp, ""
	}
	if len(k.objects) > 0 {
		for _, f := range k.objects[1:] {
			p.surplus(addr, f)
		}
		c.Object, c.Adopted = k.objects[0].obj, !k.objects[0].recorded
		if t.Virtual {
			c.Adopted = k.record == nil // which has no object in it
		}
		if c.Object.Attrs != cty.NilVal {
			c.Before = hideLike(t, shown(t, k.record, secrets(k.record, k.objects[0]), c.Object.Attrs), nil)
		}
	}
	p.keepTag(c)
}

// shown is what may be shown of an object whose block is gone, and with it the
// knowledge of what is secret: what was recorded in clear, and what the engine
// has chosen, but for what is known to be secret.
func shown(t *schema.Type, rec *state.Record, secret []string, live cty.Value) cty.Value {
	stored := engine.StoredValue(t, rec)
	hidden := map[string]cty.Value{}
	for i := range t.Attrs {
		a := &t.Attrs[i]
		_, ok := stored[a.Name]
		if slices.Contains(secret, a.Name) || !ok && !a.Computed && a.Name != "name" {
			hidden[a.Name] = cty.NullVal(a.Implied())
		}
	}
	return schema.With(live, hidden)
}

// tooMany reports whether an address is of a member that its cluster, which
// stays, does not want.
func (p *planner) tooMany(addr schema.Addr) bool {
	return !addr.Member.IsZero() && p.hasPlace(addr.Cluster())
}

func (p *planner) whyUnwanted(addr schema.Addr) string {
	switch r := p.o.Config.Root.Resources[addr.Block()]; {
	case r == nil:
		return "is not in the configuration"
	case p.tooMany(addr):
		return "is not wanted by the cluster any more"
	case !addr.Member.IsZero():
		return "goes with its cluster"
	case addr.Key.IsZero():
		return "has no key, and count or for_each gives each one a key"
	case r.Count == nil && r.ForEach == nil:
		return "has a key, and the configuration has one without"
	default:
		return "is not among the instances of count or for_each"
	}
}

// keepTag turns the delete of an image into a forget where the tag is not ours
// to remove: another address has it, it was there before us, it has moved since,
// nobody remembers, or keep_locally says so.
func (p *planner) keepTag(c *engine.Change) {
	if !c.Type.ByName || c.Action != engine.Delete {
		return
	}
	rec := c.Record
	var keep bool
	var other *engine.Change
	if c.Object != nil {
		other = p.tags[nameKey{c.Provider, c.Type.Name, c.Object.Name}]
	}
	if raw := engine.StoredValue(c.Type, rec)["keep_locally"]; raw != cty.NilVal && raw.Type() == cty.Bool {
		keep = raw.True()
	}
	switch {
	case keep:
		c.Reason = "is kept on the engine (keep_locally)"
	case other != nil && other.Addr != c.Addr:
		c.Reason = "is kept: the tag is " + other.Addr.String() + "'s"
	case rec == nil || rec.PrevTag == nil:
		c.Reason = "is kept: without a state nobody knows whether the tag was there before"
	case *rec.PrevTag != "":
		c.Reason = "is kept: the tag was there before gapool"
	case c.Object != nil && rec.Current != nil && c.Object.ID != rec.Current.ID:
		c.Reason = "is kept: the tag was moved by somebody else"
	default:
		return
	}
	c.Action = engine.Forget
}

// tellTags says which images a destroy without a state leaves: it knows of none.
func (p *planner) tellTags() {
	if p.o.Mode != engine.Destroy || !p.rebuilt {
		return
	}
	for _, r := range p.o.Config.Root.SortedResources() {
		if r.Type.ByName {
			p.plan.Notes = append(p.plan.Notes, fmt.Sprintf("%s is kept: without a state nobody knows whether its tag was there before.", r.Addr))
		}
	}
}

// orphan decides an object of ours that no record and no wanted address has. A
// destroy takes what the configuration names. What it does not name is deleted
// if the configuration names the stack, and else only listed; what holds data
// and is not named is listed unless its deletion is allowed by name.
func (p *planner) orphan(f *found) {
	addr, named := f.label, false
	if p.o.Mode == engine.Destroy {
		addr, named = p.namedAs(f)
	}
	switch {
	case p.o.Mode == engine.RefreshOnly, addr.IsZero(), !named && !p.o.NamedStack, !p.selected(addr),
		p.o.Mode != engine.Destroy && len(p.o.Targets) > 0,
		f.kind.HoldsData && !named && !(p.o.Mode == engine.Destroy && slices.Contains(p.o.AllowDataLoss, addr)):
		p.plan.Kept = append(p.plan.Kept, f.obj)
		return
	}
	if p.changes[addr] != nil {
		p.surplus(addr, f)
		return
	}
	k := p.at(addr)
	k.take(addr, f)
	p.unwanted(addr, k)
	p.changes[addr].Orphan = p.o.Config.Root.Resources[addr.Block()] == nil
}

// namedAs returns the address of an object that no record knows, and whether the
// configuration has it: an object of that name, or else, but for what holds
// data, an instance at the address that the label says, or a cluster around it.
func (p *planner) namedAs(f *found) (schema.Addr, bool) {
	if addr, ok := p.wantedAs(f); ok {
		return addr, true
	}
	return f.label, !f.kind.HoldsData && p.wishes().addrs[f.label.Cluster()]
}

// drift tells what became of a recorded object, which is current now; nil for one
// that is gone. What is secret of what is wanted is so of what is there: an apply
// that was cut off may have put it there and not have recorded that.
func (p *planner) drift(c *engine.Change, w *wanted, current *found, what string, diffs []schema.Difference) {
	d := engine.Drift{Addr: c.Addr, Type: c.Type, Provider: c.Provider, What: what, Differences: diffs, After: cty.NullVal(c.Type.Implied())}
	stored := engine.StoredValue(c.Type, c.Record)
	d.Before = c.Type.Build(stored)
	if current != nil && c.Object.Attrs != cty.NilVal && !c.Object.Attrs.IsNull() {
		secret := secrets(c.Record, current)
		d.After = hideLike(c.Type, shown(c.Type, c.Record, secret, c.Object.Attrs), w.marks)
		marks := engine.MarksIn(d.After)
		for i := range diffs {
			x := &diffs[i]
			if x.Live = engine.MarkedAs(marks, x.Path, x.Live); slices.Contains(secret, x.Attr) {
				x.Live = x.Live.Mark(schema.SensitiveMark)
			}
		}
	}
	p.plan.Drift = append(p.plan.Drift, d)
}

// recordedDrift tells what was changed behind our back: where what is live
// differs from what was recorded.
func (p *planner) recordedDrift(c *engine.Change, w *wanted, current *found, live cty.Value) {
	if !p.o.Refresh || c.Object.Broken != "" {
		return
	}
	stored := engine.Outdated(w.typ, c.Record, live)
	if len(stored) == 0 {
		return
	}
	was := schema.With(live, stored)
	diffs := schema.Differences(w.typ, was, live, w.typ.Null())
	if len(diffs) > 0 {
		p.drift(c, w, current, "was changed outside of gapool", diffs)
	}
}

// hideRemembered hides what was secret when it was applied last, though the
// configuration does not say so any more.
func hideRemembered(c *engine.Change, secret []string) {
	for i := range c.Differences {
		if d := &c.Differences[i]; slices.Contains(secret, d.Attr) {
			d.Live = d.Live.Mark(schema.SensitiveMark)
		}
	}
	c.Before = remembered(c.Before, secret)
}

// remembered hides in a live value what was secret when it was applied last.
func remembered(live cty.Value, secret []string) cty.Value {
	if len(secret) == 0 || live.IsNull() || !live.IsKnown() {
		return live
	}
	vals := live.AsValueMap()
	for _, name := range secret {
		if v, ok := vals[name]; ok && !v.IsNull() {
			vals[name] = v.Mark(schema.SensitiveMark)
		}
	}
	return cty.ObjectVal(vals)
}

// hideLike marks in a live value what the table or the wanted value hides.
func hideLike(t *schema.Type, live cty.Value, marks []cty.PathValueMarks) cty.Value {
	if live.IsNull() || !live.IsKnown() {
		return live
	}
	hidden := map[string]bool{}
	for _, m := range marks {
		if len(m.Path) > 0 {
			if step, ok := m.Path[0].(cty.GetAttrStep); ok {
				hidden[step.Name] = true
			}
		}
	}
	live, own := schema.Unmark(live)
	set := map[string]cty.Value{}
	for i := range t.Attrs {
		a := &t.Attrs[i]
		if !hidden[a.Name] && !a.Sensitive {
			continue
		}
		if v := live.GetAttr(a.Name); !v.IsNull() {
			set[a.Name] = v.Mark(schema.SensitiveMark)
		}
	}
	return schema.With(live, set).MarkWithPaths(own)
}

// settleAfter fills in what the object will be.
func (p *planner) settleAfter(c *engine.Change, want cty.Value) {
	if c.Object != nil && (c.Action == engine.NoOp || c.Action == engine.Update) {
		want = engine.Kept(c.Type, p.o.Config.Root.Resources[c.Addr.Block()], want, c.Before, c.Object.Defaults)
	}
	if c.Action == engine.NoOp {
		c.After = schema.Settled(c.Type, want, c.Before)
		return
	}
	c.After = schema.Planned(c.Type, want, c.Before, c.Action != engine.Update)
}

// nameOf is the engine's name for a wanted value, empty where it is not known.
func nameOf(bare cty.Value) string {
	if !bare.IsKnown() || bare.IsNull() || !bare.Type().HasAttribute("name") {
		return ""
	}
	return wordOf(bare.GetAttr("name"))
}

// wordOf is a string, empty where there is none or it is not known.
func wordOf(v cty.Value) string {
	if v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		return ""
	}
	return v.AsString()
}

// sameJSON reports whether two records are the same.
func sameJSON(a, b any) bool {
	x, err := json.Marshal(a)
	if err != nil {
		return false
	}
	y, err := json.Marshal(b)
	return err == nil && string(x) == string(y)
}
