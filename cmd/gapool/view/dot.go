package view

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/gapool/gapool/engine"
)

// Dot prints the configuration's graph for Graphviz: an arrow leads from what
// refers to what is referred to.
func Dot(w io.Writer, g *engine.Graph) error {
	var b bytes.Buffer
	fmt.Fprintln(&b, "digraph {")
	fmt.Fprintln(&b, "  rankdir = \"RL\"")
	fmt.Fprintln(&b, "  node [shape = \"box\"]")
	for _, n := range g.Nodes() {
		fmt.Fprintf(&b, "  %s\n", dotQuote(n))
	}
	for _, e := range g.Edges() {
		fmt.Fprintf(&b, "  %s -> %s\n", dotQuote(e[0]), dotQuote(e[1]))
	}
	fmt.Fprintln(&b, "}")
	_, err := w.Write(b.Bytes())
	return err
}

// dotQuote writes a name as DOT's language wants it, in which only the quote
// needs a backslash.
func dotQuote(name string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(name, `\`, `\\`), `"`, `\"`) + `"`
}
