package engine_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/plan"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/mem"
)

// TestRefreshOnlyObservesACluster changes the configuration and the world:
// -refresh-only writes down what is there, and touches nothing.
func TestRefreshOnlyObservesACluster(t *testing.T) {
	for _, lost := range []bool{false, true} {
		l := clusterLab(t)
		l.write(cluster(`"h"`, `sensitive("h")`))
		l.apply()
		l.world.Remove("docker_container", "pool-cpu-1")
		l.world.Stop("docker_container", "pool-cpu-0")
		l.write(cluster("= 2", "= 3", `"w"`, `"v"`, `"h"`, `"i"`, "= 64", "= 128"))
		if lost {
			l.lose()
		}
		was := l.world.String()
		var calls []string
		l.world.SetFault(func(c mem.Call) error {
			if c.When == mem.Before && c.Op != mem.Refresh && c.Op != mem.Read {
				calls = append(calls, c.String())
			}
			return nil
		})
		l.mode = engine.RefreshOnly
		p := l.apply()
		l.world.SetFault(nil)
		for _, s := range p.Steps {
			if !slices.Contains([]engine.Verb{engine.DoRecord, engine.DoForget, engine.Join}, s.Verb) {
				t.Errorf("lost %v: %s %s", lost, s.Verb, s.Addr)
			}
		}
		if got := l.world.String(); got != was || len(calls) > 0 {
			t.Errorf("lost %v: it was\n%sand is\n%safter %v", lost, was, got, calls)
		}
		if l.record(worker1) != nil {
			t.Errorf("lost %v: a worker that is gone is still recorded", lost)
		}
		if rec := l.record("ray_cluster.pool"); rec != nil && (strings.Contains(string(rec.Attrs), `"v"`) || !slices.Equal(rec.Sensitive, []string{"head_env"})) {
			t.Errorf("lost %v: recorded is what was never applied: %s %v", lost, rec.Attrs, rec.Sensitive)
		}
		l.mode = engine.Normal
		l.apply()
		l.settled()
		if l.record(worker2) == nil {
			t.Errorf("lost %v: the next apply does not do what is configured", lost)
		}
	}
}

// TestRefreshOnlyWithoutACluster plans one that was never made.
func TestRefreshOnlyWithoutACluster(t *testing.T) {
	l := clusterLab(t)
	l.write(cluster())
	l.mode = engine.RefreshOnly
	if p := l.apply(); !p.Empty() || len(p.Steps) > 0 {
		t.Errorf("the plan is\n%s", sketch(p))
	}
	l.mode = engine.Normal
	sums(t, l.apply(), engine.Summary{Add: 7})
}

// telling is a world in which a cluster tells its URL, as Ray does.
type telling struct {
	*mem.World
	url string
}

func (w *telling) Connect(ctx context.Context, cfg cty.Value) (providers.Engine, error) {
	e, err := w.World.Connect(ctx, cfg)
	return tellingEngine{e, w}, err
}

type tellingEngine struct {
	providers.Engine
	w *telling
}

func (e tellingEngine) Refresh(ctx context.Context, scope providers.Scope) (*providers.World, error) {
	world, err := e.Engine.Refresh(ctx, scope)
	if err != nil {
		return nil, err
	}
	world.Objects = append(world.Objects, &providers.Object{
		Kind: "ray_cluster", ID: "pool", Name: "pool", Started: true, Owner: providers.Owner{Address: "ray_cluster.pool"},
		Attrs: clusterTable().Build(map[string]cty.Value{"url": cty.StringVal(e.w.url)}),
	})
	return world, nil
}

// TestRefreshOnlyRecordsWhatAClusterTells changes what it tells.
func TestRefreshOnlyRecordsWhatAClusterTells(t *testing.T) {
	l := clusterLab(t)
	l.write(cluster() + "output \"url\" { value = ray_cluster.pool.url }\n")
	l.apply()
	w := &telling{World: l.world, url: "elsewhere"}
	l.options = func(o *plan.Options) { o.Providers = []providers.Provider{w} }
	l.mode = engine.RefreshOnly
	p := l.apply()
	if len(p.Outputs) != 1 || p.Outputs[0].Action != engine.Update || show(p.Outputs[0].After) != `"elsewhere"` {
		t.Errorf("the outputs are %+v", p.Outputs)
	}
	rec := l.record("ray_cluster.pool")
	for _, want := range []string{`"url":"elsewhere"`, `"replicas":2`, `"head_env":"h"`} {
		if !strings.Contains(string(rec.Attrs), want) {
			t.Errorf("recorded is %s, without %s", rec.Attrs, want)
		}
	}
	if p := l.apply(); !p.Empty() || len(p.Steps) > 0 {
		t.Errorf("it is not recorded:\n%s", sketch(p))
	}
}
