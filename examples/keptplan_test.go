//go:build engine

package examples_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// crew is a stack whose plans are kept while others are at work.
const crew = `
gapool {
  stack = "NAME"
}
variable "image" {}
variable "memory" { default = 32 }
variable "crew" { default = 3 }
resource "docker_network" "net" {
  name = "NAME"
}
resource "docker_volume" "data" {
  name = "NAME-data"
}
resource "docker_container" "crew" {
  count   = var.crew
  name    = "NAME-${count.index}"
  image   = var.image
  command = ["sleep", "1000000"]
  init    = true
  memory  = var.memory
  networks_advanced { name = docker_network.net.name }
  volumes {
    volume_name    = docker_volume.data.name
    container_path = "/data"
  }
}
`

// TestKeptPlansMeetAnotherEngine keeps plans, lets somebody change what they were
// made for, and applies them: each is refused before any change.
func TestKeptPlansMeetAnotherEngine(t *testing.T) {
	const rounds = 20
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))

	w := newWitness(t, script(t, "engine", "--host"))
	s := newStack(t)
	s.mute = true
	image := tinyImage(t)
	s.env = []string{"DOCKER_HOST=" + w.host, "GAPOOL_VAR_image=" + image}
	s.write("main.gapool.hcl", crew)
	s.apply()

	one := func() string { return fmt.Sprintf("%s-%d", s.name, r.IntN(3)) }
	plans := []struct {
		name  string
		flags []string
	}{
		{"update", []string{"-var=memory=48"}},
		{"replace", []string{"-replace=docker_container.crew"}},
		{"fewer", []string{"-var=crew=2"}},
		{"more", []string{"-var=crew=4"}},
		{"blind", []string{"-var=memory=48", "-refresh=false"}},
		{"destroy", []string{"-destroy", "-allow-data-loss=docker_volume.data"}},
		{"nothing", nil},
	}
	drifts := []struct {
		name string
		do   func()
		mend func() // what no apply mends; may be nil
	}{
		{"a container is removed", func() { s.docker("rm", "--force", one()) }, nil},
		{"a container is stopped", func() { s.docker("stop", one()) }, nil},
		{"a container has more memory", func() { s.docker("update", "--memory", "64m", "--memory-swap", "64m", one()) }, nil},
		{"a container is made anew by hand", func() {
			name := one()
			s.docker("rm", "--force", name)
			s.docker("run", "--detach", "--name", name, "--label", "by=hand", image, "sleep", "1000000")
		}, func() {
			for i := range 3 {
				if name := fmt.Sprintf("%s-%d", s.name, i); s.inspect("container", name, `index .Config.Labels "by"`) == "hand" {
					s.docker("rm", "--force", name)
				}
			}
		}},
		{"everything is removed but the volume", func() {
			s.docker("rm", "--force", s.name+"-0", s.name+"-1", s.name+"-2")
			s.docker("network", "rm", s.name)
		}, nil},
		{"a container leaves the network", func() { s.docker("network", "disconnect", s.name, one()) }, nil},
		{"another apply", func() { s.must(0, "apply", "-auto-approve", "-var=memory=40") }, nil},
		{"the configuration is edited", func() { s.write("main.gapool.hcl", crew+"\n# edited\n") }, func() { s.write("main.gapool.hcl", crew) }},
		{"the state is lost", func() {
			if err := os.RemoveAll(filepath.Join(s.dir, ".gapool")); err != nil {
				t.Fatal(err)
			}
		}, nil},
	}
	for round := range rounds {
		plan, drift := plans[r.IntN(len(plans))], drifts[round%len(drifts)]
		t.Logf("%d: %s, then %s", round, plan.name, drift.name)
		s.must(0, slices.Concat([]string{"plan", "-out=kept"}, plan.flags)...)
		drift.do()
		w.seen()
		refusal := s.must(1, "apply", "kept")
		wants(t, refusal.stderr, "is not carried out, and nothing was changed", "Plan again.")
		if changes := w.seen(); len(changes) > 0 {
			t.Fatalf("it is refused, and something was changed: %v\n%v", changes, refusal)
		}
		if drift.mend != nil {
			drift.mend()
		}
		s.apply()
		s.settled()
	}

	t.Log("and where nobody changes anything, each is carried out, once")
	for _, plan := range plans[:5] {
		s.must(0, slices.Concat([]string{"plan", "-out=kept"}, plan.flags)...)
		s.must(0, "apply", "kept")
		wants(t, s.must(1, "apply", "kept").stderr, "is not carried out, and nothing was changed")
		s.apply()
	}
	s.must(0, "plan", "-destroy", "-allow-data-loss=docker_volume.data", "-out=kept")
	s.must(0, "apply", "kept")
	s.nothingLeft()
}
