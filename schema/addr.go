package schema

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// Addr names one resource block, one instance of it, or one member of a Ray
// cluster, as people write it:
//
//	docker_volume.data
//	module.a.docker_container.web["x"]
//	ray_cluster.pool.worker["cpu"][3]
//
// It is comparable, so it can key a map, and String and ParseAddr are inverse.
// The zero Addr names nothing.
type Addr struct {
	Module string // canonical path, "module.a.module.b[\"x\"]"; empty for the root
	Data   bool   // a data source rather than a managed resource
	Type   string
	Name   string
	Key    Key
	Member Member
}

// Key is the instance key that count (a number) or for_each (a string) gives.
// The zero Key is that of a resource with neither.
type Key struct {
	kind keyKind
	n    int
	s    string
}

type keyKind uint8

const (
	noKey keyKind = iota
	intKey
	stringKey
)

// IntKey returns the key of the n-th instance under count.
func IntKey(n int) Key { return Key{kind: intKey, n: n} }

// StringKey returns the key of an instance under for_each.
func StringKey(s string) Key { return Key{kind: stringKey, s: s} }

// IsZero reports whether the resource has neither count nor for_each.
func (k Key) IsZero() bool { return k.kind == noKey }

// Value returns the key as a cty value, cty.NilVal for the zero Key.
func (k Key) Value() cty.Value {
	switch k.kind {
	case intKey:
		return cty.NumberIntVal(int64(k.n))
	case stringKey:
		return cty.StringVal(k.s)
	default:
		return cty.NilVal
	}
}

// Int returns the key's number and whether it is one.
func (k Key) Int() (int, bool) { return k.n, k.kind == intKey }

func (k Key) String() string {
	switch k.kind {
	case intKey:
		return "[" + strconv.Itoa(k.n) + "]"
	case stringKey:
		return "[" + quote(k.s) + "]"
	default:
		return ""
	}
}

func (k Key) compare(o Key) int {
	return cmp.Or(cmp.Compare(k.kind, o.kind), cmp.Compare(k.n, o.n), cmp.Compare(k.s, o.s))
}

// Role says which part of a Ray cluster a Member is.
type Role string

// The roles are reserved words in the addresses of a ray_cluster.
const (
	Head   Role = "head"
	Worker Role = "worker"
)

// Member names one container of a Ray cluster. The zero Member is the cluster
// itself. Group and Index are set for workers only.
type Member struct {
	Role  Role
	Group string
	Index int
}

// EveryWorker is the Index that stands for all workers of a group. Only what a
// person asks for has it, as -target does: no object is at such an address.
const EveryWorker = -1

// IsZero reports whether the address is that of the whole cluster.
func (m Member) IsZero() bool { return m.Role == "" }

func (m Member) String() string {
	switch m.Role {
	case Head:
		return ".head"
	case Worker:
		group := ".worker[" + quote(m.Group) + "]"
		if m.Index == EveryWorker {
			return group
		}
		return group + "[" + strconv.Itoa(m.Index) + "]"
	default:
		return ""
	}
}

func (m Member) compare(o Member) int {
	return cmp.Or(cmp.Compare(m.Role, o.Role), cmp.Compare(m.Group, o.Group), cmp.Compare(m.Index, o.Index))
}

// String returns the address as people write it.
func (a Addr) String() string {
	var b strings.Builder
	if a.Module != "" {
		b.WriteString(a.Module)
		b.WriteByte('.')
	}
	if a.Data {
		b.WriteString("data.")
	}
	b.WriteString(a.Type)
	b.WriteByte('.')
	b.WriteString(a.Name)
	b.WriteString(a.Key.String())
	b.WriteString(a.Member.String())
	return b.String()
}

// IsZero reports whether the address names nothing.
func (a Addr) IsZero() bool { return a == Addr{} }

// Block returns the address of the block that declares the instance.
func (a Addr) Block() Addr {
	a.Key, a.Member = Key{}, Member{}
	return a
}

// Instance returns the block's instance with the key k.
func (a Addr) Instance(k Key) Addr {
	a.Key = k
	return a
}

// Cluster returns the address of the cluster that a member belongs to, and any
// other address as it is.
func (a Addr) Cluster() Addr {
	a.Member = Member{}
	return a
}

// WithMember returns the address of a member of the cluster a.
func (a Addr) WithMember(m Member) Addr {
	a.Member = m
	return a
}

// Contains reports whether b is a itself, an instance of the block a, a member
// of the cluster a, or a worker of the group a: what -target=a means.
func (a Addr) Contains(b Addr) bool {
	return a == b || a == b.Cluster() || a == b.Block() || a == b.group()
}

// group returns the address of the group that a worker belongs to, and any
// other address as it is.
func (a Addr) group() Addr {
	if a.Member.Role == Worker {
		a.Member.Index = EveryWorker
	}
	return a
}

// CompareAddr orders addresses for printing: by module, kind, type, name, then
// by key with numbers in numeric order, a cluster before its members.
func CompareAddr(a, b Addr) int {
	return cmp.Or(
		cmp.Compare(a.Module, b.Module),
		cmp.Compare(btoi(a.Data), btoi(b.Data)),
		cmp.Compare(a.Type, b.Type),
		cmp.Compare(a.Name, b.Name),
		a.Key.compare(b.Key),
		a.Member.compare(b.Member),
	)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// MarshalText writes the address as String does.
func (a Addr) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote. Empty text is the zero Addr.
func (a *Addr) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*a = Addr{}
		return nil
	}
	got, err := ParseAddr(string(text))
	if err != nil {
		return err
	}
	*a = got
	return nil
}

// ParseAddr reads an address as people write it. The error says what is wrong
// with it and shows the form that an address has. The address of a group of
// workers is refused, since nothing is there but its workers: see ParseTarget.
func ParseAddr(s string) (Addr, error) {
	a, err := ParseTarget(s)
	if err == nil && a.Member.Index == EveryWorker {
		return Addr{}, addrError(s, `a worker is written .worker["GROUP"][INDEX]`)
	}
	return a, err
}

// ParseTarget reads what a person asks for: an address, or that of a group of
// workers, ray_cluster.pool.worker["cpu"].
func ParseTarget(s string) (Addr, error) {
	trav, diags := hclsyntax.ParseTraversalAbs([]byte(s), "", hcl.InitialPos)
	if diags.HasErrors() {
		return Addr{}, addrError(s, diags[0].Detail)
	}
	steps := make([]addrStep, len(trav))
	for i, t := range trav {
		switch t := t.(type) {
		case hcl.TraverseRoot:
			steps[i].name = t.Name
		case hcl.TraverseAttr:
			steps[i].name = t.Name
		case hcl.TraverseIndex:
			k, err := keyOf(t.Key)
			if err != nil {
				return Addr{}, addrError(s, err.Error())
			}
			steps[i].key = k
		default:
			return Addr{}, addrError(s, "a splat names many resources, an address one")
		}
	}
	a, err := addrFrom(steps)
	if err != nil {
		return Addr{}, addrError(s, err.Error())
	}
	return a, nil
}

type addrStep struct {
	name string // empty for an index
	key  Key
}

func addrFrom(steps []addrStep) (Addr, error) {
	var a Addr
	next := func() (addrStep, bool) {
		if len(steps) == 0 {
			return addrStep{}, false
		}
		s := steps[0]
		steps = steps[1:]
		return s, true
	}
	word := func(what string) (string, error) {
		s, ok := next()
		if !ok || s.name == "" {
			return "", fmt.Errorf("%s is missing", what)
		}
		return s.name, nil
	}
	key := func() Key {
		if len(steps) > 0 && steps[0].name == "" {
			s, _ := next()
			return s.key
		}
		return Key{}
	}

	var path []string
	for len(steps) > 0 && steps[0].name == "module" {
		_, _ = next()
		name, err := word("the module's name")
		if err != nil {
			return a, err
		}
		path = append(path, "module."+name+key().String())
	}
	a.Module = strings.Join(path, ".")
	if len(steps) > 0 && steps[0].name == "data" {
		_, _ = next()
		a.Data = true
	}
	var err error
	if a.Type, err = word("the resource type"); err != nil {
		return a, err
	}
	if a.Name, err = word("the resource's name"); err != nil {
		return a, err
	}
	a.Key = key()
	if len(steps) == 0 {
		return a, nil
	}
	s, _ := next()
	switch Role(s.name) {
	case Head:
		a.Member = Member{Role: Head}
	case Worker:
		group, index := key(), key()
		n, ok := index.Int()
		if index.IsZero() {
			n, ok = EveryWorker, true
		}
		if group.kind != stringKey || !ok {
			return a, fmt.Errorf(`a worker is written .worker["GROUP"][INDEX]`)
		}
		a.Member = Member{Role: Worker, Group: group.s, Index: n}
	default:
		return a, fmt.Errorf("%q is an attribute of the resource, not a part of its address", s.name)
	}
	if len(steps) > 0 {
		return a, fmt.Errorf("it goes on after the member's name")
	}
	return a, nil
}

func keyOf(v cty.Value) (Key, error) {
	switch v.Type() {
	case cty.String:
		return StringKey(v.AsString()), nil
	case cty.Number:
		f := v.AsBigFloat()
		n, acc := f.Int64()
		if acc != 0 || n < 0 {
			return Key{}, fmt.Errorf("an index is a whole number from 0 up")
		}
		return IntKey(int(n)), nil
	default:
		return Key{}, fmt.Errorf("a key is a number or a string")
	}
}

func addrError(s, why string) error {
	return fmt.Errorf("%q is not a resource address: %s (addresses look like docker_container.web[0] or ray_cluster.pool.worker[\"cpu\"][0])", s, strings.TrimSuffix(why, "."))
}

// quote writes s as an HCL string literal, so that a key with a quote or with
// "${" in it is read back as the same key.
func quote(s string) string {
	return string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes())
}
