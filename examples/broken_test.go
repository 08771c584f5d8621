//go:build engine

package examples_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// witness stands between gapool and the engine and writes down each request
// that could change something.
type witness struct {
	host string // for DOCKER_HOST

	mu      sync.Mutex
	changes []string
}

func newWitness(t *testing.T) *witness {
	t.Helper()
	host := script(t, "engine", "--host")
	network, address, ok := strings.Cut(host, "://")
	if !ok {
		t.Fatalf("the engine is at %q", host)
	}
	w := &witness{}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.mu.Lock()
			w.changes = append(w.changes, fmt.Sprintf("%s %s", r.Method, r.URL.Path))
			w.mu.Unlock()
		}
		proxy.ServeHTTP(rw, r)
	})}
	// A socket's path is short, and that of a test's folder may not be.
	dir, err := os.MkdirTemp("", "gapool")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "docker.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }() // until it is closed
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	w.host = "unix://" + socket
	return w
}

// seen returns what was written down since it was last asked.
func (w *witness) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.changes
	w.changes = nil
	return out
}

// The mistakes of schema/testdata/broken, made by a person with a real engine:
// each verb fails, says so, and asks the engine for no change.
func TestBrokenConfigurationsChangeNothing(t *testing.T) {
	w := newWitness(t)
	s := newStack(t)
	s.env = []string{"DOCKER_HOST=" + w.host, "GAPOOL_VAR_image=" + tinyImage(t)}
	s.write("main.gapool.hcl", `
gapool {
  stack = "NAME"
}
variable "image" {}
resource "docker_container" "web" {
  name    = "NAME-web"
  image   = var.image
  command = ["sleep", "1000000"]
  init    = true
}
`)
	s.apply()
	if made := w.seen(); !slices.ContainsFunc(made, func(r string) bool { return strings.HasSuffix(r, "/containers/create") }) {
		t.Fatalf("the witness saw only %v of an apply", made)
	}
	s.settled()
	if changes := w.seen(); len(changes) > 0 {
		t.Fatalf("an empty plan asked for %v", changes)
	}

	paths, err := filepath.Glob("../schema/testdata/broken/*.txtar")
	if err != nil || len(paths) < 20 {
		t.Fatalf("%d broken configurations were found (%v), want 20 or more", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b := &stack{t: t, name: s.name, dir: t.TempDir(), env: s.env}
			var want string
			for _, f := range ar.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				if err := os.MkdirAll(filepath.Dir(filepath.Join(b.dir, f.Name)), 0o700); err != nil {
					t.Fatal(err)
				}
				b.write(f.Name, string(f.Data))
			}
			var flags []string
			for line := range strings.Lines(string(ar.Comment)) {
				if pair, ok := strings.CutPrefix(strings.TrimSpace(line), "-var "); ok {
					flags = append(flags, "-var", pair)
				}
			}
			summary, _, _ := strings.Cut(want[strings.Index(want, "Error: "):], "\n")
			for _, verb := range [][]string{{"plan"}, {"apply", "-auto-approve"}, {"destroy", "-auto-approve"}} {
				r := b.must(1, append(verb, flags...)...)
				wants(t, r.stderr, summary)
			}
			if changes := w.seen(); len(changes) > 0 {
				t.Errorf("the engine was asked for %v", changes)
			}
		})
	}
	s.settled()
	s.must(0, "destroy", "-auto-approve")
	s.nothingLeft()
}
