package planfile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

// Differs says where the plan, made again now, is another one than f: none
// means that an apply does exactly what f says. It compares all that f assumes
// and all that it decides, but not what is only told (reasons, notes, drift,
// how busy something is) nor what may differ at each reading (an address, a
// state). The sentences come in the order of the plan.
func (f *File) Differs(now *File, typeOf func(string) *schema.Type) []string {
	if origin := f.otherOrigin(now); len(origin) > 0 {
		return origin // all else follows from these
	}
	out := append(f.otherChanges(now, typeOf), f.otherNamed(now)...)
	if len(out) == 0 {
		out = f.otherSteps(now)
	}
	if !sameList(f.DataLoss, now.DataLoss) {
		out = append(out, "other data would be lost")
	}
	return append(out, f.otherOutputs(now)...)
}

func (f *File) otherOrigin(now *File) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if f.Stack != now.Stack || f.Workspace != now.Workspace {
		say("it is of stack %q, workspace %q, and this is stack %q, workspace %q", f.Stack, f.Workspace, now.Stack, now.Workspace)
	}
	if f.Gapool != now.Gapool {
		say("gapool %s made it, and this is %s", f.Gapool, now.Gapool)
	}
	for _, name := range union(f.Sources, now.Sources) {
		switch was, is := f.Sources[name], now.Sources[name]; {
		case is == "":
			say("the configuration has no file %s any more", name)
		case was == "":
			say("the configuration has a new file %s", name)
		case was != is:
			say("the configuration has changed in %s", name)
		}
	}
	for _, key := range union(f.Engines, now.Engines) {
		was, is := f.Engines[key], now.Engines[key]
		if was.ID != "" && was.ID != is.ID {
			say("the provider %q leads to the engine %s (%s), and led to %s (%s)", key, is.ID, is.Host, was.ID, was.Host)
		}
	}
	switch {
	case f.Lineage != now.Lineage:
		say("the stack has another history (lineage %s, then %s): it was applied or made anew since", orNone(now.Lineage), orNone(f.Lineage))
	case f.Generation != now.Generation:
		say("the state is generation %d and was %d: another apply ran since, perhaps of this very plan", now.Generation, f.Generation)
	case f.State != now.State:
		say("the state has changed: another apply ran since and did not come to its end")
	}
	return out
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func union[V any](a, b map[string]V) []string {
	keys := maps.Clone(a)
	if keys == nil {
		keys = map[string]V{}
	}
	maps.Copy(keys, b)
	return slices.Sorted(maps.Keys(keys))
}

func (f *File) otherChanges(now *File, typeOf func(string) *schema.Type) []string {
	is := make(map[schema.Addr]*change, len(now.Changes))
	for i := range now.Changes {
		is[now.Changes[i].Addr] = &now.Changes[i]
	}
	var out []string
	for i := range f.Changes {
		was := &f.Changes[i]
		c := is[was.Addr]
		delete(is, was.Addr)
		if c == nil {
			out = append(out, fmt.Sprintf("%s is not there any more and nothing is to be done to it", was.Addr))
			continue
		}
		if what := f.otherChange(was, c, typeOf(was.Kind)); what != "" {
			out = append(out, fmt.Sprintf("%s %s", was.Addr, what))
		}
	}
	for _, addr := range slices.SortedFunc(maps.Keys(is), schema.CompareAddr) {
		out = append(out, fmt.Sprintf("%s is new: %s", addr, words(is[addr])))
	}
	return out
}

// otherNamed compares what the words mean that changes name other objects by. A
// plan that was made without looking knew of none.
func (f *File) otherNamed(now *File) []string {
	if f.Options.NoRefresh {
		return nil
	}
	type word struct{ provider, kind, name string }
	is := map[word]string{}
	for _, n := range now.Named {
		is[word{n.Provider, n.Kind, n.Name}] = n.ID
	}
	var out []string
	for _, n := range f.Named {
		if id, ok := is[word{n.Provider, n.Kind, n.Name}]; ok && id != n.ID {
			out = append(out, fmt.Sprintf("%s names the %s %q, which was %s and is %s", n.By, n.Kind, n.Name, cmp.Or(n.ID, "not there"), cmp.Or(id, "gone")))
		}
	}
	return out
}

// otherChange says how a change differs, in words that follow its address.
func (f *File) otherChange(was, is *change, t *schema.Type) string {
	switch {
	case f.Options.NoRefresh && t != nil && t.Virtual:
		// what a cluster says of itself is not recorded
	case was.Object == nil && is.Object != nil:
		return fmt.Sprintf("was not there and is now: %s %q, %s", is.Object.Kind, is.Object.Name, is.Object.ID)
	case was.Object != nil && is.Object == nil:
		return fmt.Sprintf("was %s %q, %s, which is gone", was.Object.Kind, was.Object.Name, was.Object.ID)
	case was.Object != nil && *was.Object != *is.Object && (was.Object.ID != is.Object.ID || was.Object.UID != is.Object.UID):
		return fmt.Sprintf("was %s %q, %s, and is another one now, %q, %s", was.Object.Kind, was.Object.Name, was.Object.ID, is.Object.Name, is.Object.ID)
	}
	if names := f.otherAttrs(was.Before, is.Before, t, f.Options.NoRefresh); len(names) > 0 {
		return "was changed since: " + strings.Join(names, ", ")
	}
	switch {
	case was.Action != is.Action || !sameList(was.OnlyIf, is.OnlyIf):
		return fmt.Sprintf("was planned to be one that %s, and now %s", words(was), words(is))
	case was.Prev != is.Prev:
		return "is recorded under another address"
	case was.Kind != is.Kind || was.Provider != is.Provider || was.Protect != is.Protect || !sameList(was.Deps, is.Deps):
		return "is not as it was planned: its kind, engine, protection or dependencies"
	}
	if names := f.otherAttrs(was.after(), is.after(), t, f.Options.NoRefresh); len(names) > 0 {
		return "would become another: " + strings.Join(names, ", ")
	}
	return ""
}

func (c *change) after() json.RawMessage {
	if len(c.After) > 0 {
		return c.After
	}
	return c.Before
}

func words(c *change) string {
	text := map[engine.Action]string{
		engine.NoOp: "stays", engine.Create: "is created", engine.Update: "is updated", engine.Delete: "is destroyed",
		engine.Replace: "is replaced", engine.ReplaceFirst: "is replaced", engine.Forget: "is forgotten",
	}[c.Action]
	if len(c.OnlyIf) > 0 {
		text += " only if " + strings.Join(c.OnlyIf, " or ") + " changes"
	}
	return text
}

// otherAttrs names the attributes in which two values differ, but for what may
// differ at each reading. recorded is for a value that was not read but
// recorded: it says nothing of what it does not have.
func (f *File) otherAttrs(was, is json.RawMessage, t *schema.Type, recorded bool) []string {
	if bytes.Equal(was, is) {
		return nil
	}
	a, b := fields(was), fields(is)
	if a == nil || b == nil {
		return []string{"all of it"}
	}
	var names []string
	for _, name := range union(a, b) {
		if bytes.Equal(a[name], b[name]) || recorded && a[name] == nil {
			continue
		}
		if row := rowOf(t, name); row != nil && (row.Volatile || recorded && b[name] == nil && row.Change == schema.None && !row.Computed) {
			continue // it is read otherwise each time, or it is gapool's own setting, which no engine has
		}
		switch {
		case a[name] == nil:
			names = append(names, fmt.Sprintf("%s is %s", name, short(b[name])))
		case b[name] == nil:
			names = append(names, fmt.Sprintf("%s was %s", name, short(a[name])))
		default:
			names = append(names, otherPlace(name, a[name], b[name])...)
		}
	}
	return names
}

// otherPlace says in what two values of a place differ: of blocks and maps, in
// which of their places.
func otherPlace(place string, was, is json.RawMessage) []string {
	var out []string
	if a, b := fields(was), fields(is); plain(a) && plain(b) {
		for _, name := range union(a, b) {
			if x, y := orNull(a[name]), orNull(b[name]); !bytes.Equal(x, y) {
				out = append(out, otherPlace(place+"."+name, x, y)...)
			}
		}
	}
	if out == nil {
		out = []string{fmt.Sprintf("%s was %s and is %s", place, short(was), short(is))}
	}
	return out
}

// plain reports whether these are fields of an object that is there, and known
// and no secret as a whole.
func plain(all map[string]json.RawMessage) bool {
	for name := range all {
		if strings.HasPrefix(name, "$") {
			return false
		}
	}
	return len(all) > 0
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}

// rowOf returns a row of a table that may be nil.
func rowOf(t *schema.Type, name string) *schema.Attr {
	if t == nil {
		return nil
	}
	return t.Attr(name)
}

// fields returns an object's attributes, nil for what is none.
func fields(raw json.RawMessage) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if len(raw) > 0 && json.Unmarshal(raw, &m) != nil {
		return nil
	}
	if m == nil {
		m = map[string]json.RawMessage{} // null
	}
	return m
}

// short is a value for a message.
func short(raw json.RawMessage) string {
	const most = 60
	if r := []rune(string(raw)); len(r) > most {
		return string(r[:most]) + "…"
	}
	return string(raw)
}

// otherSteps compares what is done and in which order. Writing down what is
// there is no step that matters.
func (f *File) otherSteps(now *File) []string {
	was, is := real(f.Steps), real(now.Steps)
	if f.Options.NoRefresh {
		was, is = unordered(was), unordered(is)
	}
	if out := f.otherList("steps", was, is); out != nil {
		return out
	}
	return f.otherList("inverse steps", real(f.Undo), real(now.Undo))
}

func (f *File) otherList(what string, was, is []planStep) []string {
	if len(was) != len(is) {
		return []string{fmt.Sprintf("it has %d %s and would have %d", len(was), what, len(is))}
	}
	for i := range was {
		a, b := was[i], is[i]
		if f.Options.NoRefresh { // what could not be known
			if a.Prev == nil {
				b.Prev = nil
			}
			if a.Target == nil && b.Target != nil { // a cluster
				b.Target, b.Name = nil, a.Name
			}
		}
		if !reflect.DeepEqual(a, b) {
			return []string{fmt.Sprintf("its %s are others: %s %s, where it would be %s %s", what, a.Verb, a.Addr, b.Verb, b.Addr)}
		}
	}
	return nil
}

// unordered are the steps without their order, which hangs on what the engine is:
// how many members of a cluster are made at once.
func unordered(steps []planStep) []planStep {
	steps = slices.DeleteFunc(steps, func(s planStep) bool { return s.Verb == engine.Join })
	for i := range steps {
		steps[i].Needs = nil
	}
	slices.SortStableFunc(steps, func(a, b planStep) int {
		return cmp.Or(schema.CompareAddr(a.Addr, b.Addr), cmp.Compare(a.Verb, b.Verb), cmp.Compare(a.Target.id(), b.Target.id()))
	})
	return steps
}

// real are the steps, or the inverse ones, that matter.
func real(steps []planStep) []planStep {
	at := make([]int, len(steps))
	var out []planStep
	for i, s := range steps {
		at[i] = len(out)
		if s.Verb == engine.DoRecord {
			continue
		}
		needs := make([]int, 0, len(s.Needs))
		for _, n := range s.Needs {
			if n >= 0 && n < i && steps[n].Verb != engine.DoRecord {
				needs = append(needs, at[n])
			}
		}
		s.Needs = needs
		out = append(out, s)
	}
	return out
}

func (f *File) otherOutputs(now *File) []string {
	is := map[string]output{}
	for _, o := range now.Outputs {
		is[o.Name] = o
	}
	var out []string
	for _, o := range f.Outputs {
		n, ok := is[o.Name]
		delete(is, o.Name)
		if !ok || o.Action != n.Action || o.Sensitive != n.Sensitive || !bytes.Equal(o.After.Value, n.After.Value) {
			out = append(out, fmt.Sprintf("output.%s would become another", o.Name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(is)) {
		out = append(out, fmt.Sprintf("output.%s is new", name))
	}
	return out
}

func sameList[T comparable](a, b []T) bool { return slices.Equal(a, b) }
