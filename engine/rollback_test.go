package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/apply"
	"github.com/gapool/gapool/engine/plan"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/mem"
)

// rollback asks for it, and allows the deletion of what holds data.
func rollback(o *plan.Options) {
	o.OnFailure = engine.Rollback
	allowAll(o)
}

// chain is a network, a container on it, and three that wait for each other.
func chain(replace ...string) string {
	return strings.NewReplacer(replace...).Replace(`
resource "docker_network" "net" {
  name   = "net"
  labels = { A = "1" }
}
resource "docker_container" "a" {
  name   = "a"
  image  = "x"
  memory = 10
  env    = { SECRET = "hunter2" }
  network { name = docker_network.net.name }
}
resource "docker_container" "b" {
  name   = "b"
  image  = "x"
  memory = 10
  env    = { A = docker_container.a.id }
}
resource "docker_container" "c" {
  name   = "c"
  image  = "x"
  memory = 10
  env    = { B = docker_container.b.id, N = docker_network.net.id }
}
`)
}

// undoable are the scenarios of which every step has an inverse.
func undoable() []scenario {
	const first, early = "create_before_destroy = false", "create_before_destroy = true"
	out := []scenario{
		{name: "chain created", after: chain()},
		{name: "chain updated", before: chain(), after: chain("memory = 10", "memory = 20")},
		{name: "chain replaced from its head", before: chain(), after: chain("hunter2", "hunter3"), ids: true},
		{name: "chain replaced from its network", before: chain(), after: chain(`A = "1"`, `A = "2"`), ids: true},
		{name: "chain removed", before: chain(), after: `resource "docker_network" "other" { name = "other" }`},
		{name: "renamed and updated", before: five(), after: five(`"web-$`, `"www-$`, "memory = 64", "memory = 128")},
		{name: "block renamed and updated", before: five(), after: five(`"web" {`, `"www" {`, "docker_container.web", "docker_container.www", "memory = 64", "memory = 128")},
		{name: "replaced under another name", before: five(first, early), after: five(first, early, `"web-$`, `"www-$`, `A = "1"`, `A = "2"`)},
		{name: "volume taken along", before: five("mount   { volume = docker_volume.data.name }", ""), after: five()},
		{name: "cluster updated", before: cluster(), after: cluster("= 64", "= 65")},
		{name: "cluster scales up", before: cluster(), after: cluster("replicas   = 2", "replicas   = 4")},
	}
	for _, s := range small() {
		switch s.name {
		case "create", "update in place", "replace", "create before destroy", "forced by the network", "scale down", "scale up",
			"rename in place", "block renamed and replaced", "cluster":
			out = append(out, s)
		}
	}
	return out
}

// small are changes of few objects: a rollback is tried at each of their calls.
func small() []scenario {
	const first, early = "create_before_destroy = false", "create_before_destroy = true"
	out := []scenario{
		{name: "create", after: five()},
		{name: "update in place", before: five(), after: five("memory = 64", "memory = 128")},
		{name: "replace", before: five(), after: five(`A = "1"`, `A = "2"`)},
		{name: "create before destroy", before: five(first, early), after: five(first, early, `A = "1"`, `A = "2"`)},
		{name: "scale down", before: five(), after: five("count  = 2", "count  = 1")},
		{name: "scale up", before: five(), after: five("count  = 2", "count  = 3")},
		{name: "cluster", after: cluster()},
		{name: "cluster scales down", before: cluster(), after: cluster("replicas   = 2", "replicas   = 1")},
		{name: "destroy", before: five(), mode: engine.Destroy},
	}
	for _, s := range scenarios() {
		if s.few {
			out = append(out, s)
		}
	}
	return out
}

// begin is a lab in which the change is to be made.
func (s scenario) begin(t testing.TB) *lab {
	l := clusterLab(t)
	if s.before != "" {
		l.write(s.before)
		l.apply()
	}
	l.options = allowAll
	if s.mode == engine.Destroy {
		l.mode = engine.Destroy
	} else {
		l.write(s.after)
	}
	return l
}

// finish is the world after the change when nothing goes wrong.
func (s scenario) finish(t testing.TB) (world string, moments []string) {
	l := s.begin(t)
	k := &killer{}
	if err := l.killed(k); err != nil {
		t.Fatalf("without a failure: %v", explain(err))
	}
	return l.world.String(), k.seen
}

// calls are the calls of the world that the scenario makes when all goes well.
func (s scenario) calls(t testing.TB) []string {
	l := s.begin(t)
	var calls []string
	l.world.SetFault(func(c mem.Call) error { calls = append(calls, c.String()); return nil })
	l.apply()
	return calls
}

// failsAt lets the call of that number fail, once: where several run at once, the
// one of that name that comes as late among those of its name.
func (l *lab) failsAt(calls []string, n int, err error) {
	left := 1
	for _, c := range calls[:n] {
		if c == calls[n] {
			left++
		}
	}
	var mu sync.Mutex
	l.world.SetFault(func(c mem.Call) error {
		mu.Lock()
		defer mu.Unlock()
		if c.String() == calls[n] {
			if left--; left == 0 {
				return err
			}
		}
		return nil
	})
}

// known reports whether a failure at the moment leaves no doubt, and the error
// that it is.
func known(moment string) (error, bool) {
	failure := errors.New("no space left on device")
	switch {
	case changes(moment, mem.Before):
		if strings.HasPrefix(moment, "before delete docker_container") {
			return nil, false // it was stopped for that
		}
		if strings.HasPrefix(moment, "before start") || strings.HasPrefix(moment, "before ready") {
			return failure, true
		}
		return providers.NoEffect(failure), true
	case changes(moment, mem.After):
		words := strings.Fields(moment)
		return failure, slices.Contains([]string{"create", "start", "ready", "update"}, words[1])
	}
	return nil, false
}

// addressless is the world without the addresses in the labels: what is made
// anew has those of today.
func (l *lab) addressless() string {
	lines := strings.Split(l.world.String(), "\n")
	for i, line := range lines {
		if at := strings.Index(line, "("); at > 0 && !strings.HasPrefix(line, " ") {
			if end := strings.LastIndex(line, ", "); end > 0 {
				lines[i] = line[:at] + line[end+2:]
			}
		}
	}
	return strings.Join(lines, "\n")
}

// before puts the old configuration back.
func (l *lab) oldConfig(s scenario) {
	l.mode, l.options, l.report = engine.Normal, nil, nil
	if s.before == "" {
		l.write(`output "nothing" { value = 1 }`)
		return
	}
	l.write(s.before)
}

// TestRollback lets each call of each scenario fail, one at a time: what there
// is afterwards is what there was before, and the old configuration has nothing
// to do. Then the new one is applied after all.
func TestRollback(t *testing.T) {
	for _, s := range undoable() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			want, _ := s.finish(t)
			calls := s.calls(t)
			for i, call := range calls {
				failure, ok := known(call)
				if !ok {
					continue
				}
				for _, parallelism := range []int{1, 4} {
					if parallelism > 1 && (i%3 > 0 || strings.Contains(call, ".0000")) {
						continue // whose uid is which is chance then
					}
					l := s.begin(t)
					l.options, l.parallelism = rollback, parallelism
					was := l.addressless()
					l.attempt(fmt.Sprintf("%s failed (parallelism %d)", call, parallelism), func() {
						l.failsAt(calls, i, failure)
						p, err := l.run(true)
						l.world.SetFault(nil)
						var back *apply.RollbackError
						if !errors.As(err, &back) || !errors.Is(err, failure) {
							l.t.Fatalf("the apply says %v\n%s", explain(err), sketch(p))
						}
						if len(back.Left) > 0 || !strings.Contains(err.Error(), "what runs is as it was before") {
							l.t.Errorf("it says %v", err)
						}
						if s.ids {
							// What names an object by its ID names the old one, and nothing
							// but a plan makes it anew.
							l.oldConfig(s)
							l.apply()
						}
						if got := l.addressless(); got != was {
							l.t.Fatalf("the world is\n%sand was\n%s", got, was)
						}
						l.oldConfig(s)
						if p := l.plan(); p.Summary() != (engine.Summary{}) || len(p.Drift) > 0 {
							l.t.Fatalf("the old configuration has to do\n%s and drift %+v", sketch(p), p.Drift)
						}
						l.recordsAll()
						if i%4 > 0 {
							return // what comes then is the same
						}
						l.mode, l.options = s.mode, allowAll
						if s.mode == "" {
							l.mode = engine.Normal
						}
						l.write(s.after)
						l.apply()
						if got := l.world.String(); got != want {
							l.t.Errorf("in the end the world is\n%sand not\n%s", got, want)
						}
						l.settled()
						l.recordsAll()
					})
				}
			}
		})
	}
}

// TestRollbackInDoubt lets calls fail so that nobody knows whether they took
// effect. The state is sound, no object is lost, and the next apply comes to its
// end.
func TestRollbackInDoubt(t *testing.T) {
	failure := errors.New("the connection was cut")
	all := small()
	for _, s := range undoable() {
		if !slices.ContainsFunc(all, func(x scenario) bool { return x.name == s.name }) {
			all = append(all, s)
		}
	}
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			want, _ := s.finish(t)
			calls, turn := s.calls(t), 0
			for i, call := range calls {
				if !changes(call, mem.Before) && !changes(call, mem.After) {
					continue
				}
				if turn++; turn%3 > 0 {
					continue
				}
				l := s.begin(t)
				l.options = rollback
				l.attempt(call+" failed", func() {
					l.failsAt(calls, i, failure)
					if _, err := l.run(true); !errors.Is(err, failure) {
						l.t.Fatalf("the apply says %v", explain(err))
					}
					l.world.SetFault(nil)
					l.options = allowAll
					l.recovers(want)
				})
			}
		})
	}
}

// TestCrashInRollback kills the process at each moment of a rollback. The next
// apply, of the new configuration and of the old one in turn, comes to its end.
func TestCrashInRollback(t *testing.T) {
	failure := errors.New("no space left on device")
	for _, s := range undoable() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			want, _ := s.finish(t)
			calls := s.calls(t)
			// The last call that makes something fails, so that all is undone.
			last := -1
			for i, call := range calls {
				if err, ok := known(call); ok && err != nil {
					last = i
				}
			}
			begin := func(kill int) (*lab, *killer) {
				l := s.begin(t)
				l.options = rollback
				k := &killer{world: l.world, at: -1}
				n := last
				err, _ := known(calls[last])
				failed := false
				l.world.SetFault(func(c mem.Call) error {
					if failed {
						return k.call(c)
					}
					if n--; n == -1 {
						failed = true
						k.at = kill
						return errors.Join(err, failure)
					}
					return nil
				})
				l.fault = func(point string) error {
					if failed {
						return k.write(point)
					}
					return nil
				}
				_, _ = l.run(true)
				l.world.SetFault(nil)
				l.fault = nil
				return l, k
			}
			_, k := begin(0)
			if len(k.seen) < 4 {
				t.Fatalf("a rollback went through %v", k.seen)
			}
			turn := 0
			for moment, seen := range k.seen {
				if strings.HasPrefix(seen, "after ") || strings.HasPrefix(seen, "before read ") {
					continue // the same as before the next
				}
				old := turn%2 > 0
				turn++
				l, k := begin(moment + 1)
				l.attempt("killed at moment "+k.where, func() {
					l.options = allowAll
					if !old {
						l.recovers(want)
						return
					}
					was := s.begin(t).addressless()
					l.oldConfig(s)
					l.options = allowAll
					l.apply()
					if got := l.addressless(); got != was {
						l.t.Errorf("with the old configuration the world is\n%sand was\n%s", got, was)
					}
					l.settled()
					l.recordsAll()
				})
			}
		})
	}
}

// lasting are the lines on what a plan cannot undo.
func lasting(p *engine.Plan) string {
	var b strings.Builder
	for _, l := range p.Lasting() {
		fmt.Fprintf(&b, "%s %s: %s\n", l.Step.Verb, l.Step.Addr, l.Why)
	}
	return b.String()
}

// TestWhatARollbackLeaves says beforehand what cannot be undone, and leaves
// that, and what it needs, as it is.
func TestWhatARollbackLeaves(t *testing.T) {
	const late = `
resource "docker_container" "late" {
  name       = "late"
  image      = "x"
  depends_on = [docker_container.web]
}
`
	const early = "create_before_destroy = true"
	for _, test := range []struct {
		name, before, after string
		drift               string
		options             func(*plan.Options)
		fails               string
		lasting             string
		left                []string // objects that are there afterwards, with what tells them
		error               string
	}{
		{
			name: "a volume that was made is kept", after: five() + late, fails: "before ready docker_container late",
			lasting: "create docker_volume.data: it may hold data by then, so it is kept (-allow-data-loss='docker_volume.data' lets it go)\n",
			left:    []string{"docker_volume data"},
			error:   "rolled back in part: 5 steps were undone; not undone:\n      docker_volume.data (create): it may hold data by then, so it is kept",
		},
		{
			name: "a tag that was there is not moved back, and the containers are", before: five(), after: five(`inputs = "a"`, `inputs = "b"`) + late,
			fails:   "before ready docker_container late",
			lasting: "create docker_image.app: the tag named another image before, and is not moved back\n",
			left:    []string{"docker_container web-0", "docker_container web-1", "docker_image app:latest", "docker_network net", "docker_volume data"},
			error:   "docker_image.app (create): the tag named another image before, and is not moved back",
		},
		{
			name: "a volume that was deleted, and what used it", before: five() + late,
			after: `resource "docker_container" "late" {
  name  = "late"
  image = "x"
}`, options: allowAll, fails: "before delete docker_network net",
			lasting: "delete docker_container.web[0]: not once docker_volume.data is destroyed\n" +
				"delete docker_container.web[1]: not once docker_volume.data is destroyed\n" +
				"delete docker_image.app: a tag that is removed is not set again\n" +
				"delete docker_volume.data: what it holds is lost\n",
			left: nil, // which of them went first is not said
		},
		{
			name: "a job that is over is not run once more", before: five(), after: five(`A = "1"`, `A = "2"`) + late, drift: "stop docker_container web-0",
			fails:   "before ready docker_container late",
			lasting: "delete docker_container.web[0]: it does not run, and made anew it would run once more\ncreate docker_container.web[0]: the one before it is not brought back\n",
			left:    []string{"docker_container web-0", "docker_container web-1", "docker_image app:latest", "docker_network net", "docker_volume data"},
			error:   "rolled back in part: 3 steps were undone; not undone:",
		},
		{
			name: "a candidate stays when the old one cannot come back", before: five("create_before_destroy = false", early),
			after: five("create_before_destroy = false", early, `A = "1"`, `A = "2"`) + late, drift: "stop docker_container web-0",
			fails: "before ready docker_container late",
			// The old one went when its users had moved: so did these.
			lasting: "create docker_container.web[0]: not once docker_container.web[0] is destroyed\n" +
				"create docker_container.web[1]: not once docker_container.web[0] is destroyed\n" +
				"create docker_container.late: not once docker_container.web[0] is destroyed\n" +
				"delete docker_container.web[0]: it does not run, and made anew it would run once more\nrename docker_container.web[0]: the one before it is not brought back\n",
			left: []string{"docker_container web-0", "docker_container web-1", "docker_image app:latest", "docker_network net", "docker_volume data"},
		},
		{
			name: "a limit that only a replacement takes away", before: five(), after: five("memory = 64", "memory = 128\n  swap = 5") + late,
			fails:   "before ready docker_container late",
			lasting: "update docker_container.web[0]: only a replacement could change swap back\nupdate docker_container.web[1]: only a replacement could change swap back\n",
			left:    []string{"docker_container web-0", "docker_container web-1", "docker_image app:latest", "docker_network net", "docker_volume data"},
			error:   "rolled back in part: 1 step was undone; not undone:\n      docker_container.web[0] (update): only a replacement could change swap back\n",
		},
		{
			name: "what was started goes on", before: five(), after: five("memory = 64", "memory = 128") + late, drift: "stop docker_container web-0",
			fails:   "before ready docker_container late",
			lasting: "update docker_container.web[0]: what is started now is not stopped again\n",
			left:    []string{"docker_container web-0", "docker_container web-1", "docker_image app:latest", "docker_network net", "docker_volume data"},
			error:   "rolled back in part: 2 steps were undone",
		},
		{
			name: "what needs a new one stays with it", before: five(), after: strings.NewReplacer(`docker_network.net.name }`, `docker_network.net.name }
  swap = 5`).Replace(five(`"net"`, `"neu"`, `.net.`, `.neu.`)) + late, fails: "before ready docker_container late",
			lasting: "", left: []string{"docker_container web-0", "docker_container web-1", "docker_image app:latest", "docker_network net", "docker_volume data"},
			error: "what runs is as it was before",
		},
		{
			name: "a member that goes", before: cluster(), after: cluster("= 2", "= 1") + `
resource "docker_container" "late" {
  name  = "late"
  image = "x"
  env   = { URL = ray_cluster.pool.url }
}`, fails: "before ready docker_container late",
			lasting: `delete ray_cluster.pool.worker["cpu"][1]: a member of a cluster that is removed does not come back` + "\n",
			left:    []string{"docker_container driver", "docker_container pool-cpu-0", "docker_container pool-head", "docker_image app", "docker_network net"},
		},
		{
			name: "a head that is replaced", before: cluster(), after: cluster(`"h"`, `"i"`), fails: "before create docker_container pool-cpu-0",
			lasting: `delete ray_cluster.pool.head: a member of a cluster that is removed does not come back
create ray_cluster.pool.head: the one before it is not brought back
delete ray_cluster.pool.worker["cpu"][0]: a member of a cluster that is removed does not come back
create ray_cluster.pool.worker["cpu"][0]: the one before it is not brought back
delete ray_cluster.pool.worker["cpu"][1]: a member of a cluster that is removed does not come back
create ray_cluster.pool.worker["cpu"][1]: the one before it is not brought back
`,
			left: []string{"docker_container driver", "docker_container pool-head", "docker_image app", "docker_network net"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := clusterLab(t)
			if test.before != "" {
				l.write(test.before)
				l.apply()
			}
			drift(l, strings.Fields(test.drift))
			l.write(test.after)
			l.options = func(o *plan.Options) {
				o.OnFailure = engine.Rollback
				if test.options != nil {
					test.options(o)
				}
			}
			failure := providers.NoEffect(errors.New("no space left on device"))
			l.world.SetFault(failing(failure, test.fails))
			p, err := l.run(true)
			l.world.SetFault(nil)
			if !errors.Is(err, failure) {
				t.Fatalf("the apply says %v", explain(err))
			}
			lines := func(text string) []string { return slices.Sorted(strings.SplitSeq(text, "\n")) }
			if got := lasting(p); !slices.Equal(lines(got), lines(test.lasting)) {
				t.Errorf("the plan says that this stays:\n%s", got)
			}
			if !strings.Contains(err.Error(), test.error) {
				t.Errorf("the apply says %v", err)
			}
			if test.left != nil {
				var left []string
				for _, o := range l.world.Objects() {
					left = append(left, o.Kind+" "+o.Name)
				}
				if !slices.Equal(left, test.left) {
					t.Errorf("there is %q", left)
				}
			}
			l.options = allowAll
			l.apply()
			l.settled()
			l.recordsAll()
		})
	}
}

// TestRollbackFollowsNewIDs takes back a container that names the network by
// its ID, which is another one by then.
func TestRollbackFollowsNewIDs(t *testing.T) {
	byID := func(driver, tail string) string {
		return fmt.Sprintf(`
resource "docker_network" "net" {
  name   = "net"
  driver = %q
}
resource "docker_container" "web" {
  name  = "web"
  image = "x"
  network { name = docker_network.net.id }
}
`, driver) + tail
	}
	l := newLab(t)
	l.write(byID("bridge", ""))
	l.apply()
	l.write(byID("overlay", `
resource "docker_container" "late" {
  name       = "late"
  image      = "x"
  depends_on = [docker_container.web]
}
`))
	l.options = rollback
	l.world.SetFault(failing(errors.New("exec format error"), "before start docker_container late"))
	if _, err := l.run(true); err == nil || !strings.Contains(err.Error(), "rolled back: 5 steps were undone, and what runs is as it was before") {
		t.Errorf("the apply says %v", err)
	}
	l.world.SetFault(nil)
	l.options = nil
	l.write(byID("bridge", ""))
	l.settled()
	l.recordsAll()
}

// TestRollbackOrder sees that the inverse steps run in reverse, are told apart
// from the others, and that what was not begun is not.
func TestRollbackOrder(t *testing.T) {
	l := newLab(t)
	l.write(chain())
	l.options = rollback
	l.world.SetFault(failing(errors.New("exec format error"), "before start docker_container b"))
	var told []string
	l.report = func(e engine.Event) {
		words := map[engine.EventKind]string{
			engine.Started: "begins", engine.Done: "is done", engine.Failed: "failed", engine.Skipped: "skipped", engine.RollingBack: "rolls back",
		}
		who := string(e.Step.Verb) + " " + e.Step.Addr.String()
		if e.Step.Undoes != nil {
			who = "undo: " + who
		}
		told = append(told, who+" "+words[e.Kind])
	}
	if _, err := l.run(true); err == nil || !strings.HasPrefix(err.Error(), "2 errors:\n  - docker_container.b: create: exec format error\n  - rolled back: 3 steps were undone") {
		t.Errorf("the apply says %v", err)
	}
	want := []string{
		"create docker_network.net begins", "create docker_network.net is done",
		"create docker_container.a begins", "create docker_container.a is done",
		"create docker_container.b begins", "create docker_container.b failed", "create docker_container.c skipped",
		"create docker_container.b rolls back",
		"undo: delete docker_container.b begins", "undo: delete docker_container.b is done",
		"undo: delete docker_container.a begins", "undo: delete docker_container.a is done",
		"undo: delete docker_network.net begins", "undo: delete docker_network.net is done",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told was\n%s", strings.Join(told, "\n"))
	}
	if left := l.world.String(); left != "" {
		t.Errorf("left is\n%s", left)
	}
}

// TestNoRollbackWhenInterrupted stops an apply: what it did stays, also where a
// step fails on the way.
func TestNoRollbackWhenInterrupted(t *testing.T) {
	for _, fails := range []bool{false, true} {
		l := newLab(t)
		l.write(chain())
		l.options = rollback
		stop := make(chan struct{})
		l.stop = stop
		l.report = func(e engine.Event) {
			if e.Kind == engine.Started && e.Step.Addr.String() == "docker_container.a" {
				close(stop)
			}
			if e.Kind == engine.RollingBack {
				t.Error("it was rolled back")
			}
		}
		if fails {
			l.world.SetFault(failing(errors.New("exec format error"), "before start docker_container a"))
		}
		if _, err := l.run(true); !errors.Is(err, apply.ErrInterrupted) {
			t.Errorf("the apply says %v", err)
		}
		l.world.SetFault(nil)
		l.stop, l.report = nil, nil
		if n := len(l.world.Objects()); n != 2 {
			t.Errorf("%d objects are there", n)
		}
		l.apply()
		l.settled()
		l.recordsAll()
	}
}

// TestRollbackIsInterrupted stops a rollback: what is left of it stays, and the
// next apply goes on.
func TestRollbackIsInterrupted(t *testing.T) {
	l := newLab(t)
	l.write(chain())
	l.options = rollback
	stop := make(chan struct{})
	l.stop = stop
	l.world.SetFault(failing(errors.New("exec format error"), "before start docker_container c"))
	l.report = func(e engine.Event) {
		if e.Step.Undoes != nil && e.Kind == engine.Started && e.Step.Addr.String() == "docker_container.b" {
			close(stop)
		}
	}
	if _, err := l.run(true); err == nil || !strings.Contains(err.Error(), "rolled back in part: 2 steps were undone, and 2 steps were not, since it was interrupted") {
		t.Errorf("the apply says %v", err)
	}
	l.world.SetFault(nil)
	l.stop, l.report = nil, nil
	l.apply()
	l.settled()
	l.recordsAll()
}

// TestWhatIsMadeAnewHasItsSecrets takes back a container whose env the state
// does not have, with an error that does not tell it.
func TestWhatIsMadeAnewHasItsSecrets(t *testing.T) {
	l := newLab(t)
	l.write(chain())
	l.apply()
	l.write(chain("hunter2", "hunter3"))
	l.options = rollback
	created, failed := 0, false
	l.world.SetFault(func(c mem.Call) error {
		switch c.String() {
		case "before start docker_container b":
			if !failed {
				failed = true
				return errors.New("exec format error")
			}
		case "before create docker_container a":
			if created++; created == 2 {
				return providers.NoEffect(errors.New("no space for hunter2"))
			}
		}
		return nil
	})
	_, err := l.run(true)
	l.world.SetFault(nil)
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "docker_container.a (delete): no space for (sensitive value)") {
		t.Errorf("the apply says %v", err)
	}
	l.options = nil
	l.apply()
	l.settled()
	l.recordsAll()
}

// TestNoRollbackWithoutAJournal cannot write down what it does any more: it does
// nothing more, and the next apply goes on.
func TestNoRollbackWithoutAJournal(t *testing.T) {
	l := newLab(t)
	l.write(chain())
	l.options = rollback
	lines := 0
	l.fault = func(point string) error {
		if strings.HasPrefix(point, "before append:") {
			lines++
		}
		if lines > 4 {
			return errors.New("no space left on device")
		}
		return nil
	}
	l.report = func(e engine.Event) {
		if e.Kind == engine.RollingBack {
			t.Error("it was rolled back")
		}
	}
	if _, err := l.run(true); err == nil || !strings.Contains(err.Error(), "what was done is not undone, since that could not be written down") {
		t.Errorf("the apply says %v", err)
	}
	l.fault, l.report = nil, nil
	l.apply()
	l.settled()
	l.recordsAll()
}

// TestNothingToUndo fails at the first step.
func TestNothingToUndo(t *testing.T) {
	l := newLab(t)
	l.write(chain())
	l.options = rollback
	l.world.SetFault(failing(providers.NoEffect(errors.New("no space left")), "before create docker_network"))
	if _, err := l.run(true); err == nil || !strings.Contains(err.Error(), "docker_network.net: create: no space left") || !strings.Contains(err.Error(), "nothing had to be undone, and what runs is as it was before") {
		t.Errorf("the apply says %v", err)
	}
	if l.record("docker_network.net") != nil || l.world.String() != "" {
		t.Error("something was done")
	}
}

// TestRollbackProperties applies a drawn configuration, lets a change of it
// fail somewhere and rolls back: where nothing is said to stay, what there is
// is what was there, and the old configuration has nothing to do; but for a
// network that has IDs in its labels, of what was made anew meanwhile. In any
// case both configurations can be applied afterwards.
func TestRollbackProperties(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		l := newLab(t)
		l.t = r
		l.options = allowAll
		d := drawConfig(r)
		l.write(strings.Join(d.blocks(), ""))
		l.apply()
		was := l.addressless()
		next := d.change(r, true)
		l.write(strings.Join(next.blocks(), ""))
		l.options = rollback
		l.parallelism = rapid.SampledFrom([]int{1, 4}).Draw(r, "parallelism")
		left := rapid.IntRange(0, 40).Draw(r, "call")
		failed := ""
		var mu sync.Mutex
		l.world.SetFault(func(c mem.Call) error {
			mu.Lock()
			defer mu.Unlock()
			if left--; left >= 0 || failed != "" {
				return nil
			}
			err, ok := known(c.String())
			if !ok {
				return nil
			}
			failed = c.String()
			return err
		})
		p, err := l.run(true)
		l.world.SetFault(nil)
		l.parallelism = 1
		if failed == "" {
			if err != nil {
				r.Fatalf("apply: %v", explain(err))
			}
			return
		}
		var back *apply.RollbackError
		if !errors.As(err, &back) {
			r.Fatalf("%s failed, and the apply says %v", failed, explain(err))
		}
		old := strings.Join(d.blocks(), "")
		l.options = allowAll
		ids := slices.ContainsFunc(d, func(b block) bool { return b.kind == "docker_network" && len(b.refs) > 0 })
		if len(back.Left) == 0 && !ids {
			if got := l.addressless(); got != was {
				r.Fatalf("%s failed, and the world is\n%sand was\n%safter\n%s", failed, got, was, sketch(p))
			}
			l.write(old)
			if p := l.plan(); p.Summary() != (engine.Summary{}) {
				r.Fatalf("%s failed, and the old configuration has to do\n%s", failed, sketch(p))
			}
			l.recordsAll()
		}
		for _, config := range rapid.Permutation([]string{old, strings.Join(next.blocks(), "")}).Draw(r, "after") {
			l.write(config)
			l.apply()
			l.settled()
			l.recordsAll()
		}
	})
}
