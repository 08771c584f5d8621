package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gapool/gapool/engine"
)

// ids are the IDs of all objects.
func (l *lab) ids() []string {
	var all []string
	for _, o := range l.world.Objects() {
		all = append(all, o.Kind+" "+o.Name+" "+o.ID)
	}
	return all
}

const alongNetwork = `
resource "docker_image" "app" {
  name   = "app"
  inputs = "a"
}
resource "docker_network" "net" {
  name   = "net"
  labels = { image = docker_image.app.image_id }
}
resource "docker_container" "web" {
  name  = "web"
  image = "x"
  network { name = docker_network.net.name }
}
`

const alongBoth = `
resource "docker_image" "app" {
  name   = "app"
  inputs = "a"
}
resource "docker_network" "net" {
  name   = "net"
  labels = { image = docker_image.app.image_id }
}
resource "docker_container" "web" {
  name  = "web"
  image = docker_image.app.image_id
  env   = { NET = docker_network.net.id }
  network { name = docker_network.net.name }
}
`

const alongWord = `
resource "docker_image" "app" {
  name   = "app"
  inputs = "a"
}
resource "docker_network" "net" {
  name   = "net"
  labels = { image = docker_image.app.image_id }
}
resource "docker_container" "web" {
  name       = "web"
  image      = "x"
  network { name = "net" }
}
resource "docker_container" "zzz" {
  name  = "zzz"
  image = "x"
  env   = { WEB = docker_container.web.id }
}
`

const alongTrigger = `
resource "docker_image" "app" {
  name   = "app"
  inputs = "a"
}
resource "docker_container" "db" {
  name  = "db"
  image = docker_image.app.image_id
}
resource "docker_container" "web" {
  name  = "web"
  image = "x"
  lifecycle { replace_triggered_by = [docker_container.db] }
}
resource "docker_container" "zzz" {
  name  = "zzz"
  image = "x"
  lifecycle { replace_triggered_by = [docker_container.web.image] }
}
`

const alongTriggerFirst = `
resource "docker_image" "app" {
  name   = "app"
  inputs = "a"
}
resource "docker_container" "db" {
  name  = "db"
  image = docker_image.app.image_id
}
resource "docker_container" "web" {
  name  = "web"
  image = "x"
  lifecycle {
    replace_triggered_by  = [docker_container.db.image]
    create_before_destroy = true
  }
}
`

// A change that follows from one that an unknown value decides is decided with
// it: where the image proves to be the same, nothing is made anew, and where it
// does not, all is.
func TestWhatGoesAlongWithAConditionalChangeIsConditional(t *testing.T) {
	for name, config := range map[string]string{
		"network": alongNetwork, "network and own": alongBoth, "network by a word": alongWord,
		"trigger": alongTrigger, "trigger, create first": alongTriggerFirst,
	} {
		for _, parallelism := range []int{1, 4} {
			t.Run(name, func(t *testing.T) {
				l := newLab(t)
				l.parallelism = parallelism
				l.write(strings.Replace(config, `"net"`+" }", "docker_network.net.name }", 1))
				l.apply()
				l.write(config)
				l.apply()
				l.settled()
				was := l.ids()
				flags(l, []string{"-replace=docker_image.app"})
				p := l.apply()
				inOrder(t, p)
				for _, c := range p.Changes {
					if c.Addr.Type != "docker_image" && (!c.Action.Replaces() || !slices.Contains(c.OnlyIf, "docker_image.app.image_id")) && c.Addr.Name != "zzz" {
						t.Errorf("%s is not replaced only perhaps:\n%s", c.Addr, sketch(p))
					}
				}
				if !slices.Equal(l.ids(), was) {
					t.Errorf("it was %v\nand is %v\n%s", was, l.ids(), sketch(p))
				}
				l.options = nil
				l.settled()

				l.write(strings.Replace(config, `"a"`, `"b"`, 1))
				inOrder(t, l.apply())
				l.settled()
				for _, id := range l.ids() {
					if slices.Contains(was, id) {
						t.Errorf("%s was not made anew", id)
					}
				}
			})
		}
	}
}

// What must go with a network that it names by a word is seen late, and what
// refers to it is decided with that.
func TestThePlanSaysWhatFollowsFromAForcedReplacement(t *testing.T) {
	l := newLab(t)
	const config = `
resource "docker_network" "net" {
  name   = "net"
  driver = "bridge"
}
resource "docker_container" "web" {
  name  = "web"
  image = "x"
  network { name = docker_network.net.name }
}
resource "docker_container" "after" {
  name  = "after"
  image = "x"
  env   = { WEB = docker_container.web.id }
}
resource "docker_container" "with" {
  name  = "with"
  image = "x"
  lifecycle { replace_triggered_by = [docker_container.web] }
}
output "web" { value = docker_container.web.id }
`
	l.write(config)
	l.apply()
	l.write(strings.NewReplacer("docker_network.net.name", `"net"`, "bridge", "overlay").Replace(config))
	p := l.apply()
	sums(t, p, engine.Summary{Add: 4, Destroy: 4})
	l.settled()
}

// A reference that is turned around leaves objects that refer to each other the
// old way: the deletes go by that one, what is made by the new one.
func TestAReferenceThatIsTurnedAroundIsNoCycle(t *testing.T) {
	tests := map[string][2]string{
		"a network and its container": {`
resource "docker_network" "net" { name = "net" }
resource "docker_container" "web" {
  name  = "web"
  image = "x"
  network { name = docker_network.net.name }
}`, `
resource "docker_network" "net" {
  name   = "net"
  driver = "overlay"
  labels = { web = docker_container.web.id }
}
resource "docker_container" "web" {
  name  = "web"
  image = "y"
}`},
		"two containers": {`
resource "docker_container" "a" {
  name  = "a"
  image = "x"
  env   = { B = docker_container.b.id }
}
resource "docker_container" "b" {
  name  = "b"
  image = "x"
}`, `
resource "docker_container" "a" {
  name  = "a"
  image = "y"
}
resource "docker_container" "b" {
  name  = "b"
  image = "y"
  env   = { A = docker_container.a.id }
}`},
		"a network that another one replaces": {`
resource "docker_network" "net" { name = "net" }
resource "docker_container" "web" {
  name  = "web"
  image = "x"
  network { name = docker_network.net.name }
}`, `
resource "docker_network" "new" {
  name   = "new"
  labels = { web = docker_container.web.id }
}
resource "docker_container" "web" {
  name  = "web"
  image = "x"
}`},
	}
	for name, test := range tests {
		for _, early := range []string{"", "  lifecycle { create_before_destroy = true }\n}"} {
			t.Run(name+early, func(t *testing.T) {
				l := newLab(t)
				l.write(test[0])
				l.apply()
				second := test[1]
				if early != "" {
					second = strings.TrimSuffix(second, "}") + early
				}
				l.write(second)
				inOrder(t, l.apply())
				l.settled()
			})
		}
	}
}

// A long chain of blocks that go along with each other, each of several, is
// planned at once.
func TestLongChainGoesAlong(t *testing.T) {
	const length, each = 24, 3
	var b strings.Builder
	b.WriteString("resource \"docker_image\" \"app\" {\n  name   = \"app\"\n  inputs = \"a\"\n}\n")
	for i := range length {
		what := "image = docker_image.app.image_id"
		if i > 0 {
			what = fmt.Sprintf("image = \"x\"\n  lifecycle { replace_triggered_by = [docker_container.c%d] }", i-1)
		}
		fmt.Fprintf(&b, "resource \"docker_container\" \"c%d\" {\n  count = %d\n  name = \"c%d-${count.index}\"\n  %s\n}\n", i, each, i, what)
	}
	l := newLab(t)
	l.write(b.String())
	l.apply()
	l.write(strings.Replace(b.String(), `inputs = "a"`, `inputs = "b"`, 1))
	if n := l.plan().Summary(); n.Add != length*each+1 {
		t.Errorf("%+v", n)
	}
}
