package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gapool/gapool/schema"
)

// writeExample leaves a snapshot and a journal with every kind of line and
// every field.
func writeExample(t testing.TB, s *Store) {
	t.Helper()
	nothing := ""
	cluster := addr(t, "ray_cluster.pool")
	member := addr(t, `ray_cluster.pool.worker["cpu"][0]`)
	image := addr(t, "docker_image.pool")
	web := addr(t, `module.a.docker_container.web["<x>"]`)

	j, _, lock := journal(t, s)
	n := got[uint64](t)(j.Began(Began{Addr: image, Action: "create", Kind: "docker_image", Provider: "docker", Engine: "engine-1", Name: "pool:latest", Prev: &nothing}))
	ok(t, j.Outcome(n, image, &Record{
		Addr: image, Provider: "docker", Engine: "engine-1", Kind: "docker_image", PrevTag: &nothing,
		Current: &Object{ID: "sha256:1", Name: "pool:latest", Status: Ready},
	}))
	rec := container(web, "w1")
	rec.Others = []Object{{ID: "w3", Name: "web~3", UID: "u3", Status: Tainted}, {ID: "w2", Name: "web~2", UID: "u2", Status: Tainted}}
	rec.Attrs = json.RawMessage(`{"name": "web", "ports": [80], "command": ["a && b"]}`)
	rec.Hashes = map[string]string{"upload[0].content": "$argon2id$…"}
	rec.Deps = []schema.Addr{addr(t, "docker_network.pool"), image}
	rec.Protected = true
	ok(t, j.Put(web, rec))
	ok(t, j.Outputs(map[string]Output{
		"url":   {Value: json.RawMessage(`"http://127.0.0.1?a&b"`), Type: json.RawMessage(`"string"`)},
		"token": {Sensitive: true, Hash: "$argon2id$…"},
	}))
	ok(t, j.Fold())

	n = got[uint64](t)(j.Began(Began{Addr: member, Action: "create", Kind: "docker_container", Provider: "docker.lab2", Engine: "engine-1", UID: "u9", Name: "pool-cpu-0"}))
	m := container(member, "m1")
	ok(t, j.Outcome(n, member, m))
	ok(t, j.Put(cluster, &Record{Addr: cluster, Provider: "docker", Engine: "engine-1", Kind: "ray_cluster", Attrs: json.RawMessage(`{"dashboard_url":"http://127.0.0.1:8265"}`)}))
	n = got[uint64](t)(j.Began(Began{Addr: web, Action: "rename", Kind: "docker_container", Engine: "engine-1", TargetID: "w1", Name: "web"}))
	ok(t, j.Failed(n, web))
	ok(t, j.Put(image, nil))
	ok(t, j.Outputs(map[string]Output{}))
	_ = got[uint64](t)(j.Began(Began{Addr: web, Action: "stop", Kind: "docker_container", Engine: "engine-1", TargetID: "w1", Timeout: 10}))
	ok(t, j.Close())
	lock.Release()
}

func TestGoldenFiles(t *testing.T) {
	s := newStore(t, nil)
	writeExample(t, s)
	for _, name := range []string{snapshotName, journalName} {
		have := got[[]byte](t)(os.ReadFile(s.path(name)))
		golden := filepath.Join("testdata", name)
		if *update {
			ok(t, os.MkdirAll("testdata", 0o755))
			ok(t, os.WriteFile(golden, have, 0o644))
		}
		want := got[[]byte](t)(os.ReadFile(golden))
		if diff := cmp.Diff(string(want), string(have)); diff != "" {
			t.Errorf("%s (-golden +written):\n%s", name, diff)
		}
	}
}

func TestFilesArePrivate(t *testing.T) {
	s := newStore(t, nil)
	writeExample(t, s)
	_, _, lock := journal(t, s)
	ok(t, lock.Guard(t.Context(), "engine-1"))
	root := filepath.Dir(filepath.Dir(s.dir))
	seen := 0
	ok(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has the mode %v, want %v", path, info.Mode().Perm(), want)
		}
		seen++
		return nil
	}))
	if seen < 6 {
		t.Errorf("only %d files and folders were there to look at", seen)
	}
	if have := string(got[[]byte](t)(os.ReadFile(filepath.Join(root, ".gapool", ".gitignore")))); have != "*\n" {
		t.Errorf(".gitignore is %q", have)
	}
}

func TestFolderOfTheUsersChoice(t *testing.T) {
	root := t.TempDir()
	s := Open(filepath.Join(root, "states", "default"), root, "lab", "default", Options{})
	journal(t, s)
	if _, err := os.Stat(filepath.Join(root, "states", ".gitignore")); !os.IsNotExist(err) {
		t.Errorf("a .gitignore was put into a folder that is not ours (%v)", err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, ".gitignore")); err != nil {
		t.Error(err)
	}
}

func TestUnusableFiles(t *testing.T) {
	origin := newStore(t, nil)
	writeExample(t, origin)
	good := files(t, origin.dir)
	edit := func(name, old, new string) map[string]string {
		if !strings.Contains(good[name], old) {
			t.Fatalf("%s has no %q", name, old)
		}
		return map[string]string{name: strings.Replace(good[name], old, new, 1)}
	}
	first, rest, _ := strings.Cut(good[journalName], "\n")
	resealed := func(change func(*header)) map[string]string {
		body, _, fine := unseal(0, []byte(first))
		if !fine {
			t.Fatal("the first line is damaged")
		}
		var h header
		ok(t, json.Unmarshal(body, &h))
		change(&h)
		line, _, err := seal(0, h)
		ok(t, err)
		return map[string]string{journalName: string(line)}
	}
	second, _, _ := strings.Cut(rest, "\n")

	for _, tt := range []struct {
		name  string
		files map[string]string
		words []string
	}{
		{"empty snapshot", map[string]string{snapshotName: ""}, []string{snapshotName, "it is empty", "labels"}},
		{"blank snapshot", map[string]string{snapshotName: "\n"}, []string{"it is empty"}},
		{"truncated snapshot", map[string]string{snapshotName: good[snapshotName][:200]}, []string{"it is damaged", "unexpected EOF"}},
		{"two snapshots", map[string]string{snapshotName: good[snapshotName] + "{}"}, []string{"after the end"}},
		{"other JSON", map[string]string{snapshotName: `{"serial": 3}`}, []string{"it is damaged", "serial"}},
		{"no version", edit(snapshotName, `"version": 1`, `"version": 0`), []string{"no version"}},
		{"newer version", edit(snapshotName, `"version": 1`, `"new": {}, "version": 2`), []string{"version 2", "newer gapool"}},
		{"other stack", edit(snapshotName, `"stack": "lab"`, `"stack": "moon"`), []string{`"moon"`, `"lab"`, "-state-dir"}},
		{"other workspace", edit(snapshotName, `"workspace": "default"`, `"workspace": "test"`), []string{`"test"`}},
		{"unknown field", edit(snapshotName, `"kind"`, `"sort"`), []string{`"sort"`}},
		{"unsound", edit(snapshotName, `"status": "ready"`, `"status": "fine"`), []string{"not sound", `"fine"`}},
		{"a number of a million digits", edit(snapshotName, "          80\n", "          80e1000000\n"), []string{"not sound", "powers of ten"}},
		{"other lineage", edit(snapshotName, "5f1d", "6f1d"), []string{journalName, "lineage"}},
		{"older snapshot", edit(snapshotName, `"generation": 1`, `"generation": 0`), []string{"generation 1", "generation 0"}},
		{"empty journal", map[string]string{journalName: ""}, []string{journalName, "no first line"}},
		{"torn first line", map[string]string{journalName: first[:20]}, []string{"no first line"}},
		{"line taken out", map[string]string{journalName: first + "\n" + strings.Replace(rest, second+"\n", "", 1)}, []string{"line 2", "checksum"}},
		{"line doubled", map[string]string{journalName: first + "\n" + second + "\n" + rest}, []string{"line 3", "checksum"}},
		{"last line damaged", map[string]string{journalName: good[journalName][:len(good[journalName])-3] + "x\"}\n"}, []string{"checksum"}},
		{"journal of a newer version", resealed(func(h *header) { h.Version = 2 }), []string{"version 2", "newer gapool"}},
		{"journal of another stack", resealed(func(h *header) { h.Stack = "moon" }), []string{`"moon"`}},
		{"journal of another lineage", resealed(func(h *header) { h.Lineage = "x" }), []string{"lineage"}},
		{"journal ahead", resealed(func(h *header) { h.Base = 2 }), []string{"generation 2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStore(t, nil)
			all := map[string]string{}
			for name, content := range good {
				all[name] = content
			}
			for name, content := range tt.files {
				all[name] = content
			}
			putFiles(t, s.dir, all)
			_, err := s.Load()
			mustFail(t, err, append(tt.words, s.dir)...)
			if diff := cmp.Diff(all, files(t, s.dir)); diff != "" {
				t.Errorf("the files were changed:\n%s", diff)
			}
		})
	}
}

func TestOldJournalIsIgnored(t *testing.T) {
	s := newStore(t, nil)
	web := addr(t, "docker_container.web")
	j, _, lock := journal(t, s)
	ok(t, j.Put(web, container(web, "1")))
	before := files(t, s.dir)[journalName]
	ok(t, j.Fold())
	ok(t, j.Put(web, nil))
	ok(t, j.Fold())
	want := j.State()
	ok(t, j.Close())
	lock.Release()
	ok(t, os.WriteFile(s.path(journalName), []byte(before), 0o600))

	j, l, _ := journal(t, s)
	if diff := sameFacts(want, l.State); diff != "" {
		t.Error(diff)
	}
	if l.State.Generation != 2 {
		t.Errorf("the generation is %d, want 2", l.State.Generation)
	}
	ok(t, j.Put(web, container(web, "2")))
	ok(t, j.Close())
	if l := got[*Loaded](t)(s.Load()); l.State.Records[web] == nil {
		t.Error("what was appended after an old journal is not read")
	}
}

func TestWithoutSnapshotTheJournalIsReplayed(t *testing.T) {
	s := newStore(t, nil)
	writeExample(t, s)
	ok(t, os.Remove(s.path(snapshotName)))
	j, l, _ := journal(t, s)
	if !l.Found || l.State.Lineage == "" || l.State.Generation != 1 || len(l.State.Records) != 2 || len(l.Doubts) != 1 {
		t.Errorf("loaded %+v", l)
	}
	ok(t, j.Failed(l.Doubts[0].N, l.Doubts[0].Addr))
	ok(t, j.Fold())
	if l := got[*Loaded](t)(s.Load()); l.State.Generation != 2 || len(l.State.Records) != 2 {
		t.Errorf("after a fold: %+v", l.State)
	}
}

func TestReadingBack(t *testing.T) {
	s := newStore(t, nil)
	writeExample(t, s)
	l := got[*Loaded](t)(s.Load())
	data := got[[]byte](t)(l.State.MarshalJSON())
	var again State
	ok(t, again.UnmarshalJSON(data))
	if diff := sameFacts(l.State, &again); diff != "" {
		t.Error(diff)
	}
	ok(t, l.State.Check())
	if l.LastWrite.IsZero() || len(l.Doubts) != 1 || l.Doubts[0].Timeout != 10 || l.Doubts[0].TargetID != "w1" {
		t.Errorf("doubts %+v, last write %v", l.Doubts, l.LastWrite)
	}
	web := l.State.Records[addr(t, `module.a.docker_container.web["<x>"]`)]
	if have, want := string(web.Attrs), `{"name":"web","ports":[80],"command":["a && b"]}`; have != want {
		t.Errorf("attributes are %s, want %s", have, want)
	}
}

func TestTornTailAtEveryByte(t *testing.T) {
	origin := newStore(t, nil)
	writeExample(t, origin)
	good := files(t, origin.dir)
	data := good[journalName]
	lines := strings.SplitAfter(data, "\n")
	lines = lines[:len(lines)-1]

	s := newStore(t, nil)
	for size := len(lines[0]); size <= len(data); size++ {
		whole := strings.LastIndex(data[:size], "\n") + 1
		putFiles(t, s.dir, map[string]string{snapshotName: good[snapshotName], journalName: data[:whole]})
		want := got[*Loaded](t)(s.Load())
		ok(t, os.WriteFile(s.path(journalName), []byte(data[:size]), 0o600))
		torn := got[*Loaded](t)(s.Load())
		if diff := sameFacts(want.State, torn.State); diff != "" || len(want.Doubts) != len(torn.Doubts) {
			t.Fatalf("cut to %d bytes: %d doubts, want %d\n%s", size, len(torn.Doubts), len(want.Doubts), diff)
		}
		if have := files(t, s.dir)[journalName]; have != data[:size] {
			t.Fatalf("Load changed the journal")
		}
		lock := got[*Lock](t)(s.Lock(t.Context(), "apply", 0))
		j := got[*Journal](t)(s.Journal(torn, lock))
		x := addr(t, "docker_container.x")
		ok(t, j.Put(x, container(x, "x")))
		ok(t, j.Close())
		lock.Release()
		if have := files(t, s.dir)[journalName]; !strings.HasPrefix(have, data[:whole]) || strings.Count(have, "\n") != strings.Count(data[:whole], "\n")+1 {
			t.Fatalf("cut to %d bytes: the journal is now\n%s", size, have)
		}
		if l := got[*Loaded](t)(s.Load()); l.State.Records[x] == nil || len(l.State.Records) != len(want.State.Records)+1 {
			t.Fatalf("cut to %d bytes: what was appended is not read back", size)
		}
	}
}

func TestEveryFlippedBitIsSeen(t *testing.T) {
	s := newStore(t, nil)
	writeExample(t, s)
	data := []byte(files(t, s.dir)[journalName])
	snapshot, _, err := s.loadSnapshot()
	ok(t, err)
	for i := range data {
		for bit := range 8 {
			flipped := bytes.Clone(data)
			flipped[i] ^= 1 << bit
			l := &Loaded{facts: newFacts(snapshot.Clone()), snapshot: fakeInfo{}}
			if err := s.replayJournal(l, bytes.NewReader(flipped)); err == nil {
				t.Fatalf("bit %d of byte %d (%q) was flipped and nobody noticed", bit, i, data[max(0, i-20):i+1])
			}
		}
	}
}

// fakeInfo stands for a snapshot that is there.
type fakeInfo struct{ fs.FileInfo }

func TestLinesHaveAnEnd(t *testing.T) {
	s := newStore(t, nil)
	writeExample(t, s)
	first, _, _ := strings.Cut(files(t, s.dir)[journalName], "\n")
	ok(t, os.WriteFile(s.path(journalName), []byte(first+"\n"+strings.Repeat("x", maxLine+1)), 0o600))
	_, err := s.Load()
	mustFail(t, err, "line 2 is longer")

	s = newStore(t, nil)
	j, _, _ := journal(t, s)
	a := addr(t, "docker_container.web")
	rec := container(a, "1")
	rec.Attrs = json.RawMessage(fmt.Sprintf("%q", strings.Repeat("x", maxLine)))
	mustFail(t, j.Put(a, rec), "longer")
	rec.Attrs = nil
	ok(t, j.Put(a, rec)) // the journal is none the worse for it
}
