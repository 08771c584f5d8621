package view

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/fatih/color"

	"github.com/gapool/gapool/engine"
)

// Style colours words for a terminal. The zero Style leaves them as they are.
type Style struct {
	on bool
	// margin puts the signs into the first column, as a diff has them.
	margin bool
}

// NewStyle returns a Style that colours if on.
func NewStyle(on bool) Style { return Style{on: on} }

func (s Style) paint(text string, attrs ...color.Attribute) string {
	if !s.on || text == "" {
		return text
	}
	c := color.New(attrs...)
	c.EnableColor()
	return c.Sprint(text)
}

// Bold, Red, Green, Yellow, Cyan and Faint colour their text.
func (s Style) Bold(text string) string   { return s.paint(text, color.Bold) }
func (s Style) Red(text string) string    { return s.paint(text, color.FgRed) }
func (s Style) Green(text string) string  { return s.paint(text, color.FgGreen) }
func (s Style) Yellow(text string) string { return s.paint(text, color.FgYellow) }
func (s Style) Cyan(text string) string   { return s.paint(text, color.FgCyan) }
func (s Style) Faint(text string) string  { return s.paint(text, color.FgHiBlack) }

// Loud is for what must not be overlooked.
func (s Style) Loud(text string) string { return s.paint(text, color.FgRed, color.Bold) }

// symbol returns an action's sign, coloured.
func (s Style) symbol(a engine.Action) string {
	switch a {
	case engine.Create:
		return s.Green("+")
	case engine.Delete:
		return s.Red("-")
	case engine.Update:
		return s.Yellow("~")
	case engine.Replace:
		return s.Red("-") + "/" + s.Green("+")
	case engine.ReplaceFirst:
		return s.Green("+") + "/" + s.Red("-")
	default:
		return a.Symbol()
	}
}

// gutter is the action's sign in the four columns before a line.
func (s Style) gutter(a engine.Action) string {
	sign := a.Symbol()
	switch len(sign) {
	case 3:
		return s.symbol(a) + " "
	default:
		return "  " + s.symbol(a) + " "
	}
}

// PrintableLines is Printable of each line of a text.
func PrintableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = Printable(l)
	}
	return strings.Join(lines, "\n")
}

// start is what stands before a line: the action's sign, and depth levels of
// indentation.
func (s Style) start(depth int, a engine.Action) string {
	indent := strings.Repeat("    ", depth)
	if !s.margin {
		return indent + s.gutter(a)
	}
	sign := a.Symbol()
	if a == engine.Update {
		sign = "!"
	}
	return sign + " " + indent
}

// inside is the action of what a group has besides its parts: its last bracket
// and the lines of a text. Terraform gives them no sign; in a diff a line
// without one would be there before and after.
func (s Style) inside(group engine.Action) engine.Action {
	if s.margin && (group == engine.Create || group == engine.Delete) {
		return group
	}
	return engine.NoOp
}

var escapes = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]")

// Printable returns text without what would move a terminal's cursor or change
// its colours: what comes from a log or a label is not trusted. Tabs stay.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return -1
		}
		return r
	}, escapes.ReplaceAllString(text, ""))
}
