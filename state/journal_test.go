package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gapool/gapool/schema"
)

func TestNothingRecorded(t *testing.T) {
	s := newStore(t, nil)
	l := got[*Loaded](t)(s.Load())
	if l.Found || l.State.Lineage != "" || len(l.State.Records) != 0 || !l.LastWrite.IsZero() {
		t.Errorf("loaded %+v from nothing", l)
	}
	if _, err := os.Stat(filepath.Dir(s.dir)); !os.IsNotExist(err) {
		t.Errorf("Load made a folder (%v)", err)
	}
	lock := got[*Lock](t)(s.Lock(t.Context(), "apply", 0))
	defer lock.Release()
	j := got[*Journal](t)(s.Journal(l, lock))
	if len(l.State.Lineage) != 36 || j.State().Lineage != l.State.Lineage {
		t.Errorf("the new lineage is %q, in the journal %q", l.State.Lineage, j.State().Lineage)
	}
	ok(t, j.Close())
	again := got[*Loaded](t)(s.Load())
	if !again.Found || again.State.Lineage != l.State.Lineage {
		t.Errorf("the lineage was %q and is %q", l.State.Lineage, again.State.Lineage)
	}
	again.State.Lineage = "another"
	_, err := s.Journal(again, lock)
	mustFail(t, err, "another")
}

func TestFoldWritesOnce(t *testing.T) {
	var points []string
	s := newStore(t, func(p string) error { points = append(points, p); return nil })
	a, b := addr(t, "docker_container.a"), addr(t, "docker_container.b")
	j, _, _ := journal(t, s)
	fold := func() string {
		points = nil
		ok(t, j.Fold())
		var did []string
		for _, p := range points {
			if p, after := strings.CutPrefix(p, "after "); after {
				did = append(did, p)
			}
		}
		return strings.Join(did, " ")
	}
	const (
		state     = "create:state write:state fsync:state rename:state sync:dir "
		restarted = "create:journal write:journal fsync:journal rename:journal sync:dir"
	)
	steps := []struct {
		name string
		do   func() error
		want string
	}{
		{"a first one", func() error { return nil }, state + restarted},
		{"nothing since", func() error { return nil }, ""},
		{"a change", func() error { return j.Put(a, container(a, "1")) }, "fsync:journal link:backup " + state + restarted},
		{"the same again", func() error { return j.Put(a, container(a, "1")) }, "fsync:journal " + restarted},
		{"a call without effect", func() error {
			n, err := j.Began(Began{Addr: b, Action: "create", Kind: b.Type})
			return errors.Join(err, j.Failed(n, b))
		}, "fsync:journal " + restarted},
		{"a call in doubt", func() error {
			_, err := j.Began(Began{Addr: b, Action: "create", Kind: b.Type})
			return err
		}, ""},
		{"its outcome", func() error { return j.Outcome(1, b, container(b, "2")) }, "fsync:journal rename:backup link:backup " + state + restarted},
	}
	for _, step := range steps {
		ok(t, step.do())
		if have := fold(); have != step.want {
			t.Errorf("%s:\nhave %s\nwant %s", step.name, have, step.want)
		}
	}
	if have := strings.Count(files(t, s.dir)[journalName], "\n"); have != 1 {
		t.Errorf("the folded journal has %d lines", have)
	}
}

func TestBackups(t *testing.T) {
	s := newStore(t, nil)
	j, _, _ := journal(t, s)
	a := addr(t, "docker_container.a")
	var history []string
	for i := range 6 {
		ok(t, j.Put(a, container(a, fmt.Sprint(i))))
		ok(t, j.Fold())
		history = append(history, files(t, s.dir)[snapshotName])
	}
	have := files(t, s.dir)
	for i := 1; i <= backups; i++ {
		if want := history[len(history)-1-i]; have[fmt.Sprintf("%s.%d", snapshotName, i)] != want {
			t.Errorf("backup %d is not the snapshot of %d folds ago", i, i)
		}
	}
	names := sortedKeys(have)
	if diff := cmp.Diff([]string{"journal.jsonl", "lock", "state.json", "state.json.1", "state.json.2", "state.json.3"}, names); diff != "" {
		t.Error(diff)
	}
}

// A fold that dies again and again must not fill the backups with one snapshot.
func TestBackupsOutliveCrashes(t *testing.T) {
	s := newStore(t, nil)
	j, _, lock := journal(t, s)
	a := addr(t, "docker_container.a")
	for i := range backups + 1 {
		ok(t, j.Put(a, container(a, fmt.Sprint(i))))
		ok(t, j.Fold())
	}
	ok(t, j.Put(a, nil))
	ok(t, j.Close())
	lock.Release()
	var first map[string]string
	for range 3 {
		dying := reopen(s)
		dying.opts.Fault = func(p string) error {
			if p == "before rename:state" {
				return errPower
			}
			return nil
		}
		j, _, lock := journal(t, dying)
		if err := j.Fold(); !errors.Is(err, errPower) {
			t.Fatal(err)
		}
		lock.Release()
		now := files(t, s.dir)
		delete(now, lockName)
		if first == nil {
			first = now
		}
		if diff := cmp.Diff(first, now); diff != "" {
			t.Fatalf("another crash changed the files:\n%s", diff)
		}
	}
}

func TestRefusals(t *testing.T) {
	s := newStore(t, nil)
	j, _, _ := journal(t, s)
	a, b := addr(t, "docker_container.a"), addr(t, "docker_container.b")
	img1, img2 := addr(t, "docker_image.one"), addr(t, "docker_image.two")
	ok(t, j.Put(a, container(a, "1")))
	n := got[uint64](t)(j.Began(Began{Addr: b, Action: "create", Kind: b.Type}))
	was := files(t, s.dir)[journalName]

	with := func(change func(*Record)) *Record {
		r := container(b, "2")
		change(r)
		return r
	}
	for name, tt := range map[string]struct {
		err   error
		words string
	}{
		"no such call":         {j.Outcome(n+1, b, nil), "no call with the number 2"},
		"another's call":       {j.Outcome(n, a, nil), "was begun at docker_container.b"},
		"failed, another's":    {j.Failed(n, a), "was begun at"},
		"an object of another": {j.Outcome(n, b, container(b, "1")), "docker_container.a and docker_container.b"},
		"another's uid":        {j.Put(b, with(func(r *Record) { r.Current.UID = "u-1" })), "the uid u-1"},
		"another's address":    {j.Put(b, container(a, "2")), `"docker_container.a"`},
		"no address":           {j.Put(schema.Addr{}, container(b, "2")), "no address"},
		"a number too short":   {j.Put(b, with(func(r *Record) { r.Attrs = []byte(`{"say":"1e9 \"2e9","memory":8E+7}`) })), "powers of ten"},
		"no ID":                {j.Put(b, with(func(r *Record) { r.Current.ID = "" })), "without an ID"},
		"no name":              {j.Put(b, with(func(r *Record) { r.Current.Name = "" })), "without a name"},
		"no kind":              {j.Put(b, with(func(r *Record) { r.Kind = "" })), "no kind"},
		"another kind":         {j.Put(b, with(func(r *Record) { r.Kind = "docker_volume" })), "docker_volume"},
		"a status":             {j.Put(b, with(func(r *Record) { r.Current.Status = "" })), "status"},
		"one object twice":     {j.Put(b, with(func(r *Record) { r.Others = []Object{*r.Current} })), "twice"},
		"no JSON":              {j.Put(b, with(func(r *Record) { r.Attrs = json.RawMessage("{") })), "not JSON"},
		"a secret in clear":    {j.Outputs(map[string]Output{"t": {Sensitive: true, Value: json.RawMessage(`"s"`)}}), "in clear"},
		"one object, two new": {j.PutAll(map[schema.Addr]*Record{
			b: container(b, "9"), addr(t, "docker_container.c"): container(addr(t, "docker_container.c"), "9"),
		}), "two records"},
	} {
		t.Run(name, func(t *testing.T) { mustFail(t, tt.err, tt.words) })
	}
	if now := files(t, s.dir)[journalName]; now != was {
		t.Errorf("what was refused was written:\n%s", strings.TrimPrefix(now, was))
	}
	// Two tags of one image are two objects, and the same volume name on two engines.
	ok(t, j.Put(img1, &Record{Addr: img1, Kind: img1.Type, Current: &Object{ID: "sha256:1", Name: "a:1", Status: Ready}}))
	ok(t, j.Put(img2, &Record{Addr: img2, Kind: img2.Type, Current: &Object{ID: "sha256:1", Name: "a:2", Status: Ready}}))
	ok(t, j.Put(b, with(func(r *Record) { r.Engine = "engine-2"; r.Current.ID = "1" })))
}

func TestMove(t *testing.T) {
	s := newStore(t, nil)
	j, _, _ := journal(t, s)
	a, b := addr(t, "docker_container.a"), addr(t, "docker_container.b")
	ok(t, j.Put(a, container(a, "1")))
	mustFail(t, j.Put(b, container(b, "1")), "two records")
	for range 2 {
		ok(t, j.PutAll(map[schema.Addr]*Record{a: nil, b: container(b, "1")}))
		mustFail(t, j.Put(a, container(a, "1")), "two records")
		ok(t, j.PutAll(map[schema.Addr]*Record{b: nil, a: container(a, "1")}))
		mustFail(t, j.Put(b, container(b, "1")), "two records")
	}
	// And two that swap.
	ok(t, j.Put(b, container(b, "2")))
	ok(t, j.PutAll(map[schema.Addr]*Record{a: container(a, "2"), b: container(b, "1")}))
	ok(t, j.Sync())
	l := got[*Loaded](t)(s.Load())
	if diff := sameFacts(j.State(), l.State); diff != "" || l.State.Records[a].Current.ID != "2" {
		t.Error(diff)
	}
}

func TestWhatIsHandedOverIsCopied(t *testing.T) {
	s := newStore(t, nil)
	j, _, _ := journal(t, s)
	a := addr(t, "docker_container.a")
	rec := container(a, "1")
	ok(t, j.Put(a, rec))
	rec.Current.ID = "changed"
	j.State().Records[a].Current.ID = "changed"
	if have := j.State().Records[a].Current.ID; have != "1" {
		t.Errorf("the ID is %q", have)
	}
}

func TestBeganSharesSyncs(t *testing.T) {
	const callers = 20
	var (
		mu       sync.Mutex
		appended int
		syncs    int
		all      = make(chan struct{})
		armed    bool
	)
	s := newStore(t, func(p string) error {
		mu.Lock()
		if !armed {
			mu.Unlock()
			return nil
		}
		switch p {
		case "after append:began":
			if appended++; appended == callers {
				close(all)
			}
		case "before fsync:journal":
			syncs++
			mu.Unlock()
			<-all // the first keeps the disk busy until all others are queued
			return nil
		}
		mu.Unlock()
		return nil
	})
	j, _, _ := journal(t, s)
	mu.Lock()
	armed = true
	mu.Unlock()
	numbers := make([]uint64, callers)
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			a := schema.Addr{Type: "docker_container", Name: fmt.Sprintf("c%d", i)}
			numbers[i], errs[i] = j.Began(Began{Addr: a, Action: "create", Kind: a.Type})
			if errs[i] == nil {
				errs[i] = j.Outcome(numbers[i], a, container(a, fmt.Sprint(i)))
			}
		})
	}
	wg.Wait()
	ok(t, errors.Join(errs...))
	slices.Sort(numbers)
	if len(slices.Compact(numbers)) != callers {
		t.Errorf("numbers were given twice: %v", numbers)
	}
	mu.Lock()
	if syncs > 2 {
		t.Errorf("%d callers took %d syncs, want 2 at most", callers, syncs)
	}
	mu.Unlock()
	ok(t, j.Close())
	l := got[*Loaded](t)(s.Load())
	if len(l.State.Records) != callers || len(l.Doubts) != 0 {
		t.Errorf("%d records and %d doubts were read back", len(l.State.Records), len(l.Doubts))
	}
}

func TestAWriteThatFails(t *testing.T) {
	s := newStore(t, nil)
	j, _, _ := journal(t, s)
	a := addr(t, "docker_container.a")
	ok(t, j.Put(a, container(a, "1")))
	ok(t, j.Sync())
	good := j.file
	readOnly, err := os.Open(s.path(journalName))
	ok(t, err)
	j.file = readOnly // what a full disk would do
	_, err = j.Began(Began{Addr: a, Action: "delete", Kind: a.Type, TargetID: "1"})
	mustFail(t, err, "cannot write the journal")
	j.file = good
	_, again := j.Began(Began{Addr: a, Action: "delete", Kind: a.Type, TargetID: "1"})
	mustFail(t, again, "cannot write the journal")
	mustFail(t, j.Put(a, nil), "cannot write the journal")
	mustFail(t, j.Fold(), "cannot write the journal")
	mustFail(t, j.Close(), "cannot write the journal")
	if l := got[*Loaded](t)(s.Load()); l.State.Records[a] == nil || len(l.Doubts) != 0 {
		t.Errorf("loaded %+v", l)
	}
}

func TestAfterClose(t *testing.T) {
	s := newStore(t, nil)
	j, l, lock := journal(t, s)
	a := addr(t, "docker_container.a")
	ok(t, j.Put(a, container(a, "1")))
	ok(t, j.Close())
	mustFail(t, j.Put(a, nil), "closed")
	mustFail(t, j.Close(), "closed")
	_, err := s.Journal(l, lock)
	mustFail(t, err, "has changed since it was read")
	l = got[*Loaded](t)(s.Load())
	lock.Release()
	_, err = s.Journal(l, lock)
	mustFail(t, err, "released")
}

// What a line says, said again, changes nothing.
func TestReplayIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFacts(New("lab", "default"))
		for range rapid.IntRange(1, 20).Draw(t, "lines") {
			changes := drawChanges(t)
			if f.admits(changes) != nil {
				continue
			}
			f.set(changes)
			once := f.state.Clone()
			f.dirty = false
			if err := f.replaySet(changes); err != nil {
				t.Fatalf("a line that was taken is refused when it comes again: %v", err)
			}
			if diff := sameFacts(once, f.state); diff != "" || f.dirty {
				t.Fatalf("the second time changed something:\n%s", diff)
			}
		}
	})
}

func drawChanges(t *rapid.T) []change {
	used := map[schema.Addr]bool{}
	var changes []change
	for range rapid.IntRange(1, 3).Draw(t, "changes") {
		a := drawAddr(t)
		if !used[a] {
			used[a] = true
			changes = append(changes, change{a, drawRecord(t, a)})
		}
	}
	return changes
}

func drawAddr(t *rapid.T) schema.Addr {
	return schema.Addr{Type: "docker_container", Name: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "address")}
}

func drawRecord(t *rapid.T, a schema.Addr) *Record {
	ids := rapid.SliceOfNDistinct(rapid.IntRange(0, 5), 0, 3, rapid.ID).Draw(t, "objects")
	if len(ids) == 0 {
		return nil
	}
	r := container(a, fmt.Sprint(ids[0]))
	for _, id := range ids[1:] {
		r.Others = append(r.Others, Object{ID: fmt.Sprint(id), Name: "n", Status: Tainted})
	}
	r.Protected = rapid.Bool().Draw(t, "protected")
	n, err := normal(r)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The store against a map: whatever is written, folded and loaded again, in any
// order, is what a map would hold.
func TestStoreIsAMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "store")
		if err != nil {
			rt.Fatal(err)
		}
		s := Open(filepath.Join(dir, ".gapool", "default"), dir, "lab", "default", Options{})
		want := New("lab", "default")
		var doubts []Began
		var j *Journal
		var lock *Lock
		begin := func() {
			if lock, err = s.Lock(t.Context(), "apply", 0); err != nil {
				rt.Fatal(err)
			}
			l, err := s.Load()
			if err != nil {
				rt.Fatal(err)
			}
			if diff := sameFacts(want, l.State); diff != "" {
				rt.Fatalf("loaded (-want +have):\n%s", diff)
			}
			if diff := cmp.Diff(numbers(doubts), numbers(l.Doubts)); diff != "" {
				rt.Fatalf("doubts (-want +have):\n%s", diff)
			}
			if j, err = s.Journal(l, lock); err != nil {
				rt.Fatal(err)
			}
		}
		end := func() {
			if err := j.Close(); err != nil {
				rt.Fatal(err)
			}
			lock.Release()
		}
		fits := func(err error) bool {
			if err != nil && !strings.Contains(err.Error(), "two records") {
				rt.Fatal(err)
			}
			return err == nil
		}
		set := func(a schema.Addr, r *Record) {
			if r == nil {
				delete(want.Records, a)
			} else {
				want.Records[a] = r
			}
		}
		begin()
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				recs := map[schema.Addr]*Record{}
				for _, c := range drawChanges(rt) {
					recs[c.Addr] = c.Record
				}
				if fits(j.PutAll(recs)) {
					for a, r := range recs {
						set(a, r)
					}
				}
			},
			"began": func(rt *rapid.T) {
				b := Began{Addr: drawAddr(rt), Action: "create", Kind: "docker_container"}
				n, err := j.Began(b)
				if err != nil {
					rt.Fatal(err)
				}
				b.N = n
				doubts = append(doubts, b)
			},
			"end": func(rt *rapid.T) {
				if len(doubts) == 0 {
					rt.Skip()
				}
				i := rapid.IntRange(0, len(doubts)-1).Draw(rt, "call")
				b := doubts[i]
				if rapid.Bool().Draw(rt, "failed") {
					if err := j.Failed(b.N, b.Addr); err != nil {
						rt.Fatal(err)
					}
				} else {
					r := drawRecord(rt, b.Addr)
					if !fits(j.Outcome(b.N, b.Addr, r)) {
						return
					}
					set(b.Addr, r)
				}
				doubts = slices.Delete(doubts, i, i+1)
			},
			"outputs": func(rt *rapid.T) {
				want.Outputs = map[string]Output{"o": {Value: json.RawMessage(fmt.Sprint(rapid.Int().Draw(rt, "value")))}}
				if err := j.Outputs(want.Outputs); err != nil {
					rt.Fatal(err)
				}
			},
			"fold": func(rt *rapid.T) {
				if err := j.Fold(); err != nil {
					rt.Fatal(err)
				}
			},
			"reopen": func(*rapid.T) { end(); begin() },
			"": func(rt *rapid.T) {
				if err := j.State().Check(); err != nil {
					rt.Fatal(err)
				}
			},
		})
		end()
	})
}

func numbers(all []Began) []uint64 {
	ns := []uint64{}
	for _, b := range all {
		ns = append(ns, b.N)
	}
	return ns
}
