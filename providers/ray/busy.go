package ray

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/ray/internal/gcs"
)

// jobNames are the jobs in a person's words: what was submitted has a name,
// another driver only Ray's number.
func jobNames(jobs []gcs.Job) []string {
	var names []string
	for _, j := range jobs {
		if j.SubmissionID != "" {
			names = append(names, "job "+j.SubmissionID)
		} else {
			names = append(names, "driver "+j.ID)
		}
	}
	return names
}

// patientJobs asks for the jobs until ctx ends: a head's dashboard, which knows
// them, answers some seconds after its GCS. No answer in that time is
// gcs.ErrUnavailable.
func (e *engine) patientJobs(ctx context.Context, head string, secured bool) ([]gcs.Job, error) {
	last := fmt.Errorf("%w: nothing came back in time", gcs.ErrUnavailable)
	for {
		jobs, err := e.jobs(ctx, head, secured)
		switch {
		case err == nil:
			return jobs, nil
		case ctx.Err() != nil:
			return nil, last
		case !errors.Is(err, gcs.ErrUnavailable):
			return nil, err
		}
		last = err
		if sleep(ctx, pollEvery) != nil {
			return nil, last
		}
	}
}

// mayGo fails where jobs run on the cluster of a head, which end with it, or
// where the head does not tell; nothing was done then.
func (m *members) mayGo(ctx context.Context, req *providers.Request, head *providers.Object) error {
	if req.Force || !head.Started || stopped(head) {
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	jobs, err := m.e.patientJobs(asking, head.Name, secured(head.Attrs))
	names := slices.DeleteFunc(jobNames(jobs), func(name string) bool { return slices.Contains(req.Ends, name) })
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && len(names) > 0:
		return fmt.Errorf("the cluster runs %s, which would end with container %s; wait for it, or, if its work may be lost, add -force",
			strings.Join(names, ", "), head.Name)
	case err == nil, neverReady(req.Cluster, head), !m.e.headRuns(ctx, head.Name):
		return nil
	default:
		return mute(head.Name, err)
	}
}

// neverReady reports whether a head is one that no job can have reached: it has
// the restart policy that a member gets only when Ray answers still to come.
func neverReady(cluster cty.Value, head *providers.Object) bool {
	if cluster == cty.NilVal || cluster.IsNull() {
		return false
	}
	wanted, has := cluster.GetAttr("restart"), head.Attrs.GetAttr("restart")
	return wanted.IsKnown() && !wanted.IsNull() && wanted.AsString() != "no" && has.RawEquals(cty.StringVal("no"))
}
