package mem

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/gapool/gapool/providers"
)

// file is where several processes share a world.
type file struct {
	path string
	last []byte // as read or written by us
}

// share runs f on the world as the file has it, and writes what f changed.
func (s *file) share(w *World, f func() error) (err error) {
	lock, err := os.OpenFile(s.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("mem: %w", err)
	}
	// Closing the file gives the lock back.
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("mem: lock %s: %w", lock.Name(), err)
	}
	if err := s.load(w); err != nil {
		return fmt.Errorf("mem: read %s: %w", s.path, err)
	}
	err = f()
	if !w.changed {
		return err
	}
	if serr := s.save(w); serr != nil {
		return errors.Join(err, fmt.Errorf("mem: write %s: %w", s.path, serr))
	}
	w.changed = false
	return err
}

type savedWorld struct {
	Clock   int           `json:"clock"`
	Made    []savedCount  `json:"made"`
	Objects []savedObject `json:"objects"`
}

type savedCount struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	N    int    `json:"n"`
}

type savedObject struct {
	Kind    string          `json:"kind"`
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Owner   providers.Owner `json:"owner"`
	Created time.Time       `json:"created"`
	Want    json.RawMessage `json:"want"`
	Started bool            `json:"started"`
	Running bool            `json:"running"`
	Broken  string          `json:"broken,omitempty"`
	Starts  int             `json:"starts"`
	Refs    []ref           `json:"refs"`
}

func (s *file) load(w *World) error {
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = []byte("{}"), nil
	}
	if err != nil || bytes.Equal(data, s.last) {
		return err
	}
	var in savedWorld
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	w.clear()
	w.clock = in.Clock
	for _, c := range in.Made {
		w.made[key{c.Kind, c.Name}] = c.N
	}
	for _, so := range in.Objects {
		t := w.byName[so.Kind]
		if t == nil {
			return fmt.Errorf("there is no table for %s", so.Kind)
		}
		want, err := ctyjson.Unmarshal(so.Want, t.Implied())
		if err != nil {
			return fmt.Errorf("%s %s: %w", so.Kind, so.Name, err)
		}
		w.insert(&object{
			t: t, id: so.ID, name: so.Name, owner: so.Owner, created: so.Created, want: want,
			started: so.Started, running: so.Running, broken: so.Broken, starts: so.Starts, refs: so.Refs,
		})
	}
	s.last, w.changed = data, false
	return nil
}

func (s *file) save(w *World) error {
	out := savedWorld{Clock: w.clock}
	for _, k := range sortedKeys(w.made) {
		out.Made = append(out.Made, savedCount{k.kind, k.word, w.made[k]})
	}
	for _, k := range sortedKeys(w.names) {
		o := w.names[k]
		want, err := ctyjson.Marshal(o.want, o.t.Implied())
		if err != nil {
			return fmt.Errorf("%s %s: %w", o.t.Name, o.name, err)
		}
		out.Objects = append(out.Objects, savedObject{
			Kind: o.t.Name, ID: o.id, Name: o.name, Owner: o.owner, Created: o.created, Want: want,
			Started: o.started, Running: o.running, Broken: o.broken, Starts: o.starts, Refs: o.refs,
		})
	}
	data, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		return err
	}
	// By rename, so that a process killed in the middle leaves the old world.
	tmp := s.path + ".tmp"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	if err := os.Rename(tmp, s.path); err != nil {
		return err
	}
	s.last = data
	return nil
}
