package view

import (
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

// kinds is a table with an attribute for each kind of value.
var kinds = &schema.Type{
	Name: "docker_kinds",
	Attrs: []schema.Attr{
		{Name: "id", Type: cty.String, Computed: true},
		{Name: "name", Type: cty.String, Change: schema.Update},
		{Name: "flag", Type: cty.Bool, Change: schema.Update},
		{Name: "number", Type: cty.Number, Change: schema.Update},
		{Name: "word", Type: cty.String, Change: schema.Update},
		{Name: "lines", Type: cty.String, Change: schema.Update},
		{Name: "json", Type: cty.String, Change: schema.Update},
		{Name: "list", Type: cty.List(cty.String), Change: schema.Update},
		{Name: "set", Type: cty.Set(cty.String), Change: schema.Update},
		{Name: "map", Type: cty.Map(cty.String), Change: schema.Update},
		{Name: "object", Type: cty.Object(map[string]cty.Type{"name": cty.String, "size": cty.Number}), Change: schema.Update},
		{Name: "one", Change: schema.Update, Block: &schema.Block{Nesting: schema.Single, Attrs: kindAttrs}},
		{Name: "many", Change: schema.Update, Block: &schema.Block{Nesting: schema.List, Key: []string{"name"}, Attrs: kindAttrs}},
		{Name: "some", Change: schema.Update, Block: &schema.Block{Nesting: schema.Set, Attrs: kindAttrs}},
		{Name: "by_name", Change: schema.Update, Block: &schema.Block{Nesting: schema.Map, Attrs: kindAttrs}},
	},
}

var kindAttrs = []schema.Attr{
	{Name: "name", Type: cty.String},
	{Name: "size", Type: cty.Number},
	{Name: "tags", Type: cty.List(cty.String)},
}

// blockOf is a value of a block of kinds.
func blockOf(name string, size cty.Value) cty.Value {
	return (&schema.Block{Attrs: kindAttrs}).Build(set{"name": str(name), "size": size, "tags": strs(name+"-x", name+"-y")})
}

func thingOf(name string, size cty.Value) cty.Value {
	return cty.ObjectVal(set{"name": str(name), "size": size})
}

// someOfEach has a value of each kind, n apart from those of another n. Each
// text begins with the word.
func someOfEach(word string, n int64) set {
	a, b, text := word+"a", word+"b", fmt.Sprint(word, n)
	return set{
		"id": str("4f5e6d7c8b9a"), "name": str("all"), "flag": cty.BoolVal(n%2 == 0), "number": num(n), "word": str(text),
		"lines": str(a + "\n" + text + "\n" + b + "\n"), "json": str(`{"n":` + fmt.Sprint(n) + `,"of":["` + a + `",{"a":null}]}`),
		"list": strs(a, text, b), "set": cty.SetVal([]cty.Value{str(a), str(text)}), "map": dict(a, a, b, text),
		"object": thingOf(a, num(n)), "one": blockOf(a, num(n)),
		"many":    cty.ListVal([]cty.Value{blockOf(a, num(n+4000)), blockOf(b, num(n))}),
		"some":    cty.SetVal([]cty.Value{blockOf(a, num(n+4000)), blockOf(b, num(n))}),
		"by_name": cty.MapVal(set{a: blockOf(a, num(n+4000)), b: blockOf(b, num(n))}),
	}
}

// eachAs is one value of each kind with what f makes of it, but for the name.
func eachAs(from set, f func(cty.Value) cty.Value) set {
	out := maps.Clone(from)
	for _, a := range kinds.Attrs {
		if a.Name != "id" && a.Name != "name" {
			out[a.Name] = f(from[a.Name])
		}
	}
	return out
}

// inPart has a value that f makes within each that has parts.
func inPart(f func(cty.Value) cty.Value) set {
	return set{
		"id": str("4f5e6d7c8b9a"), "name": str("all"),
		"list":    cty.ListVal([]cty.Value{str("a"), f(str("hunter-part"))}),
		"map":     cty.MapVal(set{"a": str("1"), "p": f(str("hunter-part"))}),
		"object":  thingOf("o", f(num(900000007007))),
		"one":     blockOf("one", f(num(900000007007))),
		"many":    cty.ListVal([]cty.Value{blockOf("a", num(1)), blockOf("b", f(num(900000007007)))}),
		"by_name": cty.MapVal(set{"b": blockOf("b", f(num(900000007007)))}),
	}
}

func laterOf(v cty.Value) cty.Value { return unknown(v.Type()) }

// nothingOf is null or, of what can be, empty.
func nothingOf(v cty.Value) cty.Value {
	switch ty := v.Type(); {
	case ty.IsListType():
		return cty.ListValEmpty(ty.ElementType())
	case ty.IsSetType():
		return cty.SetValEmpty(ty.ElementType())
	case ty.IsMapType():
		return cty.MapValEmpty(ty.ElementType())
	default:
		return cty.NullVal(ty)
	}
}

// kindPlans are plans of each kind of value, in each state that it can be in,
// and of the actions and causes that the other plans do not have.
func kindPlans(t *testing.T) map[string]*engine.Plan {
	t.Helper()
	null := cty.NullVal(kinds.Implied())
	change := func(name string, action engine.Action, before, after set) *engine.Change {
		c := &engine.Change{Addr: addr(t, "docker_kinds."+name), Type: kinds, Action: action, Before: null, After: null}
		if before != nil {
			c.Before, c.Object = kinds.Build(before), object(kinds.Name, name)
		}
		if after != nil {
			after = maps.Clone(after)
			if before == nil || action.Replaces() {
				after["id"] = unknown(cty.String)
			}
			c.After = kinds.Build(after)
		}
		if before != nil && after != nil {
			diffs(c, action.Replaces())
		}
		return c
	}
	plain, other := someOfEach("", 1), someOfEach("", 2)
	hidden, hiddenToo := eachAs(someOfEach("hunter-", 900000007003), secret), eachAs(someOfEach("hunter-", 900000007004), secret)
	zero := maps.Clone(plain)
	maps.Copy(zero, set{"flag": cty.False, "number": num(0), "word": str(""), "lines": str("\n"), "json": str("{}")})
	for _, name := range []string{"list", "set", "map", "many", "some", "by_name"} {
		zero[name] = nothingOf(plain[name])
	}
	odd := maps.Clone(plain)
	maps.Copy(odd, set{
		"number": cty.MustParseNumberVal("-0.000000001"), "word": str("ключ \u202e \"q\" ${x} \\ <b>"),
		"lines": str("one\r\ntwo\ttabbed\nno end"), "json": str("[1,2"),
	})
	because := func(cause engine.Cause, action engine.Action, reason, name string) *engine.Change {
		c := change(name, action, plain, other)
		c.Cause, c.Reason = cause, reason
		if action == engine.Delete {
			c.After, c.Differences = null, nil
		} else {
			c.After = schema.With(c.Before, set{"id": unknown(cty.String)})
			diffs(c, false)
		}
		return c
	}
	ends := because(engine.NotConfigured, engine.Delete, "is not in the configuration", "busy")
	movedAnew := change("moved", engine.ReplaceFirst, plain, other)
	movedAnew.Prev = addr(t, "docker_kinds.before")
	conditional := change("perhaps", engine.Update, plain, eachAs(plain, laterOf))
	conditional.OnlyIf = []string{"docker_image.app.image_id"}
	gone := change("a", engine.Forget, plain, nil)
	gone.Reason = "was removed outside of gapool"
	return map[string]*engine.Plan{
		"kinds-create": {Changes: []*engine.Change{
			change("later", engine.Create, nil, eachAs(plain, laterOf)), change("none", engine.Create, nil, eachAs(plain, nothingOf)),
			change("odd", engine.Create, nil, odd), change("part_later", engine.Create, nil, inPart(laterOf)), change("part_secret", engine.Create, nil, inPart(secret)),
			change("plain", engine.Create, nil, plain), change("secret", engine.Create, nil, hidden),
			change("secret_later", engine.Create, nil, eachAs(plain, func(v cty.Value) cty.Value { return secret(laterOf(v)) })), change("zero", engine.Create, nil, zero),
		}},
		"kinds-update": {Changes: []*engine.Change{
			change("comes", engine.Update, eachAs(plain, nothingOf), plain), change("goes", engine.Update, plain, eachAs(plain, nothingOf)),
			change("later", engine.Update, plain, eachAs(plain, laterOf)), change("odd", engine.Update, plain, odd), change("other", engine.Update, plain, other),
			change("part_later", engine.Update, plain, inPart(laterOf)), change("part_secret", engine.Update, inPart(secret), inPart(func(v cty.Value) cty.Value {
				if v.Type() == cty.Number {
					return secret(num(900000007008))
				}
				return secret(str("hunter-trap"))
			})),
			change("secret", engine.Update, hidden, hiddenToo), change("secret_comes", engine.Update, plain, hiddenToo),
			change("secret_goes", engine.Update, hidden, other), change("zero", engine.Update, plain, zero),
		}},
		"kinds-replace": {Changes: []*engine.Change{change("all", engine.Replace, plain, other), change("secret", engine.Replace, hidden, hiddenToo)}},
		"replace-first": {Changes: []*engine.Change{change("all", engine.ReplaceFirst, plain, other), movedAnew}},
		"kinds-delete":  {Changes: []*engine.Change{change("plain", engine.Delete, plain, nil), change("secret", engine.Delete, hidden, nil)}},
		"causes": {
			Changes: []*engine.Change{
				ends, because(engine.NoSuchKey, engine.Delete, "is not in for_each any more", `keyed["a"]`),
				because(engine.OtherKeys, engine.Delete, "has the key [1], and the configuration has one without a key", "counted[1]"),
				because(engine.ByRequest, engine.Replace, "is asked for by -replace", "asked"),
				because(engine.ByTriggers, engine.ReplaceFirst, "must be replaced, since docker_image.app is", "triggered"), conditional,
			},
			Ends: []schema.Addr{ends.Addr}, Force: true,
			Checks: []engine.Check{{Kind: engine.CheckResource, Addr: ends.Addr}, {Kind: engine.CheckOutput, Name: "url", Unknown: true}},
		},
		"forgotten": {
			Mode: engine.RefreshOnly, Changes: []*engine.Change{gone},
			Drift: []engine.Drift{{Addr: gone.Addr, Type: kinds, What: "was removed outside of gapool", Before: gone.Before, After: null}},
		},
		"kinds-drift": {
			Changes: []*engine.Change{change("other", engine.Update, other, plain)},
			Drift: []engine.Drift{{
				Addr: addr(t, "docker_kinds.other"), Type: kinds, What: "was changed outside of gapool", Before: kinds.Build(plain), After: kinds.Build(other),
				Differences: schema.Differences(kinds, kinds.Build(plain), kinds.Build(other), cty.NilVal),
			}},
		},
		"kinds-outputs": {Outputs: outputsOfEachKind(plain, other)},
	}
}

// outputsOfEachKind are outputs whose types nobody says beforehand.
func outputsOfEachKind(plain, other set) []engine.OutputChange {
	nothing := cty.NullVal(cty.DynamicPseudoType)
	var out []engine.OutputChange
	add := func(name string, action engine.Action, before, after cty.Value) {
		out = append(out, engine.OutputChange{Name: name, Action: action, Sensitive: before.ContainsMarked() || after.ContainsMarked(), Before: before, After: after})
	}
	for _, name := range slices.Sorted(maps.Keys(plain)) {
		add("changes_"+name, engine.Update, plain[name], other[name])
		add("comes_"+name, engine.Create, nothing, plain[name])
		add("goes_"+name, engine.Delete, plain[name], nothing)
		add("later_"+name, engine.Update, plain[name], laterOf(plain[name]))
		add("secret_"+name, engine.Update, plain[name], secret(someOfEach("hunter-", 900000007004)[name]))
	}
	add("becomes_another_type", engine.Update, plain["list"], plain["map"])
	add("in_part", engine.Create, nothing, cty.ObjectVal(set{"known": num(1), "later": unknown(cty.String)}))
	add("tuple", engine.Create, nothing, cty.TupleVal([]cty.Value{num(1), cty.NullVal(cty.String), cty.True, cty.EmptyObjectVal, cty.EmptyTupleVal}))
	add("whatever", engine.Create, nothing, unknown(cty.DynamicPseudoType))
	slices.SortFunc(out, func(a, b engine.OutputChange) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// drawn is a diagram in each format.
func drawn(t *testing.T, d Diagram) map[string]string {
	t.Helper()
	return map[string]string{"dot": printed(t, d.Dot), "mermaid": printed(t, d.Mermaid), "svg": printed(t, d.SVG)}
}

func TestDrawingsOfPlans(t *testing.T) {
	for name, p := range plans(t) {
		t.Run(name, func(t *testing.T) {
			again, err := kept(t, p).Plan(tables)
			if err != nil {
				t.Fatal(err)
			}
			made := drawn(t, PlanDiagram(p))
			for format, got := range drawn(t, PlanDiagram(again)) {
				golden(t, format+"-"+name, got)
				if diff := cmp.Diff(made[format], got); diff != "" {
					t.Errorf("read from a file, the %s says otherwise (-made +read):\n%s", format, diff)
				}
				withoutSecrets(t, p, got)
			}
		})
	}
}

// Each block of a thousand changes is in each drawing.
func TestAThousandChangesDrawn(t *testing.T) {
	p := thousand(t, 1000)
	blocks := map[string]bool{}
	for _, c := range p.Changes {
		blocks[c.Addr.Block().String()] = true
	}
	all := drawn(t, PlanDiagram(p))
	sums := ""
	for _, format := range slices.Sorted(maps.Keys(all)) {
		text := all[format]
		words := map[string]bool{}
		for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r != '_' && r != '.' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			words[word] = true
		}
		for b := range blocks {
			if !words[b] {
				t.Errorf("the %s does not have %s", format, b)
			}
		}
		sums += fmt.Sprintf("%-8s %8d bytes %6d lines sha256:%x\n", format, len(text), strings.Count(text, "\n"), sha256.Sum256([]byte(text)))
	}
	golden(t, "thousand-drawn", sums)
}

// The golden plans have each action, cause and verb that there is, and each
// kind of value in each state.
func TestPlansHaveEverything(t *testing.T) {
	seen := map[string]bool{}
	see := func(v cty.Value) {
		if v == cty.NilVal {
			return
		}
		_ = cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) { // it fails where the function does
			kind := strings.Fields(v.Type().FriendlyName())[0]
			state := "known"
			switch {
			case v.IsMarked():
				state = "secret"
			case !v.IsKnown():
				state = "unknown"
			case v.IsNull():
				state = "null"
			case v.CanIterateElements() && v.LengthInt() == 0:
				state = "empty"
			}
			seen[kind+" "+state] = true
			return !v.IsMarked(), nil
		})
	}
	for _, p := range plans(t) {
		for _, c := range p.Changes {
			seen["action "+string(c.Action)], seen["cause "+string(c.Cause)] = true, true
			see(c.Before)
			see(c.After)
			seen["adopted"] = seen["adopted"] || c.Adopted
			seen["moved"] = seen["moved"] || !c.Prev.IsZero()
			seen["orphan"] = seen["orphan"] || c.Orphan
			seen["only if"] = seen["only if"] || len(c.OnlyIf) > 0
			seen["member that drains"] = seen["member that drains"] || c.Action == engine.Delete && c.Addr.Member.Role == schema.Worker
		}
		for _, o := range p.Outputs {
			seen["output "+string(o.Action)] = true
			see(o.Before)
			see(o.After)
		}
		seen["drift"] = seen["drift"] || len(p.Drift) > 0
		seen["drift only"] = seen["drift only"] || len(p.Drift) > 0 && len(p.Changes) == 0
		seen["mode "+string(p.Mode)] = true
	}
	want := []string{"adopted", "moved", "orphan", "only if", "member that drains", "drift", "drift only", "output create", "output update", "output delete", "output no-op", "mode destroy", "mode refresh-only"}
	for _, kind := range []string{"bool", "number", "string", "list", "set", "map", "object"} {
		for _, state := range []string{"known", "null", "unknown", "secret"} {
			want = append(want, kind+" "+state)
		}
	}
	want = append(want, "list empty", "set empty", "map empty", "object empty", "tuple known", "tuple empty", "dynamic unknown", "dynamic null")
	for word, value := range constants(t, "../../../engine/engine.go", "Action", "Cause") {
		want = append(want, strings.ToLower(word)+" "+value)
	}
	for _, w := range want {
		if !seen[w] {
			t.Errorf("no golden plan has: %s", w)
		}
	}
}

// constants are the values of the string constants of some types in a file.
func constants(t *testing.T, file string, types ...string) func(yield func(string, string) bool) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(string, string) bool) {
		for n := range ast.Preorder(f) {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				continue
			}
			ty, ok := spec.Type.(*ast.Ident)
			if !ok || !slices.Contains(types, ty.Name) {
				continue
			}
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			if !yield(ty.Name, value) {
				return
			}
		}
	}
}
