package planfile

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

func raw(text string) json.RawMessage { return json.RawMessage(text) }

// approved is a plan with something in each field.
func approved() *File {
	image, web := schema.Addr{Type: "docker_image", Name: "app"}, schema.Addr{Type: "docker_container", Name: "web"}
	old := schema.Addr{Type: "docker_volume", Name: "old"}
	tag := "app:0"
	return &File{
		Gapool: "0.1.0", Stack: "genetic", Workspace: "default", Mode: engine.Normal,
		Options: Options{
			Targets: []string{"docker_container.web"}, Replace: []string{"docker_image.app"}, AllowDataLoss: []schema.Addr{old},
			NoRefresh: true, Force: true, OnFailure: engine.Rollback,
		},
		Lineage: "l", Generation: 3, State: "s", Sources: map[string]string{"/home/ada/main.gapool.hcl": "1"},
		Variables: map[string]Variable{"memory": {typed: typed{raw(`"number"`), raw(`1`)}, Given: true}},
		Engines:   map[string]Engine{"docker": {ID: "e", Host: "unix:///run/docker.sock", CPUs: 4, Memory: 1 << 30}},
		Changes: []change{
			{
				Addr: web, Kind: "docker_container", Provider: "docker", Action: engine.ReplaceFirst, Reason: "is asked for by -replace", Cause: engine.ByRequest,
				OnlyIf: []string{"docker_image.app.image_id"}, Object: &engineObject{Kind: "docker_container", ID: "0a1b", Name: "web", UID: "u1"},
				Before:      raw(`{"id":"0a1b","name":"web","image":"sha256:1","address":"172.17.0.2","env":{"LEVEL":"info","TOKEN":{"$sensitive":0}}}`),
				After:       raw(`{"id":{"$unknown":true},"name":"web","image":{"$unknown":true},"address":{"$unknown":true},"env":{"LEVEL":"debug","TOKEN":{"$sensitive":1}}}`),
				Differences: []difference{{Path: []step{{Attr: "image"}}, Want: raw(`{"$unknown":true}`), Live: raw(`"sha256:1"`), Replace: true}},
				Prev:        schema.Addr{Type: "docker_container", Name: "www"}, Deps: []schema.Addr{image}, Adopted: true, Orphan: true, Protect: true,
			},
			{
				Addr: image, Kind: "docker_image", Provider: "docker", Action: engine.Create, Before: raw(`null`),
				After: raw(`{"id":{"$unknown":true},"name":"app:1","build":{"context":"/home/ada/image","target":"run","secrets":[{"id":"key","src":"/home/ada/key"}]},"build_inputs":"sha256:2","repo_digest":"app@sha256:3"}`),
			},
			{
				Addr: old, Kind: "docker_volume", Provider: "docker", Action: engine.Delete, Cause: engine.NotConfigured,
				Before: raw(`{"id":"old","name":"old","mountpoint":"/var/lib/docker/volumes/old"}`), After: raw(`null`), Defaults: raw(`null`),
			},
		},
		Steps: []planStep{
			{Verb: engine.DoRecord, Addr: web},
			{Verb: engine.DoCreate, Addr: image, Name: "app:1", Prev: &tag},
			{Verb: engine.DoCreate, Addr: web, Name: "web~1", Needs: []int{0, 1}, Candidate: true, Target: &engineObject{Kind: "docker_container", ID: "0a1b", Name: "web", UID: "u1"}, Kept: "x"},
			{Verb: engine.DoDelete, Addr: old, Needs: []int{2}, Extra: true},
		},
		Undo: []planStep{{}, {}, {}, {}},
		Outputs: []output{
			{Name: "url", Action: engine.Update, Before: typed{raw(`"string"`), raw(`"a"`)}, After: typed{raw(`"string"`), raw(`"b"`)}},
			{Name: "same", Action: engine.NoOp, Before: typed{raw(`"string"`), raw(`"a"`)}, After: typed{raw(`"string"`), raw(`"a"`)}},
		},
		DataLoss: []schema.Addr{old}, Unapproved: "x", Targeted: true,
		Drift: []drift{{Addr: web, Kind: "docker_container", What: "was changed outside of gapool"}},
		Kept:  []*engineObject{{Kind: "docker_volume", ID: "data", Name: "data"}}, Checks: []check{{Kind: engine.CheckOutput, Name: "url"}},
		Notes: []string{"a note"}, Configuration: raw(`{}`),
	}
}

// digestTypes has what one engine calls an object, and what is read otherwise
// each time.
func digestTypes(name string) *schema.Type {
	local := func(name string) schema.Attr {
		return schema.Attr{Name: name, Type: cty.String, Computed: true, Local: true}
	}
	attr := func(name string) schema.Attr { return schema.Attr{Name: name, Type: cty.String} }
	return map[string]*schema.Type{
		"docker_container": {Name: name, Attrs: []schema.Attr{
			local("id"), attr("name"), attr("image"), {Name: "address", Type: cty.String, Computed: true, Volatile: true}, {Name: "env", Type: cty.Map(cty.String)},
		}},
		"docker_image": {Name: name, ByName: true, Attrs: []schema.Attr{
			local("id"), attr("name"), attr("build_inputs"), attr("repo_digest"),
			{Name: "build", Block: &schema.Block{Nesting: schema.Single, Attrs: []schema.Attr{
				local("context"), attr("target"),
				{Name: "secrets", Block: &schema.Block{Nesting: schema.List, Attrs: []schema.Attr{attr("id"), local("src")}}},
			}}},
		}},
		"docker_volume": {Name: name, HoldsData: true, Attrs: []schema.Attr{local("id"), local("mountpoint"), attr("name")}},
	}[name]
}

func digestOf(t *testing.T, f *File) string {
	t.Helper()
	d, err := f.Digest(digestTypes)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDigestCovers changes each field of a plan file: it is a part of what is
// approved, or it is not. A new field has to take its place in one of the lists.
func TestDigestCovers(t *testing.T) {
	replace := func(at *json.RawMessage, old, new string) {
		text := strings.Replace(string(*at), old, new, 1)
		if text == string(*at) {
			t.Fatalf("%s has no %s", *at, old)
		}
		*at = raw(text)
	}
	approvedFields := map[string]func(*File){
		"File.Stack":            func(f *File) { f.Stack = "other" },
		"File.Workspace":        func(f *File) { f.Workspace = "other" },
		"File.Mode":             func(f *File) { f.Mode = engine.Destroy },
		"Options.Targets":       func(f *File) { f.Options.Targets = nil },
		"Options.Replace":       func(f *File) { f.Options.Replace = nil },
		"Options.AllowDataLoss": func(f *File) { f.Options.AllowDataLoss = nil },
		"Options.NoRefresh":     func(f *File) { f.Options.NoRefresh = false },
		"Options.Force":         func(f *File) { f.Options.Force = false },
		"Options.OnFailure":     func(f *File) { f.Options.OnFailure = "" },

		"change.Addr":     func(f *File) { f.Changes[0].Addr.Name = "other" },
		"change.Kind":     func(f *File) { f.Changes[1].Kind = "docker_volume" },
		"change.Provider": func(f *File) { f.Changes[0].Provider = "docker.lab" },
		"change.Action":   func(f *File) { f.Changes[0].Action = engine.Replace },
		"change.Cause":    func(f *File) { f.Changes[0].Cause = engine.CannotUpdate },
		"change.OnlyIf":   func(f *File) { f.Changes[0].OnlyIf = nil },
		"change.Prev":     func(f *File) { f.Changes[0].Prev.Name = "other" },
		"change.Adopted":  func(f *File) { f.Changes[0].Adopted = false },
		"change.Protect":  func(f *File) { f.Changes[0].Protect = false },
		"change.Before":   func(f *File) { replace(&f.Changes[0].Before, `"LEVEL":"info"`, `"LEVEL":"warn"`) },
		"change.After":    func(f *File) { replace(&f.Changes[0].After, `"LEVEL":"debug"`, `"LEVEL":"warn"`) },
		"File.Changes":    func(f *File) { f.Changes = f.Changes[:2] },

		"change.After: what is known afterwards only": func(f *File) { replace(&f.Changes[0].After, `"image":{"$unknown":true}`, `"image":"sha256:1"`) },
		"change.After: an attribute is left out":      func(f *File) { replace(&f.Changes[0].After, `,"env":{"LEVEL":"debug","TOKEN":{"$sensitive":1}}`, ``) },
		"change.After: what the image is built from":  func(f *File) { replace(&f.Changes[1].After, `sha256:2`, `sha256:9`) },
		"change.After: in a block":                    func(f *File) { replace(&f.Changes[1].After, `"target":"run"`, `"target":"test"`) },
		"change.After: in a list of blocks":           func(f *File) { replace(&f.Changes[1].After, `"id":"key"`, `"id":"lock"`) },
		"change.After: what the image resolves to":    func(f *File) { replace(&f.Changes[1].After, `sha256:3`, `sha256:9`) },
		"change.After: whether a secret changes":      func(f *File) { replace(&f.Changes[0].After, `{"$sensitive":1}`, `{"$sensitive":0}`) },
		"change.After: whether there is a secret":     func(f *File) { replace(&f.Changes[0].After, `{"$sensitive":1}`, `null`) },
		"change.After: whether it is a secret":        func(f *File) { replace(&f.Changes[0].After, `{"$sensitive":1}`, `"1"`) },

		"planStep.Verb":     func(f *File) { f.Steps[1].Verb = engine.DoUpdate },
		"planStep.Addr":     func(f *File) { f.Steps[1].Addr.Name = "other" },
		"planStep.Name":     func(f *File) { f.Steps[1].Name = "other" },
		"planStep.Extra":    func(f *File) { f.Steps[3].Extra = false },
		"planStep.Needs":    func(f *File) { f.Steps[2].Needs = []int{0} },
		"engineObject.Name": func(f *File) { f.Steps[2].Target.Name = "other" },
		"planStep.Target":   func(f *File) { f.Steps[2].Target = nil },
		"File.Steps":        func(f *File) { f.Steps[1], f.Steps[2] = f.Steps[2], f.Steps[1] },

		"output.Name":      func(f *File) { f.Outputs[0].Name = "other" },
		"output.Action":    func(f *File) { f.Outputs[0].Action = engine.Create },
		"output.Sensitive": func(f *File) { f.Outputs[0].Sensitive = true },
		"output.Before":    func(f *File) { f.Outputs[0].Before.Value = raw(`"c"`) },
		"output.After":     func(f *File) { f.Outputs[0].After.Value = raw(`"c"`) },
		"File.Outputs":     func(f *File) { f.Outputs = nil },
		"File.Named": func(f *File) {
			f.Named = []named{{Provider: "docker", Kind: "docker_image", Name: "base:1", ID: "sha256:9"}}
		},
	}
	otherFields := map[string]func(*File){
		"File.Gapool":        func(f *File) { f.Gapool = "0.2.0" },
		"File.Lineage":       func(f *File) { f.Lineage = "m" },
		"File.Generation":    func(f *File) { f.Generation = 7 },
		"File.State":         func(f *File) { f.State = "t" },
		"File.Sources":       func(f *File) { f.Sources = map[string]string{"/tmp/x/all.gapool.hcl": "2"} }, // files may be cut otherwise
		"File.Variables":     func(f *File) { f.Variables = nil },                                           // what they lead to is in it
		"File.Engines":       func(f *File) { f.Engines = map[string]Engine{"docker": {ID: "f", Host: "ssh://lab"}} },
		"File.Undo":          func(f *File) { f.Undo = nil }, // follows from the steps
		"File.DataLoss":      func(f *File) { f.DataLoss = nil },
		"File.Unapproved":    func(f *File) { f.Unapproved = "" },
		"File.Targeted":      func(f *File) { f.Targeted = false },
		"File.Drift":         func(f *File) { f.Drift = nil },
		"File.Kept":          func(f *File) { f.Kept = nil },
		"File.Checks":        func(f *File) { f.Checks = nil },
		"File.Notes":         func(f *File) { f.Notes = nil },
		"File.Configuration": func(f *File) { f.Configuration = nil },
		"File.Hidden":        func(f *File) { f.Hidden = "$argon2id$x" }, // which value it is, is not approved
		"File.Named: no image": func(f *File) {
			f.Named = []named{{Provider: "docker", Kind: "docker_volume", Name: "data", ID: "data"}}
		},

		"change.Reason":      func(f *File) { f.Changes[0].Reason = "has ended 3 minutes ago" },
		"change.Object":      func(f *File) { f.Changes[0].Object = &engineObject{ID: "ff"} },
		"change.Defaults":    func(f *File) { f.Changes[2].Defaults = nil },
		"change.Differences": func(f *File) { f.Changes[0].Differences = nil },
		"change.Deps":        func(f *File) { f.Changes[0].Deps = nil }, // the steps' edges say it
		"change.Orphan":      func(f *File) { f.Changes[0].Orphan = false },

		"change.Before: an ID":            func(f *File) { replace(&f.Changes[0].Before, `0a1b`, `9f8e`) },
		"change.Before: an address":       func(f *File) { replace(&f.Changes[0].Before, `172.17.0.2`, `172.17.0.9`) },
		"change.After: a path in a block": func(f *File) { replace(&f.Changes[1].After, `/home/ada/image`, `/builds/7/image`) },
		"change.After: a path in a list":  func(f *File) { replace(&f.Changes[1].After, `/home/ada/key`, `/builds/7/key`) },
		"change.After: no path in a list": func(f *File) { replace(&f.Changes[1].After, `,"src":"/home/ada/key"`, ``) },
		"change.Before: an absolute path": func(f *File) { replace(&f.Changes[2].Before, `/var/lib/docker`, `/srv/docker`) },

		"engineObject.Kind":  func(f *File) { f.Steps[2].Target.Kind = "x" },
		"engineObject.ID":    func(f *File) { f.Steps[2].Target.ID = "9f8e" },
		"engineObject.UID":   func(f *File) { f.Steps[2].Target.UID = "u2" },
		"planStep.Candidate": func(f *File) { f.Steps[2].Candidate = false },
		"planStep.Prev":      func(f *File) { f.Steps[1].Prev = nil },
		"planStep.Kept":      func(f *File) { f.Steps[2].Kept = "" },
		"File.Steps: what is only written down": func(f *File) {
			f.Steps = slices.Insert(f.Steps, 1, planStep{Verb: engine.DoRecord, Addr: f.Steps[3].Addr})
			f.Steps[3].Needs, f.Steps[4].Needs = []int{0, 2, 1}, []int{3}
			slices.Sort(f.Steps[3].Needs)
		},
		"File.Outputs: one that stays": func(f *File) { f.Outputs = f.Outputs[:1] },
	}
	was := digestOf(t, approved())
	for name, change := range approvedFields {
		f := approved()
		change(f)
		if digestOf(t, f) == was {
			t.Errorf("with another %s it has the same digest", name)
		}
	}
	for name, change := range otherFields {
		f := approved()
		change(f)
		if reflect.DeepEqual(f, approved()) {
			t.Errorf("%s is not changed by the test", name)
		}
		if digestOf(t, f) != was {
			t.Errorf("with another %s it has another digest", name)
		}
	}
	for _, v := range []any{File{}, Options{}, change{}, planStep{}, engineObject{}, output{}} {
		ty := reflect.TypeOf(v)
		for i := range ty.NumField() {
			name := fmt.Sprintf("%s.%s", ty.Name(), ty.Field(i).Name)
			_, in := approvedFields[name]
			_, out := otherFields[name]
			if name != "File.Options" && in == out {
				t.Errorf("%s: is it a part of what is approved? say so here", name)
			}
		}
	}
}

// TestDigestOfAnotherSecret is the same: that it changes is approved, not to what.
func TestDigestOfAnotherSecret(t *testing.T) {
	ty := digestTypes("docker_container")
	digest := func(before, after string) string {
		env := func(token string) cty.Value {
			return ty.Build(map[string]cty.Value{"env": cty.MapVal(map[string]cty.Value{"TOKEN": cty.StringVal(token).Mark(schema.SensitiveMark)})})
		}
		f, err := New(&engine.Plan{Changes: []*engine.Change{{
			Addr: schema.Addr{Type: "docker_container", Name: "web"}, Type: ty, Action: engine.Update, Before: env(before), After: env(after),
		}}}, Origin{Loaded: &state.Loaded{State: state.New("genetic", "default")}})
		if err != nil {
			t.Fatal(err)
		}
		return digestOf(t, f)
	}
	if digest("a", "b") != digest("c", "d") {
		t.Error("of two secrets that change, the digests differ")
	}
	if digest("a", "a") != digest("b", "b") {
		t.Error("of two secrets that stay, the digests differ")
	}
	if digest("a", "b") == digest("a", "a") {
		t.Error("a secret that changes has the digest of one that stays")
	}
}
