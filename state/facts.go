package state

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/gapool/gapool/schema"
)

// change is the new record of one address, nil where nothing is left of it.
type change struct {
	Addr   schema.Addr `json:"address"`
	Record *Record     `json:"record"`
}

// facts is a snapshot and the journal's lines so far: what a replay builds up
// and what a Journal keeps. Each of its verbs either takes a line in whole or
// refuses it and changes nothing, so a line that was written can be replayed.
type facts struct {
	state *State
	owner map[ident]schema.Addr // who has what, to find objects that two records claim
	open  map[uint64]Began
	last  uint64 // the number of the last began
	dirty bool   // something differs from the snapshot
}

func newFacts(s *State) *facts {
	f := &facts{state: s, owner: make(map[ident]schema.Addr, 2*len(s.Records)), open: map[uint64]Began{}}
	for a, r := range s.Records {
		for _, id := range r.idents() {
			f.owner[id] = a
		}
	}
	return f
}

func (f *facts) clone() *facts {
	return &facts{f.state.Clone(), maps.Clone(f.owner), maps.Clone(f.open), f.last, f.dirty}
}

// began takes the next number.
func (f *facts) began(b Began) error {
	if b.N != f.last+1 {
		return fmt.Errorf("began %d follows began %d", b.N, f.last)
	}
	f.last = b.N
	f.open[b.N] = b
	return nil
}

// ends says whether an outcome at addr may close the began n.
func (f *facts) ends(n uint64, addr schema.Addr) error {
	b, ok := f.open[n]
	if !ok {
		return fmt.Errorf("%s: no call with the number %d is in doubt", addr, n)
	}
	if b.Addr != addr {
		return fmt.Errorf("%s: the call with the number %d was begun at %s", addr, n, b.Addr)
	}
	return nil
}

// admits says whether the changes keep the state sound.
func (f *facts) admits(changes []change) error {
	replaced := make(map[schema.Addr]bool, len(changes))
	for _, c := range changes {
		if replaced[c.Addr] {
			return fmt.Errorf("%s is set twice at once", c.Addr)
		}
		replaced[c.Addr] = true
	}
	fresh := map[ident]schema.Addr{}
	for _, c := range changes {
		if c.Record == nil {
			continue
		}
		if err := errors.Join(c.Record.check(c.Addr)...); err != nil {
			return err
		}
		for _, id := range c.Record.idents() {
			if a, taken := f.owner[id]; taken && !replaced[a] {
				return sharedError(id, a, c.Addr)
			}
			if a, taken := fresh[id]; taken {
				return sharedError(id, a, c.Addr)
			}
			fresh[id] = c.Addr
		}
	}
	return nil
}

// set makes the changes, which must have been admitted.
func (f *facts) set(changes []change) {
	for _, c := range changes {
		old := f.state.Records[c.Addr]
		if reflect.DeepEqual(old, c.Record) {
			continue
		}
		f.dirty = true
		if old != nil {
			for _, id := range old.idents() {
				// In a move the new address may have come first.
				if f.owner[id] == c.Addr {
					delete(f.owner, id)
				}
			}
		}
		if c.Record == nil {
			delete(f.state.Records, c.Addr)
			continue
		}
		f.state.Records[c.Addr] = c.Record
		for _, id := range c.Record.idents() {
			f.owner[id] = c.Addr
		}
	}
}

func (f *facts) setOutputs(outputs map[string]Output) {
	if reflect.DeepEqual(f.state.Outputs, outputs) {
		return
	}
	f.dirty = true
	f.state.Outputs = outputs
}

// doubts returns the calls without an outcome, in the order they began.
func (f *facts) doubts() []Began {
	return slices.SortedFunc(maps.Values(f.open), func(a, b Began) int { return cmp.Compare(a.N, b.N) })
}

// normal returns a copy of r in the one form that equal records have, in memory
// and read back from either file.
func normal(r *Record) (*Record, error) {
	if r == nil {
		return nil, nil
	}
	c := r.Clone()
	slices.SortFunc(c.Others, func(a, b Object) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.UID, b.UID)) })
	slices.SortFunc(c.Deps, schema.CompareAddr)
	c.Deps = slices.Compact(c.Deps)
	if len(c.Others) == 0 {
		c.Others = nil
	}
	if len(c.Deps) == 0 {
		c.Deps = nil
	}
	if len(c.Hashes) == 0 {
		c.Hashes = nil
	}
	var err error
	if c.Attrs, err = compact(c.Attrs); err != nil {
		return nil, fmt.Errorf("the attributes of %s are not JSON: %w", r.Addr, err)
	}
	if string(c.Attrs) == "null" {
		c.Attrs = nil
	}
	return c, nil
}

func normalOutputs(m map[string]Output) (map[string]Output, error) {
	c := cloneOutputs(m)
	for _, name := range sortedKeys(c) {
		o := c[name]
		var errValue, errType error
		o.Value, errValue = compact(o.Value)
		o.Type, errType = compact(o.Type)
		if err := errors.Join(errValue, errType); err != nil {
			return nil, fmt.Errorf("the value or type of the output %q is not JSON: %w", name, err)
		}
		c[name] = o
	}
	return c, nil
}

func compact(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
