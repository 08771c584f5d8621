package view

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// SVG writes the diagram as a picture of its own, in dark and light.
func (d Diagram) SVG(w io.Writer) error {
	var b bytes.Buffer
	d.draw(&b, true)
	_, err := w.Write(b.Bytes())
	return err
}

// draw writes the svg element: alone, as a file, or as a part of a page that has
// the style.
func (d Diagram) draw(b *bytes.Buffer, alone bool) {
	boxes, lines, width, height := d.layout()
	namespace, style := "", ""
	if alone {
		namespace, style = ` xmlns="http://www.w3.org/2000/svg"`, "<style>"+svgStyle()+"</style>\n"
	}
	fmt.Fprintf(b, `<svg%s class="graph" role="img" aria-labelledby="graph-title" width="%d" height="%d" viewBox="0 0 %d %d">`+"\n", namespace, width, height, width, height)
	b.WriteString(style)
	fmt.Fprintf(b, "<title id=\"graph-title\">%s, an arrow leads from what refers to what is referred to</title>\n", xmlText(d.title()))
	b.WriteString(`<defs><marker id="graph-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="arrow" d="M0 0L8 4L0 8Z"/></marker></defs>` + "\n")
	for _, l := range lines {
		fmt.Fprintf(b, `<path class="edge" marker-end="url(#graph-arrow)" d="M%d %d`, l[0][0], l[0][1])
		for i := 1; i < len(l); i++ {
			middle := (l[i-1][0] + l[i][0]) / 2
			fmt.Fprintf(b, "C%d %d %d %d %d %d", middle, l[i-1][1], middle, l[i][1], l[i][0], l[i][1])
		}
		b.WriteString("\"/>\n")
	}
	for i, n := range d.nodes {
		x := boxes[i]
		class := "node"
		if c := n.class(); c != "" {
			class += " " + c
		}
		name := shorten(n.name, nameShown)
		fmt.Fprintf(b, `<g class="%s">`, class)
		if name != n.name {
			fmt.Fprintf(b, "<title>%s</title>", xmlText(n.name))
		}
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" rx="6"/>`, x.x, x.y, x.w, x.h)
		y := x.y + x.h/2 + 4
		if n.note != "" {
			y -= 8
			fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle" class="note">%s</text>`, x.x+x.w/2, y+16, xmlText(n.note))
		}
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%s</text></g>`+"\n", x.x+x.w/2, y, xmlText(name))
	}
	b.WriteString("</svg>\n")
}

// title says in a line what is drawn.
func (d Diagram) title() string {
	text := fmt.Sprintf("%s and %s", count(len(d.nodes), "node"), count(len(d.edges), "dependency"))
	text = strings.Replace(text, "dependencys", "dependencies", 1)
	if d.left > 0 {
		text += fmt.Sprintf(", %d more left out", d.left)
	}
	return text
}

func xmlText(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(Printable(text))) // a buffer takes all
	return b.String()
}

// svgStyle are the colours of the drawing; the HTML page has them too.
func svgStyle() string {
	var b strings.Builder
	b.WriteString(`.graph text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#1f2328}` +
		`.graph .note{font-size:11px;fill:#424a53}` +
		`.graph rect{fill:#f6f8fa;stroke:#6e7781}.graph .edge{fill:none;stroke:#6e7781}.graph .arrow{fill:#6e7781}`)
	for _, f := range fills {
		fmt.Fprintf(&b, ".graph .%s rect{fill:%s;stroke:%s}", f.class, f.fill, f.stroke)
	}
	b.WriteString(`@media(prefers-color-scheme:dark){` +
		`.graph .edge{stroke:#9198a1}.graph .arrow{fill:#9198a1}` +
		`.graph .node:not(.destroy,.replace,.update,.create,.forget) rect{fill:#161b22;stroke:#9198a1}` +
		`.graph .node:not(.destroy,.replace,.update,.create,.forget) text{fill:#e6edf3}}`)
	return b.String()
}

type box struct{ x, y, w, h int }

const (
	gapAcross = 56 // between two columns
	gapDown   = 14 // between two boxes of a column
	gapAround = 12
)

// cell is a place in a column: a box, or where a long edge passes by.
type cell struct {
	node int // -1 for an edge that passes
	h    int
	y    int // of its middle
	near [2][]*cell
}

// layout places the boxes in columns, what is referred to left of what refers
// to it, and returns the way of each edge. All is counted in whole pixels, so
// that it is the same on every machine.
func (d Diagram) layout() (boxes []box, lines [][][2]int, width, height int) {
	boxes = make([]box, len(d.nodes))
	linked := make([]bool, len(d.nodes))
	for _, e := range d.edges {
		linked[e[0]], linked[e[1]] = true, true
	}
	for i, n := range d.nodes {
		boxes[i].h = 30
		if n.note != "" {
			boxes[i].h = 44
		}
		letters := max(columns(shorten(n.name, nameShown)), columns(n.note))
		boxes[i].w = letters*15/2 + 20
	}
	column := d.columns()
	var columns [][]*cell
	put := func(at, node, h int) *cell {
		for len(columns) <= at {
			columns = append(columns, nil)
		}
		c := &cell{node: node, h: h}
		columns[at] = append(columns[at], c)
		return c
	}
	cells := make([]*cell, len(d.nodes))
	for i := range d.nodes {
		if linked[i] {
			cells[i] = put(column[i], i, boxes[i].h)
		}
	}
	ways := make([][]*cell, len(d.edges))
	for i, e := range d.edges {
		from, to := e[0], e[1]
		if column[from] < column[to] { // only in a circle
			from, to = to, from
		}
		way := []*cell{cells[from]}
		for at := column[from] - 1; at > column[to]; at-- {
			way = append(way, put(at, -1, 2))
		}
		way = append(way, cells[to])
		for k := 1; k < len(way); k++ {
			if way[k-1] == way[k] {
				continue
			}
			way[k].near[1] = append(way[k].near[1], way[k-1])
			way[k-1].near[0] = append(way[k-1].near[0], way[k])
		}
		if from != e[0] {
			slices.Reverse(way)
		}
		ways[i] = way
	}
	arrange(columns)

	left := make([]int, len(columns))
	right := make([]int, len(columns))
	width = gapAround
	top := math.MaxInt
	for i, col := range columns {
		widest := 0
		for _, c := range col {
			if c.node >= 0 {
				widest = max(widest, boxes[c.node].w)
			}
			top = min(top, c.y-c.h/2)
		}
		left[i], right[i] = width, width+widest
		width += widest + gapAcross
	}
	if len(columns) > 0 {
		width += gapAround - gapAcross
	}
	place := map[*cell]int{}
	for i, col := range columns {
		for _, c := range col {
			c.y += gapAround - top
			place[c] = i
			height = max(height, c.y+c.h/2)
			if c.node >= 0 {
				b := &boxes[c.node]
				b.x, b.y = left[i]+(right[i]-left[i]-b.w)/2, c.y-b.h/2
			}
		}
	}
	for _, way := range ways {
		var line [][2]int
		for k, c := range way {
			at := place[c]
			back := k > 0 && place[way[k-1]] < at // against the usual direction
			switch {
			case c.node < 0:
				ends := [][2]int{{right[at], c.y}, {left[at], c.y}}
				if back {
					slices.Reverse(ends)
				}
				line = append(line, ends...)
			case (k == 0) == (len(way) > 1 && place[way[0]] > place[way[1]]):
				line = append(line, [2]int{boxes[c.node].x, c.y})
			default:
				line = append(line, [2]int{boxes[c.node].x + boxes[c.node].w, c.y})
			}
		}
		lines = append(lines, line)
	}
	width, height = d.alone(boxes, linked, width, height)
	return boxes, lines, width, height + gapAround
}

// alone places the boxes without an edge below the others, in rows.
func (d Diagram) alone(boxes []box, linked []bool, width, height int) (int, int) {
	row := max(width-gapAround, 640)
	x, y := gapAround, height+gapAround
	for i := range boxes {
		if linked[i] {
			continue
		}
		b := &boxes[i]
		if x > gapAround && x+b.w > row {
			x, y = gapAround, y+b.h+gapDown
		}
		b.x, b.y = x, y
		x += b.w + gapDown
		width, height = max(width, b.x+b.w+gapAround), max(height, y+b.h)
	}
	return max(width, 2*gapAround), height
}

// columns returns for each node how many follow each other to the left of it
// at most. An edge that closes a circle does not count.
func (d Diagram) columns() []int {
	needs := make([][]int, len(d.nodes))
	for _, e := range d.edges {
		needs[e[0]] = append(needs[e[0]], e[1])
	}
	out := make([]int, len(d.nodes))
	const open, done = 1, 2
	seen := make([]int, len(d.nodes))
	var visit func(i int)
	visit = func(i int) {
		seen[i] = open
		for _, j := range needs[i] {
			if seen[j] == 0 {
				visit(j)
			}
			if seen[j] == done {
				out[i] = max(out[i], out[j]+1)
			}
		}
		seen[i] = done
	}
	for i := range d.nodes {
		if seen[i] == 0 {
			visit(i)
		}
	}
	return out
}

// arrange orders each column by the middle of its neighbours, to and fro, so
// that few edges cross, then moves the cells as near to them as the order lets.
func arrange(columns [][]*cell) {
	for _, col := range columns {
		y := 0
		for _, c := range col {
			c.y = y + c.h/2
			y += c.h + gapDown
		}
	}
	sweep := func(round int, f func(col []*cell, side int)) {
		for i := range columns {
			side := 0
			if round%2 == 1 {
				i, side = len(columns)-1-i, 1
			}
			f(columns[i], side)
		}
	}
	for round := range 8 {
		sweep(round, func(col []*cell, side int) {
			want := wishes(col, side)
			slices.SortStableFunc(col, func(a, b *cell) int { return want[a] - want[b] })
			y := 0
			for _, c := range col {
				c.y = y + c.h/2
				y += c.h + gapDown
			}
		})
	}
	for round := range 8 {
		sweep(round, func(col []*cell, side int) { settle(col, wishes(col, side)) })
	}
}

// wishes is where each cell would stand: in the middle of its neighbours on
// one side, or where it is.
func wishes(col []*cell, side int) map[*cell]int {
	out := make(map[*cell]int, len(col))
	for _, c := range col {
		out[c] = c.y
		if len(c.near[side]) > 0 {
			sum := 0
			for _, n := range c.near[side] {
				sum += n.y
			}
			out[c] = sum / len(c.near[side])
		}
	}
	return out
}

// settle brings the cells of a column as near to their wishes as their order
// and the space between them allow: cells that would overlap move together.
func settle(col []*cell, want map[*cell]int) {
	type group struct{ sum, n int }
	var groups []group
	offsets := make([]int, len(col))
	for i, c := range col {
		if i > 0 {
			offsets[i] = offsets[i-1] + (col[i-1].h+c.h)/2 + gapDown
		}
		g := group{want[c] - offsets[i], 1}
		for len(groups) > 0 {
			last := groups[len(groups)-1]
			if last.sum*g.n <= g.sum*last.n {
				break
			}
			g.sum, g.n = g.sum+last.sum, g.n+last.n
			groups = groups[:len(groups)-1]
		}
		groups = append(groups, g)
	}
	i := 0
	for _, g := range groups {
		for range g.n {
			col[i].y = g.sum/g.n + offsets[i]
			i++
		}
	}
}
