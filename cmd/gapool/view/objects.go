package view

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// Record prints what the state knows of an address. t is the table of its
// objects, nil where no provider has it any more.
func Record(w io.Writer, rec *state.Record, t *schema.Type, s Style) error {
	var b bytes.Buffer
	title := "# " + rec.Addr.String() + ":"
	if rec.Current != nil && rec.Current.Status == state.Tainted {
		title += " (tainted: it will be replaced)"
	}
	fmt.Fprintln(&b, s.Bold(title))
	fmt.Fprintf(&b, "%s {\n", header(rec.Addr, rec.Kind))
	writeNodes(&b, recorded(rec, t), 0, false, s)
	fmt.Fprintln(&b, "}")
	for _, o := range rec.Others {
		fmt.Fprintf(&b, "# and a left-over %s, %s\n", o.Name, shortID(o.ID))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func recorded(rec *state.Record, t *schema.Type) []Node {
	vals := map[string]cty.Value{}
	if t != nil {
		vals = engine.StoredValue(t, rec)
	}
	var rows []Node
	if o := rec.Current; o != nil {
		for name, v := range map[string]string{"id": o.ID, "name": o.Name} {
			if vals[name] == cty.NilVal {
				rows = append(rows, unchangedNodes(&schema.Attr{Name: name}, cty.StringVal(v))...)
			}
		}
	}
	if t != nil {
		for _, a := range inOrder(t.Attrs) {
			if v := vals[a.Name]; v != cty.NilVal && !none(v) {
				rows = append(rows, unchangedNodes(a, v)...)
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b Node) int {
		if a.Block != b.Block {
			if a.Block {
				return 1
			}
			return -1
		}
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		default:
			return 0
		}
	})
	return rows
}

func unchangedNodes(a *schema.Attr, v cty.Value) []Node { return attrNodes(a, v, v) }

// Records prints what show prints: the records in the order of their addresses,
// then the outputs. typeOf finds a table by its name.
func Records(w io.Writer, st *state.State, typeOf func(string) *schema.Type, outputs map[string]Output, s Style) error {
	var b bytes.Buffer
	for i, addr := range st.Addrs() {
		if i > 0 {
			fmt.Fprintln(&b)
		}
		rec := st.Records[addr]
		if err := Record(&b, rec, typeOf(rec.Kind), s); err != nil {
			return err
		}
	}
	if len(outputs) > 0 {
		fmt.Fprintf(&b, "\n\nOutputs:\n\n")
		if err := Outputs(&b, maps.Clone(outputs)); err != nil {
			return err
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
