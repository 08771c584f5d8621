package plan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// lead is a change that another object is made anew along with.
type lead struct {
	addr   schema.Addr
	onlyIf []string // as the change's; empty where it is certain
	reason string
	// before says that the other object goes before the lead's does, whatever
	// its own setting.
	before bool
}

func leadOf(c *engine.Change, reason string, before bool) lead {
	return lead{addr: c.Addr, onlyIf: c.OnlyIf, reason: reason, before: before}
}

// goAlong replaces the object of c along with others: with what its
// replace_triggered_by names, with the member that it follows, with what it
// uses and what goes first. If they are replaced only perhaps, c is too, unless
// it changes for certain: then it is replaced for certain.
func (p *planner) goAlong(c *engine.Change, w *wanted) {
	for _, l := range slices.Concat(w.leads, p.held(c.Object), p.forced[c.Addr]) {
		certain := len(l.onlyIf) == 0 || p.follows(l.addr, c.Addr)
		settled := c.Action.Replaces() && (!l.before || c.Action == engine.Replace)
		conditional := len(c.OnlyIf) > 0 || c.Action == engine.NoOp
		if !settled {
			c.Reason = l.reason
			if l.before {
				c.Action = engine.Replace
			} else {
				c.Action = p.replacement(c, w)
			}
		}
		switch {
		case certain:
			if c.Reason == "" || len(c.OnlyIf) > 0 {
				c.Reason = l.reason
			}
			c.OnlyIf, c.Follows = nil, nil
		case conditional:
			c.OnlyIf = append(c.OnlyIf, l.onlyIf...)
			c.Follows = append(c.Follows, l.addr)
		}
	}
	slices.Sort(c.OnlyIf)
	c.OnlyIf = slices.Compact(c.OnlyIf)
	slices.SortFunc(c.Follows, schema.CompareAddr)
	c.Follows = slices.Compact(c.Follows)
}

// follows reports whether one change goes along with another, through others
// too: then the other cannot wait for what becomes of it.
func (p *planner) follows(from, to schema.Addr) bool {
	seen := map[schema.Addr]bool{}
	for open := []schema.Addr{from}; len(open) > 0; open = open[1:] {
		c := p.changes[open[0]]
		if c == nil {
			continue
		}
		for _, f := range c.Follows {
			if f == to {
				return true
			}
			if !seen[f] {
				seen[f] = true
				open = append(open, f)
			}
		}
	}
	return false
}

// force sees that what cannot live through the deletion of what it uses is
// replaced: a container whose network goes first goes first too, whatever its
// own setting. Where that was not seen when the container was decided, since it
// does not refer to the network, all is decided once more with that knowledge.
// What others hold that this plan leaves alone refuses the plan.
func (p *planner) force(context.Context) {
	users := p.users()
	touched := p.touched()
	for _, c := range p.plan.Changes {
		if c.Object == nil || (c.Action != engine.Replace && c.Action != engine.Delete) {
			continue
		}
		var foreign []string
		for _, ref := range c.Object.Users {
			if !touched[refKey(ref.Kind, ref.ID)] {
				foreign = append(foreign, fmt.Sprintf("%s %q", ref.Kind, ref.Name))
			}
		}
		if len(foreign) > 0 {
			slices.Sort(foreign)
			p.errorf(nil, "In use by others", "%s cannot be %s, since it is used by what this plan leaves alone: %s. Detach that first%s.",
				c.Addr, participle(c.Action), strings.Join(foreign, ", "), p.orTarget())
			continue
		}
		if c.Action == engine.Delete {
			continue
		}
		for _, u := range users[refKey(c.Object.Kind, c.Object.ID)] {
			if u != c && !goesBefore(u, c) {
				p.decideAgain(u.Addr, leadOf(c, heldReason(c), true))
			}
		}
	}
}

func participle(a engine.Action) string {
	if a.Replaces() {
		return "replaced"
	}
	return "destroyed"
}

// orTarget is the other way out where -target is what leaves a user alone.
func (p *planner) orTarget() string {
	if len(p.o.Targets) > 0 {
		return ", or let -target take it in"
	}
	return ""
}

// goesBefore reports whether the object of u goes whenever that of c does.
func goesBefore(u, c *engine.Change) bool {
	switch u.Action {
	case engine.Delete, engine.Forget:
		return true
	case engine.Replace:
		return len(u.OnlyIf) == 0 || (len(c.OnlyIf) > 0 && slices.Contains(u.Follows, c.Addr))
	default:
		return false
	}
}

// decideAgain lets all be decided once more, with l as a lead of the address.
// An address has a lead once for certain and once perhaps, so this ends.
func (p *planner) decideAgain(addr schema.Addr, l lead) {
	if slices.ContainsFunc(p.forced[addr], func(x lead) bool {
		return x.addr == l.addr && (len(x.onlyIf) == 0 || len(l.onlyIf) > 0)
	}) {
		return
	}
	p.forced[addr] = append(p.forced[addr], l)
	p.again = true
}

// held are the changes that replace something the object uses, among those
// decided so far.
func (p *planner) held(obj *providers.Object) []lead {
	var leads []lead
	for _, ref := range obj.Uses {
		if c := p.byObject[refKey(ref.Kind, ref.ID)]; c != nil && c.Action == engine.Replace {
			leads = append(leads, leadOf(c, heldReason(c), true))
		}
	}
	return leads
}

func heldReason(c *engine.Change) string {
	return fmt.Sprintf("cannot be kept while %s, which it uses, is replaced", c.Addr)
}

func refKey(kind, id string) string { return kind + "\x00" + id }

// users finds, for each object, the changes whose object uses it.
func (p *planner) users() map[string][]*engine.Change {
	out := map[string][]*engine.Change{}
	for _, c := range p.plan.Changes {
		if c.Object == nil {
			continue
		}
		for _, ref := range c.Object.Uses {
			out[refKey(ref.Kind, ref.ID)] = append(out[refKey(ref.Kind, ref.ID)], c)
		}
	}
	return out
}

// touched is the set of the live objects that the plan decides.
func (p *planner) touched() map[string]bool {
	out := map[string]bool{}
	for _, c := range p.plan.Changes {
		if c.Object != nil {
			out[refKey(c.Object.Kind, c.Object.ID)] = true
		}
	}
	for _, e := range p.extras {
		out[refKey(e.obj.Kind, e.obj.ID)] = true
	}
	return out
}
