package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/dynblock"
	"github.com/hashicorp/hcl/v2/hcldec"
)

// RefKind says what a reference is to.
type RefKind int

const (
	RefVariable  RefKind = iota // var.NAME
	RefLocal                    // local.NAME
	RefResource                 // TYPE.NAME, with or without an instance key
	RefCount                    // count.index
	RefEach                     // each.key, each.value
	RefSelf                     // self, in a postcondition
	RefPath                     // path.module, path.root, path.cwd
	RefTerraform                // terraform.workspace
)

// Ref is one reference in an expression.
type Ref struct {
	Kind RefKind
	// Name is what follows the first word: a variable's or local value's name,
	// or "index", "key", "module". It is empty for resources and for self.
	Name string
	// Addr is a resource's block, with the instance key where it is written as
	// a literal.
	Addr      Addr
	Range     hcl.Range // of what identifies the target, without the attributes behind it
	Traversal hcl.Traversal

	rest hcl.Traversal // what follows what identifies the target
}

// References understands the traversals that expressions consist of, in the
// order in which they are written. It does not look whether their targets
// exist: Module.CheckRefs does.
func References(traversals []hcl.Traversal) ([]Ref, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	refs := make([]Ref, 0, len(traversals))
	for _, t := range inOrder(traversals) {
		ref, d := parseRef(t)
		if d != nil {
			diags = append(diags, d)
			continue
		}
		refs = append(refs, ref)
	}
	return refs, diags
}

func inOrder(traversals []hcl.Traversal) []hcl.Traversal {
	sorted := slices.Clone(traversals)
	slices.SortStableFunc(sorted, func(a, b hcl.Traversal) int {
		return compareRange(a.SourceRange(), b.SourceRange())
	})
	return sorted
}

// roots are the first words of references that are not to resources.
var roots = map[string]RefKind{
	"var": RefVariable, "local": RefLocal, "count": RefCount, "each": RefEach,
	"self": RefSelf, "path": RefPath, "terraform": RefTerraform,
}

// fixedNames are what may follow the words that come with their own names.
var fixedNames = map[RefKind][]string{
	RefCount:     {"index"},
	RefEach:      {"key", "value"},
	RefPath:      {"cwd", "module", "root"},
	RefTerraform: {"workspace"},
}

func parseRef(t hcl.Traversal) (Ref, *hcl.Diagnostic) {
	root := t.RootName()
	ref := Ref{Traversal: t, Range: t[0].SourceRange()}
	kind, fixed := roots[root]
	ref.Kind = kind
	switch {
	case later[root] != "":
		return ref, problemAt(t.SourceRange(), "Reference not supported yet",
			"%s blocks are not supported by this version of gapool, so nothing can refer to one. %s", root, later[root])
	case !fixed:
		return parseResourceRef(t)
	case kind == RefSelf:
		ref.rest = t[1:]
		return ref, nil
	}
	name, ok := attrStep(t, 1)
	if !ok {
		return ref, problemAt(t.SourceRange(), "Invalid reference", "%q is followed by a dot and a name, as in %s.%s.", root, root, exampleName(kind))
	}
	if names := fixedNames[kind]; names != nil && !slices.Contains(names, name) {
		return ref, problemAt(t.SourceRange(), "Invalid reference", "There is no %s.%s, only %s.%s.%s",
			root, name, root, strings.Join(names, ", "+root+"."), didYouMean(name, names))
	}
	ref.Name, ref.rest = name, t[2:]
	ref.Range = hcl.RangeBetween(t[0].SourceRange(), t[1].SourceRange())
	return ref, nil
}

func exampleName(kind RefKind) string {
	if names := fixedNames[kind]; names != nil {
		return names[0]
	}
	return "NAME"
}

func parseResourceRef(t hcl.Traversal) (Ref, *hcl.Diagnostic) {
	ref := Ref{Kind: RefResource, Traversal: t, Addr: Addr{Type: t.RootName()}}
	name, ok := attrStep(t, 1)
	if !ok {
		root := t.RootName()
		if strings.Contains(root, "_") {
			return ref, problemAt(t.SourceRange(), "Invalid reference", "A resource is referred to by its type and its name: %s.NAME.", root)
		}
		return ref, problemAt(t.SourceRange(), "Invalid reference",
			"%q alone refers to nothing.%s A text is written in quotes, a variable as var.%s.", root, didYouMean(root, sortedKeys(roots)), root)
	}
	ref.Addr.Name = name
	ref.rest = t[2:]
	end := t[1].SourceRange()
	if len(ref.rest) > 0 {
		if index, ok := ref.rest[0].(hcl.TraverseIndex); ok {
			key, err := keyOf(index.Key)
			if err != nil {
				return ref, problemAt(index.SrcRange, "Invalid instance key", "This cannot be an instance of %s.%s: %s.", t.RootName(), name, err)
			}
			ref.Addr.Key = key
			end, ref.rest = index.SrcRange, ref.rest[1:]
		}
	}
	ref.Range = hcl.RangeBetween(t[0].SourceRange(), end)
	return ref, nil
}

func attrStep(t hcl.Traversal, i int) (string, bool) {
	if len(t) <= i {
		return "", false
	}
	step, ok := t[i].(hcl.TraverseAttr)
	return step.Name, ok
}

// BodyTraversals returns what a body of the table's form refers to, dynamic
// blocks included, in the order in which it is written.
func BodyTraversals(body hcl.Body, t *Type) []hcl.Traversal {
	return bodyTraversals(body, t.Spec())
}

func bodyTraversals(body hcl.Body, spec hcldec.Spec) []hcl.Traversal {
	return inOrder(dynblock.VariablesHCLDec(body, spec))
}

// Traversals returns all that the resource refers to: in its arguments, count,
// for_each, depends_on and lifecycle.
func (r *Resource) Traversals() []hcl.Traversal {
	ts := slices.Clone(r.bodyRefs)
	ts = append(ts, variables(r.Count, r.ForEach)...)
	ts = append(ts, r.DependsOn...)
	ts = append(ts, variables(r.Lifecycle.ReplaceTriggeredBy...)...)
	ts = append(ts, conditionTraversals(r.Lifecycle.Preconditions)...)
	return append(ts, conditionTraversals(r.Lifecycle.Postconditions)...)
}

// Traversals returns all that the output refers to.
func (o *Output) Traversals() []hcl.Traversal {
	ts := append(variables(o.Expr), o.DependsOn...)
	return append(ts, conditionTraversals(o.Preconditions)...)
}

// Traversals returns all that the provider block refers to.
func (p *ProviderConfig) Traversals() []hcl.Traversal {
	return BodyTraversals(p.Body, p.Type)
}

// variables returns what expressions refer to; nil ones are skipped.
func variables(exprs ...hcl.Expression) []hcl.Traversal {
	var ts []hcl.Traversal
	for _, e := range exprs {
		if e != nil {
			ts = append(ts, e.Variables()...)
		}
	}
	return ts
}

func conditionTraversals(conds []Condition) []hcl.Traversal {
	var ts []hcl.Traversal
	for _, c := range conds {
		ts = append(ts, variables(c.Condition, c.ErrorMessage)...)
	}
	return ts
}

// text writes the part of a traversal that a person would recognise.
func (r Ref) text() string {
	if r.Kind == RefResource {
		return r.Addr.String()
	}
	if r.Name == "" {
		return r.Traversal.RootName()
	}
	return fmt.Sprintf("%s.%s", r.Traversal.RootName(), r.Name)
}
