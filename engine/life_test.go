package engine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/plan"
)

const pool = `
variable "memory" { default = 64 }
resource "docker_image" "app" {
  name   = "app:latest"
  inputs = "a"
}
resource "docker_network" "net" {
  name = "net"
}
resource "docker_volume" "data" {
  name = "data"
}
resource "docker_container" "web" {
  count  = 2
  name   = "web-${count.index}"
  image  = docker_image.app.image_id
  memory = var.memory
  env    = { A = "1" }
  network { name = docker_network.net.name }
  mount   { volume = docker_volume.data.name }
}
output "ids" { value = docker_container.web[*].id }
output "net" { value = docker_network.net.id }
`

func TestLife(t *testing.T) {
	l := newLab(t)
	l.write(pool)
	p := l.apply()
	if got := p.Summary(); got != (engine.Summary{Add: 5}) {
		t.Errorf("the first plan is %+v:\n%s", got, sketch(p))
	}
	l.settled()

	l.write(strings.Replace(pool, "default = 64", "default = 128", 1))
	p = l.apply()
	if got := p.Summary(); got != (engine.Summary{Change: 2}) {
		t.Errorf("more memory is %+v:\n%s", got, sketch(p))
	}
	l.settled()

	l.write(strings.Replace(pool, `inputs = "a"`, `inputs = "b"`, 1))
	p = l.apply()
	if got := p.Summary(); got != (engine.Summary{Add: 3, Destroy: 3}) {
		t.Errorf("a new image is %+v:\n%s", got, sketch(p))
	}
	l.settled()

	l.write(strings.Replace(pool, `name = "net"`, "name = \"net\"\n  driver = \"overlay\"", 1))
	p = l.apply()
	if got := p.Summary(); got != (engine.Summary{Add: 4, Destroy: 4}) {
		t.Errorf("another network is %+v:\n%s", got, sketch(p))
	}
	l.settled()

	l.destroy()
	if left := l.world.String(); left != "" {
		t.Errorf("destroy leaves\n%s", left)
	}
	l.settled2(t)
}

func (l *lab) settled2(t *testing.T) {
	l.mode = engine.Destroy
	if p := l.plan(); !p.Empty() {
		t.Errorf("a second destroy wants\n%s", sketch(p))
	}
}

func TestDriftIsNamedAndMended(t *testing.T) {
	tests := []struct {
		name  string
		drift func(l *lab)
		want  string
	}{
		{"removed", func(l *lab) { l.world.Remove("docker_container", "web-1") }, "docker_container.web[1] was removed outside of gapool"},
		{"stopped", func(l *lab) { l.world.Stop("docker_container", "web-0") }, "docker_container.web[0] [must_run"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t)
			l.write(pool)
			l.apply()
			was := l.world.String()
			test.drift(l)
			if got := sketch(l.plan()); !strings.Contains(got, test.want) {
				t.Errorf("the plan does not say %q:\n%s", test.want, got)
			}
			l.apply()
			l.settled()
			if got := l.world.String(); got != was {
				t.Errorf("it was\n%sand is\n%s", was, got)
			}
		})
	}
}

func TestARemovedObjectLeavesTheRecord(t *testing.T) {
	l := newLab(t)
	l.write(pool)
	l.apply()
	l.world.Remove("docker_container", "web-1")
	l.apply()
	l.options = func(o *plan.Options) { o.Refresh = false }
	l.settled()
	l.options = nil
	l.destroy()
	if p := l.plan(); len(p.Drift) > 0 {
		t.Errorf("something is recorded still: %v", p.Drift)
	}
}

// What only the record tells stays in it when a refresh writes it anew, and of
// a secret there is a hash.
func TestRefreshKeepsWhatOnlyTheRecordTells(t *testing.T) {
	l := newLab(t)
	const before = `
variable "secret" {
  default   = "hunter2"
  sensitive = true
}
resource "docker_image" "app" {
  name          = "app:latest"
  platform      = "linux/amd64"
  pull_triggers = [var.secret]
}
`
	l.write(before)
	l.apply()
	l.settled()

	l.write(`resource "docker_image" "app" { name = "app:latest" }`)
	l.mode = engine.RefreshOnly
	l.apply()
	l.mode = engine.Normal
	if p := l.plan(); p.Summary() != (engine.Summary{Add: 1, Destroy: 1}) {
		t.Errorf("after a refresh nobody knows what was asked for:\n%s", sketch(p))
	}
	l.write(before)
	for _, name := range []string{"state.json", "journal.jsonl"} {
		text, err := os.ReadFile(filepath.Join(l.stateDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "hunter") {
			t.Errorf("%s has the secret", name)
		}
	}
	if p := l.plan(); !p.Empty() {
		t.Errorf("what is wanted is what was applied last:\n%s", sketch(p))
	}
}
