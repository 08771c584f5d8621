package state

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/go-multierror"

	"github.com/gapool/gapool/schema"
)

// Types of resources with rules of their own.
const (
	kindImage   = "docker_image" // several tags may name one image, and no label says who tagged it
	typeCluster = "ray_cluster"
)

// Check says whether the state is sound, as every state on disk is: records
// stand under their own addresses and have a kind, objects are whole and each
// belongs to one record only, sets are in order, and no sensitive output has
// its value. It returns all faults together, in the order of the addresses.
func (s *State) Check() error {
	var all *multierror.Error
	if s.Version != Version {
		all = multierror.Append(all, fmt.Errorf("the version is %d, not %d", s.Version, Version))
	}
	if s.Lineage == "" {
		all = multierror.Append(all, errors.New("the lineage is missing"))
	}
	if s.Stack == "" || s.Workspace == "" {
		all = multierror.Append(all, errors.New("the name of the stack or of the workspace is missing"))
	}
	owners := map[ident]schema.Addr{}
	for _, a := range s.Addrs() {
		r := s.Records[a]
		all = multierror.Append(all, r.check(a)...)
		for _, id := range r.idents() {
			if first, taken := owners[id]; taken && first != a {
				all = multierror.Append(all, sharedError(id, first, a))
			}
			owners[id] = a
		}
	}
	all = multierror.Append(all, checkOutputs(s.Outputs)...)
	return all.ErrorOrNil()
}

// check returns the faults that r has by itself, as the record of a.
func (r *Record) check(a schema.Addr) []error {
	if r == nil {
		return []error{fmt.Errorf("%s has no record", a)}
	}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s "+format, append([]any{a}, args...)...))
	}
	if a.IsZero() {
		return []error{errors.New("a record has no address")}
	}
	if r.Addr != a {
		fault("holds the record of %q", r.Addr)
	}
	switch {
	case r.Kind == "":
		fault("has no kind")
	case !a.Member.IsZero() && a.Type != typeCluster:
		fault("cannot be: only a %s has members", typeCluster)
	case a.Type != typeCluster && r.Kind != a.Type:
		fault("has objects of the kind %s", r.Kind)
	}
	seen := map[ident]bool{}
	for _, o := range r.Objects() {
		switch {
		case o.ID == "":
			fault("has an object without an ID")
		case o.Name == "":
			fault("has the object %s without a name", o.ID)
		}
		if o.Status != Ready && o.Status != Tainted {
			fault("has the object %s with the unknown status %q", o.ID, o.Status)
		}
		for _, id := range r.identsOf(o) {
			if seen[id] {
				fault("has %s twice", id)
			}
			seen[id] = true
		}
	}
	if !plain(r.Attrs) {
		fault("has an attribute with a number in powers of ten")
	}
	if !slices.IsSortedFunc(r.Deps, schema.CompareAddr) || hasTwins(r.Deps) {
		fault("has dependencies that are not a sorted set")
	}
	return faults
}

func hasTwins(sorted []schema.Addr) bool {
	return len(slices.Compact(slices.Clone(sorted))) != len(sorted)
}

func checkOutputs(outputs map[string]Output) []error {
	var faults []error
	for _, name := range sortedKeys(outputs) {
		o := outputs[name]
		if o.Sensitive && (o.Value != nil || o.Type != nil) {
			faults = append(faults, fmt.Errorf("output %q is sensitive and has its value in clear", name))
		}
		if !plain(o.Value) {
			faults = append(faults, fmt.Errorf("output %q has a number in powers of ten", name))
		}
	}
	return faults
}

// plain reports whether the numbers in a JSON value have no exponent. None is
// written with one, and a few bytes with one could ask for a gigabyte of digits.
func plain(value []byte) bool {
	quoted := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == 'e' || c == 'E') && i > 0 && '0' <= value[i-1] && value[i-1] <= '9':
			return false
		}
	}
	return true
}

// ident is what no two records may share: a uid, or an ID of a kind of object on
// an engine. The ID of a volume is its name, so it is unique on its engine only.
type ident struct {
	engine, kind, id string
	uid              bool
}

func (i ident) String() string {
	if i.uid {
		return "the uid " + i.id
	}
	return "the " + i.kind + " " + i.id
}

func (r *Record) idents() []ident {
	var all []ident
	for _, o := range r.Objects() {
		all = append(all, r.identsOf(o)...)
	}
	return all
}

func (r *Record) identsOf(o Object) []ident {
	var ids []ident
	if o.ID != "" && r.Kind != kindImage {
		ids = append(ids, ident{engine: r.Engine, kind: r.Kind, id: o.ID})
	}
	if o.UID != "" {
		ids = append(ids, ident{id: o.UID, uid: true})
	}
	return ids
}

func sharedError(id ident, a, b schema.Addr) error {
	return fmt.Errorf("%s stands in two records, %s and %s", id, a, b)
}
