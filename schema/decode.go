package schema

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/dynblock"
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// Decode reads a body by the table and returns the resource's value in its
// normal form, with sensitive parts marked. Mistakes point at the words in the
// file.
//
// It works through hcldec and not through Body.Content, since the latter shows
// a dynamic block with an unknown for_each as one block instead of unknown many.
func (t *Type) Decode(body hcl.Body, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	raw, diags := hcldec.Decode(dynblock.Expand(body, ctx), t.Spec(), ctx)
	if diags.HasErrors() {
		return cty.UnknownVal(t.Implied()), diags
	}
	v, err := t.Normalize(raw)
	if err != nil {
		return cty.UnknownVal(t.Implied()), append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Invalid configuration", Detail: err.Error(),
			Subject: body.MissingItemRange().Ptr(),
		})
	}
	if t.Validate == nil {
		return v, diags
	}
	for _, p := range t.Validate(Bare(v)) {
		diags = append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Invalid configuration", Detail: t.discreet(v, p),
			Subject: t.rangeOf(body, p.Attr).Ptr(),
		})
	}
	return v, diags
}

// discreet is what a problem of the value v says, less the strings in v that
// are secrets.
func (t *Type) discreet(v cty.Value, p Problem) string {
	if quotes(p.Detail, v) {
		return fmt.Sprintf("%s: %s.", cmp.Or(p.Attr, t.Name), errHidden)
	}
	return p.Detail
}

// Discreet returns what is wrong with a value, or, where that has a secret of the
// value in it, an error that only says so.
func Discreet(err error, v cty.Value) error {
	if err != nil && quotes(err.Error(), v) {
		return errHidden
	}
	return err
}

func quotes(text string, v cty.Value) bool {
	return slices.ContainsFunc(Secrets(v), func(s string) bool { return strings.Contains(text, s) })
}

// errHidden stands for an error that may quote a secret.
var errHidden = errors.New("it is not right, and it is sensitive, so the reason is not shown")

// rangeOf finds where an attribute or block is written, or where it would be.
func (t *Type) rangeOf(body hcl.Body, name string) hcl.Range {
	if a := t.Attr(name); a != nil && a.Settable() {
		if a.Block == nil {
			return hcldec.SourceRange(body, &hcldec.AttrSpec{Name: name, Type: cty.DynamicPseudoType})
		}
		content, _, _ := body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{a.header()}})
		if content != nil && len(content.Blocks) > 0 {
			return content.Blocks[0].DefRange
		}
	}
	return body.MissingItemRange()
}

func (a *Attr) header() hcl.BlockHeaderSchema {
	h := hcl.BlockHeaderSchema{Type: a.Name}
	if a.Block.Nesting == Map {
		h.LabelNames = []string{a.Block.Label}
	}
	return h
}

// pairsKey is where the block spelling of a map is decoded to, beside the
// attribute's own.
func pairsKey(name string) string { return name + "{}" }

// Spec returns the table as a decoder. Its result is an object that Normalize
// turns into the type's normal form.
func (t *Type) Spec() hcldec.Spec { return objectSpec(t.Attrs) }

func objectSpec(attrs []Attr) hcldec.ObjectSpec {
	spec := make(hcldec.ObjectSpec, len(attrs))
	for i := range attrs {
		a := &attrs[i]
		if !a.Settable() {
			continue
		}
		if a.Block == nil {
			spec[a.Name] = a.argumentSpec()
			if a.Pairs != nil {
				spec[pairsKey(a.Name)] = &hcldec.BlockTupleSpec{TypeName: a.Name, Nested: hcldec.ObjectSpec{
					a.Pairs.Key:   &hcldec.AttrSpec{Name: a.Pairs.Key, Type: cty.String, Required: true},
					a.Pairs.Value: &hcldec.AttrSpec{Name: a.Pairs.Value, Type: a.Type.ElementType(), Required: true},
				}}
			}
			continue
		}
		nested := objectSpec(a.Block.Attrs)
		switch a.Block.Nesting {
		case Single:
			spec[a.Name] = &hcldec.BlockSpec{TypeName: a.Name, Nested: nested, Required: a.Required}
		case Map:
			spec[a.Name] = &hcldec.BlockObjectSpec{TypeName: a.Name, LabelNames: []string{a.Block.Label}, Nested: nested}
		default:
			minimum := a.Block.Min
			if a.Required {
				minimum = max(minimum, 1)
			}
			spec[a.Name] = &hcldec.BlockTupleSpec{TypeName: a.Name, Nested: nested, MinItems: minimum, MaxItems: a.Block.Max}
		}
	}
	return spec
}

// argumentSpec decodes one argument and checks it where it is written, so that
// the message can show the words.
func (a *Attr) argumentSpec() hcldec.Spec {
	ty := a.Type
	if a.Accept != nil {
		ty = cty.DynamicPseudoType
	}
	arg := &hcldec.AttrSpec{Name: a.Name, Type: ty, Required: a.Required}
	return &hcldec.ValidateSpec{Wrapped: arg, Func: func(v cty.Value) hcl.Diagnostics {
		if a.Required && v.IsNull() {
			return hcl.Diagnostics{{
				Severity: hcl.DiagError, Summary: "Missing value",
				Detail: fmt.Sprintf("The argument %q must have a value, not null.", a.Name),
			}}
		}
		if _, err := a.normalize(v); err != nil {
			return hcl.Diagnostics{{
				Severity: hcl.DiagError, Summary: "Invalid value",
				Detail: fmt.Sprintf("Inappropriate value for %q: %s.", a.Name, err),
			}}
		}
		return nil
	}}
}

// Normalize brings a value in the shape of Spec, or of the type itself, to the
// type's normal form. Unknown and marked values are right: an argument that
// cannot be normalised without an unknown part is unknown, and what a mark
// cannot follow through a change of shape is marked as a whole.
func (t *Type) Normalize(raw cty.Value) (cty.Value, error) {
	return normalizeObject(t.Attrs, raw)
}

func normalizeObject(attrs []Attr, raw cty.Value) (cty.Value, error) {
	vals := make(map[string]cty.Value, len(attrs))
	has := raw.Type()
	for i := range attrs {
		a := &attrs[i]
		if !has.HasAttribute(a.Name) {
			vals[a.Name] = cty.NullVal(a.Implied())
			continue
		}
		v := raw.GetAttr(a.Name)
		var err error
		if a.Block != nil {
			v, err = a.normalizeBlocks(v)
		} else {
			var pairs cty.Value
			if a.Pairs != nil && has.HasAttribute(pairsKey(a.Name)) {
				pairs = raw.GetAttr(pairsKey(a.Name))
			}
			if v, err = a.normalize(v); err == nil && pairs != cty.NilVal {
				v, err = a.addPairs(v, pairs)
			}
		}
		if err != nil {
			return cty.NilVal, fmt.Errorf("%s: %w", a.Name, err)
		}
		vals[a.Name] = v
	}
	return cty.ObjectVal(vals), nil
}

// normalize does the same for one argument. Its errors do not quote what is
// sensitive.
func (a *Attr) normalize(v cty.Value) (cty.Value, error) {
	bare, marks := Unmark(v)
	out, err := a.normalizeBare(bare)
	switch {
	case err != nil && (a.Sensitive || len(marks) > 0):
		return cty.NilVal, errHidden
	case err != nil:
		return cty.NilVal, err
	}
	switch {
	case a.Sensitive && !out.IsNull():
		return out.Mark(SensitiveMark), nil
	case len(marks) == 0:
		return out, nil
	}
	// Where the normal form is what a conversion gives, each mark stays with its
	// element: one secret in a map hides one key.
	if plain, err := convert.Convert(v, a.Type); err == nil {
		if same, _ := plain.UnmarkDeep(); same.RawEquals(out) {
			return plain, nil
		}
	}
	for _, m := range marks {
		out = out.WithMarks(m.Marks)
	}
	return out, nil
}

func (a *Attr) normalizeBare(v cty.Value) (cty.Value, error) {
	if v.IsNull() {
		if a.Default != cty.NilVal {
			return a.Default, nil
		}
		return cty.NullVal(a.Type), nil
	}
	if !v.IsKnown() {
		return cty.UnknownVal(a.Type), nil
	}
	var err error
	if a.Accept != nil {
		if v, err = a.Accept(v); err != nil {
			return cty.NilVal, err
		}
	}
	if v, err = convert.Convert(v, a.Type); err != nil {
		return cty.NilVal, err
	}
	if !v.IsWhollyKnown() {
		return v, nil
	}
	if a.Normal != nil {
		v = a.Normal(v)
	}
	if a.Check != nil {
		if err := a.Check(v); err != nil {
			return cty.NilVal, err
		}
	}
	return v, nil
}

// addPairs lays the block spelling of a map over the argument's.
func (a *Attr) addPairs(m, pairs cty.Value) (cty.Value, error) {
	bare, marks := pairs.UnmarkDeep()
	if !bare.IsKnown() {
		return cty.UnknownVal(a.Type).WithMarks(marks), nil
	}
	if bare.LengthInt() == 0 {
		return m, nil
	}
	m, own := m.UnmarkDeep()
	if !m.IsKnown() {
		return cty.UnknownVal(a.Type).WithMarks(marks, own), nil
	}
	entries := map[string]cty.Value{}
	if !m.IsNull() {
		entries = m.AsValueMap()
		if entries == nil {
			entries = map[string]cty.Value{}
		}
	}
	for it := bare.ElementIterator(); it.Next(); {
		_, pair := it.Element()
		key := pair.GetAttr(a.Pairs.Key)
		if !key.IsKnown() {
			return cty.UnknownVal(a.Type).WithMarks(marks, own), nil
		}
		if key.IsNull() {
			return cty.NilVal, fmt.Errorf("%s must not be null", a.Pairs.Key)
		}
		entries[key.AsString()] = pair.GetAttr(a.Pairs.Value)
	}
	return cty.MapVal(entries).WithMarks(marks, own), nil
}

// normalizeBlocks brings nested blocks to the attribute's type. None written
// is null: what that means is the engine's to say.
func (a *Attr) normalizeBlocks(v cty.Value) (cty.Value, error) {
	ty := a.Implied()
	v, outer := v.Unmark()
	if v.IsNull() {
		return cty.NullVal(ty), nil
	}
	if !v.IsKnown() {
		return cty.UnknownVal(ty).WithMarks(outer), nil
	}
	if a.Block.Nesting == Single {
		out, err := normalizeObject(a.Block.Attrs, v)
		return out.WithMarks(outer), err
	}
	if v.LengthInt() == 0 {
		return cty.NullVal(ty), nil
	}
	if a.Block.Nesting == Map {
		elems := make(map[string]cty.Value, v.LengthInt())
		for it := v.ElementIterator(); it.Next(); {
			key, elem := it.Element()
			out, err := normalizeObject(a.Block.Attrs, elem)
			if err != nil {
				return cty.NilVal, fmt.Errorf("%q: %w", key.AsString(), err)
			}
			elems[key.AsString()] = out
		}
		return cty.MapVal(elems).WithMarks(outer), nil
	}
	elems := make([]cty.Value, 0, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		_, elem := it.Element()
		out, err := normalizeObject(a.Block.Attrs, elem)
		if err != nil {
			return cty.NilVal, fmt.Errorf("block %d: %w", len(elems)+1, err)
		}
		elems = append(elems, out)
	}
	if a.Block.Nesting == List {
		return cty.ListVal(elems).WithMarks(outer), nil
	}
	// A set cannot say which of its elements is marked.
	for i, e := range elems {
		bare, inner := e.UnmarkDeep()
		elems[i] = bare
		outer = cty.NewValueMarks(append(keysOf(outer), keysOf(inner)...)...)
	}
	return cty.SetVal(elems).WithMarks(outer), nil
}

func keysOf(m cty.ValueMarks) []any {
	keys := make([]any, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}
