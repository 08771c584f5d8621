package ray_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/docker"
	"github.com/gapool/gapool/providers/mem"
	"github.com/gapool/gapool/providers/ray"
	"github.com/gapool/gapool/providers/ray/internal/gcs"
	"github.com/gapool/gapool/providers/ray/raytest"
	"github.com/gapool/gapool/schema"
)

const container = "docker_container"

// lab is one cluster on the in-memory engine. Its tests run in bubbles, where
// time passes only while everything waits.
type lab struct {
	t      *testing.T
	world  *mem.World
	ray    *raytest.Ray
	p      providers.Provider
	engine providers.Engine
	want   cty.Value
	addr   schema.Addr
	force  bool
	ends   []string

	mu     sync.Mutex
	stages []string
	calls  []string
}

// bubble runs f in a world where nothing exists yet.
func bubble(t *testing.T, f func(*testing.T, *lab)) {
	synctest.Test(t, func(t *testing.T) {
		l := &lab{t: t, addr: schema.Addr{Type: ray.ClusterType, Name: "pool"}}
		l.world = mem.New("docker", &schema.Type{Name: "docker"}, docker.New().Types(), mem.Lingers(stopTimeout), mem.Faults(func(c mem.Call) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			if c.When == mem.Before && c.Op != mem.Read && c.Op != mem.Refresh {
				l.calls = append(l.calls, fmt.Sprintf("%s %s", c.Op, c.Name))
			}
			return nil
		}))
		l.p, l.ray = raytest.Over(l.world)
		var err error
		if l.engine, err = l.p.Connect(t.Context(), cty.EmptyObjectVal); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := l.engine.Close(); err != nil {
				t.Error(err)
			}
		}()
		l.configure("")
		f(t, l)
	})
}

func stopTimeout(_ string, attrs cty.Value) time.Duration {
	n, _ := attrs.GetAttr("stop_timeout").AsBigFloat().Int64()
	return time.Duration(n) * time.Second
}

// configure sets what is wanted: a cluster with two workers, and more.
func (l *lab) configure(more string) {
	l.t.Helper()
	body := `
name    = "genetic"
image   = "sha256:1"
network = "net"
head {
  dashboard_port = 8265
}
worker_group "cpu" {
  replicas  = 2
  resources = { island = 1 }
}
` + more
	l.want = ray.Decode(l.t, l.p, body)
}

func (l *lab) members() []providers.Member {
	l.t.Helper()
	lowerer, ok := l.p.(providers.Lowerer)
	if !ok {
		l.t.Fatal("the provider lowers nothing")
	}
	members, err := lowerer.Lower(l.addr, l.want, nil, l.engine.Info())
	if err != nil {
		l.t.Fatal(err)
	}
	return members
}

func (l *lab) request(addr schema.Addr) *providers.Request {
	return &providers.Request{
		Addr: addr, Cluster: l.want, Force: l.force, Ends: l.ends,
		Owner: providers.Owner{Stack: "lab", Workspace: "default", Lineage: "l", UID: "uid of " + addr.String(), Address: addr.String()},
		Report: func(p providers.Progress) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.stages = append(l.stages, p.Stage)
		},
	}
}

func (l *lab) create(m providers.Member) (*providers.Object, error) {
	req := l.request(m.Addr)
	req.Want, req.Name = m.Want, m.Want.GetAttr("name").AsString()
	return l.engine.Resource(m.Addr).Create(l.t.Context(), req)
}

func (l *lab) verify() (*providers.Object, error) {
	req := l.request(l.addr)
	req.Want, req.Name, req.Cluster = l.want, "genetic", cty.NilVal
	return l.engine.Resource(l.addr).Create(l.t.Context(), req)
}

// up makes the whole cluster.
func (l *lab) up() {
	l.t.Helper()
	for _, m := range l.members() {
		if _, err := l.create(m); err != nil {
			l.t.Fatal(err)
		}
	}
	l.stages, l.calls = nil, nil
}

// delete deletes a member by its container's name.
func (l *lab) delete(name string) error {
	l.t.Helper()
	for _, obj := range l.world.Objects() {
		if obj.Name == name {
			addr, err := schema.ParseAddr(obj.Owner.Address)
			if err != nil {
				l.t.Fatal(err)
			}
			req := l.request(addr)
			req.Prior = obj
			return l.engine.Resource(addr).Delete(l.t.Context(), req)
		}
	}
	l.t.Fatalf("there is no %s", name)
	return nil
}

func (l *lab) names() string {
	var names []string
	for _, obj := range l.world.Objects() {
		names = append(names, obj.Name)
	}
	return strings.Join(names, " ")
}

func (l *lab) refresh() *providers.World {
	l.t.Helper()
	w, err := l.engine.Refresh(l.t.Context(), providers.Scope{Stack: "lab", Workspace: "default"})
	if err != nil {
		l.t.Fatal(err)
	}
	return w
}

func find(w *providers.World, name string) *providers.Object {
	for _, obj := range w.Objects {
		if obj.Name == name {
			return obj
		}
	}
	return nil
}

func contains(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("error %v, want one with %q", err, w)
		}
	}
}

func TestAClusterComesUpMemberByMember(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		for _, m := range l.members() {
			obj, err := l.create(m)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range schema.Differences(m.Type, m.Want, obj.Attrs, obj.Defaults) {
				t.Errorf("%s is made with %v of %s, want %v", m.Addr, d.Live, d.Attr, d.Want)
			}
		}
		want := []string{
			"create genetic-head", "start genetic-head", "ready genetic-head", "update genetic-head",
			"create genetic-cpu-0", "start genetic-cpu-0", "ready genetic-cpu-0", "update genetic-cpu-0",
			"create genetic-cpu-1", "start genetic-cpu-1", "ready genetic-cpu-1", "update genetic-cpu-1",
		}
		if diff := cmp.Diff(want, l.calls); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
		obj, err := l.verify()
		if err != nil {
			t.Fatal(err)
		}
		if obj.Kind != ray.ClusterType || obj.ID != "genetic" || obj.Name != "genetic" {
			t.Errorf("the cluster is %s %q %q", obj.Kind, obj.ID, obj.Name)
		}
		attrs := map[string]string{
			"id": "genetic", "name": "genetic", "dashboard_url": "http://127.0.0.1:8265", "address": "genetic-head:6379",
			"head_container": "genetic-head", "ray_version": "2.60.0", "python_version": "3.11.2",
		}
		for name, want := range attrs {
			if got := obj.Attrs.GetAttr(name); got.IsNull() || got.AsString() != want {
				t.Errorf("%s = %#v, want %q", name, got, want)
			}
		}

		w := l.refresh()
		seen := find(w, "genetic")
		if seen == nil || len(w.Warnings) > 0 {
			t.Fatalf("refresh saw no cluster; warnings %q", w.Warnings)
		}
		if seen.Owner.Address != l.addr.String() || seen.ID != obj.ID {
			t.Errorf("the cluster that is seen is %q of %s", seen.ID, seen.Owner.Address)
		}
		for name := range attrs {
			if got := seen.Attrs.GetAttr(name); name != "name" && !got.RawEquals(obj.Attrs.GetAttr(name)) {
				t.Errorf("a refresh reads %s = %#v, the apply had %#v", name, got, obj.Attrs.GetAttr(name))
			}
		}
		for _, name := range []string{"genetic-head", "genetic-cpu-0", "genetic-cpu-1"} {
			obj := find(w, name)
			if info, ok := obj.Detail.(*ray.NodeInfo); !ok || info.Status != ray.NodeRunning || obj.Broken != "" {
				t.Errorf("%s has the detail %+v and is broken %q", name, obj.Detail, obj.Broken)
			}
		}
		read, err := l.engine.Resource(l.addr).Read(t.Context(), providers.Ref{Kind: ray.ClusterType, ID: "genetic", Name: "genetic"})
		if err != nil || !read.Attrs.RawEquals(seen.Attrs) {
			t.Errorf("read: %v, error %v", read, err)
		}
		_, err = l.engine.Resource(l.addr).Read(t.Context(), providers.Ref{Kind: ray.ClusterType, ID: "x", Name: "x"})
		if !errors.Is(err, providers.ErrNotFound) {
			t.Errorf("read of no cluster: %v, want ErrNotFound", err)
		}
	})
}

func TestWhatRefreshSaysOfMembers(t *testing.T) {
	const worker = "genetic-cpu-1"
	for name, c := range map[string]struct {
		do      func(*lab)
		broken  string
		status  ray.NodeStatus // empty: Ray was not asked
		warning bool
	}{
		"unlisted for long":           {func(l *lab) { l.ray.Hide(worker, true) }, "is not listed by Ray, though its container runs", ray.NodeUnknown, false},
		"unlisted since a start":      {func(l *lab) { l.ray.Hide(worker, true); l.ray.Uptime(new(time.Minute)) }, "", ray.NodeUnknown, false},
		"unlisted since nobody knows": {func(l *lab) { l.ray.Hide(worker, true); l.ray.Uptime(nil) }, "", ray.NodeUnknown, true},
		"unlisted since tomorrow":     {func(l *lab) { l.ray.Hide(worker, true); l.ray.Uptime(new(-24 * time.Hour)) }, "", ray.NodeUnknown, true},
		"dead, and nothing can be run": {func(l *lab) { l.ray.Drained(worker, ray.NodeDead); l.ray.Deaf(true) },
			"is listed as dead by Ray, though its container runs", ray.NodeDead, true},
		"draining":            {func(l *lab) { l.ray.Drained(worker, ray.NodeDraining) }, "is being drained", ray.NodeDraining, false},
		"dead for long":       {func(l *lab) { l.ray.Drained(worker, ray.NodeDead) }, "is listed as dead by Ray, though its container runs", ray.NodeDead, false},
		"stopped":             {func(l *lab) { l.world.Stop(container, worker) }, "", ray.NodeUnknown, false},
		"the head is mute":    {func(l *lab) { l.ray.Mute(gcs.ErrUnavailable) }, "", "", true},
		"the head is stopped": {func(l *lab) { l.world.Stop(container, "genetic-head") }, "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lab) {
				l.up()
				c.do(l)
				w := l.refresh()
				obj := find(w, worker)
				if obj.Broken != c.broken {
					t.Errorf("broken %q, want %q", obj.Broken, c.broken)
				}
				info, asked := obj.Detail.(*ray.NodeInfo)
				if asked != (c.status != "") || asked && info.Status != c.status {
					t.Errorf("the detail is %+v, want status %q", obj.Detail, c.status)
				}
				if got := len(w.Warnings) > 0; got != c.warning {
					t.Errorf("warnings %q, want some: %v", w.Warnings, c.warning)
				}
				if got := find(w, "genetic") != nil; got != asked {
					t.Errorf("the cluster is seen: %v, want %v", got, asked)
				}
				if head := find(w, "genetic-head"); head.Broken != "" {
					t.Errorf("the head is broken: %s", head.Broken)
				}
			})
		})
	}
}

func TestAStartThatFails(t *testing.T) {
	const worker = "genetic-cpu-0"
	for name, c := range map[string]struct {
		log    string
		times  int
		fails  bool
		starts int
	}{
		"at once with its log":        {"Version mismatch: The cluster was started with Ray 2.59", 1, true, 1},
		"tried again when it is slow": {"The current node timed out during startup. This could happen …", 2, false, 3},
		"but not for ever":            {"The current node timed out during startup. This could happen …", 3, true, 3},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lab) {
				members := l.members()
				if _, err := l.create(members[0]); err != nil {
					t.Fatal(err)
				}
				l.ray.Fail(worker, c.log, c.times)
				l.calls = nil
				obj, err := l.create(members[1])
				if obj == nil {
					t.Fatal("what exists of the worker is not returned")
				}
				if c.fails {
					contains(t, err, worker+" ended before Ray listed its node", c.log)
					if got := obj.Attrs.GetAttr("restart").AsString(); got != "no" {
						t.Errorf("a worker that failed has the restart policy %q, and would go on failing", got)
					}
				} else if err != nil {
					t.Error(err)
				}
				starts := 0
				for _, call := range l.calls {
					if call == "start "+worker {
						starts++
					}
				}
				if starts != c.starts {
					t.Errorf("%d starts, want %d: %q", starts, c.starts, l.calls)
				}
			})
		})
	}
}

func TestAMemberThatIsNeverListed(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.configure(`ready_timeout = "20s"`)
		members := l.members()
		if _, err := l.create(members[0]); err != nil {
			t.Fatal(err)
		}
		l.ray.Hide("genetic-cpu-0", true)
		before := time.Now()
		obj, err := l.create(members[1])
		contains(t, err, "genetic-cpu-0", "20s", "ready_timeout")
		if obj == nil {
			t.Error("what exists of the worker is not returned")
		}
		if took := time.Since(before); took > 22*time.Second {
			t.Errorf("it waited %s, want 20s", took)
		}
	})
	bubble(t, func(t *testing.T, l *lab) {
		l.configure(`ready_timeout = "20s"`)
		l.ray.Mute(gcs.ErrUnavailable)
		_, err := l.create(l.members()[0])
		contains(t, err, "genetic-head", "20s", "ray does not answer")
	})
	bubble(t, func(t *testing.T, l *lab) {
		ctx, cancel := context.WithCancel(t.Context())
		m := l.members()[0]
		l.ray.Hide("genetic-head", true)
		req := l.request(m.Addr)
		req.Want, req.Name = m.Want, "genetic-head"
		go func() { time.Sleep(5 * time.Second); cancel() }()
		obj, err := l.engine.Resource(m.Addr).Create(ctx, req)
		if !errors.Is(err, context.Canceled) || obj == nil {
			t.Errorf("stopped while it waits: %v, error %v", obj, err)
		}
	})
}

func TestAWorkerDrainsBeforeItGoes(t *testing.T) {
	const worker = "genetic-cpu-1"
	for name, c := range map[string]struct {
		do      func(*lab)
		asked   []string // without repetitions
		atLeast time.Duration
		atMost  time.Duration
		calls   []string
	}{
		"idle": {
			func(*lab) {}, []string{"idle " + worker}, 0, 2 * time.Second,
			[]string{"update " + worker, "stop " + worker, "delete " + worker},
		},
		"busy until its work ends": {
			func(l *lab) {
				l.ray.Job(true)
				l.ray.Busy(worker, "object_store_memory currently in use")
				go func() { time.Sleep(30 * time.Second); l.ray.Busy(worker, "") }()
			}, []string{"idle " + worker}, 30 * time.Second, 33 * time.Second, nil,
		},
		"busy for longer than the drain may take": {
			func(l *lab) { l.ray.Job(true); l.ray.Busy(worker, "CPU in use") },
			[]string{"idle " + worker, "preempt " + worker}, 60 * time.Second, 78 * time.Second, nil,
		},
		"busy for longer than it was said": {
			func(l *lab) {
				l.configure(`drain_timeout = "5s"`)
				l.ray.Job(true)
				l.ray.Busy(worker, "CPU in use")
			},
			[]string{"idle " + worker, "preempt " + worker}, 5 * time.Second, 23 * time.Second, nil,
		},
		"busy with what no job waits for": {
			func(l *lab) { l.ray.Busy(worker, "object_store_memory currently in use") },
			[]string{"idle " + worker, "preempt " + worker}, 0, 3 * time.Second, nil,
		},
		"the head is gone": {
			func(l *lab) { l.ray.Job(true); l.world.Remove(container, "genetic-head") }, nil, 0, time.Second,
			[]string{"stop " + worker, "delete " + worker},
		},
		"the head is stopped": {
			func(l *lab) { l.world.Stop(container, "genetic-head") }, nil, 0, time.Second, nil,
		},
		"the head is mute for a while": {
			func(l *lab) {
				l.ray.Mute(gcs.ErrUnavailable)
				go func() { time.Sleep(50 * time.Second); l.ray.Mute(nil) }()
			}, []string{"idle " + worker}, 50 * time.Second, 53 * time.Second, nil,
		},
		"the head falls silent after it agreed": {
			func(l *lab) {
				l.ray.Job(true)
				l.ray.Busy(worker, "CPU in use")
				go func() { time.Sleep(62 * time.Second); l.ray.Mute(gcs.ErrUnavailable) }()
			}, []string{"idle " + worker, "preempt " + worker}, 75 * time.Second, 78 * time.Second, nil,
		},
		"the head is mute until it ends": {
			func(l *lab) {
				l.ray.Mute(gcs.ErrUnavailable)
				go func() { time.Sleep(20 * time.Second); l.world.Stop(container, "genetic-head") }()
			}, nil, 20 * time.Second, 22 * time.Second, nil,
		},
		"dead to Ray already": {
			func(l *lab) { l.ray.Drained(worker, ray.NodeDead) }, nil, 0, time.Second, nil,
		},
		"stopped": {
			func(l *lab) { l.ray.Job(true); l.world.Stop(container, worker) }, nil, 0, time.Second,
			[]string{"delete " + worker},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lab) {
				l.up()
				c.do(l)
				before := time.Now()
				if err := l.delete(worker); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(before); took < c.atLeast || took > c.atMost {
					t.Errorf("it took %s, want %s to %s", took, c.atLeast, c.atMost)
				}
				if strings.Contains(l.names(), worker) {
					t.Errorf("there is still %s", l.names())
				}
				asked := slices.Compact(l.ray.Asked())
				if diff := cmp.Diff(c.asked, asked); diff != "" {
					t.Errorf("drains (-want +got):\n%s", diff)
				}
				if c.calls != nil {
					if diff := cmp.Diff(c.calls, l.calls); diff != "" {
						t.Errorf("calls (-want +got):\n%s", diff)
					}
				}
			})
		})
	}
}

// Promise 5: what Ray does not tell is not taken for "nothing runs".
func TestAWorkerStaysWhileAHeadThatRunsDoesNotTell(t *testing.T) {
	const worker = "genetic-cpu-1"
	for name, c := range map[string]struct {
		err             error
		atLeast, atMost time.Duration // without -force
	}{
		"it does not answer":       {gcs.ErrUnavailable, 60 * time.Second, 62 * time.Second},
		"it says what it has not":  {errors.New("resource exhausted"), 60 * time.Second, 62 * time.Second},
		"it refuses the token":     {gcs.ErrUnauthenticated, 0, time.Second},
		"its answer is not Ray's":  {fmt.Errorf("%w: it holds no cluster state", gcs.ErrUnreadable), 0, time.Second},
		"it falls silent too late": {nil, 64 * time.Second, 66 * time.Second},
	} {
		for _, force := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, force %v", name, force), func(t *testing.T) {
				bubble(t, func(t *testing.T, l *lab) {
					l.up()
					if c.err != nil {
						l.ray.Mute(c.err)
					} else {
						l.ray.Job(true)
						l.ray.Busy(worker, "CPU in use")
						go func() { time.Sleep(54 * time.Second); l.ray.Mute(gcs.ErrUnavailable) }()
					}
					l.force = force
					before := time.Now()
					err := l.delete(worker)
					if took := time.Since(before); took < c.atLeast || took > c.atMost {
						t.Errorf("it took %s, want %s to %s", took, c.atLeast, c.atMost)
					}
					if force {
						if err != nil || strings.Contains(l.names(), worker) {
							t.Errorf("with -force: error %v, left %s", err, l.names())
						}
						return
					}
					contains(t, err, worker, "genetic-head", "-force")
					if !strings.Contains(l.names(), worker) || slices.Contains(l.calls, "stop "+worker) {
						t.Errorf("the worker was removed: %s", l.calls)
					}
				})
			})
		}
	}
}

func TestAHeadStaysWhileJobsRun(t *testing.T) {
	const head = "genetic-head"
	for name, c := range map[string]struct {
		do      func(*lab)
		busy    string // in the plan
		warning bool
		refusal string // at the step; empty for none
	}{
		"no job":                {func(*lab) {}, "", false, ""},
		"a driver":              {func(l *lab) { l.ray.Job(true) }, "driver 02000000", false, "driver 02000000"},
		"the dashboard is down": {func(l *lab) { l.ray.Jobless(true) }, "", true, "ray does not answer"},
		"the head is mute":      {func(l *lab) { l.ray.Mute(gcs.ErrUnavailable) }, "", true, "ray does not answer"},
		"the token is refused":  {func(l *lab) { l.ray.Mute(gcs.ErrUnauthenticated) }, "", true, "refused the token"},
		"the head does not run": {func(l *lab) { l.ray.Job(true); l.world.Stop(container, head) }, "", false, ""},
		"the head was never ready": {func(l *lab) {
			l.world.Set(container, head, "restart", cty.StringVal("no"))
			l.ray.Mute(gcs.ErrUnavailable)
		}, "", true, ""},
		"it was, and is to restart": {func(l *lab) { l.world.Set(container, head, "restart", cty.StringVal("no")); l.ray.Job(true) }, "driver 02000000", false, "runs"},
	} {
		for _, force := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, force %v", name, force), func(t *testing.T) {
				bubble(t, func(t *testing.T, l *lab) {
					l.up()
					c.do(l)
					w := l.refresh()
					if got := strings.Join(find(w, head).Work, ", "); got != c.busy {
						t.Errorf("the head is busy %q, want %q", got, c.busy)
					}
					if got := len(w.Warnings) > 0; got != c.warning {
						t.Errorf("warnings %q, want some: %v", w.Warnings, c.warning)
					}
					if whole := find(w, "genetic"); whole != nil {
						info, ok := whole.Detail.(*ray.ClusterInfo)
						if !ok || (len(info.Jobs) > 0) != (c.busy != "") {
							t.Errorf("the cluster's detail is %+v", whole.Detail)
						}
					}
					l.force = force
					err := l.delete(head)
					if force || c.refusal == "" {
						if err != nil || strings.Contains(l.names(), head) {
							t.Errorf("error %v, left %s", err, l.names())
						}
						return
					}
					contains(t, err, c.refusal, head, "-force")
					if !providers.HadNoEffect(err) || !strings.Contains(l.names(), head) {
						t.Errorf("the refusal had an effect; left %s", l.names())
					}
				})
			})
		}
	}
}

// What was allowed is work by its name: other work that has begun since keeps
// the head.
func TestAHeadGoesWithTheWorkThatWasNamed(t *testing.T) {
	for named, goes := range map[string]bool{"driver 02000000": true, "driver 01000000": false} {
		bubble(t, func(t *testing.T, l *lab) {
			l.up()
			l.ray.Job(true)
			l.ends = []string{named}
			if err := l.delete("genetic-head"); (err == nil) != goes {
				t.Errorf("%s was allowed to end: %v", named, err)
			}
		})
	}
}

func TestADestroyOfAnIdleClusterIsQuick(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.up()
		before := time.Now()
		for _, name := range []string{"genetic-cpu-0", "genetic-cpu-1", "genetic-head"} {
			if err := l.delete(name); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(before); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
		if left := l.names(); left != "" {
			t.Errorf("left: %s", left)
		}
	})
}

func TestAStoppedWorkerIsStartedAndAwaited(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.up()
		const worker = "genetic-cpu-0"
		l.world.Stop(container, worker)
		l.ray.Ghost(worker, true)
		l.ray.Hide(worker, true)
		obj := find(l.refresh(), worker)
		addr, err := schema.ParseAddr(obj.Owner.Address)
		if err != nil {
			t.Fatal(err)
		}
		req := l.request(addr)
		req.Prior, req.Changed = obj, []string{"must_run"}
		req.Want = schema.With(obj.Attrs, map[string]cty.Value{"must_run": cty.True})
		go func() { time.Sleep(7 * time.Second); l.ray.Hide(worker, false) }()
		before := time.Now()
		if _, err := l.engine.Resource(addr).Update(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(before); took < 7*time.Second {
			t.Errorf("the update ended after %s, when Ray listed only the start that was killed", took)
		}
		if diff := cmp.Diff([]string{"waiting for Ray to list the node"}, l.stages); diff != "" {
			t.Errorf("stages (-want +got):\n%s", diff)
		}
	})
}

func TestAClusterIsReadyWhenRayShowsExactlyWhatIsWanted(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*lab)
		want string
	}{
		"a worker is missing":        {func(l *lab) { l.ray.Hide("genetic-cpu-1", true) }, `of group "cpu" 1 workers are ready and 2 are wanted`},
		"a worker is too much":       {func(l *lab) { l.configure(`worker_group "more" { replicas = 0 }`); l.extra("cpu", 7) }, `of group "cpu" 3 workers are ready and 2 are wanted`},
		"a worker of no group":       {func(l *lab) { l.extra("old", 0) }, "the node of genetic-old-0 is no member of the cluster"},
		"an earlier start is listed": {func(l *lab) { l.ray.Ghost("genetic-cpu-1", true) }, "an earlier start of genetic-cpu-1 is still listed"},
		"a worker drains":            {func(l *lab) { l.ray.Drained("genetic-cpu-1", ray.NodeDraining) }, "genetic-cpu-1 is draining"},
		"a worker has other CPUs":    {func(l *lab) { l.reCPU() }, "genetic-cpu-0 has 1 CPU, wanted are 3"},
		"nobody answers":             {func(l *lab) { l.ray.Mute(gcs.ErrUnavailable) }, "ray does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lab) {
				l.up()
				c.do(l)
				_, err := l.verify()
				contains(t, err, c.want, "3m0s")
			})
		})
	}
	bubble(t, func(t *testing.T, l *lab) {
		l.up()
		l.ray.Hide("genetic-cpu-1", true)
		go func() { time.Sleep(10 * time.Second); l.ray.Hide("genetic-cpu-1", false) }()
		if _, err := l.verify(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"1 of 2 workers have joined"}, l.stages); diff != "" {
			t.Errorf("stages (-want +got):\n%s", diff)
		}
	})
}

// extra makes one more worker, as a person would.
func (l *lab) extra(group string, index int) {
	l.t.Helper()
	m := l.members()[1]
	name := fmt.Sprintf("genetic-%s-%d", group, index)
	env := m.Want.GetAttr("env").AsValueMap()
	env["RAY_CLOUD_INSTANCE_ID"], env["RAY_NODE_TYPE_NAME"] = cty.StringVal(name), cty.StringVal(group)
	l.ray.Hide(name, false)
	m.Want = schema.With(m.Want, map[string]cty.Value{"name": cty.StringVal(name), "env": cty.MapVal(env)})
	if _, err := l.create(m); err != nil {
		l.t.Fatal(err)
	}
}

// reCPU wants more of the workers than they were made with.
func (l *lab) reCPU() {
	groups := l.want.GetAttr("worker_group").AsValueMap()
	groups["cpu"] = schema.With(groups["cpu"], map[string]cty.Value{"num_cpus": cty.NumberIntVal(3)})
	l.want = schema.With(l.want, map[string]cty.Value{"worker_group": cty.MapVal(groups)})
}

func TestAHeadMadeAnewHasAnotherToken(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.up()
		first := l.ray.Token("genetic-head")
		if len(first) < 32 || l.ray.Token("genetic-cpu-0") != first {
			t.Errorf("the head has the token %q, a worker %q", first, l.ray.Token("genetic-cpu-0"))
		}
		for _, name := range []string{"genetic-cpu-0", "genetic-cpu-1", "genetic-head"} {
			if err := l.delete(name); err != nil {
				t.Fatal(err)
			}
		}
		l.up()
		if l.ray.Token("genetic-head") == first {
			t.Error("a new head has the old token")
		}
		if _, err := l.verify(); err != nil {
			t.Error(err)
		}
	})
	bubble(t, func(t *testing.T, l *lab) {
		l.configure("auth = false")
		l.up()
		if got := l.ray.Token("genetic-head"); got != "" {
			t.Errorf("a cluster without authentication has the token %q", got)
		}
		if _, err := l.verify(); err != nil {
			t.Error(err)
		}
	})
}

// A worker may drain for a minute before its container is told to stop: so much
// later than its beginning may its removal take effect.
func TestAWorkersRemovalLingersAsLongAsItDrains(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.configure(`drain_timeout = "90s"`)
		l.up()
		for _, obj := range l.world.Objects() {
			addr, err := schema.ParseAddr(obj.Owner.Address)
			if err != nil {
				t.Fatal(err)
			}
			req := l.request(addr)
			req.Prior = obj
			want := ray.StopTimeout
			if addr.Member.Role != schema.Head {
				want += 90*time.Second + 30*time.Second
			}
			lingerer, ok := l.engine.Resource(addr).(providers.Lingerer)
			if !ok || lingerer.Linger(req) != want {
				t.Errorf("%s: not %s", addr, want)
			}
		}
	})
}
