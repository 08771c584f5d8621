package schema

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
	"pgregory.net/rapid"
)

// everything has each kind of row.
var everything = &Type{Name: "test_everything", Attrs: []Attr{
	{Name: "id", Type: cty.String, Computed: true},
	{Name: "address", Type: cty.String, Computed: true, Volatile: true},
	{Name: "inputs", Type: cty.String, Computed: true, Change: Update},
	{Name: "image", Type: cty.String, Change: Replace},
	{Name: "command", Type: cty.List(cty.String), Change: Replace},
	{Name: "env", Type: cty.Map(cty.String), Change: Replace, Merge: true},
	{Name: "options", Type: cty.Map(cty.String), Change: Replace},
	{Name: "memory", Type: cty.Number, Change: Replace, ReplaceIf: func(_, want cty.Value) bool { return want.IsNull() }},
	{Name: "must_run", Type: cty.Bool, Change: Update, Demand: true},
	{Name: "wait", Type: cty.Bool},
	{Name: "health", Change: Replace, Block: &Block{Nesting: Single, Attrs: []Attr{
		{Name: "test", Type: cty.String},
		{Name: "retries", Type: cty.Number},
	}}},
	{Name: "port", Change: Replace, Block: &Block{Nesting: Set, Key: []string{"internal", "external"}, Attrs: []Attr{
		{Name: "internal", Type: cty.Number, Required: true},
		{Name: "external", Type: cty.Number, Computed: true},
		{Name: "ip", Type: cty.String},
	}}},
	{Name: "network", Change: Update, Block: &Block{Nesting: List, Key: []string{"name"}, Attrs: []Attr{
		{Name: "name", Type: cty.String, Required: true},
		{Name: "mac", Type: cty.String, Computed: true, Volatile: true},
		{Name: "mode", Type: cty.String, Change: Replace},
	}}},
	{Name: "step", Change: Update, Block: &Block{Nesting: List, Attrs: []Attr{{Name: "run", Type: cty.String}}}},
	{Name: "host", Change: Update, Block: &Block{Nesting: Set, Attrs: []Attr{
		{Name: "name", Type: cty.String, Required: true}, {Name: "ip", Type: cty.String},
	}}},
	{Name: "group", Change: Update, Block: &Block{Nesting: Map, Label: "name", Attrs: []Attr{{Name: "size", Type: cty.Number}}}},
}}

type vals = map[string]cty.Value

func s(v string) cty.Value { return cty.StringVal(v) }

func n(v int64) cty.Value { return cty.NumberIntVal(v) }

func strs(m map[string]string) cty.Value {
	out := vals{}
	for k, v := range m {
		out[k] = s(v)
	}
	return cty.MapVal(out)
}

// elem builds a block of an attribute.
func elem(attr string, set vals) cty.Value { return everything.Attr(attr).Block.Build(set) }

func (d Difference) text() string {
	var b strings.Builder
	b.WriteString(d.Attr)
	for _, step := range d.Path[1:] {
		switch step := step.(type) {
		case cty.GetAttrStep:
			b.WriteString("." + step.Name)
		case cty.IndexStep:
			if step.Key.Type().IsObjectType() {
				b.WriteString("[*]")
			} else {
				fmt.Fprintf(&b, "[%s]", short(step.Key))
			}
		}
	}
	fmt.Fprintf(&b, ": %s -> %s", short(d.Live), short(d.Want))
	if d.Replace {
		b.WriteString(" replaces")
	}
	if d.Unknown {
		b.WriteString(" unknown")
	}
	return b.String()
}

func short(v cty.Value) string {
	v, marks := v.UnmarkDeep()
	mark := ""
	if len(marks) > 0 {
		mark = "!"
	}
	switch {
	case !v.IsKnown():
		return "?" + mark
	case v.IsNull():
		return "-" + mark
	case v.Type() == cty.String:
		return v.AsString() + mark
	case v.Type() == cty.Number:
		return v.AsBigFloat().String() + mark
	case v.Type() == cty.Bool:
		return fmt.Sprint(v.True()) + mark
	case v.Type().IsObjectType():
		var parts []string
		for k, x := range v.AsValueMap() {
			if !x.IsNull() {
				parts = append(parts, k+"="+short(x))
			}
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, " ") + "}" + mark
	default:
		var parts []string
		for _, x := range elements(v) {
			parts = append(parts, short(x))
		}
		return "[" + strings.Join(parts, " ") + "]" + mark
	}
}

func TestDifferences(t *testing.T) {
	unknown := cty.UnknownVal(cty.String)
	port := func(internal, external cty.Value) cty.Value {
		return elem("port", vals{"internal": internal, "external": external})
	}
	null := cty.NullVal(cty.Number)
	for _, tc := range []struct {
		name                 string
		want, live, defaults vals
		diff                 []string
	}{
		{name: "nothing is wanted and anything is accepted", live: vals{"image": s("a"), "command": cty.ListVal([]cty.Value{s("x")}), "env": strs(map[string]string{"A": "1"})}},
		{name: "equal", want: vals{"image": s("a")}, live: vals{"image": s("a")}},
		{name: "another value", want: vals{"image": s("b")}, live: vals{"image": s("a")}, diff: []string{"image: a -> b replaces"}},
		{name: "gapool's own", want: vals{"wait": cty.True}},
		{name: "volatile", want: vals{"address": s("1.2.3.4")}, live: vals{"address": s("1.2.3.5")}},
		{name: "computed and left out", live: vals{"id": s("x"), "inputs": s("h")}, defaults: vals{"inputs": s("g")}},
		{name: "computed from files", want: vals{"inputs": s("g")}, live: vals{"inputs": s("h")}, diff: []string{"inputs: h -> g"}},
		{name: "left out, the default differs", live: vals{"image": s("a")}, defaults: vals{"image": s("b")}, diff: []string{"image: a -> b replaces"}},
		{name: "left out, as by default", live: vals{"image": s("b")}, defaults: vals{"image": s("b")}},
		{name: "a list is not its default", want: vals{"command": cty.ListVal([]cty.Value{s("x")})}, live: vals{"command": cty.ListValEmpty(cty.String)}, diff: []string{"command: [] -> [x] replaces"}},
		{name: "an empty list is none", want: vals{"command": cty.ListValEmpty(cty.String)}},
		{name: "a list that is unknown in part", want: vals{"command": cty.ListVal([]cty.Value{s("x"), unknown})}, live: vals{"command": cty.ListVal([]cty.Value{s("x"), s("y")})}, diff: []string{"command: [x y] -> [x ?] replaces unknown"}},

		{name: "merged, the image's lies under it", want: vals{"env": strs(map[string]string{"A": "1"})}, live: vals{"env": strs(map[string]string{"A": "1", "PATH": "/bin"})}, defaults: vals{"env": strs(map[string]string{"PATH": "/bin"})}},
		{name: "merged, over the image's", want: vals{"env": strs(map[string]string{"PATH": "/"})}, live: vals{"env": strs(map[string]string{"PATH": "/"})}, defaults: vals{"env": strs(map[string]string{"PATH": "/bin"})}},
		{name: "merged, one was ours", want: vals{"env": strs(map[string]string{"A": "1"})}, live: vals{"env": strs(map[string]string{"A": "2", "B": "2"})}, defaults: vals{"env": cty.MapValEmpty(cty.String)}, diff: []string{"env[A]: 2 -> 1 replaces", "env[B]: 2 -> - replaces"}},
		{name: "merged, what lies under it is not known", want: vals{"env": strs(map[string]string{"A": "1"})}, live: vals{"env": strs(map[string]string{"B": "2"})}, diff: []string{"env[A]: - -> 1 replaces"}},
		{name: "merged, all taken away", live: vals{"env": strs(map[string]string{"A": "1", "P": "/"})}, defaults: vals{"env": strs(map[string]string{"P": "/"})}, diff: []string{"env[A]: 1 -> - replaces"}},
		{name: "merged, one value unknown", want: vals{"env": cty.MapVal(vals{"A": unknown, "B": s("2")})}, live: vals{"env": strs(map[string]string{"A": "1", "B": "1"})}, diff: []string{"env[A]: 1 -> ? replaces unknown", "env[B]: 1 -> 2 replaces"}},
		{name: "merged, wholly unknown", want: vals{"env": cty.UnknownVal(cty.Map(cty.String))}, diff: []string{"env: - -> ? replaces unknown"}},
		{name: "not merged, a key of another hand", want: vals{"options": strs(map[string]string{"A": "1"})}, live: vals{"options": strs(map[string]string{"A": "1", "B": "2"})}, diff: []string{"options[B]: 2 -> - replaces"}},

		{name: "demanded", want: vals{"must_run": cty.True}, live: vals{"must_run": cty.False}, diff: []string{"must_run: false -> true"}},
		{name: "not demanded", want: vals{"must_run": cty.False}, live: vals{"must_run": cty.True}},
		{name: "replaced only if taken away: changed", want: vals{"memory": n(2)}, live: vals{"memory": n(1)}, diff: []string{"memory: 1 -> 2"}},
		{name: "replaced only if taken away: taken away", live: vals{"memory": n(1)}, defaults: vals{"memory": n(0)}, diff: []string{"memory: 1 -> 0 replaces"}},
		{name: "replaced only if taken away: unknown", want: vals{"memory": cty.UnknownVal(cty.Number)}, live: vals{"memory": n(1)}, diff: []string{"memory: 1 -> ? replaces unknown"}},

		{name: "a block whose rest is inherited", want: vals{"health": elem("health", vals{"test": s("x")})}, live: vals{"health": elem("health", vals{"test": s("x"), "retries": n(3)})}},
		{name: "a block's default", want: vals{"health": elem("health", vals{"test": s("x")})}, live: vals{"health": elem("health", vals{"test": s("x"), "retries": n(3)})}, defaults: vals{"health": elem("health", vals{"retries": n(5)})}, diff: []string{"health.retries: 3 -> 5 replaces"}},
		{name: "a block that is not there", want: vals{"health": elem("health", vals{"test": s("x")})}, diff: []string{"health: - -> {test=x} replaces"}},

		{name: "a key that is left out fits any", want: vals{"port": cty.SetVal([]cty.Value{port(n(80), null), port(n(80), n(8080))})}, live: vals{"port": cty.SetVal([]cty.Value{port(n(80), n(8080)), port(n(80), n(32768))})}},
		{name: "a key that is left out takes what others leave", want: vals{"network": cty.ListVal([]cty.Value{elem("network", vals{"mode": s("x")}), elem("network", vals{"name": s("a"), "mode": s("x")})})}, live: vals{"network": cty.ListVal([]cty.Value{elem("network", vals{"name": s("a"), "mode": s("x")}), elem("network", vals{"name": s("b"), "mode": s("x")})})}},
		{name: "blocks that came and went", want: vals{"port": cty.SetVal([]cty.Value{port(n(80), null)})}, live: vals{"port": cty.SetVal([]cty.Value{port(n(81), n(81))})}, diff: []string{"port[*]: - -> {internal=80} replaces", "port[*]: {external=81 internal=81} -> - replaces"}},
		{name: "all blocks taken away", live: vals{"port": cty.SetVal([]cty.Value{port(n(81), n(81))})}, defaults: vals{"port": cty.SetValEmpty(everything.Attr("port").Implied().ElementType())}, diff: []string{"port[*]: {external=81 internal=81} -> - replaces"}},
		{name: "a block's own attribute", want: vals{"port": cty.SetVal([]cty.Value{elem("port", vals{"internal": n(80), "ip": s("a")})})}, live: vals{"port": cty.SetVal([]cty.Value{elem("port", vals{"internal": n(80), "external": n(1), "ip": s("b")})})}, diff: []string{"port[*].ip: b -> a replaces"}},
		{name: "an unknown key", want: vals{"port": cty.SetVal([]cty.Value{port(cty.UnknownVal(cty.Number), null)})}, live: vals{"port": cty.SetVal([]cty.Value{port(n(1), n(1))})}, diff: []string{"port: [{external=1 internal=1}] -> [{internal=?}] replaces unknown"}},

		{name: "keyed blocks in another order", want: vals{"network": cty.ListVal([]cty.Value{elem("network", vals{"name": s("a")}), elem("network", vals{"name": s("b")})})}, live: vals{"network": cty.ListVal([]cty.Value{elem("network", vals{"name": s("b"), "mac": s("2")}), elem("network", vals{"name": s("a"), "mac": s("1")})})}},
		{name: "a row of a block replaces", want: vals{"network": cty.ListVal([]cty.Value{elem("network", vals{"name": s("a"), "mode": s("x")})})}, live: vals{"network": cty.ListVal([]cty.Value{elem("network", vals{"name": s("a"), "mode": s("y")})})}, diff: []string{"network[0].mode: y -> x replaces"}},
		{name: "an unknown attribute of a known block", want: vals{"network": cty.ListVal([]cty.Value{elem("network", vals{"name": s("a"), "mode": unknown})})}, live: vals{"network": cty.ListVal([]cty.Value{elem("network", vals{"name": s("a"), "mode": s("y")})})}, diff: []string{"network[0].mode: y -> ? replaces unknown"}},

		{name: "by position", want: vals{"step": cty.ListVal([]cty.Value{elem("step", vals{"run": s("a")}), elem("step", vals{"run": s("b")})})}, live: vals{"step": cty.ListVal([]cty.Value{elem("step", vals{"run": s("b")})})}, diff: []string{"step[0].run: b -> a", "step[1]: - -> {run=b}"}},
		{name: "by being without a difference", want: vals{"host": cty.SetVal([]cty.Value{elem("host", vals{"name": s("a")}), elem("host", vals{"name": s("b"), "ip": s("2")})})}, live: vals{"host": cty.SetVal([]cty.Value{elem("host", vals{"name": s("a"), "ip": s("1")}), elem("host", vals{"name": s("b"), "ip": s("3")})})}, diff: []string{"host[*]: - -> {ip=2 name=b}", "host[*]: {ip=3 name=b} -> -"}},
		{name: "by label", want: vals{"group": cty.MapVal(vals{"a": elem("group", vals{"size": n(1)}), "c": elem("group", vals{})})}, live: vals{"group": cty.MapVal(vals{"a": elem("group", vals{"size": n(2)}), "b": elem("group", vals{})})}, diff: []string{"group[a].size: 2 -> 1", "group[b]: {} -> -", "group[c]: - -> {}"}},

		{name: "marks stay with what is wanted", want: vals{"image": s("b").Mark(SensitiveMark), "env": cty.MapVal(vals{"A": s("1").Mark(SensitiveMark), "B": s("1")})}, live: vals{"image": s("a")}, diff: []string{"image: a -> b! replaces", "env[A]: - -> 1! replaces", "env[B]: - -> 1 replaces"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defaults := cty.NilVal
			if tc.defaults != nil {
				defaults = everything.Build(tc.defaults)
			}
			var got []string
			for _, d := range Differences(everything, everything.Build(tc.want), everything.Build(tc.live), defaults) {
				got = append(got, d.text())
			}
			if diff := cmp.Diff(tc.diff, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPlanned(t *testing.T) {
	want := everything.Build(vals{
		"image": s("b").Mark(SensitiveMark),
		"port": cty.SetVal([]cty.Value{
			elem("port", vals{"internal": n(80)}), elem("port", vals{"internal": n(81)}),
		}),
		"network": cty.ListVal([]cty.Value{elem("network", vals{"name": s("a")})}),
	})
	live := everything.Build(vals{
		"id": s("x"), "address": s("1.2.3.4"), "image": s("a"), "memory": n(1),
		"port":    cty.SetVal([]cty.Value{elem("port", vals{"internal": n(80), "external": n(32768)})}),
		"network": cty.ListVal([]cty.Value{elem("network", vals{"name": s("a"), "mac": s("m")})}),
	})
	for _, tc := range []struct {
		name string
		got  cty.Value
		want string
	}{
		{"created", Planned(everything, want, cty.NilVal, false), "address=? id=? image=b! inputs=? network=[{mac=? name=a}] port=[{external=? internal=80} {external=? internal=81}]"},
		{"replaced", Planned(everything, want, live, true), "address=? id=? image=b! inputs=? network=[{mac=? name=a}] port=[{external=? internal=80} {external=? internal=81}]"},
		{"updated", Planned(everything, want, live, false), "address=? id=x image=b! network=[{mac=? name=a}] port=[{external=32768 internal=80} {external=? internal=81}]"},
		{"settled", Settled(everything, want, live), "address=1.2.3.4 id=x image=b! network=[{mac=m name=a}] port=[{external=32768 internal=80} {internal=81}]"},
	} {
		var parts []string
		for i := range everything.Attrs {
			name := everything.Attrs[i].Name
			if v := tc.got.GetAttr(name); !v.IsKnown() || !v.IsNull() {
				parts = append(parts, name+"="+short(v))
			}
		}
		slices.Sort(parts)
		if diff := cmp.Diff(tc.want, strings.Join(parts, " ")); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
		if !tc.got.Type().Equals(everything.Implied()) {
			t.Errorf("%s: not of the table's type", tc.name)
		}
	}
}

// drawValue draws a value of the table, with about as many nulls as not. No two
// blocks are alike in what they require, as an engine's are not.
func drawValue(t *rapid.T, label string) cty.Value {
	return drawObject(t, label, everything.Attrs)
}

func drawObject(t *rapid.T, label string, attrs []Attr) cty.Value {
	out := vals{}
	for i := range attrs {
		a := &attrs[i]
		out[a.Name] = cty.NullVal(a.Implied())
		if a.Required || rapid.Bool().Draw(t, label+"."+a.Name) {
			out[a.Name] = drawAttr(t, label+"."+a.Name, a)
		}
	}
	return cty.ObjectVal(out)
}

func drawAttr(t *rapid.T, label string, a *Attr) cty.Value {
	word := rapid.SampledFrom([]string{"a", "b", "c"})
	count := rapid.IntRange(0, 3)
	if a.Block == nil {
		switch a.Type {
		case cty.String:
			return s(word.Draw(t, label))
		case cty.Number:
			return n(rapid.Int64Range(0, 3).Draw(t, label))
		case cty.Bool:
			return cty.BoolVal(rapid.Bool().Draw(t, label))
		case cty.Map(cty.String):
			return mapOf(cty.String, rapid.MapOfN(word, rapid.Map(word, s), 0, 3).Draw(t, label))
		case cty.List(cty.String):
			return listOf(cty.String, rapid.SliceOfN(rapid.Map(word, s), 0, 3).Draw(t, label))
		}
		t.Fatalf("%s: no values of %s", label, a.Type.FriendlyName())
	}
	ty := nullOf(a.Block.Attrs).Type()
	if a.Block.Nesting == Single {
		return drawObject(t, label, a.Block.Attrs)
	}
	list := []cty.Value{}
	byKey := vals{}
	for i := range count.Draw(t, label+"#") {
		el := drawObject(t, fmt.Sprintf("%s[%d]", label, i), a.Block.Attrs)
		key := fmt.Sprint(i)
		if first := a.Block.Attrs[0]; first.Required {
			key = short(el.GetAttr(first.Name))
		}
		if byKey[key] == cty.NilVal {
			list = append(list, el)
		}
		byKey[key] = el
	}
	switch {
	case len(list) == 0:
		return cty.NullVal(a.Implied())
	case a.Block.Nesting == Map:
		return mapOf(ty, byKey)
	case a.Block.Nesting == Set:
		return cty.SetVal(list)
	default:
		return cty.ListVal(list)
	}
}

func mapOf(ty cty.Type, m vals) cty.Value {
	if len(m) == 0 {
		return cty.MapValEmpty(ty)
	}
	return cty.MapVal(m)
}

func listOf(ty cty.Type, l []cty.Value) cty.Value {
	if len(l) == 0 {
		return cty.ListValEmpty(ty)
	}
	return cty.ListVal(l)
}

// made returns what an engine makes of a wanted value: it fills in what is left
// out as it likes.
func made(t *rapid.T, attrs []Attr, want cty.Value, label string) cty.Value {
	out := vals{}
	for i := range attrs {
		a := &attrs[i]
		v := want.GetAttr(a.Name)
		switch {
		case a.Volatile, v.IsNull() && rapid.Bool().Draw(t, label+"."+a.Name+"?"):
			v = drawAttr(t, label+"."+a.Name, a)
		case a.Block == nil || vacant(v):
		case a.Block.Nesting == Single:
			v = made(t, a.Block.Attrs, v, label+"."+a.Name)
		case a.Block.Nesting == Map:
			m := entries(v)
			for _, k := range slices.Sorted(mapKeys(m)) {
				m[k] = made(t, a.Block.Attrs, m[k], label+"."+a.Name)
			}
			v = cty.MapVal(m)
		default:
			list := elements(v)
			for i := range list {
				list[i] = made(t, a.Block.Attrs, list[i], label+"."+a.Name)
			}
			if a.Block.Nesting == Set {
				v = cty.SetVal(list)
			} else {
				v = cty.ListVal(list)
			}
		}
		out[a.Name] = v
	}
	return cty.ObjectVal(out)
}

func mapKeys(m vals) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func texts(ds []Difference) string {
	var b strings.Builder
	for _, d := range ds {
		b.WriteString(d.text() + "\n")
	}
	return b.String()
}

// What an engine makes of a wanted value is as wanted, and so is what was
// planned for it: the second plan is empty.
func TestWhatWasMadeDoesNotDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawValue(t, "want")
		live := made(t, everything.Attrs, want, "live")
		if ds := Differences(everything, want, live, cty.NilVal); len(ds) > 0 {
			t.Fatalf("made as wanted, and differs:\n%s", texts(ds))
		}
		for _, replaced := range []bool{false, true} {
			planned := Planned(everything, want, live, replaced)
			if ds := Differences(everything, want, planned, cty.NilVal); len(ds) > 0 {
				t.Fatalf("what is planned (replaced %v) differs from what is wanted:\n%s", replaced, texts(ds))
			}
		}
		settled := Settled(everything, want, live)
		if ds := Differences(everything, settled, live, cty.NilVal); len(ds) > 0 {
			t.Fatalf("what references see differs from what is there:\n%s", texts(ds))
		}
		if !settled.IsWhollyKnown() {
			t.Fatalf("unknown in what is there: %#v", settled)
		}
	})
}

// Applying the differences leaves none, whatever was there before.
func TestDifferencesAreAllThatHasToChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, live, defaults := drawValue(t, "want"), drawValue(t, "live"), drawValue(t, "defaults")
		changed := vals{}
		for _, d := range Differences(everything, want, live, defaults) {
			v := want.GetAttr(d.Attr)
			if a := everything.Attr(d.Attr); v.IsNull() {
				v = defaults.GetAttr(d.Attr)
			} else if under := defaults.GetAttr(d.Attr); a.Merge && !under.IsNull() {
				m := entries(under)
				for k, x := range entries(v) {
					m[k] = x
				}
				v = mapOf(cty.String, m)
			} else if a.Block != nil && a.Block.Nesting == Single && !under.IsNull() {
				inner := vals{}
				for k, x := range under.AsValueMap() {
					if inner[k] = v.GetAttr(k); inner[k].IsNull() {
						inner[k] = x
					}
				}
				v = cty.ObjectVal(inner)
			}
			changed[d.Attr] = v
		}
		if ds := Differences(everything, want, With(live, changed), defaults); len(ds) > 0 {
			t.Fatalf("still differs:\n%s", texts(ds))
		}
	})
}

// A changed attribute that is compared is found, and only that one.
func TestOneChangeIsOneDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawValue(t, "want")
		live := made(t, everything.Attrs, want, "live")
		attr := rapid.SampledFrom([]string{"inputs", "image", "memory"}).Draw(t, "attr")
		if want.GetAttr(attr).IsNull() {
			return
		}
		other := s("changed")
		if everything.Attr(attr).Type == cty.Number {
			other = n(99)
		}
		ds := Differences(everything, want, With(live, vals{attr: other}), cty.NilVal)
		if len(ds) != 1 || ds[0].Attr != attr {
			t.Fatalf("%s changed, found:\n%s", attr, texts(ds))
		}
	})
}
