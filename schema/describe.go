package schema

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// Description is a configuration as Terraform's JSON of plans shows it: what is
// there and what refers to what, not what it evaluates to. It is of JSON's
// types and holds no value of a sensitive attribute.
type Description struct {
	Providers map[string]ProviderDescription `json:"provider_config,omitempty"` // by key
	Root      ModuleDescription              `json:"root_module"`
}

// ProviderDescription is a provider block.
type ProviderDescription struct {
	Name        string         `json:"name"`
	FullName    string         `json:"full_name"` // as a resource's provider_name
	Alias       string         `json:"alias,omitempty"`
	Expressions map[string]any `json:"expressions,omitempty"`
}

// ModuleDescription is what a module declares.
type ModuleDescription struct {
	Outputs   map[string]OutputDescription   `json:"outputs,omitempty"`
	Resources []ResourceDescription          `json:"resources,omitempty"` // by address
	Variables map[string]VariableDescription `json:"variables,omitempty"`
}

// OutputDescription is an output block.
type OutputDescription struct {
	Sensitive   bool     `json:"sensitive,omitempty"`
	Expression  any      `json:"expression,omitempty"`
	Description string   `json:"description,omitempty"`
	DependsOn   []string `json:"depends_on,omitempty"`
}

// ResourceDescription is a resource block.
type ResourceDescription struct {
	Address  string         `json:"address"`
	Mode     string         `json:"mode"`
	Type     string         `json:"type"`
	Name     string         `json:"name"`
	Provider string         `json:"provider_config_key"`
	Body     map[string]any `json:"expressions,omitempty"`
	Version  int            `json:"schema_version"`
	Count    any            `json:"count_expression,omitempty"`
	ForEach  any            `json:"for_each_expression,omitempty"`
	Depends  []string       `json:"depends_on,omitempty"`
}

// VariableDescription is a variable block.
type VariableDescription struct {
	Default     json.RawMessage `json:"default,omitempty"`
	Description string          `json:"description,omitempty"`
	Sensitive   bool            `json:"sensitive,omitempty"`
}

// Describe returns the configuration's description.
func (c *Config) Describe() Description {
	m := c.Root
	d := Description{Root: ModuleDescription{}}
	d.Providers = map[string]ProviderDescription{}
	for _, r := range m.Resources {
		d.Providers[r.Provider] = ProviderDescription{Name: r.Provider, FullName: r.Provider} // what has no block is as the docker command has it
	}
	for key, p := range m.Providers {
		d.Providers[key] = ProviderDescription{Name: p.Name, FullName: p.Name, Alias: p.Alias, Expressions: describeBody(p.Body, p.Type.Attrs)}
	}
	if len(m.Outputs) > 0 {
		d.Root.Outputs = map[string]OutputDescription{}
	}
	for name, o := range m.Outputs {
		d.Root.Outputs[name] = OutputDescription{
			Sensitive: o.Sensitive, Expression: describeExpr(o.Expr, o.Sensitive), Description: o.Description, DependsOn: writtenAll(o.DependsOn),
		}
	}
	for _, r := range m.SortedResources() {
		x := ResourceDescription{
			Address: r.Addr.String(), Mode: "managed", Type: r.Addr.Type, Name: r.Addr.Name, Provider: r.Provider,
			Body: describeBody(r.Body, r.Type.Attrs), Depends: writtenAll(r.DependsOn),
		}
		if r.Count != nil {
			x.Count = describeExpr(r.Count, false)
		}
		if r.ForEach != nil {
			x.ForEach = describeExpr(r.ForEach, false)
		}
		d.Root.Resources = append(d.Root.Resources, x)
	}
	if len(m.Variables) > 0 {
		d.Root.Variables = map[string]VariableDescription{}
	}
	for name, v := range m.Variables {
		x := VariableDescription{Description: v.Description, Sensitive: v.Sensitive}
		if v.Default != cty.NilVal && !v.Sensitive {
			x.Default, _ = ctyjson.Marshal(v.Default, v.Default.Type()) // a default is a literal
		}
		d.Root.Variables[name] = x
	}
	return d
}

// describeBody describes arguments and nested blocks by the table. As in
// Terraform's types a block that may be written once only is a list, too.
func describeBody(body hcl.Body, attrs []Attr) map[string]any {
	spec := objectSpec(attrs)
	content, _, _ := body.PartialContent(hcldec.ImpliedSchema(spec)) // what is wrong was told when it was read
	out := map[string]any{}
	if content == nil {
		return out
	}
	for name, a := range content.Attributes {
		row := findAttr(attrs, name)
		out[name] = describeExpr(a.Expr, row != nil && row.Sensitive)
	}
	for _, b := range content.Blocks {
		row := findAttr(attrs, b.Type)
		switch {
		case row == nil:
		case row.Block == nil: // pairs of a map
			list, _ := out[b.Type].([]any)
			pair := map[string]any{}
			if row.Pairs != nil {
				pair = describeBody(b.Body, []Attr{{Name: row.Pairs.Key, Type: cty.String, Required: true}, {Name: row.Pairs.Value, Type: cty.String, Required: true, Sensitive: row.Sensitive}})
			}
			out[b.Type] = append(list, pair)
		case row.Block.Nesting == Map:
			m, _ := out[b.Type].(map[string]any)
			if m == nil {
				m = map[string]any{}
			}
			m[b.Labels[0]] = describeBody(b.Body, row.Block.Attrs)
			out[b.Type] = m
		default:
			list, _ := out[b.Type].([]any)
			out[b.Type] = append(list, describeBody(b.Body, row.Block.Attrs))
		}
	}
	return out
}

// describeExpr is an expression's constant value or what it refers to.
func describeExpr(expr hcl.Expression, secret bool) map[string]any {
	if refs := expr.Variables(); len(refs) > 0 {
		return map[string]any{"references": referencesOf(refs)}
	}
	v, diags := expr.Value(nil)
	if diags.HasErrors() || secret || v.ContainsMarked() || !v.IsWhollyKnown() {
		return map[string]any{} // a function's result, or a secret
	}
	raw, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return map[string]any{}
	}
	return map[string]any{"constant_value": json.RawMessage(raw)}
}

// referencesOf writes references as Terraform lists them: what is referred to,
// then what it is a part of, up to the variable or the resource.
func referencesOf(ts []hcl.Traversal) []string {
	var out []string
	add := func(s string) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	refs, _ := References(ts)
	for _, ref := range refs {
		whole := len(ref.Traversal) - len(ref.rest)
		for n := len(ref.Traversal); n >= whole; n-- {
			add(Written(ref.Traversal[:n]))
		}
		if ref.Kind == RefResource {
			add(ref.Addr.Block().String())
		}
	}
	return out
}

func writtenAll(ts []hcl.Traversal) []string {
	var out []string
	for _, t := range ts {
		out = append(out, Written(t))
	}
	return out
}

// Written is a reference as people write it.
func Written(t hcl.Traversal) string {
	var b strings.Builder
	for _, step := range t {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(s.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + s.Name)
		case hcl.TraverseIndex:
			switch s.Key.Type() {
			case cty.String:
				b.WriteString("[" + quote(s.Key.AsString()) + "]")
			case cty.Number:
				b.WriteString("[" + s.Key.AsBigFloat().Text('f', 0) + "]")
			}
		}
	}
	return b.String()
}

// SplitReference takes a reference to a resource's attribute, as Written writes
// it, apart; ok is false for any other reference.
func SplitReference(text string) (resource string, path []any, ok bool) {
	t, diags := hclsyntax.ParseTraversalAbs([]byte(text), "", hcl.InitialPos)
	if diags.HasErrors() {
		return "", nil, false
	}
	ref, d := parseRef(t)
	if d != nil || ref.Kind != RefResource {
		return "", nil, false
	}
	for _, step := range ref.rest {
		switch s := step.(type) {
		case hcl.TraverseAttr:
			path = append(path, s.Name)
		case hcl.TraverseIndex:
			switch s.Key.Type() {
			case cty.String:
				path = append(path, s.Key.AsString())
			case cty.Number:
				i, _ := s.Key.AsBigFloat().Int64()
				path = append(path, i)
			}
		}
	}
	return ref.Addr.String(), path, true
}
