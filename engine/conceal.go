package engine

import (
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/schema"
)

// Conceal marks the old value of a Live attribute (env) as far as the
// configuration does not show it now: it may be a secret that nobody can mark
// any more. Whatever leaves the process, on a screen or in a file, goes through
// it.
func Conceal(a *schema.Attr, before, after cty.Value) cty.Value {
	if !a.Live || before == cty.NilVal || before.IsNull() || before.IsMarked() || !before.IsKnown() {
		return before
	}
	if !before.Type().IsMapType() {
		if Shown(after) {
			return before
		}
		return before.Mark(schema.SensitiveMark)
	}
	var now map[string]cty.Value
	if after != cty.NilVal && !after.IsMarked() && after.IsKnown() && !after.IsNull() {
		now = after.AsValueMap()
	}
	out := map[string]cty.Value{}
	for k, v := range before.AsValueMap() {
		if !Shown(now[k]) && !v.IsNull() {
			v = v.Mark(schema.SensitiveMark)
		}
		out[k] = v
	}
	if len(out) == 0 {
		return before
	}
	return cty.MapVal(out)
}

// Concealed is what there is of an object, as far as it may be shown beside what
// there is to be of it: see Conceal. What an image brings, defaults, is no secret.
func Concealed(t *schema.Type, is, want, defaults cty.Value) cty.Value {
	if is == cty.NilVal || is.IsNull() || !is.IsKnown() {
		return is
	}
	set := map[string]cty.Value{}
	for i := range t.Attrs {
		a := &t.Attrs[i]
		after := cty.NilVal
		if want != cty.NilVal && !want.IsNull() && want.IsKnown() {
			after = want.GetAttr(a.Name)
		}
		v := Conceal(a, is.GetAttr(a.Name), after)
		if a.Merge {
			v = usual(v, is.GetAttr(a.Name), defaults, a.Name)
		}
		if a.Sensitive && !v.IsNull() {
			v = v.Mark(schema.SensitiveMark)
		}
		set[a.Name] = v
	}
	return schema.With(is, set)
}

// usual shows the entries of a map again that are the image's own.
func usual(concealed, live, defaults cty.Value, name string) cty.Value {
	if concealed.IsNull() || concealed.IsMarked() || !concealed.IsKnown() || !concealed.ContainsMarked() ||
		!concealed.Type().IsMapType() || defaults == cty.NilVal || defaults.IsNull() {
		return concealed
	}
	theirs := defaults.GetAttr(name)
	if theirs.IsNull() || !theirs.IsKnown() {
		return concealed
	}
	out, is, their := concealed.AsValueMap(), live.AsValueMap(), theirs.AsValueMap()
	for key := range out {
		if v, ok := their[key]; ok && !is[key].IsMarked() && v.RawEquals(is[key]) {
			out[key] = v
		}
	}
	return cty.MapVal(out)
}

// MarksIn are the marks that an object has, for MarkedAs: they are gathered once,
// however many differences there are.
func MarksIn(obj cty.Value) []cty.PathValueMarks {
	if obj == cty.NilVal {
		return nil
	}
	_, marks := schema.Unmark(obj)
	return marks
}

// MarkedAs gives a value found at a path in an object the marks that the object
// has there: a difference may have been found without them.
func MarkedAs(marks []cty.PathValueMarks, path cty.Path, v cty.Value) cty.Value {
	if v == cty.NilVal || v.IsNull() {
		return v
	}
	for _, m := range marks {
		if path.HasPrefix(m.Path) || m.Path.HasPrefix(path) {
			v = v.WithMarks(m.Marks)
		}
	}
	return v
}

// Shown reports whether a value is there, known and without a secret.
func Shown(v cty.Value) bool {
	return v != cty.NilVal && !v.IsNull() && !v.ContainsMarked() && v.IsWhollyKnown()
}

// WithoutKeys tells of a map that is remembered to have had a secret, and is none
// as a whole in the configuration any more, that it differs, as a whole, if it
// loses a key: that may have been the secret. The keys of a Live map (env) are
// names, which a plan tells, unless they were secret themselves.
func WithoutKeys(t *schema.Type, diffs []schema.Difference, want, live cty.Value, remembered []string) []schema.Difference {
	hides := map[string]bool{}
	for _, d := range diffs {
		a := t.Attr(d.Attr)
		if len(d.Path) < 2 || a.Block != nil || !a.Type.IsMapType() || a.Live && !slices.Contains(remembered, wholly(d.Attr)) {
			continue
		}
		if d.Want.IsNull() && !want.GetAttr(d.Attr).IsMarked() && slices.Contains(remembered, d.Attr) {
			hides[d.Attr] = true
		}
	}
	var out []schema.Difference
	for _, d := range diffs {
		if !hides[d.Attr] {
			out = append(out, d)
			continue
		}
		if n := len(out); n == 0 || out[n-1].Attr != d.Attr {
			out = append(out, schema.Difference{
				Attr: d.Attr, Path: cty.GetAttrPath(d.Attr), Unknown: true,
				Want: marked(want.GetAttr(d.Attr)), Live: marked(live.GetAttr(d.Attr)),
			})
		}
		join(&out[len(out)-1], d)
	}
	return out
}

func marked(v cty.Value) cty.Value {
	if v.IsNull() {
		return v
	}
	return v.Mark(schema.SensitiveMark)
}
