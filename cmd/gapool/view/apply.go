package view

import (
	"bytes"
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
)

// Apply shows an apply while it runs: a line when a step begins and when it
// ends and, in between, how far it is. Its Event is for apply.Options.Report.
// It may be used by many goroutines at once.
type Apply struct {
	out  io.Writer
	s    Style
	now  func() time.Time
	bars *mpb.Progress // nil without a terminal

	mu      sync.Mutex
	running map[int]*running
	done    engine.Summary
	skipped int
	failed  int
	back    *back // nil without a rollback
}

// back is how far a rollback is.
type back struct{ undone, left int }

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
	return &Apply{out: w, s: s, now: now, running: map[int]*running{}}
}

// NewLiveApply returns a view for a terminal, which shows the running steps
// below the lines and keeps them up to date by itself.
func NewLiveApply(terminal *os.File, s Style, now func() time.Time) *Apply {
	a := NewApply(nil, s, now)
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

// Done counts what was added, changed and destroyed so far.
func (a *Apply) Done() engine.Summary {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.done
}

// Undone counts the steps that failed and those that were skipped for it.
func (a *Apply) Undone() (failed, skipped int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed, a.skipped
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
	if e.Kind == engine.RollingBack {
		a.back = &back{}
		fmt.Fprintf(a.out, "%s\n", a.s.Bold(a.s.Yellow("Rolling back what was done, since "+e.Step.Addr.String()+" failed:")))
		return
	}
	if e.Step.Undoes != nil && a.undo(e) {
		return
	}
	words, shown := verbs[e.Step.Verb]
	if !shown {
		// A cluster is gone with its members: the plan counts it, so does this.
		if e.Kind == engine.Done && e.Step.Verb == engine.DoForget && e.Step.Change.Action == engine.Delete {
			a.done.Destroy++
		}
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
		if e.Step.Verb != engine.DoDelete {
			id = idOf(e.Object)
		}
		a.say(e.Step, "%s complete after %s%s", words.done, elapsed(after), id)
		a.count(e.Step)
	case engine.Failed:
		after := a.end(e.Step)
		if e.Step.Undoes == nil {
			a.failed++
		}
		a.say(e.Step, "%s after %s", a.s.Red(words.done+" failed"), elapsed(after))
	case engine.Skipped:
		a.skipped++
		why := ""
		if e.Because != nil {
			why = ", since it needs " + e.Because.Addr.String()
		}
		a.say(e.Step, "%s%s", a.s.Yellow("Skipped"), why)
	case engine.Dropped:
		a.end(e.Step)
		a.say(e.Step, "Unchanged: what it was planned for proved equal")
	}
}

// undo counts the news of a rollback, and reports whether it has told it whole.
func (a *Apply) undo(e engine.Event) bool {
	switch e.Kind {
	case engine.Done:
		a.back.undone++
	case engine.Failed:
		a.back.left++
	case engine.Skipped:
		a.back.left++
		why := ""
		switch {
		case e.Err != nil:
			why = ": " + e.Err.Error()
		case e.Because != nil:
			why = ", since it is needed by " + e.Because.Addr.String()
		}
		a.say(e.Step, "%s%s", a.s.Yellow("Not undone"), why)
		return true
	}
	return false
}

func (a *Apply) count(st *engine.Step) {
	if st.Undoes != nil {
		return
	}
	switch st.Verb {
	case engine.DoCreate:
		a.done.Add++
	case engine.DoUpdate:
		a.done.Change++
	case engine.DoDelete:
		a.done.Destroy++
	}
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
	var due []*running
	for _, r := range a.running {
		if a.now().Sub(r.since) >= r.told+stillEvery {
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(x, y *running) int { return x.step.ID - y.step.ID })
	for _, r := range due {
		r.told = a.now().Sub(r.since).Truncate(stillEvery)
		doing := strings.ToLower(verbs[r.step.Verb].doing)
		a.say(r.step, "Still %s... [%s elapsed]%s", doing, elapsed(r.told), runewidth.Truncate(r.state(": "), stillWidth, "…"))
	}
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
	doing := strings.ToLower(verbs[r.step.Verb].doing)
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
func (a *Apply) Complete(w io.Writer, p *engine.Plan) error {
	n := a.Done()
	failed, skipped := a.Undone()
	what := "Apply"
	if p.Mode == engine.Destroy {
		what = "Destroy"
	}
	counts := fmt.Sprintf("Resources: %d added, %d changed, %d destroyed.", n.Add, n.Change, n.Destroy)
	if p.Mode == engine.Destroy {
		counts = fmt.Sprintf("Resources: %d destroyed.", n.Destroy)
	}
	var b bytes.Buffer
	fmt.Fprintln(&b)
	switch {
	case failed+skipped == 0:
		fmt.Fprintln(&b, a.s.Bold(a.s.Green(what+" complete! "+counts)))
	case a.back != nil && a.back.left == 0:
		fmt.Fprintln(&b, a.s.Bold(a.s.Red(what+" failed and was rolled back.")), "What runs is what ran before.", fmt.Sprintf("%s undone.", count(a.back.undone, "step")))
	case a.back != nil:
		fmt.Fprintln(&b, a.s.Bold(a.s.Red(what+" failed and was rolled back in part.")), fmt.Sprintf("%s undone, %d not.", count(a.back.undone, "step"), a.back.left))
	default:
		fmt.Fprintln(&b, a.s.Bold(a.s.Red(what+" incomplete.")), counts, fmt.Sprintf("%s failed, %d skipped. Another %s goes on from here.",
			count(failed, "step"), skipped, strings.ToLower(what)))
	}
	_, err := w.Write(b.Bytes())
	return err
}
