package view

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

// PlanDocument is what the JSON of a plan is made from: the plan as it is read
// from a file, and what stands there beside it.
type PlanDocument struct {
	Plan *engine.Plan
	Vars map[string]cty.Value // marked where they are sensitive
	// Configuration is schema.Description in JSON.
	Configuration json.RawMessage
}

// formatVersion is that of Terraform's JSON of plans which the document keeps to,
// and terraformVersion the first Terraform that has all of it: what reads plans
// refuses other versions, such as gapool's own.
const (
	formatVersion    = "1.2"
	terraformVersion = "1.8.0"
)

// planJSON is Terraform's JSON of a plan:
// https://developer.hashicorp.com/terraform/internals/json-format
type planJSON struct {
	FormatVersion    string                  `json:"format_version"`
	TerraformVersion string                  `json:"terraform_version"`
	Variables        map[string]variableJSON `json:"variables,omitempty"`
	PlannedValues    valuesJSON              `json:"planned_values"`
	ResourceDrift    []resourceChangeJSON    `json:"resource_drift,omitempty"`
	ResourceChanges  []resourceChangeJSON    `json:"resource_changes"`
	OutputChanges    map[string]changeJSON   `json:"output_changes,omitempty"`
	PriorState       *stateJSON              `json:"prior_state,omitempty"`
	Configuration    json.RawMessage         `json:"configuration,omitempty"`
	Relevant         []relevantJSON          `json:"relevant_attributes,omitempty"`
	Checks           []checkJSON             `json:"checks,omitempty"`
	Applyable        bool                    `json:"applyable"`
	Complete         bool                    `json:"complete"`
	Errored          bool                    `json:"errored"`
}

type variableJSON struct {
	Value any `json:"value"`
}

type stateJSON struct {
	FormatVersion    string     `json:"format_version"`
	TerraformVersion string     `json:"terraform_version"`
	Values           valuesJSON `json:"values"`
}

type valuesJSON struct {
	Outputs map[string]outputJSON `json:"outputs,omitempty"`
	Root    moduleJSON            `json:"root_module"`
}

type outputJSON struct {
	Sensitive bool            `json:"sensitive"`
	Type      json.RawMessage `json:"type,omitempty"`
	Value     any             `json:"value,omitempty"`
}

type moduleJSON struct {
	Resources []resourceJSON `json:"resources,omitempty"`
}

type resourceJSON struct {
	identity
	SchemaVersion int      `json:"schema_version"`
	Values        any      `json:"values"`
	Sensitive     any      `json:"sensitive_values"`
	DependsOn     []string `json:"depends_on,omitempty"`
	Tainted       bool     `json:"tainted,omitempty"`
}

// identity is how Terraform names an instance. A member of a cluster is a
// docker_container, as it is on the engine, with the cluster's name and its own
// place as the index.
type identity struct {
	Address  string `json:"address"`
	Mode     string `json:"mode"`
	Type     string `json:"type"`
	Name     string `json:"name"`
	Index    any    `json:"index,omitempty"`
	Provider string `json:"provider_name"`
}

type resourceChangeJSON struct {
	identity
	Previous string     `json:"previous_address,omitempty"`
	Deposed  string     `json:"deposed,omitempty"`
	Change   changeJSON `json:"change"`
	Reason   string     `json:"action_reason,omitempty"`
}

type changeJSON struct {
	Actions         []string       `json:"actions"`
	Before          any            `json:"before"`
	After           any            `json:"after"`
	AfterUnknown    any            `json:"after_unknown"`
	BeforeSensitive any            `json:"before_sensitive"`
	AfterSensitive  any            `json:"after_sensitive"`
	ReplacePaths    [][]any        `json:"replace_paths,omitempty"`
	Importing       *importingJSON `json:"importing,omitempty"`
}

type importingJSON struct {
	ID string `json:"id"`
}

type relevantJSON struct {
	Resource  string `json:"resource"`
	Attribute []any  `json:"attribute"`
}

type checkJSON struct {
	Address   checkedJSON         `json:"address"`
	Status    string              `json:"status"`
	Instances []checkInstanceJSON `json:"instances"`
}

type checkedJSON struct {
	Display string `json:"to_display"`
	Kind    string `json:"kind"`
	Mode    string `json:"mode,omitempty"`
	Type    string `json:"type,omitempty"`
	Name    string `json:"name"`
}

type checkInstanceJSON struct {
	Address struct {
		Display string `json:"to_display"`
		Key     any    `json:"instance_key,omitempty"`
	} `json:"address"`
	Status string `json:"status"`
}

func identityOf(a schema.Addr, t *schema.Type, provider string) identity {
	name, _, _ := strings.Cut(provider, ".") // without the alias
	id := identity{Address: a.String(), Mode: "managed", Type: t.Name, Name: a.Name, Provider: name}
	id.Index = keyJSON(a.Key)
	if !a.Member.IsZero() {
		member := schema.Addr{Type: a.Type, Name: a.Name, Key: a.Key, Member: a.Member}.String()
		id.Index = member[len(schema.Addr{Type: a.Type, Name: a.Name}.String()):]
	}
	return id
}

func keyJSON(k schema.Key) any {
	switch n, isInt := k.Int(); {
	case isInt:
		return n
	case !k.IsZero():
		return k.Value().AsString()
	default:
		return nil
	}
}

// actionsJSON are Terraform's words for an action.
func actionsJSON(a engine.Action) []string {
	switch a {
	case engine.Create:
		return []string{"create"}
	case engine.Update:
		return []string{"update"}
	case engine.Delete:
		return []string{"delete"}
	case engine.Replace:
		return []string{"delete", "create"}
	case engine.ReplaceFirst:
		return []string{"create", "delete"}
	case engine.Forget:
		return []string{"forget"}
	default:
		return []string{"no-op"}
	}
}

// shaped gives an object the shape that Terraform's types have: nested blocks
// are lists of objects, also one that may be written once only, or none.
func shaped(attrs []schema.Attr, v cty.Value) cty.Value {
	if v == cty.NilVal || v.IsMarked() || v.IsNull() || !v.IsKnown() {
		return v
	}
	vals := v.AsValueMap()
	for i := range attrs {
		a := &attrs[i]
		x := vals[a.Name]
		if a.Block == nil || x == cty.NilVal || x.IsMarked() || !x.IsKnown() {
			continue
		}
		switch {
		case a.Block.Nesting == schema.Map && x.IsNull():
		case x.IsNull():
			vals[a.Name] = cty.EmptyTupleVal
		case a.Block.Nesting == schema.Single:
			vals[a.Name] = cty.TupleVal([]cty.Value{shaped(a.Block.Attrs, x)})
		case a.Block.Nesting == schema.Map:
			out := map[string]cty.Value{}
			for key, e := range x.AsValueMap() {
				out[key] = shaped(a.Block.Attrs, e)
			}
			vals[a.Name] = cty.ObjectVal(out)
		default:
			var out []cty.Value
			for it := x.ElementIterator(); it.Next(); {
				_, e := it.Element()
				out = append(out, shaped(a.Block.Attrs, e))
			}
			vals[a.Name] = cty.TupleVal(out)
		}
	}
	return cty.ObjectVal(vals)
}

func newChangeJSON(actions []string, before, after cty.Value) changeJSON {
	return changeJSON{
		Actions: actions, Before: plainJSON(before), After: plainJSON(after),
		AfterUnknown: whereJSON(after, isUnknown), BeforeSensitive: whereJSON(before, isSensitive), AfterSensitive: whereJSON(after, isSensitive),
	}
}

// resourceChangeOf is newChangeJSON of a resource. Where all is known Terraform
// names no attribute.
func resourceChangeOf(actions []string, t *schema.Type, before, after cty.Value) changeJSON {
	out := newChangeJSON(actions, shaped(t.Attrs, before), shaped(t.Attrs, after))
	if after == cty.NilVal || after.IsWhollyKnown() {
		out.AfterUnknown = map[string]any{}
	}
	return out
}

// outputChangeOf is newChangeJSON of an output, of which Terraform says as a whole
// whether it is sensitive.
func outputChangeOf(o engine.OutputChange) changeJSON {
	before, after := o.Before, o.After
	if o.Sensitive {
		before, after = hidden(before), hidden(after)
	}
	out := newChangeJSON(actionsJSON(o.Action), before, after)
	out.BeforeSensitive, out.AfterSensitive = o.Sensitive, o.Sensitive
	if after == cty.NilVal || after.IsWhollyKnown() {
		out.AfterUnknown = false
	}
	return out
}

// alike is before as it reads beside after: what no difference names is the same,
// so that what compares the two finds what the plan does. The engine may say more
// of it than the configuration, or say nothing in another way.
func alike(t *schema.Type, diffs []schema.Difference, before, after cty.Value) cty.Value {
	if before == cty.NilVal || before.IsNull() || after == cty.NilVal || after.IsNull() || !after.IsKnown() {
		return before
	}
	byAttr := map[string][]schema.Difference{}
	for _, d := range diffs {
		byAttr[d.Attr] = append(byAttr[d.Attr], d)
	}
	set := map[string]cty.Value{}
	for i := range t.Attrs {
		name := t.Attrs[i].Name
		was, is := before.GetAttr(name), after.GetAttr(name)
		switch ds := byAttr[name]; {
		case len(ds) == 0 && is.IsWhollyKnown():
			set[name] = is
		case len(ds) > 0 && t.Attrs[i].Block == nil && len(ds[0].Path) == 2 && !was.IsMarked():
			set[name] = alikeByKey(ds, was, is)
		}
	}
	return schema.With(before, set)
}

// alikeByKey is alike of a map, of which some keys differ.
func alikeByKey(ds []schema.Difference, before, after cty.Value) cty.Value {
	if kind(before) != byKey || after.IsMarked() || !after.IsKnown() {
		return before
	}
	was, out := entriesOf(before), map[string]cty.Value{}
	maps.Copy(out, entriesOf(after))
	for _, d := range ds {
		key := keyOf(d.Path)
		delete(out, key)
		if v, ok := was[key]; ok {
			out[key] = v
		}
	}
	return mapOf(before, out)
}

// JSON returns the document, which ends with a newline. Equal plans are equal
// bytes.
func (d PlanDocument) JSON() ([]byte, error) {
	p := d.Plan
	out := planJSON{
		FormatVersion: formatVersion, TerraformVersion: terraformVersion, Configuration: d.Configuration,
		ResourceChanges: []resourceChangeJSON{},
		Applyable:       p.WouldChange() && p.Unapproved == "",
		Complete:        !p.Targeted,
	}
	for name, v := range d.Vars {
		if out.Variables == nil {
			out.Variables = map[string]variableJSON{}
		}
		out.Variables[name] = variableJSON{plainJSON(v)}
	}
	prior := valuesJSON{}
	for _, c := range p.Changes {
		out.ResourceChanges = append(out.ResourceChanges, resourceChange(c))
		if c.Object != nil || c.Type.Virtual && !c.Before.IsNull() {
			r := resourceOf(c, alike(c.Type, c.Differences, c.Before, c.After))
			r.Tainted = c.Cause == engine.Unfit
			prior.Root.Resources = append(prior.Root.Resources, r)
		}
		if c.After != cty.NilVal && !c.After.IsNull() && c.Action != engine.Forget {
			out.PlannedValues.Root.Resources = append(out.PlannedValues.Root.Resources, resourceOf(c, c.After))
		}
	}
	for _, s := range p.Steps {
		if s.Extra && s.Target != nil {
			out.ResourceChanges = append(out.ResourceChanges, leftOver(s))
		}
	}
	slices.SortStableFunc(out.ResourceChanges, func(a, b resourceChangeJSON) int { return compareAddress(a.Address, b.Address) })
	for _, dr := range p.Drift {
		out.ResourceDrift = append(out.ResourceDrift, driftJSON(dr))
	}
	out.PlannedValues.Outputs, prior.Outputs = map[string]outputJSON{}, map[string]outputJSON{}
	for _, o := range p.Outputs {
		if out.OutputChanges == nil {
			out.OutputChanges = map[string]changeJSON{}
		}
		out.OutputChanges[o.Name] = outputChangeOf(o)
		if o.Action != engine.Delete {
			out.PlannedValues.Outputs[o.Name] = outputValue(o.After, o.Sensitive)
		}
		if o.Action != engine.Create && (o.Sensitive || !none(o.Before)) {
			prior.Outputs[o.Name] = outputValue(o.Before, o.Sensitive)
		}
	}
	if len(prior.Root.Resources) > 0 || len(prior.Outputs) > 0 {
		out.PriorState = &stateJSON{FormatVersion: "1.0", TerraformVersion: terraformVersion, Values: prior}
	}
	out.Relevant = d.relevant()
	out.Checks = checksJSON(p.Checks)
	data, err := json.Marshal(out)
	return append(data, '\n'), err
}

// checksJSON groups the checks by what is written in the configuration, in
// Terraform's order.
func checksJSON(checks []engine.Check) []checkJSON {
	byName := map[string]checkJSON{}
	ordered := slices.Clone(checks)
	slices.SortStableFunc(ordered, func(a, b engine.Check) int { return schema.CompareAddr(a.Addr, b.Addr) })
	for _, c := range ordered {
		var at checkInstanceJSON
		address := checkedJSON{Kind: c.Kind, Name: c.Name}
		switch c.Kind {
		case engine.CheckVariable:
			address.Display = "var." + c.Name
			at.Address.Display = address.Display
		case engine.CheckOutput:
			address.Display = "output." + c.Name
			at.Address.Display = address.Display
		default:
			address.Display = c.Addr.Block().String()
			address.Mode, address.Type, address.Name = "managed", c.Addr.Type, c.Addr.Name
			at.Address.Display, at.Address.Key = c.Addr.String(), keyJSON(c.Addr.Key)
		}
		at.Status = "pass"
		if c.Unknown {
			at.Status = "unknown"
		}
		all, had := byName[address.Display]
		if !had {
			all = checkJSON{Address: address, Status: "pass"}
		}
		if c.Unknown {
			all.Status = "unknown"
		}
		all.Instances = append(all.Instances, at)
		byName[address.Display] = all
	}
	var out []checkJSON
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, byName[name])
	}
	return out
}

// compareAddress orders as the plan does.
func compareAddress(a, b string) int {
	x, errX := schema.ParseAddr(a)
	y, errY := schema.ParseAddr(b)
	if errX != nil || errY != nil {
		return 0
	}
	return schema.CompareAddr(x, y)
}

func resourceChange(c *engine.Change) resourceChangeJSON {
	after := c.After
	if c.Action == engine.Forget {
		after = cty.NullVal(c.Type.Implied()) // of a refresh it is not known, for the outputs
	}
	out := resourceChangeJSON{
		identity: identityOf(c.Addr, c.Type, c.Provider),
		Change:   resourceChangeOf(actionsJSON(c.Action), c.Type, alike(c.Type, c.Differences, c.Before, after), after),
		Reason:   string(c.Cause),
	}
	if !c.Prev.IsZero() {
		out.Previous = c.Prev.String()
	}
	out.Change.Importing = importingOf(c)
	if c.Action.Replaces() {
		for _, d := range c.Differences {
			path := pathJSON(d)
			twice := slices.ContainsFunc(out.Change.ReplacePaths, func(p []any) bool { return slices.Equal(p, path) }) // what goes and what comes
			if d.Replace && !twice {
				out.Change.ReplacePaths = append(out.Change.ReplacePaths, path)
			}
		}
	}
	return out
}

// importingOf is Terraform's word for an adoption, nil where there is none.
func importingOf(c *engine.Change) *importingJSON {
	if !c.Adopted || c.Object == nil || c.Action != engine.NoOp && c.Action != engine.Update {
		return nil
	}
	return &importingJSON{ID: c.Object.ID}
}

// leftOver is an object that an address has beside its current one: Terraform
// calls it deposed.
func leftOver(s *engine.Step) resourceChangeJSON {
	t := s.Change.Type
	return resourceChangeJSON{
		identity: identityOf(s.Addr, t, s.Change.Provider), Deposed: shortID(s.Target.ID),
		Change: resourceChangeOf([]string{"delete"}, t, t.Build(nameOnly(t, s.Target.Name)), cty.NullVal(t.Implied())),
	}
}

func nameOnly(t *schema.Type, name string) map[string]cty.Value {
	if a := t.Attr("name"); a == nil || a.Implied() != cty.String {
		return nil
	}
	return map[string]cty.Value{"name": cty.StringVal(name)}
}

func resourceOf(c *engine.Change, v cty.Value) resourceJSON {
	v = shaped(c.Type.Attrs, v)
	out := resourceJSON{identity: identityOf(c.Addr, c.Type, c.Provider), Values: plainJSON(v), Sensitive: whereJSON(v, isSensitive)}
	for _, d := range c.Deps {
		out.DependsOn = append(out.DependsOn, d.String())
	}
	return out
}

func driftJSON(d engine.Drift) resourceChangeJSON {
	actions := []string{"update"}
	if d.After.IsNull() {
		actions = []string{"delete"}
	}
	return resourceChangeJSON{identity: identityOf(d.Addr, d.Type, d.Provider), Change: resourceChangeOf(actions, d.Type, alike(d.Type, d.Differences, d.Before, d.After), d.After)}
}

func outputValue(v cty.Value, sensitive bool) outputJSON {
	if sensitive {
		v = hidden(v)
	}
	out := outputJSON{Sensitive: sensitive, Value: plainJSON(v)}
	if v != cty.NilVal && !sensitive && v.Type() != cty.DynamicPseudoType {
		out.Type, _ = ctyjson.MarshalType(v.Type()) // a value's type is JSON
	}
	return out
}

// pathJSON is the place of a difference as Terraform writes it: names and
// indexes. A set's element has no index, so the path ends at the set.
func pathJSON(d schema.Difference) []any {
	out := []any{d.Attr}
	for _, step := range d.Path[min(1, len(d.Path)):] {
		switch s := step.(type) {
		case cty.GetAttrStep:
			out = append(out, s.Name)
		case cty.IndexStep:
			key, _ := s.Key.UnmarkDeep()
			switch {
			case key.Type() == cty.String && key.IsKnown():
				out = append(out, key.AsString())
			case key.Type() == cty.Number && key.IsKnown():
				i, _ := key.AsBigFloat().Int64()
				out = append(out, i)
			default:
				return out
			}
		}
	}
	return out
}

// relevant are the attributes of other resources that what changes refers to.
func (d PlanDocument) relevant() []relevantJSON {
	if len(d.Configuration) == 0 {
		return nil
	}
	var c schema.Description
	if json.Unmarshal(d.Configuration, &c) != nil {
		return nil
	}
	changes := map[string]bool{}
	for _, c := range d.Plan.Changes {
		if c.Action != engine.NoOp {
			changes[c.Addr.Block().String()] = true
		}
	}
	seen := map[string]relevantJSON{}
	for _, r := range c.Root.Resources {
		if !changes[r.Address] {
			continue
		}
		refs := references(r.Body)
		for i, ref := range refs {
			if i > 0 && (strings.HasPrefix(refs[i-1], ref+".") || strings.HasPrefix(refs[i-1], ref+"[")) {
				continue // what is referred to is a part of it
			}
			resource, path, ok := schema.SplitReference(ref)
			if ok && len(path) > 0 {
				seen[fmt.Sprint(resource, path)] = relevantJSON{resource, path}
			}
		}
	}
	var out []relevantJSON
	for _, key := range slices.Sorted(maps.Keys(seen)) {
		out = append(out, seen[key])
	}
	return out
}

// references are those of all expressions in a body.
func references(body any) []string {
	var out []string
	switch b := body.(type) {
	case map[string]any:
		for key, v := range b {
			if list, ok := v.([]any); ok && key == "references" {
				for _, ref := range list {
					if s, ok := ref.(string); ok {
						out = append(out, s)
					}
				}
				continue
			}
			out = append(out, references(v)...)
		}
	case []any:
		for _, v := range b {
			out = append(out, references(v)...)
		}
	}
	return out
}
