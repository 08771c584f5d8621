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
)

// undo makes the inverse of each step, in reverse, where a failure is to be
// answered with a rollback. What is wanted back is fixed here: it is what was
// there, not what the configuration says.
func (p *planner) undo(context.Context) {
	p.plan.OnFailure = p.o.OnFailure
	if p.o.OnFailure != engine.Rollback {
		return
	}
	last := len(p.plan.Steps) - 1
	p.plan.Undo = make([]*engine.Step, last+1)
	for i, s := range p.plan.Steps {
		u := p.inverse(s)
		u.ID, u.Addr, u.Undoes = last-i, s.Addr, s
		p.plan.Undo[u.ID] = u
	}
	for _, s := range p.plan.Steps {
		for _, n := range s.Needs {
			before := p.plan.Undo[last-n]
			before.Needs = append(before.Needs, last-s.ID)
		}
	}
	for _, u := range p.plan.Undo {
		slices.Sort(u.Needs)
	}
}

func keep(why string) *engine.Step { return &engine.Step{Verb: engine.DoKeep, Why: why} }

func (p *planner) inverse(s *engine.Step) *engine.Step {
	c := s.Change
	switch {
	case s.Verb == engine.Join:
		return &engine.Step{Verb: engine.Join}
	case s.Verb == engine.DoRecord || s.Verb == engine.DoForget || c.Type.Virtual:
		return &engine.Step{Verb: engine.DoRecord, Change: back(c, engine.NoOp)}
	}
	switch s.Verb {
	case engine.DoCreate:
		return p.undoCreate(s)
	case engine.DoUpdate:
		return undoUpdate(s)
	case engine.DoDelete:
		return undoDelete(s)
	default:
		return undoRename(s)
	}
}

// back is the change that leads from what c leads to back to what there was.
func back(c *engine.Change, action engine.Action) *engine.Change {
	b := &engine.Change{
		Addr: c.Addr, Type: c.Type, Provider: c.Provider, Action: action, Object: c.Object,
		Before: c.After, After: c.Before, Record: c.Record.Clone(), Deps: c.Deps, Protect: c.Protect,
	}
	if b.Record != nil {
		b.Record.Addr = c.Addr // it may have been recorded elsewhere
		b.Deps, b.Protect = b.Record.Deps, b.Record.Protected
	}
	return b
}

func (p *planner) undoCreate(s *engine.Step) *engine.Step {
	c := s.Change
	switch {
	case c.Type.ByName:
		if why := tagStays(s); why != "" {
			return keep(why)
		}
	case c.Type.HoldsData && !slices.Contains(p.o.AllowDataLoss, c.Addr):
		return keep(fmt.Sprintf("it may hold data by then, so it is kept (-allow-data-loss='%s' lets it go)", c.Addr))
	case c.Action == engine.Replace:
		if why := staysGone(c); why != "" {
			return keep("the one before it is not brought back")
		}
	}
	if c.Type.HoldsData {
		p.plan.Approved[c.Addr] = true
	}
	return &engine.Step{Verb: engine.DoDelete, Change: back(c, engine.Delete), Name: s.Name}
}

// tagStays says why the tag of a new image is not removed, empty where it is.
func tagStays(s *engine.Step) string {
	local := schema.Bare(s.Change.After)
	if local.Type().HasAttribute("keep_locally") {
		if v := local.GetAttr("keep_locally"); v.IsKnown() && !v.IsNull() && v.True() {
			return "it is kept on the engine (keep_locally)"
		}
	}
	switch {
	case s.Prev == nil:
		return "what the tag named before is not known yet"
	case *s.Prev != "":
		return "the tag named another image before, and is not moved back"
	default:
		return ""
	}
}

func undoDelete(s *engine.Step) *engine.Step {
	c := s.Change
	if s.Extra {
		return keep("it was left over from an earlier apply")
	}
	if why := staysGone(c); why != "" {
		return keep(why)
	}
	b := back(c, engine.Create)
	b.After = asItWas(c)
	return &engine.Step{Verb: engine.DoCreate, Change: b, Name: c.Object.Name}
}

// staysGone says why an object that is deleted cannot be made anew as it was,
// empty where it can.
func staysGone(c *engine.Change) string {
	switch obj := c.Object; {
	case c.Type.HoldsData:
		return "what it holds is lost"
	case c.Type.ByName:
		return "a tag that is removed is not set again"
	case !c.Addr.Member.IsZero():
		return "a member of a cluster that is removed does not come back"
	case obj == nil || c.Record == nil || c.Record.Kind != c.Type.Name || len(c.Record.Attrs) == 0 || obj.Attrs == cty.NilVal:
		return "nothing is recorded of how it was made"
	case obj.Broken != "":
		return "it was no sound one: it " + obj.Broken
	case ended(c):
		return "it does not run, and made anew it would run once more"
	default:
		for _, name := range c.Record.Sensitive {
			if a := c.Type.Attr(name); a != nil && obj.Attrs.GetAttr(name).IsNull() {
				return "its " + name + " is secret and cannot be read back"
			}
		}
		return ""
	}
}

// ended reports whether the object is one that runs and does not run now,
// though its create starts it.
func ended(c *engine.Change) bool {
	if start := engine.StoredValue(c.Type, c.Record)["start"]; start != cty.NilVal && start.Type() == cty.Bool && start.False() {
		return false
	}
	for i := range c.Type.Attrs {
		if a := &c.Type.Attrs[i]; a.Demand && c.Object.Attrs.GetAttr(a.Name).IsKnown() && !c.Object.Attrs.GetAttr(a.Name).IsNull() && c.Object.Attrs.GetAttr(a.Name).False() {
			return true
		}
	}
	return false
}

func undoUpdate(s *engine.Step) *engine.Step {
	c := s.Change
	b := back(c, engine.Update)
	live := schema.Bare(c.Object.Attrs)
	set := map[string]cty.Value{}
	for _, d := range c.Differences {
		a := c.Type.Attr(d.Attr)
		if a.Demand {
			return keep("what is started now is not stopped again")
		}
		set[d.Attr] = live.GetAttr(d.Attr)
		b.Differences = append(b.Differences, schema.Difference{Attr: d.Attr, Path: d.Path, Want: d.Live, Live: d.Want})
	}
	b.After = schema.With(asItWas(c), set)
	if names := onlyByReplacement(c, schema.Bare(b.After)); len(names) > 0 {
		return keep(fmt.Sprintf("only a replacement could change %s back", joined(names)))
	}
	return &engine.Step{Verb: engine.DoUpdate, Change: b, Target: s.Target, Name: s.Name}
}

// onlyByReplacement names the attributes that an update changes and none can
// change back to want.
func onlyByReplacement(c *engine.Change, want cty.Value) []string {
	var names []string
	note := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	after := schema.Bare(c.After)
	for _, d := range schema.Differences(c.Type, want, after, c.Object.Defaults) {
		if d.Replace && slices.ContainsFunc(c.Differences, func(x schema.Difference) bool { return x.Attr == d.Attr }) {
			note(d.Attr)
		}
	}
	for _, d := range c.Differences {
		a := c.Type.Attr(d.Attr)
		now := after.GetAttr(a.Name)
		switch {
		case a.Change != schema.Replace:
		case a.ReplaceIf == nil, !now.IsWhollyKnown(), a.ReplaceIf(now, want.GetAttr(a.Name)):
			note(a.Name)
		}
	}
	return names
}

func joined(names []string) string {
	text := names[0]
	for i, n := range names[1:] {
		if i == len(names)-2 {
			text += " and " + n
		} else {
			text += ", " + n
		}
	}
	return text
}

// undoRename gives an object the name back that it had: of a candidate that is
// known at the apply only.
func undoRename(s *engine.Step) *engine.Step {
	c := s.Change
	if s.Target == nil {
		if why := staysGone(c); why != "" {
			return keep("the one before it is not brought back")
		}
		return &engine.Step{Verb: engine.DoRename, Change: back(c, engine.Update)}
	}
	return &engine.Step{Verb: engine.DoRename, Change: back(c, engine.Update), Target: s.Target, Name: c.Object.Name}
}

// asItWas is what was wanted of an object when it was made: what was recorded
// of that and, for what is never recorded, what is live and not the engine's
// own. What was secret is marked.
func asItWas(c *engine.Change) cty.Value {
	stored := engine.StoredValue(c.Type, c.Record)
	live := schema.Bare(c.Object.Attrs)
	set := map[string]cty.Value{}
	for i := range c.Type.Attrs {
		a := &c.Type.Attrs[i]
		v, recorded := stored[a.Name]
		secret := c.Record != nil && slices.Contains(c.Record.Sensitive, a.Name)
		switch {
		case a.Name == "name" && c.Type.Renames:
			v = cty.StringVal(c.Object.Name)
		case !a.Settable() || a.Volatile:
			continue
		case recorded:
		case secret || engine.HoldsSecrets(a):
			v = lessDefaults(a, live.GetAttr(a.Name), c.Object)
		default:
			continue
		}
		if secret && !v.IsNull() {
			v = v.Mark(schema.SensitiveMark)
		}
		set[a.Name] = v
	}
	return c.Type.Build(set)
}

// lessDefaults is a live value without what the object has when nothing is
// configured: null, or of a map the entries that differ.
func lessDefaults(a *schema.Attr, live cty.Value, obj *providers.Object) cty.Value {
	null := cty.NullVal(a.Implied())
	if obj.Defaults == cty.NilVal || obj.Defaults.IsNull() || live.IsNull() || !live.IsKnown() {
		return live
	}
	usual := obj.Defaults.GetAttr(a.Name)
	switch {
	case usual.IsNull() || !usual.IsKnown():
		return live
	case usual.RawEquals(live):
		return null
	case !a.Merge || !live.Type().IsMapType():
		return live
	}
	own, theirs := live.AsValueMap(), usual.AsValueMap()
	maps.DeleteFunc(own, func(k string, v cty.Value) bool {
		their, ok := theirs[k]
		return ok && their.RawEquals(v)
	})
	if len(own) == 0 {
		return null
	}
	return cty.MapVal(own)
}
