//go:build engine

// Package examples_test does what people do: it runs the gapool command, looks
// with the docker command, and breaks things by hand. It needs a Docker Engine
// and fails where there is none.
//
//	make test
//	go test -tags engine ./examples
package examples_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// gapoolBinary is the command under test.
var gapoolBinary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "gapool-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		gapoolBinary = filepath.Join(dir, "gapool")
		build := exec.Command("go", "build", "-o", gapoolBinary, "../cmd/gapool")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build ../cmd/gapool: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// stack is a folder with a configuration, and what it makes on the engine.
type stack struct {
	t    testing.TB
	name string // of the stack; begins all names on the engine
	dir  string
	env  []string // beside the test's own
	with []string // a command that runs gapool
	mute bool     // do not log each command
}

// newStack returns an empty stack of a name that nobody else has. What it made
// is removed when the test ends, however it ends.
func newStack(t testing.TB) *stack {
	t.Helper()
	s := &stack{t: t, name: fmt.Sprintf("e2e-%06x", rand.N(1<<24)), dir: t.TempDir()}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.logs())
		}
		for _, kind := range []string{"container", "network", "volume"} {
			if left := s.left(kind); len(left) > 0 {
				args := []string{kind, "rm"}
				if kind == "container" {
					args = append(args, "--force", "--volumes")
				}
				if out, err := docker(append(args, left...)...); err != nil {
					t.Errorf("cleaning up: %v\n%s", err, out)
				}
			}
		}
		if image := s.docker("image", "ls", "--quiet", "--filter", "reference="+s.name); image != "" {
			s.docker("image", "rm", s.name+":latest")
		}
	})
	return s
}

// write puts a file into the configuration's folder. NAME stands for the
// stack's name.
func (s *stack) write(file, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, file), []byte(strings.ReplaceAll(text, "NAME", s.name)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// result is how a command ended.
type result struct {
	command        string
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("%s: exit code %d\n%s%s", r.command, r.code, r.stdout, r.stderr)
}

// commandTimeout is when a command is taken to hang.
const commandTimeout = 8 * time.Minute

// run runs gapool in the stack's folder.
func (s *stack) run(args ...string) result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	line := slices.Concat(s.with, []string{gapoolBinary}, args)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), s.env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	r := result{command: "gapool " + strings.Join(args, " "), stdout: stdout.String(), stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		s.t.Fatalf("%v\nit was stopped after %v", r, commandTimeout)
	case errors.As(err, &exit):
		r.code = exit.ExitCode()
	case err != nil:
		s.t.Fatal(err)
	}
	if s.mute {
		return r
	}
	s.t.Logf("%s: exit code %d after %v", r.command, r.code, time.Since(began).Round(100*time.Millisecond))
	return r
}

// must runs gapool and wants it to end with a code.
func (s *stack) must(code int, args ...string) result {
	s.t.Helper()
	r := s.run(args...)
	if r.code != code {
		s.t.Fatalf("%v\nwant exit code %d", r, code)
	}
	return r
}

func (s *stack) apply(flags ...string) result {
	s.t.Helper()
	return s.must(0, append([]string{"apply", "-auto-approve"}, flags...)...)
}

// settled wants the plan to be empty.
func (s *stack) settled(flags ...string) {
	s.t.Helper()
	r := s.must(0, append([]string{"plan", "-detailed-exitcode"}, flags...)...)
	wants(s.t, r.stdout, "No changes.")
}

// drifted wants the plan to name each of the addresses, and to have something
// to do.
func (s *stack) drifted(addresses ...string) {
	s.t.Helper()
	r := s.must(2, "plan", "-detailed-exitcode")
	wants(s.t, r.stdout, addresses...)
}

func wants(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Fatalf("%q is not in:\n%s", part, text)
		}
	}
}

// left returns what the engine has of the stack, by its label.
func (s *stack) left(kind string) []string {
	s.t.Helper()
	args := []string{kind, "ls", "--quiet", "--filter", "label=gapool.stack=" + s.name}
	if kind == "container" {
		args = append(args, "--all")
	}
	out, err := docker(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Fields(out)
}

// nothingLeft wants the engine to have no object of the stack, whether it
// carries our labels or only a name of ours.
func (s *stack) nothingLeft() {
	s.t.Helper()
	for _, kind := range []string{"container", "network", "volume"} {
		if left := s.left(kind); len(left) > 0 {
			s.t.Errorf("left of the stack: %s %s", kind, strings.Join(left, " "))
		}
		args := []string{kind, "ls", "--quiet", "--filter", "name=" + s.name}
		if kind == "container" {
			args = append(args, "--all")
		}
		if named := s.docker(args...); named != "" {
			s.t.Errorf("left by name: %s %s", kind, named)
		}
	}
	if images := s.docker("image", "ls", "--quiet", "--filter", "reference="+s.name); images != "" {
		s.t.Errorf("left: image %s", images)
	}
}

// files are the bytes of all that gapool wrote beside the configuration.
func (s *stack) files() string {
	s.t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(filepath.Join(s.dir, ".gapool"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s:\n%s\n", path, text)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return b.String()
}

// withoutState does something while the state is lost, and brings it back.
func (s *stack) withoutState(do func()) {
	s.t.Helper()
	kept := filepath.Join(s.t.TempDir(), "kept")
	if err := os.Rename(filepath.Join(s.dir, ".gapool"), kept); err != nil {
		s.t.Fatal(err)
	}
	do()
	if err := os.RemoveAll(filepath.Join(s.dir, ".gapool")); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(kept, filepath.Join(s.dir, ".gapool")); err != nil {
		s.t.Fatal(err)
	}
}

// logs are the last lines of the stack's containers.
func (s *stack) logs() string {
	var b strings.Builder
	for _, id := range s.left("container") {
		out, _ := docker("container", "logs", "--tail", "15", id)
		fmt.Fprintf(&b, "container %s:\n%s\n", id, out)
	}
	return b.String()
}

// docker runs the docker command and returns what it prints.
func (s *stack) docker(args ...string) string {
	s.t.Helper()
	out, err := docker(args...)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(out)
}

func docker(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("docker %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// inspect returns a field of an object, by a template of the docker command.
func (s *stack) inspect(kind, name, field string) string {
	s.t.Helper()
	return s.docker(kind, "inspect", "--format", "{{"+field+"}}", name)
}

// tinyImage is an image of 2 MB with busybox in it.
func tinyImage(t testing.TB) string {
	t.Helper()
	return script(t, "base-image", "--tiny")
}

// script runs one of the project's scripts and returns what it prints.
func script(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join("..", "scripts", name), args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("scripts/%s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}
