package schema

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
)

// Config is what the files of a directory say, parsed and checked for form,
// with nothing evaluated.
type Config struct {
	Dir     string // absolute
	Root    *Module
	Sources map[string][]byte // file name as in diagnostics → content, for snippets
}

// Digests is a hash of each file, by its path from the configuration's folder.
func (c *Config) Digests() map[string]string {
	out := make(map[string]string, len(c.Sources))
	for name, src := range c.Sources {
		out[filepath.Base(name)] = fmt.Sprintf("%x", sha256.Sum256(src))
	}
	return out
}

// Module is one module's blocks. Maps are keyed by the name in the file.
type Module struct {
	Path      string // as in Addr.Module; empty for the root
	Dir       string // absolute
	Settings  Settings
	Variables map[string]*Variable
	Locals    map[string]*Local
	Outputs   map[string]*Output
	Providers map[string]*ProviderConfig // "docker", or "docker.lab" with an alias
	Resources map[Addr]*Resource         // by block address
}

// SortedResources returns the resources in the order of their addresses.
func (m *Module) SortedResources() []*Resource {
	return slices.SortedFunc(maps.Values(m.Resources), func(a, b *Resource) int {
		return CompareAddr(a.Addr, b.Addr)
	})
}

// Settings is the gapool block.
type Settings struct {
	RequiredVersion      string
	RequiredVersionRange hcl.Range
	Stack                string // empty where the configuration does not say
}

// Variable is an input of the module.
type Variable struct {
	Name        string
	Description string
	// Type may have optional attributes: a value's type is without them.
	Type        cty.Type           // cty.DynamicPseudoType where none is given
	Untyped     bool               // no type is given: text from outside stays text
	Defaults    *typeexpr.Defaults // of optional() attributes; may be nil
	Default     cty.Value          // NilVal makes the variable required
	Sensitive   bool
	Nullable    bool
	Validations []Condition
	Range       hcl.Range
}

// Condition is a validation, precondition or postcondition.
type Condition struct {
	Condition    hcl.Expression
	ErrorMessage hcl.Expression
	Range        hcl.Range
}

// Local is one entry of a locals block.
type Local struct {
	Name  string
	Expr  hcl.Expression
	Range hcl.Range
}

// Output is a value that the module gives back.
type Output struct {
	Name          string
	Description   string
	Expr          hcl.Expression
	Sensitive     bool
	DependsOn     []hcl.Traversal
	Preconditions []Condition
	Range         hcl.Range
}

// ProviderConfig is a provider block.
type ProviderConfig struct {
	Name  string // "docker"
	Alias string
	Type  *Type // the provider block's table
	Body  hcl.Body
	Range hcl.Range
}

// Key is the name that resources choose the configuration by.
func (p *ProviderConfig) Key() string {
	if p.Alias == "" {
		return p.Name
	}
	return p.Name + "." + p.Alias
}

// Resource is one resource block.
type Resource struct {
	Addr      Addr  // the block's
	Type      *Type // its table
	Body      hcl.Body
	Count     hcl.Expression // nil where there is none
	ForEach   hcl.Expression // likewise
	Provider  string         // key of the provider configuration, e.g. "docker"
	DependsOn []hcl.Traversal
	Lifecycle Lifecycle
	Range     hcl.Range // of the block's header

	providerRange hcl.Range       // of what chooses the provider
	bodyRefs      []hcl.Traversal // what the body refers to
}

// NamesByWord reports whether an argument is set to something else than a
// reference to a resource of a type and nothing but that.
func (r *Resource) NamesByWord(argument, typ string) bool {
	content, _, _ := r.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: argument}}})
	if content == nil || content.Attributes[argument] == nil {
		return false
	}
	t, diags := hcl.AbsTraversalForExpr(content.Attributes[argument].Expr)
	return diags.HasErrors() || t.RootName() != typ
}

// Lifecycle is a resource's lifecycle block.
type Lifecycle struct {
	CreateBeforeDestroy bool
	// PreventDestroy is nil where the configuration does not say: what was
	// applied last still holds then.
	PreventDestroy     *bool
	IgnoreAll          bool
	IgnoreChanges      []hcl.Traversal // relative
	ReplaceTriggeredBy []hcl.Expression
	Preconditions      []Condition
	Postconditions     []Condition
}
