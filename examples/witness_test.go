//go:build engine

package examples_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// witness stands between gapool and an engine and writes down each request
// that could change something. It can do something before one of them, and it
// can cut the connection.
type witness struct {
	t      *testing.T
	host   string // for DOCKER_HOST
	proxy  *httputil.ReverseProxy
	server *http.Server // nil where the connection is cut

	mu      sync.Mutex
	changes []string
	before  func(change string) // nil for nothing
}

// newWitness stands before the engine at host.
func newWitness(t *testing.T, host string) *witness {
	t.Helper()
	network, address, ok := strings.Cut(host, "://")
	if !ok {
		t.Fatalf("the engine is at %q", host)
	}
	// A socket's path is short, and that of a test's folder may not be.
	dir, err := os.MkdirTemp("", "gapool")
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{t: t, host: "unix://" + filepath.Join(dir, "docker.sock")}
	w.proxy = httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	w.proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	// Where the engine does not answer, neither does its stand-in.
	w.proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	w.mend()
	t.Cleanup(func() {
		w.cut()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		change := fmt.Sprintf("%s %s", r.Method, r.URL.Path)
		w.mu.Lock()
		w.changes = append(w.changes, change)
		before := w.before
		w.mu.Unlock()
		if before != nil {
			before(change)
		}
	}
	w.proxy.ServeHTTP(rw, r)
}

// mend lets connections through, as in the beginning.
func (w *witness) mend() {
	w.t.Helper()
	listener, err := net.Listen("unix", strings.TrimPrefix(w.host, "unix://"))
	if err != nil {
		w.t.Fatal(err)
	}
	server := &http.Server{Handler: w}
	w.mu.Lock()
	w.server = server
	w.mu.Unlock()
	go func() { _ = server.Serve(listener) }() // until it is closed
}

// cut ends all connections and refuses new ones.
func (w *witness) cut() {
	w.mu.Lock()
	server := w.server
	w.server = nil
	w.mu.Unlock()
	if server == nil {
		return
	}
	if err := server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		w.t.Error(err)
	}
}

// seen returns what was written down since it was last asked.
func (w *witness) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.changes
	w.changes = nil
	return out
}

// at does something once, before the nth request from now on whose path ends so
// is passed on.
func (w *witness) at(n int, path string, do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var mu sync.Mutex
	w.before = func(change string) {
		mu.Lock()
		defer mu.Unlock()
		if !strings.HasSuffix(change, path) {
			return
		}
		if n--; n == 0 {
			do()
		}
	}
}
