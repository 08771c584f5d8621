package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"reflect"
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
	lost          bool // the state, before the change
	few           bool // objects, so that all can be tried
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

// thirty are two images, four networks, four volumes, sixteen containers and a
// cluster of a head and three workers, with words replaced.
func thirty(replace ...string) string {
	return strings.NewReplacer(replace...).Replace(`
resource "docker_image" "app" {
  name   = "app:latest"
  inputs = "a"
}
resource "docker_image" "base" {
  name   = "base:1"
  inputs = "b"
}
resource "docker_network" "net" {
  for_each = toset(["back", "front"])
  name     = each.key
  driver   = "bridge"
}
resource "docker_network" "lab" {
  name = "lab"
}
resource "docker_network" "pool" {
  name = "pool"
}
resource "docker_volume" "data" {
  count = 3
  name  = "data-${count.index}"
}
resource "docker_volume" "log" {
  name = "log"
}
resource "docker_container" "web" {
  count  = 4
  name   = "web-${count.index}"
  image  = docker_image.app.image_id
  memory = 64
  env    = { A = "1" }
  network { name = docker_network.net["front"].name }
  network { name = docker_network.net["back"].name }
  mount   { volume = docker_volume.data[count.index % 3].name }
  mount   { volume = docker_volume.log.name }
  lifecycle { create_before_destroy = false }
}
resource "docker_container" "api" {
  for_each = toset(["a", "b", "c", "d"])
  name     = "api-${each.key}"
  image    = docker_image.base.name
  memory   = 64
  env      = { B = "1" }
  network { name = docker_network.net["back"].name }
  lifecycle { create_before_destroy = true }
}
resource "docker_container" "job" {
  count = 4
  name  = "job-${count.index}"
  image = "base:1"
  env   = { WEB = docker_container.web[0].id }
  network { name = docker_network.lab.name }
  mount   { volume = docker_volume.log.name }
}
resource "docker_container" "proxy" {
  count      = 3
  name       = "proxy-${count.index}"
  image      = docker_image.app.name
  depends_on = [docker_container.api]
  network { name = docker_network.net["front"].name }
  network { name = docker_network.lab.name }
  lifecycle { create_before_destroy = true }
}
resource "ray_cluster" "pool" {
  name          = "pool"
  image         = docker_image.app.image_id
  network       = docker_network.pool.name
  head_env      = "h"
  worker_env    = "w"
  worker_memory = 64
  replicas      = 2
  gpus          = 1
}
resource "docker_container" "driver" {
  name  = "driver"
  image = docker_image.app.image_id
  env   = { URL = ray_cluster.pool.url }
}
output "ids" { value = docker_container.web[*].id }
output "url" { value = ray_cluster.pool.url }
`)
}

// scenarios are what people do to thirty objects, and what they rarely do to
// five.
func scenarios() []scenario {
	const first, early = "create_before_destroy = false", "create_before_destroy = true"
	renamed := []string{`"web" {`, `"www" {`, "docker_container.web", "docker_container.www"}
	return []scenario{
		{name: "create", after: thirty()},
		{name: "update in place", before: thirty(), after: thirty("= 64", "= 128")},
		{name: "replace", before: thirty(), after: thirty(`A = "1"`, `A = "2"`)},
		{name: "create before destroy", before: thirty(), after: thirty(`B = "1"`, `B = "2"`)},
		{name: "scale down", before: thirty(), after: thirty("= 4", "= 2", `"b", `, "", "= 2\n", "= 1\n", "     = 3", " = 2")},
		{name: "scale up", before: thirty(), after: thirty("= 4", "= 6", `"d"`, `"d", "e"`, "= 2\n", "= 3\n")},
		{name: "adopted", before: thirty(), lost: true, after: thirty("count  = 4", "count = 5", `B = "1"`, `B = "2"`)},
		{name: "refreshed", before: thirty(), lost: true, after: thirty(), mode: engine.RefreshOnly},
		{name: "destroy", before: thirty(), mode: engine.Destroy},

		{name: "new image", before: five(), after: five(`inputs = "a"`, `inputs = "b"`), few: true},
		{name: "new image, create before destroy", before: five(first, early), after: five(first, early, `inputs = "a"`, `inputs = "b"`), few: true},
		{name: "forced by the network", before: five(first, early), after: five(first, early, `driver = "bridge"`, `driver = "overlay"`), few: true},
		{name: "rename in place", before: five(), after: five(`"web-$`, `"www-$`), few: true},
		{name: "block renamed", before: five(), after: five(renamed...), few: true},
		{name: "block renamed and replaced", before: five(), after: five(append(renamed, `A = "1"`, `A = "2"`)...), few: true},
		{name: "cluster rolls", before: cluster(), after: cluster(`"w"`, `"v"`), few: true},
		{name: "head replaced", before: cluster(), after: cluster(`"h"`, `"i"`), few: true},
	}
}

// killer counts the moments at which a process can die and kills it at one of
// them: from then on neither its calls nor its writes do anything.
type killer struct {
	world *mem.World
	at    int    // the moment of death, from 1; 0 is never
	name  string // or what the moment is called
	torn  int    // bytes of a write that still go through
	look  func(moment string)

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
	if k.look != nil {
		k.look(moment)
	}
	if k.n != k.at && moment != k.name {
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

// killed runs one apply under the killer's eyes.
func (l *lab) killed(k *killer) error {
	k.world = l.world
	l.world.SetFault(k.call)
	l.fault = k.write
	_, err := l.run(true)
	l.world.SetFault(nil)
	l.fault = nil
	return err
}

// killAt runs one apply that dies at the moment, and says where that was.
func (l *lab) killAt(moment, torn int) (where string) {
	k := &killer{at: moment, torn: torn}
	_ = l.killed(k)
	return k.where
}

var (
	errCut     = errors.New("the connection was cut")
	errRefused = providers.NoEffect(errors.New("it was refused"))
)

// failAt runs one apply in which the call at the moment fails; it is as those of
// [killer].
func (l *lab) failAt(moment int, failure error) error {
	var mu sync.Mutex
	n := 0
	count := func() error {
		mu.Lock()
		defer mu.Unlock()
		if n++; n == moment {
			return failure
		}
		return nil
	}
	l.fault = func(string) error { _ = count(); return nil }
	l.world.SetFault(func(mem.Call) error { return count() })
	_, err := l.run(true)
	l.fault = nil
	l.world.SetFault(nil)
	return err
}

// photo is all that is left when the process dies: the world and the disk.
type photo struct {
	moments []string // that leave the same, in their order
	world   *mem.World
	files   map[string]string
	uids    int
	of      *lab
}

// call is the side of a changing call at which the photo was taken, or empty.
func (p *photo) call() string {
	for _, m := range p.moments {
		if changes(m, mem.Before) || changes(m, mem.After) {
			return m
		}
	}
	return ""
}

func (l *lab) photo(moment string) *photo {
	p := &photo{moments: []string{moment}, world: l.world.Clone(), files: map[string]string{}, uids: l.uids.n, of: l}
	err := filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		p.files[strings.TrimPrefix(path, l.dir)] = string(data)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

// lab goes on from the photo, as a new process would.
func (p *photo) lab(t testing.TB, options ...mem.Option) *lab {
	l := &lab{
		t: t, dir: tempDir(t), uids: &counter{n: p.uids}, mode: p.of.mode, options: p.of.options,
		parallelism: p.of.parallelism, world: p.world.Clone(options...), config: p.of.config,
	}
	for name, data := range p.files {
		path := filepath.Join(l.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// past is a scenario when nothing goes wrong, and all that a death in its course
// could leave.
type past struct {
	scenario
	start   *photo
	moments []string
	photos  []*photo // where the disk or the world changed, in their order
	end     string
}

func (s scenario) run(t testing.TB) *past {
	l := clusterLab(t)
	if s.before != "" {
		l.write(s.before)
		l.apply()
	}
	if s.lost {
		l.lose()
	}
	l.options = allowAll
	if s.mode != "" {
		l.mode = s.mode
	}
	if s.after != "" {
		l.write(s.after)
	}
	l.config, _ = l.read()
	h := &past{scenario: s, start: l.photo("the start")}
	last := h.start
	k := &killer{look: func(moment string) {
		now := l.photo(moment)
		if !changes(moment, mem.After) && maps.Equal(now.files, last.files) {
			last.moments = append(last.moments, moment)
			return
		}
		h.photos, last = append(h.photos, now), now
	}}
	if err := l.killed(k); err != nil {
		t.Fatalf("without a crash: %v", explain(err))
	}
	h.moments, h.end = k.seen, l.world.String()
	return h
}

// calls are the places of the moments at a side of a call that changes something,
// and of those before a wait.
func (h *past) calls() []int {
	var at []int
	for i, m := range h.moments {
		if changes(m, mem.Before) || changes(m, mem.After) || strings.HasPrefix(m, "before ready ") {
			at = append(at, i)
		}
	}
	return at
}

// images are those in a description of a world.
func images(world string) string {
	var out strings.Builder
	keep := false
	for line := range strings.Lines(world) {
		if !strings.HasPrefix(line, " ") {
			keep = strings.HasPrefix(line, "docker_image ")
		}
		if keep {
			out.WriteString(line)
		}
	}
	return out.String()
}

// recovers says that after whatever happened a new process knows every object,
// that its apply comes to the wanted end, and that then nothing is to do and
// the state has what is there.
func (l *lab) recovers(want string) {
	l.t.Helper()
	var there []*providers.Object // when it was read last
	l.world.SetFault(func(c mem.Call) error {
		if c.Op == mem.Refresh && c.When == mem.After {
			there = l.world.Objects()
		}
		return nil
	})
	p, err := l.run(true)
	l.world.SetFault(nil)
	if err != nil {
		l.t.Fatalf("the next apply: %v\n%s", explain(err), sketch(p))
	}
	l.knows(p, there)
	if got := l.world.String(); unlabelled(got) != unlabelled(want) {
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

// unlabelled is a description of a world after a block was renamed or before: a
// label says what the address was when the object was made.
func unlabelled(world string) string {
	return strings.ReplaceAll(world, "(docker_container.www[", "(docker_container.web[")
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

// loaded is what is on disk.
func (l *lab) loaded() *state.Loaded {
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
	return loaded
}

// recordsAll says that the state has each object of ours once and no other, and
// that nothing is in doubt.
func (l *lab) recordsAll() {
	l.t.Helper()
	loaded := l.loaded()
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

// each runs f on each scenario's past.
func each(t *testing.T, f func(t *testing.T, h *past)) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			f(t, s.run(t))
		})
	}
}

// some are every k-th of the points with their places, from a place that
// differs from one list to the next. With -short they are fewer.
func some[T any](points []T, k int) iter.Seq2[int, T] {
	if testing.Short() {
		k *= 9
	}
	return func(yield func(int, T) bool) {
		for i, p := range points {
			if i%k == len(points)%k && !yield(i, p) {
				return
			}
		}
	}
}

// atCalls are the photos at the sides of calls that change something: all where
// there are few objects, and each third else. [TestFaultsTogether] draws others.
func (h *past) atCalls() iter.Seq2[int, *photo] {
	photos := slices.DeleteFunc(slices.Clone(h.photos), func(p *photo) bool { return p.call() == "" })
	if h.few {
		return some(photos, 1)
	}
	return some(photos, 3)
}

// TestCrash kills the apply of each scenario at each moment: before and after
// every call, stage, write, sync and rename. Moments that leave the same world
// and the same files are tried once.
func TestCrash(t *testing.T) {
	each(t, func(t *testing.T, h *past) {
		t.Logf("%d moments leave %d states", len(h.moments), len(h.photos))
		for _, p := range some(h.photos, 1) {
			l := p.lab(t)
			l.attempt("killed "+p.moments[0], func() {
				if found := l.loaded(); found.Found {
					if err := found.State.Check(); err != nil {
						l.t.Errorf("the state is not sound: %v", err)
					}
				}
				l.recovers(h.end)
			})
		}
	})
}

// TestTornWrite kills in the middle of each write. What is found then is what
// was there before it, so that not all have to be recovered from.
func TestTornWrite(t *testing.T) {
	each(t, func(t *testing.T, h *past) {
		before, n := h.start, 0
		for _, p := range h.photos {
			for name, data := range p.files {
				was := before.files[name]
				written, grown := strings.CutPrefix(data, was)
				if !grown || len(written) < 2 || !strings.HasPrefix(p.moments[0], "after append:") && !strings.HasPrefix(p.moments[0], "after write:") {
					continue
				}
				want := before.lab(t)
				for _, bytes := range []int{1, len(written) / 2, len(written) - 1} {
					torn := *before
					torn.files = maps.Clone(before.files)
					torn.files[name] = was + written[:bytes]
					l := torn.lab(t)
					l.attempt(fmt.Sprintf("killed when %d of %d bytes were written, %s", bytes, len(written), p.moments[0]), func() {
						was, is := want.loaded(), l.loaded()
						if !reflect.DeepEqual(was.State, is.State) || !reflect.DeepEqual(was.Doubts, is.Doubts) {
							l.t.Errorf("the state is\n%+v\nin doubt %+v, and was\n%+v\nin doubt %+v", is.State, is.Doubts, was.State, was.Doubts)
						}
						if n++; n%(10+len(h.photos)/10) == 0 {
							l.recovers(h.end)
						}
					})
				}
				want.end()
			}
			before = p
		}
		t.Logf("%d torn writes", n)
	})
}

// TestCrashTwiceAtOnePlace kills the apply that recovers where the first one
// died, if it comes there.
func TestCrashTwiceAtOnePlace(t *testing.T) {
	each(t, func(t *testing.T, h *past) {
		for _, p := range h.atCalls() {
			l := p.lab(t)
			l.attempt("killed twice "+p.call(), func() {
				_ = l.killed(&killer{name: p.call()})
				l.recovers(h.end)
			})
		}
	})
}

// TestLateEffect kills the client in the middle of each call that changes
// something; the engine carries it out all the same, while or after the next
// process looks.
func TestLateEffect(t *testing.T) {
	each(t, func(t *testing.T, h *past) {
		for n, i := range some(h.calls(), 1) {
			if !changes(h.moments[i], mem.Before) {
				continue
			}
			for late := range 2 {
				if !h.few && late != n/2%2 {
					continue
				}
				l := h.start.lab(t, mem.Late(late))
				where := l.killAt(i+1, 0)
				l.attempt(fmt.Sprintf("killed at moment %s, with an effect that %d readings do not see", where, late), func() { l.recovers(h.end) })
			}
		}
	})
}

// TestStateLost kills at each call and deletes the state: the labels are enough.
func TestStateLost(t *testing.T) {
	each(t, func(t *testing.T, h *past) {
		for _, p := range h.atCalls() {
			want := h.end
			if h.mode == engine.Destroy {
				want = images(p.world.String()) // nobody remembers that the tags were not there before
			}
			l := p.lab(t)
			l.lose()
			l.attempt("killed "+p.call()+" and the state deleted", func() { l.recovers(want) })
		}
	})
}

// TestDestroyAfterCrash kills at each call and then destroys: nothing is left,
// not even the tag of an image.
func TestDestroyAfterCrash(t *testing.T) {
	each(t, func(t *testing.T, h *past) {
		want := ""
		if h.lost {
			want = images(h.start.world.String())
		}
		for _, p := range h.atCalls() {
			l := p.lab(t)
			l.mode = engine.Destroy
			l.attempt("killed "+p.call()+" and destroyed", func() { l.recovers(want) })
		}
	})
}

// TestDriftAfterCrash kills at each call, and before anybody recovers somebody
// removes, stops or renames an object.
func TestDriftAfterCrash(t *testing.T) {
	each(t, func(t *testing.T, h *past) {
		for i, p := range h.atCalls() {
			l := p.lab(t)
			what := l.meddle(i, false)
			l.attempt("killed "+p.call()+" and "+what, func() { l.recovers(h.end) })
		}
	})
}

// meddle does the n-th of all that somebody could do to the world. While a call
// may still take effect late no volume goes: a container that is created with its
// name then would have the engine make one that is nobody's.
func (l *lab) meddle(n int, late bool) string {
	type deed struct {
		what string
		do   func()
	}
	var deeds []deed
	for _, o := range l.world.Objects() {
		if strings.HasPrefix(o.Name, "pool-cpu-") {
			continue // who goes when a group shrinks depends on who is there
		}
		if !late || o.Kind != "docker_volume" {
			deeds = append(deeds, deed{o.Kind + " " + o.Name + " removed", func() { l.world.Remove(o.Kind, o.Name) }})
		}
		if o.Kind == "docker_container" {
			deeds = append(deeds,
				deed{o.Name + " stopped", func() { l.world.Stop(o.Kind, o.Name) }},
				deed{o.Name + " renamed", func() { l.world.Rename(o.Kind, o.Name, "by-hand") }})
		}
	}
	if len(deeds) == 0 {
		return "nothing else"
	}
	d := deeds[n*7%len(deeds)]
	d.do()
	return d.what
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
	each(t, func(t *testing.T, h *past) {
		for _, i := range some(h.calls(), 1) {
			moment := h.moments[i]
			for _, err := range []error{errCut, errRefused} {
				switch before := changes(moment, mem.Before); {
				case !before && providers.HadNoEffect(err):
					continue
				case before && !providers.HadNoEffect(err) && !h.few:
					continue // as dead as a client that is killed there
				}
				l := h.start.lab(t)
				if got := l.failAt(i+1, err); !errors.Is(got, err) {
					t.Errorf("%s fails: the apply says %v", moment, explain(got))
				}
				l.attempt(fmt.Sprintf("%s failed (no effect: %v)", moment, providers.HadNoEffect(err)), func() { l.recovers(h.end) })
			}
		}
	})
}

// TestFaultsTogether draws several faults, one after the other: crashes of one
// apply and of those that recover, several steps at a time, effects that come
// late, calls that are cut off, people who meddle, the state lost. A destroy at
// the end leaves nothing.
func TestFaultsTogether(t *testing.T) {
	var all []*past
	for _, s := range scenarios() {
		all = append(all, s.run(t))
	}
	rapid.Check(t, func(r *rapid.T) {
		h := all[rapid.IntRange(0, len(all)-1).Draw(r, "scenario")]
		late := rapid.IntRange(-1, 1).Draw(r, "late")
		l := h.start.lab(t, mem.Late(late))
		l.parallelism = rapid.SampledFrom([]int{1, 4}).Draw(r, "parallelism")
		what, lost := h.name, h.lost
		for range rapid.IntRange(2, 3).Draw(r, "faults") {
			if moment := rapid.IntRange(1, len(h.moments)).Draw(r, "moment"); rapid.IntRange(0, 3).Draw(r, "dies") > 0 {
				what += ", killed at " + l.killAt(moment, rapid.SampledFrom([]int{0, 0, 1, 50}).Draw(r, "torn"))
			} else {
				_ = l.failAt(moment, errCut)
				what += fmt.Sprintf(", cut off at %d", moment)
			}
			switch between := rapid.IntRange(0, 5).Draw(r, "between"); {
			case between == 0:
				what += ", " + l.meddle(rapid.IntRange(0, 99).Draw(r, "deed"), late > 0)
			case between == 1 && late < 1 && h.mode != engine.Destroy:
				// What is late is known by the state alone until it is there.
				l.lose()
				lost = true
				what += ", the state deleted"
			}
		}
		if h.mode == engine.RefreshOnly {
			l.mode = engine.Normal // which brings back what was meddled with
		}
		l.t = r
		l.attempt(what, func() {
			l.recovers(h.end)
			l.mode = engine.Destroy
			l.apply()
			// Without a state nobody remembers that a tag was not there before.
			if left := l.world.String(); left != "" && (!lost || left != images(left)) {
				l.t.Errorf("destroyed, and left is\n%s", left)
			}
		})
	})
}

// changes reports whether a moment is a side of a call that changes something: to
// wait until a container is ready is none.
func changes(moment string, side mem.When) bool {
	op, ok := strings.CutPrefix(moment, string(side)+" ")
	word, kind, _ := strings.Cut(op, " ")
	return ok && strings.HasPrefix(kind, "docker_") && word != string(mem.Read) && word != string(mem.Ready)
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

func (l *lab) end() { _ = os.RemoveAll(l.dir) }

// attempt runs f with l.t telling what had happened, and ends the lab.
func (l *lab) attempt(what string, f func()) {
	t := l.t
	told := &told{t, what}
	l.t = told
	defer func() {
		l.t = t
		l.end()
		if r := recover(); r != nil && r != told {
			panic(r)
		}
	}()
	f()
}
