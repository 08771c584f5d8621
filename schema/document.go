package schema

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// WriteMarkdown writes the tables as the documentation of their types, in the
// order that they are given.
func WriteMarkdown(w io.Writer, types []*Type) error {
	b := bufio.NewWriter(w)
	for i, t := range types {
		if i > 0 {
			fmt.Fprintln(b)
		}
		fmt.Fprintf(b, "## %s\n\n%s\n", t.Name, t.Doc)
		if t.Addition {
			fmt.Fprint(b, "\nAn addition: Terraform's Docker provider does not have it.\n")
		}
		var arguments, computed []*Attr
		for i := range t.Attrs {
			if a := &t.Attrs[i]; a.Settable() {
				arguments = append(arguments, a)
			} else {
				computed = append(computed, a)
			}
		}
		writeAttrs(b, "Arguments", arguments)
		writeAttrs(b, "Computed", computed)
		if list := absentList(t.Absent); list != "" {
			fmt.Fprintf(b, "\nOf Terraform's Docker provider not there yet: %s.\n", list)
		}
	}
	return b.Flush()
}

func writeAttrs(b *bufio.Writer, heading string, attrs []*Attr) {
	if len(attrs) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### %s\n\n", heading)
	for _, a := range attrs {
		writeAttr(b, a, Update, "")
	}
}

// writeAttr writes a row; outer is what a change of the block around it does.
func writeAttr(b *bufio.Writer, a *Attr, outer Change, indent string) {
	remarks := a.remarks(outer)
	if indent != "" && !a.Settable() {
		remarks = append(remarks, "computed") // at the top these have a section of their own
	}
	fmt.Fprintf(b, "%s- `%s` (%s)", indent, a.Name, strings.Join(remarks, ", "))
	if a.Doc != "" {
		fmt.Fprintf(b, ": %s", strings.ReplaceAll(strings.TrimSpace(a.Doc), "\n", " "))
	}
	fmt.Fprintln(b)
	if a.Block != nil {
		for i := range a.Block.Attrs {
			writeAttr(b, &a.Block.Attrs[i], a.Change, indent+"  ")
		}
		if list := absentList(a.Block.Absent); list != "" {
			fmt.Fprintf(b, "%s  - not there yet: %s\n", indent, list)
		}
	}
}

func absentList(absent map[string]string) string {
	list := sortedKeys(absent)
	for i, name := range list {
		list[i] = "`" + name + "`"
	}
	return strings.Join(list, ", ")
}

func (a *Attr) remarks(outer Change) []string {
	var out []string
	if a.Block == nil {
		out = append(out, typeName(a.Type))
	} else {
		out = append(out, a.Block.noun())
	}
	if a.Unit != "" {
		out[0] += " in " + a.Unit
	}
	if a.Required {
		out = append(out, "required")
	}
	if a.Default != cty.NilVal && !a.Default.IsNull() {
		if js, err := ctyjson.Marshal(a.Default, a.Default.Type()); err == nil {
			out = append(out, "default `"+string(js)+"`")
		}
	}
	switch {
	case a.Change == Replace && outer != Replace && a.ReplaceIf == nil:
		out = append(out, "a change replaces")
	case a.Change == Replace && a.ReplaceIf != nil:
		out = append(out, "some changes replace")
	}
	if a.Since != "" {
		out = append(out, "needs API "+a.Since+" of the engine")
	}
	if a.Sensitive {
		out = append(out, "sensitive")
	}
	if a.Addition {
		out = append(out, "an addition")
	}
	return out
}

func (b *Block) noun() string {
	switch b.Nesting {
	case Single:
		return "block"
	case Map:
		return "blocks by " + b.Label
	default:
		return "blocks"
	}
}

func typeName(t cty.Type) string {
	switch {
	case t.IsListType():
		return "list of " + typeName(t.ElementType())
	case t.IsSetType():
		return "set of " + typeName(t.ElementType())
	case t.IsMapType():
		return "map of " + typeName(t.ElementType())
	default:
		return t.FriendlyName()
	}
}
