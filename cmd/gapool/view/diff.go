package view

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
)

// Node is one part of the comparison of two values: a leaf, which has texts,
// or a group between brackets, which has parts.
type Node struct {
	// Action is NoOp, Create, Update or Delete.
	Action engine.Action
	// Name as it is printed: an attribute, a quoted key of a map. Empty for an
	// element of a list.
	Name string
	// Block says that a group is printed as "name {" rather than "name = {".
	Block bool
	// Old and New are a leaf's texts. A Create has no Old, a Delete no New; a
	// NoOp has New.
	Old, New string
	// Open is a group's first bracket: "{", "[", or, for lines of text,
	// "<<-EOT" and "jsonencode(".
	Open  string
	Parts []Node
	// Note stands behind the first line as a comment. A Node that has nothing
	// else is a comment on a line of its own.
	Note string
	// Folded are the parts that a comment on a line of its own stands for.
	Folded []Node
	// NullNote says that "-> null" is printed behind what is deleted: an
	// attribute or a map's key, not an element of a list.
	NullNote bool
}

const (
	unknownText   = "(known after apply)"
	sensitiveText = "(sensitive value)"
)

// compare returns the comparison of a value before and after; NilVal is one
// that is not there. What is marked, on either side, is not shown.
func compare(before, after cty.Value) Node {
	n := Node{Action: compareAction(before, after)}
	switch {
	case marked(before) || marked(after):
		if n.Action != engine.Create {
			n.Old = sensitiveText
		}
		if n.Action != engine.Delete {
			n.New = sensitiveText
		}
		return n
	case n.Action == engine.Update && isJSON(before) && isJSON(after) && jsonText(before) != jsonText(after):
		n.Open, n.Parts = byJSON, compareLines(asJSON(before), asJSON(after))
	case n.Action != engine.Update && jsonLines(before, after):
		n.Open, n.Parts = byJSON, compareLines(asJSON(before), asJSON(after))
	case !group(before) && !group(after):
		n.Old, n.New = leafText(before), leafText(after)
	case text(before) && text(after):
		n.Open, n.Parts = byLine, compareLines(before, after)
	case n.Action == engine.Update && kind(before) != kind(after):
		// Of two shapes, the old one is told in a word.
		n.Old = summary(before)
		if group(after) {
			made := compare(cty.NilVal, after)
			n.Open, n.Parts = made.Open, made.Parts
		} else {
			n.New = leafText(after)
		}
	default:
		n.Open, n.Parts = compareGroups(before, after)
	}
	switch n.Action {
	case engine.Create, engine.NoOp:
		n.Old = ""
	case engine.Delete:
		n.New = ""
	}
	return n
}

// none reports whether there is nothing: no value or a null.
func none(v cty.Value) bool { return v == cty.NilVal || v.IsNull() }

func marked(v cty.Value) bool { return v != cty.NilVal && v.IsMarked() }

func compareAction(before, after cty.Value) engine.Action {
	switch {
	case before == cty.NilVal || none(before) && !none(after):
		return engine.Create
	case after == cty.NilVal || none(after) && !none(before):
		return engine.Delete
	case same(before, after):
		return engine.NoOp
	default:
		return engine.Update
	}
}

// same reports whether two values are known to be equal, whatever their marks.
func same(a, b cty.Value) bool {
	a, _ = a.UnmarkDeep()
	b, _ = b.UnmarkDeep()
	return a.IsWhollyKnown() && b.IsWhollyKnown() && a.RawEquals(b)
}

// Kinds of groups, by how their parts are told apart.
const (
	byKey   = "{"
	byPlace = "["
	byLine  = "<<-EOT"
	byJSON  = "jsonencode("
)

// lined says that the parts of a group are lines of text.
func lined(open string) bool { return open == byLine || open == byJSON }

// kind returns how the parts of a value are told apart; empty for a leaf.
func kind(v cty.Value) string {
	if v == cty.NilVal || v.IsMarked() || v.IsNull() || !v.IsKnown() {
		return ""
	}
	ty := v.Type()
	switch {
	case ty.IsObjectType() || ty.IsMapType():
		return byKey
	case ty.IsListType() || ty.IsSetType() || ty.IsTupleType():
		return byPlace
	case ty == cty.String && strings.Contains(strings.TrimSuffix(v.AsString(), "\n"), "\n"):
		return byLine
	default:
		return ""
	}
}

// group reports whether v is printed between brackets. What is empty is a leaf.
func group(v cty.Value) bool {
	switch kind(v) {
	case "":
		return false
	case byLine:
		return true
	default:
		return v.LengthInt() > 0
	}
}

// text reports whether v is a string, of one line or of several.
func text(v cty.Value) bool {
	return v != cty.NilVal && !v.IsMarked() && !v.IsNull() && v.IsKnown() && v.Type() == cty.String
}

// summary is a value in a word.
func summary(v cty.Value) string {
	if !group(v) {
		return leafText(v)
	}
	switch kind(v) {
	case byKey:
		return "{ " + count(v.LengthInt(), "element") + " }"
	case byPlace:
		return "[ " + count(v.LengthInt(), "element") + " ]"
	default:
		return "(several lines)"
	}
}

func leafText(v cty.Value) string {
	if none(v) {
		return "null"
	}
	if v.IsMarked() {
		return sensitiveText
	}
	if !v.IsKnown() {
		return unknownText
	}
	switch ty := v.Type(); {
	case ty == cty.String:
		return strconv.Quote(v.AsString())
	case ty == cty.Number:
		return v.AsBigFloat().Text('f', -1)
	case ty == cty.Bool:
		return strconv.FormatBool(v.True())
	case ty.IsObjectType() || ty.IsMapType():
		return "{}"
	default:
		return "[]"
	}
}

func compareGroups(before, after cty.Value) (open string, parts []Node) {
	open = cmp.Or(kind(after), kind(before))
	if !group(before) {
		before = cty.NilVal
	}
	if !group(after) {
		after = cty.NilVal
	}
	switch open {
	case byKey:
		return open, compareMaps(before, after)
	case byLine:
		return open, compareLines(before, after)
	default:
		if isSet(before) && isSet(after) {
			return open, compareSets(before, after)
		}
		return open, compareLists(elements(before), elements(after))
	}
}

func isSet(v cty.Value) bool { return v == cty.NilVal || v.Type().IsSetType() }

// compareMaps compares by key, in the order of the keys.
func compareMaps(before, after cty.Value) []Node {
	old, new := entries(before), entries(after)
	keys := maps.Clone(old)
	if keys == nil {
		keys = map[string]cty.Value{}
	}
	maps.Copy(keys, new)
	isMap := !isObject(before) && !isObject(after)
	var parts []Node
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		was, ok := old[key]
		if !ok {
			was = cty.NilVal
		}
		is, ok := new[key]
		if !ok {
			is = cty.NilVal
		}
		if none(was) && none(is) && !isMap {
			continue
		}
		n := compare(was, is)
		n.NullNote = true
		if n.Name = key; isMap || !hclsyntax.ValidIdentifier(key) {
			n.Name = strconv.Quote(key)
		}
		parts = append(parts, n)
	}
	if isMap {
		return fold(parts, "element", 0)
	}
	return fold(parts, "attribute", 0)
}

func isObject(v cty.Value) bool { return v != cty.NilVal && v.Type().IsObjectType() }

func entries(v cty.Value) map[string]cty.Value {
	if v == cty.NilVal {
		return nil
	}
	return v.AsValueMap()
}

func elements(v cty.Value) []cty.Value {
	if v == cty.NilVal {
		return nil
	}
	return v.AsValueSlice()
}

// compareSets shows an element of either side as removed or added.
func compareSets(before, after cty.Value) []Node {
	old, new := elements(before), elements(after)
	was, is := numbered(old, new)
	there, stays := map[int]bool{}, map[int]bool{}
	for _, n := range was {
		there[n] = true
	}
	for _, n := range is {
		stays[n] = true
	}
	var parts []Node
	for i, v := range old {
		left := cty.NilVal
		if stays[was[i]] {
			left = v
		}
		parts = append(parts, compare(v, left))
	}
	for i, v := range new {
		if !there[is[i]] {
			parts = append(parts, compare(cty.NilVal, v))
		}
	}
	return fold(parts, "element", 0)
}

// compareLists keeps the longest common part and shows the others as removed
// and added; where as many groups go as come, they are compared in pairs.
func compareLists(old, new []cty.Value) []Node {
	var parts []Node
	was, is := numbered(old, new)
	for _, r := range align(was, is) {
		if r.same {
			parts = append(parts, compare(old[r.old], new[r.new]))
			continue
		}
		gone, come := old[r.old:r.oldEnd], new[r.new:r.newEnd]
		if len(gone) == len(come) && len(gone) > 0 && kind(gone[0]) == byKey {
			for i := range gone {
				parts = append(parts, compare(gone[i], come[i]))
			}
			continue
		}
		for _, v := range gone {
			parts = append(parts, compare(v, cty.NilVal))
		}
		for _, v := range come {
			parts = append(parts, compare(cty.NilVal, v))
		}
	}
	return fold(parts, "element", 1)
}

// numbered gives the elements of two lists numbers, which are equal where two are
// the same: to compare each with each would take long.
func numbered(old, new []cty.Value) (was, is []int) {
	type element struct {
		v cty.Value
		n int
	}
	known := map[int][]element{} // by hash
	count := 0
	number := func(v cty.Value) int {
		v, _ = v.UnmarkDeep()
		var h int
		if v.IsWhollyKnown() {
			h = v.Hash()
			for _, e := range known[h] {
				if e.v.RawEquals(v) {
					return e.n
				}
			}
		}
		count++
		if v.IsWhollyKnown() {
			known[h] = append(known[h], element{v, count})
		}
		return count
	}
	for _, v := range old {
		was = append(was, number(v))
	}
	for _, v := range new {
		is = append(is, number(v))
	}
	return was, is
}

// compareLines compares two texts line by line.
func compareLines(before, after cty.Value) []Node {
	old, new := lines(before), lines(after)
	var parts []Node
	for _, r := range align(lineNumbers(old, new)) {
		if r.same {
			parts = append(parts, Node{Action: engine.NoOp, New: visible(old[r.old])})
			continue
		}
		for _, l := range old[r.old:r.oldEnd] {
			parts = append(parts, Node{Action: engine.Delete, Old: visible(l)})
		}
		for _, l := range new[r.new:r.newEnd] {
			parts = append(parts, Node{Action: engine.Create, New: visible(l)})
		}
	}
	// A last line has its end or has not: that is to be seen, too.
	if old != nil && new != nil && ended(before) != ended(after) {
		end := Node{Action: engine.Create, Note: "newline at the end"}
		if ended(before) {
			end.Action = engine.Delete
		}
		parts = append(parts, end)
	}
	return fold(parts, "line", 2)
}

func ended(v cty.Value) bool { return strings.HasSuffix(v.AsString(), "\n") }

func lines(v cty.Value) []string {
	if none(v) {
		return nil
	}
	return strings.Split(strings.TrimSuffix(v.AsString(), "\n"), "\n")
}

// visible writes what would not be seen, or would move a cursor, as a quoted
// string has it: a change of it is to be seen. A backslash stays one.
func visible(line string) string {
	var b strings.Builder
	for _, r := range line {
		if r == '\t' || strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// run is either one element that both sides have, or what was removed and added
// between two such.
type run struct {
	same        bool
	old, oldEnd int
	new, newEnd int
}

// alignLimit bounds the table of align: two lists of 2,000 elements.
const alignLimit = 4_000_000

// align finds a longest common subsequence of two lists, in which equal numbers
// are equal elements, and returns the runs that lead from one to the other. Long
// lists are first taken apart where both have an element once.
func align(old, new []int) []run { return alignWithin(alignLimit, old, new) }

func alignWithin(limit int, old, new []int) []run {
	var runs []run
	keep := func(i, j int) { runs = append(runs, run{true, i, i + 1, j, j + 1}) }
	gap := func(i, oldEnd, j, newEnd int) {
		if i < oldEnd || j < newEnd {
			runs = append(runs, run{false, i, oldEnd, j, newEnd})
		}
	}
	// inTable does it by definition: longest[a][b] is the length for the last a
	// and b elements.
	inTable := func(i, oldEnd, j, newEnd int) {
		rows, cols := oldEnd-i, newEnd-j
		longest := make([][]int, rows+1)
		longest[0] = make([]int, cols+1)
		for a := 1; a <= rows; a++ {
			longest[a] = make([]int, cols+1)
			for b := 1; b <= cols; b++ {
				if old[oldEnd-a] == new[newEnd-b] {
					longest[a][b] = longest[a-1][b-1] + 1
				} else {
					longest[a][b] = max(longest[a-1][b], longest[a][b-1])
				}
			}
		}
		fromOld, fromNew := i, j
		for i < oldEnd && j < newEnd {
			switch {
			case old[i] == new[j]:
				gap(fromOld, i, fromNew, j)
				keep(i, j)
				i, j = i+1, j+1
				fromOld, fromNew = i, j
			case longest[oldEnd-i-1][newEnd-j] >= longest[oldEnd-i][newEnd-j-1]:
				i++
			default:
				j++
			}
		}
		gap(fromOld, oldEnd, fromNew, newEnd)
	}
	var part func(i, oldEnd, j, newEnd int)
	part = func(i, oldEnd, j, newEnd int) {
		for i < oldEnd && j < newEnd && old[i] == new[j] {
			keep(i, j)
			i, j = i+1, j+1
		}
		tail := 0
		for i < oldEnd-tail && j < newEnd-tail && old[oldEnd-1-tail] == new[newEnd-1-tail] {
			tail++
		}
		oldEnd, newEnd = oldEnd-tail, newEnd-tail
		if rows, cols := oldEnd-i, newEnd-j; rows == 0 || cols == 0 {
			gap(i, oldEnd, j, newEnd)
		} else if rows <= limit/cols {
			inTable(i, oldEnd, j, newEnd)
		} else if fixed := anchors(old[i:oldEnd], new[j:newEnd]); len(fixed) == 0 {
			gap(i, oldEnd, j, newEnd)
		} else {
			nextOld, nextNew := i, j
			for _, a := range fixed {
				part(nextOld, i+a[0], nextNew, j+a[1])
				keep(i+a[0], j+a[1])
				nextOld, nextNew = i+a[0]+1, j+a[1]+1
			}
			part(nextOld, oldEnd, nextNew, newEnd)
		}
		for k := range tail {
			keep(oldEnd+k, newEnd+k)
		}
	}
	part(0, len(old), 0, len(new))
	return runs
}

// anchors are the places of elements that both lists have once, as many of them
// as come in the same order in both.
func anchors(old, new []int) [][2]int {
	type place struct{ n, at int }
	count := func(list []int) map[int]place {
		out := map[int]place{}
		for i, x := range list {
			out[x] = place{out[x].n + 1, i}
		}
		return out
	}
	was, is := count(old), count(new)
	var both [][2]int
	for i, x := range old {
		if was[x].n == 1 && is[x].n == 1 {
			both = append(both, [2]int{i, is[x].at})
		}
	}
	// The longest that rises: last[k] ends one of k+1 elements with the least.
	var last []int
	before := make([]int, len(both))
	for i, b := range both {
		k, _ := slices.BinarySearchFunc(last, b[1], func(at, to int) int { return cmp.Compare(both[at][1], to) })
		before[i] = -1
		if k > 0 {
			before[i] = last[k-1]
		}
		if k == len(last) {
			last = append(last, i)
		} else {
			last[k] = i
		}
	}
	var out [][2]int
	if len(last) > 0 {
		for i := last[len(last)-1]; i >= 0; i = before[i] {
			out = append(out, both[i])
		}
	}
	slices.Reverse(out)
	return out
}

// lineNumbers gives lines numbers, which are equal where they are.
func lineNumbers(old, new []string) (was, is []int) {
	known := map[string]int{}
	number := func(lines []string) []int {
		out := make([]int, len(lines))
		for i, l := range lines {
			if known[l] == 0 {
				known[l] = len(known) + 1
			}
			out[i] = known[l]
		}
		return out
	}
	return number(old), number(new)
}

// fold replaces unchanged parts by their count, but for those within context of
// a changed one. Where nothing changed all are kept: the whole is shown as it
// is. Where parts have no order, context is 0 and the count comes last.
func fold(parts []Node, what string, context int) []Node {
	near := make([]bool, len(parts))
	changed := false
	for i, p := range parts {
		if p.Action == engine.NoOp {
			continue
		}
		changed = true
		for j := max(0, i-context); j <= min(len(parts)-1, i+context); j++ {
			near[j] = true
		}
	}
	if !changed {
		return parts
	}
	var out, hidden []Node
	flush := func() {
		if len(hidden) > 0 {
			out = append(out, foldedNode(hidden, what))
		}
		hidden = nil
	}
	for i, p := range parts {
		if !near[i] {
			hidden = append(hidden, p)
			continue
		}
		if context > 0 {
			flush()
		}
		out = append(out, p)
	}
	flush()
	return out
}

func foldedNode(parts []Node, what string) Node {
	return Node{Action: engine.NoOp, Note: fmt.Sprintf("(%s hidden)", count(len(parts), "unchanged "+what)), Folded: parts}
}

// unfold puts what was folded back, in the place where it would be: arguments
// by name before blocks by name, what has no name where it was.
func unfold(parts []Node) []Node {
	var out []Node
	for _, n := range parts {
		if n.Folded != nil {
			out = append(out, unfold(n.Folded)...)
			continue
		}
		n.Parts = unfold(n.Parts)
		out = append(out, n)
	}
	slices.SortStableFunc(out, func(a, b Node) int {
		if a.Block != b.Block {
			if a.Block {
				return 1
			}
			return -1
		}
		nameA, _, _ := strings.Cut(a.Name, " ")
		nameB, _, _ := strings.Cut(b.Name, " ")
		return cmp.Compare(nameA, nameB)
	})
	return out
}
