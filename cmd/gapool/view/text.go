package view

import (
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-runewidth"

	"github.com/gapool/gapool/engine"
)

// columns is how wide text is. runewidth's own function asks the locale of whoever
// runs it about characters such as α and …, and a document must not.
func columns(text string) int {
	return (&runewidth.Condition{StrictEmojiNeutral: true}).StringWidth(text)
}

// writeNodes prints the parts of a group, depth levels in, as Terraform does:
// the sign in a gutter of four columns, the "=" of arguments in one column, a
// blank line before a run of blocks. Elements of a list end with a comma.
func writeNodes(w io.Writer, parts []Node, depth int, inList bool, s Style) {
	width := 0
	for _, n := range parts {
		if !n.Block {
			width = max(width, columns(n.Name))
		}
	}
	for i, n := range parts {
		if i > 0 && n.startsBlocks(parts[i-1]) {
			fmt.Fprintln(w)
		}
		n.write(w, width, depth, inList, s)
	}
}

// startsBlocks reports whether n is the first of the blocks of one name.
func (n Node) startsBlocks(before Node) bool {
	name, _, _ := strings.Cut(n.Name, " ")
	last, _, _ := strings.Cut(before.Name, " ")
	return n.Block && (!before.Block || name != last)
}

func (n Node) write(w io.Writer, width, depth int, inList bool, s Style) {
	note := ""
	if n.Note != "" {
		note = "# " + n.Note
		if strings.HasPrefix(n.Note, "forces replacement") {
			note = s.Red(note)
		} else {
			note = s.Faint(note)
		}
	}
	line := s.start(depth, n.Action)
	if n.Name == "" && n.Open == "" && n.Old == "" && n.New == "" {
		fmt.Fprintln(w, line+note)
		return
	}
	if note != "" {
		note = " " + note
	}
	comma := ""
	if inList {
		comma = ","
	}
	switch {
	case n.Block:
		line += n.Name + " "
	case n.Name != "":
		line += n.Name + strings.Repeat(" ", width-columns(n.Name)) + " = "
	}
	if n.Open == "" {
		fmt.Fprintln(w, line+n.leaf(s)+comma+note)
		return
	}
	if n.Action == engine.Update && n.Old != "" {
		line += n.Old + s.Yellow(" -> ")
	}
	fmt.Fprintln(w, line+n.Open+note)
	closing := map[string]string{byKey: "}", byPlace: "]", byLine: "EOT", byJSON: ")"}[n.Open]
	if lined(n.Open) {
		for _, p := range n.Parts {
			if n.Action != engine.Update {
				// All lines are alike: the sign before the name says it.
				p = Node{Action: s.inside(n.Action), Old: p.Old, New: p.Old + p.New}
			}
			writeLine(w, p, depth+1, s)
		}
	} else {
		writeNodes(w, n.Parts, depth+1, n.Open == byPlace, s)
	}
	if n.Action == engine.Delete && n.NullNote && !n.Block {
		closing += s.Faint(" -> null")
	}
	fmt.Fprintln(w, s.start(depth, s.inside(n.Action))+closing+comma)
}

// leaf is the text of what has no parts.
func (n Node) leaf(s Style) string {
	switch {
	case n.Action == engine.Delete && n.NullNote:
		return n.Old + s.Faint(" -> null")
	case n.Action == engine.Delete:
		return n.Old
	case n.Action == engine.Update && n.Old != n.New:
		return n.Old + s.Yellow(" -> ") + n.New
	default:
		return n.New
	}
}

// writeLine prints a line of a text of several lines.
func writeLine(w io.Writer, n Node, depth int, s Style) {
	text := n.New
	switch {
	case n.Note != "":
		text = s.Faint("# " + n.Note)
	case n.Action == engine.Delete:
		text = n.Old
	}
	line := s.start(depth, n.Action)
	if text == "" {
		line = strings.TrimRight(line, " ")
	}
	fmt.Fprintln(w, line+text)
}
