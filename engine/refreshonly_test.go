package engine_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers/mem"
)

const twoWebs = `
resource "docker_network" "net" { name = "net" }
resource "docker_volume" "data" { name = "data" }
resource "docker_container" "web" {
  count = 2
  name  = "web-${count.index}"
  image = "app"
  env   = { A = "1" }
  network { name = docker_network.net.name }
  mount { volume = docker_volume.data.name }
}
output "id" { value = docker_container.web[0].id }
`

// TestRefreshOnlyObserves holds a refresh-only plan to its word, whatever
// differs: the apply calls nothing that changes anything, and what it wrote
// down is no reason for another decision than the labels were.
func TestRefreshOnlyObserves(t *testing.T) {
	for name, c := range map[string]struct {
		first, then string
		cluster     bool
		drift       func(*lab)
	}{
		"nothing differs":             {first: twoWebs, then: twoWebs},
		"a block is gone":             {first: twoWebs + `resource "docker_network" "old" { name = "old" }`, then: twoWebs},
		"all blocks are gone":         {first: twoWebs, then: ``},
		"an instance is gone":         {first: twoWebs, then: `resource "docker_network" "net" { name = "net" }`},
		"a cluster":                   {first: cluster(), then: cluster(), cluster: true},
		"a cluster that shrinks":      {first: cluster(), then: cluster("= 2", "= 1"), cluster: true},
		"a cluster that grows":        {first: cluster(), then: cluster("= 2", "= 4"), cluster: true},
		"a cluster that changes":      {first: cluster(), then: cluster(`"h"`, `"i"`, "= 64", "= 128"), cluster: true},
		"a cluster that is gone":      {first: cluster(), then: `resource "docker_image" "app" { name = "app" }`, cluster: true},
		"a cluster that loses a node": {first: cluster(), then: cluster(), cluster: true, drift: func(l *lab) { l.world.Remove("docker_container", "pool-cpu-0") }},
		"a cluster that died":         {first: cluster(), then: cluster(), cluster: true, drift: func(l *lab) { removeCluster(l) }},
	} {
		for _, lost := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " without a state"}[lost], func(t *testing.T) {
				l := newLab(t)
				if c.cluster {
					l = clusterLab(t)
				}
				l.write(c.first)
				l.apply()
				if lost {
					l.lose()
				}
				l.write(c.then)
				if c.drift != nil {
					c.drift(l)
				}
				wanted := decisions(l.plan())
				l.mode = engine.RefreshOnly
				untouched(l)
				for _, s := range l.apply().Steps {
					if s.Verb != engine.DoRecord && s.Verb != engine.DoForget && s.Verb != engine.Join {
						t.Errorf("a step would %s %s", s.Verb, s.Addr)
					}
				}
				l.mode = engine.Normal
				if got := decisions(l.plan()); got != wanted {
					t.Errorf("the plan was\n%sand is\n%s", wanted, got)
				}
			})
		}
	}
}

func removeCluster(l *lab) {
	for _, name := range []string{"pool-cpu-0", "pool-cpu-1", "pool-head"} {
		l.world.Remove("docker_container", name)
	}
}

// decisions are what a plan does to each address, without the reasons.
func decisions(p *engine.Plan) string {
	text := ""
	for _, c := range p.Changes {
		if c.Action != engine.NoOp && c.Action != engine.Forget {
			text += fmt.Sprintf("%s %s\n", c.Action.Symbol(), c.Addr)
		}
	}
	return text
}

// untouched makes every call fail that would change the world.
func untouched(l *lab) {
	l.world.SetFault(func(c mem.Call) error {
		if c.Op == mem.Read || c.Op == mem.Refresh {
			return nil
		}
		return errors.New("this was not to be called: " + c.String())
	})
}

// What is to be replaced because its create did not come to its end is still
// that after somebody has looked.
func TestRefreshOnlyHealsNothing(t *testing.T) {
	for _, lost := range []bool{false, true} {
		l := newLab(t)
		l.write(`resource "docker_container" "web" {
  name  = "web"
  image = "app"
}`)
		l.world.SetFault(func(c mem.Call) error {
			if c.Op == mem.Start && c.When == mem.Before {
				return errors.New("no")
			}
			return nil
		})
		if _, err := l.run(true); err == nil {
			t.Fatal("the start did not fail")
		}
		l.world.SetFault(nil)
		if lost {
			l.lose()
		}
		wanted := sketch(l.plan())
		l.mode = engine.RefreshOnly
		untouched(l)
		l.apply()
		l.mode = engine.Normal
		if got := sketch(l.plan()); got != wanted {
			t.Errorf("lost %v: the plan was\n%sand is\n%s", lost, wanted, got)
		}
	}
}
