package view

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

// Compare returns what a change does to the object's attributes, then to its
// nested blocks, each by name:
//
//   - a Create shows what is set or will be known, of a cluster's member less;
//   - a Delete shows what is there and is not the engine's default;
//   - any other shows the differences that lead to it, what follows from them
//     (an ID that will be another), the object's id and name, and counts the
//     rest.
//
// A value of a Live attribute (env) that the configuration no longer shows is
// not shown either: it may be a secret that nobody can mark any more.
func Compare(c *engine.Change) []Node {
	switch c.Action {
	case engine.Create:
		return created(c, nil)
	case engine.Delete:
		return deleted(c)
	default:
		return changed(c)
	}
}

// CompareTo does the same for a Create of a cluster's member beside another one
// that was shown before it: what is equal to that one is only counted.
func CompareTo(c, like *engine.Change) []Node { return created(c, like) }

func created(c, like *engine.Change) []Node {
	member := !c.Addr.Member.IsZero()
	var rows, equal, later, usual []Node
	for _, a := range inOrder(c.Type.Attrs) {
		v := attr(c.After, a.Name)
		switch {
		case none(v):
		case like != nil && equalTo(v, attr(like.After, a.Name)):
			equal = append(equal, attrNodes(a, cty.NilVal, v)...)
		case member && a.Computed && !v.IsKnown():
			later = append(later, attrNodes(a, cty.NilVal, v)...)
		case member && a.Default != cty.NilVal && same(v, a.Default):
			usual = append(usual, attrNodes(a, cty.NilVal, v)...)
		default:
			rows = append(rows, attrNodes(a, cty.NilVal, v)...)
		}
	}
	if member {
		condense(rows)
	}
	if len(equal) > 0 {
		rows = insertNote(rows, Node{Note: "as of " + like.Addr.String(), Folded: equal})
	}
	if len(usual) > 0 {
		rows = insertNote(rows, Node{Note: "at the default hidden", Folded: usual})
	}
	if len(later) > 0 {
		rows = insertNote(rows, Node{Note: "known after apply", Folded: later})
	}
	return rows
}

// condense writes the lists in a member that is created on one line: nobody
// wrote them, and there are as many as members.
func condense(nodes []Node) {
	for i := range nodes {
		n := &nodes[i]
		if n.Open != byPlace {
			condense(n.Parts)
			continue
		}
		var texts []string
		for _, p := range n.Parts {
			switch p.Open {
			case "":
				texts = append(texts, p.New)
			case byLine:
				texts = append(texts, "(several lines)")
			default:
				texts = nil
			}
		}
		if len(texts) == len(n.Parts) {
			n.Open, n.Parts, n.New = "", nil, "["+strings.Join(texts, ", ")+"]"
		}
	}
}

// equalTo reports whether two planned values will be equal, as far as a reader
// cares: unknown alike, too.
func equalTo(a, b cty.Value) bool {
	return !none(b) && (same(a, b) || !a.IsKnown() && !b.IsKnown())
}

// insertNote puts a comment behind the arguments, before the nested blocks: its
// words after the number of attributes that it stands for.
func insertNote(rows []Node, note Node) []Node {
	if note.Action == "" {
		note.Action, note.Note = engine.NoOp, fmt.Sprintf("(%s %s)", count(len(note.Folded), "attribute"), note.Note)
	}
	at := slices.IndexFunc(rows, func(n Node) bool { return n.Block })
	if at < 0 {
		at = len(rows)
	}
	return slices.Insert(rows, at, note)
}

// count is a number with its noun: "1 attribute", "2 attributes".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

func deleted(c *engine.Change) []Node {
	var defaults cty.Value
	if c.Object != nil {
		defaults = c.Object.Defaults
	}
	var rows, usually []Node
	for _, a := range inOrder(c.Type.Attrs) {
		v := attr(c.Before, a.Name)
		usual := attr(defaults, a.Name)
		if none(v) || a.Volatile {
			continue
		}
		all := v
		if a.Merge {
			v = without(v, usual)
		}
		if a.Name != "name" && (emptyGroup(v) || !none(usual) && same(v, usual)) {
			usually = append(usually, attrNodes(a, engine.Conceal(a, all, cty.NilVal), cty.NilVal)...)
			continue
		}
		rows = append(rows, attrNodes(a, engine.Conceal(a, v, cty.NilVal), cty.NilVal)...)
	}
	if len(usually) > 0 {
		rows = insertNote(rows, Node{Note: "at the default hidden", Folded: usually})
	}
	return rows
}

func changed(c *engine.Change) []Node {
	diffs := map[string][]schema.Difference{}
	after, before := engine.MarksIn(c.After), engine.MarksIn(c.Before)
	for _, d := range c.Differences {
		d.Want = engine.MarkedAs(after, d.Path, d.Want)
		d.Live = engine.MarkedAs(before, d.Path, d.Live)
		diffs[d.Attr] = append(diffs[d.Attr], d)
	}
	var rows, same, sameBlocks []Node
	blocks := 0 // what is one in the table may be several nodes
	for _, a := range inOrder(c.Type.Attrs) {
		before, after := attr(c.Before, a.Name), attr(c.After, a.Name)
		switch ds := diffs[a.Name]; {
		case len(ds) > 0:
			for _, n := range differing(a, before, after, ds) {
				if n.Action == engine.NoOp && n.Block {
					blocks++
					sameBlocks = append(sameBlocks, n)
					continue
				}
				if c.Action.Replaces() {
					n.Note = replaceNote(ds)
				}
				rows = append(rows, n)
			}
		case a.Computed && !a.Volatile && !none(before) && after != cty.NilVal && !after.IsKnown():
			rows = append(rows, attrNodes(a, engine.Conceal(a, before, after), after)...)
		case (a.Name == "id" || a.Name == "name") && !none(before):
			rows = append(rows, attrNodes(a, before, before)...)
		case !none(before):
			v := engine.Conceal(a, before, after)
			if a.Block == nil {
				same = append(same, attrNodes(a, v, v)...)
				continue
			}
			sameBlocks = append(sameBlocks, attrNodes(a, v, v)...)
			blocks++
		}
	}
	if len(same) > 0 {
		rows = insertNote(rows, foldedNode(same, "attribute"))
	}
	if blocks > 0 {
		n := foldedNode(sameBlocks, "block")
		n.Note = fmt.Sprintf("(%s hidden)", count(blocks, "unchanged block"))
		rows = append(rows, n)
	}
	return rows
}

func replaceNote(ds []schema.Difference) string {
	surely := slices.ContainsFunc(ds, func(d schema.Difference) bool { return d.Replace && !d.Unknown })
	maybe := slices.ContainsFunc(ds, func(d schema.Difference) bool { return d.Replace })
	switch {
	case surely:
		return "forces replacement"
	case maybe:
		return "forces replacement if it changes"
	default:
		return ""
	}
}

// differing shows the differences of one attribute, in the frame of its value.
func differing(a *schema.Attr, before, after cty.Value, ds []schema.Difference) []Node {
	if a.Block == nil {
		if len(ds[0].Path) <= 1 {
			n := compareOther(a, engine.Conceal(a, ds[0].Live, ds[0].Want), ds[0].Want)
			n.Name, n.NullNote = a.Name, true
			return []Node{n}
		}
		return []Node{mapNode(a, before, after, ds)}
	}
	if len(ds[0].Path) <= 1 {
		return attrNodes(a, ds[0].Live, ds[0].Want)
	}
	// Where the configuration says nothing the default comes back.
	after, _ = cty.Transform(after, func(p cty.Path, v cty.Value) (cty.Value, error) {
		for _, d := range ds {
			if v.IsNull() && d.Path[1:].Equals(p) {
				return d.Want, nil
			}
		}
		return v, nil
	})
	return attrNodes(a, before, after)
}

// compareOther compares what is there with what the configuration wants, which is
// known to differ: of a plan that is read from its file a secret is not the value
// itself, and may be like the other one by chance. What the configuration has in
// clear is shown, also where the old value is, or may be, a secret.
func compareOther(a *schema.Attr, live, want cty.Value) Node {
	n := compare(live, want)
	if n.Action == engine.NoOp {
		n.Action = engine.Update
	}
	if a.Sensitive || n.Action != engine.Update || !marked(live) || !engine.Shown(want) {
		return n
	}
	n = compare(cty.NilVal, want)
	n.Action, n.Old = engine.Update, sensitiveText
	return n
}

// mapNode shows the keys of a map that differ and counts the others that are
// configured, or all where the map is not merged with the image's.
func mapNode(a *schema.Attr, before, after cty.Value, ds []schema.Difference) Node {
	n := Node{Action: engine.Update, Name: a.Name, Open: byKey, NullNote: true}
	switch {
	case none(before) || emptyGroup(before):
		n.Action = engine.Create
	case none(after) && !a.Merge:
		n.Action = engine.Delete
	}
	same := map[string]cty.Value{}
	if a.Merge {
		maps.Copy(same, entriesOf(after))
	} else {
		maps.Copy(same, entriesOf(engine.Conceal(a, before, after)))
	}
	for _, d := range ds {
		key := keyOf(d.Path)
		delete(same, key)
		live := d.Live
		if a.Live && !engine.Shown(d.Want) && !none(live) {
			live = hidden(live)
		}
		part := compareOther(a, live, d.Want)
		part.Name, part.NullNote = strconv.Quote(key), true
		n.Parts = append(n.Parts, part)
	}
	if len(same) > 0 {
		var parts []Node
		for _, key := range slices.Sorted(maps.Keys(same)) {
			part := compare(same[key], same[key])
			part.Name = strconv.Quote(key)
			parts = append(parts, part)
		}
		n.Parts = append(n.Parts, foldedNode(parts, "element"))
	}
	return n
}

// keyOf returns the key of a map that a path ends with.
func keyOf(p cty.Path) string {
	if step, ok := p[len(p)-1].(cty.IndexStep); ok && step.Key.Type() == cty.String {
		return step.Key.AsString()
	}
	return ""
}

// entriesOf returns the entries of a map that may be null, unknown or marked.
func entriesOf(v cty.Value) map[string]cty.Value {
	if v != cty.NilVal {
		v, _ = v.Unmark()
	}
	if kind(v) != byKey {
		return nil
	}
	return v.AsValueMap()
}

// inOrder returns the arguments by name, then the nested blocks by name.
func inOrder(attrs []schema.Attr) []*schema.Attr {
	out := make([]*schema.Attr, len(attrs))
	for i := range attrs {
		out[i] = &attrs[i]
	}
	slices.SortFunc(out, func(a, b *schema.Attr) int {
		if (a.Block == nil) != (b.Block == nil) {
			if a.Block == nil {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return out
}

// attr returns an attribute of an object; NilVal where there is no object or
// the object does not have it.
func attr(obj cty.Value, name string) cty.Value {
	if none(obj) || !obj.Type().IsObjectType() || !obj.Type().HasAttribute(name) {
		return cty.NilVal
	}
	return obj.GetAttr(name)
}

// attrNodes compares one attribute; blocks that can be repeated give a Node
// each.
func attrNodes(a *schema.Attr, before, after cty.Value) []Node {
	if a.Sensitive {
		before, after = hidden(before), hidden(after)
	}
	if a.Block == nil || !listable(before) || !listable(after) {
		n := compare(before, after)
		n.Name, n.NullNote, n.Block = a.Name, true, a.Block != nil
		return []Node{n}
	}
	switch a.Block.Nesting {
	case schema.Single:
		return []Node{blockNode(a, a.Name, before, after)}
	case schema.Map:
		old, new := entries(nonNull(before)), entries(nonNull(after))
		var nodes []Node
		for _, key := range sortedKeys(old, new) {
			nodes = append(nodes, blockNode(a, a.Name+" "+strconv.Quote(key), old[key], new[key]))
		}
		return nodes
	default:
		var nodes []Node
		for _, p := range pair(a.Block, elements(nonNull(before)), elements(nonNull(after))) {
			nodes = append(nodes, blockNode(a, a.Name, p[0], p[1]))
		}
		return nodes
	}
}

func hidden(v cty.Value) cty.Value {
	if none(v) {
		return v
	}
	return v.Mark(schema.SensitiveMark)
}

// listable reports whether the blocks of a value can be told one by one.
func listable(v cty.Value) bool { return none(v) || v.IsKnown() && !v.IsMarked() }

func nonNull(v cty.Value) cty.Value {
	if none(v) {
		return cty.NilVal
	}
	return v
}

func sortedKeys(ms ...map[string]cty.Value) []string {
	var keys []string
	for _, m := range ms {
		for k := range m {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// pair finds each old block's new one: by the attributes that tell them apart,
// else by place in a list and by equality in a set. Old ones that go come
// first.
func pair(b *schema.Block, old, new []cty.Value) [][2]cty.Value {
	var pairs [][2]cty.Value
	taken := make([]bool, len(new))
	for i, o := range old {
		j := slices.IndexFunc(new, func(n cty.Value) bool { return sameBlock(b, o, n) })
		if b.Nesting == schema.List && len(b.Key) == 0 {
			if j = i; i >= len(new) {
				j = -1
			}
		}
		if j < 0 || taken[j] {
			pairs = append(pairs, [2]cty.Value{o, cty.NilVal})
			continue
		}
		taken[j] = true
		pairs = append(pairs, [2]cty.Value{o, new[j]})
	}
	for j, n := range new {
		if !taken[j] {
			pairs = append(pairs, [2]cty.Value{cty.NilVal, n})
		}
	}
	return pairs
}

// sameBlock reports whether new is old's counterpart: what it leaves out fits
// anything.
func sameBlock(b *schema.Block, old, new cty.Value) bool {
	keys := b.Key
	if len(keys) == 0 {
		for i := range b.Attrs {
			keys = append(keys, b.Attrs[i].Name)
		}
	}
	for _, k := range keys {
		if is := attr(new, k); !none(is) && !same(attr(old, k), is) {
			return false
		}
	}
	return true
}

// blockNode compares two blocks of one kind; a NilVal is one that is not there.
// What the new one leaves out is the engine's to say and no change.
func blockNode(a *schema.Attr, name string, before, after cty.Value) Node {
	before, after = nonNull(before), nonNull(after)
	n := Node{Name: name, Block: true, Open: byKey, Action: engine.NoOp}
	switch {
	case before == cty.NilVal:
		n.Action = engine.Create
	case after == cty.NilVal:
		n.Action = engine.Delete
	}
	var blocks []Node
	for _, row := range inOrder(a.Block.Attrs) {
		was, is := attr(before, row.Name), attr(after, row.Name)
		if none(was) && none(is) {
			continue
		}
		if n.Action == engine.NoOp || n.Action == engine.Update {
			if none(is) {
				is = was
			}
		}
		ns := attrNodes(row, was, is)
		for i := range ns {
			ns[i].NullNote = n.Action != engine.Delete
			if ns[i].Action != engine.NoOp && n.Action == engine.NoOp {
				n.Action = engine.Update
			}
		}
		if row.Block == nil {
			n.Parts = append(n.Parts, ns...)
		} else {
			blocks = append(blocks, ns...)
		}
	}
	if n.Action == engine.Update {
		// What tells it from the others stays to be seen.
		var keys, rest []Node
		for _, p := range n.Parts {
			if p.Action == engine.NoOp && slices.Contains(a.Block.Key, p.Name) {
				keys = append(keys, p)
			} else {
				rest = append(rest, p)
			}
		}
		n.Parts, blocks = append(keys, fold(rest, "attribute", 0)...), fold(blocks, "block", 0)
	}
	n.Parts = append(n.Parts, blocks...)
	return n
}

// without returns the entries of a map that are not the usual ones.
func without(v, usual cty.Value) cty.Value {
	if kind(v) != byKey || !v.Type().IsMapType() || kind(usual) != byKey {
		return v
	}
	theirs, out := entries(usual), map[string]cty.Value{}
	for k, x := range entries(v) {
		if u, ok := theirs[k]; !ok || !same(x, u) {
			out[k] = x
		}
	}
	return mapOf(v, out)
}

func mapOf(like cty.Value, m map[string]cty.Value) cty.Value {
	if len(m) == 0 {
		return cty.MapValEmpty(like.Type().ElementType())
	}
	return cty.MapVal(m)
}

func emptyGroup(v cty.Value) bool { return kind(v) != "" && kind(v) != byLine && v.LengthInt() == 0 }
