package build

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	control "github.com/moby/buildkit/api/services/control"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// message is one line of the engine's stream.
func message(t *testing.T, id string, aux any) string {
	t.Helper()
	line, err := json.Marshal(map[string]any{"id": id, "aux": aux})
	must(t, err)
	return string(line) + "\n"
}

func status(t *testing.T, s *control.StatusResponse) string {
	t.Helper()
	encoded, err := s.MarshalVT()
	must(t, err)
	return message(t, "moby.buildkit.trace", encoded)
}

func at(seconds int64) *timestamppb.Timestamp { return timestamppb.New(time.Unix(seconds, 0)) }

func log(vertex, text string) *control.VertexLog {
	return &control.VertexLog{Vertex: vertex, Stream: 1, Msg: []byte(text)}
}

func TestFollowEvents(t *testing.T) {
	stream := status(t, &control.StatusResponse{Vertexes: []*control.Vertex{{Digest: "a", Name: "A"}, {Digest: "b", Name: "B", Started: at(10), Completed: at(10), Cached: true}}}) +
		status(t, &control.StatusResponse{Vertexes: []*control.Vertex{{Digest: "a", Name: "A", Started: at(10)}}, Logs: []*control.VertexLog{log("a", "one\ntw")}}) +
		status(t, &control.StatusResponse{Logs: []*control.VertexLog{log("a", "o\r\n10%\r99%\rdone\n\nhun"), log("a", "ter2 and "), log("a", "hunter22\nend")}}) +
		status(t, &control.StatusResponse{Statuses: []*control.VertexStatus{{Vertex: "a", ID: "layer", Current: 3, Total: 7}}}) +
		status(t, &control.StatusResponse{Vertexes: []*control.Vertex{{Digest: "a", Name: "A", Started: at(10), Completed: at(12)}}}) +
		status(t, &control.StatusResponse{Vertexes: []*control.Vertex{{Digest: "a", Name: "A", Started: at(10), Completed: at(12)}}}) +
		`{"stream":"a line of an older engine"}` +
		message(t, "moby.image.id", map[string]string{"ID": "sha256:1"})
	var r recorder
	id, err := newTracker(r.add, redactor(map[string][]byte{"s": []byte("hunter2\n"), "l": []byte("hunter22")}, nil)).follow(strings.NewReader(stream))
	must(t, err)
	if id != "sha256:1" {
		t.Errorf("image %s", id)
	}
	line := func(text string) Event { return Event{Kind: Log, ID: "a", Step: "A", Line: text} }
	want := []Event{
		{Kind: Cached, ID: "b", Step: "B"},
		{Kind: Started, ID: "a", Step: "A"},
		line("one"), line("two"), line("done"), line(""), line("(sensitive value) and (sensitive value)"),
		{Kind: Progress, ID: "a", Step: "A", Item: "layer", Current: 3, Total: 7},
		line("end"),
		{Kind: Completed, ID: "a", Step: "A", Elapsed: 2 * time.Second},
	}
	if diff := cmp.Diff(want, r.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestFollowBlamesTheStepThatFailed(t *testing.T) {
	var output strings.Builder
	for i := range 25 {
		fmt.Fprintf(&output, "line %d\n", i)
	}
	stream := status(t, &control.StatusResponse{
		Vertexes: []*control.Vertex{
			{Digest: "a", Name: "neighbour", Started: at(1), Completed: at(2), Error: "context canceled"},
			{Digest: "b", Name: "[2/2] RUN x", Started: at(1), Completed: at(2), Error: "executor failed: exit code: 3"},
		},
		Logs: []*control.VertexLog{log("b", output.String()), log("a", "not this\n")},
	}) + `{"errorDetail":{"message":"failed to solve: executor failed: exit code: 3"},"error":"failed to solve"}`
	_, err := newTracker(nil, redactor(nil, nil)).follow(strings.NewReader(stream))
	want := "step [2/2] RUN x: executor failed: exit code: 3\nthe end of its log:\n"
	for i := 5; i < 25; i++ {
		want += fmt.Sprintf("    line %d\n", i)
	}
	if err == nil || err.Error()+"\n" != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
}

func TestFollowNeedsAWholeAnswer(t *testing.T) {
	for stream, want := range map[string]string{
		"":                       "without an image",
		`{"id":"moby.image.id",`: "broke off",
		`{"id":"moby.buildkit.trace","aux":"AQ=="}`: "moby.buildkit.trace cannot be read",
		`{"id":"moby.buildkit.trace","aux":5}`:      "moby.buildkit.trace cannot be read",
	} {
		if _, err := newTracker(nil, redactor(nil, nil)).follow(strings.NewReader(stream)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", stream, err, want)
		}
	}
}

func TestFollowKeepsNoEndlessLine(t *testing.T) {
	var r recorder
	tr := newTracker(r.add, redactor(nil, nil))
	for range 100 {
		tr.write(tr.step("a"), 1, strings.Repeat("x", longestLine/10))
	}
	if len(r.events) < 8 || len(tr.step("a").open[1]) > longestLine {
		t.Errorf("%d lines out, %d bytes kept", len(r.events), len(tr.step("a").open[1]))
	}
}
