package state

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Names of the files in a Store's folder.
const (
	snapshotName = "state.json"
	journalName  = "journal.jsonl"
	lockName     = "lock"
)

// backups is how many of the last snapshots are kept.
const backups = 3

// Options change how a Store behaves in tests.
type Options struct {
	// Fault is called before and after each durable action, with "before " or
	// "after " and the action's name: "append:began", "fsync:journal",
	// "rename:state". From the first error on the Store acts as if the process had
	// died there: everything fails with this error and touches nothing. A Torn
	// before a write lets its first bytes through. Several goroutines may call it at
	// once.
	Fault func(point string) error
}

// Torn is an error for Options.Fault: death after the first Bytes bytes of the
// write were done.
type Torn struct{ Bytes int }

func (t Torn) Error() string { return fmt.Sprintf("died after %d bytes of a write", t.Bytes) }

// Store is the folder that keeps the state of one stack in one workspace.
type Store struct {
	dir, guardDir    string
	stack, workspace string
	opts             Options

	mu   sync.Mutex
	dead error
}

// Open returns the store in dir, which is .gapool/WORKSPACE beside the
// configuration or what the user chose instead. guardDir is a folder that all
// checkouts of one user share. Nothing is opened or made yet.
func Open(dir, guardDir, stack, workspace string, opts Options) *Store {
	return &Store{dir: dir, guardDir: guardDir, stack: stack, workspace: workspace, opts: opts}
}

// NewLineage returns a random UUID (version 4).
func NewLineage() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("no randomness for a lineage: %w", err)
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

// Dir is the folder.
func (s *Store) Dir() string { return s.dir }

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

// fault returns the error of the store's death, and asks for it first.
func (s *Store) fault(point string) error {
	if s.opts.Fault == nil {
		return nil
	}
	s.mu.Lock()
	dead := s.dead
	s.mu.Unlock()
	if dead != nil {
		return dead
	}
	err := s.opts.Fault(point) // without mu, since it may wait for another goroutine
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead == nil {
		s.dead = err
	}
	return s.dead
}

// do runs one durable action.
func (s *Store) do(action string, f func() error) error {
	if err := s.fault("before " + action); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return s.fault("after " + action)
}

// write is do for a write, which may be torn.
func (s *Store) write(action string, f *os.File, data []byte) error {
	if err := s.fault("before " + action); err != nil {
		var torn Torn
		if errors.As(err, &torn) {
			_, errWrite := f.Write(data[:min(torn.Bytes, len(data))])
			return errors.Join(err, errWrite)
		}
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return s.fault("after " + action)
}

// replace puts data into the folder under name, so that at any instant either
// the old or the new content is there in whole, and both survive a power cut.
func (s *Store) replace(what, name string, data []byte) error {
	temp := s.path(name + ".tmp")
	if err := s.writeTemp(what, temp, data); err != nil {
		return err
	}
	if err := s.do("rename:"+what, func() error { return os.Rename(temp, s.path(name)) }); err != nil {
		return err
	}
	return s.do("sync:dir", func() error { return syncDir(s.dir) })
}

func (s *Store) writeTemp(what, temp string, data []byte) error {
	var f *os.File
	if err := s.do("create:"+what, func() (err error) {
		f, err = os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		return err
	}); err != nil {
		return err
	}
	err := s.write("write:"+what, f, data)
	if err == nil {
		err = s.do("fsync:"+what, f.Sync)
	}
	return errors.Join(err, f.Close())
}

// makeDir makes a folder for this user alone, with those above it, and makes
// them last.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	switch {
	case err == nil:
		return syncDir(filepath.Dir(dir))
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir:
		if err := makeDir(filepath.Dir(dir)); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		return syncDir(filepath.Dir(dir))
	default:
		return err
	}
}

// prepare makes the store's folder, and keeps it out of git.
func (s *Store) prepare() error {
	if err := makeDir(s.dir); err != nil {
		return fmt.Errorf("cannot make the folder of the state: %w", err)
	}
	home := filepath.Dir(s.dir)
	if filepath.Base(home) != ".gapool" {
		home = s.dir // a folder that the user chose may hold what belongs into git
	}
	// Whole or not at all: an empty one, as a full disk leaves it, keeps nothing out.
	ignore := filepath.Join(home, ".gitignore")
	if _, err := os.Lstat(ignore); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(home, ".gitignore.") // several processes may be here
	if err == nil {
		_, err = f.WriteString("*\n")
		if err = errors.Join(err, f.Close()); err == nil {
			err = os.Rename(f.Name(), ignore)
		}
		if err != nil {
			_ = os.Remove(f.Name()) // the first error counts
		}
	}
	if err != nil {
		return fmt.Errorf("cannot keep the state out of git: %w", err)
	}
	return nil
}

// advise adds the next move to the error of a disk that takes nothing.
func advise(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w; make room on that disk, then run it again", err)
	case errors.Is(err, unix.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; make that folder writable, or name another one with -state-dir, then run it again", err)
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
