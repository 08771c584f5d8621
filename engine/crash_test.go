package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/plan"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/mem"
	"github.com/gapool/gapool/state"
)

// scenario is a change that a crash falls into.
type scenario struct {
	name          string
	before, after string // configurations; an empty before is nothing at all
	mode          engine.Mode
	cluster       bool
	ids           bool // something names another by its ID
}

// five is an image, a network, a volume and two containers, with words replaced.
func five(replace ...string) string {
	return strings.NewReplacer(replace...).Replace(`
resource "docker_image" "app" {
  name   = "app:latest"
  inputs = "a"
}
resource "docker_network" "net" {
  name   = "net"
  driver = "bridge"
}
resource "docker_volume" "data" {
  name = "data"
}
resource "docker_container" "web" {
  count  = 2
  name   = "web-${count.index}"
  image  = docker_image.app.image_id
  memory = 64
  env    = { A = "1" }
  network { name = docker_network.net.name }
  mount   { volume = docker_volume.data.name }
  lifecycle { create_before_destroy = false }
}
output "ids" { value = docker_container.web[*].name }
`)
}

func scenarios() []scenario {
	const first = "create_before_destroy = false"
	const early = "create_before_destroy = true"
	return []scenario{
		{name: "create", after: five()},
		{name: "update in place", before: five(), after: five("memory = 64", "memory = 128")},
		{name: "replace", before: five(), after: five(`A = "1"`, `A = "2"`)},
		{name: "create before destroy", before: five(first, early), after: five(first, early, `A = "1"`, `A = "2"`)},
		{name: "new image", before: five(), after: five(`inputs = "a"`, `inputs = "b"`)},
		{name: "new image, create before destroy", before: five(first, early), after: five(first, early, `inputs = "a"`, `inputs = "b"`)},
		{name: "forced by the network", before: five(first, early), after: five(first, early, `driver = "bridge"`, `driver = "overlay"`)},
		{name: "scale down", before: five(), after: five("count  = 2", "count  = 1")},
		{name: "scale up", before: five(), after: five("count  = 2", "count  = 3")},
		{name: "rename in place", before: five(), after: five(`"web-$`, `"www-$`)},
		{name: "block renamed", before: five(), after: five(`"web" {`, `"www" {`, "docker_container.web", "docker_container.www")},
		{name: "block renamed and replaced", before: five(), after: five(`"web" {`, `"www" {`, "docker_container.web", "docker_container.www", `A = "1"`, `A = "2"`)},
		{name: "cluster", after: cluster(), cluster: true},
		{name: "cluster scales down", before: cluster(), after: cluster("= 2", "= 1"), cluster: true},
		{name: "cluster rolls", before: cluster(), after: cluster(`"w"`, `"v"`), cluster: true},
		{name: "head replaced", before: cluster(), after: cluster(`"h"`, `"i"`), cluster: true},
		{name: "destroy", before: five(), mode: engine.Destroy},
	}
}

// killer counts the moments at which a process can die and kills it at one of
// them: from then on neither its calls nor its writes do anything.
type killer struct {
	world *mem.World
	at    int // the moment of death, from 1; 0 is never
	torn  int // bytes of a write that still go through

	mu    sync.Mutex
	n     int
	where string // it died
	seen  []string
}

var errDead = errors.New("the process died")

// dies reports whether the process is dead, and whether that was just now.
func (k *killer) dies(moment string) (dead, now bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.where != "" {
		return true, false
	}
	k.n++
	k.seen = append(k.seen, moment)
	if k.n != k.at {
		return false, false
	}
	k.where = fmt.Sprintf("%d, %s", k.n, moment)
	return true, true
}

func (k *killer) call(c mem.Call) error {
	if dead, _ := k.dies(c.String()); dead {
		return mem.ErrCrash
	}
	return nil
}

func (k *killer) write(point string) error {
	dead, now := k.dies(point)
	if !dead {
		return nil
	}
	k.world.Kill()
	if now && k.torn > 0 {
		return state.Torn{Bytes: k.torn}
	}
	return errDead
}

// killAt runs one apply that dies at the moment, and says where that was and
// which moments it went through.
func (l *lab) killAt(moment, torn int) *killer {
	k := &killer{world: l.world, at: moment, torn: torn}
	l.world.SetFault(k.call)
	l.fault = k.write
	_, err := l.run(true)
	l.world.SetFault(nil)
	l.fault = nil
	if moment == 0 && err != nil {
		l.t.Fatalf("without a crash: %v", explain(err))
	}
	return k
}

// begin makes what there is before the scenario, and the wish for what comes.
func (s scenario) begin(t testing.TB, options ...mem.Option) *lab {
	l := newLab(t, options...)
	if s.cluster {
		l = clusterLab(t, options...)
	}
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

// end is the world after the scenario when nothing goes wrong.
func (s scenario) end(t testing.TB) (world string, moments []string) {
	l := s.begin(t)
	k := l.killAt(0, 0)
	return l.world.String(), k.seen
}

// recovers says that after whatever happened a new process knows every object,
// that its apply comes to the wanted end, and that then nothing is to do and
// the state has what is there.
func (l *lab) recovers(want string) {
	l.t.Helper()
	there := l.world.Objects()
	p, err := l.run(true)
	if err != nil {
		l.t.Fatalf("the next apply: %v\n%s", explain(err), sketch(p))
	}
	l.knows(p, there)
	if got := l.world.String(); got != want {
		l.t.Fatalf("the world is\n%sand not\n%safter\n%s", got, want, sketch(p))
	}
	for _, o := range there {
		if !o.Started && slices.ContainsFunc(l.world.Objects(), func(is *providers.Object) bool { return is.ID == o.ID }) {
			l.t.Errorf("%s %q was never started, may lack files, and was kept:\n%s", o.Kind, o.Name, sketch(p))
		}
	}
	l.settled()
	l.recordsAll()
}

// knows says that no object of ours was unknown to the plan.
func (l *lab) knows(p *engine.Plan, there []*providers.Object) {
	l.t.Helper()
	known := map[providers.Ref]bool{}
	note := func(o *providers.Object) {
		if o != nil {
			known[providers.Ref{Kind: o.Kind, ID: o.ID}] = true
		}
	}
	for _, c := range p.Changes {
		note(c.Object)
	}
	for _, s := range p.Steps {
		note(s.Target)
	}
	for _, o := range p.Kept {
		note(o)
	}
	for _, o := range there {
		if o.Owner.Stack != "" && !known[providers.Ref{Kind: o.Kind, ID: o.ID}] {
			l.t.Errorf("the plan does not know %s %q:\n%s", o.Kind, o.Name, sketch(p))
		}
	}
}

// recordsAll says that the state has each object of ours once and no other, and
// that nothing is in doubt.
func (l *lab) recordsAll() {
	l.t.Helper()
	store := l.store()
	lock, err := store.Lock(context.Background(), "test", 0)
	if err != nil {
		l.t.Fatal(err)
	}
	defer lock.Release()
	loaded, err := store.Load()
	if err != nil {
		l.t.Fatal(err)
	}
	if len(loaded.Doubts) > 0 {
		l.t.Errorf("still in doubt: %+v", loaded.Doubts)
	}
	var recorded, there []string
	for _, r := range loaded.State.Records {
		if r.Kind == "ray_cluster" {
			continue // its members are recorded
		}
		if r.Current == nil || r.Current.Status != state.Ready || len(r.Others) > 0 {
			l.t.Errorf("the record of %s is %+v", r.Addr, r)
			continue
		}
		if r.Kind != "docker_image" {
			recorded = append(recorded, r.Kind+" "+r.Current.Name+" "+r.Current.ID+" "+r.Current.UID)
		}
	}
	for _, o := range l.world.Objects() {
		if o.Owner.Stack != "" {
			there = append(there, o.Kind+" "+o.Name+" "+o.ID+" "+o.Owner.UID)
		}
	}
	slices.Sort(recorded)
	slices.Sort(there)
	if !slices.Equal(recorded, there) {
		l.t.Errorf("the state has\n%s\nand the world\n%s", strings.Join(recorded, "\n"), strings.Join(there, "\n"))
	}
}

// TestCrash kills the apply of each scenario at each moment: before and after
// every call, stage, write, sync and rename, and in the middle of each write.
// What dies after one moment leaves the same as what dies before the next, and
// a reading leaves nothing, so the moments before changes stand for all.
func TestCrash(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			want, moments := s.end(t)
			for i, moment := range moments {
				if i+1 < len(moments) && (strings.HasPrefix(moment, "after ") || strings.HasPrefix(moment, "before read ") || moment == "before refresh") {
					continue
				}
				torn := []int{0}
				if strings.HasPrefix(moment, "before append:") || strings.HasPrefix(moment, "before write:") {
					torn = []int{0, 1, 70}
				}
				for _, bytes := range torn {
					l := s.begin(t)
					k := l.killAt(i+1, bytes)
					l.attempt("killed at moment "+k.where, func() { l.recovers(want) })
				}
			}
		})
	}
}

// TestLateEffect kills the client in the middle of each call that changes
// something; the engine carries it out all the same, while or after the next
// process looks.
func TestLateEffect(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			want, moments := s.end(t)
			for i, moment := range moments {
				if !changes(moment, mem.Before) {
					continue
				}
				for late := range 2 {
					l := s.begin(t, mem.Late(late))
					k := l.killAt(i+1, 0)
					l.attempt(fmt.Sprintf("killed at moment %s, with an effect that %d readings do not see", k.where, late), func() {
						l.plan()
						l.recovers(want)
					})
				}
			}
		})
	}
}

// TestStateLost kills at each call and deletes the state: the labels are enough.
func TestStateLost(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			want, moments := s.end(t)
			if s.mode == engine.Destroy {
				// Nobody remembers that the tag was not there before.
				want = "docker_image app:latest (not ours)\n  inputs = \"a\"\n"
			}
			for i, moment := range moments {
				if !changes(moment, mem.Before) && !changes(moment, mem.After) {
					continue
				}
				l := s.begin(t)
				k := l.killAt(i+1, 0)
				if err := os.RemoveAll(l.stateDir()); err != nil {
					t.Fatal(err)
				}
				l.attempt("killed at moment "+k.where+" and the state deleted", func() {
					if s.mode == engine.Destroy && strings.HasPrefix(moment, "after delete docker_image") {
						want = ""
					}
					l.recovers(want)
				})
			}
		})
	}
}

// TestDestroyAfterCrash kills at each call and then destroys: nothing is left,
// not even the tag of an image.
func TestDestroyAfterCrash(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			_, moments := s.end(t)
			for i, moment := range moments {
				if !changes(moment, mem.Before) && !changes(moment, mem.After) {
					continue
				}
				l := s.begin(t)
				k := l.killAt(i+1, 0)
				l.mode = engine.Destroy
				l.attempt("killed at moment "+k.where+" and destroyed", func() { l.recovers("") })
			}
		})
	}
}

// killBefore runs an apply that dies at the first moment of that name.
func (l *lab) killBefore(moment string) {
	l.t.Helper()
	dead := false
	l.world.SetFault(func(c mem.Call) error {
		if dead = dead || c.String() == moment; dead {
			return mem.ErrCrash
		}
		return nil
	})
	l.fault = func(string) error {
		if dead {
			return errDead
		}
		return nil
	}
	if _, err := l.run(true); !dead || err == nil {
		l.t.Fatalf("it did not die at %q: %v", moment, err)
	}
	l.world.SetFault(nil)
	l.fault = nil
}

// TestWhatAnAttemptMadeIsKnownByItsUID takes the block away after the crash,
// where nothing but the journal says that the object may be deleted.
func TestWhatAnAttemptMadeIsKnownByItsUID(t *testing.T) {
	l := newLab(t)
	l.write(five())
	l.killBefore("after create docker_container web-0")
	l.write(five("count  = 2", "count  = 0"))
	l.options = func(o *plan.Options) { o.NamedStack = false }
	if got := sketch(l.apply()); !strings.Contains(got, "-   docker_container.web[0]") {
		t.Errorf("the plan is\n%s", got)
	}
	l.settled()
	l.recordsAll()
}

// TestADeleteThatBeganMeansTainted wants an object back whose deletion had
// begun.
func TestADeleteThatBeganMeansTainted(t *testing.T) {
	l := newLab(t)
	l.write(five())
	l.apply()
	l.mode, l.options = engine.Destroy, allowAll
	l.killBefore("after stop docker_container web-0")
	l.mode = engine.Normal
	if got := sketch(l.apply()); !strings.Contains(got, "-/+ docker_container.web[0] was being deleted by an earlier apply") {
		t.Errorf("the plan is\n%s", got)
	}
	l.settled()
	l.recordsAll()
}

// TestCallFails lets each call fail once, without an effect and the client
// knowing it, without one and the client not knowing, and with one. The process
// goes on, and the next apply comes to the end.
func TestCallFails(t *testing.T) {
	failure := errors.New("the connection was cut")
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			want, moments := s.end(t)
			for i, moment := range moments {
				for _, err := range []error{failure, providers.NoEffect(failure)} {
					if !changes(moment, mem.Before) && (!changes(moment, mem.After) || providers.HadNoEffect(err)) {
						continue
					}
					l := s.begin(t)
					n := 0
					count := func(string) error { n++; return nil }
					l.fault = count
					l.world.SetFault(func(c mem.Call) error {
						if _ = count(c.String()); n == i+1 {
							return err
						}
						return nil
					})
					if _, got := l.run(true); !errors.Is(got, failure) {
						t.Errorf("%s fails: the apply says %v", moment, explain(got))
					}
					l.fault = nil
					l.world.SetFault(nil)
					l.attempt(fmt.Sprintf("%s failed (no effect: %v)", moment, providers.HadNoEffect(err)), func() { l.recovers(want) })
				}
			}
		})
	}
}

// TestCrashTwice kills the apply, and the one that recovers, and perhaps that
// one's successor, several steps at a time.
func TestCrashTwice(t *testing.T) {
	all := scenarios()
	ends := make([]string, len(all))
	for i, s := range all {
		ends[i], _ = s.end(t)
	}
	rapid.Check(t, func(r *rapid.T) {
		at := rapid.IntRange(0, len(all)-1).Draw(r, "scenario")
		l := all[at].begin(t, mem.Late(rapid.IntRange(-1, 1).Draw(r, "late")))
		l.parallelism = rapid.SampledFrom([]int{1, 4}).Draw(r, "parallelism")
		what := all[at].name
		for range rapid.IntRange(2, 3).Draw(r, "crashes") {
			k := l.killAt(rapid.IntRange(1, 100).Draw(r, "moment"), rapid.SampledFrom([]int{0, 0, 1, 50}).Draw(r, "torn"))
			what += ", killed at " + k.where
		}
		l.t = &told{r, what}
		l.plan() // what is late takes effect
		l.recovers(ends[at])
	})
}

// changes reports whether a moment is a side of a call that changes something.
func changes(moment string, side mem.When) bool {
	op, ok := strings.CutPrefix(moment, string(side)+" ")
	word, kind, _ := strings.Cut(op, " ")
	return ok && strings.HasPrefix(kind, "docker_") && word != string(mem.Read) && word != string(mem.Refresh)
}

// told is a test that says with each failure what had happened before.
type told struct {
	tester
	what string
}

func (t *told) Errorf(format string, args ...any) {
	t.Helper()
	t.tester.Errorf(t.what+": "+format, args...)
}

// Fatalf ends the attempt and not the test, so that the others are seen too.
func (t *told) Fatalf(format string, args ...any) {
	t.Helper()
	t.tester.Errorf(t.what+": "+format, args...)
	panic(t)
}

// attempt runs f with l.t telling what had happened.
func (l *lab) attempt(what string, f func()) {
	t := l.t
	told := &told{t, what}
	l.t = told
	defer func() {
		l.t = t
		if r := recover(); r != nil && r != told {
			panic(r)
		}
	}()
	f()
}
