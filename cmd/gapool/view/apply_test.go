package view

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
)

// clock moves when it is told to.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func (c *clock) pass(d time.Duration) { c.t = c.t.Add(d) }

func TestApply(t *testing.T) {
	c := &clock{time.Unix(0, 0)}
	var b bytes.Buffer
	a := NewApply(&b, Style{}, c.now)
	step := func(id int, verb engine.Verb, address string, target *providers.Object) *engine.Step {
		return &engine.Step{ID: id, Verb: verb, Addr: addr(t, address), Target: target}
	}
	image := step(0, engine.DoCreate, "docker_image.app", nil)
	network := step(1, engine.DoCreate, "docker_network.pool", nil)
	old := step(2, engine.DoDelete, "docker_container.old", object("docker_container", "old"))
	web := step(3, engine.DoUpdate, "docker_container.web", object("docker_container", "web"))
	head := step(4, engine.DoCreate, "ray_cluster.pool.head", nil)
	extra := step(5, engine.DoDelete, "docker_container.web", object("docker_container", "web.1234"))
	extra.Extra = true
	record := step(6, engine.DoRecord, "docker_volume.data", object("docker_volume", "data"))
	goes := step(8, engine.DoDelete, "docker_container.api", object("docker_container", "api"))
	anew := step(9, engine.DoCreate, "docker_container.api", nil)
	join := &engine.Step{ID: 7, Verb: engine.Join}
	tell := func(kind engine.EventKind, s *engine.Step, more ...any) {
		e := engine.Event{Kind: kind, Step: s}
		for _, m := range more {
			switch m := m.(type) {
			case *providers.Object:
				e.Object = m
			case providers.Progress:
				e.Progress = m
			case error:
				e.Err = m
			case *engine.Step:
				e.Because = m
			}
		}
		a.Event(e)
	}

	tell(engine.Started, image)
	tell(engine.Started, network)
	tell(engine.Started, old)
	tell(engine.Done, record, object("docker_volume", "data"))
	c.pass(900 * time.Millisecond)
	tell(engine.Done, network, &providers.Object{ID: "sha256:0123456789abcdef0123"})
	tell(engine.Progressed, image, providers.Progress{Stage: "pulling", Done: 30 << 20, Total: 100 << 20})
	c.pass(9 * time.Second)
	a.Tick() // 9.9 s: nothing to say
	c.pass(2 * time.Second)
	tell(engine.Done, old, (*providers.Object)(nil))
	a.Tick()
	c.pass(5 * time.Second)
	tell(engine.Progressed, image, providers.Progress{Stage: "building", Line: "one\n\x1b[31mtwo\r\n", Done: 3, Total: 7})
	a.Tick() // 16.9 s: said at 10 s
	c.pass(50 * time.Second)
	a.Tick()
	tell(engine.Failed, image, errors.New("no such image"))
	tell(engine.Skipped, head, image)
	tell(engine.Skipped, join, image)
	tell(engine.Skipped, anew, image)
	tell(engine.Skipped, goes, image)
	tell(engine.Dropped, web)
	tell(engine.Started, extra)
	tell(engine.Done, extra)
	a.Tick()
	a.Close()

	want := `docker_image.app: Creating...
docker_network.pool: Creating...
docker_container.old: Destroying... [id=4f5e6d7c8b9a]
docker_network.pool: Creation complete after 0s [id=0123456789ab]
docker_container.old: Destruction complete after 11s
docker_image.app: Still creating... [10s elapsed]: pulling 30 of 100 MiB
docker_image.app: Still creating... [1m0s elapsed]: building 3 of 7: two
docker_image.app: Creation failed after 1m6s
ray_cluster.pool.head: Skipped, since it needs docker_image.app
docker_container.api: Skipped, since it needs docker_image.app
docker_container.web: Unchanged: what it was planned for proved equal
docker_container.web (left-over web.1234): Destroying... [id=4f5e6d7c8b9a]
docker_container.web (left-over web.1234): Destruction complete after 0s
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := a.tally.done; got != (engine.Summary{Add: 1, Destroy: 2}) {
		t.Errorf("done: %+v", got)
	}
	b.Reset()
	if err := a.Complete(&engine.Plan{}, errors.New("no such image")); err != nil {
		t.Fatal(err)
	}
	if want := "\nApply incomplete. Resources: 1 added, 0 changed, 2 destroyed. 1 step failed, 3 skipped. Another apply goes on from here.\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestBarText(t *testing.T) {
	c := &clock{time.Unix(0, 0)}
	a := NewApply(&bytes.Buffer{}, Style{}, c.now)
	r := &running{step: &engine.Step{Verb: engine.DoCreate, Addr: addr(t, "docker_image.app")}, since: c.t}
	c.pass(61 * time.Second)
	if got, want := a.barText(r), "  docker_image.app: creating 1m1s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.tell(providers.Progress{Stage: "building", Line: "RUN pip install"})
	r.tell(providers.Progress{Stage: "exporting"})
	if got, want := a.barText(r), "  docker_image.app: creating 1m1s · exporting: RUN pip install"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                "plain",
		"a\tb":                 "a\tb",
		"\x1b[31mred\x1b[0m":   "red",
		"\x1b]0;title\abell":   "]0;titlebell",
		"line\nbreak\rreturn":  "linebreakreturn",
		"right\u202eleft":      "rightleft",
		"ünïcode … \U0001f9ec": "ünïcode … \U0001f9ec",
	} {
		if got := Printable(in); got != want {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestOutputs(t *testing.T) {
	var b bytes.Buffer
	err := Outputs(&b, map[string]Output{
		"z":      {Value: cty.ObjectVal(set{"a b": strs("x"), "c": cty.NullVal(cty.String), "d": cty.EmptyObjectVal})},
		"lines":  {Value: str("one\ntwo\n")},
		"number": {Value: cty.MustParseNumberVal("0.1")},
		"secret": {Value: cty.DynamicVal, Sensitive: true},
		"tags":   {Value: dict("b", "2", "a", "1")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `lines = <<-EOT
  one
  two
EOT
number = 0.1
secret = <sensitive>
tags = {
  "a" = "1"
  "b" = "2"
}
z = {
  "a b" = [
    "x",
  ]
  c = null
  d = {}
}
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStatus(t *testing.T) {
	object := func(kind, name, state string) *providers.Object {
		return &providers.Object{Kind: kind, Name: name, State: state, Created: time.Unix(400, 0)}
	}
	rows := []StatusRow{
		{`ray_cluster.pool.worker["cpu"][0]`, object("docker_container", "pool-cpu-0", "running (healthy)"), nil, "fedcba987654 IDLE"},
		{"ray_cluster.pool.head", object("docker_container", "pool-head", "running"), nil, "not listed"},
		{"docker_network.pool", object("docker_network", "pool", ""), nil, ""},
		{"docker_container.web", object("docker_container", "web", "exited (1)"), nil, ""},
		{"docker_container.hush", object("docker_container", "hush", "running"), []string{"ports"}, ""},
	}
	rows[0].Object.Since = time.Unix(1000+2*3600, 0)
	rows[1].Object.Attrs = web()
	rows[4].Object.Attrs = web()
	rows[3].Object.Broken = "its network is gone"
	var b bytes.Buffer
	if err := Status(&b, rows, time.Unix(1000+3*3600, 0), Style{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "status", b.String())
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m",
		3*time.Hour + 59*time.Minute: "3h", 47 * time.Hour: "47h", 50 * time.Hour: "2d",
	} {
		if got := Age(d); got != want {
			t.Errorf("Age(%s) = %s, want %s", d, got, want)
		}
	}
}
