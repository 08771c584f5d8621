package ray

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/ray/internal/gcs"
	"github.com/gapool/gapool/schema"
)

const (
	// pollEvery is how often Ray is asked about what is being waited for.
	pollEvery = 500 * time.Millisecond

	// startAgain is how often a start that timed out is tried again.
	startAgain = 2

	// timedOut is what Ray says before it ends for that.
	timedOut = "The current node timed out during startup"

	// preemptGrace is how long tasks that were told to move may take for it.
	preemptGrace = 15 * time.Second

	// deathTakes is how long Ray may take to list as dead what it agreed to
	// drain.
	deathTakes = 30 * time.Second

	// silence is how long a head that runs may at least be mute before what
	// needs its word is given up, however little time is left.
	silence = 10 * time.Second
)

// members are the verbs of a cluster's members: those of containers, with Ray's
// word on each.
type members struct {
	e     *engine
	inner providers.Resource
}

// Type is the table of containers.
func (m *members) Type() *schema.Type { return m.e.p.container }

// Read returns the member's container.
func (m *members) Read(ctx context.Context, ref providers.Ref) (*providers.Object, error) {
	return m.inner.Read(ctx, ref)
}

// Rename gives a member's container another name.
func (m *members) Rename(ctx context.Context, obj *providers.Object, name string) (*providers.Object, error) {
	r, ok := m.inner.(providers.Renamer)
	if !ok {
		return nil, providers.NoEffect(fmt.Errorf("container %s: this provider cannot rename", obj.Name))
	}
	return r.Rename(ctx, obj, name)
}

// Create makes a member and waits until the GCS answers (a head) or lists it (a
// worker). Until then the container has no restart policy, so that a start that
// fails is seen instead of repeated.
func (m *members) Create(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	own := *req
	restart := req.Want.GetAttr("restart")
	own.Want = schema.With(req.Want, map[string]cty.Value{"restart": cty.StringVal("no")})
	isHead := req.Addr.Member.Role == schema.Head
	if secured(req.Want) {
		token, err := newToken(), error(nil)
		if !isHead {
			token, err = m.e.token(ctx, headOf(req.Want))
		}
		if err != nil {
			return nil, providers.NoEffect(fmt.Errorf("create worker %s: %w", req.Name, err))
		}
		own.Files = append(slices.Clone(req.Files), providers.File{Path: TokenPath, Content: []byte(token)})
	}
	earlier := m.starts(ctx, req.Want, req.Name)
	obj, err := m.inner.Create(ctx, &own)
	if err != nil {
		return obj, err
	}
	if isHead {
		m.e.forget(obj.Name)
		m.e.remember(obj)
	}
	if obj, err = m.join(ctx, req, obj, earlier); err != nil {
		return obj, err
	}
	return m.set(ctx, req, obj, "restart", restart)
}

// newToken returns 256 random bits in hexadecimal.
func newToken() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return hex.EncodeToString(b)
}

// Update changes the container, and waits for Ray where that has started it.
func (m *members) Update(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	if !slices.Contains(req.Changed, "must_run") {
		return m.inner.Update(ctx, req)
	}
	earlier := m.starts(ctx, req.Want, req.Prior.Name)
	obj, err := m.inner.Update(ctx, req)
	if err != nil {
		return obj, err
	}
	return m.join(ctx, req, obj, earlier)
}

// starts are the IDs of the nodes that a worker's container had so far. Ray
// goes on counting on one that was killed for half a minute, and must not be
// taken to speak of the next one.
func (m *members) starts(ctx context.Context, attrs cty.Value, name string) map[string]bool {
	ids := map[string]bool{}
	head := headOf(attrs)
	if head == "" {
		return ids
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	// A head that does not answer now has nothing to tell of earlier starts
	// when it does: it was started anew itself.
	c, _ := m.e.nodes(ctx, head, secured(attrs))
	note(ids, c.Nodes, name)
	return ids
}

func note(ids map[string]bool, nodes []gcs.Node, name string) {
	for _, n := range nodes {
		if n.InstanceID == name {
			ids[n.ID] = true
		}
	}
}

// set changes one attribute of a member's container.
func (m *members) set(ctx context.Context, req *providers.Request, obj *providers.Object, attr string, v cty.Value) (*providers.Object, error) {
	if obj.Attrs.GetAttr(attr).RawEquals(v) {
		return obj, nil
	}
	changed, err := m.inner.Update(ctx, &providers.Request{
		Addr: req.Addr, Owner: obj.Owner, Name: obj.Name, Dir: req.Dir, Report: req.Report,
		Prior: obj, Want: schema.With(obj.Attrs, map[string]cty.Value{attr: v}), Changed: []string{attr},
	})
	if err != nil {
		return cmp.Or(changed, obj), err
	}
	return changed, nil
}

// join waits until Ray counts on this start of the member, and not on one of
// the earlier. It fails at once where the container has ended for good.
func (m *members) join(ctx context.Context, req *providers.Request, obj *providers.Object, earlier map[string]bool) (*providers.Object, error) {
	limit := durationOf(req.Cluster, "ready_timeout", defaultReady)
	end := time.Now().Add(limit)
	head, stage := headOf(obj.Attrs), "waiting for Ray to list the node"
	if req.Addr.Member.Role == schema.Head {
		head, stage = obj.Name, "waiting for Ray's GCS to answer"
	}
	report := reporter(req)
	report(stage)
	var last string
	for starts := 0; ; {
		c, err := m.e.nodes(ctx, head, secured(obj.Attrs))
		live := slices.DeleteFunc(gcs.Live(c.Nodes, obj.Name), func(n gcs.Node) bool { return earlier[n.ID] })
		switch {
		case err != nil:
			last = err.Error()
		case len(live) == 1 && live[0].Status != gcs.Draining:
			return obj, nil
		case len(live) > 1:
			last = "Ray has not noticed yet that an earlier start of the container ended"
		default:
			last = "Ray does not list it"
		}
		now, err := m.inner.Read(ctx, obj.Ref())
		switch {
		case ctx.Err() != nil:
			return obj, ctx.Err()
		case errors.Is(err, providers.ErrNotFound):
			return nil, fmt.Errorf("container %s was removed while it started", obj.Name)
		case err == nil && stopped(now):
			obj = now
			log := m.e.lastLines(ctx, obj.Name)
			if !strings.Contains(log, timedOut) || starts == startAgain {
				return obj, errors.New(under(fmt.Sprintf("container %s ended before Ray listed its node", obj.Name), log))
			}
			starts++
			note(earlier, c.Nodes, obj.Name)
			report(fmt.Sprintf("starting again, since Ray's start timed out (%d of %d)", starts, startAgain))
			if obj, err = m.set(ctx, req, obj, "must_run", cty.True); err != nil {
				return obj, err
			}
		case err == nil:
			obj = now
		}
		if time.Now().After(end) {
			return obj, errors.New(under(fmt.Sprintf(
				"container %s runs, but Ray did not count on its node within %s (%s). Give a slow engine more time with ready_timeout", obj.Name, limit, last),
				m.e.lastLines(ctx, obj.Name)))
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return obj, err
		}
	}
}

// Delete drains a worker and removes its container; neither a head nor a worker
// that goes before its head is removed while jobs run, unless forced. There is no drain where nothing could be lost: the
// container or the head does not run, or Ray does not count on the node.
func (m *members) Delete(ctx context.Context, req *providers.Request) error {
	obj, err := m.inner.Read(ctx, req.Prior.Ref())
	switch {
	case errors.Is(err, providers.ErrNotFound):
		return m.inner.Delete(ctx, req) // says so itself
	case err != nil:
		return providers.NoEffect(err)
	}
	if req.Addr.Member.Role == schema.Head {
		if err := m.mayGo(ctx, req, obj); err != nil {
			return providers.NoEffect(err)
		}
		m.e.forget(obj.Name)
		return m.inner.Delete(ctx, req)
	}
	if req.Lead != nil {
		// A cluster that is to go may work again since that was planned.
		if err := m.mayGo(ctx, req, req.Lead); err != nil {
			return providers.NoEffect(err)
		}
	}
	if head := headOf(obj.Attrs); head != "" && !stopped(obj) {
		if err := m.drain(ctx, req, obj, head); err != nil {
			return fmt.Errorf("drain %s: %w", obj.Name, err)
		}
	}
	return m.inner.Delete(ctx, req)
}

// Linger is how long the container may take to stop and, of a worker, how long
// it may drain before that.
func (m *members) Linger(req *providers.Request) time.Duration {
	var d time.Duration
	if l, ok := m.inner.(providers.Lingerer); ok {
		d = l.Linger(req)
	}
	if req.Addr.Member.Role != schema.Head {
		d += durationOf(req.Cluster, "drain_timeout", defaultDrain) + deathTakes
	}
	return d
}

// drain returns when the node may go: it is dead to Ray, its time to move its
// work is up, or the head does not run, so that nobody is there to ask. A head
// that runs and does not answer may be busy with the very work that a removal
// would lose: that is waited for, and is an error in the end unless forced.
//
// It first asks for what Ray refuses to a node with work, so that nothing is
// disturbed; when the time is up, or no job runs at all, for what it does not
// refuse.
func (m *members) drain(ctx context.Context, req *providers.Request, obj *providers.Object, head string) error {
	limit := durationOf(req.Cluster, "drain_timeout", defaultDrain)
	end := time.Now().Add(limit)
	report := reporter(req)
	var gone time.Time  // when the node goes at the latest; zero before a drain was accepted
	var quiet time.Time // since when Ray does not answer
	for first := true; ; first = false {
		c, err := m.e.nodes(ctx, head, secured(obj.Attrs))
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			if quiet.IsZero() {
				quiet = now
			}
			final := errors.Is(err, gcs.ErrUnauthenticated) || errors.Is(err, gcs.ErrUnreadable)
			switch {
			case !m.e.headRuns(ctx, head), !gone.IsZero() && now.After(gone):
				return nil
			case final, gone.IsZero() && now.After(end) && now.Sub(quiet) > silence:
				if req.Force {
					return nil
				}
				return mute(head, err)
			}
			report("waiting for Ray's GCS to answer")
		default:
			quiet = time.Time{}
			live := gcs.Live(c.Nodes, obj.Name)
			if len(live) == 0 || (!gone.IsZero() && now.After(gone)) {
				return nil
			}
			if first {
				// A drained node must not come back.
				if obj, err = m.set(ctx, req, obj, "restart", cty.StringVal("no")); err != nil {
					return err
				}
			}
			if gone.IsZero() {
				if gone, err = m.askToGo(ctx, head, live, obj, now.After(end), report); err != nil {
					return err
				}
			}
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// mute says that a head runs and does not tell what its cluster works on.
func mute(head string, err error) error {
	return fmt.Errorf("container %s runs, but Ray does not tell whether work would be lost (%w). "+
		"See its log and apply again; or, if the work may be lost, add -force", head, err)
}

// askToGo drains the nodes of a worker. It returns until when to wait for their
// end, or zero where Ray refused.
func (m *members) askToGo(ctx context.Context, head string, live []gcs.Node, obj *providers.Object, late bool, report func(string)) (time.Time, error) {
	asker, err := m.e.asker(ctx, head, secured(obj.Attrs))
	if err != nil {
		return time.Time{}, err
	}
	const message = "gapool removes this worker"
	var refused string
	for _, n := range live {
		accepted, why, err := asker.Drain(ctx, n.ID, gcs.IdleTermination, message, time.Time{})
		if errors.Is(err, gcs.ErrUnavailable) {
			return time.Time{}, nil // the next look tells
		}
		if err != nil {
			return time.Time{}, err
		}
		if !accepted {
			refused = why
		}
	}
	if refused == "" {
		report("drained, waiting for its node to end")
		return time.Now().Add(deathTakes), nil
	}
	grace := preemptGrace
	if !late {
		if jobs, err := m.e.jobs(ctx, head, secured(obj.Attrs)); err != nil || len(jobs) > 0 {
			report("waiting for its work to end: " + refused)
			return time.Time{}, nil
		}
		grace = pollEvery // no job is there that could lose anything
	}
	report("moving its work to other workers")
	gone := time.Now().Add(grace)
	for _, n := range live {
		_, _, err := asker.Drain(ctx, n.ID, gcs.Preemption, message, gone)
		if err != nil && !errors.Is(err, gcs.ErrUnavailable) {
			return time.Time{}, err
		}
	}
	return gone, nil
}

// durationOf reads one of the cluster's durations, whose text was checked.
func durationOf(cluster cty.Value, attr string, otherwise time.Duration) time.Duration {
	if cluster == cty.NilVal || cluster.IsNull() || !cluster.IsKnown() {
		return otherwise
	}
	v, _ := cluster.GetAttr(attr).Unmark()
	if v.IsNull() || !v.IsKnown() {
		return otherwise
	}
	if d, err := time.ParseDuration(v.AsString()); err == nil && d > 0 {
		return d
	}
	return otherwise
}
