package planfile

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

// decision is what a digest is of: what the plan does to what, and nothing of
// where and when it was made. Neither IDs nor uids, times, paths, the state's
// generation or gapool's version are in it, so that a plan made on another
// machine of the same inputs has the same one.
type decision struct {
	Stack     string          `json:"stack"`
	Workspace string          `json:"workspace"`
	Mode      engine.Mode     `json:"mode"`
	Options   Options         `json:"options"`
	Changes   []decidedChange `json:"changes"`
	// Images are the IDs of those that are named and not the plan's own, by
	// provider and name: equal images have equal ones on any engine.
	Images  map[string]string `json:"images,omitempty"`
	Steps   []decidedStep     `json:"steps"`
	Outputs []output          `json:"outputs"`
}

type decidedChange struct {
	Addr    schema.Addr                `json:"address"`
	Kind    string                     `json:"kind"`
	On      string                     `json:"provider"` // the engine's key in the configuration, not which one it leads to
	Action  engine.Action              `json:"action"`
	Cause   engine.Cause               `json:"cause"`
	OnlyIf  []string                   `json:"only_if"`
	Prev    schema.Addr                `json:"previous_address,omitzero"`
	Adopted bool                       `json:"adopted"`
	Protect bool                       `json:"prevent_destroy"`
	Before  map[string]json.RawMessage `json:"before"`
	After   map[string]json.RawMessage `json:"after"`
}

type decidedStep struct {
	Verb   engine.Verb `json:"verb"`
	Addr   schema.Addr `json:"address"`
	Name   string      `json:"name"`
	Target string      `json:"target"` // the name of its object
	Extra  bool        `json:"extra"`
	Needs  []int       `json:"needs"`
}

// Digest returns "sha256:…" of what the plan decides. A sensitive value enters
// as added, changed or unchanged: which value it is, is not approved by it.
// typeOf finds a table by its name.
func (f *File) Digest(typeOf func(string) *schema.Type) (string, error) {
	d := decision{
		Stack: f.Stack, Workspace: f.Workspace, Mode: f.Mode, Options: f.Options.inOrder(),
		Changes: []decidedChange{}, Steps: []decidedStep{}, Outputs: []output{},
	}
	for i := range f.Changes {
		c := &f.Changes[i]
		t, err := table(c.Kind, typeOf)
		if err != nil {
			return "", damaged(c.Addr, err)
		}
		d.Changes = append(d.Changes, decidedChange{
			Addr: c.Addr, Kind: c.Kind, On: c.Provider, Action: c.Action, Cause: c.Cause, OnlyIf: c.OnlyIf, Prev: c.Prev,
			Adopted: c.Adopted, Protect: c.Protect,
			Before: portable(c.Before, t), After: portable(c.after(), t),
		})
	}
	for _, n := range f.Named {
		if t := typeOf(n.Kind); t != nil && t.ByName {
			if d.Images == nil {
				d.Images = map[string]string{}
			}
			d.Images[n.Provider+" "+n.Name] = n.ID
		}
	}
	for _, s := range real(f.Steps) {
		x := decidedStep{Verb: s.Verb, Addr: s.Addr, Name: s.Name, Extra: s.Extra, Needs: s.Needs}
		if s.Target != nil {
			x.Target = s.Target.Name
		}
		d.Steps = append(d.Steps, x)
	}
	for _, o := range f.Outputs {
		if o.Action != engine.NoOp {
			d.Outputs = append(d.Outputs, o)
		}
	}
	data, err := encode(d)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(data)), nil
}

// inOrder are the options however they were typed.
func (o Options) inOrder() Options {
	o.Targets, o.Replace = slices.Compact(slices.Sorted(slices.Values(o.Targets))), slices.Compact(slices.Sorted(slices.Values(o.Replace)))
	o.AllowDataLoss = slices.Compact(slices.SortedFunc(slices.Values(o.AllowDataLoss), schema.CompareAddr))
	return o
}

// portable are the attributes that are the same on another engine and in
// another folder.
func portable(raw json.RawMessage, t *schema.Type) map[string]json.RawMessage {
	return carried(fields(raw), t.Attrs)
}

// carried takes from an object what only one place knows, in its blocks too.
func carried(all map[string]json.RawMessage, attrs []schema.Attr) map[string]json.RawMessage {
	for i := range attrs {
		a := &attrs[i]
		raw, ok := all[a.Name]
		switch {
		case !ok:
		case a.Local || a.Volatile:
			delete(all, a.Name)
		case a.Block != nil:
			all[a.Name] = carriedBlocks(raw, a.Block)
		}
	}
	return all
}

// carriedBlocks does so in one block, in a list or in a map of them. What is
// hidden, unknown or null stays as it is.
func carriedBlocks(raw json.RawMessage, b *schema.Block) json.RawMessage {
	one := func(raw json.RawMessage) json.RawMessage {
		if all := fields(raw); len(all) > 0 {
			raw, _ = json.Marshal(carried(all, b.Attrs)) // its values are JSON already
		}
		return raw
	}
	var list []json.RawMessage
	switch {
	case b.Nesting == schema.Single:
		return one(raw)
	case b.Nesting == schema.Map:
		all := fields(raw)
		if len(all) == 0 {
			return raw
		}
		for label := range all {
			all[label] = one(all[label])
		}
		raw, _ = json.Marshal(all)
	case json.Unmarshal(raw, &list) == nil && len(list) > 0:
		for i := range list {
			list[i] = one(list[i])
		}
		raw, _ = json.Marshal(list)
	}
	return raw
}
