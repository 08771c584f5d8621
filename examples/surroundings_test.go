//go:build engine

package examples_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fleet is a stack that any engine can have, one without networks too.
const fleet = `
gapool {
  stack = "NAME"
}
variable "image" {}
resource "docker_volume" "data" {
  name = "NAME-data"
}
resource "docker_container" "fleet" {
  count        = 6
  name         = "NAME-${count.index}"
  image        = var.image
  command      = ["sleep", "1000000"]
  init         = true
  network_mode = "none"
  volumes {
    volume_name    = docker_volume.data.name
    container_path = "/data"
  }
}
`

// fleetNames are the names of the fleet's containers.
func (s *stack) fleetNames() []string {
	var names []string
	for i := range 6 {
		names = append(names, fmt.Sprintf("%s-%d", s.name, i))
	}
	return names
}

// goesOn wants the next plan to know every object, the next apply to come to an
// end, and the fleet to be there once.
func (s *stack) goesOn() {
	s.t.Helper()
	made := len(s.left("container"))
	volumes := len(s.left("volume"))
	plan := s.run("plan", "-detailed-exitcode")
	if plan.code != 0 && plan.code != 2 {
		s.t.Fatalf("the next plan: %v", plan)
	}
	// Nothing that is there is made once more: at most it is made anew.
	for _, kind := range []struct {
		address    string
		there, all int
	}{{"docker_container.fleet", made, 6}, {"docker_volume.data", volumes, 1}} {
		added := len(regexp.MustCompile(regexp.QuoteMeta(kind.address)+`\S* will be created`).FindAllString(plan.stdout, -1))
		if added > kind.all-kind.there {
			s.t.Errorf("of %s the engine has %d of %d, and the plan makes %d more:\n%s", kind.address, kind.there, kind.all, added, plan.stdout)
		}
	}
	s.apply()
	s.settled()
	for _, filter := range []string{"label=gapool.stack=" + s.name, "name=" + s.name} {
		got := strings.Fields(s.docker("container", "ls", "--all", "--filter", filter, "--format", "{{.Names}}"))
		slices.Sort(got)
		if !slices.Equal(got, s.fleetNames()) {
			s.t.Errorf("by %s there are %v, want %v", filter, got, s.fleetNames())
		}
		if got := s.docker("volume", "ls", "--filter", filter, "--format", "{{.Name}}"); got != s.name+"-data" {
			s.t.Errorf("by %s there are the volumes %v", filter, got)
		}
	}
}

// ends destroys the fleet.
func (s *stack) ends() {
	s.t.Helper()
	s.must(0, "destroy", "-auto-approve", "-allow-data-loss=docker_volume.data")
	s.nothingLeft()
}

// newFleet is a stack of six containers, and who watches it at the engine.
func newFleet(t *testing.T) (*stack, *witness) {
	t.Helper()
	w := newWitness(t, script(t, "engine", "--host"))
	s := newStack(t)
	s.env = []string{"DOCKER_HOST=" + w.host, "GAPOOL_VAR_image=" + tinyImage(t)}
	s.write("main.gapool.hcl", fleet)
	return s, w
}

// The folder of the state becomes read-only while an apply goes on, as by a
// chmod of someone who tidies up. The journal is open and takes what happens.
func TestStateFolderBecomesReadOnly(t *testing.T) {
	s, w := newFleet(t)
	if os.Geteuid() == 0 {
		// Permissions do not bind root with this capability.
		s.with = []string{"setpriv", "--bounding-set=-dac_override"}
	}
	folder := filepath.Join(s.dir, ".gapool", "default")
	mode := func(m os.FileMode) {
		if err := os.Chmod(folder, m); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { mode(0o700) })
	w.at(3, "/containers/create", func() { mode(0o500) })
	r := s.must(1, "apply", "-auto-approve")
	wants(t, r.stderr, folder, "what was done is in the journal", "make that folder writable")
	if n := strings.Count(r.stderr, "permission denied"); n != 1 {
		t.Errorf("it is said %d times:\n%s", n, r.stderr)
	}

	t.Log("a plan needs nothing written")
	s.settled()
	mode(0o700)
	s.goesOn()
	s.ends()
}

// mount puts a file system of its own under the state. It takes root, as
// bringing up an engine does.
func (s *stack) mount(size string) (folder string) {
	s.t.Helper()
	folder = filepath.Join(s.dir, "disk")
	if err := os.Mkdir(folder, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size="+size); err != nil {
		s.t.Fatalf("mounting a tmpfs on %s: %v; run this test as root", folder, err)
	}
	s.t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			s.t.Error(err)
		}
	})
	s.env = append(s.env, "GAPOOL_STATE_DIR="+folder)
	return folder
}

// The disk of the state is found mounted read-only after an apply that was
// killed, as after a power cut.
func TestDiskOfTheStateIsReadOnly(t *testing.T) {
	s, w := newFleet(t)
	folder := s.mount("1m")
	s.killedAt(w, 4, "/containers/create", "apply", "-auto-approve")
	remount := func(flags uintptr) {
		if err := syscall.Mount("tmpfs", folder, "tmpfs", syscall.MS_REMOUNT|flags, "size=1m"); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	w.seen()
	for _, verb := range [][]string{{"plan"}, {"apply", "-auto-approve"}} {
		r := s.must(1, verb...)
		wants(t, r.stderr, "read-only file system", folder, "make that folder writable")
	}
	if changes := w.seen(); len(changes) > 0 {
		t.Errorf("what could not be written down was done all the same: %v", changes)
	}
	remount(0)
	s.goesOn()
	s.ends()
}

// The disk is full while an apply goes on.
func TestDiskIsFull(t *testing.T) {
	s, w := newFleet(t)
	folder := s.mount("64k")
	filler := filepath.Join(folder, "filler")
	empty := func() {
		t.Helper()
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
	const advice = "no space left on device; make room on that disk"

	t.Log("before the first run")
	fill(t, filler)
	wants(t, s.must(1, "plan").stderr, advice)
	empty()
	s.must(2, "plan", "-detailed-exitcode")
	if text, err := os.ReadFile(filepath.Join(folder, "default", ".gitignore")); err != nil || string(text) != "*\n" {
		t.Errorf(".gitignore is %q, %v", text, err)
	}
	// What the lock says of its holder has no room either; it is for messages only.
	if err := os.Remove(filepath.Join(folder, "default", "lock")); err != nil {
		t.Fatal(err)
	}
	fill(t, filler)
	s.must(2, "plan", "-detailed-exitcode")
	empty()

	t.Log("in the middle")
	w.at(3, "/containers/create", func() { fill(t, filler) })
	r := s.must(1, "apply", "-auto-approve", "-parallelism=2")
	wants(t, r.stderr, ": create: cannot write the journal: ", advice)
	wants(t, r.stdout, "Another apply goes on from here.")

	t.Log("nothing is done that cannot be written down")
	w.seen()
	s.must(2, "plan", "-detailed-exitcode")
	wants(t, s.must(1, "apply", "-auto-approve").stderr, advice)
	if changes := w.seen(); len(changes) > 0 {
		t.Errorf("what could not be written down was done all the same: %v", changes)
	}
	empty()
	s.goesOn()
	s.ends()
}

// fill writes a file until its disk is full.
func fill(t *testing.T, path string) {
	f, err := os.Create(path)
	if err != nil {
		t.Error(err)
		return
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// The connection to the engine is cut at some moment of an apply and of a
// destroy, and refused for a while.
func TestConnectionIsCut(t *testing.T) {
	s, w := newFleet(t)
	for _, cut := range []struct{ verb, path string }{
		{"apply", "/containers/create"}, {"apply", "/start"}, {"destroy", "/stop"},
	} {
		n, late := 1+rand.N(4), rand.N(300*time.Millisecond)
		flags := []string{cut.verb, "-auto-approve", "-parallelism=2"}
		if cut.verb == "destroy" {
			flags = append(flags, "-allow-data-loss=docker_volume.data")
			late = 0 // by then it may be over
		}
		t.Logf("cut %v after the %d. %s of an %s", late, n, cut.path, cut.verb)
		w.at(n, cut.path, func() { time.AfterFunc(late, w.cut) })
		r := s.must(1, flags...)
		wants(t, r.stderr, "docker_container.fleet[")
		if !strings.Contains(r.stderr, "the connection to the engine broke off") && !strings.Contains(r.stderr, "Cannot connect to the Docker daemon at "+w.host) {
			t.Errorf("it does not say what went wrong:\n%s", r.stderr)
		}
		wants(t, r.stdout, "Another "+cut.verb+" goes on from here.")
		r = s.must(1, "plan")
		wants(t, r.stderr, "no Docker engine at "+w.host, "nothing answers there", "Start it")
		w.mend()
		s.goesOn()
		if cut.path == "/containers/create" {
			s.ends()
		}
	}
	s.ends()
}

// killedAt runs gapool and kills it before the nth request whose path ends so.
func (s *stack) killedAt(w *witness, n int, path string, args ...string) {
	s.t.Helper()
	cmd := exec.Command(gapoolBinary, args...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), s.env...)
	w.at(n, path, func() {
		if err := cmd.Process.Kill(); err != nil {
			s.t.Error(err)
		}
	})
	if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		s.t.Fatalf("gapool %v was not killed: %v\n%s", args, err, out)
	}
}

// privateEngine is a Docker Engine of this test's own, which it may stop and
// kill. It has no networks, and a network namespace to have none in: a dockerd
// with --bridge=none removes the interface docker0 where it runs, and the one of
// the machine belongs to another engine.
type privateEngine struct {
	t    *testing.T
	dir  string
	host string
	cmd  *exec.Cmd // nil while it is stopped
}

func newPrivateEngine(t *testing.T) *privateEngine {
	t.Helper()
	dir, err := os.MkdirTemp("", "gapool-engine")
	if err != nil {
		t.Fatal(err)
	}
	e := &privateEngine{t: t, dir: dir, host: "unix://" + filepath.Join(dir, "docker.sock")}
	t.Cleanup(e.remove)
	if err := os.WriteFile(e.path("daemon.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.start()
	image := e.path("image.tar")
	for _, args := range [][]string{{"save", "-o", image, tinyImage(t)}, {"--host", e.host, "load", "-i", image}} {
		if out, err := docker(args...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return e
}

func (e *privateEngine) path(name string) string { return filepath.Join(e.dir, name) }

// start starts the engine and returns when it answers.
func (e *privateEngine) start() {
	e.t.Helper()
	e.forgetContainerd()
	log, err := os.OpenFile(e.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	e.cmd = exec.Command("dockerd", "--config-file", e.path("daemon.json"), "--host", e.host,
		"--data-root", e.path("data"), "--exec-root", e.path("exec"), "--pidfile", e.path("pid"),
		"--bridge=none", "--iptables=false", "--ip-masq=false", "--shutdown-timeout=2",
		"--containerd-namespace", filepath.Base(e.dir), "--containerd-plugins-namespace", filepath.Base(e.dir)+"-plugins")
	e.cmd.Stdout, e.cmd.Stderr = log, log
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := e.cmd.Start(); err != nil {
		e.t.Fatalf("starting an engine: %v; scripts/engine installs one", err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		_, err := docker("--host", e.host, "version")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(e.path("log"))
			e.t.Fatalf("the engine does not answer: %v\n%s", err, text[max(0, len(text)-2000):])
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// forgetContainerd waits for the end of the containerd of an engine that was
// killed, which dies with it, and removes its pid file: where no one has waited
// for the process yet, the next engine would take it for alive.
func (e *privateEngine) forgetContainerd() {
	e.t.Helper()
	file := e.path("exec/containerd/containerd.pid")
	pid, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		e.t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		stat, err := os.ReadFile("/proc/" + string(bytes.TrimSpace(pid)) + "/stat")
		if err != nil || bytes.Contains(stat, []byte("(containerd) Z")) {
			break
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("containerd (process %s) outlives its engine", pid)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := os.Remove(file); err != nil {
		e.t.Fatal(err)
	}
}

// end ends the engine by a signal. It may be called from a request.
func (e *privateEngine) end(sig syscall.Signal) {
	if err := e.cmd.Process.Signal(sig); err != nil {
		e.t.Error(err)
	}
}

// wait returns when the engine has ended.
func (e *privateEngine) wait() {
	_ = e.cmd.Wait() // its exit code says how it was ended
	e.cmd = nil
}

// remove ends the engine and its containers, which outlive one that was killed.
func (e *privateEngine) remove() {
	if e.cmd == nil {
		e.start()
	}
	e.end(syscall.SIGTERM)
	e.wait()
	e.endShims()
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		e.t.Error(err)
	}
	lines := slices.Collect(strings.Lines(string(mounts)))
	for _, line := range slices.Backward(lines) { // the inner ones first
		if at := strings.Fields(line)[1]; strings.HasPrefix(at, e.dir+"/") {
			if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
				e.t.Errorf("unmounting %s: %v", at, err)
			}
		}
	}
	if err := os.RemoveAll(e.dir); err != nil {
		e.t.Error(err)
	}
}

// endShims ends what an engine that was killed left beside its containers: they
// carry its namespace, which no other engine has.
func (e *privateEngine) endShims() {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		e.t.Error(err)
	}
	mine := "\x00-namespace\x00" + filepath.Base(e.dir) + "\x00"
	for _, path := range lines {
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), mine) {
			continue // another's, or over by now
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			e.t.Error(err)
		}
	}
}

// The engine is stopped, or killed, while an apply or a destroy goes on, and
// started again.
func TestEngineIsRestarted(t *testing.T) {
	e := newPrivateEngine(t)
	w := newWitness(t, e.host)
	t.Setenv("DOCKER_HOST", w.host) // for the docker command too
	s := newStack(t)
	s.env = []string{"GAPOOL_VAR_image=" + tinyImage(t)}
	s.write("main.gapool.hcl", fleet)
	for _, end := range []struct {
		sig        syscall.Signal
		verb, path string
	}{
		{syscall.SIGTERM, "apply", "/containers/create"}, {syscall.SIGKILL, "apply", "/containers/create"},
		{syscall.SIGKILL, "apply", "/start"}, {syscall.SIGKILL, "destroy", "/stop"},
	} {
		flags := []string{end.verb, "-auto-approve", "-parallelism=2"}
		n, late := 1+rand.N(4), rand.N(300*time.Millisecond)
		if end.verb == "destroy" {
			flags = append(flags, "-allow-data-loss=docker_volume.data")
			late = 0 // by then it may be over
			s.apply()
		}
		t.Logf("%s %v after the %d. %s of the %s", end.sig, late, n, end.path, end.verb)
		w.at(n, end.path, func() { time.AfterFunc(late, func() { e.end(end.sig) }) })
		r := s.must(1, flags...)
		wants(t, r.stderr, "docker_container.fleet[")
		wants(t, r.stdout, "Another "+end.verb+" goes on from here.")
		e.wait()
		r = s.must(1, "plan")
		wants(t, r.stderr, "no Docker engine at "+w.host)
		e.start()
		s.goesOn()
		s.ends()
	}
}
