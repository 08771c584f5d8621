package plan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// builder turns changes into steps and edges.
//
//   - What is made or changed comes after all that its block refers to.
//   - What is deleted comes after all that was made with a reference to it is
//     deleted, and after those that use the live object have let go of it.
//   - An old object that goes last (create before destroy) comes after its
//     users have moved to the new one.
//   - What takes over a name or a port comes after the one that gives it up.
//   - Whether a conditional change is needed is seen when its first step is up,
//     so that step comes after all that tells it, a delete too.
//
// Edges between blocks go through joins, so that n instances that refer to m
// others take n+m edges.
type builder struct {
	p     *planner
	steps []*engine.Step

	first map[schema.Addr]*engine.Step // the step that makes or changes the address
	del   map[schema.Addr]*engine.Step // the step that deletes its object
	extra map[schema.Addr][]*engine.Step
	// rename gives the address's object its name: the candidate of a
	// create-before-destroy, or one that keeps its object.
	rename map[schema.Addr]*engine.Step
	byObj  map[string]*engine.Step // delete step of an object, by refKey

	done, own, gone map[schema.Addr]*engine.Step // joins by block
	told            map[schema.Addr]*engine.Step // joins by conditional change
	blocks          map[schema.Addr][]*engine.Change
	members         map[schema.Addr][]*engine.Change // by cluster
	users, lived    map[schema.Addr][]schema.Addr    // blocks that refer to a block, or whose live objects do
}

// steps makes the plan's steps and proves that they have no cycle. Where there
// is one because something is to come before its old object goes, or only
// perhaps, all is decided once more without that.
func (p *planner) steps(context.Context) {
	sorted, cycle := engine.SortSteps(p.build())
	if cycle == nil {
		p.plan.Steps = sorted
		return
	}
	if p.giveWay(cycle); p.again {
		return
	}
	ring := make([]string, len(cycle))
	for i, s := range cycle {
		ring[i] = string(s.Verb) + " " + s.Addr.String()
	}
	ring = append(ring, ring[0])
	for i, s := range cycle {
		if next := cycle[(i+1)%len(cycle)]; s.Change != nil && next.Change != nil && names(s.Change, next.Change) {
			p.errorf(p.blockRange(s.Addr), "They wait for each other", "%s names %s, which has to be there first, and that one comes after it: %s. Let one of them do without the other.",
				s.Addr, next.Addr, strings.Join(ring, " needs "))
			return
		}
	}
	p.errorf(nil, "The steps wait for each other",
		"This is a mistake in gapool, nothing was changed: %s. Splitting the change in two applies avoids it.", strings.Join(ring, " needs "))
}

// names reports whether what a change makes names what another one makes by a word.
func names(c, other *engine.Change) bool {
	return c.Provider == other.Provider &&
		slices.Contains(c.Type.Named(schema.Bare(c.After)), schema.Named{Type: other.Type.Name, Name: nameOf(schema.Bare(other.After))})
}

// giveWay lets one object in the cycle be deleted before its successor is made,
// or for certain though it might not be necessary, and says why. It is one whose
// delete waits for what tells whether it is necessary, if there is one.
func (p *planner) giveWay(cycle []*engine.Step) {
	var give *engine.Change
	waits := false
	for i, s := range cycle {
		c := s.Change
		if c == nil || !c.Action.Replaces() || c.Type.ByName || (c.Action == engine.Replace && len(c.OnlyIf) == 0) {
			continue
		}
		w := s.Verb == engine.DoDelete && len(c.OnlyIf) > 0 && cycle[(i+1)%len(cycle)].Verb == engine.Join
		if give == nil || (w && !waits) || (w == waits && schema.CompareAddr(c.Addr, give.Addr) < 0) {
			give, waits = c, w
		}
	}
	if give == nil {
		return
	}
	reason := give.Reason
	if reason == "" {
		reason = "must be replaced"
	}
	for _, s := range cycle {
		if s.Verb == engine.DoDelete && s.Change != give {
			reason += fmt.Sprintf(", and goes first, since %s cannot go before", s.Addr)
			break
		}
	}
	p.decideAgain(give.Addr, lead{addr: give.Addr, reason: reason, before: true})
}

func (p *planner) build() []*engine.Step {
	b := &builder{
		p: p, first: map[schema.Addr]*engine.Step{}, del: map[schema.Addr]*engine.Step{},
		extra: map[schema.Addr][]*engine.Step{}, rename: map[schema.Addr]*engine.Step{}, byObj: map[string]*engine.Step{},
		done: map[schema.Addr]*engine.Step{}, own: map[schema.Addr]*engine.Step{}, gone: map[schema.Addr]*engine.Step{},
		told:   map[schema.Addr]*engine.Step{},
		blocks: map[schema.Addr][]*engine.Change{}, members: map[schema.Addr][]*engine.Change{}, users: map[schema.Addr][]schema.Addr{}, lived: map[schema.Addr][]schema.Addr{},
	}
	for _, c := range p.plan.Changes {
		b.blocks[c.Addr.Block()] = append(b.blocks[c.Addr.Block()], c)
		if !c.Addr.Member.IsZero() {
			b.members[c.Addr.Cluster()] = append(b.members[c.Addr.Cluster()], c)
		}
		b.makeSteps(c)
	}
	for _, e := range p.extras {
		s := b.add(engine.DoDelete, e.change)
		s.Target, s.Extra = e.obj, true
		b.extra[e.change.Addr] = append(b.extra[e.change.Addr], s)
		b.byObj[refKey(e.obj.Kind, e.obj.ID)] = s
	}
	b.findUsers()
	for _, c := range p.plan.Changes {
		b.connect(c)
	}
	b.connectUses()
	b.connectNames()
	b.connectWords()
	b.connectExclusive()
	b.connectRolling()
	return b.steps
}

func (b *builder) add(verb engine.Verb, c *engine.Change) *engine.Step {
	s := &engine.Step{ID: len(b.steps), Verb: verb, Addr: c.Addr, Change: c}
	b.steps = append(b.steps, s)
	return s
}

func (b *builder) join(addr schema.Addr) *engine.Step {
	s := &engine.Step{ID: len(b.steps), Verb: engine.Join, Addr: addr}
	b.steps = append(b.steps, s)
	return s
}

func need(s, on *engine.Step) {
	if s != nil && on != nil && s != on {
		s.Needs = append(s.Needs, on.ID)
	}
}

func (b *builder) makeSteps(c *engine.Change) {
	target := func(s *engine.Step) *engine.Step {
		s.Target = c.Object
		if c.Object != nil {
			s.Name = c.Object.Name
		}
		return s
	}
	remove := func() *engine.Step {
		s := target(b.add(engine.DoDelete, c))
		b.del[c.Addr] = s
		if c.Object != nil {
			b.byObj[refKey(c.Object.Kind, c.Object.ID)] = s
		}
		return s
	}
	create := func() *engine.Step {
		s := b.add(engine.DoCreate, c)
		s.Name = nameOf(schema.Bare(c.After))
		if c.Type.ByName {
			s.Prev = b.p.tagNow(c.Provider, c.Type, s.Name)
		}
		b.first[c.Addr] = s
		return s
	}
	switch c.Action {
	case engine.Create:
		create()
	case engine.Update:
		if !c.Renamed() || len(c.Differences) > 1 {
			s := target(b.add(engine.DoUpdate, c))
			if c.Type.ByName && c.Object != nil {
				s.Prev = &c.Object.ID
			}
			b.first[c.Addr] = s
		}
		if c.Renamed() {
			s := target(b.add(engine.DoRename, c))
			s.Name = nameOf(schema.Bare(c.After))
			need(s, b.first[c.Addr])
			b.rename[c.Addr] = s
			if b.first[c.Addr] == nil {
				b.first[c.Addr] = s
			}
		}
	case engine.Replace:
		old := remove()
		need(create(), old)
	case engine.ReplaceFirst:
		made := create()
		made.Candidate = c.Type.Renames && c.Object != nil && (made.Name == "" || made.Name == c.Object.Name)
		if c.Type.ByName && (made.Name == c.Object.Name || b.p.keepsTag(c)) {
			return // the old tag is the new one, or not ours to remove
		}
		old := remove()
		need(old, made)
		if made.Candidate {
			s := b.add(engine.DoRename, c)
			s.Name = made.Name
			b.rename[c.Addr] = s
			need(s, old)
		}
	case engine.Delete:
		if c.Type.Virtual {
			b.del[c.Addr] = b.add(engine.DoForget, c)
			return
		}
		remove()
	case engine.Forget:
		b.add(engine.DoForget, c)
	case engine.NoOp:
		if b.p.unrecorded(c) {
			target(b.add(engine.DoRecord, c))
		}
	}
}

// unrecorded reports whether the record of an address that stays as it is is
// not what the state has.
func (p *planner) unrecorded(c *engine.Change) bool {
	if !p.o.Refresh || (c.Object == nil && !c.Type.Virtual) {
		return false
	}
	if c.Record == nil || !c.Prev.IsZero() {
		return true
	}
	if c.After.IsNull() {
		return false // not in the configuration: it is recorded as it was wanted last
	}
	rec := engine.RecordOf(c, c.Object, c.After, p.info(c.Provider).ID, c.Status())
	if c.Type.Virtual {
		rec.Current = nil
	}
	return !engine.SameRecord(c.Type, rec, c.Record)
}

// tagNow is what a tag names before a create.
func (p *planner) tagNow(provider string, t *schema.Type, name string) *string {
	none := ""
	if obj := p.named(provider, t, name); obj != nil {
		return &obj.ID
	}
	if name == "" || !p.o.Refresh {
		return nil
	}
	return &none
}

// keepsTag reports whether the old tag of a replaced image stays.
func (p *planner) keepsTag(c *engine.Change) bool {
	probe := *c
	probe.Action = engine.Delete
	p.keepTag(&probe)
	return probe.Action == engine.Forget
}

// findUsers turns references around: those that are wanted, and those that the
// live objects were made with.
func (b *builder) findUsers() {
	moved := map[schema.Addr]schema.Addr{}
	for _, c := range b.p.plan.Changes {
		if !c.Prev.IsZero() {
			moved[c.Prev.Block()] = c.Addr.Block()
		}
	}
	add := func(set map[schema.Addr]bool, block, d schema.Addr) {
		if d.Member.IsZero() && d != block {
			set[d] = true
		}
	}
	for block, changes := range b.blocks {
		wanted, lived := map[schema.Addr]bool{}, map[schema.Addr]bool{}
		for _, c := range changes {
			for _, d := range c.Deps {
				add(wanted, block, d)
			}
			for _, d := range depsOfLive(c) {
				if to, ok := moved[d]; ok {
					d = to
				}
				add(lived, block, d)
			}
		}
		for d := range wanted {
			b.users[d] = append(b.users[d], block)
		}
		for d := range lived {
			b.lived[d] = append(b.lived[d], block)
		}
	}
	b.untangle()
	for _, users := range []map[schema.Addr][]schema.Addr{b.users, b.lived} {
		for _, list := range users {
			slices.SortFunc(list, schema.CompareAddr)
		}
	}
}

// untangle leaves of the live objects' references that go in a circle those that
// the configuration has, too. They are of different times: of blocks that were
// turned around some objects may have been made since, and others not. What an
// engine holds its objects to is not among them, see connectUses.
func (b *builder) untangle() {
	refers := map[schema.Addr][]schema.Addr{}
	for d, users := range b.lived {
		for _, u := range users {
			refers[u] = append(refers[u], d)
		}
	}
	circling := map[schema.Addr]bool{}
	for block := range b.lived {
		circling[block] = len(refers[block]) > 0
	}
	// What no block in a circle refers to is in none, and so is what refers to none.
	peel := func(to, from map[schema.Addr][]schema.Addr) {
		left := map[schema.Addr]int{}
		var free []schema.Addr
		for block, in := range circling {
			if !in {
				continue
			}
			for _, o := range to[block] {
				if circling[o] {
					left[block]++
				}
			}
			if left[block] == 0 {
				free = append(free, block)
			}
		}
		for ; len(free) > 0; free = free[1:] {
			circling[free[0]] = false
			for _, o := range from[free[0]] {
				if left[o]--; left[o] == 0 && circling[o] {
					free = append(free, o)
				}
			}
		}
	}
	peel(b.lived, refers)
	peel(refers, b.lived)
	for d, users := range b.lived {
		if circling[d] {
			b.lived[d] = slices.DeleteFunc(users, func(u schema.Addr) bool {
				return circling[u] && !slices.Contains(b.p.graph.Deps(u), d)
			})
		}
	}
}

// depsOfLive are the references that the live object was made with.
func depsOfLive(c *engine.Change) []schema.Addr {
	switch {
	case c.Record != nil:
		return c.Record.Deps
	case c.Object != nil:
		return c.Object.Owner.Deps
	default:
		return nil
	}
}

// connect gives the steps of one change their edges.
func (b *builder) connect(c *engine.Change) {
	block := c.Addr.Block()
	first, del := b.first[c.Addr], b.del[c.Addr]
	if first != nil {
		b.needDone(first, c)
		for _, x := range b.extra[c.Addr] {
			need(first, x)
		}
		if m, ok := b.p.members[c.Addr]; ok {
			for _, on := range m.Needs {
				need(first, b.first[on])
			}
		}
		if c.Type.Virtual {
			for _, m := range b.members[c.Addr] {
				need(first, b.first[m.Addr])
				need(first, b.del[m.Addr])
			}
		}
	}
	if del == nil {
		return
	}
	if len(c.OnlyIf) > 0 {
		need(del, b.toldOf(c))
	}
	for _, d := range c.Deps {
		if on := b.del[d]; on != nil && !d.Member.IsZero() {
			need(on, del) // a member goes before the one that it follows
		}
	}
	if len(c.OnlyIf) == 0 {
		for _, u := range b.lived[block] {
			need(del, b.goneOf(u))
		}
	}
	if c.Action == engine.ReplaceFirst {
		for _, u := range b.users[block] {
			need(del, b.ownOf(u))
		}
	}
	if c.Type.Virtual {
		for _, m := range b.members[c.Addr] {
			need(del, b.del[m.Addr])
		}
	}
}

// needDone lets s wait for all that the change's block refers to.
func (b *builder) needDone(s *engine.Step, c *engine.Change) {
	for _, d := range c.Deps {
		if d.Member.IsZero() {
			need(s, b.doneOf(d))
		}
	}
}

// toldOf is done when all is known that tells whether a conditional change is
// needed: what its block refers to, but of the changes that it goes along with
// only what tells whether those are needed. If they are, it is, and may have to
// go first.
func (b *builder) toldOf(c *engine.Change) *engine.Step {
	if j, ok := b.told[c.Addr]; ok {
		return j
	}
	j := b.join(c.Addr)
	b.told[c.Addr] = j
	leads := map[schema.Addr]bool{}
	blocks := map[schema.Addr]bool{}
	for _, f := range c.Follows {
		leads[f], blocks[f.Block()] = true, true
		need(j, b.toldOf(b.p.changes[f]))
	}
	for _, d := range c.Deps {
		switch {
		case !d.Member.IsZero():
		case !blocks[d]:
			need(j, b.doneOf(d))
		default:
			for _, other := range b.blocks[d] {
				if !leads[other.Addr] {
					need(j, b.first[other.Addr])
				}
			}
		}
	}
	return j
}

// doneOf is done when the block and all that it refers to are made.
func (b *builder) doneOf(block schema.Addr) *engine.Step {
	if j, ok := b.done[block]; ok {
		return j
	}
	j := b.join(block)
	b.done[block] = j
	need(j, b.ownOf(block))
	for _, d := range b.p.graph.Deps(block) {
		need(j, b.doneOf(d))
	}
	return j
}

// ownOf is done when the block's own instances are made.
func (b *builder) ownOf(block schema.Addr) *engine.Step {
	if j, ok := b.own[block]; ok {
		return j
	}
	j := b.join(block)
	b.own[block] = j
	for _, c := range b.blocks[block] {
		need(j, b.first[c.Addr])
		if c.Action == engine.Update {
			need(j, b.rename[c.Addr])
		}
	}
	return j
}

// goneOf is done when what the block has to delete for certain is deleted, and
// likewise all that refers to it.
func (b *builder) goneOf(block schema.Addr) *engine.Step {
	if j, ok := b.gone[block]; ok {
		return j
	}
	j := b.join(block)
	b.gone[block] = j
	for _, c := range b.blocks[block] {
		// The old object of a create-before-destroy goes after its users have
		// moved; what it uses cannot wait for that.
		if len(c.OnlyIf) == 0 && c.Action != engine.ReplaceFirst {
			need(j, b.del[c.Addr])
		}
	}
	for _, u := range b.lived[block] {
		need(j, b.goneOf(u))
	}
	return j
}

// connectUses orders by what the live objects hold: an object is deleted after
// those that use it are, or have let go of it.
func (b *builder) connectUses() {
	hold := func(obj *providers.Object, release *engine.Step) {
		if obj == nil || release == nil {
			return
		}
		for _, ref := range obj.Uses {
			need(b.byObj[refKey(ref.Kind, ref.ID)], release)
		}
	}
	for _, c := range b.p.plan.Changes {
		switch c.Action {
		case engine.Update:
			if c.Object != nil {
				for _, ref := range c.Object.Uses {
					if gone := b.byObj[refKey(ref.Kind, ref.ID)]; gone != nil && gone.Change.Action == engine.Delete {
						need(gone, b.first[c.Addr])
					}
				}
			}
		default:
			hold(c.Object, b.del[c.Addr])
			b.followUses(c)
		}
	}
	for _, e := range b.p.extras {
		hold(e.obj, b.byObj[refKey(e.obj.Kind, e.obj.ID)])
	}
}

// followUses makes a replaced object anew after what it uses is: it may name
// that by a word that is no reference.
func (b *builder) followUses(c *engine.Change) {
	if c.Object == nil || c.Action != engine.Replace {
		return
	}
	for _, ref := range c.Object.Uses {
		used := b.byObj[refKey(ref.Kind, ref.ID)]
		if used == nil || used.Change.Action != engine.Replace {
			continue
		}
		// A reference orders them already, one way or the other.
		if from, to := c.Addr.Block(), used.Addr.Block(); !b.refers(from, to) && !b.refers(to, from) {
			need(b.first[c.Addr], b.first[used.Addr])
		}
	}
}

// connectWords makes an object after what the plan makes for it, where it names
// that by a word that is no reference. A reference the other way has the last word.
func (b *builder) connectWords() {
	makes := map[nameKey]*engine.Step{}
	for _, c := range b.p.plan.Changes {
		if made(c) {
			makes[nameKey{c.Provider, c.Type.Name, nameOf(schema.Bare(c.After))}] = b.first[c.Addr]
		}
	}
	if len(makes) == 0 {
		return
	}
	for _, c := range b.p.plan.Changes {
		if b.first[c.Addr] == nil {
			continue
		}
		for _, n := range c.Type.Named(schema.Bare(c.After)) {
			on := makes[nameKey{c.Provider, n.Type, n.Name}]
			if on == nil || n.Name == "" {
				continue
			}
			if from, to := c.Addr.Block(), on.Addr.Block(); !b.refers(from, to) && !b.refers(to, from) {
				need(b.first[c.Addr], on)
			}
		}
	}
}

// refers reports whether a block refers to another one, through others too.
func (b *builder) refers(from, to schema.Addr) bool {
	seen := map[schema.Addr]bool{}
	for open := []schema.Addr{from}; len(open) > 0; open = open[1:] {
		for _, d := range b.p.graph.Deps(open[0]) {
			if d == to {
				return true
			}
			if !seen[d] {
				seen[d] = true
				open = append(open, d)
			}
		}
	}
	return false
}

// connectRolling replaces the members of a group a few at a time.
func (b *builder) connectRolling() {
	type group struct {
		cluster schema.Addr
		name    string
	}
	replaced := map[group][]*engine.Change{}
	for _, c := range b.p.plan.Changes {
		m, ok := b.p.members[c.Addr]
		if !ok || m.AtOnce == 0 || c.Action != engine.Replace || slices.ContainsFunc(m.Follows, func(f schema.Addr) bool { return b.del[f] != nil }) {
			continue
		}
		g := group{c.Addr.Cluster(), c.Addr.Member.Group}
		replaced[g] = append(replaced[g], c)
		if list := replaced[g]; len(list) > m.AtOnce {
			need(b.del[c.Addr], b.first[list[len(list)-1-m.AtOnce].Addr])
		}
	}
}
