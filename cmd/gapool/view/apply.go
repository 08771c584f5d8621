package view

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// Progress shows an apply while it runs.
type Progress interface {
	// Event shows one piece of news; it is for apply.Options.Report.
	Event(engine.Event)
	// Tick is called about each second.
	Tick()
	// Close ends what moves. Nothing may be reported after it.
	Close()
	// Complete says what was done. failed is what the apply failed with, if it did.
	Complete(p *engine.Plan, failed error) error
}

// Apply is Progress for people: a line when a step begins and when it
// ends and, in between, how far it is. It may be used by many goroutines at once.
type Apply struct {
	w    io.Writer // where the last line goes
	out  io.Writer // and all others
	s    Style
	now  func() time.Time
	bars *mpb.Progress // nil without a terminal

	mu      sync.Mutex
	running map[int]*running
	tally   tally
}

// tally counts what an apply did.
type tally struct {
	done            engine.Summary
	failed, skipped int
	back            *back // nil without a rollback
	skips           map[schema.Addr]bool
}

// tells reports whether news is worth a line: of a replacement that is skipped,
// which is two steps, one is.
func (t *tally) tells(e engine.Event) bool {
	if e.Kind != engine.Skipped || e.Step.Extra {
		return true
	}
	if t.skips == nil {
		t.skips = map[schema.Addr]bool{}
	}
	known := t.skips[e.Step.Addr]
	t.skips[e.Step.Addr] = true
	return !known
}

func (t *tally) count(e engine.Event) {
	verb := toldAs(e.Step)
	_, shown := verbs[verb]
	switch {
	case e.Kind == engine.RollingBack:
		t.back = &back{}
	case e.Step.Undoes != nil:
		t.back.count(e)
	case !shown:
	case e.Kind == engine.Failed:
		t.failed++
	case e.Kind == engine.Skipped:
		t.skipped++
	case e.Kind == engine.Done && verb == engine.DoCreate:
		t.done.Add++
	case e.Kind == engine.Done && verb == engine.DoUpdate:
		t.done.Change++
	case e.Kind == engine.Done && verb == engine.DoDelete:
		t.done.Destroy++
	}
}

// words are an apply's last line: whether it came to its end, what was done and,
// where steps failed, how much was not.
func (t *tally) words(p *engine.Plan, failed error) []string {
	what := "Apply"
	counts := fmt.Sprintf("Resources: %d added, %d changed, %d destroyed.", t.done.Add, t.done.Change, t.done.Destroy)
	if p.Mode == engine.Destroy {
		what, counts = "Destroy", fmt.Sprintf("Resources: %d destroyed.", t.done.Destroy)
	}
	switch {
	case failed == nil:
		return []string{what + " complete!", counts}
	case t.back != nil && t.back.left == 0:
		return []string{what + " failed and was rolled back.", "What runs is what ran before.", count(t.back.undone, "step") + " undone."}
	case t.back != nil:
		return []string{what + " failed and was rolled back in part.", fmt.Sprintf("%s undone, %d not.", count(t.back.undone, "step"), t.back.left)}
	}
	next := fmt.Sprintf("Another %s goes on from here.", strings.ToLower(what))
	if t.failed+t.skipped > 0 {
		next = fmt.Sprintf("%s failed, %d skipped. ", count(t.failed, "step"), t.skipped) + next
	}
	return []string{what + " incomplete.", counts, next}
}

// back is how far a rollback is.
type back struct{ undone, left int }

func (b *back) count(e engine.Event) {
	switch e.Kind {
	case engine.Done:
		b.undone++
	case engine.Failed, engine.Skipped:
		b.left++
	}
}

// running is a step that began and has not ended.
type running struct {
	step  *engine.Step
	since time.Time
	told  time.Duration // for how long it was last said to run
	bar   *mpb.Bar      // nil where nothing is drawn

	// A bar is drawn while an event may be waiting, with Apply's lock, for mpb
	// to take a line: what is drawn has a lock of its own.
	mu   sync.Mutex
	news providers.Progress
	line string // the last line of a log
}

func (r *running) tell(p providers.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.news = p
	if line := lastLine(p.Line); line != "" {
		r.line = line
	}
}

// hide takes the row of a step off the terminal.
func (r *running) hide() {
	if r.bar != nil {
		r.bar.Abort(true)
	}
}

// NewApply returns a view that prints plain lines; Tick adds "Still creating...".
func NewApply(w io.Writer, s Style, now func() time.Time) *Apply {
	return &Apply{w: w, out: w, s: s, now: now, running: map[int]*running{}}
}

// NewLiveApply returns a view for a terminal, which shows the running steps
// below the lines and keeps them up to date by itself.
func NewLiveApply(terminal *os.File, s Style, now func() time.Time) *Apply {
	a := NewApply(terminal, s, now)
	a.bars = mpb.New(mpb.WithOutput(terminal), mpb.WithRefreshRate(150*time.Millisecond))
	a.out = a.bars
	return a
}

// Close ends the live part; the lines stay. Nothing may be reported after it.
func (a *Apply) Close() {
	if a.bars == nil {
		return
	}
	for _, r := range a.running {
		r.hide()
	}
	// Shutdown alone would leave the bars that ended since they were last drawn.
	a.bars.Wait()
}

// toldAs is the verb that a step is told as. A cluster is gone with its members:
// what forgets it is its delete.
func toldAs(s *engine.Step) engine.Verb {
	if s.Verb == engine.DoForget && s.Change.Action == engine.Delete {
		return engine.DoDelete
	}
	return s.Verb
}

// verbs are the words for a step: while it runs, when it is done.
var verbs = map[engine.Verb]struct{ doing, done string }{
	engine.DoCreate: {"Creating", "Creation"},
	engine.DoUpdate: {"Modifying", "Modifications"},
	engine.DoDelete: {"Destroying", "Destruction"},
	engine.DoRename: {"Renaming", "Renaming"},
}

// Event shows one piece of news.
func (a *Apply) Event(e engine.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tally.count(e)
	if e.Kind == engine.RollingBack {
		fmt.Fprintf(a.out, "%s\n", a.s.Bold(a.s.Yellow(rollingBack(e))))
		return
	}
	if e.Step.Undoes != nil && e.Kind == engine.Skipped {
		a.say(e.Step, "%s", strings.Replace(leftText(e), notUndone, a.s.Yellow(notUndone), 1))
		return
	}
	words, shown := verbs[toldAs(e.Step)]
	if !shown || !a.tally.tells(e) {
		return
	}
	switch e.Kind {
	case engine.Started:
		r := &running{step: e.Step, since: a.now()}
		a.running[e.Step.ID] = r
		a.say(e.Step, "%s...%s", words.doing, idOf(e.Step.Target))
		a.addBar(r)
	case engine.Progressed:
		if r := a.running[e.Step.ID]; r != nil {
			r.tell(e.Progress)
		}
	case engine.Done:
		after := a.end(e.Step)
		id := ""
		if toldAs(e.Step) != engine.DoDelete {
			id = idOf(e.Object)
		}
		a.say(e.Step, "%s complete after %s%s", words.done, elapsed(after), id)
	case engine.Failed:
		after := a.end(e.Step)
		a.say(e.Step, "%s after %s", a.s.Red(words.done+" failed"), elapsed(after))
	case engine.Skipped:
		a.say(e.Step, "%s", strings.Replace(skipText(e), skipped, a.s.Yellow(skipped), 1))
	case engine.Dropped:
		a.end(e.Step)
		a.say(e.Step, droppedText)
	}
}

const (
	skipped     = "Skipped"
	notUndone   = "Not undone"
	droppedText = "Unchanged: what it was planned for proved equal"
)

func rollingBack(e engine.Event) string {
	return "Rolling back what was done, since " + e.Step.Addr.String() + " failed:"
}

// leftText says why a step of a rollback is not done.
func leftText(e engine.Event) string {
	switch {
	case e.Err != nil:
		return notUndone + ": " + e.Err.Error()
	case e.Because != nil:
		return notUndone + ", since it is needed by " + e.Because.Addr.String()
	default:
		return notUndone
	}
}

func skipText(e engine.Event) string {
	if e.Because == nil {
		return skipped
	}
	return skipped + ", since it needs " + e.Because.Addr.String()
}

// end forgets a running step and returns how long it took.
func (a *Apply) end(st *engine.Step) time.Duration {
	r := a.running[st.ID]
	if r == nil {
		return 0
	}
	delete(a.running, st.ID)
	r.hide()
	return a.now().Sub(r.since)
}

func (a *Apply) say(st *engine.Step, format string, args ...any) {
	name := st.Addr.String()
	if st.Extra && st.Target != nil {
		name += " (left-over " + st.Target.Name + ")"
	}
	// mpb takes a line as a whole or mixes it with its own.
	fmt.Fprintf(a.out, "%s", a.s.Bold(name+":")+" "+fmt.Sprintf(format, args...)+"\n")
}

// stillEvery is how often a plain view says that a step goes on.
const stillEvery = 10 * time.Second

// stillWidth is how much it says of that: a build's line can be a page.
const stillWidth = 120

// Tick says of each step that went on for another ten seconds what it is doing.
// A view for a terminal says it by itself.
func (a *Apply) Tick() {
	if a.bars != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range due(a.running, a.now()) {
		a.say(r.step, "%s", r.still())
	}
}

// due returns the steps of which something is to be said again, and takes it for
// said.
func due(all map[int]*running, now time.Time) []*running {
	var due []*running
	for _, r := range all {
		if now.Sub(r.since) >= r.told+stillEvery {
			r.told = now.Sub(r.since).Truncate(stillEvery)
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(x, y *running) int { return x.step.ID - y.step.ID })
	return due
}

// still says that a step goes on, and what it is doing.
func (r *running) still() string {
	doing := strings.ToLower(verbs[toldAs(r.step)].doing)
	return fmt.Sprintf("Still %s... [%s elapsed]%s", doing, elapsed(r.told), runewidth.Truncate(r.state(": "), stillWidth, "…"))
}

// state is what a step waits for and the last line of its log.
func (r *running) state(before string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var parts []string
	if r.news.Stage != "" {
		parts = append(parts, Printable(r.news.Stage)+amount(r.news))
	}
	if r.line != "" {
		parts = append(parts, r.line)
	}
	if len(parts) == 0 {
		return ""
	}
	return before + strings.Join(parts, ": ")
}

// amount tells how much is done of what can be counted: bytes if it is much,
// else parts.
func amount(p providers.Progress) string {
	const mb = 1 << 20
	switch {
	case p.Total <= 0:
		return ""
	case p.Total >= mb:
		return fmt.Sprintf(" %d of %d MiB", p.Done/mb, (p.Total+mb-1)/mb)
	default:
		return fmt.Sprintf(" %d of %d", p.Done, p.Total)
	}
}

func (a *Apply) addBar(r *running) {
	if a.bars == nil {
		return
	}
	// A terminal that was closed ends the drawing, and never the apply.
	r.bar, _ = a.bars.Add(0, mpb.BarFillerFunc(func(w io.Writer, st decor.Statistics) error {
		_, err := io.WriteString(w, a.s.Faint(runewidth.Truncate(a.barText(r), st.AvailableWidth, "…")))
		return err
	}), mpb.BarFillerTrim())
}

// barText is the line of a running step on a terminal.
func (a *Apply) barText(r *running) string {
	doing := strings.ToLower(verbs[toldAs(r.step)].doing)
	return fmt.Sprintf("  %s: %s %s%s", r.step.Addr, doing, elapsed(a.now().Sub(r.since)), r.state(" · "))
}

func idOf(o *providers.Object) string {
	if o == nil || o.ID == "" {
		return ""
	}
	return " [id=" + shortID(o.ID) + "]"
}

// elapsed prints a duration in whole seconds: 0s, 1m5s.
func elapsed(d time.Duration) string { return d.Truncate(time.Second).String() }

func lastLine(text string) string {
	text = strings.TrimRight(text, "\r\n ")
	if i := strings.LastIndexAny(text, "\r\n"); i >= 0 {
		text = text[i+1:]
	}
	// A tab is as wide as the terminal likes: a bar with one would wrap.
	return strings.TrimSpace(strings.ReplaceAll(Printable(text), "\t", " "))
}

// Complete prints the last line of an apply: what was done, or, where steps
// failed, what was done nevertheless.
func (a *Apply) Complete(p *engine.Plan, failed error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	words := a.tally.words(p, failed)
	text := a.s.Bold(a.s.Green(strings.Join(words, " ")))
	if failed != nil {
		text = a.s.Bold(a.s.Red(words[0])) + " " + strings.Join(words[1:], " ")
	}
	_, err := fmt.Fprintf(a.w, "\n%s\n", text)
	return err
}
