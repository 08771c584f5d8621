package state

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gapool/gapool/schema"
)

// want is what a load may find.
type want struct {
	state  *State
	doubts []uint64
}

// script is a run with a fold in its middle and one at its end. It notes what is
// known after each step, and which step is the last that is certainly on disk.
type script struct {
	known   []want // before the first step, then after each
	durable int    // index into known
}

var errPower = errors.New("the power went")

// run returns the error that ended it.
func (r *script) run(t *testing.T, s *Store) error {
	t.Helper()
	a, b, c := addr(t, "docker_container.a"), addr(t, "docker_container.b"), addr(t, `ray_cluster.p.worker["cpu"][0]`)
	now := want{state: New("lab", "default"), doubts: []uint64{}}
	note := func(durable bool) {
		r.known = append(r.known, want{now.state.Clone(), slices.Clone(now.doubts)})
		if durable {
			r.durable = len(r.known) - 1
		}
	}
	note(true)

	lock, err := s.Lock(t.Context(), "apply", 0)
	if err != nil {
		return err
	}
	defer lock.Release()
	l, err := s.Load()
	if err != nil {
		return err
	}
	j, err := s.Journal(l, lock)
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }()

	set := func(addr schema.Addr, rec *Record) {
		if rec == nil {
			delete(now.state.Records, addr)
			return
		}
		now.state.Records[addr] = rec
	}
	begin := func(n uint64, addr schema.Addr) func() error {
		return func() error {
			now.doubts = append(now.doubts, n)
			_, err := j.Began(Began{Addr: addr, Action: "create", Kind: "docker_container", UID: "u"})
			return err
		}
	}
	outcome := func(n uint64, addr schema.Addr, rec *Record) func() error {
		return func() error {
			set(addr, rec)
			now.doubts = slices.DeleteFunc(now.doubts, func(m uint64) bool { return m == n })
			return j.Outcome(n, addr, rec)
		}
	}
	for _, step := range []struct {
		durable bool
		do      func() error
	}{
		{true, begin(1, a)},
		{false, outcome(1, a, container(a, "1"))},
		{true, begin(2, b)},
		{true, begin(3, c)},
		{false, outcome(3, c, container(c, "3"))},
		{false, func() error {
			now.doubts = []uint64{}
			return j.Failed(2, b)
		}},
		{true, j.Fold},
		{false, func() error { set(b, container(b, "2")); return j.Put(b, container(b, "2")) }},
		{true, j.Fold},
		{true, begin(1, a)},
		{false, outcome(1, a, nil)},
		{false, func() error {
			set(c, nil)
			set(a, container(a, "3"))
			return j.PutAll(map[schema.Addr]*Record{c: nil, a: container(a, "3")})
		}},
		{false, func() error {
			now.state.Outputs = map[string]Output{"o": {Value: []byte("1")}}
			return j.Outputs(now.state.Outputs)
		}},
		{true, j.Fold},
		{true, begin(1, b)},
		{true, j.Fold}, // in doubt: stays
		{true, j.Close},
	} {
		err := step.do()
		note(step.durable && err == nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// disk keeps what would be left of a folder after the power went: a file as it
// was when it was last synced, under the name that it had when the folder was.
type disk struct {
	s    *Store
	left map[string]string
}

func (d *disk) follow(t *testing.T, point string) {
	switch point {
	case "after sync:dir":
		d.left = files(t, d.s.dir)
	case "after fsync:journal":
		if _, there := d.left[journalName]; there {
			now := files(t, d.s.dir)
			if _, temp := now[journalName+".tmp"]; !temp {
				d.left[journalName] = now[journalName]
			}
		}
	}
}

// match returns the index of the newest that is known and equals l, -1 for none.
func match(t *testing.T, known []want, l *Loaded) int {
	t.Helper()
	for i, w := range slices.Backward(known) {
		if sameFacts(w.state, l.State) == "" && slices.Equal(w.doubts, numbers(l.Doubts)) {
			return i
		}
	}
	return -1
}

// goOn checks that a run after the crash works: it resolves what is in doubt,
// writes, folds and reads back.
func goOn(t *testing.T, s *Store) {
	t.Helper()
	s = reopen(s)
	lock := got[*Lock](t)(s.Lock(t.Context(), "apply", 0))
	defer lock.Release()
	l := got[*Loaded](t)(s.Load())
	j := got[*Journal](t)(s.Journal(l, lock))
	for _, b := range l.Doubts {
		ok(t, j.Failed(b.N, b.Addr))
	}
	x := addr(t, "docker_container.x")
	ok(t, j.Put(x, container(x, "x")))
	ok(t, j.Fold())
	ok(t, j.Close())
	again := got[*Loaded](t)(s.Load())
	l.State.Records[x] = container(x, "x")
	if diff := sameFacts(l.State, again.State); diff != "" || len(again.Doubts) != 0 {
		t.Fatalf("a run after the crash (-want +have), %d in doubt:\n%s", len(again.Doubts), diff)
	}
	names := slices.DeleteFunc(sortedKeys(files(t, s.dir)), func(n string) bool { return strings.HasPrefix(n, snapshotName+".") && n != snapshotName+".tmp" })
	if diff := cmp.Diff([]string{journalName, lockName, snapshotName}, names); diff != "" {
		t.Fatalf("files left:\n%s", diff)
	}
}

func TestCrashAtEveryDurableAction(t *testing.T) {
	var points []string
	s := newStore(t, func(p string) error { points = append(points, p); return nil })
	var whole script
	ok(t, whole.run(t, s))
	goOn(t, s)

	type crash struct {
		at   int
		err  error
		name string
	}
	var crashes []crash
	for i, p := range points {
		crashes = append(crashes, crash{i, errPower, p})
		if strings.HasPrefix(p, "before append:") || strings.HasPrefix(p, "before write:") {
			for _, bytes := range []int{1, 17, 60, 1 << 20} {
				crashes = append(crashes, crash{i, Torn{bytes}, fmt.Sprintf("%s, %d bytes", p, bytes)})
			}
		}
	}
	kinds := map[string]bool{}
	for _, p := range points {
		_, kind, _ := strings.Cut(p, " ")
		kinds[kind] = true
	}
	t.Logf("%d crashes at %d points of %d kinds: %v", len(crashes), len(points), len(kinds), slices.Sorted(maps.Keys(kinds)))

	for _, c := range crashes {
		t.Run(fmt.Sprintf("%d %s", c.at, c.name), func(t *testing.T) {
			d := &disk{left: map[string]string{}}
			at := 0
			s := newStore(t, func(p string) error {
				d.follow(t, p)
				if at++; at == c.at+1 {
					return c.err
				}
				return nil
			})
			d.s = s
			var r script
			err := r.run(t, s)
			if !errors.Is(err, c.err) {
				t.Fatalf("the run ended with %v", err)
			}
			if at != c.at+1 {
				t.Fatalf("a dead store was asked for %d more", at-c.at-1)
			}

			// The process died: what it wrote is there, the step in hand whole or not at all.
			l := got[*Loaded](t)(reopen(s).Load())
			i := match(t, r.known, l)
			if i < 0 || i < len(r.known)-2 {
				t.Fatalf("after %d steps the load finds step %d: %+v, doubts %v", len(r.known)-1, i, l.State.Records, numbers(l.Doubts))
			}
			goOn(t, s)

			// The machine died: what had been synced is there.
			left := Open(filepath.Join(t.TempDir(), ".gapool", "default"), s.guardDir, s.stack, s.workspace, Options{})
			if len(d.left) > 0 {
				putFiles(t, left.dir, d.left)
			}
			l = got[*Loaded](t)(left.Load())
			if i := match(t, r.known, l); i < r.durable {
				t.Fatalf("%d steps were on disk, and the load finds step %d: %+v, doubts %v", r.durable, i, l.State.Records, numbers(l.Doubts))
			}
			if len(d.left) > 0 {
				delete(d.left, lockName)
				goOn(t, left)
			}
		})
	}
}
