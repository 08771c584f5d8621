package view

import (
	"bytes"
	"fmt"
	"io"
	"strconv"

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
		fmt.Fprintf(&b, "  %s\n", strconv.Quote(n))
	}
	for _, e := range g.Edges() {
		fmt.Fprintf(&b, "  %s -> %s\n", strconv.Quote(e[0]), strconv.Quote(e[1]))
	}
	fmt.Fprintln(&b, "}")
	_, err := w.Write(b.Bytes())
	return err
}
