package view

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

// Diagram is a graph to be drawn: of a configuration, or of what a plan does
// to its blocks. It is sorted, so that it is drawn alike each time.
type Diagram struct {
	nodes []diagramNode
	edges [][2]int // from what refers to what is referred to
	left  int      // nodes that were left out
}

type diagramNode struct {
	name   string
	note   string        // "3 create, 1 destroy"; empty for a configuration
	action engine.Action // the most important one; empty for a configuration
}

// ConfigDiagram is the graph of a configuration.
func ConfigDiagram(g *engine.Graph) Diagram {
	var d Diagram
	at := map[string]int{}
	for i, n := range g.Nodes() {
		at[n] = i
		d.nodes = append(d.nodes, diagramNode{name: n})
	}
	for _, e := range g.Edges() {
		d.edges = append(d.edges, [2]int{at[e[0]], at[e[1]]})
	}
	return d
}

// PlanDiagram is the graph of what a plan does: a node for each resource block,
// with its instances and members counted.
func PlanDiagram(p *engine.Plan) Diagram { return planDiagram(p, true, 0) }

// planDiagram leaves out what stays as it is, unless it is wanted too, and all
// but the limit's most important blocks; 0 is no limit.
func planDiagram(p *engine.Plan, unchanged bool, limit int) Diagram {
	type block struct {
		addr  schema.Addr
		words map[string]int
		first int // place of its action in the order of importance
		deps  map[schema.Addr]bool
	}
	blocks := map[schema.Addr]*block{}
	of := func(c *engine.Change) *block {
		b := blocks[c.Addr.Block()]
		if b == nil {
			b = &block{addr: c.Addr.Block(), words: map[string]int{}, first: len(importance) - 1, deps: map[schema.Addr]bool{}}
			blocks[b.addr] = b
		}
		return b
	}
	for _, c := range p.Changes {
		b := of(c)
		for _, d := range c.Deps {
			b.deps[d.Block()] = true
		}
	}
	for _, e := range reviewEntries(p) {
		b := of(e.change)
		b.words[e.word]++
		b.first = min(b.first, slices.Index(importance, e.action))
	}
	var list []*block
	for _, b := range blocks {
		if unchanged || len(b.words) > 0 {
			list = append(list, b)
		}
	}
	byAddr := func(a, b *block) int { return schema.CompareAddr(a.addr, b.addr) }
	var d Diagram
	if limit > 0 && len(list) > limit {
		slices.SortFunc(list, func(a, b *block) int { return cmp.Or(cmp.Compare(a.first, b.first), byAddr(a, b)) })
		d.left = len(list) - limit
		list = list[:limit]
	}
	slices.SortFunc(list, byAddr)
	at := map[schema.Addr]int{}
	for i, b := range list {
		at[b.addr] = i
		var notes []string
		for _, word := range []string{"destroy", "replace", "update", "create", "forget", takeUp, "move"} {
			if n := b.words[word]; n > 1 {
				notes = append(notes, fmt.Sprintf("%s %d", word, n))
			} else if n == 1 {
				notes = append(notes, word)
			}
		}
		if len(notes) == 0 {
			notes = append(notes, "unchanged")
		}
		d.nodes = append(d.nodes, diagramNode{name: b.addr.String(), note: strings.Join(notes, ", "), action: importance[b.first]})
	}
	for i, b := range list {
		for dep := range b.deps {
			if j, ok := at[dep]; ok && i != j {
				d.edges = append(d.edges, [2]int{i, j})
			}
		}
	}
	slices.SortFunc(d.edges, func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
	return d
}

// words are the diagram as sentences, for who cannot see it.
func (d Diagram) words() []diagramWords {
	out := make([]diagramWords, len(d.nodes))
	for i, n := range d.nodes {
		out[i] = diagramWords{Name: Printable(n.name), Note: n.note}
	}
	for _, e := range d.edges {
		out[e[0]].To = append(out[e[0]].To, Printable(d.nodes[e[1]].name))
	}
	return out
}

type diagramWords struct {
	Name, Note string
	To         []string
}

// class is a node's kind of action, in a word that can name a class.
func (n diagramNode) class() string {
	switch {
	case n.action == "":
		return ""
	case n.action.Replaces():
		return "replace"
	case n.action == engine.NoOp:
		return "stay"
	default:
		return actionWords[n.action]
	}
}

// fills are the colours of the actions, light behind dark text.
var fills = []struct{ class, fill, stroke string }{
	{"destroy", "#ffd7d5", "#a40e26"},
	{"replace", "#ffe2b8", "#9a4a00"},
	{"update", "#fff5b8", "#7d5a00"},
	{"create", "#d3f5da", "#116329"},
	{"forget", "#e7e9ec", "#57606a"},
	{"stay", "#ffffff", "#8c959f"},
}

// Dot writes the diagram for Graphviz.
func (d Diagram) Dot(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintln(&b, "digraph {")
	fmt.Fprintln(&b, "  rankdir = \"RL\"")
	fmt.Fprintln(&b, "  node [shape = \"box\"]")
	for _, n := range d.nodes {
		fmt.Fprintf(&b, "  %s", dotQuote(n.name))
		for _, f := range fills {
			if f.class == n.class() {
				label := strings.TrimSuffix(dotQuote(n.name), `"`) + `\n` + n.note + `"`
				fmt.Fprintf(&b, " [label = %s, style = \"filled\", fillcolor = %q, color = %q]", label, f.fill, f.stroke)
			}
		}
		fmt.Fprintln(&b)
	}
	for _, e := range d.edges {
		fmt.Fprintf(&b, "  %s -> %s\n", dotQuote(d.nodes[e[0]].name), dotQuote(d.nodes[e[1]].name))
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

// Mermaid writes the diagram for Mermaid.
func (d Diagram) Mermaid(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintln(&b, "flowchart RL")
	classes := map[string][]string{}
	for i, n := range d.nodes {
		id := fmt.Sprintf("n%d", i)
		label := mermaidText(shorten(n.name, nameShown))
		if n.note != "" {
			label += "<br/>" + mermaidText(n.note)
		}
		fmt.Fprintf(&b, "  %s[\"%s\"]\n", id, label)
		classes[n.class()] = append(classes[n.class()], id)
	}
	for _, e := range d.edges {
		fmt.Fprintf(&b, "  n%d --> n%d\n", e[0], e[1])
	}
	for _, f := range fills {
		if ids := classes[f.class]; len(ids) > 0 {
			fmt.Fprintf(&b, "  classDef %s fill:%s,stroke:%s,color:#1f2328\n", f.class, f.fill, f.stroke)
			fmt.Fprintf(&b, "  class %s %s\n", strings.Join(ids, ","), f.class)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// mermaidText writes text for a label between quotes: whatever could mean
// something to Mermaid, or to HTML, as the number of its character.
func mermaidText(text string) string {
	var b strings.Builder
	for _, r := range Printable(text) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._-, ", r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}

// nameShown is how much of a long name a drawing shows.
const nameShown = 48

// shorten cuts what is longer than n characters, in the middle: the ends of
// addresses tell them apart.
func shorten(text string, n int) string {
	rs := []rune(text)
	if len(rs) <= n {
		return text
	}
	return string(rs[:n/2-1]) + "…" + string(rs[len(rs)-(n-n/2):])
}
