package gcs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Job is a driver that runs or ran on the cluster, or a submission to its jobs
// API, which may not have a driver yet.
type Job struct {
	ID           string // Ray's number of the driver; empty before it started
	SubmissionID string // empty for a driver that was not submitted
	Type         string // SUBMISSION or DRIVER
	Status       string // PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED
	Entrypoint   string // the command; may be empty for a driver
}

// Active says whether the job could lose work with the cluster: everything that
// has not ended. A word that is not known counts, since Ray may add one.
func (j Job) Active() bool {
	switch j.Status {
	case "STOPPED", "SUCCEEDED", "FAILED":
		return false
	}
	return true
}

// jobsScript asks the dashboard in the head. The token is read where it lies,
// so that it is in no command line. Its first line is the HTTP status, or 0 and
// what went wrong; the rest is the body. http.client, unlike urllib, takes no
// proxy from the environment.
const jobsScript = `
import http.client, os, sys
out = sys.stdout.buffer
try:
    headers = {}
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    if path and os.environ.get("RAY_AUTH_MODE") == "token":
        with open(path) as f:
            headers["Authorization"] = "Bearer " + f.read().strip()
    c = http.client.HTTPConnection("127.0.0.1", 8265, timeout=10)
    c.request("GET", "/api/jobs/", headers=headers)
    r = c.getresponse()
    body = r.read()
    out.write(b"%d %s\n" % (r.status, r.reason.encode()) + body)
except (OSError, http.client.HTTPException) as e:
    out.write(("0 %s\n" % e).encode())
`

// Jobs asks the head's dashboard for the drivers and submissions that it
// knows, those that have ended too, ordered by ID, then by submission ID.
//
// The error is ErrUnavailable, ErrUnauthenticated, ErrUnreadable or the
// context's.
func (c *Client) Jobs(ctx context.Context) ([]Job, error) {
	callCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := c.output(callCtx, python(jobsScript))
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("list ray's jobs: %w: %w", ErrUnavailable, err)
	}
	jobs, err := decodeJobs(out)
	if err != nil {
		return nil, fmt.Errorf("list ray's jobs: %w", err)
	}
	return jobs, nil
}

// output runs cmd in the head and returns what it prints until it ends.
func (c *Client) output(ctx context.Context, cmd []string) ([]byte, error) {
	stream, err := c.exec(ctx, cmd)
	if err != nil {
		return nil, fmt.Errorf("run python3 in the head's container: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer func() {
		if stop() {
			_ = stream.Close()
		}
	}()
	out, err := io.ReadAll(io.LimitReader(stream, maxReply))
	if ctx.Err() != nil {
		return nil, fmt.Errorf("nothing came back within %s", callTimeout)
	}
	return out, err
}

func decodeJobs(out []byte) ([]Job, error) {
	line, body, found := bytes.Cut(out, []byte("\n"))
	if !found {
		return nil, fmt.Errorf("%w: the dashboard was not asked (does the head's image have python3?)", ErrUnavailable)
	}
	code, reason, _ := strings.Cut(string(line), " ")
	switch code {
	case "200":
	case "0", "502", "503", "504":
		return nil, fmt.Errorf("%w: the dashboard at 127.0.0.1:8265 in the head's container: %s", ErrUnavailable, reason)
	case "401", "403":
		return nil, fmt.Errorf("%w: the dashboard says %s", ErrUnauthenticated, reason)
	case "500": // among others while the GCS does not answer it
		return nil, fmt.Errorf("%w: the dashboard says %s: %.200s", ErrUnavailable, line, body)
	default:
		return nil, fmt.Errorf("%w: the dashboard says %s: %.200s", ErrUnreadable, line, body)
	}
	var items []struct {
		JobID        string `json:"job_id"`
		SubmissionID string `json:"submission_id"`
		Type         string `json:"type"`
		Status       string `json:"status"`
		Entrypoint   string `json:"entrypoint"`
	}
	if err := json.Unmarshal(body, &items); err != nil {
		return nil, fmt.Errorf("%w: the dashboard's: %w", ErrUnreadable, err)
	}
	jobs := make([]Job, 0, len(items))
	for _, i := range items {
		jobs = append(jobs, Job{ID: i.JobID, SubmissionID: i.SubmissionID, Type: i.Type, Status: i.Status, Entrypoint: i.Entrypoint})
	}
	slices.SortStableFunc(jobs, func(a, b Job) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.SubmissionID, b.SubmissionID))
	})
	return jobs, nil
}
