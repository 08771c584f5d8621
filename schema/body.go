package schema

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcldec"
)

// checkBody reports what the table does not have or what is missing, before
// anything is evaluated: also where count is 0, and once for all instances.
func checkBody(body hcl.Body, spec hcldec.Spec, attrs []Attr, absent map[string]string) hcl.Diagnostics {
	form := hcldec.ImpliedSchema(spec)
	form.Blocks = append(form.Blocks, hcl.BlockHeaderSchema{Type: "dynamic", LabelNames: []string{"type"}})

	// Computed attributes are declared for the check, so that they get a better
	// message than that there is no such argument.
	computed := map[string]bool{}
	for i := range attrs {
		if a := &attrs[i]; a.Block == nil && !a.Settable() {
			computed[a.Name] = true
			form.Attributes = append(form.Attributes, hcl.AttributeSchema{Name: a.Name})
		}
	}
	missed := declareAbsent(body, form, absent)
	content, diags := body.Content(form)
	diags = append(missed, diags...)
	for _, a := range attributesInOrder(content.Attributes) {
		if computed[a.Name] {
			diags = append(diags, problemAt(a.NameRange, "Computed attribute",
				"%q is set by the engine and can only be read. Remove the argument.", a.Name))
		}
	}
	nested := hcldec.ChildBlockTypes(spec)
	for _, b := range content.Blocks {
		name, inner := b.Type, b.Body
		if _, ok := absent[name]; ok {
			continue // told already
		}
		if b.Type == "dynamic" {
			name = b.Labels[0]
			if hint, ok := absent[name]; ok {
				diags = append(diags, absentAt(b.LabelRanges[0], name, hint))
				continue
			}
			if nested[name] == nil {
				diags = append(diags, problemAt(b.LabelRanges[0], "Unsupported block type",
					"Blocks of type %q are not expected here, so they cannot be generated.%s", name, didYouMean(name, sortedKeys(nested))))
				continue
			}
			var d hcl.Diagnostics
			if inner, d = dynamicContent(b); inner == nil {
				diags = append(diags, d...)
				continue
			}
		}
		var rows []Attr
		var lacks map[string]string
		if a := findAttr(attrs, name); a != nil && a.Block != nil {
			rows, lacks = a.Block.Attrs, a.Block.Absent
		}
		diags = append(diags, checkBody(inner, nested[name], rows, lacks)...)
	}
	return diags
}

// declareAbsent tells of what is written and not there yet, and declares it in
// the form that it is written in, so that nothing else is said of it.
func declareAbsent(body hcl.Body, form *hcl.BodySchema, absent map[string]string) hcl.Diagnostics {
	if len(absent) == 0 {
		return nil
	}
	var attrs, blocks hcl.BodySchema
	for _, name := range sortedKeys(absent) {
		attrs.Attributes = append(attrs.Attributes, hcl.AttributeSchema{Name: name})
		blocks.Blocks = append(blocks.Blocks, hcl.BlockHeaderSchema{Type: name})
	}
	var diags hcl.Diagnostics
	// What else is in the body, and whether it is right, is not asked here. In
	// JSON everything may be an argument.
	content, rest, _ := body.PartialContent(&attrs)
	for _, a := range attributesInOrder(content.Attributes) {
		diags = append(diags, absentAt(a.NameRange, a.Name, absent[a.Name]))
		form.Attributes = append(form.Attributes, hcl.AttributeSchema{Name: a.Name})
	}
	content, _, _ = rest.PartialContent(&blocks)
	for _, b := range content.Blocks {
		diags = append(diags, absentAt(b.TypeRange, b.Type, absent[b.Type]))
		form.Blocks = append(form.Blocks, hcl.BlockHeaderSchema{Type: b.Type})
	}
	return diags
}

func absentAt(rng hcl.Range, name, hint string) *hcl.Diagnostic {
	if hint != "" {
		hint = " " + hint
	}
	return problemAt(rng, "Not there yet", "%q is an argument of Terraform's Docker provider that gapool does not have yet.%s", name, hint)
}

// dynamicContent returns the body of a dynamic block's content block.
func dynamicContent(b *hcl.Block) (hcl.Body, hcl.Diagnostics) {
	content, diags := b.Body.Content(&hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "for_each", Required: true}, {Name: "iterator"}, {Name: "labels"}},
		Blocks:     []hcl.BlockHeaderSchema{{Type: "content"}},
	})
	if len(content.Blocks) != 1 {
		return nil, append(diags, problemAt(b.DefRange, "Invalid dynamic block",
			"A dynamic block has one content block, which is written for each element; this one has %d.", len(content.Blocks)))
	}
	if diags.HasErrors() {
		return nil, diags
	}
	return content.Blocks[0].Body, nil
}

func didYouMean(name string, known []string) string {
	if s := nearest(name, known); s != "" {
		return fmt.Sprintf(" Did you mean %q?", s)
	}
	return ""
}
