package schema

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-version"
	"github.com/zclconf/go-cty/cty"
)

// Type is the attribute table of one resource type (or of a provider block).
// The decoder, the diff, the plan's "forces replacement" and the documentation
// all read it; whatever can be said here is not written in code elsewhere.
type Type struct {
	Name  string // "docker_container"
	Doc   string // one paragraph of Markdown
	Attrs []Attr // arguments, nested blocks and computed attributes

	// Absent are the arguments and blocks that Terraform's Docker provider has
	// here and gapool does not yet, with a sentence on what to do instead; ""
	// for none.
	Absent map[string]string

	// Addition marks a type that Terraform's Docker provider does not have.
	Addition bool
	// ByName marks a type whose live object is found by its name alone, since
	// it cannot carry our labels: an image, which is its tag.
	ByName bool
	// Renames says that the engine can rename the object, so that
	// create_before_destroy can keep the name.
	Renames bool
	// HoldsData marks a type whose deletion loses data: it is deleted only by a
	// step that was approved by name.
	HoldsData bool
	// Virtual marks a type without an object of its own on the engine, such as
	// a cluster, which is its members.
	Virtual bool

	// Validate finds mistakes that need several attributes to see. It is given
	// the normal form, which may hold unknown values, never marked ones.
	Validate func(cty.Value) []Problem
	// Exclusive names what of a value only one object of the engine can have at
	// a time, such as a published port: two such objects cannot be there
	// together. It is given the normal form without marks.
	Exclusive func(cty.Value) []Claim
	// Remarks says what a reader of the plan should know of a wanted value,
	// such as a port that is open to the network, in words that follow the
	// address. It is given the normal form without marks, parts of which may
	// be unknown: what is sensitive is.
	Remarks func(cty.Value) []string
	// Needs says what an object takes of the engine's machine; nil for nothing
	// that is worth a word. It is given the normal form without marks, parts of
	// which may be unknown.
	Needs func(cty.Value) Needs
	// Brings names the objects of other types that the engine makes by itself,
	// unlabelled, where a new object names them and they are not there: the
	// volumes that a container mounts. It is given the normal form without
	// marks, parts of which may be unknown.
	Brings func(cty.Value) []Named
	// Mentions names the objects of other types that a value names where a word may
	// also be something else, so that no row's Names says it: a container's
	// network_mode. It is given what Brings is given.
	Mentions func(cty.Value) []Named
	// Derive fills computed attributes that follow from the configuration and
	// from files, such as the hash of a build's inputs; dir is the folder that
	// relative paths start from. It must not ask the engine.
	Derive func(dir string, v cty.Value) (cty.Value, error)
}

// nullOfRows holds, by the first row of a table that nobody changes any more, the
// value with nothing set and with it the object type, which a plan asks for
// several times for each object.
var nullOfRows sync.Map // *Attr -> cty.Value

func nullOf(attrs []Attr) cty.Value {
	if len(attrs) == 0 {
		return cty.EmptyObjectVal
	}
	if v, ok := nullOfRows.Load(&attrs[0]); ok {
		return v.(cty.Value)
	}
	vals := make(map[string]cty.Value, len(attrs))
	for i := range attrs {
		vals[attrs[i].Name] = cty.NullVal(attrs[i].Implied())
	}
	v := cty.ObjectVal(vals)
	nullOfRows.Store(&attrs[0], v)
	return v
}

// Attr is one row of the table.
type Attr struct {
	Name string
	Doc  string

	// Type is the type of the normal form. For a nested block it is left zero.
	Type cty.Type
	// Block says that this is a nested block and not an argument.
	Block *Block

	Required bool
	Computed bool // the provider sets it where the configuration does not
	// Default stands in where the configuration says nothing; NilVal is none.
	Default cty.Value

	// Change says what a difference leads to.
	Change Change
	// ReplaceIf narrows Replace for an attribute that the engine can change in
	// some cases only; want is null where the configuration says nothing.
	ReplaceIf func(prior, want cty.Value) bool

	// Accept turns the other ways of writing the attribute into Type: a size
	// with its unit, ["K=V"] for a map. Its argument is known and not marked,
	// but may have unknown elements; the result may be unknown for that.
	Accept func(cty.Value) (cty.Value, error)
	// Pairs names the two arguments of a nested block that may be written in
	// place of a map, such as labels { label = "k", value = "v" }.
	Pairs *Pairs
	// Normal brings a value of Type to its normal form, in which equal things
	// are equal. It is given known values without marks.
	Normal func(cty.Value) cty.Value
	// Check reports what is wrong with a known value of Type.
	Check func(cty.Value) error

	// Names says that the attribute names an object of another type, and that
	// the name may come to mean another one: an image's, which is then another
	// image. Of a resource's own attributes it also says which comes first.
	Names *Naming
	// Merge says that what the image sets lies under what is configured (env,
	// labels): only the keys that are configured or were ours are compared.
	Merge bool
	// Demand is for a boolean of which false demands nothing (must_run).
	Demand bool
	// Sensitive values are shown nowhere and never stored in clear.
	Sensitive bool
	// Live values are compared with the engine's and never stored, since they
	// may hold secrets that nobody marked (env).
	Live bool
	// Recorded values are such that the engine does not say them back (the
	// platform that was asked for): compared with what was applied last, and
	// taken to be as wanted where nothing is recorded.
	Recorded bool
	// Volatile values may differ at each reading (an address): never compared,
	// unknown after any change.
	Volatile bool
	// Local values are what one engine calls the object (an ID), or where one
	// machine keeps what it is made from (a path): elsewhere an equal one has
	// others, so they say nothing of what a plan decides.
	Local bool
	// Addition marks what Terraform's Docker provider does not have.
	Addition bool
	// Since is the version of the engine's API that brought the attribute, such
	// as "1.44"; an older engine would pass over it.
	Since string
	// Unit is shown behind a number: "MiB", "s".
	Unit string
}

// Block is a nested block's own table.
type Block struct {
	Nesting  Nesting
	Attrs    []Attr
	Min, Max int // how many there may be; Max 0 is no limit
	// Key names the attributes that tell the elements of a List or Set apart,
	// so that an element is compared with its own live counterpart.
	Key []string
	// Label names the label of a Map block for the documentation.
	Label string
	// Absent is as that of a Type.
	Absent map[string]string
}

// Nesting says how often a block may be written and what it decodes to.
type Nesting int

const (
	Single Nesting = iota // an object, or null
	List                  // a list of objects
	Set                   // a set of objects
	Map                   // a map of objects by the block's label
)

// Change says what a difference between wanted and live leads to.
type Change int

const (
	// None: gapool's own setting, without a counterpart on the engine.
	None Change = iota
	// Update: the engine changes it in place.
	Update
	// Replace: only a new object can have it.
	Replace
)

// Pairs names a nested block's two arguments that make one entry of a map.
type Pairs struct{ Key, Value string }

// Claim is to something that only one object of an engine can have at a time.
type Claim struct {
	Of   string // "port 80/tcp"
	Part string // an address that has it for itself, as 127.0.0.1; "" claims it on all
}

// Clashes reports whether two claims cannot both be met.
func (c Claim) Clashes(d Claim) bool {
	return c.Of == d.Of && (c.Part == "" || d.Part == "" || c.Part == d.Part)
}

func (c Claim) String() string {
	if c.Part == "" {
		return c.Of
	}
	return c.Of + " of " + c.Part
}

// Claims are who has what, each by what it is of.
type Claims[T any] map[string][]claimed[T]

type claimed[T any] struct {
	claim Claim
	by    T
}

// Add notes who has what.
func (c Claims[T]) Add(claim Claim, by T) {
	c[claim.Of] = append(c[claim.Of], claimed[T]{claim, by})
}

// Clashing are those whose claim cannot be met together with this one, in the
// order in which they were added.
func (c Claims[T]) Clashing(claim Claim) (by []T) {
	for _, has := range c[claim.Of] {
		if has.claim.Clashes(claim) {
			by = append(by, has.by)
		}
	}
	return by
}

// Naming is what an attribute names: an object of Type, whose attribute ID says
// which object the name means.
type Naming struct{ Type, ID string }

// Named is an object of a type by its name.
type Named struct{ Type, Name string }

// Named are the objects that a value names, in the order of the table, then
// those of Mentions and of Brings. It is given the normal form without marks, parts of which may be unknown.
func (t *Type) Named(v cty.Value) []Named {
	out := named(t.Attrs, v)
	for _, more := range []func(cty.Value) []Named{t.Mentions, t.Brings} {
		if more != nil && v.IsKnown() && !v.IsNull() {
			out = append(out, more(v)...)
		}
	}
	return out
}

func named(attrs []Attr, v cty.Value) []Named {
	if !v.IsKnown() || v.IsNull() {
		return nil
	}
	var out []Named
	for i := range attrs {
		a := &attrs[i]
		x := v.GetAttr(a.Name)
		switch {
		case !x.IsKnown() || x.IsNull():
		case a.Names != nil:
			out = append(out, Named{a.Names.Type, x.AsString()})
		case a.Block != nil && a.Block.Nesting == Single:
			out = append(out, named(a.Block.Attrs, x)...)
		case a.Block != nil:
			for it := x.ElementIterator(); it.Next(); {
				_, el := it.Element()
				out = append(out, named(a.Block.Attrs, el)...)
			}
		}
	}
	return out
}

// Problem is a mistake found by Type.Validate.
type Problem struct {
	Attr   string // the attribute to point at; may be empty
	Detail string // what is wrong and what to do
}

// Attr returns the row of that name, nil if there is none.
func (t *Type) Attr(name string) *Attr { return findAttr(t.Attrs, name) }

// Attr returns the row of that name, nil if there is none.
func (b *Block) Attr(name string) *Attr { return findAttr(b.Attrs, name) }

func findAttr(attrs []Attr, name string) *Attr {
	for i := range attrs {
		if attrs[i].Name == name {
			return &attrs[i]
		}
	}
	return nil
}

// Settable reports whether the configuration may set the attribute.
func (a *Attr) Settable() bool {
	return a.Required || a.Block != nil || !a.Computed || a.Accept != nil || a.Change != None || a.Default != cty.NilVal
}

// Implied returns the type of the attribute's normal form.
func (a *Attr) Implied() cty.Type {
	if a.Block == nil {
		return a.Type
	}
	obj := nullOf(a.Block.Attrs).Type()
	switch a.Block.Nesting {
	case List:
		return cty.List(obj)
	case Set:
		return cty.Set(obj)
	case Map:
		return cty.Map(obj)
	default:
		return obj
	}
}

// Implied returns the object type of a resource in its normal form.
func (t *Type) Implied() cty.Type { return nullOf(t.Attrs).Type() }

// Null returns the resource's value with nothing set.
func (t *Type) Null() cty.Value { return nullOf(t.Attrs) }

// Newer returns the paths of the attributes that a value sets though the
// engine's API, of the version api, does not have them yet, with the version
// that does, in the order of the table. The value is in normal form.
func (t *Type) Newer(v cty.Value, api *version.Version) []Newer {
	return newer(t.Attrs, "", Bare(v), api)
}

// Newer is an attribute that an engine is too old for.
type Newer struct{ Path, Since string }

func newer(attrs []Attr, in string, v cty.Value, api *version.Version) []Newer {
	if !v.IsKnown() || v.IsNull() {
		return nil
	}
	var out []Newer
	for i := range attrs {
		a := &attrs[i]
		x := v.GetAttr(a.Name)
		switch {
		case x.IsNull():
		case a.Since != "" && api.LessThan(version.Must(version.NewVersion(a.Since))):
			out = append(out, Newer{in + a.Name, a.Since})
		case a.Block != nil && a.Block.Nesting == Single:
			out = append(out, newer(a.Block.Attrs, in+a.Name+".", x, api)...)
		case a.Block != nil && x.IsKnown():
			for it := x.ElementIterator(); it.Next(); {
				_, el := it.Element()
				out = append(out, newer(a.Block.Attrs, in+a.Name+".", el, api)...)
			}
		}
	}
	return out
}

// Build returns a value of the type from some of its attributes, the others
// null. It panics on an attribute that the table does not have or of another
// type than the table says, since that is a mistake in a provider's code.
func (t *Type) Build(set map[string]cty.Value) cty.Value {
	return buildObject(t.Name, t.Attrs, set)
}

// Build does the same for an element of the block.
func (b *Block) Build(set map[string]cty.Value) cty.Value {
	return buildObject("block", b.Attrs, set)
}

func buildObject(where string, attrs []Attr, set map[string]cty.Value) cty.Value {
	vals := make(map[string]cty.Value, len(attrs))
	used := 0
	for i := range attrs {
		a := &attrs[i]
		ty := a.Implied()
		v, ok := set[a.Name]
		switch {
		case !ok || v == cty.NilVal:
			vals[a.Name] = cty.NullVal(ty)
		case !v.Type().Equals(ty):
			panic(where + "." + a.Name + " is a " + v.Type().FriendlyName() + ", the table says " + ty.FriendlyName())
		default:
			vals[a.Name] = v
		}
		if ok {
			used++
		}
	}
	if used != len(set) {
		var extra []string
		for name := range set {
			if findAttr(attrs, name) == nil {
				extra = append(extra, name)
			}
		}
		slices.SortFunc(extra, cmp.Compare)
		panic(where + " has no attribute " + strings.Join(extra, ", "))
	}
	return cty.ObjectVal(vals)
}

// With returns the object v with some attributes set to other values.
func With(v cty.Value, set map[string]cty.Value) cty.Value {
	if len(set) == 0 {
		return v
	}
	vals := v.AsValueMap()
	maps.Copy(vals, set)
	return cty.ObjectVal(vals)
}
