package engine_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers/mem"
	"github.com/gapool/gapool/schema"
)

// The new q needs the name that n gives up, and n refers to q: one of them has
// to go first after all, and with it the container that uses it.
func TestAnOrderThatIsGivenUpKeepsWhatIsProtected(t *testing.T) {
	l := newLab(t)
	const guarded = `
resource "docker_container" "ga" {
  name  = "ga"
  image = "app"
  network { name = "n1" }
  lifecycle {
    prevent_destroy = true
    ignore_changes  = [network]
  }
}
`
	l.write(`resource "docker_network" "n" { name = "n1" }` + strings.Replace(guarded, `"n1"`, "docker_network.n.name", 1))
	l.apply()
	was := l.world.String()
	l.write(`
resource "docker_network" "q" { name = "n1" }
resource "docker_network" "n" {
  name   = "n2"
  labels = { q = docker_network.q.id }
  lifecycle { create_before_destroy = true }
}
` + guarded)
	if p, err := l.run(true); err == nil || !strings.Contains(explain(err).Error(), "prevent_destroy") {
		plan := ""
		if p != nil {
			plan = sketch(p)
		}
		t.Errorf("the protection is not told: %v\n%s", err, plan)
	}
	if got := l.world.String(); got != was {
		t.Errorf("it was\n%sand is\n%s", was, got)
	}
}

// With the state lost, only the labels say which address an object is of, and
// they are as old as the object.
func TestAStaleLabelTakesNoObjectOfAnotherAddress(t *testing.T) {
	l := newLab(t)
	l.write(`resource "docker_container" "a" {
  name  = "x"
  image = "app"
}`)
	l.apply()
	const renamed = `
resource "docker_container" "b" {
  name  = "x"
  image = "app"
}
resource "docker_container" "a" {
  name  = "y"
  image = "app"
}
`
	l.write(strings.Split(renamed, `resource "docker_container" "a"`)[0])
	l.apply()
	l.write(renamed)
	l.apply()
	l.settled()
	was := l.world.String()
	l.lose()
	l.settled()
	l.apply()
	if got := l.world.String(); got != was {
		t.Errorf("it was\n%sand is\n%s", was, got)
	}
}

// A network that is named by a word and not by a reference is made before the
// container that is made anew because of it.
func TestAContainerComesAfterTheNetworkThatItNames(t *testing.T) {
	l := newLab(t)
	network := "resource \"docker_network\" \"pool\" {\n  name = \"pool\"\n}"
	const db = `
resource "docker_container" "db" {
  name  = "db"
  image = "app"
  network { name = %s }
}
`
	l.write(network + fmt.Sprintf(db, "docker_network.pool.name"))
	l.apply()
	l.write(strings.Replace(network, "\n}", "\n  driver = \"overlay\"\n}", 1) + fmt.Sprintf(db, `"pool"`))
	l.apply()
	l.settled()
}

// What is named by a word in a nested block is made before what names it, though
// no reference says so: the engine would make the volume itself, not as ours.
func TestAContainerComesAfterWhatItNamesInABlock(t *testing.T) {
	const net, data = "resource \"docker_network\" \"z\" { name = \"net\" }\n", "resource \"docker_volume\" \"z\" { name = \"data\" }\n"
	box := func(name, more string) string {
		return "resource \"docker_container\" \"" + name + "\" {\n  count = 2\n  name  = \"" + name + "-${count.index}\"\n  image = \"app\"\n  network { name = \"net\" }\n  mount { volume = \"data\" }\n" + more + "}\n"
	}
	for name, config := range map[string]string{
		"words": box("a", "") + net + data,
		"a word that may be something else": "resource \"docker_container\" \"a\" {\n  name  = \"a\"\n  image = \"app\"\n  mode  = \"net\"\n}\n" + net +
			"resource \"docker_container\" \"b\" {\n  name  = \"b\"\n  image = \"app\"\n  mode  = \"host\"\n}\n",
		"and change": box("a", "  memory = 7\n") + net + data,
		// A reference that goes the other way has the last word.
		"a reference the other way": "resource \"docker_container\" \"a\" {\n  name  = \"a\"\n  image = \"app\"\n}\n" + box("b", "") +
			net + "resource \"docker_volume\" \"z\" {\n  name = \"data\"\n  depends_on = [docker_container.a]\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.write(config)
			l.apply()
			l.settled()
			for _, o := range l.world.Objects() {
				if o.Owner.Stack == "" {
					t.Errorf("%s %s is not ours", o.Kind, o.Name)
				}
			}
		})
	}
	l := newLab(t)
	l.write(box("a", "") + net + "resource \"docker_volume\" \"z\" {\n  name = \"data\"\n  depends_on = [docker_container.a]\n}\n")
	p, err := l.run(false)
	if err != nil {
		t.Fatalf("a volume that is to come after who names it: %v", explain(err))
	}
	for _, s := range p.Steps {
		if s.Addr.Type == "docker_volume" && len(s.Needs) == 0 {
			t.Error("depends_on is not kept")
		}
	}
}

// Two that name each other cannot be made, and that is told of them.
func TestTwoThatNameEachOther(t *testing.T) {
	types := tables()
	for _, ty := range types {
		if ty.Name == "docker_container" { // its mode names a container here, as Docker's container:NAME
			ty.Mentions = func(v cty.Value) []schema.Named {
				if m := v.GetAttr("mode"); m.IsKnown() && !m.IsNull() {
					return []schema.Named{{Type: "docker_container", Name: m.AsString()}}
				}
				return nil
			}
		}
	}
	l := newLab(t)
	l.world = mem.New("docker", &schema.Type{Name: "docker"}, types)
	l.write(`
resource "docker_container" "a" {
  name  = "a"
  image = "app"
  mode  = "b"
}
resource "docker_container" "b" {
  name  = "b"
  image = "app"
  mode  = "a"
}
`)
	_, err := l.run(false)
	if want := "docker_container.a names docker_container.b, which has to be there first, and that one comes after it"; err == nil || !strings.Contains(explain(err).Error(), want) {
		t.Errorf("the plan says %v, not %q", err, want)
	}
}

// Blocks are turned around, and the apply of that fails on its way: what was made
// before and after it refers to each other in a circle, and goes all the same.
func TestReferencesOfDifferentTimesGoInACircle(t *testing.T) {
	box := func(name, more string) string {
		return "resource \"docker_container\" \"" + name + "\" {\n  name  = \"" + name + "-${count.index}\"\n  image = \"app\"\n  " + more + "\n}\n"
	}
	l := newLab(t)
	l.write(box("b", "count = 1") + box("c", "count = 1\n  depends_on = [docker_container.b]") + box("d", "count = 1\n  depends_on = [docker_container.c]"))
	l.apply()
	l.write(box("b", "count = 1\n  memory = 7\n  depends_on = [docker_container.d]") + box("c", "count = 0") + box("d", "count = 0"))
	l.world.SetFault(func(c mem.Call) error {
		if c.Op == mem.Delete && c.When == mem.Before {
			return errors.New("busy")
		}
		return nil
	})
	if _, err := l.run(true); err == nil || !strings.Contains(explain(err).Error(), "busy") {
		t.Fatalf("the apply came to %v", err)
	}
	l.world.SetFault(nil)
	l.mode = engine.Destroy
	l.apply()
	if left := l.world.String(); left != "" {
		t.Errorf("destroy leaves\n%s", left)
	}
}
