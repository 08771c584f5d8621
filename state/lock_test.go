package state

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// play starts the test binary in a role and returns when it has said a word.
func play(t *testing.T, role string, args ...string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	stdin := got[io.WriteCloser](t)(cmd.StdinPipe())
	stdout := got[io.ReadCloser](t)(cmd.StdoutPipe())
	cmd.Stderr = os.Stderr
	ok(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(line)
}

func TestTwoProcesses(t *testing.T) {
	s := newStore(t, nil)
	other, word := play(t, roleLock, s.dir, s.guardDir)
	if word != "locked" {
		t.Fatal(word)
	}
	_, err := s.Lock(t.Context(), "plan", 0)
	mustFail(t, err, `stack "lab"`, "gapool apply", "since", "-lock-timeout")
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Holder.PID != other.Process.Pid || locked.Holder.Since.IsZero() {
		t.Errorf("the error is %#v, want the holder %d", err, other.Process.Pid)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Lock(ctx, "plan", time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting was cancelled, and the error is %v", err)
	}
	if _, word := play(t, roleLock, s.dir, s.guardDir); !strings.HasPrefix(word, "error:") {
		t.Errorf("a second process says %q", word)
	}

	// A second checkout of the stack has a lock of its own and shares the guard.
	clone := Open(s.dir+"-clone", s.guardDir, s.stack, s.workspace, Options{})
	lock := got[*Lock](t)(clone.Lock(t.Context(), "apply", 0))
	mustFail(t, lock.Guard(t.Context(), "engine-1"), "on the engine engine-1", "gapool apply")
	ok(t, lock.Guard(t.Context(), "engine-2"))
	lock.Release()

	// A killed process holds nothing.
	ok(t, other.Process.Kill())
	lock = got[*Lock](t)(s.Lock(t.Context(), "plan", time.Minute))
	defer lock.Release()
	ok(t, lock.Guard(t.Context(), "engine-1"))
	ok(t, lock.Guard(t.Context(), "engine-1"))
	ok(t, lock.Verify())
}

func TestWaitingForTheLock(t *testing.T) {
	s := newStore(t, nil)
	first := got[*Lock](t)(s.Lock(t.Context(), "apply", 0))
	type result struct {
		lock *Lock
		err  error
	}
	done := make(chan result)
	go func() {
		l, err := reopen(s).Lock(context.Background(), "plan", time.Hour)
		done <- result{l, err}
	}()
	select {
	case r := <-done:
		t.Fatalf("two have the lock (%v)", r.err)
	case <-time.After(3 * pollEvery):
	}
	first.Release()
	r := <-done
	ok(t, r.err)
	ok(t, r.lock.Verify())
	r.lock.Release()
}

func TestChildrenDoNotKeepTheLock(t *testing.T) {
	s := newStore(t, nil)
	lock := got[*Lock](t)(s.Lock(t.Context(), "apply", 0))
	flags, err := unix.FcntlInt(lock.held[0].file.Fd(), unix.F_GETFD, 0)
	ok(t, err)
	if flags&unix.FD_CLOEXEC == 0 {
		t.Error("the lock file is not close-on-exec")
	}
	if _, word := play(t, roleIdle); word != "idle" {
		t.Fatal(word)
	}
	lock.Release()
	again := got[*Lock](t)(s.Lock(t.Context(), "apply", 0))
	again.Release()
}

func TestALostLockStopsTheJournal(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, s *Store, l *Lock){
		"deleted": func(t *testing.T, s *Store, _ *Lock) { ok(t, os.Remove(s.path(lockName))) },
		"replaced": func(t *testing.T, s *Store, _ *Lock) {
			ok(t, os.Remove(s.path(lockName)))
			other := got[*Lock](t)(reopen(s).Lock(t.Context(), "apply", 0))
			t.Cleanup(other.Release)
		},
		"guard deleted": func(t *testing.T, s *Store, l *Lock) { ok(t, os.Remove(l.held[1].path)) },
		"released":      func(_ *testing.T, _ *Store, l *Lock) { l.Release() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, nil)
			j, _, lock := journal(t, s)
			ok(t, lock.Guard(t.Context(), "engine-1"))
			a := addr(t, "docker_container.a")
			n := got[uint64](t)(j.Began(Began{Addr: a, Action: "create", Kind: a.Type}))
			was := files(t, s.dir)[journalName]
			lose(t, s, lock)
			_, err := j.Began(Began{Addr: a, Action: "create", Kind: a.Type})
			mustFail(t, err, "lock")
			mustFail(t, j.Outcome(n, a, container(a, "1")), "lock")
			mustFail(t, j.Fold(), "lock")
			if now := files(t, s.dir)[journalName]; now != was {
				t.Errorf("it wrote:\n%s", strings.TrimPrefix(now, was))
			}
		})
	}
}
