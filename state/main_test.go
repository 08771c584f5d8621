package state

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gapool/gapool/schema"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Roles that the test binary plays when it is started by a test.
const (
	roleVar  = "GAPOOL_STATE_TEST_ROLE"
	roleLock = "lock" // take the lock of the folder in the first argument
	roleIdle = "idle"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case roleLock:
		s := Open(os.Args[1], os.Args[2], "lab", "default", Options{})
		l, err := s.Lock(context.Background(), "apply", 0)
		if err == nil {
			err = l.Guard(context.Background(), "engine-1")
		}
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println("locked")
		_, _ = io.ReadAll(bufio.NewReader(os.Stdin))
	case roleIdle:
		fmt.Println("idle")
		_, _ = io.ReadAll(bufio.NewReader(os.Stdin))
	default:
		os.Exit(m.Run())
	}
}

func addr(t testing.TB, s string) schema.Addr {
	t.Helper()
	a, err := schema.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func got[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		ok(t, err)
		return v
	}
}

func mustFail(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q:\n%v", w, err)
		}
	}
}

// newStore returns a store in a fresh folder that nobody has made yet.
func newStore(t testing.TB, fault func(string) error) *Store {
	t.Helper()
	root := t.TempDir()
	return Open(filepath.Join(root, ".gapool", "default"), filepath.Join(root, "locks"), "lab", "default", Options{Fault: fault})
}

// reopen returns a store on the same folder, as another process would.
func reopen(s *Store) *Store {
	return Open(s.dir, s.guardDir, s.stack, s.workspace, Options{})
}

// journal opens the store's journal; the test's end releases the lock.
func journal(t testing.TB, s *Store) (*Journal, *Loaded, *Lock) {
	t.Helper()
	lock := got[*Lock](t)(s.Lock(context.Background(), "apply", 0))
	t.Cleanup(lock.Release)
	l := got[*Loaded](t)(s.Load())
	if !l.Found {
		l.State.Lineage = "5f1d1d1e-0000-4000-8000-000000000000"
	}
	return got[*Journal](t)(s.Journal(l, lock)), l, lock
}

func container(a schema.Addr, id string) *Record {
	return &Record{
		Addr: a, Provider: "docker", Engine: "engine-1", Kind: "docker_container",
		Current: &Object{ID: id, Name: "c-" + id, UID: "u-" + id, Status: Ready},
	}
}

// facts of a state are all but the generation and the lineage.
func sameFacts(want, have *State) string {
	return cmp.Diff(map[string]any{"records": want.Records, "outputs": want.Outputs}, map[string]any{"records": have.Records, "outputs": have.Outputs},
		cmp.Comparer(func(a, b schema.Addr) bool { return a == b }))
}

// files returns the content of each file in a folder.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return all
	}
	ok(t, err)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		ok(t, err)
		all[e.Name()] = string(data)
	}
	return all
}

func putFiles(t testing.TB, dir string, all map[string]string) {
	t.Helper()
	ok(t, os.RemoveAll(dir))
	ok(t, os.MkdirAll(dir, 0o700))
	for name, content := range all {
		ok(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
}
