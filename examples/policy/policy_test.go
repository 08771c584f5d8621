// Package policy_test runs the policy over real plans. It is a module of its
// own: Open Policy Agent requires more than all of gapool, and would raise what
// gapool itself is built with.
package policy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/rego"
)

// stack is a folder with a configuration, on the engine that docker would use.
type stack struct {
	*testing.T
	dir, name, gapool string
}

func newStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{T: t, dir: t.TempDir()}
	s.gapool = filepath.Join(s.dir, "gapool")
	build := exec.Command("go", "build", "-o", s.gapool, "./cmd/gapool")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.name = fmt.Sprintf("policy-%d", os.Getpid())
	return s
}

func (s *stack) configure(text string) {
	s.Helper()
	text = fmt.Sprintf("gapool {\n  stack = %q\n}\n\n", s.name) + text
	if err := os.WriteFile(filepath.Join(s.dir, "main.gapool.hcl"), []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

func (s *stack) run(args ...string) string {
	s.Helper()
	var out, said bytes.Buffer
	cmd := exec.Command(s.gapool, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, &out, &said
	cmd.Env = append(os.Environ(), "GAPOOL_VAR_name="+s.name, "GAPOOL_VAR_mode=host", "GAPOOL_VAR_address=0.0.0.0")
	if err := cmd.Run(); err != nil {
		s.Fatalf("gapool %s: %v\n%s%s", strings.Join(args, " "), err, &out, &said)
	}
	return out.String()
}

// judge returns what the policy has against a document.
func judge(t *testing.T, document string) []string {
	t.Helper()
	var input any
	if err := json.Unmarshal([]byte(document), &input); err != nil {
		t.Fatal(err)
	}
	results, err := rego.New(rego.Query("data.gapool.deny"), rego.Load([]string{"docker.rego"}, nil), rego.Input(input)).Eval(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, sentence := range results[0].Expressions[0].Value.([]any) {
		out = append(out, sentence.(string))
	}
	slices.Sort(out)
	return out
}

func (s *stack) judgePlan(flags ...string) []string {
	s.Helper()
	s.run(append([]string{"plan", "-out=plan.bin"}, flags...)...)
	return judge(s.T, s.run("show", "-json", "plan.bin"))
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPolicyIsFormatted(t *testing.T) {
	text, err := os.ReadFile("docker.rego")
	if err != nil {
		t.Fatal(err)
	}
	want, err := format.Source("docker.rego", text)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("opa fmt writes it otherwise:\n%s", want)
	}
}

func TestPolicy(t *testing.T) {
	s := newStack(t)
	s.configure("variable \"name\" {}\n\nresource \"docker_volume\" \"data\" {\n  name = \"${var.name}-data\"\n}\n")
	t.Cleanup(func() { s.run("destroy", "-auto-approve", "-allow-data-loss=docker_volume.data") })
	s.run("apply", "-auto-approve")

	s.configure(read(t, "good.gapool.hcl"))
	if got := s.judgePlan(); got != nil {
		t.Errorf("it has something against the good plan:\n%s", strings.Join(got, "\n"))
	}
	if got := s.judgePlan("-target=docker_network.lab"); !slices.Equal(got, []string{"the plan leaves out a part of the configuration (-target)"}) {
		t.Errorf("of a part of it it says:\n%s", strings.Join(got, "\n"))
	}
	for _, document := range []string{s.run("show", "-json"), s.run("output", "-json"), `{}`, `[]`} {
		if got := judge(t, document); len(got) != 1 || !strings.HasPrefix(got[0], "this is no plan") {
			t.Errorf("of what is no plan it says %q", got)
		}
	}

	s.configure(read(t, "bad.gapool.hcl"))
	want := strings.Split(strings.TrimSpace(strings.ReplaceAll(read(t, "bad.denied"), "policy-PID", s.name)), "\n")
	if got := s.judgePlan(); !slices.Equal(got, want) {
		t.Errorf("of the bad plan it says:\n%s", strings.Join(got, "\n"))
	}
}
