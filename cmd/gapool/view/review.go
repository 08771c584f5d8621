package view

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

// Review is a plan for those who approve it, as Markdown or HTML: the plan as
// it is read from its file, the digest of what it decides, and the names of the
// flags that it was made with, which an apply by the digest has to be given too.
type Review struct {
	Plan   *engine.Plan
	Digest string
	Flags  []string
}

// entry is one line of a review: a change, or the delete of an object that is
// left over.
type entry struct {
	change *engine.Change
	extra  *engine.Step // nil for the change itself
	action engine.Action
	word   string // "destroy", "take up": what happens, in a word
	why    string
}

func (e entry) String() string {
	if e.extra != nil {
		return fmt.Sprintf("%s (left-over %s)", e.change.Addr, e.extra.Target.Name)
	}
	return e.change.Addr.String()
}

// loud reports whether the entry takes an object away.
func (e entry) loud() bool { return e.action == engine.Delete || e.action.Replaces() }

// importance is the order in which actions are told: what cannot be undone
// first.
var importance = []engine.Action{engine.Delete, engine.Replace, engine.ReplaceFirst, engine.Update, engine.Create, engine.Forget, engine.NoOp}

var actionWords = map[engine.Action]string{
	engine.Delete: "destroy", engine.Replace: "replace", engine.ReplaceFirst: "replace", engine.Update: "update",
	engine.Create: "create", engine.Forget: "forget",
}

// takeUp is the word for what is there already and is only written down.
const takeUp = "take up"

// reviewEntries are all that an apply would do or write down, by importance, then by
// address.
func reviewEntries(p *engine.Plan) []entry {
	var out []entry
	for _, c := range p.Changes {
		e := entry{change: c, action: c.Action, word: actionWords[c.Action], why: why(c)}
		switch {
		case c.Action != engine.NoOp:
		case c.Adopted:
			e.word = takeUp
		case !c.Prev.IsZero():
			e.word = "move"
		default:
			continue
		}
		out = append(out, e)
	}
	for _, s := range p.Steps {
		if s.Extra && s.Target != nil && s.Change != nil {
			out = append(out, entry{change: s.Change, extra: s, action: engine.Delete, word: actionWords[engine.Delete], why: "an address has one object"})
		}
	}
	slices.SortStableFunc(out, func(a, b entry) int {
		return cmp.Or(
			cmp.Compare(slices.Index(importance, a.action), slices.Index(importance, b.action)),
			schema.CompareAddr(a.change.Addr, b.change.Addr),
		)
	})
	return out
}

// causesShown is how many attributes are named that lead to a change.
const causesShown = 5

// why is the reason of a change in a few words.
func why(c *engine.Change) string {
	var parts []string
	switch {
	case c.Orphan:
		parts = append(parts, "carries this stack's labels, but neither the state nor the configuration knows it")
	case c.Reason != "":
		parts = append(parts, c.Reason)
	case c.Action == engine.Update || c.Action.Replaces():
		names := attrNames(c.Differences, func(d schema.Difference) bool { return d.Replace || c.Action == engine.Update })
		if n := len(names) - causesShown; n > 0 {
			names = append(names[:causesShown], fmt.Sprintf("%d more", n))
		}
		if len(names) > 0 {
			parts = append(parts, "differs in "+strings.Join(names, ", "))
		}
	}
	if c.Action == engine.ReplaceFirst {
		parts = append(parts, "the new one is made before the old one goes")
	}
	if len(c.OnlyIf) > 0 {
		parts = append(parts, onlyIf(c))
	}
	if c.Adopted {
		parts = append(parts, "found by its labels: the state did not know it")
	}
	if !c.Prev.IsZero() {
		parts = append(parts, "was "+c.Prev.String())
	}
	return strings.Join(parts, "; ")
}

// differ writes the attributes of entries, each as a diff with the signs in the
// first column. It remembers which workers it showed.
type differ map[string]*engine.Change

// compares reports whether there is anything to compare.
func (differ) compares(e entry) bool {
	return e.extra == nil && e.action != engine.NoOp && e.action != engine.Forget
}

func (d differ) diff(e entry) string {
	c := e.change
	return blockDiff(c.Action, header(c.Addr, c.Type.Name), changeRows(c, d))
}

// forget says that what was written is not shown: no other is compared with it.
func (d differ) forget(e entry) {
	if group := groupOf(e.change.Addr); d[group] == e.change {
		delete(d, group)
	}
}

func blockDiff(a engine.Action, header string, rows []Node) string {
	var b strings.Builder
	s := Style{margin: true}
	fmt.Fprintf(&b, "%s%s {\n", s.start(0, a), header)
	writeNodes(&b, rows, 1, false, s)
	fmt.Fprintf(&b, "%s}\n", s.start(0, s.inside(a)))
	return b.String()
}

func rowsDiff(rows []Node) string {
	var b strings.Builder
	writeNodes(&b, rows, 0, false, Style{margin: true})
	return b.String()
}

// headline is what happens, in numbers; what takes objects away comes first
// and is told apart.
func headline(p *engine.Plan) (loud, quiet []string) {
	n := map[string]int{}
	for _, e := range reviewEntries(p) {
		n[e.word]++
	}
	for _, o := range p.Outputs {
		if o.Action != engine.NoOp {
			n["output"]++
		}
	}
	say := func(to *[]string, word, done string) {
		if n[word] > 0 {
			*to = append(*to, strconv.Itoa(n[word])+" "+done)
		}
	}
	say(&loud, "destroy", "destroyed")
	say(&loud, "replace", "replaced")
	say(&quiet, "update", "updated")
	say(&quiet, "create", "created")
	say(&quiet, "forget", "forgotten")
	say(&quiet, takeUp, "taken up")
	say(&quiet, "move", "moved")
	if n["output"] > 0 {
		quiet = append(quiet, count(n["output"], "output")+" changed")
	}
	return loud, quiet
}

// DefaultWorkspace is the one that nobody has to name.
const DefaultWorkspace = "default"

// stackText names the stack.
func stackText(p *engine.Plan) string {
	if p.Workspace == "" || p.Workspace == DefaultWorkspace {
		return p.Stack
	}
	return p.Stack + " (workspace " + p.Workspace + ")"
}

// usageRow is one line of the table of what the objects take of a machine.
type usageRow struct{ What, Now, Peak, After, Has string }

// namesShown is how many ports or volumes are named.
const namesShown = 12

func usageRows(u engine.Usage) []usageRow {
	var out []usageRow
	row := func(what, has string, text func(schema.Needs) string) {
		r := usageRow{what, text(u.Now), text(u.Peak), text(u.After), has}
		if r.Now != "" || r.Peak != "" || r.After != "" {
			for _, cell := range []*string{&r.Now, &r.Peak, &r.After} {
				if *cell == "" {
					*cell = "none"
				}
			}
			out = append(out, r)
		}
	}
	amount := func(a schema.Amount, unit func(int64) string, open string) string {
		var parts []string
		if a.N > 0 {
			parts = append(parts, unit(a.N))
		}
		if a.Open > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", a.Open, open))
		}
		if a.Unknown > 0 {
			parts = append(parts, fmt.Sprintf("%d not known yet", a.Unknown))
		}
		return strings.Join(parts, ", ")
	}
	names := func(list []string, more ...string) string {
		if n := len(list) - namesShown; n > 0 {
			list = append(slices.Clone(list[:namesShown]), fmt.Sprintf("%d more", n))
		}
		return strings.Join(append(slices.Clone(list), more...), ", ")
	}
	has := func(n int64, unit func(int64) string) string {
		if n == 0 {
			return ""
		}
		return unit(n)
	}
	row("Processors", has(int64(u.Machine.CPUs)*1000, engine.Thousandths), func(n schema.Needs) string { return amount(n.CPUs, engine.Thousandths, "without a limit") })
	row("Memory", has(u.Machine.Memory, engine.Bytes), func(n schema.Needs) string { return amount(n.Memory, engine.Bytes, "without a limit") })
	row("Shared memory", "", func(n schema.Needs) string { return amount(n.SharedMem, engine.Bytes, "without a limit") })
	gpus := ""
	if u.Machine.GPUs != nil {
		gpus = strconv.Itoa(*u.Machine.GPUs)
	}
	row("GPUs", gpus, func(n schema.Needs) string {
		return amount(n.GPUs, func(n int64) string { return strconv.FormatInt(n, 10) }, "with all there are")
	})
	row("Published ports", "", func(n schema.Needs) string {
		if n.FreePorts > 0 {
			return names(n.Ports, fmt.Sprintf("%d that the engine chooses", n.FreePorts))
		}
		return names(n.Ports)
	})
	row("Volumes", "", func(n schema.Needs) string { return names(n.Volumes) })
	return out
}

// span is several addresses that differ in a number or a key only.
type span struct {
	place schema.Addr // the block, or the group of workers
	ints  []int
	keys  []string
	one   schema.Addr // the only one
	n     int
}

// spanOf returns what tells an address apart from its like.
func spanOf(a schema.Addr) (place schema.Addr, n int, isInt bool, key string) {
	if a.Member.Role == schema.Worker {
		n, a.Member.Index = a.Member.Index, schema.EveryWorker
		return a, n, true, ""
	}
	if !a.Member.IsZero() || a.Key.IsZero() {
		return a, 0, false, ""
	}
	if n, ok := a.Key.Int(); ok {
		return a.Block(), n, true, ""
	}
	return a.Block(), 0, false, a.Key.Value().AsString()
}

func (s *span) add(a schema.Addr) {
	place, n, isInt, key := spanOf(a)
	s.place, s.one = place, a
	s.n++
	switch {
	case isInt:
		s.ints = append(s.ints, n)
	case key != "" || !a.Key.IsZero() && a.Member.IsZero():
		s.keys = append(s.keys, key)
	}
}

// text names the addresses: web[0-9, 12], web["a", "b"]. Short, it only counts
// those that have no number.
func (s *span) text(short bool) string {
	if s.n == 1 {
		return s.one.String()
	}
	var texts []string
	for _, p := range s.parts() {
		if !short || p.number {
			texts = append(texts, p.text)
		}
	}
	if short && len(s.keys) > 0 {
		texts = append(texts, fmt.Sprintf("%d keys", len(s.keys)))
	}
	if len(texts) == 0 { // the same address several times: left-over objects
		return s.place.String()
	}
	return s.place.String() + "[" + strings.Join(texts, ", ") + "]"
}

// part is a key or number, or a range of n of them.
type part struct {
	text   string
	n      int
	number bool
}

// parts are what is between the brackets.
func (s *span) parts() []part {
	var parts []part
	slices.Sort(s.ints)
	for i := 0; i < len(s.ints); {
		j := i
		for j+1 < len(s.ints) && s.ints[j+1] == s.ints[j]+1 {
			j++
		}
		text := strconv.Itoa(s.ints[i])
		if j > i {
			text += "-" + strconv.Itoa(s.ints[j])
		}
		parts = append(parts, part{text, j - i + 1, true})
		i = j + 1
	}
	return append(parts, folded(s.keys)...)
}

// times says how many there are, if more than one.
func (s *span) times() string {
	if s.n == 1 {
		return ""
	}
	return fmt.Sprintf(" (%d)", s.n)
}

// lineWidth is where a list of names is broken.
const lineWidth = 110

// lines are the addresses behind a sign, those of parts at most so many.
func (s *span) lines(sign string, parts []part, most int) string {
	if s.n == 1 {
		return sign + " " + shorten(s.one.String(), keyShown) + "\n"
	}
	line, text := sign+" "+s.place.String(), ""
	var texts []string
	for i, p := range parts {
		if i == most {
			n := 0
			for _, p := range parts[i:] {
				n += p.n
			}
			texts = append(texts, fmt.Sprintf("… %d more", n))
			break
		}
		texts = append(texts, p.text)
	}
	for i, t := range texts {
		if i == 0 {
			line += "["
		}
		if i < len(texts)-1 {
			t += ","
		} else {
			t += "]"
		}
		switch {
		case i == 0:
			line += t
		case len(line)+1+len(t) > lineWidth:
			text += line + "\n"
			line = sign + strings.Repeat(" ", 4) + t
		default:
			line += " " + t
		}
	}
	return text + line + s.times() + "\n"
}

// spansOf are addresses by what they have in common, in their order.
func spansOf(addrs []schema.Addr) []*span {
	var order []*span
	at := map[schema.Addr]*span{}
	for _, a := range addrs {
		place, _, _, _ := spanOf(a)
		s := at[place]
		if s == nil {
			s = &span{}
			at[place] = s
			order = append(order, s)
		}
		s.add(a)
	}
	return order
}

// keyShown is how much of a long key a list of them shows.
const keyShown = 120

// folded are keys as they are written; three and more that follow each other by
// the number that they end with are told by the first and the last one.
func folded(keys []string) []part {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b string) int {
		x, n := cutNumber(a)
		y, m := cutNumber(b)
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(len(n), len(m)), cmp.Compare(n, m))
	})
	var out []part
	for i := 0; i < len(keys); {
		j := i
		for j+1 < len(keys) && keys[j+1] == successor(keys[j]) {
			j++
		}
		if j < i+2 {
			j = i
		}
		text := strconv.Quote(shorten(keys[i], keyShown))
		if j > i {
			text += " to " + strconv.Quote(shorten(keys[j], keyShown))
		}
		out = append(out, part{text: text, n: j - i + 1})
		i = j + 1
	}
	return out
}

// cutNumber parts a name from the digits at its end.
func cutNumber(name string) (rest, digits string) {
	rest = strings.TrimRight(name, "0123456789")
	return rest, name[len(rest):]
}

// successor is the name with the next number: run-9 is followed by run-10, run-09
// too. Empty where there is none.
func successor(name string) string {
	rest, digits := cutNumber(name)
	n, err := strconv.ParseUint(digits, 10, 62)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s%0*d", rest, len(digits), n+1)
}
