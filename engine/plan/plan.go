// Package plan decides: from the configuration, the state and what runs it
// makes an engine.Plan. It reads engines in one place, refresh.go, and changes
// nothing anywhere.
//
//	refresh.go   connect and read, once
//	recover.go   merge state, journal and labels into what is known of each address
//	instance.go  decide one address
//	cluster.go   lower a cluster into its members and decide those
//	forced.go    what must be replaced because something else is; where that is
//	             seen late, all is decided once more
//	steps.go     steps, edges, and the proof that they have no cycle
//	undo.go      the inverse of each step, for a rollback
package plan

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// Options is what a plan is made from.
type Options struct {
	Config    *schema.Config
	Vars      map[string]cty.Value // every variable of the root module, converted and marked
	Stack     string
	Workspace string
	Loaded    *state.Loaded
	Providers []providers.Provider
	Mode      engine.Mode
	Targets   []schema.Addr
	Replace   []schema.Addr
	// Refresh is false to plan from the records alone, without an engine.
	Refresh bool
	// AllowDataLoss are addresses of volumes that may be deleted.
	AllowDataLoss []schema.Addr
	// NamedStack says that the configuration itself names the stack: only then
	// are orphans deleted.
	NamedStack bool
	// Force allows what running work speaks against.
	Force bool
	// OnFailure is what the apply does when a step fails; empty is Continue.
	OnFailure engine.OnFailure
	// Leaving are members of clusters that a plan file takes away, so that it is
	// not chosen again who goes.
	Leaving []schema.Addr
	// Connected is told of each engine before anything is read: what keeps others
	// off it is taken here, since two that read the same would do the same. Its
	// error ends the plan. It may be nil.
	Connected func(ctx context.Context, engineID string) error
	// Waiting is told how long the plan waits for what an earlier run began. It
	// may be nil.
	Waiting func(time.Duration)
	// Sleep waits; nil is a real wait. Tests have their own.
	Sleep func(context.Context, time.Duration) error
}

type planner struct {
	o     Options
	eval  *engine.Evaluator
	graph *engine.Graph
	plan  *engine.Plan
	diags hcl.Diagnostics

	// forced are leads that showed after their followers were decided; again
	// asks for another round, which begins with them.
	forced map[schema.Addr][]lead
	again  bool

	engines     map[string]providers.Engine // by provider key, where one was asked
	worlds      map[string]*providers.World // by provider key
	known       map[schema.Addr]*known
	memberAddrs map[schema.Addr][]schema.Addr // that were known once, by cluster

	// pool are the objects of ours that no record knows; once one is matched it
	// is taken. They are found by their name and by the address that their label
	// says; a member by its cluster's, too.
	pool       []*found
	poolByName map[nameKey][]*found
	labelled   map[schema.Addr][]*found
	wished     *wishes // nil until asked for

	changes   map[schema.Addr]*engine.Change
	byObject  map[string]*engine.Change        // by refKey of the change's object
	members   map[schema.Addr]providers.Member // by the member's address
	extras    []extra
	decided   map[schema.Addr][]*engine.Change // by block, in the order of deciding
	byName    map[nameKey]*found               // objects of ours
	frees     map[schema.Addr]freed            // by the address that takes the name over
	along     map[schema.Addr]bool             // blocks that go along with -target, nil until asked for
	triggered map[schema.Addr][]lead           // by block, see triggers
	tags      map[nameKey]*engine.Change       // who has a name of what is known ByName
	rebuilt   bool                             // there was no state, and objects of ours were found
}

// extra is an object that an address has beside its current one.
type extra struct {
	change *engine.Change
	obj    *providers.Object
}

// Make decides what to do. The plan is nil where the diagnostics have errors.
func Make(ctx context.Context, o Options) (*engine.Plan, hcl.Diagnostics) {
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	graph, diags := engine.NewGraph(o.Config)
	if diags.HasErrors() {
		return nil, diags
	}
	p := &planner{o: o, graph: graph, engines: map[string]providers.Engine{}, forced: map[schema.Addr][]lead{}}
	p.begin(diags)
	if p.refresh(ctx); p.diags.HasErrors() {
		return p.fail()
	}
	diags = p.diags
	for p.again = true; p.again; {
		p.begin(diags)
		for _, stage := range []func(context.Context){
			p.recover, p.followNames, p.decideAll, p.decideRest, p.force, p.names, p.occupied, p.lacking, p.steps, p.outputs, p.guard, p.words, p.measure, p.remark, p.undo, p.causes, p.unmatched,
		} {
			if stage(ctx); p.diags.HasErrors() {
				return p.fail()
			}
			if p.again {
				break
			}
		}
	}
	return p.plan, p.diags
}

// begin forgets all but what was read and what is forced.
func (p *planner) begin(diags hcl.Diagnostics) {
	var engines *engine.Engines
	if p.plan != nil {
		engines = p.plan.Engines
	}
	o := p.o
	*p = planner{
		o: o, graph: p.graph, engines: p.engines, worlds: p.worlds, forced: p.forced, diags: slices.Clone(diags),
		eval:  engine.NewEvaluator(o.Config, o.Vars, o.Workspace),
		known: map[schema.Addr]*known{}, memberAddrs: map[schema.Addr][]schema.Addr{},
		poolByName: map[nameKey][]*found{}, labelled: map[schema.Addr][]*found{},
		changes: map[schema.Addr]*engine.Change{}, byObject: map[string]*engine.Change{},
		members: map[schema.Addr]providers.Member{}, decided: map[schema.Addr][]*engine.Change{},
		byName: map[nameKey]*found{}, frees: map[schema.Addr]freed{}, tags: map[nameKey]*engine.Change{}, triggered: map[schema.Addr][]lead{},
	}
	p.plan = &engine.Plan{
		Mode: o.Mode, Stack: o.Stack, Workspace: o.Workspace, Lineage: o.Loaded.State.Lineage,
		Evaluator: p.eval, Engines: engines, Targeted: len(o.Targets) > 0, Force: o.Force,
		Live: map[schema.Addr][]*providers.Object{},
	}
	for _, name := range slices.Sorted(maps.Keys(o.Config.Root.Variables)) {
		// Their values are known and passed when they were read.
		if len(o.Config.Root.Variables[name].Validations) > 0 {
			p.checked(engine.Check{Kind: engine.CheckVariable, Name: name})
		}
	}
}

func (p *planner) fail() (*engine.Plan, hcl.Diagnostics) {
	if p.plan.Engines != nil {
		p.plan.Engines.Close()
	}
	return nil, p.diags
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// decideAll goes through the resource blocks in the order of their references.
func (p *planner) decideAll(context.Context) {
	if p.o.Mode == engine.Destroy {
		return
	}
	for _, r := range p.graph.Resources() {
		x, diags := p.eval.Expand(r)
		p.add(diags)
		if diags.HasErrors() {
			continue
		}
		for _, key := range x.Keys {
			p.instance(r, key)
		}
		if p.diags.HasErrors() {
			return // what refers to this block would only repeat the mistake
		}
	}
}

// decideRest deals with what is known and not wanted.
func (p *planner) decideRest(context.Context) {
	for _, addr := range slices.SortedFunc(maps.Keys(p.known), schema.CompareAddr) {
		if p.changes[addr] != nil || !p.selected(addr) {
			continue
		}
		p.unwanted(addr, p.known[addr])
	}
	for _, f := range p.pool {
		if !f.taken {
			p.orphan(f)
		}
	}
	p.tellTags()
	p.plan.Changes = slices.SortedFunc(maps.Values(p.changes), func(a, b *engine.Change) int {
		return schema.CompareAddr(a.Addr, b.Addr)
	})
	slices.SortFunc(p.plan.Drift, func(a, b engine.Drift) int { return schema.CompareAddr(a.Addr, b.Addr) })
}

// selected reports whether -target lets an address be touched: it is named, or
// something named refers to it, or, for a destroy, it refers to what is named.
func (p *planner) selected(addr schema.Addr) bool {
	if len(p.o.Targets) == 0 || slices.ContainsFunc(p.o.Targets, func(t schema.Addr) bool { return t.Contains(addr) }) {
		return true
	}
	if p.along == nil {
		p.along = p.findAlong()
	}
	return p.along[addr.Block()]
}

// selectedInside reports whether -target names members of a cluster.
func (p *planner) selectedInside(cluster schema.Addr) bool {
	return slices.ContainsFunc(p.o.Targets, func(t schema.Addr) bool { return !t.Member.IsZero() && cluster.Contains(t) })
}

// findAlong follows references from the targeted blocks to those that go along.
func (p *planner) findAlong() map[schema.Addr]bool {
	next := p.graph.Deps
	if p.o.Mode == engine.Destroy {
		users := map[schema.Addr][]schema.Addr{}
		for addr, k := range p.known {
			if k.record != nil {
				for _, d := range k.record.Deps {
					users[d] = append(users[d], addr.Block())
				}
			}
		}
		for _, f := range p.pool {
			for _, d := range f.obj.Owner.Deps {
				users[d] = append(users[d], f.label.Block())
			}
		}
		next = func(block schema.Addr) []schema.Addr { return users[block] }
	}
	along := map[schema.Addr]bool{}
	var queue []schema.Addr
	for _, t := range p.o.Targets {
		queue = append(queue, t.Block())
	}
	for len(queue) > 0 {
		block := queue[0]
		queue = queue[1:]
		for _, d := range next(block) {
			if !along[d] {
				along[d] = true
				queue = append(queue, d)
			}
		}
	}
	return along
}

// guard refuses what is protected and asks for the permissions that the plan
// needs.
func (p *planner) guard(context.Context) {
	approved := map[schema.Addr]bool{}
	var missing, busy, refused []string
	for _, c := range p.plan.Changes {
		if c.Action != engine.Delete && !c.Action.Replaces() {
			continue
		}
		if c.Object != nil && len(c.Object.Work) > 0 {
			p.plan.Ends = append(p.plan.Ends, c.Addr)
			busy = append(busy, fmt.Sprintf("%s runs %s", c.Addr, strings.Join(c.Object.Work, ", ")))
		}
		if c.Protect {
			p.errorf(p.blockRange(c.Addr), "Protected from destruction",
				"%s has prevent_destroy and this plan would %s it%s. To lift the protection, apply once with prevent_destroy = false.",
				c.Addr, verbOf(c.Action), because(c.Reason))
		}
		if !c.Type.HoldsData || c.Object == nil {
			continue
		}
		p.plan.DataLoss = append(p.plan.DataLoss, c.Addr)
		if slices.Contains(p.o.AllowDataLoss, c.Addr) {
			approved[c.Addr] = true
		} else {
			missing = append(missing, "-allow-data-loss='"+c.Addr.String()+"'")
		}
	}
	p.plan.Approved = approved
	if len(missing) > 0 {
		refused = append(refused, "this plan deletes data; to allow it beforehand, add "+strings.Join(missing, " "))
	}
	for _, b := range busy {
		p.plan.Notes = append(p.plan.Notes, b+", which this plan ends.")
	}
	if len(busy) > 0 && !p.o.Force {
		refused = append(refused, strings.Join(busy, ", ")+"; to end that work, add -force")
	}
	p.plan.Unapproved = strings.Join(refused, "; ")
}

// aPort is a port in a remark: what differs in it only is said once.
var aPort = regexp.MustCompile(`\bport ([0-9]+)\b`)

// remark notes what the tables have to say of what is made or changed, once for
// each block.
func (p *planner) remark(context.Context) {
	type note struct {
		block schema.Addr
		text  string
	}
	made := p.made()
	said, ports := map[note][]schema.Addr{}, map[note][]int{}
	var order []note
	for _, c := range p.plan.Changes {
		if c.After.IsNull() || c.Action == engine.NoOp || c.Action == engine.Forget {
			continue
		}
		after := engine.Open(c.After)
		texts := p.brought(c, after, made)
		if c.Type.Remarks != nil {
			texts = append(texts, c.Type.Remarks(after)...)
		}
		for _, text := range texts {
			n := note{c.Addr.Block(), aPort.ReplaceAllString(text, "port #")}
			if said[n] == nil {
				order = append(order, n)
			}
			if list := said[n]; len(list) == 0 || list[len(list)-1] != c.Addr {
				said[n] = append(list, c.Addr)
			}
			if m := aPort.FindStringSubmatch(text); m != nil {
				port, _ := strconv.Atoi(m[1]) // digits, and not many
				ports[n] = append(ports[n], port)
			}
		}
	}
	for _, n := range order {
		who := said[n][0].String()
		if more := len(said[n]) - 1; more > 0 {
			who += fmt.Sprintf(" and %d more of its kind", more)
		}
		p.plan.Notes = append(p.plan.Notes, who+" "+strings.ReplaceAll(n.text, "port #", portsText(ports[n])))
	}
}

// portsShown is how many ports, or ranges of them, a remark names.
const portsShown = 8

// portsText names ports: "port 80", "ports 80, 8080-8089".
func portsText(ports []int) string {
	slices.Sort(ports)
	ports = slices.Compact(ports)
	if len(ports) == 1 {
		return fmt.Sprint("port ", ports[0])
	}
	var parts []string
	for i := 0; i < len(ports); {
		if len(parts) == portsShown {
			parts = append(parts, fmt.Sprintf("%d more", len(ports)-i))
			break
		}
		j := i
		for j+1 < len(ports) && ports[j+1] == ports[j]+1 {
			j++
		}
		part := strconv.Itoa(ports[i])
		if j > i {
			part += "-" + strconv.Itoa(ports[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return "ports " + strings.Join(parts, ", ")
}

// measure warns where more is needed than the engine's machine has.
func (p *planner) measure(context.Context) {
	if p.plan.Engines == nil {
		return
	}
	p.plan.Machines = map[string]engine.Machine{}
	for key, info := range p.plan.Engines.Known() {
		p.plan.Machines[key] = engine.Machine{CPUs: info.CPUs, Memory: info.Memory, GPUs: info.GPUs}
	}
	if p.plan.Summary() == (engine.Summary{}) {
		return
	}
	for _, u := range p.plan.Usage() {
		p.plan.Notes = append(p.plan.Notes, u.Warnings()...)
	}
}

// unmatched warns of what -target and -replace name and nothing matches.
func (p *planner) unmatched(context.Context) {
	for _, asked := range []struct {
		flag  string
		addrs []schema.Addr
	}{{"target", p.o.Targets}, {"replace", p.o.Replace}} {
		for _, addr := range asked.addrs {
			if p.matched(addr) {
				continue
			}
			detail := fmt.Sprintf("Neither the configuration nor the state has it.%s", p.o.Config.Root.Meant(addr.Block()))
			if p.o.Config.Root.Resources[addr.Block()] != nil {
				detail = addr.Block().String() + " is in the configuration, but this part of it is neither there nor in the state."
			}
			p.add(hcl.Diagnostics{{
				Severity: hcl.DiagWarning, Summary: fmt.Sprintf("No resource matches -%s=%s", asked.flag, addr), Detail: detail,
			}})
		}
	}
}

// matched reports whether there is something at an address, or is to be.
func (p *planner) matched(asked schema.Addr) bool {
	for addr := range p.known {
		if asked.Contains(addr) {
			return true
		}
	}
	for addr := range p.changes {
		if asked.Contains(addr) {
			return true
		}
	}
	for _, f := range p.pool {
		if asked.Contains(f.label) {
			return true
		}
	}
	if p.o.Config.Root.Resources[asked.Block()] == nil || !asked.Member.IsZero() {
		return false
	}
	x := p.eval.Expansion(asked.Block())
	return x == nil || asked.Key.IsZero() || slices.Contains(x.Keys, asked.Key)
}

// brought says what the engine makes by itself for a new object, since nobody
// declares it: it is not ours, so no destroy removes it.
func (p *planner) brought(c *engine.Change, after cty.Value, made map[nameKey]bool) []string {
	if c.Type.Brings == nil || !p.o.Refresh || (c.Action != engine.Create && !c.Action.Replaces()) {
		return nil
	}
	var texts []string
	for _, n := range c.Type.Brings(after) {
		t := p.plan.Engines.Type(n.Type)
		if t == nil || p.named(c.Provider, t, n.Name) != nil || made[nameKey{c.Provider, n.Type, ""}] {
			continue
		}
		if !made[nameKey{c.Provider, n.Type, n.Name}] {
			texts = append(texts, fmt.Sprintf("names %s %q, which is not there and which this plan does not make: the engine will make it, without gapool's labels, so that no destroy removes it. Declare it as a resource.",
				n.Type, n.Name))
		}
	}
	return texts
}

// made are the names that the plan makes or keeps. One that is not known yet is
// the empty name, which may be any.
func (p *planner) made() map[nameKey]bool {
	out := map[nameKey]bool{}
	for _, c := range p.plan.Changes {
		if !c.After.IsNull() {
			out[nameKey{c.Provider, c.Type.Name, nameOf(schema.Bare(c.After))}] = true
		}
	}
	return out
}

func verbOf(a engine.Action) string {
	if a.Replaces() {
		return "replace"
	}
	return "destroy"
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (it " + reason + ")"
}

func (p *planner) add(diags hcl.Diagnostics) { p.diags = append(p.diags, diags...) }

func (p *planner) errorf(at *hcl.Range, summary, format string, args ...any) {
	p.diags = append(p.diags, &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: at,
	})
}
