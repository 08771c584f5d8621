package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	control "github.com/moby/buildkit/api/services/control"
)

// Kind says what an Event tells of.
type Kind string

const (
	Started   Kind = "started"   // the step begins; a step may begin more than once
	Cached    Kind = "cached"    // the step's result was there already
	Completed Kind = "completed" // the step ended, after Elapsed
	Failed    Kind = "failed"    // the step ended, after Elapsed, with the error in Line
	Log       Kind = "log"       // the step wrote Line
	Progress  Kind = "progress"  // the step moved Item, such as a layer, to Current of Total bytes
)

// Event is one thing that happened in a build.
type Event struct {
	Kind    Kind
	ID      string // the step's own, the same in all its events: names can repeat
	Step    string // "[builder 2/5] RUN make", "[internal] load build context"
	Elapsed time.Duration
	Line    string
	Item    string
	Current int64
	Total   int64 // 0 where nobody knows
}

// tailLines is how much of a failed step's log its error repeats.
const tailLines = 20

// longestLine bounds what is kept, in bytes, of output without a line's end.
const longestLine = 64 << 10

// tracker turns BuildKit's status messages into Events, and remembers what an error needs.
type tracker struct {
	report func(Event)
	redact func(string) string
	steps  map[string]*step
	failed *step // the first that failed by itself
}

type step struct {
	id, name           string
	started, completed time.Time
	open               map[int64]string // output after the last line's end, by stream
	tail               []string
	err                string
}

func newTracker(report func(Event), redact func(string) string) *tracker {
	if report == nil {
		report = func(Event) {}
	}
	return &tracker{report: report, redact: redact, steps: map[string]*step{}}
}

// follow reads the messages of a build to their end and returns the ID of its image.
func (t *tracker) follow(stream io.Reader) (imageID string, err error) {
	for messages := json.NewDecoder(stream); ; {
		var m struct {
			ID          string
			Aux         json.RawMessage
			ErrorDetail *struct{ Message string }
		}
		if err := messages.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", fmt.Errorf("the engine's answer broke off: %w", err)
		}
		switch {
		case m.ErrorDetail != nil:
			return "", &Failure{t.failure(m.ErrorDetail.Message)}
		case m.ID == "moby.buildkit.trace":
			err = t.trace(m.Aux)
		case m.ID == "moby.image.id":
			var image struct{ ID string }
			err = json.Unmarshal(m.Aux, &image)
			imageID = image.ID
		}
		if err != nil {
			return "", fmt.Errorf("the engine's message %s cannot be read: %w", m.ID, err)
		}
	}
	if imageID == "" {
		return "", errors.New("the engine ended the build without an image and without an error; see its log")
	}
	return imageID, nil
}

// failure is the error for a person. message is the engine's, used where no step is to blame, as for a Dockerfile that cannot be parsed.
func (t *tracker) failure(message string) error {
	s := t.failed
	if s == nil {
		return errors.New(t.redact(message))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "step %s: %s", s.name, s.err)
	if len(s.tail) > 0 {
		fmt.Fprintf(&b, "\nthe end of its log:\n    %s", strings.Join(s.tail, "\n    "))
	}
	return errors.New(b.String())
}

// trace reports one status message. Within it steps begin before they write, and write before they end.
func (t *tracker) trace(aux json.RawMessage) error {
	var encoded []byte
	if err := json.Unmarshal(aux, &encoded); err != nil {
		return err
	}
	var status control.StatusResponse
	if err := status.UnmarshalVT(encoded); err != nil {
		return err
	}
	for _, v := range status.Vertexes {
		t.begin(v)
	}
	for _, p := range status.Statuses {
		s := t.step(p.Vertex)
		t.report(Event{Kind: Progress, ID: s.id, Step: s.name, Item: p.ID, Current: p.Current, Total: p.Total})
	}
	for _, l := range status.Logs {
		t.write(t.step(l.Vertex), l.Stream, string(l.Msg))
	}
	for _, v := range status.Vertexes {
		t.end(v)
	}
	return nil
}

func (t *tracker) step(id string) *step {
	s, ok := t.steps[id]
	if !ok {
		s = &step{id: id, open: map[int64]string{}}
		t.steps[id] = s
	}
	return s
}

// begin reports a step's start once, though each later message about the step repeats it.
func (t *tracker) begin(v *control.Vertex) {
	s := t.step(v.Digest)
	s.name = t.redact(v.Name)
	if v.Started == nil || v.Cached || v.Started.AsTime().Equal(s.started) {
		return
	}
	s.started = v.Started.AsTime()
	t.report(Event{Kind: Started, ID: s.id, Step: s.name})
}

// end reports a step's end once.
func (t *tracker) end(v *control.Vertex) {
	s := t.step(v.Digest)
	if v.Completed == nil || v.Completed.AsTime().Equal(s.completed) {
		return
	}
	s.completed = v.Completed.AsTime()
	for _, stream := range slices.Sorted(maps.Keys(s.open)) {
		if rest := s.open[stream]; rest != "" {
			t.line(s, rest)
		}
	}
	clear(s.open)
	e := Event{Kind: Completed, ID: s.id, Step: s.name}
	if !s.started.IsZero() {
		e.Elapsed = s.completed.Sub(s.started)
	}
	switch {
	case v.Error != "":
		e.Kind, e.Line = Failed, t.redact(v.Error)
		s.err = e.Line
		// When a step fails BuildKit cancels its neighbours, and they end with that as their error.
		if t.failed == nil && !strings.Contains(v.Error, "context canceled") {
			t.failed = s
		}
	case v.Cached:
		e.Kind = Cached
	}
	t.report(e)
}

// write takes a piece of output and reports the lines that it completes.
func (t *tracker) write(s *step, stream int64, piece string) {
	rest := s.open[stream] + piece
	for {
		line, after, found := strings.Cut(rest, "\n")
		if !found {
			break
		}
		t.line(s, line)
		rest = after
	}
	if len(rest) > longestLine {
		t.line(s, rest)
		rest = ""
	}
	s.open[stream] = rest
}

// line reports one line as a terminal would show it at its end: a progress bar rewrites its line after each carriage return.
func (t *tracker) line(s *step, line string) {
	line = strings.TrimRight(line, "\r")
	line = t.redact(line[strings.LastIndexByte(line, '\r')+1:])
	s.tail = append(s.tail, line)
	if len(s.tail) > tailLines {
		s.tail = s.tail[1:]
	}
	t.report(Event{Kind: Log, ID: s.id, Step: s.name, Line: line})
}
