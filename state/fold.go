package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Fold writes a snapshot of the next generation and begins a new journal, which
// then holds its first line only. Where nothing differs from the last snapshot
// it writes none, and where something is in doubt it only syncs: the journal
// keeps what the snapshot has no place for. The last snapshots are kept as
// backups, state.json.1 the newest. When it fails nothing is lost, but the
// Journal takes no more lines.
func (j *Journal) Fold() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.sync(j.lines); err != nil {
		return err
	}
	j.settle()
	if j.err != nil {
		return j.err
	}
	if len(j.facts.open) > 0 {
		return nil
	}
	if err := j.fold(); err != nil {
		return j.fail(fmt.Errorf("cannot fold the journal into a snapshot: %w", err))
	}
	return nil
}

func (j *Journal) fold() error {
	if err := j.lock.Verify(); err != nil {
		return err
	}
	st := j.facts.state
	if !j.facts.dirty && !j.fresh {
		if !j.appended {
			return nil
		}
		// Calls without effect: the same facts, in a shorter journal.
		return j.restart(st.Generation)
	}
	next := *st
	next.Generation++
	data, err := next.snapshot()
	if err != nil {
		return err
	}
	if err := j.store.backUp(); err != nil {
		return err
	}
	if err := j.store.replace("state", snapshotName, data); err != nil {
		return err
	}
	return j.restart(next.Generation)
}

// restart begins a journal on the snapshot of the generation, which holds all
// that is known.
func (j *Journal) restart(generation uint64) error {
	if err := j.start(generation); err != nil {
		return err
	}
	j.facts.state.Generation = generation
	j.facts.last, j.facts.dirty, j.fresh = 0, false, false
	return nil
}

// snapshot returns the bytes of state.json. It refuses a state that Load would
// refuse.
func (s *State) snapshot() ([]byte, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s.file()); err != nil {
		return nil, err
	}
	if b.Len() > maxSnapshot {
		return nil, fmt.Errorf("the snapshot has %d bytes, more than the %d that are read back", b.Len(), maxSnapshot)
	}
	return b.Bytes(), nil
}

// backUp keeps the snapshot under a second name before it is replaced.
func (s *Store) backUp() error {
	now, err := statOrNone(s.path(snapshotName))
	if err != nil || now == nil {
		return err
	}
	last, err := statOrNone(s.backup(1))
	if err != nil {
		return err
	}
	if last != nil && os.SameFile(now, last) {
		return nil // a fold died between this and the rename
	}
	for i := backups - 1; i >= 1; i-- {
		err := s.do("rename:backup", func() error { return os.Rename(s.backup(i), s.backup(i+1)) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.do("link:backup", func() error { return s.keep(snapshotName, 1) })
}

// keep gives a file a second name, or a copy of it where the file system has no
// links.
func (s *Store) keep(name string, i int) error {
	if os.Link(s.path(name), s.backup(i)) == nil {
		return nil
	}
	data, err := os.ReadFile(s.path(name))
	if err != nil {
		return err
	}
	return os.WriteFile(s.backup(i), data, 0o600)
}

func (s *Store) backup(i int) string {
	return s.path(fmt.Sprintf("%s.%d", snapshotName, i))
}
