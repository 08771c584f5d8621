package state

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"
)

// Loaded is what Load found.
type Loaded struct {
	State  *State  // the caller's own: changing it changes nothing on disk, whatever is to be kept goes into a Journal
	Found  bool    // there was a snapshot or a journal; else State is New's and has no lineage yet
	Doubts []Began // calls whose outcome is not known, in the order they began

	// LastWrite is when the journal was last written, zero where there is none: a
	// call in doubt may take effect for a while after it.
	LastWrite time.Time

	facts    *facts
	snapshot fs.FileInfo // nil where there is none
	journal  fs.FileInfo // nil where there is none
	old      bool        // the journal is from before the snapshot
	end      position    // of the journal's last good line
}

// position is a place between two lines of a journal.
type position struct {
	offset int64
	sum    uint32 // of the line before
	lines  int    // before it
}

// Load reads the snapshot and then the journal. It changes no file. Call it
// under the Lock, or what another process is just doing reads as in doubt.
//
// A state that cannot be read, that is not sound, of a newer version or of
// another stack or workspace is an error that names the file and says what to
// do.
func (s *Store) Load() (*Loaded, error) {
	if err := s.fault("before load"); err != nil {
		return nil, err
	}
	l := &Loaded{}
	st, info, err := s.loadSnapshot()
	if err != nil {
		return nil, err
	}
	l.snapshot = info
	if st == nil {
		st = New(s.stack, s.workspace)
	}
	l.facts = newFacts(st)
	if err := s.loadJournal(l); err != nil {
		return nil, err
	}
	l.Found = l.snapshot != nil || l.journal != nil
	l.State = l.facts.state.Clone()
	l.Doubts = l.facts.doubts()
	return l, nil
}

func (s *Store) loadSnapshot() (*State, fs.FileInfo, error) {
	path := s.path(snapshotName)
	f, info, err := s.openRegular(path)
	if f == nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	if info.Size() > maxSnapshot {
		return nil, nil, s.damaged(path, fmt.Errorf("it has %d bytes, more than a state can have", info.Size()))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSnapshot))
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the state: %w", err)
	}
	st, err := s.parseSnapshot(data)
	if err != nil {
		return nil, nil, s.damaged(path, err)
	}
	return st, info, nil
}

func (s *Store) parseSnapshot(data []byte) (*State, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("it is empty")
	}
	st := &State{}
	if err := st.UnmarshalJSON(data); err != nil {
		// A newer version may well have fields that this one does not know.
		var v struct{ Version int }
		if json.Unmarshal(data, &v) == nil && v.Version > Version {
			return nil, newerError(v.Version)
		}
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if err := s.ours(st.Version, st.Stack, st.Workspace); err != nil {
		return nil, err
	}
	for a, r := range st.Records {
		var err error
		if st.Records[a], err = normal(r); err != nil {
			return nil, fmt.Errorf("it is damaged: %w", err)
		}
	}
	var err error
	if st.Outputs, err = normalOutputs(st.Outputs); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if err := st.Check(); err != nil {
		// One error, which says what to do, and not one for each fault.
		return nil, fmt.Errorf("it is not sound: %s", oneLine(err))
	}
	return st, nil
}

func oneLine(err error) string {
	var all *multierror.Error
	if !errors.As(err, &all) {
		return err.Error()
	}
	var faults []string
	for _, e := range all.Errors {
		faults = append(faults, e.Error())
	}
	return strings.Join(faults, "; ")
}

// loadJournal adds the journal's facts to l.
func (s *Store) loadJournal(l *Loaded) error {
	path := s.path(journalName)
	f, info, err := s.openRegular(path)
	if f == nil {
		return err
	}
	defer func() { _ = f.Close() }()
	l.journal, l.LastWrite = info, info.ModTime()
	if err := s.replayJournal(l, f); err != nil {
		return s.damaged(path, err)
	}
	return nil
}

func (s *Store) replayJournal(l *Loaded, r io.Reader) error {
	lines := lineReader{r: bufio.NewReader(r)}
	body, err := lines.next()
	if errors.Is(err, io.EOF) {
		return errors.New("it has no first line")
	}
	if err != nil {
		return err
	}
	if err := s.continues(l, body); err != nil || l.old {
		return err
	}
	for {
		body, err := lines.next()
		if errors.Is(err, io.EOF) {
			l.end = lines.at
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.facts.replay(body); err != nil {
			return fmt.Errorf("line %d is damaged: %w", lines.at.lines, err)
		}
	}
}

// continues compares the journal's first line with the snapshot.
func (s *Store) continues(l *Loaded, first []byte) error {
	var h header
	if err := decode(first, &h); err != nil {
		if json.Unmarshal(first, &h) == nil && h.Version > Version {
			return newerError(h.Version)
		}
		return fmt.Errorf("line 1 is damaged: %w", err)
	}
	if err := s.ours(h.Version, h.Stack, h.Workspace); err != nil {
		return err
	}
	st := l.facts.state
	switch {
	case h.Lineage == "":
		return errors.New("line 1 is damaged: the lineage is missing")
	case l.snapshot == nil:
		st.Lineage, st.Generation = h.Lineage, h.Base
	case h.Lineage != st.Lineage:
		return fmt.Errorf("it has the lineage %s, but %s has %s", h.Lineage, snapshotName, st.Lineage)
	case h.Base > st.Generation:
		return fmt.Errorf("it continues generation %d, but %s is the older generation %d", h.Base, snapshotName, st.Generation)
	case h.Base < st.Generation:
		l.old = true
	}
	return nil
}

// ours says whether a file was written for this store, by a version that this
// one understands.
func (s *Store) ours(version int, stack, workspace string) error {
	switch {
	case version > Version:
		return newerError(version)
	case version < 1:
		return errors.New("it is not a file of gapool's state: it has no version")
	case stack != s.stack || workspace != s.workspace:
		return fmt.Errorf("it is of stack %q, workspace %q, but the configuration is of stack %q, workspace %q; give the stack its old name again, or use another -state-dir", stack, workspace, s.stack, s.workspace)
	}
	return nil
}

func newerError(version int) error {
	return fmt.Errorf("it has version %d and was written by a newer gapool, this one reads up to %d; run that or a newer gapool", version, Version)
}

func (s *Store) damaged(path string, err error) error {
	return fmt.Errorf("cannot use the state %s: %w.\nNothing was changed, and gapool never writes over a state that it cannot read. If there is no other way, move the folder %s away (its backups are %s.1 to .%d): the next plan finds the stack's objects by their labels, and gapool state rebuild writes the state anew", path, err, s.dir, snapshotName, backups)
}

// openRegular returns no file and no error where there is none.
func (s *Store) openRegular(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the state: %w", err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, nil, errors.Join(fmt.Errorf("cannot read the state: %w", err), f.Close())
	case !info.Mode().IsRegular():
		return nil, nil, errors.Join(s.damaged(path, errors.New("it is not a file")), f.Close())
	}
	return f, info, nil
}

// lineReader reads the sealed lines of a journal.
type lineReader struct {
	r   *bufio.Reader
	at  position
	buf []byte
}

// next returns the object of the next line, which is good until the call after.
// It returns io.EOF at the end, which is before a last line that was cut short,
// and an error that names the line where it is damaged.
func (l *lineReader) next() ([]byte, error) {
	l.buf = l.buf[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		if len(l.buf)+len(part) > maxLine {
			return nil, fmt.Errorf("line %d is longer than %d bytes", l.at.lines+1, maxLine)
		}
		l.buf = append(l.buf, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil, l.tail()
		case err != nil:
			return nil, fmt.Errorf("line %d cannot be read: %w", l.at.lines+1, err)
		default:
			length := int64(len(l.buf))
			body, sum, ok := unseal(l.at.sum, l.buf[:length-1])
			if !ok {
				return nil, fmt.Errorf("line %d is damaged: its checksum is wrong", l.at.lines+1)
			}
			l.at = position{l.at.offset + length, sum, l.at.lines + 1}
			return body, nil
		}
	}
}

// tail judges what stands after the last newline. What a write that was cut
// short leaves is less than a line; a whole line and another byte where its
// newline was is damage.
func (l *lineReader) tail() error {
	if len(l.buf) > 0 {
		if _, _, whole := unseal(l.at.sum, l.buf[:len(l.buf)-1]); whole {
			return fmt.Errorf("line %d is damaged: its end is wrong", l.at.lines+1)
		}
	}
	return io.EOF
}

// sameFile reports whether a file is as it was; nil stands for none.
func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func statOrNone(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}
