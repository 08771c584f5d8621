package engine

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/gapool/gapool/schema"
)

// Evaluator gives the configuration's expressions their values. The planner
// fills it with planned values, unknown where Docker will choose; the apply
// fills a fresh one with what came to be. A value is asked for only when all
// that it refers to has been set, which the order of steps sees to, so what is
// computed once is kept.
//
// It is safe for concurrent use.
type Evaluator struct {
	cfg       *schema.Config
	vars      map[string]cty.Value
	workspace string
	functions map[string]function.Function

	filesMu sync.Mutex
	files   map[string][sha256.Size]byte // that functions have read, by path

	mu         sync.Mutex
	expansions map[schema.Addr]*Expansion // by block
	instances  map[schema.Addr]cty.Value  // by instance
	blocks     map[schema.Addr]cty.Value  // by block, put together from instances
	locals     map[string]cty.Value       // by name
	contexts   map[any]*hcl.EvalContext   // by *schema.Resource: what all its instances see
}

// Secrets are the strings of the sensitive variables.
func (e *Evaluator) Secrets() []string {
	if len(e.vars) == 0 {
		return nil
	}
	return schema.Secrets(cty.ObjectVal(e.vars))
}

// Expansion is the instances of one block.
type Expansion struct {
	Keys     []schema.Key // in order; one zero Key without count and for_each
	each     map[schema.Key]cty.Value
	many     bool
	byString bool
}

// NewEvaluator returns an evaluator that knows the variables only. vars holds
// every variable of the root module, converted and marked.
func NewEvaluator(cfg *schema.Config, vars map[string]cty.Value, workspace string) *Evaluator {
	e := &Evaluator{
		cfg: cfg, vars: vars, workspace: workspace,
		files:      map[string][sha256.Size]byte{},
		expansions: map[schema.Addr]*Expansion{},
		instances:  map[schema.Addr]cty.Value{},
		blocks:     map[schema.Addr]cty.Value{},
		locals:     map[string]cty.Value{},
		contexts:   map[any]*hcl.EvalContext{},
	}
	e.functions = schema.Functions(cfg.Root.Dir, func(path string, content []byte) {
		sum := sha256.Sum256(content)
		e.filesMu.Lock()
		defer e.filesMu.Unlock()
		e.files[path] = sum
	})
	return e
}

// Files are the hashes of the files that functions have read so far, by the path
// as it was written. A file may hold a secret, so they are kept nowhere.
func (e *Evaluator) Files() map[string][sha256.Size]byte {
	e.filesMu.Lock()
	defer e.filesMu.Unlock()
	return maps.Clone(e.files)
}

// Fresh returns an evaluator of the same configuration and expansions that
// knows the same instances but those that are pending: what the apply starts
// from.
func (e *Evaluator) Fresh(pending func(schema.Addr) bool) *Evaluator {
	f := NewEvaluator(e.cfg, e.vars, e.workspace)
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.Copy(f.expansions, e.expansions)
	for addr, v := range e.instances {
		if !pending(addr) {
			f.instances[addr] = v
		}
	}
	return f
}

// Config returns the configuration that is evaluated.
func (e *Evaluator) Config() *schema.Config { return e.cfg }

// Set records the value of an instance of a resource.
func (e *Evaluator) Set(addr schema.Addr, v cty.Value) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.instances[addr] = v
}

// Instance returns the recorded value of an instance.
func (e *Evaluator) Instance(addr schema.Addr) (cty.Value, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	v, ok := e.instances[addr]
	return v, ok
}

// Expansion returns what Expand found for a block, nil where it was not asked.
func (e *Evaluator) Expansion(block schema.Addr) *Expansion {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.expansions[block]
}

// Expand evaluates count or for_each and remembers the instances.
func (e *Evaluator) Expand(r *schema.Resource) (*Expansion, hcl.Diagnostics) {
	x := &Expansion{Keys: []schema.Key{{}}}
	var diags hcl.Diagnostics
	switch {
	case r.Count != nil:
		x.many, x.Keys = true, nil
		var n int
		n, diags = e.count(r.Count)
		for i := range n {
			x.Keys = append(x.Keys, schema.IntKey(i))
		}
	case r.ForEach != nil:
		x.many, x.byString, x.Keys = true, true, nil
		var each map[string]cty.Value
		each, diags = e.forEach(r.ForEach)
		x.each = make(map[schema.Key]cty.Value, len(each))
		for _, k := range slices.Sorted(maps.Keys(each)) {
			key := schema.StringKey(k)
			x.Keys = append(x.Keys, key)
			x.each[key] = each[k]
		}
	}
	if diags.HasErrors() {
		return nil, diags
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.expansions[r.Addr] = x
	return x, diags
}

func (e *Evaluator) count(expr hcl.Expression) (int, hcl.Diagnostics) {
	v, diags := e.Expr(expr, cty.Number)
	if diags.HasErrors() {
		return 0, diags
	}
	bad := func(detail string) (int, hcl.Diagnostics) {
		return 0, append(diags, exprError(expr, "Invalid count", detail))
	}
	switch v, marks := v.Unmark(); {
	case len(marks) > 0:
		return bad("The count is sensitive, and how many instances there are cannot be hidden. Use nonsensitive() if the number is no secret.")
	case v.IsNull():
		return bad("The count is null; give a whole number from 0 up.")
	case !v.IsKnown():
		return bad("The count depends on a value that is known only after an apply, so the plan cannot say what will be created. Use a variable, or apply what it depends on first with -target.")
	default:
		n, acc := v.AsBigFloat().Int64()
		if acc != 0 || n < 0 {
			return bad("The count must be a whole number from 0 up.")
		}
		return int(n), diags
	}
}

func (e *Evaluator) forEach(expr hcl.Expression) (map[string]cty.Value, hcl.Diagnostics) {
	v, diags := e.Expr(expr, cty.DynamicPseudoType)
	if diags.HasErrors() {
		return nil, diags
	}
	bad := func(detail string) (map[string]cty.Value, hcl.Diagnostics) {
		return nil, append(diags, exprError(expr, "Invalid for_each", detail))
	}
	v, marks := v.Unmark()
	ty := v.Type()
	switch {
	case len(marks) > 0:
		return bad("The for_each value is sensitive, and its keys become addresses, which are shown. Use nonsensitive() on the keys if they are no secret.")
	case v.IsNull():
		return bad("The for_each value is null; give a map or a set of strings, an empty one for no instances.")
	case !v.IsKnown():
		return bad("The for_each keys depend on values that are known only after an apply, so the plan cannot say what will be created. Use keys from variables, or apply what they depend on first with -target.")
	case ty.IsMapType() || ty.IsObjectType():
		out := v.AsValueMap()
		if out == nil {
			out = map[string]cty.Value{}
		}
		return out, diags
	case ty.IsSetType():
		out := make(map[string]cty.Value, v.LengthInt())
		if v.LengthInt() == 0 {
			return out, diags
		}
		if ty.ElementType() != cty.String {
			return bad("A set in for_each must be of strings; this one is of " + ty.ElementType().FriendlyName() + ".")
		}
		if !v.IsWhollyKnown() {
			return bad("The for_each set has elements that are known only after an apply. Use keys from variables, or apply what they depend on first with -target.")
		}
		for it := v.ElementIterator(); it.Next(); {
			_, elem := it.Element()
			if elem.IsNull() {
				return bad("The for_each set contains null.")
			}
			out[elem.AsString()] = elem
		}
		return out, diags
	default:
		return bad("for_each takes a map or a set of strings; this is " + ty.FriendlyName() + ". A list becomes a set with toset().")
	}
}

// Body evaluates the arguments of one instance: the configured value in normal
// form.
func (e *Evaluator) Body(r *schema.Resource, key schema.Key) (cty.Value, hcl.Diagnostics) {
	ctx, diags := e.instanceContext(r, key)
	if diags.HasErrors() {
		return cty.UnknownVal(r.Type.Implied()), diags
	}
	v, more := r.Type.Decode(r.Body, ctx)
	return v, append(diags, more...)
}

// Want is Body with what the table derives from files and from the
// configuration itself.
func (e *Evaluator) Want(r *schema.Resource, key schema.Key) (cty.Value, hcl.Diagnostics) {
	v, diags := e.Body(r, key)
	if diags.HasErrors() || r.Type.Derive == nil {
		return v, diags
	}
	bare, marks := schema.Unmark(v)
	derived, err := r.Type.Derive(e.cfg.Root.Dir, bare)
	if err != nil {
		return v, append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Invalid configuration",
			Detail: fmt.Sprintf("%s: %v", r.Addr.Instance(key), schema.Discreet(err, v)), Subject: r.Range.Ptr(),
		})
	}
	derived = derived.MarkWithPaths(marks)
	if r.Type.Virtual && len(marks) > 0 {
		// What a cluster's secrets tell shows where they are not known.
		if open, err := r.Type.Derive(e.cfg.Root.Dir, Open(v)); err == nil {
			derived = veil(derived, open)
		}
	}
	return derived, diags
}

// Conditions evaluates pre- or postconditions of an instance. One that is
// unknown passes, and known is false; the apply asks again. self is NilVal for
// preconditions.
func (e *Evaluator) Conditions(r *schema.Resource, key schema.Key, conds []schema.Condition, self cty.Value) (known bool, diags hcl.Diagnostics) {
	if len(conds) == 0 {
		return true, nil
	}
	ctx, diags := e.instanceContext(r, key)
	if diags.HasErrors() {
		return false, diags
	}
	if self != cty.NilVal {
		ctx = ctx.NewChild()
		ctx.Variables = map[string]cty.Value{"self": self}
	}
	known, more := checkConditions(conds, ctx)
	return known, append(diags, more...)
}

// OutputConditions does the same for the preconditions of an output.
func (e *Evaluator) OutputConditions(o *schema.Output) (known bool, diags hcl.Diagnostics) {
	if len(o.Preconditions) == 0 {
		return true, nil
	}
	ctx, diags := e.context(o.Traversals())
	if diags.HasErrors() {
		return false, diags
	}
	known, more := checkConditions(o.Preconditions, ctx)
	return known, append(diags, more...)
}

func checkConditions(conds []schema.Condition, ctx *hcl.EvalContext) (known bool, diags hcl.Diagnostics) {
	known = true
	for _, c := range conds {
		ok, more := c.Condition.Value(ctx)
		if more.HasErrors() {
			diags = append(diags, more...)
			continue
		}
		ok, _ = ok.Unmark()
		ok, err := convert.Convert(ok, cty.Bool)
		if err != nil || ok.IsNull() {
			diags = append(diags, exprError(c.Condition, "Invalid condition", "A condition must be true or false."))
			continue
		}
		if !ok.IsKnown() {
			known = false
			continue
		}
		if ok.True() {
			continue
		}
		text := "The condition is not met."
		if msg, more := c.ErrorMessage.Value(ctx); !more.HasErrors() && msg.IsKnown() && !msg.IsNull() {
			if msg.ContainsMarked() {
				text = "The condition is not met; its message has a sensitive value in it and is not shown."
			} else if s, err := convert.Convert(msg, cty.String); err == nil {
				text = s.AsString()
			}
		}
		diags = append(diags, exprError(c.Condition, "Condition failed", text))
	}
	return known, diags
}

// Expr evaluates an expression outside of any instance and converts the result.
func (e *Evaluator) Expr(expr hcl.Expression, ty cty.Type) (cty.Value, hcl.Diagnostics) {
	ctx, diags := e.context(expr.Variables())
	if diags.HasErrors() {
		return cty.UnknownVal(ty), diags
	}
	v, more := expr.Value(ctx)
	diags = append(diags, more...)
	if more.HasErrors() {
		return cty.UnknownVal(ty), diags
	}
	out, err := convert.Convert(v, ty)
	if err != nil {
		return cty.UnknownVal(ty), append(diags, exprError(expr, "Wrong type", "Here "+err.Error()+"."))
	}
	return out, diags
}

// Traversal evaluates one reference.
func (e *Evaluator) Traversal(t hcl.Traversal) (cty.Value, hcl.Diagnostics) {
	ctx, diags := e.context([]hcl.Traversal{t})
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	v, more := t.TraverseAbs(ctx)
	return v, append(diags, more...)
}

// Output evaluates an output. Its value is marked if the output is sensitive;
// a sensitive value in an output that does not say so is an error.
func (e *Evaluator) Output(o *schema.Output) (cty.Value, hcl.Diagnostics) {
	v, diags := e.Expr(o.Expr, cty.DynamicPseudoType)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	if o.Sensitive {
		return v.Mark(schema.SensitiveMark), diags
	}
	if schema.IsSensitive(v) {
		return cty.DynamicVal, append(diags, exprError(o.Expr, "Output would show a secret",
			fmt.Sprintf("The output %q refers to a sensitive value. Write sensitive = true in it, or nonsensitive() around what is no secret.", o.Name)))
	}
	return v, diags
}

// Provider evaluates a provider block, which must be known before any resource
// is. A nil block is one that nobody wrote.
func (e *Evaluator) Provider(p *schema.ProviderConfig, table *schema.Type) (cty.Value, hcl.Diagnostics) {
	if p == nil {
		v, err := table.Normalize(cty.EmptyObjectVal)
		if err != nil {
			return v, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Invalid provider defaults", Detail: err.Error()}}
		}
		return v, nil
	}
	ctx, diags := e.context(schema.BodyTraversals(p.Body, table))
	if diags.HasErrors() {
		return cty.UnknownVal(table.Implied()), diags
	}
	v, more := table.Decode(p.Body, ctx)
	diags = append(diags, more...)
	if diags.HasErrors() {
		return v, diags
	}
	bare, marks := v.UnmarkDeep()
	switch {
	case len(marks) > 0:
		diags = append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Where an engine is, is not secret",
			Detail: "An argument of the provider is sensitive, and messages and kept plans say which engine they mean. " +
				"Keep what is secret in ~/.ssh, in the folder that cert_path names or in a context of the docker command, or use nonsensitive() if the value is no secret.",
			Subject: p.Range.Ptr(),
		})
	case !bare.IsWhollyKnown():
		diags = append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Provider argument is not known",
			Detail:  "The arguments of a provider must be known before the plan: use variables, not attributes of resources that do not exist yet.",
			Subject: p.Range.Ptr(),
		})
	}
	return bare, diags
}

// instanceContext is what one instance's expressions see.
func (e *Evaluator) instanceContext(r *schema.Resource, key schema.Key) (*hcl.EvalContext, hcl.Diagnostics) {
	e.mu.Lock()
	base := e.contexts[r]
	x := e.expansions[r.Addr]
	e.mu.Unlock()
	if base == nil {
		var diags hcl.Diagnostics
		if base, diags = e.context(r.Traversals()); diags.HasErrors() {
			return nil, diags
		}
		e.mu.Lock()
		e.contexts[r] = base
		e.mu.Unlock()
	}
	if key.IsZero() {
		return base, nil
	}
	ctx := base.NewChild()
	if n, ok := key.Int(); ok {
		ctx.Variables = map[string]cty.Value{"count": cty.ObjectVal(map[string]cty.Value{"index": cty.NumberIntVal(int64(n))})}
		return ctx, nil
	}
	value := cty.DynamicVal
	if x != nil {
		if v, ok := x.each[key]; ok {
			value = v
		}
	}
	ctx.Variables = map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{"key": key.Value(), "value": value})}
	return ctx, nil
}

// context gathers the values of all that the traversals refer to.
func (e *Evaluator) context(traversals []hcl.Traversal) (*hcl.EvalContext, hcl.Diagnostics) {
	refs, diags := schema.References(traversals)
	if diags.HasErrors() {
		return nil, diags
	}
	vars, locals := map[string]cty.Value{}, map[string]cty.Value{}
	resources := map[string]map[string]cty.Value{}
	for _, ref := range refs {
		switch ref.Kind {
		case schema.RefVariable:
			v, ok := e.vars[ref.Name]
			if !ok {
				v = cty.DynamicVal
			}
			vars[ref.Name] = v
		case schema.RefLocal:
			if _, done := locals[ref.Name]; done {
				continue
			}
			v, more := e.local(ref.Name)
			diags = append(diags, more...)
			locals[ref.Name] = v
		case schema.RefResource:
			block := ref.Addr.Block()
			byName := resources[block.Type]
			if byName == nil {
				byName = map[string]cty.Value{}
				resources[block.Type] = byName
			}
			if _, done := byName[block.Name]; !done {
				byName[block.Name] = e.block(block)
			}
		}
	}
	ctx := &hcl.EvalContext{Functions: e.functions, Variables: map[string]cty.Value{
		"var":   cty.ObjectVal(vars),
		"local": cty.ObjectVal(locals),
		"path":  e.paths(),
		"terraform": cty.ObjectVal(map[string]cty.Value{
			"workspace": cty.StringVal(e.workspace),
		}),
	}}
	for ty, byName := range resources {
		ctx.Variables[ty] = cty.ObjectVal(byName)
	}
	return ctx, diags
}

// paths is relative, so that the same configuration plans alike in any folder;
// functions and providers take relative paths from the configuration's folder.
func (e *Evaluator) paths() cty.Value {
	here := cty.StringVal(".")
	return cty.ObjectVal(map[string]cty.Value{
		"module": here, "root": here, "cwd": cty.StringVal(filepath.ToSlash(e.cfg.Root.Dir)),
	})
}

func (e *Evaluator) local(name string) (cty.Value, hcl.Diagnostics) {
	e.mu.Lock()
	v, ok := e.locals[name]
	e.mu.Unlock()
	if ok {
		return v, nil
	}
	l := e.cfg.Root.Locals[name]
	if l == nil {
		return cty.DynamicVal, nil // CheckRefs has told
	}
	v, diags := e.Expr(l.Expr, cty.DynamicPseudoType)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.locals[name] = v
	return v, diags
}

// block puts a resource's value together: an object, a tuple under count, an
// object of objects under for_each.
func (e *Evaluator) block(addr schema.Addr) cty.Value {
	e.mu.Lock()
	defer e.mu.Unlock()
	if v, ok := e.blocks[addr]; ok {
		return v
	}
	x := e.expansions[addr]
	if x == nil {
		return cty.DynamicVal // validate: nothing is expanded
	}
	get := func(k schema.Key) cty.Value {
		if v, ok := e.instances[addr.Instance(k)]; ok {
			return v
		}
		return cty.DynamicVal
	}
	var v cty.Value
	switch {
	case !x.many:
		v = get(schema.Key{})
	case x.byString:
		elems := make(map[string]cty.Value, len(x.Keys))
		for _, k := range x.Keys {
			elems[k.Value().AsString()] = get(k)
		}
		v = cty.ObjectVal(elems)
	default:
		elems := make([]cty.Value, len(x.Keys))
		for i, k := range x.Keys {
			elems[i] = get(k)
		}
		v = cty.TupleVal(elems)
	}
	e.blocks[addr] = v
	return v
}

func exprError(expr hcl.Expression, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: summary, Detail: detail,
		Subject: expr.Range().Ptr(), Expression: expr,
	}
}
