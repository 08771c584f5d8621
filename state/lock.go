package state

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pollEvery is how often a held lock is tried again.
const pollEvery = 100 * time.Millisecond

// Holder is the text of a lock file: who took it last. It decides nothing.
type Holder struct {
	PID   int       `json:"pid"`
	Host  string    `json:"host"`
	Since time.Time `json:"since"`
	Verb  string    `json:"verb"` // "apply", "plan"
}

// LockedError says that another process is at work on the same state.
type LockedError struct {
	Path   string
	Holder Holder // zero where the file does not say
	what   string
}

func (e *LockedError) Error() string {
	who := "another process"
	if h := e.Holder; h.PID != 0 {
		who = fmt.Sprintf("gapool %s (process %d on %s, since %s)", h.Verb, h.PID, h.Host, h.Since.Format(time.RFC3339))
	}
	return fmt.Sprintf("%s is locked by %s; wait until it ends, or try again with -lock-timeout=5m (the lock is %s)", e.what, who, e.Path)
}

// Lock is the right to read and write a Store that nobody else has meanwhile.
// The kernel gives it up when the process dies, however it dies.
type Lock struct {
	store   *Store
	holder  Holder
	timeout time.Duration

	mu   sync.Mutex
	held []heldFile
}

type heldFile struct {
	file *os.File
	info fs.FileInfo
	path string
}

// Lock takes the store's lock for the verb, waiting for it as long as timeout
// says, 0 for not at all. It makes the folder where there is none. The error is
// a *LockedError where somebody else has it, and ctx's where that ended first.
func (s *Store) Lock(ctx context.Context, verb string, timeout time.Duration) (*Lock, error) {
	if err := s.fault("before lock"); err != nil {
		return nil, err
	}
	if err := s.prepare(); err != nil {
		return nil, advise(err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	l := &Lock{
		store:   s,
		holder:  Holder{PID: os.Getpid(), Host: host, Since: time.Now().UTC().Truncate(time.Second), Verb: verb},
		timeout: timeout,
	}
	what := fmt.Sprintf("the state of stack %q, workspace %q,", s.stack, s.workspace)
	if err := l.take(ctx, s.path(lockName), what); err != nil {
		return nil, err
	}
	return l, nil
}

// Guard takes, in the folder that all checkouts of one user share, the lock of
// the stack and workspace on one engine, waiting as long as Lock would. It is
// for an engine that has become known after Lock; a second call for the same
// engine does nothing.
func (l *Lock) Guard(ctx context.Context, engineID string) error {
	s := l.store
	if err := s.fault("before lock"); err != nil {
		return err
	}
	if err := makeDir(s.guardDir); err != nil {
		return fmt.Errorf("cannot make the folder for locks that your checkouts share: %w", err)
	}
	name := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", engineID, s.stack, s.workspace))
	what := fmt.Sprintf("stack %q, workspace %q, on the engine %s", s.stack, s.workspace, engineID)
	return l.take(ctx, filepath.Join(s.guardDir, fmt.Sprintf("%x.lock", name[:16])), what)
}

func (l *Lock) take(ctx context.Context, path, what string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.held {
		if h.path == path {
			return nil
		}
	}
	deadline := time.Now().Add(l.timeout)
	for {
		h, err := tryLock(path)
		if err != nil {
			return fmt.Errorf("cannot lock %s: %w", strings.TrimSuffix(what, ","), advise(err))
		}
		if h != nil {
			_ = l.sign(h.file) // for messages only: on a full disk a plan can still be made
			l.held = append(l.held, *h)
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return &LockedError{Path: path, Holder: readHolder(path), what: what}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up waiting: %w", errors.Join(ctx.Err(), &LockedError{Path: path, Holder: readHolder(path), what: what}))
		case <-time.After(min(left, pollEvery)):
		}
	}
}

// tryLock returns nil where another process has the lock. Package os opens all
// files close-on-exec, so no child keeps it.
func tryLock(path string) (*heldFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, f.Close()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("flock %s: %w", path, err), f.Close())
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	h := &heldFile{f, info, path}
	// The file may have been deleted between open and flock; then it is nobody's.
	if h.verify() != nil {
		return nil, f.Close()
	}
	return h, nil
}

func (h heldFile) verify() error {
	now, err := os.Stat(h.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot look at the lock file: %w", err)
	}
	if err != nil || !os.SameFile(h.info, now) {
		return fmt.Errorf("the lock file %s was deleted or replaced while this run held it, so another run may be at work; nothing more is changed: when no other runs, plan again", h.path)
	}
	return nil
}

func (l *Lock) sign(f *os.File) error {
	text, err := json.Marshal(l.holder)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(text, '\n'), 0)
	return err
}

// readHolder returns the zero Holder where the text does not say.
func readHolder(path string) Holder {
	f, err := os.Open(path)
	if err != nil {
		return Holder{}
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return Holder{}
	}
	var h Holder
	if json.Unmarshal(text, &h) != nil {
		return Holder{}
	}
	return h
}

// Verify says whether the lock files that were taken are still those that
// others would take.
func (l *Lock) Verify() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.held) == 0 {
		return errors.New("the lock was released")
	}
	for _, h := range l.held {
		if err := h.verify(); err != nil {
			return err
		}
	}
	return nil
}

// Release gives the lock up. A second call does nothing. The files stay: one
// that is deleted could be held by two.
func (l *Lock) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.held {
		_ = h.file.Close() // nothing was written that could be lost
	}
	l.held = nil
}
