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
	"github.com/gapool/gapool/schema"
)

// working is a world in which the head works, and which notes what is forced.
type working struct {
	*mem.World
	forced []bool
}

func (w *working) Connect(ctx context.Context, cfg cty.Value) (providers.Engine, error) {
	e, err := w.World.Connect(ctx, cfg)
	return workingEngine{e, w}, err
}

type workingEngine struct {
	providers.Engine
	w *working
}

func (e workingEngine) Refresh(ctx context.Context, scope providers.Scope) (*providers.World, error) {
	world, err := e.Engine.Refresh(ctx, scope)
	if err != nil {
		return nil, err
	}
	for _, obj := range world.Objects {
		if obj.Name == "pool-head" {
			obj.Work = []string{"job raysubmit_1", "driver 02000000"}
		}
	}
	return world, nil
}

func (e workingEngine) Resource(addr schema.Addr) providers.Resource {
	return workingVerbs{e.Engine.Resource(addr), e.w}
}

type workingVerbs struct {
	providers.Resource
	w *working
}

func (v workingVerbs) Delete(ctx context.Context, req *providers.Request) error {
	v.w.forced = append(v.w.forced, req.Force)
	return v.Resource.Delete(ctx, req)
}

func TestRunningWorkNeedsForce(t *testing.T) {
	head := schema.Addr{Type: "ray_cluster", Name: "pool"}.WithMember(schema.Member{Role: schema.Head})
	for name, c := range map[string]struct {
		config string // in place of the cluster's
		mode   engine.Mode
		busy   bool
	}{
		"nothing changes":       {cluster(), engine.Normal, false},
		"a worker goes":         {cluster("= 2", "= 1"), engine.Normal, false},
		"the head is changed":   {cluster(`"h"`, `"i"`), engine.Normal, true},
		"perhaps it is":         {cluster(`inputs = "a"`, `inputs = "b"`), engine.Normal, true},
		"the cluster is gone":   {`resource "docker_image" "app" { name = "app" }`, engine.Normal, true},
		"everything is to go":   {cluster(), engine.Destroy, true},
		"the network is anew":   {cluster(`"bridge"`, `"overlay"`), engine.Normal, true},
		"only a driver is anew": {cluster(`image = "x"`, `image = "y"`), engine.Normal, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := clusterLab(t)
			l.write(cluster())
			l.apply()
			l.write(c.config)
			l.mode = c.mode
			w := &working{World: l.world}
			for _, force := range []bool{false, true} {
				l.options = func(o *plan.Options) {
					o.Providers, o.Force, o.AllowDataLoss = []providers.Provider{w}, force, everyVolume(o)
				}
				p := l.plan()
				told := slices.ContainsFunc(p.Notes, func(n string) bool {
					return strings.Contains(n, headAddr+" runs job raysubmit_1, driver 02000000")
				})
				if told != c.busy {
					t.Errorf("notes %q, want one of the job: %v", p.Notes, c.busy)
				}
				if refused := strings.Contains(p.Unapproved, headAddr) && strings.Contains(p.Unapproved, "-force"); refused != (c.busy && !force) || slices.Equal(p.Ends, []schema.Addr{head}) != c.busy {
					t.Errorf("force %v: unapproved %q, ends %v", force, p.Unapproved, p.Ends)
				}
			}
			l.apply()
			if slices.Contains(w.forced, false) {
				t.Errorf("the verbs were told of -force: %v", w.forced)
			}
		})
	}
}
