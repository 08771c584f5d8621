package view

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// isJSON reports whether a value is a string that is a JSON object or list.
func isJSON(v cty.Value) bool {
	_, ok := decoded(v)
	return ok
}

// decoded reads JSON in a string. Numbers stay as they are written: one such as
// 1e999999 is a number, too.
func decoded(v cty.Value) (doc any, ok bool) {
	if !text(v) {
		return nil, false
	}
	s := strings.TrimSpace(v.AsString())
	if s == "" || s[0] != '{' && s[0] != '[' || deep(s) || !json.Valid([]byte(s)) {
		return nil, false
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	return doc, d.Decode(&doc) == nil
}

// jsonLines reports whether the one of two values that is there, or both, is JSON
// on one line that is better read on several.
func jsonLines(before, after cty.Value) bool {
	v := after
	if none(v) {
		v = before
	}
	return isJSON(v) && kind(v) == "" && strings.Contains(jsonText(v), "\n")
}

// asJSON is the text of JSON as a value, nothing where there is none.
func asJSON(v cty.Value) cty.Value {
	if none(v) {
		return cty.NilVal
	}
	return cty.StringVal(jsonText(v))
}

// deep reports whether JSON may be nested so deeply that nobody reads it: its
// indentation alone would fill the memory.
func deep(s string) bool {
	depth := 0
	for _, r := range s {
		switch r {
		case '{', '[':
			if depth++; depth > 100 {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// jsonText is JSON in a string as lines of an expression of the language, keys
// in their order: white space and the order of keys are no difference.
func jsonText(v cty.Value) string {
	doc, _ := decoded(v)
	var b strings.Builder
	writeJSON(&b, doc, "")
	return b.String()
}

func writeJSON(b *strings.Builder, doc any, indent string) {
	inner := indent + "    "
	switch doc := doc.(type) {
	case map[string]any:
		if len(doc) == 0 {
			b.WriteString("{}")
			return
		}
		b.WriteString("{\n")
		for _, key := range slices.Sorted(maps.Keys(doc)) {
			name := key
			if !hclsyntax.ValidIdentifier(key) {
				name = strconv.Quote(key)
			}
			b.WriteString(inner + name + " = ")
			writeJSON(b, doc[key], inner)
			b.WriteString("\n")
		}
		b.WriteString(indent + "}")
	case []any:
		if len(doc) == 0 {
			b.WriteString("[]")
			return
		}
		b.WriteString("[\n")
		for _, e := range doc {
			b.WriteString(inner)
			writeJSON(b, e, inner)
			b.WriteString(",\n")
		}
		b.WriteString(indent + "]")
	case string:
		b.WriteString(strconv.Quote(doc))
	case nil:
		b.WriteString("null")
	default: // a bool, a json.Number
		fmt.Fprint(b, doc)
	}
}
