package view

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	tfjson "github.com/hashicorp/terraform-json"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
)

// streamTypes are those that Terraform's documentation lists, as far as they can
// come from a plan or an apply.
var streamTypes = []string{
	"version", "log", "diagnostic", "planned_change", "resource_drift", "change_summary", "outputs",
	"apply_start", "apply_progress", "apply_complete", "apply_errored",
}

// streamed reads a stream as programs do: line by line.
func streamed(t *testing.T, text string) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for line := range strings.Lines(text) {
		if _, err := tfjson.UnmarshalLogMessage([]byte(line)); err != nil {
			t.Fatalf("terraform-json refuses a line: %v\n%s", err, line)
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"@level", "@message", "@module", "@timestamp", "type"} {
			if s, _ := m[key].(string); s == "" {
				t.Errorf("a line has no %s: %s", key, line)
			}
		}
		if !slices.Contains(streamTypes, m["type"].(string)) {
			t.Errorf("%q is no type of Terraform's", m["type"])
		}
		lines = append(lines, m)
	}
	if len(lines) == 0 || lines[0]["type"] != "version" {
		t.Errorf("it does not begin with the version:\n%s", text)
	}
	return lines
}

func TestStreamOfPlans(t *testing.T) {
	actions := []string{"noop", "create", "read", "update", "replace", "delete", "move", "import", "remove"}
	for name, p := range plans(t) {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			c := &clock{time.Unix(0, 0)}
			if err := NewStream(&b, "1.2.3", c.now).Plan(p); err != nil {
				t.Fatal(err)
			}
			for _, m := range streamed(t, b.String()) {
				change, ok := m["change"].(map[string]any)
				if !ok {
					continue
				}
				if !slices.Contains(actions, change["action"].(string)) {
					t.Errorf("%v is no action of Terraform's", change["action"])
				}
				for _, key := range []string{"addr", "module", "resource", "implied_provider", "resource_type", "resource_name", "resource_key"} {
					if _, ok := change["resource"].(map[string]any)[key]; !ok {
						t.Errorf("a resource has no %s: %v", key, change)
					}
				}
			}
			for _, s := range append(secrets(p), "s3cr3t") {
				if strings.Contains(b.String(), s) {
					t.Errorf("it has the secret %q in it", s)
				}
			}
			golden(t, "stream-"+name, b.String())
		})
	}
}

func TestStreamOfAnApply(t *testing.T) {
	c := &clock{time.Unix(0, 0)}
	var b bytes.Buffer
	s := NewStream(&b, "1.2.3", c.now)
	step := func(id int, verb engine.Verb, address string, target *providers.Object) *engine.Step {
		a := addr(t, address)
		return &engine.Step{ID: id, Verb: verb, Addr: a, Target: target, Change: &engine.Change{Addr: a, Type: container}}
	}
	old := step(0, engine.DoDelete, "docker_container.old", object("docker_container", "old"))
	web := step(1, engine.DoCreate, `docker_container.web["a"]`, nil)
	after := step(2, engine.DoCreate, "docker_container.after", nil)
	same := step(3, engine.DoUpdate, "docker_container.same", object("docker_container", "same"))
	bad := step(4, engine.DoUpdate, "docker_container.bad", object("docker_container", "bad"))
	record := step(5, engine.DoRecord, "docker_container.found", object("docker_container", "found"))
	plan := &engine.Plan{Changes: []*engine.Change{{
		Addr: web.Addr, Type: container, Action: engine.Create, Before: cty.NullVal(container.Implied()), After: cty.NullVal(container.Implied()),
	}}}
	p, err := s.Progress(plan) // of a plan file: its changes are told first
	if err != nil {
		t.Fatal(err)
	}
	p.Event(engine.Event{Kind: engine.Started, Step: old})
	p.Event(engine.Event{Kind: engine.Done, Step: record})
	p.Event(engine.Event{Kind: engine.Started, Step: web})
	p.Event(engine.Event{Kind: engine.Progressed, Step: web, Progress: providers.Progress{Stage: "waiting\x1b[2J for Ray"}})
	c.pass(2500 * time.Millisecond)
	p.Event(engine.Event{Kind: engine.Done, Step: old})
	p.Tick()
	c.pass(9 * time.Second)
	p.Tick()
	p.Tick()
	p.Event(engine.Event{Kind: engine.Done, Step: web, Object: object("docker_container", "web")})
	p.Event(engine.Event{Kind: engine.Dropped, Step: same})
	ended := b.Len()
	if err := p.Complete(plan, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Outputs(map[string]Output{
		"token": {Value: cty.DynamicVal, Sensitive: true}, "url": {Value: str("http://<x>")}, "n": {Value: cty.TupleVal([]cty.Value{num(1)})},
	}); err != nil {
		t.Fatal(err)
	}
	golden(t, "stream-apply", b.String())
	streamed(t, b.String())

	b.Truncate(ended)
	p.Event(engine.Event{Kind: engine.Started, Step: bad})
	p.Event(engine.Event{Kind: engine.Failed, Step: bad, Err: errors.New("no such image")})
	p.Event(engine.Event{Kind: engine.Skipped, Step: after, Because: bad})
	if err := p.Complete(plan, errors.New("no such image")); err != nil {
		t.Fatal(err)
	}
	s.Fail(bad.Addr.String(), errors.New("no such image\nPull it first."))
	s.Diagnose("", map[string][]byte{"main.gapool.hcl": []byte("resource \"a\" \"b\" {\n  c = 1\n}\n")}, hcl.Diagnostics{{
		Severity: hcl.DiagWarning, Summary: "Odd", Detail: "Very odd.",
		Subject: &hcl.Range{Filename: "main.gapool.hcl", Start: hcl.Pos{Line: 2, Column: 3, Byte: 21}, End: hcl.Pos{Line: 2, Column: 4, Byte: 22}},
	}})
	s.Say("Interrupted.")
	golden(t, "stream-failure", b.String())
	streamed(t, b.String())
}

// Moves and adoptions have words of their own.
func TestStreamOfWhatStays(t *testing.T) {
	null := cty.NullVal(container.Implied())
	change := func(c engine.Change) *engine.Change {
		c.Type, c.Before, c.After = container, null, null
		return &c
	}
	var got []string
	for _, c := range []*engine.Change{
		change(engine.Change{Addr: addr(t, "docker_container.a"), Action: engine.NoOp}),
		change(engine.Change{Addr: addr(t, "docker_container.b"), Action: engine.NoOp, Prev: addr(t, "docker_container.c")}),
		change(engine.Change{Addr: addr(t, "docker_container.d"), Action: engine.NoOp, Adopted: true, Object: object("docker_container", "d")}),
		change(engine.Change{Addr: addr(t, "docker_container.e"), Action: engine.Update, Adopted: true, Object: object("docker_container", "e")}),
		change(engine.Change{Addr: addr(t, "docker_container.f"), Action: engine.ReplaceFirst, Cause: engine.ByRequest, Prev: addr(t, "docker_container.g")}),
		change(engine.Change{Addr: addr(t, "docker_container.h"), Action: engine.Delete, Cause: engine.NoSuchKey}),
	} {
		x := streamedOf(c)
		text := x.Resource.Name + " " + x.Action + " " + x.Reason
		if x.Previous != nil {
			text += " from " + x.Previous.Addr
		}
		if x.Importing != nil {
			text += " " + x.Importing.ID
		}
		got = append(got, text)
	}
	id := object("", "").ID
	want := []string{
		"a noop ", "b move  from docker_container.c", "d import  " + id, "e update  " + id,
		"f replace requested from docker_container.g", "h delete delete_because_each_key",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A cluster has no object of its own: it is gone with its members, and what waits
// for the end of each planned change hears of it.
func TestAClusterIsToldToBeGone(t *testing.T) {
	a := addr(t, "ray_cluster.pool")
	gone := &engine.Step{Verb: engine.DoForget, Addr: a, Change: &engine.Change{Addr: a, Type: cluster, Action: engine.Delete}}
	p := &engine.Plan{Mode: engine.Destroy, Changes: []*engine.Change{gone.Change}}
	c := &clock{time.Unix(0, 0)}
	var lines, text bytes.Buffer
	for _, v := range []Progress{NewStream(&lines, "1.2.3", c.now), NewApply(&text, NewStyle(false), c.now)} {
		v.Event(engine.Event{Kind: engine.Started, Step: gone})
		v.Event(engine.Event{Kind: engine.Done, Step: gone})
		if err := v.Complete(p, nil); err != nil {
			t.Fatal(err)
		}
	}
	var told []string
	for _, m := range streamed(t, lines.String())[1:] {
		hook, _ := m["hook"].(map[string]any)
		told = append(told, fmt.Sprint(m["type"], " ", hook["action"]))
	}
	if diff := cmp.Diff([]string{"apply_start delete", "apply_complete delete", "change_summary <nil>"}, told); diff != "" {
		t.Errorf("the stream tells otherwise (-want +got):\n%s", diff)
	}
	want := "ray_cluster.pool: Destroying...\nray_cluster.pool: Destruction complete after 0s\n\nDestroy complete! Resources: 1 destroyed.\n"
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("the text tells otherwise (-want +got):\n%s", diff)
	}
}
