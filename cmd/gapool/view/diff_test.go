package view

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
	"pgregory.net/rapid"

	"github.com/gapool/gapool/engine"
)

// What a comparison shows is enough to tell both sides: without what is added
// it is the old list, without what is removed the new one.
func TestAlignTellsBothSides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"}), 0, 30)
		old, new := words.Draw(t, "old"), words.Draw(t, "new")
		a, b := lineNumbers(old, new)
		kept := 0
		for _, limit := range []int{4, alignLimit} { // the first is as if they were long
			var was, is []string
			kept = 0
			for _, r := range alignWithin(limit, a, b) {
				was = append(was, old[r.old:r.oldEnd]...)
				is = append(is, new[r.new:r.newEnd]...)
				if r.same {
					kept++
					if old[r.old] != new[r.new] {
						t.Fatalf("%v → %v keeps %q as %q", old, new, old[r.old], new[r.new])
					}
				}
			}
			if !slices.Equal(was, old) || !slices.Equal(is, new) {
				t.Fatalf("%v → %v reads as %v → %v", old, new, was, is)
			}
		}
		if best := longestCommon(old, new); kept != best {
			t.Fatalf("%v → %v keeps %d, and %d could be kept", old, new, kept, best)
		}
	})
}

// longestCommon is the length of a longest common subsequence, by definition.
func longestCommon(a, b []string) int {
	memo := map[[2]int]int{}
	var f func(i, j int) int
	f = func(i, j int) int {
		if i == len(a) || j == len(b) {
			return 0
		}
		k := [2]int{i, j}
		if n, ok := memo[k]; ok {
			return n
		}
		n := max(f(i+1, j), f(i, j+1))
		if a[i] == b[j] {
			n = max(n, f(i+1, j+1)+1)
		}
		memo[k] = n
		return n
	}
	return f(0, 0)
}

// A list that is too long for the table is told by element all the same.
func TestAlignOfVeryLongLists(t *testing.T) {
	const n = 5000
	old, new := make([]string, n), make([]string, n)
	for i := range n {
		old[i] = fmt.Sprint("line ", i)
		switch new[i] = old[i]; {
		case i%7 == 0:
			old[i], new[i] = "was", "is"
		case i%5 == 0:
			old[i], new[i] = "", ""
		}
	}
	kept := 0
	for _, r := range align(lineNumbers(old, new)) {
		if r.same {
			kept++
			if old[r.old] != new[r.new] {
				t.Fatalf("%q and %q are no same lines", old[r.old], new[r.new])
			}
		}
	}
	if want := n - (n+6)/7; kept != want {
		t.Errorf("of %d lines that stay %d are kept", want, kept)
	}
	for i := range n {
		old[i], new[i] = fmt.Sprint("a", i%2), fmt.Sprint("b", i%2)
	}
	if runs := align(lineNumbers(old, new)); len(runs) != 1 || runs[0].same {
		t.Errorf("with nothing in common there are %d runs", len(runs))
	}
}

func TestCompareShapes(t *testing.T) {
	for name, c := range map[string]struct {
		before, after cty.Value
		action        engine.Action
		old, new      string
		open          string
		parts         int
	}{
		"nothing to a null":        {cty.NilVal, cty.NullVal(cty.String), engine.Create, "", "null", "", 0},
		"null to a string":         {cty.NullVal(cty.String), str("x"), engine.Create, "", `"x"`, "", 0},
		"a string to null":         {str("x"), cty.NullVal(cty.String), engine.Delete, `"x"`, "", "", 0},
		"equal":                    {num(1), num(1), engine.NoOp, "", "1", "", 0},
		"equal but for the mark":   {str("x"), secret(str("x")), engine.NoOp, sensitiveText, sensitiveText, "", 0},
		"a list to unknown":        {strs("a", "b"), unknown(cty.List(cty.String)), engine.Update, "[ 2 elements ]", unknownText, "", 0},
		"a word to lines":          {str("one"), str("one\ntwo"), engine.Update, "", "", byLine, 2},
		"lines to a word":          {str("one\ntwo"), str("three"), engine.Update, "", "", byLine, 3},
		"lines to a number":        {str("one\ntwo"), num(3), engine.Update, "(several lines)", "3", "", 0},
		"lines to unknown":         {str("one\ntwo"), unknown(cty.String), engine.Update, "(several lines)", unknownText, "", 0},
		"empty to full":            {cty.ListValEmpty(cty.String), strs("a"), engine.Update, "", "", byPlace, 1},
		"full to empty":            {strs("a"), cty.ListValEmpty(cty.String), engine.Update, "", "", byPlace, 1},
		"a list to a map":          {strs("a"), dict("a", "b"), engine.Update, "[ 1 element ]", "", byKey, 1},
		"a tuple to a list":        {cty.TupleVal([]cty.Value{str("a")}), strs("a", "b"), engine.Update, "", "", byPlace, 2},
		"an unknown, sensitive":    {str("x"), secret(unknown(cty.String)), engine.Update, sensitiveText, sensitiveText, "", 0},
		"an element of a secret":   {dict("a", "x"), cty.MapVal(set{"a": secret(str("y"))}), engine.Update, "", "", byKey, 1},
		"one line with its ending": {str("a\n"), str("b\n"), engine.Update, `"a\n"`, `"b\n"`, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := compare(c.before, c.after)
			if n.Action != c.action || n.Old != c.old || n.New != c.new || n.Open != c.open || len(n.Parts) != c.parts {
				t.Errorf("got %+v", n)
			}
		})
	}
}

// JSON in a string is compared as what it says, by line.
func TestEmbeddedJSON(t *testing.T) {
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	for name, c := range map[string]struct{ before, after, want string }{
		"a value in a list": {
			`{"runtimes":{"a":{"path":"/bin/a"},"b":{"path":"/bin/b","args":["-x"]}},"debug":true,"hosts":["unix://"],"level":1e3,"none":{}}`,
			`{"debug":true,"hosts":["unix://","tcp://"],"level":1e3,"none":{},
			  "runtimes":{"b":{"args":["-x"],"path":"/bin/b"},"a":{"path":"/bin/a"}}}`,
			`  ~ v = jsonencode(
        # (2 unchanged lines hidden)
            hosts = [
                "unix://",
      +         "tcp://",
            ]
            level = 1e3
        # (13 unchanged lines hidden)
    )
`,
		},
		"a key that is no name": {
			`{"a b":1}`, `{"a b":2}`,
			`  ~ v = jsonencode(
        {
      -     "a b" = 1
      +     "a b" = 2
        }
    )
`,
		},
		"only white space":   {`{"a":1}`, `{"a": 1}`, "  ~ v = \"{\\\"a\\\":1}\" -> \"{\\\"a\\\": 1}\"\n"},
		"one side only":      {`{"a":1}`, `x`, "  ~ v = \"{\\\"a\\\":1}\" -> \"x\"\n"},
		"a number is no doc": {`1`, `2`, "  ~ v = \"1\" -> \"2\"\n"},
		"too deep to read":   {deep, "[]", "  ~ v = \"" + deep + "\" -> \"[]\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			n := compare(str(c.before), str(c.after))
			n.Name = "v"
			var b bytes.Buffer
			writeNodes(&b, []Node{n}, 0, false, Style{})
			if diff := cmp.Diff(c.want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// JSON that comes, goes or stays is told by line, too.
func TestEmbeddedJSONOfOneSide(t *testing.T) {
	const doc = `{"a":[1],"none":{}}`
	for name, c := range map[string]struct {
		before, after cty.Value
		want          string
	}{
		"comes":         {cty.NullVal(cty.String), str(doc), "  + v = jsonencode(\n        {\n            a = [\n                1,\n            ]\n            none = {}\n        }\n    )\n"},
		"goes":          {str(doc), cty.NullVal(cty.String), "  - v = jsonencode(\n        {\n            a = [\n                1,\n            ]\n            none = {}\n        }\n    ) -> null\n"},
		"stays":         {str(doc), str(doc), "    v = jsonencode(\n        {\n            a = [\n                1,\n            ]\n            none = {}\n        }\n    )\n"},
		"has no lines":  {cty.NilVal, str("{}"), "  + v = \"{}\"\n"},
		"has its lines": {cty.NilVal, str("{\n\"a\":1\n}"), "  + v = <<-EOT\n        {\n        \"a\":1\n        }\n    EOT\n"},
		"is a secret":   {cty.NilVal, secret(str(doc)), "  + v = (sensitive value)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			n := compare(c.before, c.after)
			n.Name, n.NullNote = "v", true
			var b bytes.Buffer
			writeNodes(&b, []Node{n}, 0, false, Style{})
			if diff := cmp.Diff(c.want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Two texts that are not the same are not shown as if they were.
func TestLinesTellWhatIsNotSeen(t *testing.T) {
	for name, c := range map[string]struct{ before, after, want string }{
		"line ends of Windows": {"a\r\nb\r\n", "a\nb\n", "      - a\\r\n      - b\\r\n      + a\n      + b\n"},
		"the last line's end":  {"a\nb", "a\nb\n", "        a\n        b\n      + # newline at the end\n"},
		"no end any more":      {"a\nb\n", "a\nc", "        a\n      - b\n      + c\n      - # newline at the end\n"},
		"an escape":            {"a\nb", "a\nb\x1b[8m", "        a\n      - b\n      + b\\x1b[8m\n"},
		"a zero width space":   {"a\nb", "a\nb\u200b", "        a\n      - b\n      + b\\u200b\n"},
		"writing to the left":  {"a\nb", "a\nb\u202e", "        a\n      - b\n      + b\\u202e\n"},
		"a tab":                {"a\nb", "a\n\tb", "        a\n      - b\n      + \tb\n"},
		"letters of others":    {"a\nключ 猫", "b\nключ 猫", "      - a\n      + b\n        ключ 猫\n"},
	} {
		t.Run(name, func(t *testing.T) {
			n := compare(str(c.before), str(c.after))
			n.Name = "v"
			var b bytes.Buffer
			writeNodes(&b, []Node{n}, 0, false, Style{})
			if diff := cmp.Diff("  ~ v = <<-EOT\n"+c.want+"    EOT\n", b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Of very large sets each element is looked up and not compared with each.
func TestLargeSets(t *testing.T) {
	const n = 30_000
	of := func(prefix string) cty.Value {
		list := make([]cty.Value, n)
		for i := range list {
			list[i] = cty.StringVal(fmt.Sprint(prefix, i))
		}
		list[0] = cty.StringVal("same")
		return cty.SetVal(list)
	}
	counts := map[engine.Action]int{}
	for _, part := range compare(of("old"), of("new")).Parts {
		counts[part.Action]++
	}
	if counts[engine.Delete] != n-1 || counts[engine.Create] != n-1 || counts[engine.NoOp] != 1 {
		t.Errorf("%v", counts)
	}
}
