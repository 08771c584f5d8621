package plan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
)

// force replaces what cannot live through the deletion of what it uses: a
// container whose network goes first goes first too, whatever its own setting.
// What others than this stack hold refuses the plan.
func (p *planner) force(context.Context) {
	users := p.users()
	ours := p.ours()
	var queue []*engine.Change
	for _, c := range p.plan.Changes {
		if c.Object != nil && (c.Action == engine.Replace || c.Action == engine.Delete) {
			queue = append(queue, c)
		}
	}
	for len(queue) > 0 {
		c := queue[0]
		queue = queue[1:]
		var foreign []string
		for _, ref := range c.Object.Users {
			if !ours[refKey(ref.Kind, ref.ID)] {
				foreign = append(foreign, fmt.Sprintf("%s %q", ref.Kind, ref.Name))
			}
		}
		if len(foreign) > 0 {
			slices.Sort(foreign)
			p.errorf(nil, "In use by others", "%s cannot be %sd, since it is used by what is not of this stack: %s. Detach that first.",
				c.Addr, verbOf(c.Action), strings.Join(foreign, ", "))
			continue
		}
		if c.Action == engine.Delete {
			continue
		}
		for _, u := range users[refKey(c.Object.Kind, c.Object.ID)] {
			if u == c || u.Action == engine.Replace || u.Action == engine.Delete || u.Action == engine.Create {
				continue
			}
			u.Action, u.OnlyIf, u.Reason = engine.Replace, nil, heldReason(c)
			if w := p.wants[u.Addr]; w != nil {
				p.settleAfter(u, w.value)
				p.eval.Set(u.Addr, u.After)
			}
			queue = append(queue, u)
		}
	}
}

// heldBy returns the change that replaces something the object uses, nil if
// there is none among those decided so far.
func (p *planner) heldBy(obj *providers.Object) *engine.Change {
	for _, ref := range obj.Uses {
		if c := p.byObject[refKey(ref.Kind, ref.ID)]; c != nil && c.Action == engine.Replace {
			return c
		}
	}
	return nil
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

// ours is the set of all live objects of the stack.
func (p *planner) ours() map[string]bool {
	out := map[string]bool{}
	for _, k := range p.known {
		for _, f := range k.objects {
			out[refKey(f.obj.Kind, f.obj.ID)] = true
		}
	}
	for _, f := range p.pool {
		out[refKey(f.obj.Kind, f.obj.ID)] = true
	}
	return out
}
