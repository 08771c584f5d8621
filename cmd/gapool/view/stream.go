package view

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

// Stream tells a run as Terraform's machine-readable stream does, one JSON object
// a line: https://developer.hashicorp.com/terraform/internals/machine-readable-ui
// It has no value of an attribute, and of outputs none that is sensitive. It may
// be used by many goroutines at once.
type Stream struct {
	out     io.Writer
	version string
	now     func() time.Time

	mu      sync.Mutex
	begun   bool // the version is told
	planned bool // the changes are
	running map[int]*running
	tally   tally
}

// NewStream returns a stream. The line with the version comes before the first
// other one.
func NewStream(w io.Writer, version string, now func() time.Time) *Stream {
	return &Stream{out: w, version: version, now: now, running: map[int]*running{}}
}

// Levels of a line.
const (
	levelInfo  = "info"
	levelWarn  = "warn"
	levelError = "error"
)

type fields = map[string]any

// line writes a message of a type with its fields.
func (s *Stream) line(level, kind, message string, more fields) error {
	if !s.begun {
		s.begun = true
		err := s.line(levelInfo, "version", "gapool "+s.version, fields{"terraform": terraformVersion, "gapool": s.version, "ui": "1.2"})
		if err != nil {
			return err
		}
	}
	doc := fields{
		"@level": level, "@message": message, "@module": "gapool.ui", "type": kind,
		"@timestamp": s.now().UTC().Format("2006-01-02T15:04:05.000000Z07:00"),
	}
	for name, v := range more {
		doc[name] = v
	}
	e := json.NewEncoder(s.out)
	e.SetEscapeHTML(false)
	return e.Encode(doc)
}

// resourceName is how the stream names an instance.
type resourceName struct {
	Addr     string `json:"addr"`
	Module   string `json:"module"`
	Resource string `json:"resource"`
	Provider string `json:"implied_provider"`
	Type     string `json:"resource_type"`
	Name     string `json:"resource_name"`
	Key      any    `json:"resource_key"`
}

func nameOf(a schema.Addr, t *schema.Type) resourceName {
	id := identityOf(a, t, "")
	provider, _, _ := strings.Cut(id.Type, "_")
	return resourceName{Addr: id.Address, Resource: id.Address, Provider: provider, Type: id.Type, Name: id.Name, Key: id.Index}
}

type streamedChange struct {
	Resource  resourceName   `json:"resource"`
	Previous  *resourceName  `json:"previous_resource,omitempty"`
	Action    string         `json:"action"`
	Reason    string         `json:"reason,omitempty"`
	Importing *importingJSON `json:"importing,omitempty"`
}

// streamedActions are the stream's words for an action.
var streamedActions = map[engine.Action]string{
	engine.NoOp: "noop", engine.Create: "create", engine.Update: "update", engine.Delete: "delete",
	engine.Replace: "replace", engine.ReplaceFirst: "replace", engine.Forget: "remove",
}

// streamedReasons are its words for a cause, where they are others than those of
// a plan's JSON.
var streamedReasons = map[engine.Cause]string{
	engine.CannotUpdate: "cannot_update", engine.ByRequest: "requested",
	engine.ByTriggers: "replace_triggered_by", engine.Unfit: "tainted",
}

func streamedOf(c *engine.Change) streamedChange {
	out := streamedChange{Resource: nameOf(c.Addr, c.Type), Action: streamedActions[c.Action], Reason: string(c.Cause)}
	if words := streamedReasons[c.Cause]; words != "" {
		out.Reason = words
	}
	if !c.Prev.IsZero() {
		prev := nameOf(c.Prev, c.Type)
		out.Previous = &prev
	}
	out.Importing = importingOf(c)
	switch {
	case c.Action != engine.NoOp:
	case out.Previous != nil:
		out.Action = "move"
	case out.Importing != nil:
		out.Action = "import"
	}
	return out
}

// Plan tells the drift, the changes, their sums, the outputs and what else a
// reader has to know.
func (s *Stream) Plan(p *engine.Plan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range p.Drift {
		action := "update"
		if d.After.IsNull() {
			action = "delete"
		}
		err := s.line(levelInfo, "resource_drift", fmt.Sprintf("%s: Drift detected (%s)", d.Addr, action), fields{
			"change": streamedChange{Resource: nameOf(d.Addr, d.Type), Action: action},
		})
		if err != nil {
			return err
		}
	}
	if err := s.changes(p); err != nil {
		return err
	}
	if err := s.notes(p); err != nil {
		return err
	}
	n, imports := p.Summary(), 0
	for _, c := range p.Changes {
		if importingOf(c) != nil {
			imports++
		}
	}
	first := ""
	if imports > 0 {
		first = fmt.Sprintf("%d to import, ", imports)
	}
	message := fmt.Sprintf("Plan: %s%d to add, %d to change, %d to destroy.", first, n.Add, n.Change, n.Destroy)
	if err := s.summary("plan", message, n, imports); err != nil {
		return err
	}
	if len(p.Outputs) == 0 {
		return nil
	}
	outputs := fields{}
	for _, o := range p.Outputs {
		outputs[o.Name] = fields{"action": streamedActions[o.Action], "sensitive": o.Sensitive}
	}
	return s.outputs(outputs)
}

func (s *Stream) changes(p *engine.Plan) error {
	s.planned = true
	var all []streamedChange
	for _, c := range p.Changes {
		if x := streamedOf(c); x.Action != "noop" {
			all = append(all, x)
		}
	}
	for _, st := range p.Steps {
		if st.Extra {
			all = append(all, streamedChange{Resource: nameOf(st.Addr, st.Change.Type), Action: "delete"})
		}
	}
	slices.SortStableFunc(all, func(a, b streamedChange) int { return compareAddress(a.Resource.Addr, b.Resource.Addr) })
	for _, x := range all {
		if err := s.line(levelInfo, "planned_change", fmt.Sprintf("%s: Plan to %s", x.Resource.Addr, x.Action), fields{"change": x}); err != nil {
			return err
		}
	}
	return nil
}

// notes are what Terraform's stream has no message for.
func (s *Stream) notes(p *engine.Plan) error {
	type note struct{ level, text string }
	var notes []note
	for _, o := range p.Kept {
		notes = append(notes, note{levelInfo, fmt.Sprintf("%s %q is kept, though no configuration names it", o.Kind, o.Name)})
	}
	for _, n := range append(notesOf(p), rollbackNotes(p)...) {
		notes = append(notes, note{levelInfo, n})
	}
	objects := Objects(p)
	for _, a := range p.DataLoss {
		notes = append(notes, note{levelWarn, fmt.Sprintf("%s (%q) holds data, which will be lost", a, objects[a].Name)})
	}
	if p.Unapproved != "" {
		notes = append(notes, note{levelWarn, p.Unapproved})
	}
	for _, n := range notes {
		if err := s.line(n.level, "log", PrintableLines(n.text), nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stream) summary(operation, message string, n engine.Summary, imports int) error {
	return s.line(levelInfo, "change_summary", message, fields{"changes": fields{
		"add": n.Add, "change": n.Change, "import": imports, "remove": n.Destroy, "operation": operation,
	}})
}

func (s *Stream) outputs(outputs fields) error {
	return s.line(levelInfo, "outputs", fmt.Sprintf("Outputs: %d", len(outputs)), fields{"outputs": outputs})
}

// Kept tells where a plan was kept.
func (s *Stream) Kept(k Kept) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	more := fields{"plan_file": k.File, "digest": k.Digest}
	if len(k.Secrets) > 0 {
		more["sensitive_variables"] = k.Secrets
	}
	return s.line(levelInfo, "log", "The plan is kept in "+k.File+". Its digest is "+k.Digest+".", more)
}

// Diagnose tells mistakes and warnings, as validate -json does.
func (s *Stream) Diagnose(addr string, sources map[string][]byte, diags hcl.Diagnostics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range NewValidation(sources, diags).Diagnostics {
		d.Address = addr
		s.diagnostic(d)
	}
}

// Fail tells an error that has no place in a file: its first line is the summary.
func (s *Stream) Fail(addr string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	summary, detail, _ := strings.Cut(PrintableLines(err.Error()), "\n")
	s.diagnostic(diagnostic{Severity: "error", Summary: summary, Detail: detail, Address: addr})
}

func (s *Stream) diagnostic(d diagnostic) {
	level, word := levelError, "Error: "
	if d.Severity == "warning" {
		level, word = levelWarn, "Warning: "
	}
	// A failing standard output leaves nowhere to say so.
	_ = s.line(level, "diagnostic", word+d.Summary, fields{"diagnostic": d})
}

// Say tells news that no other message is for.
func (s *Stream) Say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.line(levelInfo, "log", PrintableLines(text), nil)
}

// Progress begins an apply. The changes of a plan that was not told are told
// now, as Terraform tells those of a plan file.
func (s *Stream) Progress(p *engine.Plan) (Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.planned {
		return s, nil
	}
	return s, s.changes(p)
}

// hooks are the stream's words for what a step does.
var hooks = map[engine.Verb]string{
	engine.DoCreate: "create", engine.DoUpdate: "update", engine.DoDelete: "delete", engine.DoRename: "update",
}

// Event tells one piece of news of an apply.
func (s *Stream) Event(e engine.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally.count(e)
	if e.Kind == engine.RollingBack {
		_ = s.line(levelWarn, "log", rollingBack(e), nil)
		return
	}
	if e.Step.Undoes != nil && e.Kind == engine.Skipped {
		_ = s.line(levelWarn, "log", e.Step.Addr.String()+": "+leftText(e), nil)
		return
	}
	words, shown := verbs[toldAs(e.Step)]
	if !shown || !s.tally.tells(e) {
		return
	}
	id := e.Object
	if e.Kind == engine.Started {
		id = e.Step.Target
	}
	hook := fields{"resource": nameOf(e.Step.Addr, e.Step.Change.Type), "action": hooks[toldAs(e.Step)]}
	if id != nil && id.ID != "" {
		hook["id_key"], hook["id_value"] = "id", id.ID
	}
	var after time.Duration
	if r := s.running[e.Step.ID]; r != nil {
		after = s.now().Sub(r.since)
		hook["elapsed_seconds"] = int(after.Seconds())
	} else if e.Kind == engine.Failed {
		hook["elapsed_seconds"] = 0
	}
	tell := func(level, kind, format string, args ...any) {
		more := fields{"hook": hook}
		if kind == "log" {
			more = nil
		}
		_ = s.line(level, kind, e.Step.Addr.String()+": "+fmt.Sprintf(format, args...), more)
	}
	switch e.Kind {
	case engine.Started:
		s.running[e.Step.ID] = &running{step: e.Step, since: s.now()}
		tell(levelInfo, "apply_start", "%s...%s", words.doing, idOf(id))
		return
	case engine.Progressed:
		if r := s.running[e.Step.ID]; r != nil {
			r.tell(e.Progress)
		}
		return
	case engine.Done:
		tell(levelInfo, "apply_complete", "%s complete after %s%s", words.done, elapsed(after), idOf(id))
	case engine.Failed:
		tell(levelInfo, "apply_errored", "%s errored after %s", words.done, elapsed(after))
	case engine.Skipped:
		tell(levelWarn, "log", "%s", skipText(e))
	case engine.Dropped:
		tell(levelInfo, "log", "%s", droppedText)
	}
	delete(s.running, e.Step.ID)
}

// Tick tells of each step that went on for another ten seconds.
func (s *Stream) Tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range due(s.running, s.now()) {
		_ = s.line(levelInfo, "apply_progress", r.step.Addr.String()+": "+r.still(), fields{"hook": fields{
			"resource": nameOf(r.step.Addr, r.step.Change.Type), "action": hooks[toldAs(r.step)], "elapsed_seconds": int(r.told.Seconds()),
		}})
	}
}

// Close ends nothing: it is for Progress.
func (s *Stream) Close() {}

// Complete tells the sums of an apply, or that it did not come to its end.
func (s *Stream) Complete(p *engine.Plan, failed error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	operation := "apply"
	if p.Mode == engine.Destroy {
		operation = "destroy"
	}
	text := strings.Join(s.tally.words(p, failed), " ")
	if failed != nil {
		return s.line(levelError, "log", text, nil)
	}
	imports := 0
	for _, c := range p.Changes {
		if importingOf(c) != nil {
			imports++
		}
	}
	return s.summary(operation, text, s.tally.done, imports)
}

// Outputs tells the outputs after an apply.
func (s *Stream) Outputs(outputs map[string]Output) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := fields{}
	for name, o := range outputs {
		out := fields{"sensitive": o.Sensitive}
		if !o.Sensitive {
			ty, err := ctyjson.MarshalType(o.Value.Type())
			if err != nil {
				return err
			}
			out["type"], out["value"] = json.RawMessage(ty), plainJSON(o.Value)
		}
		all[name] = out
	}
	return s.outputs(all)
}
