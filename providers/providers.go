// Package providers is the contract between the engine and whatever keeps
// objects: a Provider knows tables and connects to an Engine; an Engine reads
// the World and has one Resource for each type; a Resource has four verbs.
//
// # What a provider promises
//
//   - Every object that Create makes carries the Owner's labels from the very
//     call that makes it, so that no instant exists in which it is unknown.
//   - Refresh and Read change nothing. Only a definite "not found" is
//     ErrNotFound; any other failure is an error, never an absence.
//   - An object's Attrs are in the table's normal form, so that an attribute
//     equals its configuration if and only if nothing is to be done.
//   - Create returns what exists of a half-made object beside its error.
//   - A known value of Request.Want is what the object has afterwards, or the
//     verb fails; a provider never substitutes.
//   - An error wrapped by NoEffect left the world as it was. Any other error
//     of a changing verb may have taken effect.
//   - Verbs act on the ID that they are given and never look for another one.
package providers

import (
	"context"
	"errors"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/schema"
)

// Provider is a family of resource types behind one kind of connection.
type Provider interface {
	// Name is the name in provider blocks: "docker".
	Name() string
	// Config is the table of the provider block.
	Config() *schema.Type
	// Types are the tables of its resources, sorted by name.
	Types() []*schema.Type
	// Connect reaches the engine that cfg (in the table's normal form, wholly
	// known) describes. It changes nothing.
	Connect(ctx context.Context, cfg cty.Value) (Engine, error)
}

// Engine is a connected Docker engine, or what stands in for one.
// It may be used by many goroutines at once.
type Engine interface {
	Info() Info
	// Refresh reads all that the plan needs, in one list for each kind and one
	// bounded inspect for each object of ours.
	Refresh(ctx context.Context, scope Scope) (*World, error)
	// Resource returns the verbs for the objects behind an address: of its
	// type, or of a cluster's member. Nil if the provider has no such type.
	Resource(addr schema.Addr) Resource
	Close() error
}

// Info is what an engine says of itself.
type Info struct {
	ID      string // the engine's own, stable while it lives
	Host    string // for people: "unix:///var/run/docker.sock"
	Version string
	API     string // the version of its API that is spoken: "1.41"; empty where there is none
	CPUs    int
	Memory  int64 // bytes
	GPUs    *int  // that a container can be given; nil where that is not known
}

// Scope says what to read: the objects of a stack and workspace of any
// lineage, and what the state has recorded besides.
type Scope struct {
	Stack, Workspace string
	Recorded         []Ref
}

// Ref names an object on an engine. ID is empty for a volume, which has none
// but its name, and where the question is what a name ByName means now.
type Ref struct {
	Kind, ID, Name string
}

// World is what Refresh read.
type World struct {
	// Objects are those of the scope, sorted by kind, name, ID.
	Objects []*Object
	// Named finds an object of a kind by its name, ours or not: what holds a
	// name that a create will need, and the types that are known ByName.
	Named func(kind, name string) (*Object, bool)
	// Held finds the objects of a kind, ours or not, that have what clashes with a
	// claim that a table's Exclusive names, now and while they run: a published port.
	Held func(kind string, claim schema.Claim) []Ref
	// Busy says in words what else on the engine's machine, that is no object, has
	// what clashes with such a claim and keeps it when the objects are gone that goes
	// reports. It is "" where nothing does or where that cannot be known for certain.
	Busy func(kind string, claim schema.Claim, goes func(Ref) bool) string
	// Warnings are for the person, such as a cluster that could not be asked.
	Warnings []string
}

// Owner is what our labels say of an object.
type Owner struct {
	Stack, Workspace, Lineage string
	UID                       string // unique for each attempt to create
	Address                   string // a hint: it goes stale when things are moved
	Deps                      []schema.Addr
}

// Object is one live thing.
type Object struct {
	Kind    string // the resource type: "docker_container"
	ID      string // a volume's is its name
	Name    string
	Owner   Owner     // zero for what is not ours
	Created time.Time // zero where the engine does not say
	// Attrs is the object in the normal form of its table, computed attributes
	// included. For what is not ours it may be left NilVal.
	Attrs cty.Value
	// Defaults is what an attribute has where the configuration leaves it out:
	// the image's or the engine's value. Null: anything is accepted.
	Defaults cty.Value
	// Started is false for a container that was never started: a create that
	// did not come to its end.
	Started bool
	// State is how it is, in the engine's words: "running (healthy)", "exited
	// (1)"; Since is when that began. For people only; both may be zero.
	State string
	Since time.Time
	// Broken says why the object cannot be kept, in words that follow "since";
	// empty for a sound one. A stopped container is not broken.
	Broken string
	// Work is what runs in the object and would end with it, each by a name:
	// "job raysubmit_1".
	Work []string
	// Uses are the objects that cannot be deleted before this one: a
	// container's networks and volumes.
	Uses []Ref
	// Users are those that hold this object, ours or not.
	Users []Ref
	// Detail is the provider's own, for Lower; it is not recorded.
	Detail any
}

// Ref returns the reference to the object.
func (o *Object) Ref() Ref { return Ref{Kind: o.Kind, ID: o.ID, Name: o.Name} }

// Request is what a changing verb is given.
type Request struct {
	Addr schema.Addr
	// Owner goes into the labels of a Create.
	Owner Owner
	// Name is the engine's name for a Create: Want's, or another one for a
	// candidate that takes the name later.
	Name string
	// Want is the wanted value in normal form, wholly known, without marks;
	// null for a Delete. Computed attributes may be null.
	Want cty.Value
	// Sensitive are the strings in Want that its marks said are secrets, the
	// longest first: no error and no Progress may quote them.
	Sensitive []string
	// Cluster is, for a member, the value of its cluster: as it is wanted or,
	// where the cluster goes too, as far as it was recorded. NilVal for other
	// objects, and where nothing is known of it.
	Cluster cty.Value
	// Prior is the object as it was planned for; nil for a Create.
	Prior *Object
	// Changed are the attributes that an Update is for, sorted.
	Changed []string
	// Lead is, for a Delete, the object that Prior follows and that is deleted
	// after it: what keeps that one has to keep this one. Nil if it stays.
	Lead *Object
	// Ends is the work that was allowed, by name, to end with Prior or Lead.
	Ends []string
	// Force lets a verb go on where running work, or not knowing of any, speaks
	// against it.
	Force bool
	// Dir is the folder that relative paths start from.
	Dir string
	// Files are put into a container before its start. They are secrets: not
	// part of Want, compared with nothing and recorded nowhere.
	Files []File
	// Report tells a person how far a long verb is. It is never nil.
	Report func(Progress)
}

// File is one file for a container, readable by the container's user only.
type File struct {
	Path    string // absolute; its folders are made where they are missing
	Content []byte
}

// Progress is one piece of news of a long verb.
type Progress struct {
	// Stage says in a few words what is being waited for: "pulling",
	// "waiting for Ray to list the node".
	Stage string
	// Line is a line of a log, such as a build's; it may be empty.
	Line string
	// Done and Total count bytes or parts where they are known.
	Done, Total int64
}

// Resource has the verbs for one type. All are safe for concurrent use.
type Resource interface {
	Type() *schema.Type
	// Create makes the object and waits until it is ready. With an error it
	// returns what exists of the object, or nil.
	Create(ctx context.Context, req *Request) (*Object, error)
	// Update changes Prior in place and returns it as it is afterwards, also
	// beside an error where it can be read.
	Update(ctx context.Context, req *Request) (*Object, error)
	// Delete removes Prior. What is gone already is a success.
	Delete(ctx context.Context, req *Request) error
	// Read returns the object that ref names: ErrNotFound only if the engine
	// says that it does not exist. Of a type ByName it is what the name means
	// now, whatever the ID, and an object that names it by a word is read as
	// such only while the word means what the object was made with.
	Read(ctx context.Context, ref Ref) (*Object, error)
}

// Renamer is a Resource whose objects can be renamed.
type Renamer interface {
	Rename(ctx context.Context, obj *Object, name string) (*Object, error)
}

// Lingerer is a Resource whose Delete may have an effect long after its caller
// died: a stop that gives a container its time to end.
type Lingerer interface {
	// Linger is how much longer than that of another call it may take.
	Linger(req *Request) time.Duration
}

// Lowerer is a Provider some of whose types are made of others: a cluster of
// its members.
type Lowerer interface {
	// Lower returns the wanted members of the cluster. It is pure: want is the
	// cluster's value, which may hold unknown values but no marks, and what
	// follows from an unknown value is unknown in a member; live are
	// the objects that are the cluster's members now, with their addresses in
	// Owner.Address; info is zero where no engine was asked. A live member that
	// stays keeps its address; one that is not returned is to be deleted.
	Lower(addr schema.Addr, want cty.Value, live []*Object, info Info) ([]Member, error)
}

// Member is one part of a cluster.
type Member struct {
	Addr schema.Addr
	Type *schema.Type // the table of Want
	Want cty.Value
	// Needs are the members that must be ready before this one is made.
	Needs []schema.Addr
	// Follows are the members without which this one cannot live: it is made
	// anew whenever they are, and deleted before them.
	Follows []schema.Addr
	// AtOnce bounds how many members of its group are replaced at the same
	// time; 0 is no bound.
	AtOnce int
}

// ErrNotFound says that an object does not exist: the engine said so.
var ErrNotFound = errors.New("not found")

// ErrConflict says that a name or another thing that must be unique is taken.
var ErrConflict = errors.New("conflict")

type noEffect struct{ err error }

func (e noEffect) Error() string { return e.err.Error() }
func (e noEffect) Unwrap() error { return e.err }

// NoEffect marks an error after which the world is known to be as before.
func NoEffect(err error) error {
	if err == nil {
		return nil
	}
	return noEffect{err}
}

// HadNoEffect reports whether the error is marked by NoEffect.
func HadNoEffect(err error) bool {
	var e noEffect
	return errors.As(err, &e)
}
