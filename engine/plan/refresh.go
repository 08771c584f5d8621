package plan

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// refresh connects to the engines that the configuration and the state name and
// reads each once. Where a call of a dead process may still take effect it
// waits that out first, and reads until two readings agree (rule 9 of the state
// protocol).
func (p *planner) refresh(ctx context.Context) {
	keys := p.providerKeys()
	configs := map[string]cty.Value{}
	p.plan.Engines = engine.NewEngines(p.o.Providers, configs)
	for _, key := range keys {
		block := p.o.Config.Root.Providers[key]
		provider := p.plan.Engines.Provider(key)
		if provider == nil || (block == nil && provider.Name() != key) {
			continue // Get says what is wrong with the key
		}
		v, diags := p.eval.Provider(block, provider.Config())
		p.add(diags)
		configs[key] = v
	}
	if p.diags.HasErrors() || !p.o.Refresh {
		return
	}
	for _, key := range keys {
		eng, err := p.plan.Engines.Get(ctx, key)
		if err != nil {
			p.errorf(nil, "No engine", "%v", err)
			return
		}
		p.engines[key] = eng
		if p.o.Connected == nil {
			continue
		}
		if err := p.o.Connected(ctx, eng.Info().ID); err != nil {
			p.errorf(nil, "The engine is not free", "Nothing was read or changed. %v", err)
			return
		}
	}
	p.settle(ctx)
	for range maxReadings {
		before := p.worlds
		if p.read(ctx); p.diags.HasErrors() {
			return
		}
		if len(p.o.Loaded.Doubts) == 0 || sameObjects(before, p.worlds) {
			return
		}
		if err := p.o.Sleep(ctx, settleTime/4); err != nil {
			p.errorf(nil, "Interrupted", "%v", err)
			return
		}
	}
	p.errorf(nil, "The engine is still changing",
		"An earlier run was cut off, and what it began is still going on: %d readings in a row differed. Try again in a minute.", maxReadings)
}

const (
	settleTime  = 2 * time.Second // after which a call in doubt has landed or never will
	maxReadings = 40
)

func (p *planner) settle(ctx context.Context) {
	if len(p.o.Loaded.Doubts) == 0 {
		return
	}
	wait := settleTime
	for _, d := range p.o.Loaded.Doubts {
		wait = max(wait, settleTime+time.Duration(d.Timeout)*time.Second)
	}
	// A clock that was set back must not make it longer.
	if left := wait - max(0, time.Since(p.o.Loaded.LastWrite)); left > 0 {
		if p.o.Waiting != nil {
			p.o.Waiting(left)
		}
		if err := p.o.Sleep(ctx, left); err != nil {
			p.errorf(nil, "Interrupted", "%v", err)
		}
	}
}

// providerKeys are those that the configuration declares or uses or the state
// has recorded; with none of these, each provider as it is found by default.
func (p *planner) providerKeys() []string {
	set := map[string]bool{}
	for key := range p.o.Config.Root.Providers {
		set[key] = true
	}
	for _, r := range p.o.Config.Root.Resources {
		set[r.Provider] = true
	}
	for _, rec := range p.o.Loaded.State.Records {
		set[rec.Provider] = true
	}
	if len(set) == 0 {
		for _, prov := range p.o.Providers {
			set[prov.Name()] = true
		}
	}
	keys := make([]string, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (p *planner) read(ctx context.Context) {
	recorded := map[string][]providers.Ref{}
	for _, addr := range p.o.Loaded.State.Addrs() {
		rec := p.o.Loaded.State.Records[addr]
		for _, o := range rec.Objects() {
			recorded[rec.Provider] = append(recorded[rec.Provider], providers.Ref{Kind: rec.Kind, ID: o.ID, Name: o.Name})
		}
	}
	for _, d := range p.o.Loaded.Doubts {
		if d.TargetID != "" {
			recorded[d.Provider] = append(recorded[d.Provider], providers.Ref{Kind: d.Kind, ID: d.TargetID, Name: d.Name})
		}
	}
	keys := p.providerKeys()
	read := make([]*providers.World, len(keys))
	g, gctx := errgroup.WithContext(ctx)
	for i, key := range keys {
		g.Go(func() (err error) {
			read[i], err = p.engines[key].Refresh(gctx, providers.Scope{
				Stack: p.o.Stack, Workspace: p.o.Workspace, Recorded: recorded[key],
			})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		p.errorf(nil, "The engine cannot be read", "Nothing was changed. %v", err)
		return
	}
	p.worlds = map[string]*providers.World{}
	for i, key := range keys {
		p.worlds[key] = read[i]
	}
}

func sameObjects(a, b map[string]*providers.World) bool {
	if len(a) != len(b) {
		return false
	}
	for key := range b {
		if a[key] == nil || !slices.EqualFunc(a[key].Objects, b[key].Objects, func(x, y *providers.Object) bool {
			return x.Kind == y.Kind && x.ID == y.ID && x.Name == y.Name && x.Started == y.Started
		}) {
			return false
		}
	}
	return true
}

// named finds what holds a name on an engine, ours or not.
func (p *planner) named(provider string, t *schema.Type, name string) *providers.Object {
	w := p.worlds[provider]
	if w == nil || w.Named == nil || name == "" {
		return nil
	}
	obj, ok := w.Named(t.Name, name)
	if !ok {
		return nil
	}
	return obj
}
