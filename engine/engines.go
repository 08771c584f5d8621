package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// Engines connects to each engine when it is first asked for, and once.
type Engines struct {
	providers []providers.Provider
	configs   map[string]cty.Value // by provider key, known and without marks

	mu   sync.Mutex
	open map[string]providers.Engine
}

// NewEngines returns what connects by the provider configurations, which are
// keyed as in schema.Resource.Provider.
func NewEngines(list []providers.Provider, configs map[string]cty.Value) *Engines {
	return &Engines{providers: list, configs: configs, open: map[string]providers.Engine{}}
}

// Provider returns the provider that a key belongs to, nil if there is none.
func (e *Engines) Provider(key string) providers.Provider {
	name, _, _ := strings.Cut(key, ".")
	i := slices.IndexFunc(e.providers, func(p providers.Provider) bool { return p.Name() == name })
	if i < 0 {
		return nil
	}
	return e.providers[i]
}

// Type returns the table of a resource type, nil if no provider has it.
func (e *Engines) Type(name string) *schema.Type {
	for _, p := range e.providers {
		for _, t := range p.Types() {
			if t.Name == name {
				return t
			}
		}
	}
	return nil
}

// Get returns the connected engine of a provider key.
func (e *Engines) Get(ctx context.Context, key string) (providers.Engine, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if eng := e.open[key]; eng != nil {
		return eng, nil
	}
	p := e.Provider(key)
	if p == nil {
		return nil, fmt.Errorf("there is no provider %q", key)
	}
	cfg, ok := e.configs[key]
	if !ok {
		return nil, fmt.Errorf("the configuration has no provider %q, which the state names: write a provider block with that alias", key)
	}
	eng, err := p.Connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	e.open[key] = eng
	return eng, nil
}

// Known is what the engines that are connected say of themselves, by provider
// key.
func (e *Engines) Known() map[string]providers.Info {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make(map[string]providers.Info, len(e.open))
	for key, eng := range e.open {
		out[key] = eng.Info()
	}
	return out
}

// Close ends all connections.
func (e *Engines) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, eng := range e.open {
		_ = eng.Close() // nothing was left unread
	}
	clear(e.open)
}
