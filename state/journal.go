package state

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/gapool/gapool/schema"
)

// Began says which call is about to be made. It is on disk before the call is.
type Began struct {
	N         uint64      `json:"n"` // assigned by Journal.Began, from 1 up in each journal
	Addr      schema.Addr `json:"address,omitzero"`
	Action    string      `json:"action"`
	Kind      string      `json:"kind"`
	Provider  string      `json:"provider,omitempty"`
	Engine    string      `json:"engine,omitempty"`
	UID       string      `json:"uid,omitempty"`       // of a create: the label of this attempt
	TargetID  string      `json:"target_id,omitempty"` // of all else: the object's ID
	Name      string      `json:"name,omitempty"`      // the name wanted, or that of the target
	Prev      *string     `json:"prev,omitempty"`      // of an image: the ID its tag named before, "" for nothing
	Sensitive []string    `json:"sensitive,omitempty"` // attributes that have a secret in what the call leads to
	Timeout   int         `json:"timeout,omitempty"`   // seconds; how much later than other calls this one may take effect, a stop's grace
}

// Journal writes down what happens, line by line. Its methods may be called by
// any number of goroutines. From the first failure to write on, each returns
// that failure and writes nothing: what happens then is in doubt, and found by
// the next Load.
type Journal struct {
	store *Store
	lock  *Lock

	mu       sync.Mutex
	idle     sync.Cond // nobody syncs; with mu
	file     *os.File
	facts    *facts
	fresh    bool // no snapshot was ever written
	sum      uint32
	lines    uint64 // written, over all journal files
	synced   uint64 // of them, certainly on disk
	syncing  bool
	appended bool // the file has more than its first line
	err      error
}

// Journal opens the journal for appending, from where l ends, which must have
// been loaded under lock. A torn last line is cut; a journal that is absent, or
// older than the snapshot, is made. A new state takes the lineage in l.State, a
// random one where that is empty, which l.State then has too.
func (s *Store) Journal(l *Loaded, lock *Lock) (*Journal, error) {
	if err := s.fault("before open"); err != nil {
		return nil, err
	}
	if lock.store != s {
		return nil, errors.New("the lock is that of another store")
	}
	if err := lock.Verify(); err != nil {
		return nil, err
	}
	if err := s.unchanged(l); err != nil {
		return nil, err
	}
	if err := l.settleLineage(); err != nil {
		return nil, err
	}
	j := &Journal{store: s, lock: lock, facts: l.facts.clone(), fresh: l.snapshot == nil}
	j.idle.L = &j.mu
	var err error
	if l.journal == nil || l.old {
		err = j.start(j.facts.state.Generation)
	} else {
		err = j.resume(l)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the journal: %w", advise(err))
	}
	return j, nil
}

func (s *Store) unchanged(l *Loaded) error {
	for _, f := range []struct {
		name string
		was  fs.FileInfo
	}{{snapshotName, l.snapshot}, {journalName, l.journal}} {
		now, err := statOrNone(s.path(f.name))
		if err != nil {
			return fmt.Errorf("cannot look at the state: %w", err)
		}
		if !sameFile(f.was, now) {
			return fmt.Errorf("%s has changed since it was read: another run was at work; plan again", s.path(f.name))
		}
	}
	return nil
}

func (l *Loaded) settleLineage() error {
	switch {
	case !l.Found && l.State.Lineage == "":
		lineage, err := NewLineage()
		if err != nil {
			return err
		}
		l.State.Lineage = lineage
		l.facts.state.Lineage = lineage
	case !l.Found:
		l.facts.state.Lineage = l.State.Lineage
	case l.State.Lineage != l.facts.state.Lineage:
		return fmt.Errorf("the state's lineage is %s and stays so, it cannot become %s", l.facts.state.Lineage, l.State.Lineage)
	}
	return nil
}

// start makes a journal that continues the snapshot of the generation base, and
// writes there from now on.
func (j *Journal) start(base uint64) error {
	st := j.facts.state
	line, sum, err := seal(0, header{Version, base, st.Lineage, st.Stack, st.Workspace})
	if err == nil {
		err = j.store.replace("journal", journalName, line)
	}
	if err != nil {
		return err
	}
	return j.follow(position{int64(len(line)), sum, 1})
}

// resume goes on where l ends, and cuts off what was torn.
func (j *Journal) resume(l *Loaded) error {
	if l.end.offset < l.journal.Size() {
		if err := j.cut(l.end.offset); err != nil {
			return err
		}
	}
	return j.follow(l.end)
}

func (j *Journal) cut(length int64) error {
	f, err := os.OpenFile(j.store.path(journalName), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = j.store.do("cut:journal", func() error { return f.Truncate(length) })
	if err == nil {
		err = j.store.do("fsync:journal", f.Sync)
	}
	return errors.Join(err, f.Close())
}

// follow opens the journal to append at its end.
func (j *Journal) follow(end position) error {
	f, err := os.OpenFile(j.store.path(journalName), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if j.file != nil {
		err = j.file.Close()
	}
	j.file, j.sum, j.appended = f, end.sum, end.lines > 1
	return err
}

// Began writes down that a call is about to be made, under a new number, and
// returns when that is on disk. On an error the call must not be made. Whose call
// it was is for the caller to say.
func (j *Journal) Began(b Began) (n uint64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b.N = j.facts.last + 1
	if err := j.append(eventBegan, beganLine{eventBegan, b}); err != nil {
		return 0, err
	}
	if err := j.facts.began(b); err != nil {
		return 0, fmt.Errorf("%s: %w", b.Addr, err)
	}
	if err := j.sync(j.lines); err != nil {
		return 0, err
	}
	return b.N, nil
}

// Outcome writes down what is known of addr after the call n, which was begun
// there: the whole record, or nil where nothing is left. It returns when that
// outlives this process; the next sync makes it outlive the machine.
func (j *Journal) Outcome(n uint64, addr schema.Addr, rec *Record) error {
	rec, err := normal(rec)
	if err != nil {
		return err
	}
	changes := []change{{addr, rec}}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.facts.ends(n, addr); err != nil {
		return err
	}
	if err := j.facts.admits(changes); err != nil {
		return err
	}
	if err := j.append(eventOutcome, outcomeLine{eventOutcome, n, addr, rec}); err != nil {
		return err
	}
	delete(j.facts.open, n)
	j.facts.set(changes)
	return nil
}

// Failed writes down that the call n, which was begun at addr, is known to have
// had no effect.
func (j *Journal) Failed(n uint64, addr schema.Addr) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.facts.ends(n, addr); err != nil {
		return err
	}
	if err := j.append(eventFailed, failedLine{eventFailed, n, addr}); err != nil {
		return err
	}
	delete(j.facts.open, n)
	return nil
}

// Put writes down what is known of addr without a call: an adoption, or with nil
// that it is to be forgotten.
func (j *Journal) Put(addr schema.Addr, rec *Record) error {
	return j.PutAll(map[schema.Addr]*Record{addr: rec})
}

// PutAll is Put for several addresses, all or none, as a move needs it: an
// object belongs to one record at any instant.
func (j *Journal) PutAll(recs map[schema.Addr]*Record) error {
	changes := make([]change, 0, len(recs))
	for _, addr := range slices.SortedFunc(maps.Keys(recs), schema.CompareAddr) {
		rec, err := normal(recs[addr])
		if err != nil {
			return err
		}
		changes = append(changes, change{addr, rec})
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.facts.admits(changes); err != nil {
		return err
	}
	if err := j.append(eventSet, setLine{eventSet, changes}); err != nil {
		return err
	}
	j.facts.set(changes)
	return nil
}

// Outputs writes down all outputs; what was there before is forgotten.
func (j *Journal) Outputs(outputs map[string]Output) error {
	outputs, err := normalOutputs(outputs)
	if err != nil {
		return err
	}
	if err := errors.Join(checkOutputs(outputs)...); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.append(eventOutputs, outputsLine{eventOutputs, outputs}); err != nil {
		return err
	}
	j.facts.setOutputs(outputs)
	return nil
}

// State returns a copy of what is recorded now. It takes as long as copying all
// records does.
func (j *Journal) State() *State {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.facts.state.Clone()
}

// Sync returns when all that was written is on disk.
func (j *Journal) Sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.sync(j.lines)
}

// Close syncs and closes the journal. It does not fold it. A second call
// returns what the journal failed with, which is that it is closed.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.sync(j.lines)
	j.settle()
	if j.file != nil {
		if errClose := j.file.Close(); err == nil {
			err = errClose
		}
		j.file = nil
	}
	if j.err == nil {
		j.err = errors.New("the journal is closed")
	}
	return err
}

// append writes a line, with mu held. It refuses without failing the journal
// where the line cannot be made.
func (j *Journal) append(event string, v any) error {
	if j.err != nil {
		return j.err
	}
	line, sum, err := seal(j.sum, v)
	if err != nil {
		return err
	}
	// Two that hold the lock would write into one journal.
	if err := j.lock.Verify(); err != nil {
		return j.fail(err)
	}
	if err := j.store.write("append:"+event, j.file, line); err != nil {
		return j.fail(fmt.Errorf("cannot write the journal: %w", err))
	}
	j.sum, j.appended = sum, true
	j.lines++
	return nil
}

// sync returns when the first n lines are on disk. It is called with mu held and
// gives it up while it waits; one of those who wait syncs for all.
func (j *Journal) sync(n uint64) error {
	for j.synced < n {
		if j.err != nil {
			return j.err
		}
		if j.syncing {
			j.idle.Wait()
			continue
		}
		j.syncing = true
		target, file := j.lines, j.file
		j.mu.Unlock()
		err := j.store.do("fsync:journal", file.Sync)
		j.mu.Lock()
		j.syncing = false
		j.idle.Broadcast()
		if err != nil {
			// After a failed fsync the kernel may have dropped what it could not write.
			return j.fail(fmt.Errorf("cannot write the journal to disk: %w", err))
		}
		j.synced = target
	}
	return j.err
}

// settle waits, with mu held, until nobody uses the file without mu.
func (j *Journal) settle() {
	for j.syncing {
		j.idle.Wait()
	}
}

// fail keeps the first failure and returns it.
func (j *Journal) fail(err error) error {
	if j.err == nil {
		j.err = advise(err)
	}
	return j.err
}
