//go:build engine

package examples_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// commandLines watches what runs on this machine, the engine's containers
// included, and returns a function that ends it and tells all command lines
// that were seen. What is over within a few milliseconds may escape.
func commandLines(t *testing.T) (seen func() []string) {
	t.Helper()
	all := map[string]bool{}
	end := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for {
			paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
			if err != nil {
				t.Error(err)
			}
			for _, path := range paths {
				if line, err := os.ReadFile(path); err == nil && len(line) > 0 { // else it is over, or the kernel's
					all[strings.TrimRight(strings.ReplaceAll(string(line), "\x00", " "), " ")] = true
				}
			}
			select {
			case <-end:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	stop := sync.OnceFunc(func() { close(end); done.Wait() })
	t.Cleanup(stop)
	return func() []string {
		stop()
		return slices.Sorted(maps.Keys(all))
	}
}

// standIn puts a program on the way of gapool that writes down with which
// arguments it was started, and by whom, and then does what script says.
func standIn(t *testing.T, dir, log, name, script string) {
	t.Helper()
	text := fmt.Sprintf("#!/bin/sh\n{ echo \"%s $*\"; tr '\\0' ' ' </proc/$PPID/cmdline; echo; } >>%s\n%s\n", name, log, script)
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// Whoever is on the machine sees the arguments of every process. Those of gapool
// and of what it starts, the ssh to an engine and a helper of docker login, have
// no secret.
func TestNoSecretIsAnArgument(t *testing.T) {
	s := newStack(t)
	tools := t.TempDir()
	log := filepath.Join(tools, "log")
	standIn(t, tools, log, "ssh", "exec docker --host "+script(t, "engine", "--host")+" system dial-stdio")
	standIn(t, tools, log, "docker-credential-standin",
		`read -r server; echo "{\"ServerURL\":\"$server\",\"Username\":\"ada\",\"Secret\":\"hush-registry\"}"`)

	// A registry that knows the password and has nothing.
	var mu sync.Mutex
	asked := map[string]bool{}
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		mu.Lock()
		asked[password] = true
		mu.Unlock()
		if password == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(registry.Close)

	const secret = "hush-4711"
	s.env = []string{
		"PATH=" + tools + ":" + os.Getenv("PATH"), "DOCKER_HOST=ssh://lab.example", "DOCKER_CONFIG=" + tools,
		"GAPOOL_VAR_base=" + tinyImage(t), "GAPOOL_VAR_token=" + secret, "BUILD_SECRET=hush-environment",
	}
	if err := os.WriteFile(filepath.Join(tools, "config.json"), []byte(`{"credsStore": "standin"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	// A health check and a command are arguments themselves, and say so in the
	// documentation; the secrets of this stack are elsewhere.
	config := strings.ReplaceAll(secretive, `test ${var.token} = x || true`, `test -e /etc/token`)
	s.write("main.gapool.hcl", config)
	s.write("Dockerfile", secretDockerfile)
	s.write(".dockerignore", "*\n")
	s.write("secret.txt", "hush-file\n")

	lines := commandLines(t)
	s.apply()
	s.settled()
	s.must(0, "status")
	s.write("pull.gapool.hcl", fmt.Sprintf("resource \"docker_image\" \"private\" {\n  name = %q\n}\n", strings.TrimPrefix(registry.URL, "http://")+"/NAME:1"))
	r := s.must(1, "apply", "-auto-approve")
	wants(t, r.stderr, "docker_image.private: create")
	if err := os.Remove(filepath.Join(s.dir, "pull.gapool.hcl")); err != nil {
		t.Fatal(err)
	}
	s.must(0, "destroy", "-auto-approve")
	s.nothingLeft()

	if !asked["hush-registry"] {
		t.Errorf("the registry was not shown the password: %v\n%s", asked, r.stderr)
	}
	started, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, string(started), "ssh ", "docker system dial-stdio", "docker-credential-standin get", "gapool apply -auto-approve")
	all := append(lines(), strings.Split(string(started), "\n")...)
	if !slices.ContainsFunc(all, func(l string) bool { return strings.Contains(l, "/gapool apply") }) {
		t.Error("not even gapool was seen")
	}
	for _, line := range all {
		if strings.Contains(line, "hush-") {
			t.Errorf("a secret is an argument: %s", line)
		}
	}
}
