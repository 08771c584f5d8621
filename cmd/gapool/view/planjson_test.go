package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tfjson "github.com/hashicorp/terraform-json"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

// document is a plan's JSON as it is made from its file, read as Terraform's
// own library reads it.
func document(t *testing.T, p *engine.Plan) (*tfjson.Plan, []byte) {
	t.Helper()
	file := kept(t, p)
	again, err := file.Plan(func(name string) *schema.Type {
		return map[string]*schema.Type{container.Name: container, volume.Name: volume}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := PlanDocument{Plan: again, Version: "1.2.3", Configuration: file.Configuration}.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var read tfjson.Plan
	if err := json.Unmarshal(doc, &read); err != nil {
		t.Fatalf("terraform-json refuses it: %v\n%s", err, doc)
	}
	return &read, doc
}

// hold checks what Terraform's library does not: the rules of its format.
func hold(t *testing.T, p *engine.Plan, doc *tfjson.Plan, raw []byte) {
	t.Helper()
	for _, s := range secrets(p) {
		if bytes.Contains(raw, []byte(s)) {
			t.Errorf("it has the secret %q in it", s)
		}
	}
	if bytes.Contains(raw, []byte(`"timestamp"`)) {
		t.Error("it has a time in it")
	}
	words := map[string]bool{"no-op": true, "create": true, "update": true, "delete": true, "forget": true}
	if len(doc.ResourceChanges) < len(p.Changes) {
		t.Errorf("%d of %d changes are there", len(doc.ResourceChanges), len(p.Changes))
	}
	for _, rc := range doc.ResourceChanges {
		for _, a := range rc.Change.Actions {
			if !words[string(a)] {
				t.Errorf("%s: %q is no action of Terraform", rc.Address, a)
			}
		}
		if rc.Change.Actions.Create() && rc.Change.Before != nil {
			t.Errorf("%s is created and was there before: %v", rc.Address, rc.Change.Before)
		}
		if rc.Change.Actions.Delete() && rc.Change.After != nil {
			t.Errorf("%s is deleted and is there afterwards: %v", rc.Address, rc.Change.After)
		}
		if rc.Change.Importing != nil && !rc.Change.Actions.NoOp() && !rc.Change.Actions.Update() {
			t.Errorf("%s is adopted by %v", rc.Address, rc.Change.Actions)
		}
		apart(t, rc.Address, rc.Change.After, rc.Change.AfterUnknown, "unknown")
		blank(t, rc.Address, rc.Change.After, rc.Change.AfterSensitive)
		blank(t, rc.Address, rc.Change.Before, rc.Change.BeforeSensitive)
	}
}

// apart says that what is marked true in one value is not there in the other.
func apart(t *testing.T, at string, value, marks any, what string) {
	t.Helper()
	switch marks := marks.(type) {
	case bool:
		if marks && value != nil {
			t.Errorf("%s is %s and has the value %v", at, what, value)
		}
	case map[string]any:
		m, _ := value.(map[string]any)
		for k, v := range marks {
			apart(t, at+"."+k, m[k], v, what)
			if v == true {
				if _, there := m[k]; there {
					t.Errorf("%s.%s is %s and not left out", at, k, what)
				}
			}
		}
	case []any:
		l, _ := value.([]any)
		for i, v := range marks {
			if i < len(l) {
				apart(t, at, l[i], v, what)
			}
		}
	}
}

// blank says that what is marked as sensitive is null in the value.
func blank(t *testing.T, at string, value, marks any) {
	t.Helper()
	switch marks := marks.(type) {
	case bool:
		if marks && value != nil {
			t.Errorf("%s is sensitive and has the value %v", at, value)
		}
	case map[string]any:
		m, _ := value.(map[string]any)
		for k, v := range marks {
			blank(t, at+"."+k, m[k], v)
		}
	case []any:
		l, _ := value.([]any)
		for i, v := range marks {
			if i < len(l) {
				blank(t, at, l[i], v)
			}
		}
	}
}

func TestPlanJSONKeepsToTheFormat(t *testing.T) {
	for name, p := range plans(t) {
		t.Run(name, func(t *testing.T) {
			doc, raw := document(t, p)
			hold(t, p, doc, raw)
			if doc.Complete == nil || *doc.Complete == p.Targeted {
				t.Errorf("complete is %v under -target %v", doc.Complete, p.Targeted)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, raw, "", "  "); err != nil {
				t.Fatal(err)
			}
			golden(t, "json-"+name, pretty.String())
			if again, _ := document(t, p); again == nil {
				t.Fatal("a second reading fails")
			}
			if _, second := document(t, p); !bytes.Equal(raw, second) {
				t.Error("made again, it is other bytes")
			}
		})
	}
}

// A policy on containers sees the members of a cluster.
func TestAMemberIsAContainer(t *testing.T) {
	doc, _ := document(t, plans(t)["cluster"])
	var found []string
	for _, rc := range doc.ResourceChanges {
		if rc.Type == "docker_container" && strings.Contains(rc.Address, "worker") {
			found = append(found, rc.Address+" "+rc.Name+" "+rc.Index.(string))
		}
	}
	want := `ray_cluster.pool.worker["cpu"][0] pool .worker["cpu"][0],ray_cluster.pool.worker["cpu"][1] pool .worker["cpu"][1]`
	if got := strings.Join(found, ","); got != want {
		t.Errorf("the members are %s, not %s", got, want)
	}
}

// What has conditions is told once, with its instances in their order; one that
// is not known makes the whole unknown.
func TestChecks(t *testing.T) {
	p := &engine.Plan{Checks: []engine.Check{
		{Kind: engine.CheckVariable, Name: "size"},
		{Kind: engine.CheckResource, Addr: addr(t, "docker_container.web[10]"), Unknown: true},
		{Kind: engine.CheckResource, Addr: addr(t, "docker_container.web[9]")},
		{Kind: engine.CheckOutput, Name: "url"},
	}}
	doc, _ := document(t, p)
	var got []string
	for _, c := range doc.Checks {
		got = append(got, fmt.Sprint(c.Address.Kind, " ", c.Address.ToDisplay, " ", c.Status))
		for _, i := range c.Instances {
			got = append(got, fmt.Sprint(i.Address.ToDisplay, " ", i.Address.InstanceKey, " ", i.Status))
		}
	}
	want := []string{
		"resource docker_container.web unknown", "docker_container.web[9] 9 pass", "docker_container.web[10] 10 unknown",
		"output_value output.url pass", "output.url <nil> pass",
		"var var.size pass", "var.size <nil> pass",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
