package plan

import (
	"context"
	"slices"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

// causes says for programs why what goes goes: the reasons are for people.
func (p *planner) causes(context.Context) {
	for _, c := range p.plan.Changes {
		switch {
		case c.Action.Replaces():
			c.Cause = p.causeOfReplacement(c)
		case c.Action == engine.Delete && p.o.Mode == engine.Normal:
			c.Cause = p.causeOfDelete(c.Addr)
		}
	}
}

func (p *planner) causeOfReplacement(c *engine.Change) engine.Cause {
	block := p.o.Config.Root.Resources[c.Addr.Block()]
	switch {
	case p.asked(c.Addr) != "":
		return engine.ByRequest
	case c.Object != nil && c.Object.Broken != "":
		return engine.Unfit
	case !slices.ContainsFunc(c.Differences, func(d schema.Difference) bool { return d.Replace }) &&
		block != nil && len(block.Lifecycle.ReplaceTriggeredBy) > 0:
		return engine.ByTriggers
	default:
		return engine.CannotUpdate
	}
}

func (p *planner) causeOfDelete(addr schema.Addr) engine.Cause {
	block := p.o.Config.Root.Resources[addr.Block()]
	_, isInt := addr.Key.Int()
	switch {
	case block == nil:
		return engine.NotConfigured
	case p.tooMany(addr):
		return engine.NoSuchIndex
	case block.Count != nil && isInt:
		return engine.NoSuchIndex
	case block.ForEach != nil && !isInt && !addr.Key.IsZero():
		return engine.NoSuchKey
	default:
		return engine.OtherKeys
	}
}
