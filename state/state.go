package state

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/gapool/gapool/schema"
)

// Version is the version of the files that this package writes, and the newest
// that it reads.
const Version = 1

// Status says whether an object that we made may be used as it is.
type Status string

const (
	// Ready objects came to what their step promised.
	Ready Status = "ready"
	// Tainted objects exist but are to be replaced.
	Tainted Status = "tainted"
)

// Object is one live thing that we made or took over.
type Object struct {
	ID     string `json:"id"`            // the engine's; a volume's is its name
	Name   string `json:"name"`          // as the engine knows it; an image's tag
	UID    string `json:"uid,omitempty"` // of the attempt that made it; images and imported objects have none
	Status Status `json:"status"`
}

// Record is what is known of one address. A Record that was handed to a Journal
// or came from a State is shared by nobody: both sides copy.
type Record struct {
	Addr     schema.Addr `json:"address"`
	Provider string      `json:"provider,omitempty"` // the provider configuration, "docker" or "docker.lab2"
	Engine   string      `json:"engine,omitempty"`   // ID of the engine the objects live on, empty for none
	Kind     string      `json:"kind"`               // resource type of the objects: docker_container for a cluster's member

	Current *Object  `json:"current,omitempty"` // nil: there are only others, or the resource is virtual, like a ray_cluster itself
	Others  []Object `json:"others,omitempty"`  // deposed or extra objects, to be deleted; a set, kept in the order of their IDs

	Attrs json.RawMessage `json:"attrs,omitempty"` // last known attributes that may be stored, never a secret; may be nil
	// Sensitive names the attributes that held a secret when they were applied last,
	// and of a map whose keys were secret, too, also "env[*]".
	Sensitive []string          `json:"sensitive,omitempty"`
	Hashes    map[string]string `json:"hashes,omitempty"`   // by attribute, HashSecret of a secret that the engine does not say back
	Deps      []schema.Addr     `json:"deps,omitempty"`     // blocks it depends on; a set, kept in the order of CompareAddr
	PrevTag   *string           `json:"prev_tag,omitempty"` // of an image: the ID its tag named before us, "" for nothing, nil where unknown

	Protected bool `json:"protected,omitempty"` // prevent_destroy as last applied
}

// Output is the value of one root output as last applied. Of a sensitive one
// Value and Type are nil and Hash is what HashSecret made of its JSON.
type Output struct {
	Value     json.RawMessage `json:"value,omitempty"`
	Type      json.RawMessage `json:"type,omitempty"`
	Sensitive bool            `json:"sensitive,omitempty"`
	Hash      string          `json:"hash,omitempty"`
}

// State is everything that is recorded of one stack in one workspace.
type State struct {
	Version    int
	Lineage    string // a random UUID, made once; "" until a state is first written
	Generation uint64 // one more with each snapshot
	Stack      string
	Workspace  string
	Records    map[schema.Addr]*Record
	Outputs    map[string]Output
}

// New returns the state of a stack of which nothing is recorded.
func New(stack, workspace string) *State {
	return &State{
		Version:   Version,
		Stack:     stack,
		Workspace: workspace,
		Records:   map[schema.Addr]*Record{},
		Outputs:   map[string]Output{},
	}
}

// Addrs returns the recorded addresses in the order of schema.CompareAddr.
func (s *State) Addrs() []schema.Addr {
	return slices.SortedFunc(maps.Keys(s.Records), schema.CompareAddr)
}

// Clone returns a copy that shares nothing with s.
func (s *State) Clone() *State {
	c := *s
	c.Records = make(map[schema.Addr]*Record, len(s.Records))
	for a, r := range s.Records {
		c.Records[a] = r.Clone()
	}
	c.Outputs = cloneOutputs(s.Outputs)
	return &c
}

// Clone returns a copy that shares nothing with r; nil of nil.
func (r *Record) Clone() *Record {
	if r == nil {
		return nil
	}
	c := *r
	if r.Current != nil {
		o := *r.Current
		c.Current = &o
	}
	if r.PrevTag != nil {
		p := *r.PrevTag
		c.PrevTag = &p
	}
	c.Others = slices.Clone(r.Others)
	c.Attrs = slices.Clone(r.Attrs)
	c.Hashes = maps.Clone(r.Hashes)
	c.Sensitive = slices.Clone(r.Sensitive)
	c.Deps = slices.Clone(r.Deps)
	return &c
}

// Objects returns the current object, where there is one, and the others.
func (r *Record) Objects() []Object {
	if r.Current == nil {
		return r.Others
	}
	return append([]Object{*r.Current}, r.Others...)
}

func cloneOutputs(m map[string]Output) map[string]Output {
	c := make(map[string]Output, len(m))
	for name, o := range m {
		o.Value, o.Type = slices.Clone(o.Value), slices.Clone(o.Type)
		c[name] = o
	}
	return c
}

// Digest is a hash of all that is recorded, whatever generation it is of.
func (s *State) Digest() (string, error) {
	f := s.file()
	f.Generation = 0
	data, err := encode(f)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(data)), nil
}

// file is the form of a State on disk.
type file struct {
	Version    int               `json:"version"`
	Lineage    string            `json:"lineage"`
	Generation uint64            `json:"generation"`
	Stack      string            `json:"stack"`
	Workspace  string            `json:"workspace"`
	Records    []*Record         `json:"records"`
	Outputs    map[string]Output `json:"outputs,omitempty"`
}

// MarshalJSON writes the records as a list in the order of their addresses, so
// that equal states are equal bytes.
func (s *State) MarshalJSON() ([]byte, error) { return encode(s.file()) }

func (s *State) file() file {
	f := file{s.Version, s.Lineage, s.Generation, s.Stack, s.Workspace, make([]*Record, 0, len(s.Records)), s.Outputs}
	for _, a := range s.Addrs() {
		f.Records = append(f.Records, s.Records[a])
	}
	return f
}

// UnmarshalJSON reads what MarshalJSON wrote. A field that this version does
// not know, or an address that stands there twice, is an error: writing the
// state again would lose it.
func (s *State) UnmarshalJSON(data []byte) error {
	var f file
	if err := decode(data, &f); err != nil {
		return err
	}
	*s = State{f.Version, f.Lineage, f.Generation, f.Stack, f.Workspace, make(map[schema.Addr]*Record, len(f.Records)), f.Outputs}
	if s.Outputs == nil {
		s.Outputs = map[string]Output{}
	}
	for i, r := range f.Records {
		if r == nil {
			return fmt.Errorf("record %d is null", i)
		}
		if s.Records[r.Addr] != nil {
			return fmt.Errorf("%s is recorded twice", r.Addr)
		}
		s.Records[r.Addr] = r
	}
	return nil
}
