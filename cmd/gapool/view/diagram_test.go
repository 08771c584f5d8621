package view

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
	"pgregory.net/rapid"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

// linked is a plan whose blocks refer to each other.
func linked(t *testing.T) *engine.Plan {
	t.Helper()
	p := &engine.Plan{Stack: "genetic"}
	change := func(a string, action engine.Action, deps ...string) {
		ty := container
		if strings.HasPrefix(a, "docker_volume") {
			ty = volume
		}
		c := &engine.Change{Addr: addr(t, a), Type: ty, Action: action, Before: cty.NullVal(ty.Implied()), After: cty.NullVal(ty.Implied())}
		if action != engine.Create {
			c.Before, c.Object = ty.Build(set{"name": str(c.Addr.Name)}), object(ty.Name, c.Addr.Name)
		}
		if action != engine.Delete {
			c.After = ty.Build(set{"name": str(c.Addr.Name)})
		}
		for _, d := range deps {
			c.Deps = append(c.Deps, addr(t, d))
		}
		p.Changes = append(p.Changes, c)
	}
	change("docker_container.db", engine.Replace, "docker_image.db", "docker_network.pool", "docker_volume.data")
	change("docker_container.lonely", engine.Delete)
	change("docker_container.proxy", engine.Update, "docker_container.web", "docker_network.pool")
	for i := range 3 {
		change(fmt.Sprintf("docker_container.web[%d]", i), engine.Create, "docker_container.db", "docker_image.app", "docker_network.pool")
	}
	change("docker_image.app", engine.Create)
	change("docker_image.db", engine.NoOp)
	change("docker_network.pool", engine.NoOp)
	change("docker_volume.data", engine.ReplaceFirst)
	change("ray_cluster.pool.head", engine.Create, "docker_image.app", "docker_network.pool")
	change(`ray_cluster.pool.worker["cpu"][0]`, engine.Create, "docker_image.app", "docker_network.pool")
	return p
}

func TestDiagrams(t *testing.T) {
	d := PlanDiagram(linked(t))
	golden(t, "graph-plan.dot", printed(t, d.Dot))
	golden(t, "graph-plan.mermaid", printed(t, d.Mermaid))
	golden(t, "graph-plan.svg", printed(t, d.SVG))
	if d := planDiagram(linked(t), false, 2); d.left != 5 || d.nodes[0].name != "docker_container.db" || d.nodes[1].name != "docker_container.lonely" {
		t.Errorf("of the most important blocks these are there: %v, %d are not", d.nodes, d.left)
	}
	if d := planDiagram(&engine.Plan{}, true, 0); !strings.Contains(printed(t, d.SVG), "0 nodes") {
		t.Error("an empty plan is not drawn")
	}
}

func TestDrawingsInterpretNothing(t *testing.T) {
	name := "x\"]:::y <script>&--> \\n\x1b[31m`*a*`"
	d := Diagram{nodes: []diagramNode{{name: name, note: name, action: engine.Delete}, {name: strings.Repeat(name, 9)}}, edges: [][2]int{{0, 1}}}
	svg := printed(t, d.SVG)
	for dec := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("it is no XML: %v", err)
		}
		if el, ok := token.(xml.StartElement); ok && el.Name.Local == "script" {
			t.Error("a name has become a script")
		}
	}
	for _, line := range strings.Split(printed(t, d.Mermaid), "\n") {
		if label, ok := strings.CutPrefix(line, `  n0["`); ok && strings.ContainsAny(strings.TrimSuffix(strings.ReplaceAll(label, "<br/>", ""), `"]`), "\"<>[]`*&\\") {
			t.Errorf("a label has more than text: %s", line)
		}
	}
}

// Whatever refers to what, no box lies on another one and all are in the
// picture; an arrow leads to the left, unless there is a circle.
func TestLayoutKeepsBoxesApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 25).Draw(t, "nodes")
		var d Diagram
		for i := range n {
			d.nodes = append(d.nodes, diagramNode{name: strings.Repeat("x", rapid.IntRange(1, 60).Draw(t, "letters")), note: rapid.SampledFrom([]string{"", "create"}).Draw(t, "note"), action: engine.Create})
			for range rapid.IntRange(0, 3).Draw(t, "needs") {
				if i > 0 {
					d.edges = append(d.edges, [2]int{i, rapid.IntRange(0, i-1).Draw(t, "on")})
				}
			}
		}
		circle := n > 1 && rapid.Bool().Draw(t, "circle")
		if circle {
			d.edges = append(d.edges, [2]int{0, n - 1})
		}
		boxes, lines, width, height := d.layout()
		for i, a := range boxes {
			if a.x < 0 || a.y < 0 || a.x+a.w > width || a.y+a.h > height {
				t.Fatalf("box %d is outside of the picture: %+v in %d×%d", i, a, width, height)
			}
			for j, b := range boxes[:i] {
				if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
					t.Fatalf("box %d lies on box %d: %+v, %+v", i, j, a, b)
				}
			}
		}
		for i, l := range lines {
			from, to := boxes[d.edges[i][0]], boxes[d.edges[i][1]]
			first, last := l[0], l[len(l)-1]
			if first[0] != from.x && first[0] != from.x+from.w || last[0] != to.x && last[0] != to.x+to.w {
				t.Fatalf("edge %d does not lead from box to box: %v, %+v, %+v", i, l, from, to)
			}
			if !circle && last[0] >= first[0] {
				t.Fatalf("edge %d leads to the right: %v", i, l)
			}
		}
	})
}

// A thousand blocks are drawn in a moment, and alike each time.
func TestLayoutOfManyNodes(t *testing.T) {
	var d Diagram
	for i := range 1000 {
		d.nodes = append(d.nodes, diagramNode{name: schema.Addr{Type: "docker_container", Name: fmt.Sprint("x", i)}.String()})
		if i > 0 {
			d.edges = append(d.edges, [2]int{i, (i - 1) / 3}, [2]int{i, i * 7 % i})
		}
	}
	once, again := printed(t, d.SVG), printed(t, d.SVG)
	if once != again {
		t.Error("drawn twice, it is two pictures")
	}
}
