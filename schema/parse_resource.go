package schema

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

var resourceSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "count"}, {Name: "for_each"}, {Name: "depends_on"}, {Name: "provider"}},
	Blocks:     []hcl.BlockHeaderSchema{{Type: "lifecycle"}, {Type: "connection"}, {Type: "provisioner", LabelNames: []string{"type"}}},
}

func (l *loader) resource(b *hcl.Block) hcl.Diagnostics {
	r := &Resource{Addr: Addr{Module: l.module.Path, Type: b.Labels[0], Name: b.Labels[1]}, Range: b.DefRange, providerRange: b.DefRange}
	if d := validName(r.Addr.Name, b.LabelRanges[1], "a resource"); d != nil {
		return hcl.Diagnostics{d}
	}
	r.Type = l.types[r.Addr.Type]
	if r.Type == nil {
		return hcl.Diagnostics{l.unknownType(r.Addr.Type, b.LabelRanges[0])}
	}
	if old, ok := l.module.Resources[r.Addr]; ok {
		return hcl.Diagnostics{duplicate(b.DefRange, old.Range, "resource "+r.Addr.String(), "Names are unique for each type: rename or remove one of them.")}
	}
	l.module.Resources[r.Addr] = r

	content, remain, diags := b.Body.PartialContent(resourceSchema)
	r.Body = remain
	spec := l.specs[r.Addr.Type]
	r.bodyRefs = bodyTraversals(r.Body, spec)
	diags = append(diags, checkBody(r.Body, spec, r.Type.Attrs, r.Type.Absent)...)
	if a, ok := content.Attributes["count"]; ok {
		r.Count = a.Expr
	}
	if a, ok := content.Attributes["for_each"]; ok {
		r.ForEach = a.Expr
		if r.Count != nil {
			diags = append(diags, problemAt(a.NameRange, "count together with for_each",
				"%s has both count (line %d) and for_each, but its instances are told apart in one way only. Remove one of them.",
				r.Addr, content.Attributes["count"].NameRange.Start.Line))
		}
	}
	if a, ok := content.Attributes["depends_on"]; ok {
		var d hcl.Diagnostics
		r.DependsOn, d = dependsOn(a.Expr)
		diags = append(diags, d...)
	}
	r.Provider = l.defaultProvider(r.Addr.Type)
	if a, ok := content.Attributes["provider"]; ok {
		t, d := hcl.AbsTraversalForExpr(a.Expr)
		r.providerRange = a.Expr.Range()
		if key, ok := providerKey(t); ok {
			r.Provider = key
		} else if !d.HasErrors() {
			d = append(d, problemAt(a.Expr.Range(), "Invalid provider", "Write the provider's name, or its name and an alias: docker.lab."))
		}
		diags = append(diags, d...)
	}
	diags = append(diags, l.resourceBlocks(r, content.Blocks)...)
	return diags
}

func (l *loader) resourceBlocks(r *Resource, blocks hcl.Blocks) hcl.Diagnostics {
	var diags hcl.Diagnostics
	var lifecycle *hcl.Block
	for _, b := range blocks {
		switch {
		case b.Type == "provisioner":
			diags = append(diags, problemAt(b.DefRange, "No provisioners",
				"gapool runs nothing beside the objects that it describes. Do it when the image is built, in the container's command, or in a script after gapool apply."))
		case b.Type == "connection":
			diags = append(diags, problemAt(b.DefRange, "No connections",
				"gapool has no provisioners, so a connection block has no use. Remove it; how the engine is reached is set in a provider block."))
		case lifecycle != nil:
			diags = append(diags, duplicate(b.DefRange, lifecycle.DefRange, "lifecycle block", "Merge them into one."))
		default:
			lifecycle = b
			var d hcl.Diagnostics
			r.Lifecycle, d = decodeLifecycle(b, r.Type)
			diags = append(diags, d...)
		}
	}
	return diags
}

// defaultProvider is the provider that a type is named after, and Docker's for
// the types of others: it is the one engine that there is.
func (l *loader) defaultProvider(typeName string) string {
	prefix, _, _ := strings.Cut(typeName, "_")
	if l.providerTypes[prefix] != nil {
		return prefix
	}
	return "docker"
}

func providerKey(t hcl.Traversal) (string, bool) {
	switch len(t) {
	case 1:
		return t.RootName(), true
	case 2:
		alias, ok := t[1].(hcl.TraverseAttr)
		return t.RootName() + "." + alias.Name, ok
	default:
		return "", false
	}
}

// foreign are the types of other providers that people bring along, by prefix,
// with the way to do without.
var foreign = []struct{ prefix, advice string }{
	{"random_", "declare a variable and pass the value in (with sensitive = true for a secret), or use the name of the workspace."},
	{"null_", "do it when the image is built, in a container's command, or in a script after gapool apply."},
	{"local_", "read a file with file(), and write one from an output: gapool output -raw NAME > FILE."},
	{"tls_", "make the key outside and pass it in as a sensitive variable."},
	{"time_", "pass the time in as a variable."},
	{"terraform_", "use locals for values and replace_triggered_by for replacements."},
	{"kubernetes_", "keep it in a Terraform configuration of its own."},
}

func foreignAdvice(typeName string) string {
	for _, f := range foreign {
		if strings.HasPrefix(typeName, f.prefix) {
			return f.advice
		}
	}
	return "keep what needs it in a Terraform configuration of its own, and pass values from there as variables."
}

func (l *loader) unknownType(name string, rng hcl.Range) *hcl.Diagnostic {
	if hint := didYouMean(name, sortedKeys(l.types)); hint != "" {
		return problemAt(rng, "Unknown resource type", "There is no resource type %q.%s", name, hint)
	}
	if prefix, _, _ := strings.Cut(name, "_"); l.providerTypes[prefix] != nil {
		return problemAt(rng, "Unknown resource type", "%q is not supported by this version of gapool. Its resource types are: %s.",
			name, strings.Join(sortedKeys(l.types), ", "))
	}
	return problemAt(rng, "Resource type of another provider",
		"%q belongs to a provider that gapool does not have; it loads no plugins. Instead: %s", name, foreignAdvice(name))
}

func decodeLifecycle(b *hcl.Block, t *Type) (Lifecycle, hcl.Diagnostics) {
	var l Lifecycle
	content, diags := b.Body.Content(&hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{
			{Name: "create_before_destroy"}, {Name: "prevent_destroy"}, {Name: "ignore_changes"}, {Name: "replace_triggered_by"},
		},
		Blocks: []hcl.BlockHeaderSchema{{Type: "precondition"}, {Type: "postcondition"}},
	})
	var d hcl.Diagnostics
	if a, ok := content.Attributes["create_before_destroy"]; ok {
		l.CreateBeforeDestroy, d = literalBool(a)
		diags = append(diags, d...)
	}
	if a, ok := content.Attributes["prevent_destroy"]; ok {
		v, d := literal(a, cty.Bool)
		if !v.IsNull() {
			prevent := v.True()
			l.PreventDestroy = &prevent
		}
		diags = append(diags, d...)
	}
	if a, ok := content.Attributes["ignore_changes"]; ok {
		diags = append(diags, l.ignoreChanges(a.Expr, t)...)
	}
	if a, ok := content.Attributes["replace_triggered_by"]; ok {
		l.ReplaceTriggeredBy, d = hcl.ExprList(a.Expr)
		diags = append(diags, d...)
	}
	for _, inner := range content.Blocks {
		c, d := condition(inner)
		diags = append(diags, d...)
		if inner.Type == "precondition" {
			l.Preconditions = append(l.Preconditions, c)
		} else {
			l.Postconditions = append(l.Postconditions, c)
		}
	}
	return l, diags
}

func (l *Lifecycle) ignoreChanges(expr hcl.Expression, t *Type) hcl.Diagnostics {
	if hcl.ExprAsKeyword(expr) == "all" {
		l.IgnoreAll = true
		return nil
	}
	exprs, diags := hcl.ExprList(expr)
	if diags.HasErrors() {
		return hcl.Diagnostics{problemAt(expr.Range(), "Invalid ignore_changes", "Write the list of attributes to leave alone, such as [image, labels], or the word all.")}
	}
	for _, e := range exprs {
		path, d := hcl.RelTraversalForExpr(e)
		if diags = append(diags, d...); d.HasErrors() {
			continue
		}
		first, ok := path[0].(hcl.TraverseAttr)
		if !ok || t.Attr(first.Name) == nil {
			diags = append(diags, problemAt(e.Range(), "Unknown attribute in ignore_changes",
				"%s has no attribute %q.%s", t.Name, first.Name, didYouMean(first.Name, attrNames(t.Attrs))))
			continue
		}
		l.IgnoreChanges = append(l.IgnoreChanges, path)
	}
	return diags
}

func attrNames(attrs []Attr) []string {
	names := make([]string, len(attrs))
	for i := range attrs {
		names[i] = attrs[i].Name
	}
	return names
}

// duplicate reports a second declaration and names the place of the first.
func duplicate(rng, first hcl.Range, what, advice string) *hcl.Diagnostic {
	return problemAt(rng, "Duplicate "+what,
		"%s is declared already at %s line %d. %s", strings.ToUpper(what[:1])+what[1:], first.Filename, first.Start.Line, advice)
}

// describeConversion puts the place inside the value before what is wrong
// there.
func describeConversion(err error) string {
	path, ok := err.(cty.PathError)
	if !ok || len(path.Path) == 0 {
		return err.Error()
	}
	return fmt.Sprintf("at %s: %s", pathText(path.Path), err)
}

func pathText(p cty.Path) string {
	var b strings.Builder
	for _, step := range p {
		switch s := step.(type) {
		case cty.GetAttrStep:
			b.WriteString("." + s.Name)
		case cty.IndexStep:
			switch s.Key.Type() {
			case cty.String:
				b.WriteString("[" + quote(s.Key.AsString()) + "]")
			case cty.Number:
				b.WriteString("[" + s.Key.AsBigFloat().Text('f', -1) + "]")
			default:
				b.WriteString("[*]")
			}
		}
	}
	return b.String()
}
