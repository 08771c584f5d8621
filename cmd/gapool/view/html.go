package view

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"

	"github.com/gapool/gapool/engine"
)

var (
	//go:embed page/page.html
	pageText string
	//go:embed page/page.css
	pageStyle string
	//go:embed page/page.js
	pageScript string
)

const (
	// drawnNodes is how many blocks the page draws: more nobody looks at.
	drawnNodes = 150
	// pageDetails bounds the text of the attributes, in bytes.
	pageDetails = 8 << 20
)

type htmlPage struct {
	Title, Policy      string
	Style              template.CSS
	Script             template.JS
	Stack, Loud, Quiet string
	Nothing, Sums      string
	Sections           []htmlSection
	Losses             []string
	Unapproved         string
	Kinds              []htmlKind
	Changes            []htmlChange
	Cut                string
	Graph              template.HTML
	GraphWords         []diagramWords
	GraphLeft          string
	Outputs            []htmlLine
	Drift              []htmlChange
	DriftMeans         string
	Usage              []htmlUsage
	Kept, Notes        []string
	Digest             string
	Flags              []string
}

type htmlSection struct{ ID, Name string }

type htmlKind struct {
	Class, Name string
	N           int
}

type htmlChange struct {
	Class, Word, Name, Why string
	Lines                  []htmlLine
}

type htmlLine struct{ Class, Text string }

type htmlUsage struct {
	Provider string
	Rows     []usageRow
}

// HTML writes the plan as one page that needs nothing else, neither a network
// nor a script: that only finds by address and opens all. Its policy lets the
// browser run and fetch nothing but what is in it.
func (r Review) HTML(w io.Writer) error {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return err
	}
	style := pageStyle + svgStyle()
	p := &htmlPage{
		Style: template.CSS(style), Script: template.JS(pageScript),
		Policy: fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'", hashOf(style), hashOf(pageScript)),
		Digest: r.Digest, Flags: r.Flags,
	}
	p.fill(r.Plan)
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (h *htmlPage) fill(p *engine.Plan) {
	loud, quiet := headline(p)
	h.Stack, h.Loud, h.Quiet = oneLine(stackText(p)), strings.Join(loud, ", "), strings.Join(quiet, ", ")
	h.Title = "Plan: " + strings.Join(append(loud, quiet...), ", ")
	switch {
	case p.Empty():
		h.Nothing = whyNothing(p, false)
		if len(loud)+len(quiet) == 0 {
			h.Title = "Plan: no changes"
		}
	case p.Summary() != (engine.Summary{}):
		h.Sums = Sums(p, Style{})
		if c := conditional(p); c != "" {
			h.Sums += " " + c
		}
	}
	for _, text := range lossTexts(p) {
		h.Losses = append(h.Losses, oneLine(text))
	}
	h.Unapproved = oneLine(p.Unapproved)
	h.changes(p)
	if len(p.Changes) > 0 {
		var b bytes.Buffer
		d := planDiagram(p, true, drawnNodes)
		d.draw(&b, false)
		h.Graph = template.HTML(b.String()) // every text in it is escaped
		h.GraphWords = d.words()
		if d.left > 0 {
			h.GraphLeft = fmt.Sprintf("The %d that matter most are drawn, %d more are left out.", len(d.nodes), d.left)
		}
	}
	if rows := OutputChanges(p); len(rows) > 0 {
		h.Outputs = htmlLines(rowsDiff(rows))
	}
	for _, d := range p.Drift {
		x := htmlChange{Name: oneLine(d.Addr.String()), Why: oneLine(d.What)}
		if len(d.Differences) > 0 {
			x.Lines = htmlLines(blockDiff(engine.Update, header(d.Addr, d.Type.Name), driftRows(d)))
		}
		h.Drift = append(h.Drift, x)
	}
	h.DriftMeans = driftMeans(p)
	for _, u := range p.Usage() {
		if rows := usageRows(u); len(rows) > 0 {
			h.Usage = append(h.Usage, htmlUsage{u.Provider, rows})
		}
	}
	for _, o := range p.Kept {
		h.Kept = append(h.Kept, o.Kind+" "+strconv.Quote(o.Name))
	}
	for _, n := range append(notesOf(p), rollbackNotes(p)...) {
		h.Notes = append(h.Notes, oneLine(n))
	}
	h.sections()
}

func (h *htmlPage) changes(p *engine.Plan) {
	d := differ{}
	kinds := map[string]int{}
	room, cut := pageDetails, 0
	for _, e := range reviewEntries(p) {
		c := htmlChange{Class: diagramNode{action: e.action}.class(), Word: e.word, Name: oneLine(e.String()), Why: oneLine(e.why)}
		switch {
		case !d.compares(e):
		case room <= 0:
			cut++
		default:
			text := d.diff(e)
			room -= len(text)
			c.Lines = htmlLines(text)
		}
		kinds[c.Class]++
		h.Changes = append(h.Changes, c)
	}
	for _, k := range []htmlKind{
		{Class: "destroy", Name: "Destroyed"}, {Class: "replace", Name: "Replaced"}, {Class: "update", Name: "Updated"},
		{Class: "create", Name: "Created"}, {Class: "forget", Name: "Forgotten"}, {Class: "stay", Name: "Taken up or moved"},
	} {
		if k.N = kinds[k.Class]; k.N > 0 {
			h.Kinds = append(h.Kinds, k)
		}
	}
	if cut > 0 {
		h.Cut = fmt.Sprintf("The attributes of the last %d are left out here for length; gapool show PLANFILE has them.", cut)
	}
}

// sections are the links to what the page has.
func (h *htmlPage) sections() {
	for _, s := range []struct {
		there    bool
		id, name string
	}{
		{len(h.Losses) > 0, "loss", "Data loss"},
		{true, "changes", "Changes"},
		{h.Graph != "", "graph", "Graph"},
		{len(h.Outputs) > 0, "outputs", "Outputs"},
		{len(h.Drift) > 0, "drift", "Drift"},
		{len(h.Usage) > 0, "usage", "What it takes"},
		{len(h.Kept) > 0, "kept", "Kept"},
		{len(h.Notes) > 0, "notes", "Notes"},
	} {
		if s.there {
			h.Sections = append(h.Sections, htmlSection{s.id, s.name})
		}
	}
}

// htmlLines are the lines of a diff; the sign of an update is the plan's again.
func htmlLines(diff string) []htmlLine {
	var out []htmlLine
	for text := range strings.Lines(diff) {
		text = strings.TrimRight(text, "\n")
		l := htmlLine{Text: text}
		switch {
		case strings.HasPrefix(text, "+"):
			l.Class = "add"
		case strings.HasPrefix(text, "-"):
			l.Class = "del"
		case strings.HasPrefix(text, "!"):
			l.Class, l.Text = "mod", engine.Update.Symbol()+text[1:]
		}
		out = append(out, l)
	}
	return out
}
