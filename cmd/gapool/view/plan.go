package view

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// Detail is how much of a change is told.
type Detail int

const (
	Usual   Detail = iota // what changes, the rest counted
	Concise               // a line for each change
	Full                  // what does not change, too
)

// PlanOptions are how a plan is told.
type PlanOptions struct {
	Style  Style
	Detail Detail
	// Terraform gives the lines that name the program Terraform's words, broken
	// where Terraform breaks them, for what reads Terraform's output.
	Terraform bool
}

// Kept is where a plan was kept.
type Kept struct {
	File    string   // from the working directory
	Typed   string   // as it was asked for
	Digest  string   // of what it decides
	Secrets []string // variables that the apply has to be given again
}

// Plan prints a plan for a person: the drift, then what is done to each object
// and why, then what is kept, lost and to be known, then the sums.
func Plan(w io.Writer, p *engine.Plan, o PlanOptions) error {
	var b bytes.Buffer
	t := planText{w: &b, p: p, s: o.Style, o: o}
	// Where all goes, what cannot be made again comes first.
	if p.Mode == engine.Destroy {
		t.losses()
	}
	t.drift()
	if p.Empty() {
		t.nothing()
	} else {
		t.actions()
	}
	t.kept()
	t.notes()
	if !p.Empty() {
		if p.Mode != engine.Destroy {
			t.losses()
		}
		t.undo()
		t.sums()
		t.outputs()
	}
	_, err := w.Write(b.Bytes())
	return err
}

type planText struct {
	w io.Writer
	p *engine.Plan
	s Style
	o PlanOptions
}

// who is the program that the text names.
func (t planText) who() string {
	if t.o.Terraform {
		return "Terraform"
	}
	return "gapool"
}

func (t planText) line(format string, args ...any) { fmt.Fprintf(t.w, format+"\n", args...) }

func (t planText) drift() {
	if len(t.p.Drift) == 0 {
		return
	}
	// A plan that only records has no such line of Terraform's at its end.
	t.o.Terraform = t.o.Terraform && t.p.Mode != engine.RefreshOnly
	t.line("%s Objects have changed outside of %s", t.s.Cyan(t.s.Bold("Note:")), t.who())
	t.line("")
	t.line("gapool found these changes, made since the last apply by someone else:")
	for _, d := range t.p.Drift {
		if t.o.Detail == Concise {
			text := d.What
			if names := attrNames(d.Differences, func(schema.Difference) bool { return true }); len(names) > 0 {
				text += ": " + strings.Join(names, ", ")
			}
			t.line("  # %s %s", t.s.Bold(d.Addr.String()), text)
			continue
		}
		t.line("")
		t.line("  # %s %s", t.s.Bold(d.Addr.String()), d.What)
		if len(d.Differences) == 0 {
			continue
		}
		t.line("%s%s {", t.s.gutter(engine.Update), header(d.Addr, "member"))
		rows := driftRows(d)
		if t.o.Detail == Full {
			rows = unfold(rows)
		}
		writeNodes(t.w, rows, 1, false, t.s)
		t.line("    }")
	}
	t.line("")
	if t.o.Terraform {
		// What looks for the note looks for this after it, and may fail without.
		t.line("Unless you have made equivalent changes to your configuration, or ignored the")
		t.line("relevant attributes using ignore_changes, the following plan may include")
		t.line("actions to undo or respond to these changes.")
	} else {
		t.line("%s", driftMeans(t.p))
	}
	t.line("")
}

// driftRows compares what was recorded with what is there.
func driftRows(d engine.Drift) []Node {
	var rows []Node
	for _, x := range d.Differences {
		n := compare(x.Want, x.Live)
		n.Name, n.NullNote = pathText(x), true
		rows = append(rows, n)
	}
	return rows
}

// driftMeans says what the plan makes of the drift.
func driftMeans(p *engine.Plan) string {
	switch {
	case p.Mode == engine.RefreshOnly:
		return "This is a refresh-only plan: an apply writes these changes into the state and does nothing else."
	case p.Empty():
		return "None of them is at odds with the configuration."
	default:
		return "What follows may undo them or take them into account."
	}
}

// whyNothing says why there is nothing to do.
func whyNothing(p *engine.Plan, terraform bool) string {
	switch {
	case p.Mode == engine.Destroy:
		return "Nothing of this stack is left to destroy."
	case p.Mode == engine.RefreshOnly && (len(p.Drift) > 0 || slices.ContainsFunc(p.Changes, func(c *engine.Change) bool { return c.Adopted })):
		return "No object is touched."
	case p.Mode == engine.RefreshOnly:
		return "The state says what runs."
	case terraform:
		return "Your infrastructure matches the configuration."
	default:
		return "What runs is what the configuration says."
	}
}

func (t planText) nothing() {
	t.line("%s %s", t.s.Bold(t.s.Green("No changes.")), whyNothing(t.p, t.o.Terraform))
	var adopted, moved []*engine.Change
	for _, c := range t.p.Changes {
		switch {
		case c.Adopted:
			adopted = append(adopted, c)
		case !c.Prev.IsZero():
			moved = append(moved, c)
		}
	}
	if len(moved) > 0 {
		t.line("")
		t.line("Only addresses change; an apply writes them into the state:")
		for _, c := range moved {
			t.moved(c)
		}
	}
	t.adopted(adopted)
}

func (t planText) moved(c *engine.Change) {
	t.line("  # %s has moved to %s", c.Prev, t.s.Bold(c.Addr.String()))
}

// adoptedShown is how many objects are named that are adopted as they are.
const adoptedShown = 20

func (t planText) adopted(cs []*engine.Change) {
	if len(cs) == 0 {
		return
	}
	if t.p.Empty() {
		t.line("")
	}
	t.line("Found by their labels and as configured; an apply writes them into the state:")
	for i, c := range cs {
		if i == adoptedShown && t.o.Detail != Full {
			t.line("  … and %d more", len(cs)-i)
			break
		}
		t.line("  %s", c.Addr)
	}
}

func (t planText) actions() {
	var main, orphans, adopted []*engine.Change
	extra := map[schema.Addr][]*engine.Step{}
	for _, st := range t.p.Steps {
		if st.Extra {
			extra[st.Addr] = append(extra[st.Addr], st)
		}
	}
	for _, c := range t.p.Changes {
		switch {
		case c.Orphan:
			orphans = append(orphans, c)
		case c.Action != engine.NoOp || len(extra[c.Addr]) > 0 || !c.Prev.IsZero():
			main = append(main, c)
		case c.Adopted:
			adopted = append(adopted, c)
		}
	}
	t.legend(extra)
	if len(main) > 0 || len(orphans) > 0 {
		t.line("%s will perform the following actions:", t.who())
		t.line("")
	}
	shown := map[string]*engine.Change{}
	each := func(cs []*engine.Change) {
		for _, c := range cs {
			t.change(c, shown)
			for _, st := range extra[c.Addr] {
				t.extra(st)
			}
		}
		t.endOfBrief(len(cs))
	}
	each(main)
	if len(orphans) > 0 {
		t.line("These objects carry this stack's labels, but neither the state nor the configuration knows them:")
		t.line("")
		each(orphans)
	}
	if len(adopted) > 0 {
		t.adopted(adopted)
		t.line("")
	}
}

var legend = []struct {
	action engine.Action
	words  string
}{
	{engine.Create, "create"},
	{engine.Update, "update in-place"},
	{engine.Delete, "destroy"},
	{engine.Replace, "destroy and then create replacement"},
	{engine.ReplaceFirst, "create replacement and then destroy"},
	{engine.Forget, "forget, without destroying"},
}

func (t planText) legend(extra map[schema.Addr][]*engine.Step) {
	used := map[engine.Action]bool{}
	for _, c := range t.p.Changes {
		used[c.Action] = true
	}
	if len(extra) > 0 {
		used[engine.Delete] = true
	}
	delete(used, engine.NoOp)
	if len(used) == 0 {
		return
	}
	from := ""
	if t.o.Terraform {
		from = "Terraform used the selected providers to generate the following execution\nplan. "
	}
	t.line("%sResource actions are indicated with the following symbols:", from)
	for _, l := range legend {
		if used[l.action] {
			t.line("%s%s", t.s.gutter(l.action), l.words)
		}
	}
	t.line("")
}

// headline says what a change does, in the words that readers of plans look
// for: the line ends with them, and the address is before them.
func (t planText) headline(c *engine.Change) string {
	switch c.Action {
	case engine.Create:
		return "will be created"
	case engine.Update:
		return "will be updated in-place"
	case engine.Delete:
		return "will be " + t.s.Loud("destroyed")
	case engine.Replace, engine.ReplaceFirst:
		return "must be " + t.s.Loud("replaced")
	case engine.Forget:
		return "will no longer be managed by " + t.who() + ", but will not be destroyed"
	default:
		return "stays as it is"
	}
}

func onlyIf(c *engine.Change) string {
	return "only if " + strings.Join(c.OnlyIf, " or ") + " changes"
}

func (t planText) change(c *engine.Change, shown map[string]*engine.Change) {
	if t.o.Detail == Concise {
		t.brief(c)
		return
	}
	if !c.Prev.IsZero() {
		t.moved(c)
	}
	t.line("  # %s %s", t.s.Bold(c.Addr.String()), t.headline(c))
	if len(c.OnlyIf) > 0 {
		t.line("  # (%s)", onlyIf(c))
	}
	if c.Reason != "" {
		t.line("  # (because %s %s)", c.Addr, c.Reason)
	}
	if c.Adopted {
		t.line("  # (found by its labels: the state did not know it)")
	}
	if c.Action == engine.Forget || c.Action == engine.NoOp {
		if c.Object != nil && c.Action == engine.Forget {
			t.line("  # (%s %s)", c.Object.Kind, c.Object.Name)
		}
		t.line("")
		return
	}
	rows := changeRows(c, shown)
	if t.o.Detail == Full {
		rows = unfold(rows)
	}
	t.line("%s%s {", t.s.gutter(c.Action), header(c.Addr, c.Type.Name))
	writeNodes(t.w, rows, 1, false, t.s)
	t.line("    }")
	t.line("")
}

// brief is the line of a change under -concise: its sign, its address, and why
// or in what.
func (t planText) brief(c *engine.Change) {
	if c.Action == engine.NoOp && c.Prev.IsZero() {
		return // what is left over of it is told
	}
	var why []string
	if c.Action == engine.Forget {
		why = append(why, "no longer managed, not destroyed")
	}
	if !c.Prev.IsZero() {
		why = append(why, "moved from "+c.Prev.String())
	}
	forcing := attrNames(c.Differences, func(d schema.Difference) bool { return d.Replace })
	others := attrNames(c.Differences, func(d schema.Difference) bool { return !d.Replace })
	switch {
	case c.Action.Replaces():
		if verb := map[bool]string{true: " forces replacement", false: " force replacement"}[len(forcing) == 1]; len(forcing) > 0 {
			why = append(why, strings.Join(forcing, ", ")+verb)
		}
		fallthrough
	case c.Action == engine.Update:
		if len(others) > 0 {
			why = append(why, strings.Join(others, ", "))
		}
	}
	if c.Reason != "" {
		why = append(why, c.Reason)
	}
	if len(c.OnlyIf) > 0 {
		why = append(why, onlyIf(c))
	}
	if c.Adopted {
		why = append(why, "found by its labels")
	}
	text := ""
	if len(why) > 0 {
		text = ": " + strings.Join(why, "; ")
	}
	t.line("%s%s%s", t.s.gutter(c.Action), t.s.Bold(c.Addr.String()), text)
}

// endOfBrief parts lines, of which there are n, from what follows.
func (t planText) endOfBrief(n int) {
	if n > 0 && t.o.Detail == Concise {
		t.line("")
	}
}

// attrNames are the attributes of some differences, each once.
func attrNames(ds []schema.Difference, some func(schema.Difference) bool) []string {
	var names []string
	for _, d := range ds {
		if some(d) && !slices.Contains(names, d.Attr) {
			names = append(names, d.Attr)
		}
	}
	return names
}

// changeRows compares a created member with the first of its group, so that twenty
// equal workers are told in twenty lines.
func changeRows(c *engine.Change, shown map[string]*engine.Change) []Node {
	if c.Action != engine.Create || c.Addr.Member.Role != schema.Worker {
		return Compare(c)
	}
	group := groupOf(c.Addr)
	first := shown[group]
	if first == nil {
		shown[group] = c
		return Compare(c)
	}
	return CompareTo(c, first)
}

// groupOf names the group of a worker.
func groupOf(a schema.Addr) string { return a.Cluster().String() + "\x00" + a.Member.Group }

// header is the first line of an object, without sign and bracket. A cluster's
// member is no resource of the configuration, so it has its kind alone.
func header(a schema.Addr, kind string) string {
	if !a.Member.IsZero() {
		return kind
	}
	return fmt.Sprintf("resource %q %q", a.Type, a.Name)
}

// pathText is the place of a difference: labels["a"], ports[0].external.
func pathText(d schema.Difference) string {
	text := d.Attr
	for _, step := range d.Path[min(1, len(d.Path)):] {
		switch step := step.(type) {
		case cty.GetAttrStep:
			text += "." + step.Name
		case cty.IndexStep:
			if ty := step.Key.Type(); ty == cty.String || ty == cty.Number {
				text += "[" + leafText(step.Key) + "]"
			} else {
				text += "[…]"
			}
		}
	}
	return text
}

func (t planText) extra(st *engine.Step) {
	if st.Target == nil {
		return
	}
	if t.o.Detail == Concise {
		t.line("%s%s: left-over %s, %s", t.s.gutter(engine.Delete), t.s.Bold(st.Addr.String()), st.Target.Name, shortID(st.Target.ID))
		return
	}
	t.line("  # %s (left-over %s, %s) will be %s", t.s.Bold(st.Addr.String()), st.Target.Name, shortID(st.Target.ID), t.s.Loud("destroyed"))
	t.line("  # (because an address has one object)")
	t.line("%s%s %q {", t.s.gutter(engine.Delete), st.Target.Kind, st.Target.Name)
	t.line("    }")
	t.line("")
}

// shortID cuts a hash to the length that Docker's own commands print.
func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	if len(id) > 12 && strings.Trim(id, "0123456789abcdef") == "" {
		return id[:12]
	}
	return id
}

func (t planText) kept() {
	if len(t.p.Kept) == 0 {
		return
	}
	if t.p.Empty() {
		t.line("")
	}
	t.line("Kept, though no configuration names them:")
	for _, o := range t.p.Kept {
		t.line("  %s %q", o.Kind, o.Name)
	}
	if !t.p.Empty() {
		t.line("")
	}
}

func (t planText) notes() {
	notes := notesOf(t.p)
	for i, n := range notes {
		if i == 0 && t.p.Empty() {
			t.line("")
		}
		t.line("%s %s", t.s.Yellow("Note:"), n)
		if i == len(notes)-1 && !t.p.Empty() {
			t.line("")
		}
	}
}

func notesOf(p *engine.Plan) []string {
	notes := slices.Clone(p.Notes)
	if p.Targeted {
		notes = append(notes, "-target is in effect: the plan leaves out a part of the configuration, and what it leaves out may still differ.")
	}
	return notes
}

func (t planText) losses() {
	if len(t.p.DataLoss) == 0 {
		return
	}
	t.line("%s", t.s.Loud("DATA WILL BE LOST, and no apply can bring it back:"))
	for _, text := range lossTexts(t.p) {
		t.line("  %s", t.s.Loud(text))
	}
	if t.p.Unapproved != "" {
		t.line("An apply asks for the name. Where nobody can answer: %s", t.p.Unapproved)
	}
	t.line("")
}

// lastingShown is how many steps are named that a rollback does not undo.
const lastingShown = 40

// lasting is what a rollback does not take back, or not as it was.
type lasting struct {
	title string
	steps []string
}

// rollback says beforehand what a rollback does; empty where there is none.
func rollback(p *engine.Plan) (text string, but []lasting) {
	if p.OnFailure != engine.Rollback || p.Summary() == (engine.Summary{}) {
		return "", nil
	}
	var left, anew []string
	for _, l := range p.Lasting() {
		left = append(left, fmt.Sprintf("%s (%s): %s", l.Step.Addr, l.Step.Verb, l.Why))
	}
	for i := range p.Undo {
		u := p.Undo[len(p.Undo)-1-i]
		if u.Verb == engine.DoCreate && slices.ContainsFunc(u.Change.Type.Attrs, func(a schema.Attr) bool { return a.Demand }) {
			anew = append(anew, u.Addr.String())
		}
	}
	for _, l := range []lasting{
		{"Not undone then:", left},
		{"Made anew then, under a new ID and without what it had written inside itself:", anew},
	} {
		if n := len(l.steps) - lastingShown; n > 0 {
			l.steps = append(l.steps[:lastingShown], fmt.Sprintf("… and %d more", n))
		}
		if len(l.steps) > 0 {
			but = append(but, l)
		}
	}
	return "If a step fails, what this apply has done by then is undone, in reverse.", but
}

func (t planText) undo() {
	text, but := rollback(t.p)
	if text == "" {
		return
	}
	t.line("%s", text)
	for _, l := range but {
		t.line("%s", l.title)
		for _, s := range l.steps {
			t.line("  %s", s)
		}
	}
	t.line("")
}

// rollbackNotes is the same in a line each.
func rollbackNotes(p *engine.Plan) []string {
	text, but := rollback(p)
	if text == "" {
		return nil
	}
	notes := []string{text}
	for _, l := range but {
		notes = append(notes, l.title+" "+strings.Join(l.steps, "; "))
	}
	return notes
}

// lossTexts name the volumes whose data is lost.
func lossTexts(p *engine.Plan) []string {
	objects := Objects(p)
	texts := make([]string, len(p.DataLoss))
	for i, a := range p.DataLoss {
		texts[i] = a.String()
		if name := objects[a].Name; name != "" {
			texts[i] += fmt.Sprintf(" (%q)", name)
		}
		if p.Approved[a] {
			texts[i] += ", as allowed by -allow-data-loss"
		}
	}
	return texts
}

func (t planText) sums() {
	if t.p.Summary() == (engine.Summary{}) {
		return
	}
	t.line("%s", Sums(t.p, t.s))
	if text := conditional(t.p); text != "" {
		t.line("(%s)", text)
	}
}

// conditional says how many changes may prove unnecessary; empty where none may.
func conditional(p *engine.Plan) string {
	n := 0
	for _, c := range p.Changes {
		if len(c.OnlyIf) > 0 && c.Action != engine.NoOp {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d of these only if a value that the apply brings is another one.", n)
}

// Sums is the plan's last line, "Plan: 3 to add, 0 to change, 1 to destroy."
func Sums(p *engine.Plan, s Style) string {
	n := p.Summary()
	text := fmt.Sprintf("%s %d to add, %d to change, %d to destroy", s.Bold("Plan:"), n.Add, n.Change, n.Destroy)
	if n.Forget > 0 {
		text += fmt.Sprintf(", %d to forget", n.Forget)
	}
	return text + "."
}

func (t planText) outputs() {
	rows := OutputChanges(t.p)
	if len(rows) == 0 {
		return
	}
	if t.p.Summary() != (engine.Summary{}) {
		t.line("")
	}
	t.line("Changes to Outputs:")
	switch t.o.Detail {
	case Concise:
		for _, n := range rows {
			t.line("%s%s", t.s.gutter(n.Action), n.Name)
		}
	case Full:
		writeNodes(t.w, unfold(rows), 0, false, t.s)
	default:
		writeNodes(t.w, rows, 0, false, t.s)
	}
	if t.p.Summary() == (engine.Summary{}) {
		t.line("")
		t.line("An apply writes these outputs into the state and touches no object.")
	}
}

// OutputChanges compares the outputs that change.
func OutputChanges(p *engine.Plan) []Node {
	var rows []Node
	for _, o := range p.Outputs {
		if o.Action == engine.NoOp {
			continue
		}
		n := compare(o.Before, o.After)
		if o.Sensitive {
			n = Node{Old: sensitiveText, New: sensitiveText}
		}
		// What changes is the planner's word: a sensitive value has none here.
		n.Action = o.Action
		n.Name, n.NullNote = o.Name, true
		rows = append(rows, n)
	}
	return rows
}

// Objects are what a plan finds at its addresses.
func Objects(p *engine.Plan) map[schema.Addr]providers.Object {
	out := map[schema.Addr]providers.Object{}
	for _, c := range p.Changes {
		if c.Object != nil {
			out[c.Addr] = *c.Object
		}
	}
	return out
}
