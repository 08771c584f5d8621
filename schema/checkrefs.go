package schema

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// CheckRefs reports references to what does not exist, or not where they are
// written: the names, a resource's attributes, and the words count, each and
// self. Nothing is evaluated.
func (m *Module) CheckRefs() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, name := range sortedKeys(m.Variables) {
		v := m.Variables[name]
		diags = append(diags, m.checkValidations(v)...)
	}
	for _, name := range sortedKeys(m.Locals) {
		diags = append(diags, m.check(variables(m.Locals[name].Expr), refScope{})...)
	}
	for _, name := range sortedKeys(m.Outputs) {
		o := m.Outputs[name]
		diags = append(diags, m.check(variables(o.Expr), refScope{})...)
		diags = append(diags, m.check(conditionTraversals(o.Preconditions), refScope{})...)
		diags = append(diags, m.checkDependsOn(o.DependsOn)...)
	}
	for _, key := range sortedKeys(m.Providers) {
		diags = append(diags, m.check(m.Providers[key].Traversals(), refScope{})...)
	}
	for _, r := range m.SortedResources() {
		diags = append(diags, m.checkResource(r)...)
	}
	return diags
}

// refScope is what expressions see beside the module's names.
type refScope struct {
	in   *Resource // whose count and each are seen; nil for none
	self bool
}

func (m *Module) checkResource(r *Resource) hcl.Diagnostics {
	diags := m.check(variables(r.Count, r.ForEach), refScope{})
	diags = append(diags, m.check(r.bodyRefs, refScope{in: r})...)
	diags = append(diags, m.checkDependsOn(r.DependsOn)...)
	diags = append(diags, m.checkTriggers(r)...)
	diags = append(diags, m.check(conditionTraversals(r.Lifecycle.Preconditions), refScope{in: r})...)
	return append(diags, m.check(conditionTraversals(r.Lifecycle.Postconditions), refScope{in: r, self: true})...)
}

func (m *Module) check(traversals []hcl.Traversal, scope refScope) hcl.Diagnostics {
	refs, diags := References(traversals)
	for _, ref := range refs {
		if d := m.checkRef(ref, scope); d != nil {
			diags = append(diags, d)
		}
	}
	return diags
}

func (m *Module) checkRef(ref Ref, scope refScope) *hcl.Diagnostic {
	switch ref.Kind {
	case RefVariable:
		if m.Variables[ref.Name] == nil {
			return problemAt(ref.Range, "Undeclared variable", "There is no variable %q.%s Declare it: variable %q {}", ref.Name, didYouMean(ref.Name, sortedKeys(m.Variables)), ref.Name)
		}
	case RefLocal:
		if m.Locals[ref.Name] == nil {
			return problemAt(ref.Range, "Undeclared local value", "There is no local value %q.%s It would be declared in a locals block.", ref.Name, didYouMean(ref.Name, sortedKeys(m.Locals)))
		}
	case RefCount:
		if scope.in == nil || scope.in.Count == nil {
			return problemAt(ref.Range, "count outside of a resource with count", "count.index is known only inside a resource that has the count argument, and not in that argument itself.")
		}
	case RefEach:
		if scope.in == nil || scope.in.ForEach == nil {
			return problemAt(ref.Range, "each outside of a resource with for_each", "%s is known only inside a resource that has the for_each argument, and not in that argument itself.", ref.text())
		}
	case RefSelf:
		if !scope.self {
			return problemAt(ref.Range, "self outside of a postcondition", "self is the finished object, which only a postcondition can look at.")
		}
		return checkAttribute(scope.in.Type, "self", ref.rest)
	case RefResource:
		return m.checkResourceRef(ref, scope)
	case RefPath, RefTerraform: // References has checked their names
	}
	return nil
}

func (m *Module) checkResourceRef(ref Ref, scope refScope) *hcl.Diagnostic {
	r, d := m.target(ref)
	if d != nil {
		return d
	}
	if scope.in == r && !scope.self {
		return problemAt(ref.Range, "Reference to itself",
			"%s refers to itself, but its attributes are known only after it was made. In a postcondition it is called self.", r.Addr)
	}
	if len(ref.rest) == 0 {
		return nil
	}
	if d := checkKey(ref, r); d != nil {
		return d
	}
	return checkAttribute(r.Type, ref.Addr.String(), ref.rest)
}

// target returns the resource that is referred to.
func (m *Module) target(ref Ref) (*Resource, *hcl.Diagnostic) {
	block := ref.Addr.Block()
	block.Module = m.Path
	if r := m.Resources[block]; r != nil {
		return r, nil
	}
	name := block.Type + "." + block.Name
	return nil, problemAt(ref.Range, "Undeclared resource", "There is no resource %s.%s", name, m.Meant(block))
}

// Meant says, as a sentence behind a blank, what a person may have meant who
// wrote the address of a block that there is not; it may be empty. A name of the
// same type comes first, then whatever is written alike.
func (m *Module) Meant(block Addr) string {
	var names, known []string
	for _, r := range m.SortedResources() {
		if r.Addr.Type == block.Type {
			names = append(names, r.Addr.Name)
		} else {
			known = append(known, r.Addr.Type+"."+r.Addr.Name)
		}
	}
	if name := nearest(block.Name, names); name != "" {
		return fmt.Sprintf(" Did you mean \"%s.%s\"?", block.Type, name)
	}
	for _, name := range sortedKeys(m.Variables) {
		known = append(known, "var."+name)
	}
	for _, name := range sortedKeys(m.Locals) {
		known = append(known, "local."+name)
	}
	return didYouMean(block.Type+"."+block.Name, known)
}

// checkKey reports an instance key that the resource cannot have, and a missing
// one before an attribute.
func checkKey(ref Ref, r *Resource) *hcl.Diagnostic {
	_, number := ref.Addr.Key.Int()
	key := ref.Addr.Key
	switch {
	case r.Count != nil && key.IsZero():
		return problemAt(ref.Range, "Instance key missing",
			"%s has count, so it is a list of instances: take one of them, as in %s[0], or all with %s[*].", r.Addr, r.Addr, r.Addr)
	case r.ForEach != nil && key.IsZero():
		return problemAt(ref.Range, "Instance key missing",
			`%s has for_each, so it is a map of instances: take one of them, as in %s["KEY"], or all with values(%s).`, r.Addr, r.Addr, r.Addr)
	case r.Count != nil && !number:
		return problemAt(ref.Range, "Invalid instance key", "%s has count: its instances have numbers, as in %s[0].", r.Addr, r.Addr)
	case r.ForEach != nil && !key.IsZero() && number:
		return problemAt(ref.Range, "Invalid instance key", `%s has for_each: its instances have names, as in %s["KEY"].`, r.Addr, r.Addr)
	case r.Count == nil && r.ForEach == nil && !key.IsZero():
		return problemAt(ref.Range, "Invalid instance key", "%s has neither count nor for_each, so it has no instance %s.", r.Addr, key)
	}
	return nil
}

func checkAttribute(t *Type, what string, rest hcl.Traversal) *hcl.Diagnostic {
	if len(rest) == 0 {
		return nil
	}
	attr, ok := rest[0].(hcl.TraverseAttr)
	if !ok || t.Attr(attr.Name) != nil {
		return nil
	}
	return problemAt(attr.SrcRange, "Unknown attribute", "%s has no attribute %q.%s", what, attr.Name, didYouMean(attr.Name, attrNames(t.Attrs)))
}

// checkDependsOn wants whole resources, or instances of them.
func (m *Module) checkDependsOn(traversals []hcl.Traversal) hcl.Diagnostics {
	refs, diags := References(traversals)
	for _, ref := range refs {
		if ref.Kind != RefResource || len(ref.rest) > 0 {
			diags = append(diags, problemAt(ref.Traversal.SourceRange(), "Invalid depends_on", "depends_on lists whole resources, such as docker_network.pool, without attributes."))
		} else if _, d := m.target(ref); d != nil {
			diags = append(diags, d)
		}
	}
	return diags
}

func (m *Module) checkTriggers(r *Resource) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, e := range r.Lifecycle.ReplaceTriggeredBy {
		ts := e.Variables()
		diags = append(diags, m.check(ts, refScope{in: r})...)
		refs, d := References(ts)
		if !d.HasErrors() && !slices.ContainsFunc(refs, func(ref Ref) bool { return ref.Kind == RefResource }) {
			diags = append(diags, problemAt(e.Range(), "Invalid replace_triggered_by",
				"replace_triggered_by lists resources or their attributes, such as docker_image.app.image_id."))
		}
	}
	return diags
}

// checkValidations wants variables only: they are looked at before anything
// else has a value.
func (m *Module) checkValidations(v *Variable) hcl.Diagnostics {
	refs, diags := References(conditionTraversals(v.Validations))
	for _, ref := range refs {
		if ref.Kind != RefVariable {
			diags = append(diags, problemAt(ref.Range, "Invalid reference in a validation",
				"A validation is done before anything else is evaluated: it can refer to variables, above all var.%s, and not to %s.", v.Name, ref.text()))
		} else if d := m.checkRef(ref, refScope{}); d != nil {
			diags = append(diags, d)
		}
	}
	return diags
}
