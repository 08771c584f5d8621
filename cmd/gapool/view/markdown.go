package view

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

// markdownLimit is what a comment may be long, in bytes: GitHub's are up to
// 65,536 characters, and whoever posts it may want a line of their own.
const markdownLimit = 60_000

// Budgets of the parts, in bytes, as far as those before them leave room. What
// is left over of the whole limit is for the details.
const (
	footRoom      = 3_000 // kept for the last lines and for headings
	headBudget    = 1_000
	lossBudget    = 4_000
	loudBudget    = 18_000 // rows of what is destroyed or replaced
	namesBudget   = 45_000 // their names alone, where the rows are too many
	quietBudget   = 8_000  // the other rows
	takenBudget   = 1_000  // of rows of what is taken up, where the others have used up theirs
	driftBudget   = 4_000
	outputBudget  = 3_000
	keptBudget    = 2_000
	noteBudget    = 3_000
	usageBudget   = 3_000
	diagramBudget = 8_000
	detailBudget  = 8_000 // of one change
	leastDetail   = 200   // no change is told in less
	missesEnough  = 1_000 // after so many that did not fit no other is tried
	diagramNodes  = 60
	rowsEach      = 50  // more rows are folded: nobody reads them one by one
	nameWidth     = 400 // of a long address, in a row of its own
)

// Markdown writes the plan as a comment for a pull request: what is destroyed
// comes first, and what would make it too long goes first. The text depends on
// the plan alone.
func (r Review) Markdown(w io.Writer) error {
	m := &markdown{p: r.Plan, entries: reviewEntries(r.Plan)}
	m.head()
	m.losses()
	m.table()
	details := len(m.parts)
	m.parts = append(m.parts, "")
	m.outputs()
	m.drift()
	m.kept()
	m.notes()
	m.usage()
	m.diagram()
	m.foot(r)
	m.parts[details] = m.details(markdownLimit - m.size() - footRoom)
	_, err := io.WriteString(w, m.String())
	return err
}

type markdown struct {
	p       *engine.Plan
	entries []entry
	parts   []string
	left    []string // what was left out
}

// String is the parts, with what was left out before the last one.
func (m *markdown) String() string {
	parts := m.parts
	if len(m.left) > 0 {
		note := "_Left out here for length: " + strings.Join(m.left, "; ") + ". `gapool show PLANFILE` has it all._"
		last := len(parts) - 1
		parts = append(append(append([]string{}, parts[:last]...), note), parts[last])
	}
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, strings.TrimRight(p, "\n"))
		}
	}
	return strings.Join(kept, "\n\n") + "\n"
}

func (m *markdown) add(text string) { m.parts = append(m.parts, text) }

func (m *markdown) size() int {
	n := 0
	for _, p := range m.parts {
		n += len(p) + 2
	}
	return n
}

// room is what a part may be long of which its budget is known.
func (m *markdown) room(budget int) int {
	return max(0, min(budget, markdownLimit-footRoom-m.size()))
}

// addWithin adds a part unless it is much longer than its budget, as a fence is
// around thousands of backticks.
func (m *markdown) addWithin(text string, budget int, what string) {
	if len(text) > m.room(budget+500) {
		m.left = append(m.left, what)
		return
	}
	m.add(text)
}

func (m *markdown) head() {
	loud, quiet := headline(m.p)
	text := "### "
	if len(loud) > 0 {
		text += "⚠️ **" + strings.Join(loud, ", ") + "**"
		if len(quiet) > 0 {
			text += ", "
		}
	}
	text += strings.Join(quiet, ", ")
	if len(loud)+len(quiet) == 0 {
		text += "No changes"
	}
	if m.p.Stack != "" {
		text += " in <code>" + proseWithin(stackText(m.p), headBudget) + "</code>"
	}
	m.add(text)
	switch {
	case m.p.Empty():
		m.add("**No changes.** " + whyNothing(m.p, false))
	case m.p.Summary() != (engine.Summary{}):
		text := Sums(m.p, Style{})
		if c := conditional(m.p); c != "" {
			text += " " + c
		}
		m.add(text)
	}
}

func (m *markdown) losses() {
	if len(m.p.DataLoss) > 0 {
		title := "> **DATA WILL BE LOST, and no apply can bring it back:**\n>\n"
		if n := len(m.p.DataLoss); n > 1 {
			title = fmt.Sprintf("> **THE DATA OF %d VOLUMES WILL BE LOST, and no apply can bring it back:**\n>\n", n)
		}
		lines := lossTexts(m.p)
		for i, text := range lines {
			lines[i] = "> - " + code(text)
		}
		if len(lines) > rowsEach || size(lines) > lossBudget {
			lines = nil
			for _, s := range spansOf(m.p.DataLoss) {
				lines = append(lines, "> - "+code(shorten(s.text(false), nameWidth))+s.times())
			}
		}
		m.add(title + m.cut(lines, lossBudget, "rows of volumes whose data is lost"))
	}
	if m.p.Unapproved != "" {
		m.add("> **Without somebody to ask, this plan cannot be applied:** " + proseWithin(m.p.Unapproved, lossBudget))
	}
}

func size(lines []string) int {
	n := 0
	for _, l := range lines {
		n += len(l) + 1
	}
	return n
}

// cut joins lines as far as the budget goes and says how many more there are.
func (m *markdown) cut(lines []string, budget int, what string) string {
	text, left := within(lines, m.room(budget))
	if left > 0 {
		m.left = append(m.left, fmt.Sprintf("%d %s", left, what))
	}
	return text
}

// within joins lines of so many bytes and counts the others.
func within(lines []string, budget int) (text string, left int) {
	n := 0
	for i, l := range lines {
		if n += len(l) + 1; n > budget {
			lines, left = lines[:i], len(lines)-i
			break
		}
	}
	if len(lines) == 0 {
		return "", left
	}
	return strings.Join(lines, "\n") + "\n", left
}

// table is a row for each resource. Where they are too many, rows are folded
// that differ in a number or a key only; then the reasons go, then the rows: of
// what is destroyed or replaced all names are told, of the rest as much as there
// is room for.
func (m *markdown) table() {
	if len(m.entries) == 0 {
		return
	}
	var loud, quiet, taken []entry
	for _, e := range m.entries {
		switch {
		case e.loud():
			loud = append(loud, e)
		case e.word == takeUp:
			taken = append(taken, e)
		default:
			quiet = append(quiet, e)
		}
	}
	const head = "| | resource | why |\n|---|---|---|\n"
	first, fits := foldedRows(loud, 3, m.room(loudBudget))
	if !fits {
		m.names(loud)
		first = nil
	}
	rows := m.rows(first, loudBudget) + m.rows(m.quiet(quiet, quietBudget), quietBudget)
	if rows != "" {
		m.add(head + rows)
	}
	// A runner without a state takes up all that stays as it is: that is not
	// what a reviewer has to read first.
	if len(taken) > 0 {
		m.add(section(fmt.Sprintf("%d taken up as they are", len(taken)), head+m.rows(m.quiet(taken, takenBudget), takenBudget)))
	}
}

// quiet are the rows of what takes nothing away, folded until they fit or no
// more can be.
func (m *markdown) quiet(es []entry, budget int) []row {
	rows, _ := foldedRows(es, 4, m.room(budget))
	return rows
}

func foldedRows(es []entry, folds, budget int) (rows []row, fits bool) {
	least := 0
	if len(es) > rowsEach {
		least = 1
	}
	for fold := least; fold < folds; fold++ {
		rows = rowsFolded(es, fold)
		n := 0
		for _, r := range rows {
			n += len(r.text) + 1
		}
		if n <= budget {
			return rows, true
		}
	}
	return rows, false
}

func (m *markdown) rows(rows []row, budget int) string {
	budget = m.room(budget)
	var b strings.Builder
	var left omitted
	for _, r := range rows {
		if b.Len()+len(r.text)+1 > budget {
			left.add(r.word, r.n)
			continue
		}
		b.WriteString(r.text + "\n")
	}
	if len(left) > 0 {
		m.left = append(m.left, "the rows of "+left.String())
	}
	return b.String()
}

// names tell what is destroyed or replaced where rows of it would be too long.
// Where even that is, each group has as many as all can have.
func (m *markdown) names(es []entry) {
	type group struct {
		*span
		word, sign string
		parts      []part
	}
	var groups []group
	most := 0
	total := map[string]int{}
	for _, word := range []struct{ word, sign string }{{"destroy", "-"}, {"replace", "-/+"}} {
		var addrs []schema.Addr
		for _, e := range es {
			if e.word == word.word {
				addrs = append(addrs, e.change.Addr)
			}
		}
		total[word.word] = len(addrs)
		for _, s := range spansOf(addrs) {
			groups = append(groups, group{s, word.word, word.sign, s.parts()})
			most = max(most, len(groups[len(groups)-1].parts))
		}
	}
	budget := m.room(namesBudget)
	for ; ; most = most * 9 / 10 {
		var b strings.Builder
		var left omitted
		told := ""
		for _, g := range groups {
			if g.word != told {
				told = g.word
				fmt.Fprintf(&b, "%s %d to %s:\n", g.sign, total[told], told)
			}
			lines := g.lines(g.sign, g.parts, most)
			if most == 0 && b.Len()+len(lines) > budget {
				left.add(g.word, g.n)
				continue
			}
			b.WriteString(lines)
		}
		if most > 0 && b.Len() > budget {
			continue
		}
		if len(left) > 0 {
			m.left = append(m.left, "the names of "+left.String())
		}
		m.add(fenced("diff", b.String()))
		return
	}
}

// row is one of the table, of n entries.
type row struct {
	text, word string
	n          int
}

// omitted counts by word, in the order in which the words came.
type omitted []row

func (t *omitted) add(word string, n int) {
	for i := range *t {
		if (*t)[i].word == word {
			(*t)[i].n += n
			return
		}
	}
	*t = append(*t, row{word: word, n: n})
}

func (t omitted) String() string {
	var parts []string
	for _, r := range t {
		parts = append(parts, fmt.Sprintf("%d to %s", r.n, r.word))
	}
	return strings.Join(parts, ", ")
}

// rowsFolded returns rows: each entry on its own; folded where all but a number
// or key is the same; without the reasons; without the keys.
func rowsFolded(es []entry, fold int) []row {
	type like struct {
		word, why, extra string
		place            schema.Addr
		one              int
	}
	var order []like
	spans := map[like]*span{}
	for i, e := range es {
		l := like{word: e.word, why: e.why}
		if e.extra != nil {
			l.extra = e.extra.Target.Name
		}
		if l.place, _, _, _ = spanOf(e.change.Addr); fold == 0 {
			l.one = i
		}
		if fold >= 1 && l.extra != "" {
			l.extra = "objects"
		}
		if fold >= 2 {
			l.why = ""
		}
		if spans[l] == nil {
			spans[l] = &span{}
			order = append(order, l)
		}
		spans[l].add(e.change.Addr)
	}
	lines := make([]row, len(order))
	for i, l := range order {
		s := spans[l]
		word := l.word
		if word == "destroy" || word == "replace" {
			word = "**" + word + "**"
		}
		text := s.text(fold >= 3)
		if s.n == 1 {
			text = shorten(text, nameWidth)
		}
		text = code(text) + s.times()
		if l.extra != "" {
			text += " left-over " + code(l.extra)
		}
		lines[i] = row{fmt.Sprintf("| %s | %s | %s |", word, text, prose(shorten(l.why, nameWidth))), l.word, s.n}
	}
	return lines
}

// details are the folded differences of each change, as many as have room.
func (m *markdown) details(room int) string {
	var b strings.Builder
	var left omitted
	missed := 0
	d := differ{}
	for _, e := range m.entries {
		if !d.compares(e) {
			continue
		}
		text := ""
		if b.Len()+leastDetail < room && missed < missesEnough {
			text = section("<b>"+e.word+"</b> <code>"+htmlText(shorten(e.String(), nameWidth))+"</code>", fenced("diff", limitLines(d.diff(e), detailBudget)))
		}
		if text == "" || b.Len()+len(text) > room {
			left.add(e.word, 1)
			missed++
			d.forget(e)
			continue
		}
		b.WriteString(text)
	}
	if len(left) > 0 {
		m.left = append(m.left, "the attributes of "+left.String())
	}
	return b.String()
}

func (m *markdown) outputs() {
	if rows := OutputChanges(m.p); len(rows) > 0 {
		m.addWithin("**Changes to outputs**\n\n"+fenced("diff", limitLines(rowsDiff(rows), m.room(outputBudget))), outputBudget, count(len(rows), "output"))
	}
}

func (m *markdown) drift() {
	if len(m.p.Drift) == 0 {
		return
	}
	var lines []string
	var diffs strings.Builder
	for _, d := range m.p.Drift {
		lines = append(lines, "- "+code(d.Addr.String())+" "+prose(d.What))
		if len(d.Differences) > 0 {
			diffs.WriteString(blockDiff(engine.Update, header(d.Addr, d.Type.Name), driftRows(d)))
		}
	}
	text := "**Changed outside of gapool.** " + driftMeans(m.p) + "\n\n" + m.cut(lines, driftBudget/2, "drifted objects")
	if diffs.Len() > 0 {
		text += "\n" + section("what differs", fenced("diff", limitLines(diffs.String(), m.room(driftBudget/2))))
	}
	m.addWithin(text, driftBudget, "the drift")
}

func (m *markdown) kept() {
	if len(m.p.Kept) == 0 {
		return
	}
	var lines []string
	for _, o := range m.p.Kept {
		lines = append(lines, "- "+code(o.Kind+" "+strconv.Quote(o.Name)))
	}
	m.add("**Kept**, though no configuration names them:\n\n" + m.cut(lines, keptBudget, "kept objects"))
}

func (m *markdown) notes() {
	var lines []string
	for _, n := range append(notesOf(m.p), rollbackNotes(m.p)...) {
		lines = append(lines, "- "+prose(n))
	}
	if len(lines) > 0 {
		m.add("**Notes**\n\n" + m.cut(lines, noteBudget, "notes"))
	}
}

func (m *markdown) usage() {
	if m.p.Empty() {
		return
	}
	var tables []string
	left, room := 0, m.room(usageBudget)
	for _, u := range m.p.Usage() {
		rows := usageRows(u)
		if len(rows) == 0 {
			continue
		}
		lines := []string{"| on " + code(u.Provider) + " | now | at the peak | after | there is |", "|---|---|---|---|---|"}
		head := len(lines)
		for _, r := range rows {
			lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s | %s |", r.What, prose(r.Now), prose(r.Peak), prose(r.After), prose(r.Has)))
		}
		table, cut := within(lines, room)
		left += min(cut, len(rows))
		if len(lines)-cut > head {
			tables = append(tables, table)
			room -= len(table) + 1
		}
	}
	if left > 0 {
		m.left = append(m.left, fmt.Sprintf("%d rows of what it takes", left))
	}
	if len(tables) > 0 {
		m.add("**What it takes**, as limits\n\n" + strings.Join(tables, "\n"))
	}
}

func (m *markdown) diagram() {
	if m.p.Summary() == (engine.Summary{}) {
		return
	}
	for nodes := diagramNodes; nodes > 0; nodes /= 2 {
		d := planDiagram(m.p, false, nodes)
		var b strings.Builder
		_ = d.Mermaid(&b) // a builder takes all
		if b.Len() > m.room(diagramBudget) {
			continue
		}
		if d.left > 0 {
			m.left = append(m.left, fmt.Sprintf("%d resources of the graph", d.left))
		}
		m.add(section("graph of what changes", fenced("mermaid", b.String())))
		return
	}
}

func (m *markdown) foot(r Review) {
	with := ""
	if len(r.Flags) > 0 {
		with = " with the flags of the plan (" + strings.Join(r.Flags, ", ") + ")"
	}
	m.add("Digest of this plan: `" + r.Digest + "`. `gapool apply -digest=" + r.Digest + "`" + with + " does this and nothing else.")
}

// section is a part that a reader opens. Its summary is HTML.
func section(summary, body string) string {
	return "<details><summary>" + summary + "</summary>\n\n" + body + "\n</details>\n"
}

// fenced is a block of text in which nothing is interpreted: its fence is
// longer than any in it.
func fenced(language, text string) string {
	longest, now := 2, 0
	for _, r := range text {
		if now++; r != '`' {
			now = 0
		}
		longest = max(longest, now)
	}
	fence := strings.Repeat("`", longest+1)
	return fence + language + "\n" + strings.TrimRight(text, "\n") + "\n" + fence + "\n"
}

// limitLines cuts whole lines, and the ends of very long ones.
func limitLines(text string, budget int) string {
	if len(text) <= budget {
		return text
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	var b strings.Builder
	for i, l := range lines {
		if len(l) > 500 {
			l = shortenBoth(l)
		}
		if b.Len()+len(l)+1 > budget-40 {
			fmt.Fprintf(&b, "  … and %s\n", count(len(lines)-i, "more line"))
			break
		}
		b.WriteString(l + "\n")
	}
	return b.String()
}

// shortenBoth shortens a line, and where it has an old and a new text both.
func shortenBoth(line string) string {
	const arrow = `" -> "`
	if old, new, both := strings.Cut(line, arrow); both {
		return shorten(old, 80) + arrow + shorten(new, 80)
	}
	return shorten(line, 120)
}

// code is text in the letters of code, in which neither Markdown nor HTML nor
// whoever looks for names of people finds anything.
func code(text string) string { return "<code>" + prose(text) + "</code>" }

// prose is text as it is: what Markdown or HTML would interpret is written as
// the number of its character.
func prose(text string) string {
	rs := []rune(oneLine(text))
	word := func(i int) bool {
		return i >= 0 && i < len(rs) && (unicode.IsLetter(rs[i]) || unicode.IsDigit(rs[i]))
	}
	before := func(i int, prefix string) bool {
		n := len(prefix)
		return i >= n && strings.EqualFold(string(rs[i-n:i]), prefix) && !word(i-n-1)
	}
	var b strings.Builder
	for i, r := range rs {
		switch {
		case r == '@', r == '#', strings.ContainsRune("!%~$&", r) && (word(i+1) || i+1 < len(rs) && rs[i+1] == '"'):
			// Also what becomes of it must not read as a person, an issue or,
			// on GitLab, a request, a milestone, a label, a snippet or an epic.
			fmt.Fprintf(&b, "&#%d;<!-- -->", r)
		case r == '-' && before(i, "gh") && i+1 < len(rs) && unicode.IsDigit(rs[i+1]): // GitHub's other issue
			b.WriteString("-<!-- -->")
		case strings.ContainsRune("&<>`*[]|\\~$", r), r == '_' && !(word(i-1) && word(i+1)),
			r == ':' && i+1 < len(rs) && rs[i+1] != ' ', r == '.' && before(i, "www"):
			fmt.Fprintf(&b, "&#%d;", r)
		case i == 0 && strings.ContainsRune("+-=", r):
			fmt.Fprintf(&b, "&#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// proseWithin is prose of at most so many bytes: what is interpreted takes many for
// one letter.
func proseWithin(text string, bytes int) string {
	for n := bytes; ; n = n * 3 / 4 {
		if out := prose(shorten(text, n)); len(out) <= bytes || n < 10 {
			return out
		}
	}
}

// oneLine is text without what would end a line.
func oneLine(text string) string {
	return Printable(strings.ReplaceAll(text, "\n", " "))
}

// htmlText is text for HTML in which Markdown is not interpreted.
func htmlText(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;").Replace(oneLine(text))
}
