package engine_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers/mem"
	"github.com/gapool/gapool/schema"
)

// What another object holds that stays, such as a port, is known when the plan
// is made. What goes with the plan, or stands still, is not in the way.
func TestWhatOnlyOneCanHaveIsTaken(t *testing.T) {
	types := tables()
	for _, ty := range types {
		if ty.Name == "docker_container" { // its memory stands for a port here
			ty.Exclusive = func(v cty.Value) []schema.Claim {
				if m := v.GetAttr("memory"); m.IsKnown() && !m.IsNull() {
					return []schema.Claim{{Of: "port " + m.AsBigFloat().Text('f', -1)}}
				}
				return nil
			}
		}
	}
	l := newLab(t)
	file := filepath.Join(t.TempDir(), "world")
	l.world = mem.New("docker", &schema.Type{Name: "docker"}, types, mem.Uses(uses), mem.File(file),
		mem.Busy("docker_container", schema.Claim{Of: "port 22", Part: "127.0.0.1"}, "a process that listens at 127.0.0.1:22"))
	const image = "resource \"docker_image\" \"app\" { name = \"app:latest\" }\n"
	box := func(name, more string) string {
		return "resource \"docker_container\" \"" + name + "\" {\n  name = \"" + name + "\"\n  image = docker_image.app.image_id\n  " + more + "\n}\n"
	}
	l.write(image + box("one", "memory = 80"))
	l.apply()
	l.settled()

	l.write(image + box("one", "memory = 80") + box("two", "memory = 80"))
	_, err := l.run(false)
	if want := `docker_container.two cannot be created: the docker_container "one" runs and has port 80.`; err == nil || !strings.Contains(explain(err).Error(), want) {
		t.Errorf("the plan says %v, not %q", err, want)
	}
	l.write(image + box("one", "memory = 80") + box("three", "memory = 81") + box("two", "memory = 81"))
	_, err = l.run(false)
	if want := "docker_container.three and docker_container.two cannot both have port 81."; err == nil || !strings.Contains(explain(err).Error(), want) {
		t.Errorf("the plan says %v, not %q", err, want)
	}
	l.write(image + box("one", "memory = 80") + box("two", "memory = 22"))
	_, err = l.run(false)
	if want := "docker_container.two cannot be created: port 22 is taken by a process that listens at 127.0.0.1:22."; err == nil || !strings.Contains(explain(err).Error(), want) {
		t.Errorf("the plan says %v, not %q", err, want)
	}
	l.world.Stop("docker_container", "one")
	l.write(image + box("one", "memory = 80\n  must_run = false") + box("two", "memory = 80"))
	if _, err := l.run(false); err != nil {
		t.Errorf("one that stands still is in the way: %v", explain(err))
	}
	l.world.Stop("docker_container", "one")
	l.write(image + box("one", "memory = 80"))
	l.apply()
	for _, c := range []struct{ config, steps string }{
		{box("two", "memory = 80"), "create docker_container.two after [0]"},
		{box("one", "memory = 80\n  env = { A = \"2\" }"), "create docker_container.one after [0]"},
		{ // the new one waits for the old one, which goes last
			box("one", "memory = 81\n  env = { A = \"2\" }\n  lifecycle { create_before_destroy = true }") + box("two", "memory = 80"),
			"create docker_container.two after [3]",
		},
	} {
		l.write(image + c.config)
		p, err := l.run(false)
		if err != nil {
			t.Errorf("one that goes is in the way: %v", explain(err))
		} else if got := sketch(p); !strings.Contains(got, c.steps) {
			t.Errorf("one takes over what another one has, and the steps are not %q:\n%s", c.steps, got)
		}
	}
	// What listens for a container that goes, as Docker's proxy does, goes with it.
	proxied := mem.New("docker", &schema.Type{Name: "docker"}, types, mem.Uses(uses), mem.File(file),
		mem.Busy("docker_container", schema.Claim{Of: "port 80"}, "its proxy"))
	l.world, proxied = proxied, l.world
	l.write(image + box("two", "memory = 80"))
	if _, err := l.run(false); err != nil {
		t.Errorf("the proxy of one that goes is in the way: %v", explain(err))
	}
	l.world = proxied
	// Each is to have what the other one has: one of them gives way.
	const anew = "\n  env = { A = \"2\" }\n  lifecycle { create_before_destroy = true }"
	l.write(image + box("one", "memory = 80") + box("two", "memory = 81"))
	l.apply()
	l.write(image + box("one", "memory = 81"+anew) + box("two", "memory = 80"+anew))
	l.apply()
	l.settled()
	l.write(image + box("one", "memory = 80"))
	l.apply()
	l.write("variable \"secret\" {\n  default   = 80\n  sensitive = true\n}\n" + image + box("one", "memory = 80") + box("two", "memory = var.secret"))
	if _, err := l.run(false); err != nil {
		t.Errorf("a secret is looked for: %v", explain(err))
	}

	const secret = "variable \"secret\" {\n  default   = 8080\n  sensitive = true\n}\n"
	l.write(secret + image + box("one", "memory = var.secret"))
	l.apply()
	l.write(secret + image + box("one", "memory = var.secret"+anew))
	_, err = l.run(false)
	if want := "the new one cannot be made while the old one has what it is to have and is sensitive"; err == nil || !strings.Contains(explain(err).Error(), want) {
		t.Errorf("the plan says %v, not %q", err, want)
	}
}

// GPUs that the machine does not have are missed when the plan is made. What is
// there already may keep its wish, and a secret one is not looked at.
func TestWhatTheMachineLacks(t *testing.T) {
	types := tables()
	for _, ty := range types {
		if ty.Name == "docker_container" { // its memory stands for GPUs here, and 99 for all
			ty.Needs = func(v cty.Value) schema.Needs {
				switch m := v.GetAttr("memory"); {
				case !m.IsKnown():
					return schema.Needs{GPUs: schema.Amount{Unknown: 1}}
				case m.IsNull():
					return schema.Needs{}
				case m.RawEquals(cty.NumberIntVal(99)):
					return schema.Needs{GPUs: schema.Amount{Open: 1}}
				default:
					n, _ := m.AsBigFloat().Int64()
					return schema.Needs{GPUs: schema.Amount{N: n}}
				}
			}
		}
	}
	on := func(opts ...mem.Option) *lab {
		l := newLab(t)
		l.world = mem.New("docker", &schema.Type{Name: "docker"}, types, append(opts, mem.Uses(uses))...)
		return l
	}
	box := func(memory string) string {
		return "variable \"secret\" {\n  default   = 4\n  sensitive = true\n}\nresource \"docker_container\" \"x\" {\n  name = \"x\"\n  image = \"app\"\n  memory = " + memory + "\n}\n"
	}
	for _, c := range []struct {
		opts   []mem.Option
		memory string
		want   string
	}{
		{[]mem.Option{mem.GPUs(0)}, "null", ""},
		{[]mem.Option{mem.GPUs(0)}, "1", "docker_container.x asks for GPUs (1), and the machine of the engine at mem://docker has none."},
		{[]mem.Option{mem.GPUs(0)}, "99", "docker_container.x asks for GPUs (all there are), and the machine of the engine at mem://docker has none."},
		{[]mem.Option{mem.GPUs(2)}, "99", ""},
		{[]mem.Option{mem.GPUs(2)}, "2", ""},
		{[]mem.Option{mem.GPUs(2)}, "3", "docker_container.x asks for GPUs (3), and the machine of the engine at mem://docker has 2."},
		{[]mem.Option{mem.GPUs(2)}, "var.secret", ""},
		{nil, "3", ""},
	} {
		l := on(c.opts...)
		l.write(box(c.memory))
		switch _, err := l.run(false); {
		case c.want == "" && err != nil:
			t.Errorf("memory = %s: %v", c.memory, explain(err))
		case c.want != "" && (err == nil || !strings.Contains(explain(err).Error(), c.want)):
			t.Errorf("memory = %s: the plan says %v, not %q", c.memory, err, c.want)
		}
	}
}
