// Package planfile keeps a plan in a file: for showing it elsewhere, and for
// applying it later and nothing else.
//
// A File has all that the plan's views print and all that the plan assumes: the
// stack's lineage and generation, the engines, a digest of the configuration,
// the variables, of each address its object's ID and attributes or that there
// is none, and what each name means that is not the plan's own. It has no
// secret: what is sensitive is a mark in a value, a sensitive variable is a
// salted hash, and so is what cannot be shown.
//
// A File is not applied itself. The apply makes the plan again from the same
// inputs, writes it down in the same way and refuses, before its first change,
// wherever the two differ (File.Differs): see docs/adr/0004-a-plan-is-made-again.md.
package planfile

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// File is a plan as it is written down. Lists are in the order of the plan.
type File struct {
	Gapool    string      `json:"gapool"` // the version that made it
	Stack     string      `json:"stack"`
	Workspace string      `json:"workspace"`
	Mode      engine.Mode `json:"mode"`
	Options   Options     `json:"options"`

	// What it was made from.
	Lineage    string              `json:"lineage,omitempty"`
	Generation uint64              `json:"generation"`
	State      string              `json:"state"`             // digest of what was recorded
	Sources    map[string]string   `json:"sources,omitempty"` // file of the configuration → digest
	Variables  map[string]Variable `json:"variables,omitempty"`
	Engines    map[string]Engine   `json:"engines,omitempty"` // by provider key

	// What it decides.
	Changes    []change        `json:"changes"`
	Steps      []planStep      `json:"steps"`
	Undo       []planStep      `json:"undo,omitempty"`
	Outputs    []output        `json:"outputs,omitempty"`
	DataLoss   []schema.Addr   `json:"data_loss,omitempty"`
	Unapproved string          `json:"unapproved,omitempty"`
	Targeted   bool            `json:"targeted,omitempty"`
	Drift      []drift         `json:"drift,omitempty"`
	Kept       []*engineObject `json:"kept,omitempty"`
	Named      []named         `json:"named,omitempty"`
	Checks     []check         `json:"checks,omitempty"`
	Hidden     string          `json:"hidden,omitempty"` // a salted hash, see hidden.go
	Notes      []string        `json:"notes,omitempty"`

	// Configuration is schema.Description, for the views.
	Configuration json.RawMessage `json:"configuration,omitempty"`
}

// Options are the flags that a plan depends on.
type Options struct {
	Targets       []string      `json:"target,omitempty"`
	Replace       []string      `json:"replace,omitempty"`
	AllowDataLoss []schema.Addr `json:"allow_data_loss,omitempty"`
	NoRefresh     bool          `json:"no_refresh,omitempty"`
	Force         bool          `json:"force,omitempty"`
	// OnFailure is left out where it is to continue.
	OnFailure engine.OnFailure `json:"on_failure,omitempty"`
}

// Variable is the value of a variable; of a sensitive one a hash only.
type Variable struct {
	typed
	Hash string `json:"hash,omitempty"`
	// Given says that it came from a flag or the environment, and not from the
	// configuration's own files: the apply needs no flag for it.
	Given bool `json:"given,omitempty"`
}

// Engine is where objects live.
type Engine struct {
	ID   string `json:"id"`
	Host string `json:"host"`
	// What its machine has, as engine.Machine says; 0, of GPUs null, where it is not known.
	CPUs   int   `json:"cpus,omitempty"`
	Memory int64 `json:"memory,omitempty"`
	GPUs   *int  `json:"gpus,omitempty"`
}

type change struct {
	Addr        schema.Addr     `json:"address"`
	Kind        string          `json:"kind"`
	Provider    string          `json:"provider"`
	Action      engine.Action   `json:"action"`
	Reason      string          `json:"reason,omitempty"`
	Cause       engine.Cause    `json:"cause,omitempty"`
	OnlyIf      []string        `json:"only_if,omitempty"`
	Object      *engineObject   `json:"object,omitempty"`
	Before      json.RawMessage `json:"before,omitempty"`
	After       json.RawMessage `json:"after,omitempty"` // left out where it is as before
	Defaults    json.RawMessage `json:"defaults,omitempty"`
	Differences []difference    `json:"differences,omitempty"`
	Prev        schema.Addr     `json:"previous_address,omitzero"`
	Deps        []schema.Addr   `json:"depends_on,omitempty"`
	Adopted     bool            `json:"adopted,omitempty"`
	Orphan      bool            `json:"orphan,omitempty"`
	Protect     bool            `json:"prevent_destroy,omitempty"`
}

type engineObject struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Name string `json:"name"`
	UID  string `json:"uid,omitempty"`
}

type difference struct {
	Path    []step          `json:"path"`
	Want    json.RawMessage `json:"want"`
	Live    json.RawMessage `json:"live"`
	Replace bool            `json:"replace,omitempty"`
	Unknown bool            `json:"unknown,omitempty"`
}

type planStep struct {
	Verb      engine.Verb   `json:"verb"`
	Addr      schema.Addr   `json:"address"`
	Target    *engineObject `json:"target,omitempty"`
	Name      string        `json:"name,omitempty"`
	Candidate bool          `json:"candidate,omitempty"`
	Extra     bool          `json:"extra,omitempty"`
	Prev      *string       `json:"tag_was,omitempty"`
	Needs     []int         `json:"needs,omitempty"`
	Kept      string        `json:"kept,omitempty"` // why it cannot be undone
}

type output struct {
	Name      string        `json:"name"`
	Action    engine.Action `json:"action"`
	Sensitive bool          `json:"sensitive,omitempty"`
	Before    typed         `json:"before"`
	After     typed         `json:"after"`
}

type drift struct {
	Addr        schema.Addr     `json:"address"`
	Kind        string          `json:"kind"`
	Provider    string          `json:"provider"`
	What        string          `json:"what"`
	Before      json.RawMessage `json:"before,omitempty"`
	After       json.RawMessage `json:"after,omitempty"`
	Differences []difference    `json:"differences,omitempty"`
}

type named struct {
	By       schema.Addr `json:"by"`
	Provider string      `json:"provider"`
	Kind     string      `json:"kind"`
	Name     string      `json:"name"`
	ID       string      `json:"id,omitempty"`
}

type check struct {
	Kind    string      `json:"kind"`
	Name    string      `json:"name,omitempty"`
	Addr    schema.Addr `json:"address,omitzero"`
	Unknown bool        `json:"unknown,omitempty"`
}

// Origin is what a plan was made from, besides its options.
type Origin struct {
	Gapool        string
	Options       Options
	Loaded        *state.Loaded
	Configuration *schema.Config // nil for none
	Variables     map[string]Variable
}

// New writes a plan down.
func New(p *engine.Plan, o Origin) (*File, error) {
	recorded, err := o.Loaded.State.Digest()
	if err != nil {
		return nil, err
	}
	f := &File{
		Gapool: o.Gapool, Stack: p.Stack, Workspace: p.Workspace, Mode: p.Mode, Options: o.Options,
		Lineage: p.Lineage, Generation: o.Loaded.State.Generation, State: recorded,
		Variables: o.Variables, Engines: map[string]Engine{},
		DataLoss: p.DataLoss, Unapproved: p.Unapproved, Targeted: p.Targeted, Notes: p.Notes,
		Changes: []change{}, Steps: []planStep{},
	}
	if o.Configuration != nil {
		f.Sources = o.Configuration.Digests()
		if f.Configuration, err = encode(o.Configuration.Describe()); err != nil {
			return nil, err
		}
	}
	if p.Engines != nil {
		for key, info := range p.Engines.Known() {
			f.Engines[key] = Engine{ID: info.ID, Host: info.Host, CPUs: info.CPUs, Memory: info.Memory, GPUs: info.GPUs}
		}
	}
	if f.Hidden, err = hashHidden(p); err != nil {
		return nil, err
	}
	for _, c := range p.Changes {
		f.Changes = append(f.Changes, writeChange(c))
	}
	for _, s := range p.Steps {
		f.Steps = append(f.Steps, writeStep(s))
	}
	for _, s := range p.Undo {
		f.Undo = append(f.Undo, writeStep(s))
	}
	for _, oc := range p.Outputs {
		f.Outputs = append(f.Outputs, writeOutput(oc))
	}
	for _, d := range p.Drift {
		var w writer
		f.Drift = append(f.Drift, drift{
			Addr: d.Addr, Kind: d.Type.Name, Provider: d.Provider, What: d.What, Before: w.value(d.Before), After: w.value(d.After), Differences: w.differences(d.Type, d.Differences, cty.NilVal, cty.NilVal),
		})
	}
	for _, obj := range p.Kept {
		f.Kept = append(f.Kept, objectOf(obj))
	}
	for _, n := range p.Named {
		f.Named = append(f.Named, named(n))
	}
	for _, c := range p.Checks {
		f.Checks = append(f.Checks, check(c))
	}
	return f, nil
}

func writeStep(s *engine.Step) planStep {
	return planStep{
		Verb: s.Verb, Addr: s.Addr, Target: objectOf(s.Target), Name: s.Name,
		Candidate: s.Candidate, Extra: s.Extra, Prev: s.Prev, Needs: s.Needs, Kept: s.Why,
	}
}

func (s planStep) step(id int, c *engine.Change) *engine.Step {
	return &engine.Step{
		ID: id, Verb: s.Verb, Addr: s.Addr, Change: c, Target: s.Target.object(), Name: s.Name,
		Candidate: s.Candidate, Extra: s.Extra, Prev: s.Prev, Needs: s.Needs, Why: s.Kept,
	}
}

func objectOf(o *providers.Object) *engineObject {
	if o == nil {
		return nil
	}
	return &engineObject{Kind: o.Kind, ID: o.ID, Name: o.Name, UID: o.Owner.UID}
}

func writeChange(c *engine.Change) change {
	out := change{
		Addr: c.Addr, Kind: c.Type.Name, Provider: c.Provider, Action: c.Action, Reason: c.Reason, Cause: c.Cause, OnlyIf: c.OnlyIf,
		Object: objectOf(c.Object), Prev: c.Prev, Deps: c.Deps,
		Adopted: c.Adopted, Orphan: c.Orphan, Protect: c.Protect,
	}
	var w writer
	defaults := cty.NilVal
	if c.Object != nil {
		defaults = c.Object.Defaults
	}
	before := engine.Concealed(c.Type, c.Before, c.After, defaults)
	out.Before = w.value(before)
	if after := w.value(c.After); string(after) != string(out.Before) || c.Action == engine.Delete {
		out.After = after
	}
	if c.Action == engine.Delete && c.Object != nil && c.Object.Defaults != cty.NilVal {
		out.Defaults = w.value(c.Object.Defaults)
	}
	out.Differences = w.differences(c.Type, c.Differences, before, c.After)
	return out
}

// differences writes what differs; before and after are the values that it was
// found in, with their marks, NilVal where there are none.
func (w *writer) differences(t *schema.Type, ds []schema.Difference, before, after cty.Value) []difference {
	var out []difference
	wanted, lived := engine.MarksIn(after), engine.MarksIn(before)
	for _, d := range ds {
		path := d.Path
		if len(path) == 0 {
			path = cty.GetAttrPath(d.Attr)
		}
		want, live := engine.MarkedAs(wanted, path, d.Want), engine.MarkedAs(lived, path, d.Live)
		if a := t.Attr(d.Attr); a.Sensitive {
			want, live = mark(want), mark(live)
		} else if len(path) == 1 {
			live = engine.Conceal(a, live, want)
		} else if a.Live && !engine.Shown(want) {
			live = mark(live)
		}
		out = append(out, difference{Path: w.path(path), Want: w.value(want), Live: w.value(live), Replace: d.Replace, Unknown: d.Unknown})
	}
	return out
}

func mark(v cty.Value) cty.Value {
	if v == cty.NilVal || v.IsNull() {
		return v
	}
	return v.Mark(schema.SensitiveMark)
}

func writeOutput(oc engine.OutputChange) output {
	var w writer
	before, after := oc.Before, oc.After
	if oc.Sensitive {
		before, after = mark(before), mark(after)
	}
	return output{Name: oc.Name, Action: oc.Action, Sensitive: oc.Sensitive, Before: w.typed(before), After: w.typed(after)}
}

// Plan returns the plan for showing it: it has no engines and cannot be
// applied. typeOf finds a table by its name.
func (f *File) Plan(typeOf func(string) *schema.Type) (*engine.Plan, error) {
	p := &engine.Plan{
		Mode: f.Mode, Stack: f.Stack, Workspace: f.Workspace, Lineage: f.Lineage,
		DataLoss: f.DataLoss, Approved: map[schema.Addr]bool{}, Unapproved: f.Unapproved,
		Targeted: f.Targeted, Notes: f.Notes, Force: f.Options.Force, OnFailure: f.Options.OnFailure, Machines: map[string]engine.Machine{},
	}
	for key, e := range f.Engines {
		p.Machines[key] = engine.Machine{CPUs: e.CPUs, Memory: e.Memory, GPUs: e.GPUs}
	}
	for _, a := range f.DataLoss {
		p.Approved[a] = slices.Contains(f.Options.AllowDataLoss, a)
	}
	byAddr := make(map[schema.Addr]*engine.Change, len(f.Changes))
	for i := range f.Changes {
		c, err := f.Changes[i].read(typeOf)
		if err != nil {
			return nil, damaged(f.Changes[i].Addr, err)
		}
		p.Changes = append(p.Changes, c)
		byAddr[c.Addr] = c
	}
	for i, s := range f.Steps {
		p.Steps = append(p.Steps, s.step(i, byAddr[s.Addr]))
	}
	if n := len(f.Undo); n > 0 && n != len(f.Steps) {
		return nil, fmt.Errorf("the plan file is damaged: it has %d inverse steps for %d", n, len(f.Steps))
	}
	for i, s := range f.Undo {
		u := s.step(i, byAddr[s.Addr])
		u.Undoes = p.Steps[len(f.Steps)-1-i]
		p.Undo = append(p.Undo, u)
	}
	for _, o := range f.Outputs {
		before, err := o.Before.read()
		if err == nil {
			var after cty.Value
			after, err = o.After.read()
			p.Outputs = append(p.Outputs, engine.OutputChange{Name: o.Name, Action: o.Action, Sensitive: o.Sensitive, Before: before, After: after})
		}
		if err != nil {
			return nil, damaged("output."+o.Name, err)
		}
	}
	for _, d := range f.Drift {
		t, err := table(d.Kind, typeOf)
		if err != nil {
			return nil, damaged(d.Addr, err)
		}
		ds, err := readDifferences(t, d.Differences)
		if err != nil {
			return nil, damaged(d.Addr, err)
		}
		out := engine.Drift{Addr: d.Addr, Type: t, Provider: d.Provider, What: d.What, Differences: ds}
		if out.Before, err = readValue(d.Before, t.Implied()); err == nil {
			out.After, err = readValue(d.After, t.Implied())
		}
		if err != nil {
			return nil, damaged(d.Addr, err)
		}
		p.Drift = append(p.Drift, out)
	}
	for _, o := range f.Kept {
		p.Kept = append(p.Kept, o.object())
	}
	for _, c := range f.Checks {
		p.Checks = append(p.Checks, engine.Check(c))
	}
	return p, nil
}

func (o *engineObject) id() string {
	if o == nil {
		return ""
	}
	return o.ID
}

func (o *engineObject) object() *providers.Object {
	if o == nil {
		return nil
	}
	return &providers.Object{Kind: o.Kind, ID: o.ID, Name: o.Name, Owner: providers.Owner{UID: o.UID}}
}

func (c *change) read(typeOf func(string) *schema.Type) (*engine.Change, error) {
	t, err := table(c.Kind, typeOf)
	if err != nil {
		return nil, err
	}
	out := &engine.Change{
		Addr: c.Addr, Type: t, Provider: c.Provider, Action: c.Action, Reason: c.Reason, Cause: c.Cause, OnlyIf: c.OnlyIf,
		Object: c.Object.object(), Prev: c.Prev, Deps: c.Deps,
		Adopted: c.Adopted, Orphan: c.Orphan, Protect: c.Protect,
	}
	if out.Before, err = readValue(c.Before, t.Implied()); err != nil {
		return nil, err
	}
	out.After = out.Before
	if len(c.After) > 0 {
		if out.After, err = readValue(c.After, t.Implied()); err != nil {
			return nil, err
		}
	}
	if out.Object != nil && len(c.Defaults) > 0 {
		if out.Object.Defaults, err = readValue(c.Defaults, t.Implied()); err != nil {
			return nil, err
		}
	}
	out.Differences, err = readDifferences(t, c.Differences)
	return out, err
}

func readDifferences(t *schema.Type, ds []difference) ([]schema.Difference, error) {
	var out []schema.Difference
	for _, d := range ds {
		if len(d.Path) == 0 || t.Attr(d.Path[0].Attr) == nil {
			return nil, errNoAttribute
		}
		path, ty, err := readPath(d.Path, t.Implied())
		if err != nil {
			return nil, err
		}
		x := schema.Difference{Attr: d.Path[0].Attr, Path: path, Replace: d.Replace, Unknown: d.Unknown}
		if x.Want, err = readValue(d.Want, ty); err != nil {
			return nil, err
		}
		if x.Live, err = readValue(d.Live, ty); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// Leaving are the members of clusters that the plan takes away: who goes was
// decided with it, and is not decided again.
func (f *File) Leaving() []schema.Addr {
	var out []schema.Addr
	for _, c := range f.Changes {
		if c.Action == engine.Delete && c.Addr.Member.Role == schema.Worker {
			out = append(out, c.Addr)
		}
	}
	return out
}

// SensitiveVariables are the names of those that the apply has to be given
// again, sorted.
func (f *File) SensitiveVariables() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(f.Variables)) {
		if f.Variables[name].Hash != "" {
			names = append(names, name)
		}
	}
	return names
}

func table(kind string, typeOf func(string) *schema.Type) (*schema.Type, error) {
	t := typeOf(kind)
	if t == nil {
		return nil, fmt.Errorf("no provider has a %s", kind)
	}
	return t, nil
}
