// Package mem is an in-memory engine for tests. It keeps objects of whatever
// attribute tables it is given, by the rules that Docker keeps, and it
// misbehaves on request.
//
// The types are few: a [World] holds the objects, and outlives the processes
// that connect to it; a [Call] is a moment at which a [Fault] may strike; what
// people do behind our back are methods of World.
//
// What it takes from the tables:
//
//   - A type with a Demand attribute (must_run) runs: it is created, started
//     and becomes ready in three calls, and the attribute reads as "it runs".
//     Its attribute "start" set to false leaves out the last two.
//   - A HoldsData type has its name for its ID, as Docker's volumes do.
//   - A ByName type is a tag: creating it again moves the tag, and it has no
//     owner. Its ID follows from its name and from what Type.Derive computed.
//   - A Virtual type has no object.
//   - A computed attribute that nobody set gets a value that follows from the
//     ID; "id" and, of a docker_image, "image_id" are the ID itself.
//   - An attribute of gapool's own (Change None) is not kept.
package mem

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// World is an engine's memory and a provider of connections to it. It is safe
// for concurrent use.
type World struct {
	name    string
	config  *schema.Type
	types   []*schema.Type
	byName  map[string]*schema.Type
	clash   error // a mistake in the tables, told by Connect
	info    providers.Info
	uses    func(kind string, attrs cty.Value) []providers.Ref
	lies    func(kind string, attrs cty.Value) map[string]cty.Value
	lingers func(kind string, attrs cty.Value) time.Duration
	cluster map[string]cluster
	late    int
	busy    func(kind string, claim schema.Claim, goes func(providers.Ref) bool) string
	file    *file

	mu      sync.Mutex
	fault   Fault
	names   map[key]*object
	ids     map[key]*object
	users   map[key]map[*object]bool // by the ID of what is used
	made    map[key]int              // how many objects had that name so far
	clock   int                      // ticks with each object
	lives   int                      // ends with Kill
	pending []*pending
	changed bool // since the file was written
}

// key is a kind with a name, or with an ID.
type key struct{ kind, word string }

// object is one thing in the world. What it shows is worked out at each
// reading from what was wanted of it and from the other objects.
type object struct {
	t       *schema.Type
	id      string
	name    string
	owner   providers.Owner
	created time.Time
	want    cty.Value // as configured; computed attributes are null
	started bool
	running bool
	broken  string
	starts  int // how often volatile attributes changed
	refs    []ref
}

func (o *object) ref() providers.Ref {
	return providers.Ref{Kind: o.t.Name, ID: o.id, Name: o.name}
}

// ref is what an object uses, and the word by which its attributes name it.
type ref struct {
	providers.Ref
	Word string
}

// pending is a call whose process died while the engine was at it.
type pending struct {
	wait   int // refreshes that do not see it yet
	effect func() error
}

// LowerFunc lowers one cluster, as providers.Lowerer does.
type LowerFunc func(addr schema.Addr, want cty.Value, live []*providers.Object, info providers.Info) ([]providers.Member, error)

type cluster struct {
	member string
	lower  LowerFunc
}

// Option changes how a World behaves.
type Option func(*World)

// Uses tells what an object of a kind uses, from its configured attributes. A
// Ref's Name may hold a name or an ID. What is used cannot be deleted, and has
// to exist when its user is created (a HoldsData object comes into being, as
// Docker's volumes do).
func Uses(f func(kind string, attrs cty.Value) []providers.Ref) Option {
	return func(w *World) { w.uses = f }
}

// Defaults tells what an object has where the configuration says nothing: its
// Object.Defaults, and what lies under its Merge attributes. The map has values
// of the table's types. What it leaves out is null, of a collection empty.
func Defaults(f func(kind string, attrs cty.Value) map[string]cty.Value) Option {
	return func(w *World) { w.lies = f }
}

// Lingers tells how long an object with these attributes may take to stop.
func Lingers(f func(kind string, attrs cty.Value) time.Duration) Option {
	return func(w *World) { w.lingers = f }
}

// Cluster gives the virtual type kind members, which are of the type member:
// the World is a Lowerer.
func Cluster(kind, member string, lower LowerFunc) Option {
	return func(w *World) { w.cluster[kind] = cluster{member, lower} }
}

// Late lets a call that was in flight when its process died take effect in
// spite of that, seen by all but the next n refreshes.
func Late(n int) Option {
	return func(w *World) { w.late = n }
}

// Faults asks f before and after each call. See [World.SetFault].
func Faults(f Fault) Option {
	return func(w *World) { w.fault = f }
}

// File keeps the world in a file as JSON, so that several processes share it.
// It is read before each call and written after each change, which makes it
// slow for large worlds. Connect tells if it cannot be read.
func File(path string) Option {
	return func(w *World) { w.file = &file{path: path} }
}

// EngineID gives the engine another ID than the one made from its name.
func EngineID(id string) Option {
	return func(w *World) { w.info.ID = id }
}

// GPUs says how many GPUs the engine's machine has; without it, that is not known.
func GPUs(n int) Option {
	return func(w *World) { w.info.GPUs = &n }
}

// Busy says what else has what clashes with a claim on an object of the kind.
func Busy(kind string, claim schema.Claim, by string) Option {
	return func(w *World) {
		w.busy = func(k string, c schema.Claim, _ func(providers.Ref) bool) string {
			if k == kind && claim.Clashes(c) {
				return by
			}
			return ""
		}
	}
}

// New returns an empty world of objects of these types. The name is the
// provider's, the config its block's table.
func New(name string, config *schema.Type, types []*schema.Type, opts ...Option) *World {
	w := &World{
		name:    name,
		config:  config,
		types:   slices.SortedFunc(slices.Values(types), func(a, b *schema.Type) int { return cmp.Compare(a.Name, b.Name) }),
		byName:  make(map[string]*schema.Type, len(types)),
		info:    providers.Info{ID: "mem:" + name, Host: "mem://" + name, Version: "1", API: "1.41", CPUs: 4, Memory: 8 << 30},
		cluster: map[string]cluster{},
		late:    -1,
	}
	for _, t := range types {
		if w.byName[t.Name] != nil {
			w.clash = fmt.Errorf("mem: two tables are called %s", t.Name)
		}
		w.byName[t.Name] = t
	}
	w.clear()
	for _, opt := range opts {
		opt(w)
	}
	return w
}

func (w *World) clear() {
	w.names = map[key]*object{}
	w.ids = map[key]*object{}
	w.users = map[key]map[*object]bool{}
	w.made = map[key]int{}
	w.clock = 0
}

// Name is the provider's name.
func (w *World) Name() string { return w.name }

// Config is the table of the provider's block.
func (w *World) Config() *schema.Type { return w.config }

// Types are the tables, sorted by name.
func (w *World) Types() []*schema.Type { return slices.Clone(w.types) }

// Connect returns a new connection, as a process of its own would have.
func (w *World) Connect(ctx context.Context, _ cty.Value) (providers.Engine, error) {
	if err := cmp.Or(w.clash, ctx.Err()); err != nil {
		return nil, err
	}
	e := &engine{w: w}
	err := w.locked(func() error {
		e.life = w.lives
		return nil
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Lower lowers a cluster as its Cluster option says.
func (w *World) Lower(addr schema.Addr, want cty.Value, live []*providers.Object, info providers.Info) ([]providers.Member, error) {
	c, ok := w.cluster[addr.Type]
	if !ok {
		return nil, fmt.Errorf("mem: %s is no cluster", addr)
	}
	return c.lower(addr, want, live, info)
}

// locked runs f with the world to itself.
func (w *World) locked(f func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return f()
	}
	return w.file.share(w, f)
}

// find returns the object that a reference names, or nil. What has an ID of
// its own is found by that alone where it is given.
func (w *World) find(r providers.Ref) *object {
	t := w.byName[r.Kind]
	switch {
	case t == nil:
		return nil
	case (t.ByName || t.HoldsData) && r.Name != "", r.ID == "":
		return w.names[key{r.Kind, r.Name}]
	default:
		return w.ids[key{r.Kind, r.ID}]
	}
}

// insert makes the object known. Its name must be free.
func (w *World) insert(o *object) {
	w.names[key{o.t.Name, o.name}] = o
	w.ids[key{o.t.Name, o.id}] = o
	w.hold(o, o.refs)
	w.changed = true
}

func (w *World) remove(o *object) {
	delete(w.names, key{o.t.Name, o.name})
	if k := (key{o.t.Name, o.id}); w.ids[k] == o {
		delete(w.ids, k)
	}
	w.hold(o, nil)
	w.changed = true
}

// hold replaces what an object uses.
func (w *World) hold(o *object, refs []ref) {
	for _, r := range o.refs {
		delete(w.users[key{r.Kind, r.ID}], o)
	}
	o.refs = refs
	for _, r := range refs {
		k := key{r.Kind, r.ID}
		if w.users[k] == nil {
			w.users[k] = map[*object]bool{}
		}
		w.users[k][o] = true
	}
}

// resolve finds what an object with these attributes uses.
func (w *World) resolve(t *schema.Type, want cty.Value) ([]ref, error) {
	if w.uses == nil {
		return nil, nil
	}
	var refs []ref
	for _, u := range w.uses(t.Name, want) {
		ut := w.byName[u.Kind]
		if ut == nil {
			return nil, fmt.Errorf("mem: %s uses a %s, of which there is no table", t.Name, u.Kind)
		}
		word := cmp.Or(u.Name, u.ID)
		o := cmp.Or(w.ids[key{u.Kind, word}], w.names[key{u.Kind, word}])
		if o == nil && ut.HoldsData {
			o = w.make(ut, word, ut.Null(), providers.Owner{})
			w.insert(o)
		}
		if o == nil {
			return nil, fmt.Errorf("no such %s: %s", noun(ut), word)
		}
		refs = append(refs, ref{providers.Ref{Kind: u.Kind, ID: o.id, Name: o.name}, word})
	}
	return refs, nil
}

// epoch is when the first object was created.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// make returns a new object that is not known yet.
func (w *World) make(t *schema.Type, name string, want cty.Value, owner providers.Owner) *object {
	k := key{t.Name, name}
	w.made[k]++
	w.clock++
	o := &object{t: t, name: name, owner: owner, want: want, created: epoch.Add(time.Duration(w.clock) * time.Second)}
	switch {
	case t.HoldsData:
		o.id = name
	case t.ByName:
		// The content of an image is its ID: what was built from the same
		// inputs is the same image.
		o.id, o.owner = "sha256:"+hash(t.Name, name, derived(t, want)), providers.Owner{}
	default:
		// Not a plain counter: under concurrency IDs would depend on who
		// comes first.
		o.id = hash(t.Name, name, strconv.Itoa(w.made[k]))
	}
	return o
}

// derived is what Type.Derive found out about the content of an object.
func derived(t *schema.Type, want cty.Value) string {
	var b strings.Builder
	for i := range t.Attrs {
		a := &t.Attrs[i]
		if v := want.GetAttr(a.Name); a.Computed && a.Block == nil && !v.IsNull() {
			fmt.Fprintf(&b, "%s=%#v\n", a.Name, v)
		}
	}
	return b.String()
}

func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// noun is what people call a type: "container".
func noun(t *schema.Type) string { return t.Name[strings.LastIndexByte(t.Name, '_')+1:] }

// demand is the attribute that reads as "it runs", empty for what does not run.
func demand(t *schema.Type) string {
	for i := range t.Attrs {
		if t.Attrs[i].Demand {
			return t.Attrs[i].Name
		}
	}
	return ""
}

// Clone returns a world like this one that goes its own way from now on, with
// the options changed that are given. Nobody is connected to it, no call is in
// flight, and no fault is set.
func (w *World) Clone(opts ...Option) *World {
	c := New(w.name, w.config, w.types)
	w.must(func() error {
		c.info, c.uses, c.lies, c.lingers, c.cluster, c.late = w.info, w.uses, w.lies, w.lingers, w.cluster, w.late
		c.made, c.clock = maps.Clone(w.made), w.clock
		for _, o := range w.names {
			like := *o
			c.insert(&like)
		}
		return nil
	})
	for _, opt := range opts {
		opt(c)
	}
	return c
}
