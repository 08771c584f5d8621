package engine

import (
	"bytes"
	"encoding/json"
	"math/big"
	"reflect"
	"slices"
	"strconv"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// RecordOf is what the state keeps of an address whose object is obj and whose
// value is v (marks and all). obj is nil for a virtual resource. engineID is
// that of the engine the object lives on.
func RecordOf(c *Change, obj *providers.Object, v cty.Value, engineID string, status state.Status) *state.Record {
	rec := &state.Record{
		Addr: c.Addr, Provider: c.Provider, Engine: engineID, Kind: c.Type.Name,
		Deps: slices.Clone(c.Deps), Protected: c.Protect,
		Sensitive: SensitiveAttrs(c.Type, v), Hashes: recordedHashes(c.Type, v, c.Record),
	}
	if obj != nil && c.Type.Renames {
		v = withName(v, obj.Name) // until a step renames it, it has another name than is wanted
	}
	rec.Attrs = storedAttrs(c.Type, v)
	if obj != nil {
		rec.Current = &state.Object{ID: obj.ID, Name: obj.Name, UID: obj.Owner.UID, Status: status}
	}
	if c.Record != nil {
		rec.PrevTag = c.Record.PrevTag
	} else if c.Type.ByName && c.Adopted && c.Object != nil {
		rec.PrevTag = &c.Object.ID // it was there before us
	}
	return rec
}

// SensitiveAttrs names the attributes that have a secret in them, in the order
// of the table, so that it stays hidden when the configuration does not have it
// any more. A map whose keys are secret is there as a whole, too: see wholly.
func SensitiveAttrs(t *schema.Type, v cty.Value) []string {
	if v == cty.NilVal || v.IsNull() || !v.IsKnown() {
		return nil
	}
	var names []string
	for i := range t.Attrs {
		if name := t.Attrs[i].Name; schema.IsSensitive(v.GetAttr(name)) {
			names = append(names, name)
			if x := v.GetAttr(name); x.IsMarked() && x.Type().IsMapType() {
				names = append(names, wholly(name))
			}
		}
	}
	return names
}

// wholly names a map of which each key and value is secret. No attribute is
// called so.
func wholly(name string) string { return name + "[*]" }

// recordedHashes are the hashes of the secrets that only the record can tell.
// One that is as before keeps its hash, so that the record stays the same.
func recordedHashes(t *schema.Type, v cty.Value, old *state.Record) map[string]string {
	if v == cty.NilVal || v.IsNull() || !v.IsKnown() {
		return nil
	}
	var hashes map[string]string
	for i := range t.Attrs {
		a := &t.Attrs[i]
		x := v.GetAttr(a.Name)
		if !a.Recorded || !schema.IsSensitive(x) {
			continue
		}
		text, ok := secretText(x)
		if !ok {
			continue
		}
		hash := ""
		bare, _ := x.UnmarkDeep()
		if old != nil && (bare.RawEquals(another(a.Implied())) || state.VerifySecret(old.Hashes[a.Name], text)) {
			hash = old.Hashes[a.Name]
		} else if h, err := state.HashSecret(text); err == nil {
			hash = h // without one it counts as changed
		}
		if hashes == nil {
			hashes = map[string]string{}
		}
		hashes[a.Name] = hash
	}
	return hashes
}

// secretText is a value as it goes into a hash.
func secretText(v cty.Value) ([]byte, bool) {
	v = schema.Bare(v)
	if !v.IsWhollyKnown() {
		return nil, false
	}
	text, err := ctyjson.Marshal(v, v.Type())
	return text, err == nil
}

// Recalled is the live value of an object with what the engine does not say
// back as it was recorded; without a record, as it is wanted.
func Recalled(t *schema.Type, rec *state.Record, want, live cty.Value) cty.Value {
	set := map[string]cty.Value{}
	var stored map[string]cty.Value
	for i := range t.Attrs {
		a := &t.Attrs[i]
		if !a.Recorded {
			continue
		}
		if stored == nil {
			stored = StoredValue(t, rec)
		}
		w, _ := want.GetAttr(a.Name).UnmarkDeep()
		switch was, ok := stored[a.Name]; {
		case ok:
			set[a.Name] = was
		case stored != nil && slices.Contains(rec.Sensitive, a.Name):
			if text, ok := secretText(w); !ok || !state.VerifySecret(rec.Hashes[a.Name], text) {
				w = another(a.Implied())
			}
			set[a.Name] = w.Mark(schema.SensitiveMark)
		case stored != nil:
			set[a.Name] = cty.NullVal(a.Implied())
		case w.IsWhollyKnown():
			set[a.Name] = w
		}
	}
	if len(set) == 0 {
		return live
	}
	return schema.With(live, set)
}

// another stands for a secret of which no more is known than that it is not the
// wanted one. It is not null, so that it differs from that too. Nobody writes
// such a string.
func another(ty cty.Type) cty.Value {
	switch {
	case ty.IsSetType():
		return cty.SetVal([]cty.Value{another(ty.ElementType())})
	case ty.IsListType():
		return cty.ListVal([]cty.Value{another(ty.ElementType())})
	case ty.IsMapType():
		return cty.MapVal(map[string]cty.Value{"": another(ty.ElementType())})
	case ty == cty.String:
		return cty.StringVal("\x00another")
	default:
		return cty.NullVal(ty)
	}
}

func withName(v cty.Value, name string) cty.Value {
	if v == cty.NilVal || v.IsNull() || !v.IsKnown() || v.GetAttr("name").IsMarked() {
		return v
	}
	is := cty.StringVal(name)
	if v.GetAttr("name").RawEquals(is) {
		return v
	}
	return schema.With(v, map[string]cty.Value{"name": is})
}

// storedAttrs are the attributes that may be written down: known, and neither
// sensitive nor such that the table wants them compared live only.
func storedAttrs(t *schema.Type, v cty.Value) json.RawMessage {
	if v == cty.NilVal || v.IsNull() || !v.IsKnown() {
		return nil
	}
	b, err := json.Marshal(storedTexts(t, v))
	if err != nil {
		panic("what was just written as JSON is not JSON: " + err.Error())
	}
	return b
}

func storedTexts(t *schema.Type, v cty.Value) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for i := range t.Attrs {
		a := &t.Attrs[i]
		x := v.GetAttr(a.Name)
		if schema.IsSensitive(x) || x.IsNull() || !x.IsWhollyKnown() || HoldsSecrets(a) {
			continue
		}
		if n, ok := wholeNumber(x); ok {
			out[a.Name] = strconv.AppendInt(nil, n, 10)
			continue
		}
		b, err := ctyjson.Marshal(x, a.Implied())
		if err != nil {
			panic("a known value without marks is not JSON: " + err.Error())
		}
		out[a.Name] = b
	}
	return out
}

// wholeNumber is for most numbers: ctyjson seeks the shortest decimal of 512
// bits, which costs more than all else in a record.
func wholeNumber(v cty.Value) (int64, bool) {
	if v.Type() != cty.Number {
		return 0, false
	}
	n, acc := v.AsBigFloat().Int64()
	return n, acc == big.Exact
}

// SameRecord reports whether two records of an address say the same, but for
// what may differ at each reading.
func SameRecord(t *schema.Type, a, b *state.Record) bool {
	return reflect.DeepEqual(a, b) || steadyJSON(t, a) == steadyJSON(t, b)
}

func steadyJSON(t *schema.Type, rec *state.Record) string {
	steady := rec.Clone()
	attrs := map[string]json.RawMessage{}
	if len(rec.Attrs) > 0 && json.Unmarshal(rec.Attrs, &attrs) == nil {
		for i := range t.Attrs {
			if t.Attrs[i].Volatile {
				delete(attrs, t.Attrs[i].Name)
			}
		}
		steady.Attrs, _ = json.Marshal(attrs) // of raw messages that were just read
	}
	b, err := json.Marshal(steady)
	if err != nil {
		panic("a record is not JSON: " + err.Error())
	}
	return string(b)
}

// HoldsSecrets reports whether the attribute, or one nested in it, is never
// stored.
func HoldsSecrets(a *schema.Attr) bool {
	if a.Live || a.Sensitive {
		return true
	}
	return a.Block != nil && slices.ContainsFunc(a.Block.Attrs, func(n schema.Attr) bool { return HoldsSecrets(&n) })
}

// StoredValue reads back what RecordOf stored: the attributes by name. What no
// longer fits the table is left out.
func StoredValue(t *schema.Type, rec *state.Record) map[string]cty.Value {
	return valuesOf(t, recordedTexts(rec))
}

// Outdated are those of StoredValue that a live value would not be stored as, of
// what may differ at all.
func Outdated(t *schema.Type, rec *state.Record, live cty.Value) map[string]cty.Value {
	texts := recordedTexts(rec)
	for i := range t.Attrs {
		if a := &t.Attrs[i]; a.Change == schema.None || a.Volatile {
			delete(texts, a.Name)
		}
	}
	for name, now := range storedTexts(t, live) {
		if bytes.Equal(texts[name], now) {
			delete(texts, name)
		}
	}
	return valuesOf(t, texts)
}

func recordedTexts(rec *state.Record) map[string]json.RawMessage {
	if rec == nil || len(rec.Attrs) == 0 {
		return nil
	}
	var raw map[string]json.RawMessage
	if json.Unmarshal(rec.Attrs, &raw) != nil {
		return nil
	}
	return raw
}

func valuesOf(t *schema.Type, raw map[string]json.RawMessage) map[string]cty.Value {
	if raw == nil {
		return nil
	}
	out := make(map[string]cty.Value, len(raw))
	for name, b := range raw {
		a := t.Attr(name)
		if a == nil {
			continue
		}
		if v, err := ctyjson.Unmarshal(b, a.Implied()); err == nil {
			out[name] = v
		}
	}
	return out
}

// WithSettings returns the object with what the engine has no counterpart of, as
// it was recorded: how long it may take to stop, what goes with it. A delete
// has no wanted value to find it in.
func WithSettings(t *schema.Type, obj *providers.Object, rec *state.Record) *providers.Object {
	if obj == nil || rec == nil || rec.Kind != t.Name || obj.Attrs == cty.NilVal || obj.Attrs.IsNull() {
		return obj
	}
	settings := map[string]cty.Value{}
	for name, v := range StoredValue(t, rec) {
		if a := t.Attr(name); a.Change == schema.None && !a.Computed && obj.Attrs.GetAttr(name).IsNull() {
			settings[name] = v
		}
	}
	own := *obj
	own.Attrs = schema.With(obj.Attrs, settings)
	return &own
}

// OutputOf is what the state keeps of an output with the value v: of a
// sensitive one a salted hash only.
func OutputOf(v cty.Value, sensitive bool) (state.Output, error) {
	v = schema.Bare(v)
	val, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return state.Output{}, err
	}
	if sensitive {
		hash, err := state.HashSecret(val)
		return state.Output{Sensitive: true, Hash: hash}, err
	}
	ty, err := ctyjson.MarshalType(v.Type())
	return state.Output{Value: val, Type: ty}, err
}

// OutputValue reads back an output that is not sensitive.
func OutputValue(o state.Output) (cty.Value, error) {
	ty, err := ctyjson.UnmarshalType(o.Type)
	if err != nil {
		return cty.NilVal, err
	}
	return ctyjson.Unmarshal(o.Value, ty)
}
