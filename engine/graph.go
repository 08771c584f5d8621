package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/gapool/gapool/schema"
)

// Graph says what in the configuration refers to what. It has a node for each
// variable, local, output, provider and resource block, and it has no cycle.
type Graph struct {
	nodes     []*node // sorted by name
	index     map[string]int
	sorted    []int
	resources map[schema.Addr][]schema.Addr // direct dependencies, through locals
	outputs   map[string][]schema.Addr      // likewise, by name
}

type node struct {
	name     string // "var.x", "local.x", "output.x", "provider.docker", or the block's address
	resource *schema.Resource
	needs    []int
	ranges   []hcl.Range // of the reference behind each need
}

// NewGraph builds the graph of the root module. A cycle is an error that names
// the file and line of each reference in it.
func NewGraph(cfg *schema.Config) (*Graph, hcl.Diagnostics) {
	m := cfg.Root
	traversals := map[string][]hcl.Traversal{}
	g := &Graph{index: map[string]int{}, resources: map[schema.Addr][]schema.Addr{}, outputs: map[string][]schema.Addr{}}
	add := func(n *node, ts []hcl.Traversal) {
		g.nodes = append(g.nodes, n)
		traversals[n.name] = ts
	}
	for name := range m.Variables {
		add(&node{name: "var." + name}, nil)
	}
	for name, l := range m.Locals {
		add(&node{name: "local." + name}, l.Expr.Variables())
	}
	for name, o := range m.Outputs {
		add(&node{name: "output." + name}, o.Traversals())
	}
	for key, p := range m.Providers {
		add(&node{name: "provider." + key}, p.Traversals())
	}
	for addr, r := range m.Resources {
		add(&node{name: addr.String(), resource: r}, r.Traversals())
	}
	slices.SortFunc(g.nodes, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	for i, n := range g.nodes {
		g.index[n.name] = i
	}

	var diags hcl.Diagnostics
	for _, n := range g.nodes {
		refs, more := schema.References(traversals[n.name])
		diags = append(diags, more...)
		for _, ref := range refs {
			g.connect(n, refNode(ref), ref.Range)
		}
		if n.resource != nil {
			g.connect(n, "provider."+n.resource.Provider, n.resource.Range)
		}
	}
	if diags.HasErrors() {
		return nil, diags
	}
	sorted, cycle := order(len(g.nodes), func(i int) []int { return g.nodes[i].needs })
	if cycle != nil {
		return nil, append(diags, g.cycleError(cycle))
	}
	g.sorted = sorted
	g.findDependencies()
	return g, diags
}

func refNode(ref schema.Ref) string {
	switch ref.Kind {
	case schema.RefVariable:
		return "var." + ref.Name
	case schema.RefLocal:
		return "local." + ref.Name
	case schema.RefResource:
		return ref.Addr.Block().String()
	default:
		return ""
	}
}

func (g *Graph) connect(n *node, to string, at hcl.Range) {
	i, ok := g.index[to]
	if !ok || slices.Contains(n.needs, i) {
		return
	}
	n.needs = append(n.needs, i)
	n.ranges = append(n.ranges, at)
}

// findDependencies follows references through locals, in topological order, so
// that each local is looked at once.
func (g *Graph) findDependencies() {
	through := make([]map[schema.Addr]bool, len(g.nodes))
	for _, i := range g.sorted {
		n := g.nodes[i]
		deps := map[schema.Addr]bool{}
		for _, j := range n.needs {
			if r := g.nodes[j].resource; r != nil {
				deps[r.Addr] = true
				continue
			}
			maps.Copy(deps, through[j])
		}
		through[i] = deps
		if n.resource != nil {
			g.resources[n.resource.Addr] = slices.SortedFunc(maps.Keys(deps), schema.CompareAddr)
		}
		if name, ok := strings.CutPrefix(n.name, "output."); ok && n.resource == nil {
			g.outputs[name] = slices.SortedFunc(maps.Keys(deps), schema.CompareAddr)
		}
	}
}

// Follow lets the first block of each pair come after the second, which it
// names by a word that is no reference, unless that one depends on it.
func (g *Graph) Follow(pairs [][2]schema.Addr) {
	if len(pairs) == 0 {
		return
	}
	for _, p := range pairs {
		block, named := g.index[p[0].String()], g.index[p[1].String()]
		if !g.reaches(named, block) {
			g.connect(g.nodes[block], g.nodes[named].name, g.nodes[block].resource.Range)
		}
	}
	g.sorted, _ = order(len(g.nodes), func(i int) []int { return g.nodes[i].needs })
	g.findDependencies()
}

// reaches reports whether a node needs another one, through others too, or is
// that one.
func (g *Graph) reaches(from, to int) bool {
	seen := map[int]bool{from: true}
	for open := []int{from}; len(open) > 0; open = open[1:] {
		if open[0] == to {
			return true
		}
		for _, i := range g.nodes[open[0]].needs {
			if !seen[i] {
				seen[i] = true
				open = append(open, i)
			}
		}
	}
	return false
}

// Resources returns the resource blocks, each after those it depends on.
func (g *Graph) Resources() []*schema.Resource {
	var out []*schema.Resource
	for _, i := range g.sorted {
		if r := g.nodes[i].resource; r != nil {
			out = append(out, r)
		}
	}
	return out
}

// Deps returns the resource blocks that a block refers to, sorted.
func (g *Graph) Deps(block schema.Addr) []schema.Addr { return g.resources[block] }

// OutputDeps returns the resource blocks that an output refers to, sorted.
func (g *Graph) OutputDeps(name string) []schema.Addr { return g.outputs[name] }

// Nodes returns the names of all nodes, sorted.
func (g *Graph) Nodes() []string {
	names := make([]string, len(g.nodes))
	for i, n := range g.nodes {
		names[i] = n.name
	}
	return names
}

// Edges returns each reference as from and to, sorted.
func (g *Graph) Edges() [][2]string {
	var out [][2]string
	for _, n := range g.nodes {
		for _, i := range n.needs {
			out = append(out, [2]string{n.name, g.nodes[i].name})
		}
	}
	slices.SortFunc(out, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	return out
}

func (g *Graph) cycleError(cycle []int) *hcl.Diagnostic {
	var b strings.Builder
	b.WriteString("These refer to each other in a circle, so none can be made first:\n")
	var first hcl.Range
	for k, i := range cycle {
		n, next := g.nodes[i], cycle[(k+1)%len(cycle)]
		at := n.ranges[slices.Index(n.needs, next)]
		if k == 0 {
			first = at
		}
		fmt.Fprintf(&b, "  %s refers to %s (%s:%d)\n", n.name, g.nodes[next].name, at.Filename, at.Start.Line)
	}
	b.WriteString("Remove one of these references.")
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Cycle", Detail: b.String(), Subject: &first}
}
