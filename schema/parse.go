package schema

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// Load reads the configuration files of a directory, *.gapool.hcl and
// *.gapool.json in the order of their names, and checks their form. types are
// the tables of the resources, providerTypes those of the provider blocks by
// the provider's name. Nothing is evaluated but literal settings.
//
// The Config is never nil: with errors it still has the Sources that
// WriteDiagnostics needs. Only without errors is the rest of it complete.
func Load(dir string, types []*Type, providerTypes map[string]*Type) (*Config, hcl.Diagnostics) {
	cfg := &Config{
		Dir: dir,
		Root: &Module{
			Dir:       dir,
			Variables: map[string]*Variable{},
			Locals:    map[string]*Local{},
			Outputs:   map[string]*Output{},
			Providers: map[string]*ProviderConfig{},
			Resources: map[Addr]*Resource{},
		},
		Sources: map[string][]byte{},
	}
	if abs, err := filepath.Abs(dir); err == nil {
		cfg.Dir, cfg.Root.Dir = abs, abs
	}
	names, diags := configFiles(dir)
	if diags.HasErrors() {
		return cfg, diags
	}
	l := &loader{module: cfg.Root, types: map[string]*Type{}, specs: map[string]hcldec.Spec{}, providerTypes: providerTypes}
	for _, t := range types {
		l.types[t.Name], l.specs[t.Name] = t, t.Spec()
	}
	parser := hclparse.NewParser()
	for _, name := range names {
		src, err := os.ReadFile(name)
		if err != nil {
			diags = append(diags, problem("Cannot read a configuration file", "%s", err))
			continue
		}
		cfg.Sources[name] = src
		file, d := parse(parser, name, src)
		diags = append(diags, d...)
		// What could be parsed of a file with syntax errors would only lead to
		// errors about what the rest of it declares.
		if !d.HasErrors() {
			diags = append(diags, l.file(file.Body)...)
		}
	}
	if !diags.HasErrors() {
		diags = append(diags, l.checkProviders()...)
	}
	return cfg, diags
}

func parse(p *hclparse.Parser, name string, src []byte) (*hcl.File, hcl.Diagnostics) {
	if strings.HasSuffix(name, ".json") {
		return p.ParseJSON(src, name)
	}
	return p.ParseHCL(src, name)
}

// configFiles lists the configuration files as they are named in diagnostics:
// with dir as it was given, so that a person can open them.
func configFiles(dir string) ([]string, hcl.Diagnostics) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, hcl.Diagnostics{problem("Cannot read the configuration directory", "%s", err)}
	}
	var names, terraform []string
	for _, e := range entries {
		name := e.Name()
		switch {
		case e.IsDir() || strings.HasPrefix(name, "."):
		case strings.HasSuffix(name, ".gapool.hcl"), strings.HasSuffix(name, ".gapool.json"):
			names = append(names, filepath.Join(dir, name))
		case strings.HasSuffix(name, ".tf"), strings.HasSuffix(name, ".tf.json"):
			terraform = append(terraform, name)
		}
	}
	if len(names) > 0 {
		return names, nil
	}
	where := dir
	if dir == "." {
		where = "this directory"
	}
	detail := fmt.Sprintf("gapool reads the files *.gapool.hcl and *.gapool.json of a directory, and there is none in %s. "+
		"Change to the directory of the configuration or name it with -chdir=DIR.", where)
	if len(terraform) > 0 {
		old := terraform[0]
		renamed := strings.TrimSuffix(old, ".tf") + ".gapool.hcl"
		if base, ok := strings.CutSuffix(old, ".tf.json"); ok {
			renamed = base + ".gapool.json"
		}
		detail = fmt.Sprintf("gapool reads the files *.gapool.hcl and *.gapool.json of a directory. In %s there are files for Terraform: "+
			"rename them to use them here, such as %s to %s.", where, old, renamed)
	}
	return nil, hcl.Diagnostics{problem("No configuration files", "%s", detail)}
}

// loader fills one module from its files.
type loader struct {
	module        *Module
	types         map[string]*Type
	specs         map[string]hcldec.Spec // of the types, made once
	providerTypes map[string]*Type
	settings      *hcl.Range // of the gapool block
}

var rootSchema = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
	{Type: "gapool"},
	{Type: "terraform"},
	{Type: "variable", LabelNames: []string{"name"}},
	{Type: "locals"},
	{Type: "output", LabelNames: []string{"name"}},
	{Type: "provider", LabelNames: []string{"name"}},
	{Type: "resource", LabelNames: []string{"type", "name"}},
	{Type: "module", LabelNames: []string{"name"}},
	{Type: "data", LabelNames: []string{"type", "name"}},
	{Type: "moved"},
	{Type: "import"},
	{Type: "removed"},
	{Type: "check", LabelNames: []string{"name"}},
}}

// later are the blocks of the language that this version does not have, with
// what can be done instead.
var later = map[string]string{
	"module":  "Write the module's resources into this directory for now.",
	"data":    "Pass what it would read as a variable for now.",
	"moved":   "Rename the block back for now, or let the object be replaced.",
	"import":  "Remove the block; objects that carry this stack's labels are found without it.",
	"removed": "Delete the resource's block instead; its object is destroyed then.",
	"check":   "Use a precondition or a postcondition in a lifecycle block.",
}

func (l *loader) file(body hcl.Body) hcl.Diagnostics {
	content, diags := body.Content(rootSchema)
	for _, b := range content.Blocks {
		switch b.Type {
		case "gapool":
			diags = append(diags, l.gapool(b)...)
		case "terraform":
			diags = append(diags, terraformBlock(b)...)
		case "variable":
			diags = append(diags, l.variable(b)...)
		case "locals":
			diags = append(diags, l.locals(b)...)
		case "output":
			diags = append(diags, l.output(b)...)
		case "provider":
			diags = append(diags, l.provider(b)...)
		case "resource":
			diags = append(diags, l.resource(b)...)
		default:
			diags = append(diags, problemAt(b.DefRange, "Block not supported yet",
				"%s blocks are not supported by this version of gapool. %s", b.Type, later[b.Type]))
		}
	}
	return diags
}

func (l *loader) gapool(b *hcl.Block) hcl.Diagnostics {
	if l.settings != nil {
		return hcl.Diagnostics{duplicate(b.DefRange, *l.settings, "gapool block", "Put all settings into one block.")}
	}
	l.settings = &b.DefRange
	content, diags := b.Body.Content(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{
		{Name: "required_version"}, {Name: "stack"},
	}})
	s := &l.module.Settings
	if a, ok := content.Attributes["required_version"]; ok {
		var d hcl.Diagnostics
		s.RequiredVersion, d = literalString(a)
		s.RequiredVersionRange = a.Expr.Range()
		if _, err := version.NewConstraint(s.RequiredVersion); err != nil && !d.HasErrors() {
			d = append(d, problemAt(a.Expr.Range(), "Invalid version constraint",
				`%q is not a version constraint; write one such as ">= 0.3, < 1.0".`, s.RequiredVersion))
		}
		diags = append(diags, d...)
	}
	if a, ok := content.Attributes["stack"]; ok {
		var d hcl.Diagnostics
		s.Stack, d = literalString(a)
		if !d.HasErrors() && !validStack(s.Stack) {
			d = append(d, problemAt(a.Expr.Range(), "Invalid stack name",
				"A stack's name has up to 63 letters, digits, dots, dashes and underscores, and begins with a letter or a digit."))
		}
		diags = append(diags, d...)
	}
	return diags
}

func validStack(s string) bool {
	for i, r := range s {
		alnum := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !alnum && (i == 0 || !strings.ContainsRune("._-", r)) {
			return false
		}
	}
	return s != "" && len(s) <= 63
}

// terraformBlock accepts the block, so that a renamed configuration works, but
// not the settings that would be expected to have an effect.
func terraformBlock(b *hcl.Block) hcl.Diagnostics {
	content, _, diags := b.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
		{Type: "backend", LabelNames: []string{"type"}}, {Type: "cloud"},
	}})
	for _, inner := range content.Blocks {
		diags = append(diags, problemAt(inner.DefRange, "No "+inner.Type+" to configure",
			"gapool keeps its state in .gapool/WORKSPACE beside the configuration, and finds the stack's objects by their labels where no state is at hand. "+
				"Remove the block; to keep the state elsewhere, set -state-dir or GAPOOL_STATE_DIR."))
	}
	return diags
}

func (l *loader) locals(b *hcl.Block) hcl.Diagnostics {
	attrs, diags := b.Body.JustAttributes()
	for _, a := range attributesInOrder(attrs) {
		if d := validName(a.Name, a.NameRange, "a local value"); d != nil {
			diags = append(diags, d)
			continue
		}
		if old, ok := l.module.Locals[a.Name]; ok {
			diags = append(diags, duplicate(a.NameRange, old.Range, fmt.Sprintf("local value %q", a.Name), "Rename or remove one of them."))
			continue
		}
		l.module.Locals[a.Name] = &Local{Name: a.Name, Expr: a.Expr, Range: a.NameRange}
	}
	return diags
}

func (l *loader) output(b *hcl.Block) hcl.Diagnostics {
	o := &Output{Name: b.Labels[0], Range: b.DefRange}
	if d := validName(o.Name, b.LabelRanges[0], "an output"); d != nil {
		return hcl.Diagnostics{d}
	}
	if old, ok := l.module.Outputs[o.Name]; ok {
		return hcl.Diagnostics{duplicate(b.DefRange, old.Range, fmt.Sprintf("output %q", o.Name), "Rename or remove one of them.")}
	}
	l.module.Outputs[o.Name] = o
	content, diags := b.Body.Content(&hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{
			{Name: "value", Required: true}, {Name: "description"}, {Name: "sensitive"}, {Name: "depends_on"},
		},
		Blocks: []hcl.BlockHeaderSchema{{Type: "precondition"}},
	})
	if a, ok := content.Attributes["value"]; ok {
		o.Expr = a.Expr
	}
	var d hcl.Diagnostics
	if a, ok := content.Attributes["description"]; ok {
		o.Description, d = literalString(a)
		diags = append(diags, d...)
	}
	if a, ok := content.Attributes["sensitive"]; ok {
		o.Sensitive, d = literalBool(a)
		diags = append(diags, d...)
	}
	if a, ok := content.Attributes["depends_on"]; ok {
		o.DependsOn, d = dependsOn(a.Expr)
		diags = append(diags, d...)
	}
	for _, inner := range content.Blocks {
		c, d := condition(inner)
		diags = append(diags, d...)
		o.Preconditions = append(o.Preconditions, c)
	}
	return diags
}

func (l *loader) provider(b *hcl.Block) hcl.Diagnostics {
	p := &ProviderConfig{Name: b.Labels[0], Range: b.DefRange}
	p.Type = l.providerTypes[p.Name]
	if p.Type == nil {
		return hcl.Diagnostics{problemAt(b.LabelRanges[0], "Unknown provider",
			"gapool has no provider %q.%s It loads no plugins: %s", p.Name, didYouMean(p.Name, sortedKeys(l.providerTypes)), foreignAdvice(p.Name+"_"))}
	}
	content, remain, diags := b.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "alias"}}})
	p.Body = remain
	if a, ok := content.Attributes["alias"]; ok {
		var d hcl.Diagnostics
		if p.Alias, d = literalString(a); !d.HasErrors() {
			if bad := validName(p.Alias, a.Expr.Range(), "an alias"); bad != nil {
				d = append(d, bad)
			}
		}
		if diags = append(diags, d...); d.HasErrors() {
			return diags
		}
	}
	if old, ok := l.module.Providers[p.Key()]; ok {
		return append(diags, duplicate(b.DefRange, old.Range, "configuration of the provider "+p.Key(),
			"Give one of them an alias, and choose it in resources with provider = "+p.Name+".ALIAS."))
	}
	l.module.Providers[p.Key()] = p
	return append(diags, checkBody(p.Body, p.Type.Spec(), p.Type.Attrs, p.Type.Absent)...)
}

// checkProviders reports resources whose provider argument chooses what no
// provider block configures. The configuration without an alias may be absent.
func (l *loader) checkProviders() hcl.Diagnostics {
	var diags hcl.Diagnostics
	known := sortedKeys(l.module.Providers)
	for name := range l.providerTypes {
		if !slices.Contains(known, name) {
			known = append(known, name)
		}
	}
	slices.Sort(known)
	for _, r := range l.module.SortedResources() {
		if !slices.Contains(known, r.Provider) {
			diags = append(diags, problemAt(r.providerRange, "Unknown provider configuration",
				"There is no provider configuration %s.%s Declare it in a provider block with its alias.", r.Provider, didYouMean(r.Provider, known)))
		}
	}
	return diags
}

// condition decodes a validation, precondition or postcondition.
func condition(b *hcl.Block) (Condition, hcl.Diagnostics) {
	c := Condition{Range: b.DefRange}
	content, diags := b.Body.Content(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{
		{Name: "condition", Required: true}, {Name: "error_message", Required: true},
	}})
	if a, ok := content.Attributes["condition"]; ok {
		c.Condition = a.Expr
	}
	if a, ok := content.Attributes["error_message"]; ok {
		c.ErrorMessage = a.Expr
	}
	return c, diags
}

func dependsOn(expr hcl.Expression) ([]hcl.Traversal, hcl.Diagnostics) {
	exprs, diags := hcl.ExprList(expr)
	var out []hcl.Traversal
	for _, e := range exprs {
		t, d := hcl.AbsTraversalForExpr(e)
		diags = append(diags, d...)
		if !d.HasErrors() {
			out = append(out, t)
		}
	}
	return out, diags
}

// literal evaluates a setting that cannot depend on anything. A null counts as
// not written: the result is null then, of the wanted type.
func literal(a *hcl.Attribute, want cty.Type) (cty.Value, hcl.Diagnostics) {
	v, diags := a.Expr.Value(nil)
	if diags.HasErrors() {
		for _, d := range diags {
			d.Detail = fmt.Sprintf("%s must be a literal value, known before anything is evaluated.", a.Name)
		}
		return cty.NullVal(want), diags
	}
	v, err := convert.Convert(v, want)
	if err != nil {
		return cty.NullVal(want), append(diags, problemAt(a.Expr.Range(), "Invalid value for "+a.Name, "Here %s.", err))
	}
	return v, diags
}

func literalString(a *hcl.Attribute) (string, hcl.Diagnostics) {
	v, diags := literal(a, cty.String)
	if v.IsNull() {
		return "", diags
	}
	return v.AsString(), diags
}

func literalBool(a *hcl.Attribute) (bool, hcl.Diagnostics) {
	v, diags := literal(a, cty.Bool)
	return !v.IsNull() && v.True(), diags
}

func validName(name string, rng hcl.Range, what string) *hcl.Diagnostic {
	if hclsyntax.ValidIdentifier(name) {
		return nil
	}
	return problemAt(rng, "Invalid name", "%q cannot be the name of %s: a name begins with a letter or an underscore and goes on with letters, digits, underscores and dashes.", name, what)
}
