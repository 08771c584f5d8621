package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/mem"
)

const chain = `
resource "docker_network" "first" {
  name = "first"
}

resource "docker_container" "second" {
  name  = "second"
  image = "nginx"
  networks_advanced {
    name = docker_network.first.name
  }
}
`

// held is an apply whose first create waits at a gate.
type held struct {
	args    []string
	world   *mem.World
	reached chan struct{} // closed when the create has begun
	gate    chan struct{} // closing it lets the create go on

	stdout bytes.Buffer
	stderr *bufio.Reader
	code   chan int
}

func hold(t *testing.T) *held {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.gapool.hcl"), []byte(chain), 0o600); err != nil {
		t.Fatal(err)
	}
	h := &held{
		args: []string{"-chdir=" + dir, "apply", "-auto-approve", "-parallelism=1"}, world: world(filepath.Join(dir, ".world.json")),
		reached: make(chan struct{}), gate: make(chan struct{}), code: make(chan int, 1),
	}
	var once sync.Once
	h.world.SetFault(func(c mem.Call) error {
		if c.Op == mem.Create && c.When == mem.Before && c.Name == "first" {
			once.Do(func() { close(h.reached) })
			<-h.gate
		}
		return nil
	})
	r, w := io.Pipe()
	h.stderr = bufio.NewReader(r)
	go func() {
		h.code <- h.run(&h.stdout, w, h.args...)
		_ = w.Close() // a pipe's never fails
	}()
	<-h.reached
	return h
}

func (h *held) run(stdout, stderr io.Writer, args ...string) int {
	dir := strings.TrimPrefix(h.args[0], "-chdir=")
	return Main(args, strings.NewReader(""), stdout, stderr, []string{"XDG_STATE_HOME=" + dir}, []providers.Provider{h.world})
}

func interrupt(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		t.Fatal(err)
	}
}

// bothSignals runs a test with what Ctrl-C sends and with what kill and a
// machine that shuts down send.
func bothSignals(t *testing.T, test func(*testing.T, syscall.Signal)) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) { test(t, sig) })
	}
}

func (h *held) names() string {
	var names []string
	for _, o := range h.world.Objects() {
		names = append(names, o.Name)
	}
	return strings.Join(names, " ")
}

func TestFirstInterruptFinishesWhatIsInFlight(t *testing.T) {
	bothSignals(t, finishesWhatIsInFlight)
}

func finishesWhatIsInFlight(t *testing.T, sig syscall.Signal) {
	h := hold(t)
	interrupt(t, sig)
	if line, err := h.stderr.ReadString('\n'); err != nil || !strings.HasPrefix(line, "Interrupted: finishing what is in flight") {
		t.Fatalf("said %q, %v", line, err)
	}
	close(h.gate)
	rest, err := io.ReadAll(h.stderr)
	if err != nil {
		t.Fatal(err)
	}
	if code := <-h.code; code != 1 {
		t.Errorf("exit code %d", code)
	}
	if got := h.names(); got != "first" {
		t.Errorf("there is %q, not the first alone; stdout:\n%s", got, &h.stdout)
	}
	if !strings.Contains(string(rest), "Error: interrupted: 1 step was not started;") {
		t.Errorf("the errors do not say how many steps are left:\n%s", rest)
	}
	if !strings.Contains(h.stdout.String(), "docker_network.first: Creation complete") {
		t.Errorf("the first is not told to be complete:\n%s", &h.stdout)
	}
	h.goesOn(t)
}

func TestSecondInterruptStopsAtOnceAndLosesNothing(t *testing.T) {
	bothSignals(t, stopsAtOnceAndLosesNothing)
}

func stopsAtOnceAndLosesNothing(t *testing.T, sig syscall.Signal) {
	h := hold(t)
	interrupt(t, sig)
	if _, err := h.stderr.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	interrupt(t, sig)
	close(h.gate)
	if _, err := io.Copy(io.Discard, h.stderr); err != nil {
		t.Fatal(err)
	}
	if code := <-h.code; code != 1 {
		t.Errorf("exit code %d", code)
	}
	h.goesOn(t)
}

// goesOn checks that the next apply comes to the wanted state and that nothing
// is there twice.
func (h *held) goesOn(t *testing.T) {
	t.Helper()
	h.world.SetFault(nil)
	var out bytes.Buffer
	if code := h.run(&out, &out, h.args...); code != 0 {
		t.Fatalf("the next apply: exit code %d\n%s", code, &out)
	}
	if got := h.names(); got != "second first" && got != "first second" {
		t.Errorf("there is %q", got)
	}
	out.Reset()
	if code := h.run(&out, &out, h.args[0], "plan", "-detailed-exitcode"); code != 0 {
		t.Errorf("the plan after it: exit code %d\n%s", code, &out)
	}
}

func TestInterruptAtThePromptChangesNothing(t *testing.T) {
	s := &session{cli: &cli{stdin: neverRead{}}}
	ctx, stop, release := s.interrupts(t.Context())
	defer release()
	quiet, end := calm(ctx, stop)
	defer end()
	interrupt(t, syscall.SIGINT)
	if _, err := s.read(quiet); !errors.Is(err, errInterrupted) {
		t.Errorf("got %v", err)
	}
}

// neverRead is a person who does not answer.
type neverRead struct{}

func (neverRead) Read([]byte) (int, error) { select {} }
