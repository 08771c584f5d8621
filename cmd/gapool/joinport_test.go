package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A worker that is sent to the port of the Ray client would hang and die, so
// the command that people run refuses it, with the port that is right.
func TestAWorkerOnThePortOfTheRayClient(t *testing.T) {
	for name, c := range map[string]struct{ body, line string }{
		"a container": {`resource "docker_container" "worker" {
  name    = "worker"
  image   = "ray"
  command = ["ray", "start", "--block", "--address=genetic-head:10001"]
}
`, `command = ["ray", "start", "--block", "--address=genetic-head:10001"]`},
		"a container's shell": {`resource "docker_container" "worker" {
  name       = "worker"
  image      = "ray"
  entrypoint = ["sh", "-c", "exec ray start --block --address genetic-head:10001"]
}
`, `entrypoint = ["sh", "-c", "exec ray start --block --address genetic-head:10001"]`},
		"a group of a cluster": {`resource "ray_cluster" "pool" {
  name    = "genetic"
  image   = "ray"
  network = "pool"
  head {}
  worker_group "cpu" {
    params = { address = "genetic-head:10001" }
  }
}
`, `params = { address = "genetic-head:10001" }`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			validate := func(text string) (int, string) {
				if err := os.WriteFile(filepath.Join(dir, "main.gapool.hcl"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				var out, problems strings.Builder
				code := Main([]string{"-chdir=" + dir, "validate"}, strings.NewReader(""), &out, &problems, nil, everything())
				return code, problems.String()
			}
			code, problems := validate(c.body)
			if code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			for _, want := range []string{"use genetic-head:6379", c.line} {
				if !strings.Contains(problems, want) {
					t.Errorf("no %q in:\n%s", want, problems)
				}
			}
			if name == "a group of a cluster" {
				return // the address is the tool's, so there is no right one
			}
			if code, problems := validate(strings.ReplaceAll(c.body, "10001", "6379")); code != 0 {
				t.Errorf("on the right port: exit code %d\n%s", code, problems)
			}
		})
	}
}
