package gcs

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// process is an exec'd process that prints out and ends.
type process struct{ io.Reader }

func (process) Write(p []byte) (int, error) { return len(p), nil }
func (process) Close() error                { return nil }

func prints(out string) Exec {
	return func(context.Context, []string) (io.ReadWriteCloser, error) {
		return process{strings.NewReader(out)}, nil
	}
}

func TestJobs(t *testing.T) {
	out := `200 OK
[{"type":"SUBMISSION","job_id":null,"submission_id":"s-2","status":"PENDING","entrypoint":"python ga.py","driver_info":null},
 {"type":"DRIVER","job_id":"02000000","submission_id":null,"status":"RUNNING","entrypoint":"python -"},
 {"type":"SUBMISSION","job_id":"01000000","submission_id":"s-1","status":"SUCCEEDED","entrypoint":"true"}]`
	got, err := dial(t, prints(out), "").Jobs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []Job{
		{SubmissionID: "s-2", Type: "SUBMISSION", Status: "PENDING", Entrypoint: "python ga.py"},
		{ID: "01000000", SubmissionID: "s-1", Type: "SUBMISSION", Status: "SUCCEEDED", Entrypoint: "true"},
		{ID: "02000000", Type: "DRIVER", Status: "RUNNING", Entrypoint: "python -"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	for _, j := range got {
		if active := j.Status != "SUCCEEDED"; j.Active() != active {
			t.Errorf("a job that is %s: active = %v, want %v", j.Status, j.Active(), active)
		}
	}
}

func TestJobsErrors(t *testing.T) {
	tests := map[string]struct {
		out  string
		is   error
		text string
	}{
		"nothing":     {"", ErrUnavailable, "was not asked"},
		"not up":      {"0 [Errno 111] Connection refused\n", ErrUnavailable, "8265 in the head's container: [Errno 111]"},
		"not ready":   {"503 Service Unavailable\n", ErrUnavailable, "Service Unavailable"},
		"no token":    {"401 Unauthorized\nx", ErrUnauthenticated, "Unauthorized"},
		"wrong token": {"403 Forbidden\nx", ErrUnauthenticated, "Forbidden"},
		"broken":      {"500 Oops\nTraceback", nil, "500 Oops: Traceback"},
		"not JSON":    {"200 OK\n<html>", nil, "cannot be read"},
		"not a list":  {"200 OK\n{}", nil, "cannot be read"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			jobs, err := dial(t, prints(test.out), "").Jobs(t.Context())
			if err == nil {
				t.Fatalf("no error, but %v", jobs)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v is not %v", err, test.is)
			}
			if !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v does not say %q", err, test.text)
			}
		})
	}
}

func TestJobsEndWithTheCallersContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := dial(t, func(context.Context, []string) (io.ReadWriteCloser, error) {
		r, w := io.Pipe()
		go cancel()
		return struct {
			io.Reader
			io.WriteCloser
		}{r, w}, nil
	}, "")
	if _, err := c.Jobs(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's own", err)
	}
}
