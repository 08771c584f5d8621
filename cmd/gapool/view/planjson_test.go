package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tfjson "github.com/hashicorp/terraform-json"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

// document is a plan's JSON as it is made from its file, read as Terraform's
// own library reads it.
func document(t *testing.T, p *engine.Plan) (*tfjson.Plan, []byte) {
	t.Helper()
	file := kept(t, p)
	again, err := file.Plan(tables)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := PlanDocument{Plan: again, Configuration: file.Configuration}.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var read tfjson.Plan
	if err := json.Unmarshal(doc, &read); err != nil {
		t.Fatalf("terraform-json refuses it: %v\n%s", err, doc)
	}
	return &read, doc
}

// Terraform's words, of which a program knows no others.
var (
	actionsOfTerraform = []string{"no-op", "create", "update", "delete", "delete create", "create delete", "forget"}
	reasonsOfTerraform = []string{
		"", "replace_because_tainted", "replace_because_cannot_update", "replace_by_request", "replace_by_triggers",
		"delete_because_no_resource_config", "delete_because_no_module", "delete_because_wrong_repetition",
		"delete_because_count_index", "delete_because_each_key", "delete_because_no_move_target",
	}
)

// hold checks what Terraform's library does not: the rules of its format.
func hold(t *testing.T, p *engine.Plan, doc *tfjson.Plan, raw []byte) {
	t.Helper()
	type fields tfjson.Plan // without its own decoder, which lets all in
	var known struct {
		fields
		Applyable bool `json:"applyable"` // the library does not know these two
		Errored   bool `json:"errored"`
	}
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&known); err != nil {
		t.Errorf("Terraform's format does not have it: %v", err)
	}
	for _, s := range secrets(p) {
		if bytes.Contains(raw, []byte(s)) {
			t.Errorf("it has the secret %q in it", s)
		}
	}
	if bytes.Contains(raw, []byte(`"timestamp"`)) {
		t.Error("it has a time in it")
	}
	if known.FormatVersion != "1.2" || known.Errored || known.Applyable != (p.WouldChange() && p.Unapproved == "") {
		t.Errorf("it is of version %s, errored %v, applyable %v", known.FormatVersion, known.Errored, known.Applyable)
	}
	// What reads plans refuses versions that are no Terraform's.
	if !regexp.MustCompile(`^1\.\d+\.\d+$`).MatchString(known.TerraformVersion) {
		t.Errorf("no Terraform has the version %s", known.TerraformVersion)
	}
	if doc.Complete == nil || *doc.Complete == p.Targeted {
		t.Errorf("complete is %v under -target %v", doc.Complete, p.Targeted)
	}

	// Each change is there once, in the plan's order, a cluster's member as the
	// container that it is.
	at := map[string]*tfjson.ResourceChange{}
	var order []schema.Addr
	for _, rc := range doc.ResourceChanges {
		order = append(order, addr(t, rc.Address))
		if rc.DeposedKey == "" {
			at[rc.Address] = rc
		}
	}
	if !slices.IsSortedFunc(order, schema.CompareAddr) {
		t.Errorf("the changes are not in order: %v", order)
	}
	if len(at) != len(p.Changes) {
		t.Errorf("%d changes are there of %d", len(at), len(p.Changes))
	}
	for _, c := range p.Changes {
		rc := at[c.Addr.String()]
		if rc == nil {
			t.Errorf("%s is not there", c.Addr)
			continue
		}
		if rc.Type != c.Type.Name || rc.Name != c.Addr.Name || rc.Mode != tfjson.ManagedResourceMode {
			t.Errorf("%s is a %s %s %s", c.Addr, rc.Mode, rc.Type, rc.Name)
		}
		for _, side := range []any{rc.Change.Before, rc.Change.After} {
			for name := range entriesIn(side) {
				if c.Type.Attr(name) == nil {
					t.Errorf("%s has %s, which no %s has", c.Addr, name, c.Type.Name)
				}
			}
		}
		if (rc.Change.Importing != nil) != (c.Adopted && (c.Action == engine.NoOp || c.Action == engine.Update)) {
			t.Errorf("%s is adopted %v, and its importing is %v", c.Addr, c.Adopted, rc.Change.Importing)
		}
	}
	for _, rc := range doc.ResourceChanges {
		change := rc.Change
		var words []string
		for _, a := range change.Actions {
			words = append(words, string(a))
		}
		if !slices.Contains(actionsOfTerraform, strings.Join(words, " ")) {
			t.Errorf("%s: %q are no actions of Terraform", rc.Address, words)
		}
		if !slices.Contains(reasonsOfTerraform, string(rc.ActionReason)) {
			t.Errorf("%s: %q is no reason of Terraform", rc.Address, rc.ActionReason)
		}
		if change.Actions.Create() && change.Before != nil {
			t.Errorf("%s is created and was there before: %v", rc.Address, change.Before)
		}
		if (change.Actions.Delete() || change.Actions.Forget()) && change.After != nil {
			t.Errorf("%s goes and is there afterwards: %v", rc.Address, change.After)
		}
		if change.Actions.NoOp() && !reflect.DeepEqual(change.Before, change.After) {
			t.Errorf("%s stays as it is, and is another one: %s", rc.Address, cmp.Diff(change.Before, change.After))
		}
		if rc.DeposedKey != "" && !change.Actions.Delete() {
			t.Errorf("%s is left over, and not deleted", rc.Address)
		}
		for i, path := range change.ReplacePaths {
			if slices.ContainsFunc(change.ReplacePaths[:i], func(p any) bool { return reflect.DeepEqual(p, path) }) {
				t.Errorf("%s has the path %v twice", rc.Address, path)
			}
			names, _ := path.([]any)
			if !change.Actions.Replace() || len(names) == 0 {
				t.Errorf("%s by %q has the path %v", rc.Address, words, path)
				continue
			}
			name, _ := names[0].(string)
			_, was := entriesIn(change.Before)[name]
			_, is := entriesIn(change.After)[name]
			_, will := entriesIn(change.AfterUnknown)[name]
			if !was && !is && !will {
				t.Errorf("%s has no %v", rc.Address, path)
			}
		}
		if unknown := entriesIn(change.AfterUnknown); !says(unknown, true) && len(unknown) > 0 {
			t.Errorf("%s: nothing is unknown, and yet %v", rc.Address, unknown)
		}
		apart(t, rc.Address, change.After, change.AfterUnknown, "unknown")
		blank(t, rc.Address, change.After, change.AfterSensitive)
		blank(t, rc.Address, change.Before, change.BeforeSensitive)
	}

	for _, c := range p.Changes {
		change := at[c.Addr.String()].Change
		differOnly(t, c.Addr.String(), change, c.Differences)
	}
	for i, d := range p.Drift {
		differOnly(t, d.Addr.String(), doc.ResourceDrift[i].Change, d.Differences)
	}
	for name, o := range doc.OutputChanges {
		if _, ok := o.AfterSensitive.(bool); !ok || o.AfterSensitive != o.BeforeSensitive {
			t.Errorf("output %s is sensitive by parts: %v, %v", name, o.BeforeSensitive, o.AfterSensitive)
		}
		if !says(o.AfterUnknown, true) && o.AfterUnknown != false {
			t.Errorf("output %s: nothing is unknown, and yet %v", name, o.AfterUnknown)
		}
	}

	// What was there and what will be are told twice, and alike.
	alike := func(what string, values *tfjson.StateValues, side func(*tfjson.Change) (value, sensitive any), there func(*engine.Change) bool) {
		resources := map[string]*tfjson.StateResource{}
		if values != nil && values.RootModule != nil {
			for _, r := range values.RootModule.Resources {
				resources[r.Address] = r
			}
		}
		for _, c := range p.Changes {
			r := resources[c.Addr.String()]
			if (r != nil) != there(c) {
				t.Errorf("%s is among the %s: %v", c.Addr, what, r != nil)
			}
			if r == nil {
				continue
			}
			value, marks := side(at[c.Addr.String()].Change)
			var sensitive any
			if err := json.Unmarshal(r.SensitiveValues, &sensitive); err != nil {
				t.Error(err)
			}
			if !reflect.DeepEqual(entriesIn(value), r.AttributeValues) || !reflect.DeepEqual(marks, sensitive) {
				t.Errorf("among the %s, %s is another one", what, c.Addr)
			}
			delete(resources, c.Addr.String())
		}
		if len(resources) > 0 {
			t.Errorf("among the %s is what is not among the changes: %v", what, resources)
		}
	}
	alike("planned values", doc.PlannedValues, func(c *tfjson.Change) (any, any) { return c.After, c.AfterSensitive },
		func(c *engine.Change) bool { return !c.After.IsNull() && c.Action != engine.Forget })
	prior := &tfjson.StateValues{}
	if doc.PriorState != nil {
		prior = doc.PriorState.Values
	}
	alike("prior state", prior, func(c *tfjson.Change) (any, any) { return c.Before, c.BeforeSensitive },
		func(c *engine.Change) bool { return c.Object != nil || c.Type.Virtual && !c.Before.IsNull() })
}

// says reports whether a value of JSON is or has somewhere in it another one.
func says(v, what any) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			if says(e, what) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return says(e, what) })
	default:
		return v == what
	}
	return false
}

// differOnly says that what a program finds different is what the plan does: the
// attributes, and the entries of maps.
func differOnly(t *testing.T, at string, change *tfjson.Change, diffs []schema.Difference) {
	t.Helper()
	before, after, unknown := entriesIn(change.Before), entriesIn(change.After), entriesIn(change.AfterUnknown)
	if before == nil || after == nil {
		return
	}
	differs := func(name, key string) bool {
		return slices.ContainsFunc(diffs, func(d schema.Difference) bool {
			return d.Attr == name && (len(d.Path) < 2 || key == "" || keyOf(d.Path[:2]) == key)
		})
	}
	for name := range before {
		if reflect.DeepEqual(before[name], after[name]) || says(unknown[name], true) {
			continue
		}
		if !differs(name, "") {
			t.Errorf("%s: %s is another one, which the plan does not say: %v, %v", at, name, before[name], after[name])
		}
		was, is := entriesIn(before[name]), entriesIn(after[name])
		for key := range was {
			if is != nil && !reflect.DeepEqual(was[key], is[key]) && !differs(name, key) {
				t.Errorf("%s: %s[%s] is another one, which the plan does not say: %v, %v", at, name, key, was[key], is[key])
			}
		}
	}
}

func entriesIn(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
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

// What stays as it is reads alike on both sides, though the engine says more
// than the configuration, or says nothing in another way, and though it was a
// secret as a whole before.
func TestWhatStaysReadsAlike(t *testing.T) {
	live := schema.With(web(), set{
		"labels": dict("a", "1", "from.image", "x"), "log_opts": cty.MapValEmpty(cty.String),
		"init": cty.False, "command": secret(strs("hunter2")),
	})
	want := schema.With(web(), set{
		"labels": dict("a", "1"), "log_opts": cty.NullVal(cty.Map(cty.String)),
		"init": cty.NullVal(cty.Bool), "command": cty.ListVal([]cty.Value{secret(str("hunter2"))}),
	})
	running := object("docker_container", "web")
	running.Defaults = container.Build(set{"labels": dict("from.image", "x"), "init": cty.False})
	change := func(address string, action engine.Action, want cty.Value) *engine.Change {
		c := diffs(&engine.Change{
			Addr: addr(t, address), Type: container, Action: action, Before: live, After: want, Object: running,
		}, action.Replaces())
		c.Differences = slices.DeleteFunc(c.Differences, func(d schema.Difference) bool {
			return !slices.Contains([]string{"memory", "labels"}, d.Attr)
		})
		return c
	}
	p := &engine.Plan{
		Changes: []*engine.Change{
			change("docker_container.a", engine.NoOp, want),
			change("docker_container.b", engine.Update, schema.With(want, set{"memory": num(64)})),
			change("docker_container.c", engine.Replace, schema.With(want, set{"labels": dict("a", "2", "b", "1"), "id": unknown(cty.String)})),
		},
		Drift: []engine.Drift{{
			Addr: addr(t, "docker_container.a"), Type: container, Before: want, After: schema.With(live, set{"memory": num(1)}),
			Differences: []schema.Difference{{Attr: "memory", Want: num(512), Live: num(1)}},
		}},
	}
	doc, raw := document(t, p)
	hold(t, p, doc, raw)
	replaced := doc.ResourceChanges[2].Change
	if diff := cmp.Diff(map[string]any{"a": "1"}, entriesIn(replaced.Before)["labels"]); diff != "" {
		t.Errorf("the labels before are others (-want +got):\n%s", diff)
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

// An output that is null is in no state, and so in none before.
func TestANullOutputWasNotThere(t *testing.T) {
	null := cty.NullVal(cty.DynamicPseudoType)
	doc, _ := document(t, &engine.Plan{Outputs: []engine.OutputChange{{Name: "url", Action: engine.NoOp, Before: null, After: null}}})
	if doc.PriorState != nil {
		t.Errorf("there is a state before: %v", doc.PriorState.Values.Outputs)
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
