package plan

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// outputs compares each output's value with the one that was recorded.
func (p *planner) outputs(context.Context) {
	recorded := p.o.Loaded.State.Outputs
	names := map[string]bool{}
	for name := range recorded {
		names[name] = true
	}
	if p.o.Mode != engine.Destroy {
		for name := range p.o.Config.Root.Outputs {
			names[name] = true
		}
	}
	if p.o.Mode == engine.Destroy && len(p.o.Targets) > 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		p.plan.Outputs = append(p.plan.Outputs, p.output(name))
	}
}

func (p *planner) output(name string) engine.OutputChange {
	old, had := p.o.Loaded.State.Outputs[name]
	oc := engine.OutputChange{
		Name: name, Action: engine.NoOp, Sensitive: old.Sensitive,
		Before: cty.NullVal(cty.DynamicPseudoType), After: cty.NullVal(cty.DynamicPseudoType),
	}
	if had && !old.Sensitive {
		if v, err := engine.OutputValue(old); err == nil {
			oc.Before = v
		}
	}
	out := p.o.Config.Root.Outputs[name]
	if p.o.Mode == engine.Destroy || out == nil {
		oc.Action = engine.Delete
		return oc
	}
	if p.o.Mode != engine.RefreshOnly && len(out.Preconditions) > 0 {
		known, diags := p.eval.OutputConditions(out)
		p.add(diags)
		if diags.HasErrors() {
			return oc
		}
		p.checked(engine.Check{Kind: engine.CheckOutput, Name: name, Unknown: !known})
	}
	v, diags := p.eval.Output(out)
	p.add(diags)
	if diags.HasErrors() {
		return oc
	}
	left := p.leftOut(name)
	if left && had || (left || p.o.Mode == engine.RefreshOnly) && !v.IsWhollyKnown() {
		return oc // it stays as it was recorded
	}
	oc.After, oc.Sensitive = v, out.Sensitive
	switch {
	case had && schema.Bare(v).IsNull() && !sameOutput(old, out.Sensitive, v):
		oc.Action = engine.Delete // an output that is null is not there
	case !had:
		oc.Action = engine.Create
		if bare, _ := v.UnmarkDeep(); bare.IsKnown() && bare.IsNull() {
			oc.Action = engine.NoOp
		}
		// Where the state was rebuilt from labels, its outputs are those of what
		// was found: nothing says that they were others.
		if p.rebuilt && v.IsWhollyKnown() {
			oc.Action = engine.NoOp
		}
	case !sameOutput(old, out.Sensitive, v):
		oc.Action = engine.Update
	}
	return oc
}

// leftOut reports whether an output refers to a block of which -target leaves all
// out: what is there may not be what the output was made from.
func (p *planner) leftOut(output string) bool {
	return slices.ContainsFunc(p.graph.OutputDeps(output), func(block schema.Addr) bool {
		return !p.selected(block) && !slices.ContainsFunc(p.o.Targets, func(t schema.Addr) bool { return t.Block() == block })
	})
}

// sameOutput reports whether an output has the recorded value. Of a sensitive
// one only a hash was recorded.
func sameOutput(old state.Output, sensitive bool, v cty.Value) bool {
	v, _ = v.UnmarkDeep()
	if old.Sensitive != sensitive || !v.IsWhollyKnown() {
		return false
	}
	val, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return false
	}
	if sensitive {
		return state.VerifySecret(old.Hash, val)
	}
	ty, err := ctyjson.MarshalType(v.Type())
	return err == nil && sameBytes(old.Value, val) && sameBytes(old.Type, ty)
}

// sameBytes compares JSON without regard to white space.
func sameBytes(a, b json.RawMessage) bool {
	return sameJSON(a, b)
}
