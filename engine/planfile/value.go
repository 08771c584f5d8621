package planfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/gapool/gapool/schema"
)

// A value is written as JSON writes it, but for what JSON has no word for:
//
//	{"$unknown": true}         known after the apply
//	{"$sensitive": 0}          a secret, which is not written
//	{"$sensitive": "unknown"}  one that is known after the apply
//
// The number tells equal secrets from others at the same place of one change,
// so that a reader sees whether one changes. A key of a map that begins with $
// is written with another $ before it.
const (
	unknownKey   = "$unknown"
	sensitiveKey = "$sensitive"
	hiddenLater  = "unknown"
)

// writer writes the values of one change.
type writer struct {
	secrets map[string][]cty.Value // by place
}

func (w *writer) value(v cty.Value) json.RawMessage {
	var b bytes.Buffer
	w.write(&b, "", v)
	return b.Bytes()
}

func (w *writer) write(b *bytes.Buffer, at string, v cty.Value) {
	switch {
	case v == cty.NilVal:
		b.WriteString("null")
	case v.IsMarked():
		w.hide(b, at, v)
	case !v.IsKnown():
		b.WriteString(`{"` + unknownKey + `":true}`)
	case v.IsNull():
		b.WriteString("null")
	default:
		w.writeKnown(b, at, v)
	}
}

func (w *writer) writeKnown(b *bytes.Buffer, at string, v cty.Value) {
	switch ty := v.Type(); {
	case ty == cty.String:
		b.Write(text(v.AsString()))
	case ty == cty.Number:
		b.WriteString(v.AsBigFloat().Text('f', -1))
	case ty == cty.Bool:
		b.WriteString(strconv.FormatBool(v.True()))
	case ty.IsMapType() || ty.IsObjectType():
		b.WriteByte('{')
		first := true
		for it := v.ElementIterator(); it.Next(); { // in the order of the keys
			key, elem := it.Element()
			if ty.IsObjectType() && !elem.IsMarked() && elem.IsNull() {
				continue // an attribute that is left out is null
			}
			if !first {
				b.WriteByte(',')
			}
			first = false
			name := key.AsString()
			b.Write(text(escape(name)))
			b.WriteByte(':')
			w.write(b, at+"."+name, elem)
		}
		b.WriteByte('}')
	default:
		b.WriteByte('[')
		i := 0
		for it := v.ElementIterator(); it.Next(); i++ {
			_, elem := it.Element()
			if i > 0 {
				b.WriteByte(',')
			}
			w.write(b, at+"["+strconv.Itoa(i)+"]", elem)
		}
		b.WriteByte(']')
	}
}

func (w *writer) hide(b *bytes.Buffer, at string, v cty.Value) {
	v, _ = v.UnmarkDeep()
	switch {
	case !v.IsWhollyKnown():
		b.WriteString(`{"` + sensitiveKey + `":"` + hiddenLater + `"}`)
		return
	case v.IsNull():
		b.WriteString("null") // that there is none is no secret
		return
	}
	if w.secrets == nil {
		w.secrets = map[string][]cty.Value{}
	}
	n := slices.IndexFunc(w.secrets[at], func(x cty.Value) bool { return x.RawEquals(v) })
	if n < 0 {
		n = len(w.secrets[at])
		w.secrets[at] = append(w.secrets[at], v)
	}
	fmt.Fprintf(b, `{"%s":%d}`, sensitiveKey, n)
}

func escape(key string) string {
	if strings.HasPrefix(key, "$") {
		return "$" + key
	}
	return key
}

func text(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string is JSON, and a Buffer takes it
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// readValue reads a value of a type. A secret comes back as a stand-in with
// the mark, which equals another one if the secrets were equal.
func readValue(raw json.RawMessage, ty cty.Type) (cty.Value, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var x any
	if len(raw) == 0 {
		return cty.NullVal(ty), nil
	}
	if err := d.Decode(&x); err != nil {
		return cty.NilVal, err
	}
	return fromJSON(x, ty)
}

func fromJSON(x any, ty cty.Type) (cty.Value, error) {
	if x == nil {
		return cty.NullVal(ty), nil
	}
	if m, ok := x.(map[string]any); ok && len(m) == 1 {
		if _, ok := m[unknownKey]; ok {
			return cty.UnknownVal(ty), nil
		}
		if n, ok := m[sensitiveKey]; ok {
			return standIn(n, ty)
		}
	}
	switch {
	case ty == cty.DynamicPseudoType:
		return anyFromJSON(x)
	case ty.IsObjectType():
		return objectFromJSON(x, ty)
	case ty.IsMapType():
		m, ok := x.(map[string]any)
		if !ok {
			return cty.NilVal, mistyped(x, ty)
		}
		if len(m) == 0 {
			return cty.MapValEmpty(ty.ElementType()), nil
		}
		vals := make(map[string]cty.Value, len(m))
		for key, e := range m {
			v, err := fromJSON(e, ty.ElementType())
			if err != nil {
				return cty.NilVal, err
			}
			vals[unescape(key)] = v
		}
		return cty.MapVal(vals), nil
	case ty.IsListType() || ty.IsSetType():
		return listFromJSON(x, ty)
	case ty.IsTupleType():
		return anyFromJSON(x)
	default:
		return primitiveFromJSON(x, ty)
	}
}

func objectFromJSON(x any, ty cty.Type) (cty.Value, error) {
	m, ok := x.(map[string]any)
	if !ok {
		return cty.NilVal, mistyped(x, ty)
	}
	vals := make(map[string]cty.Value, len(ty.AttributeTypes()))
	for name, at := range ty.AttributeTypes() {
		v, err := fromJSON(m[escape(name)], at)
		if err != nil {
			return cty.NilVal, fmt.Errorf("%s: %w", name, err)
		}
		vals[name] = v
	}
	for key := range m {
		if !ty.HasAttribute(unescape(key)) {
			return cty.NilVal, fmt.Errorf("there is no attribute %q", key)
		}
	}
	return cty.ObjectVal(vals), nil
}

func listFromJSON(x any, ty cty.Type) (cty.Value, error) {
	l, ok := x.([]any)
	if !ok {
		return cty.NilVal, mistyped(x, ty)
	}
	elem := ty.ElementType()
	if len(l) == 0 {
		if ty.IsSetType() {
			return cty.SetValEmpty(elem), nil
		}
		return cty.ListValEmpty(elem), nil
	}
	vals := make([]cty.Value, len(l))
	for i, e := range l {
		v, err := fromJSON(e, elem)
		if err != nil {
			return cty.NilVal, err
		}
		if ty.IsSetType() && v.ContainsMarked() {
			return cty.NilVal, errors.New("an element of a set is hidden")
		}
		vals[i] = v
	}
	if ty.IsSetType() {
		return cty.SetVal(vals), nil
	}
	return cty.ListVal(vals), nil
}

func primitiveFromJSON(x any, ty cty.Type) (cty.Value, error) {
	switch x := x.(type) {
	case string:
		if ty == cty.String {
			return cty.StringVal(x), nil
		}
	case bool:
		if ty == cty.Bool {
			return cty.BoolVal(x), nil
		}
	case json.Number:
		if ty == cty.Number {
			return number(x)
		}
	}
	return cty.NilVal, mistyped(x, ty)
}

// number reads what writer wrote, which has no exponent: one could ask for
// memory without bound.
func number(n json.Number) (cty.Value, error) {
	if strings.ContainsAny(n.String(), "eE") {
		return cty.NilVal, fmt.Errorf("%s is no number of a plan", n)
	}
	return cty.ParseNumberVal(n.String())
}

// anyFromJSON reads a value whose type nobody knows beforehand.
func anyFromJSON(x any) (cty.Value, error) {
	switch x := x.(type) {
	case string:
		return cty.StringVal(x), nil
	case bool:
		return cty.BoolVal(x), nil
	case json.Number:
		return number(x)
	case []any:
		vals := make([]cty.Value, len(x))
		for i, e := range x {
			v, err := fromJSON(e, cty.DynamicPseudoType)
			if err != nil {
				return cty.NilVal, err
			}
			vals[i] = v
		}
		return cty.TupleVal(vals), nil
	case map[string]any:
		vals := make(map[string]cty.Value, len(x))
		for key, e := range x {
			v, err := fromJSON(e, cty.DynamicPseudoType)
			if err != nil {
				return cty.NilVal, err
			}
			vals[unescape(key)] = v
		}
		return cty.ObjectVal(vals), nil
	default:
		return cty.NilVal, fmt.Errorf("%v is no value", x)
	}
}

func unescape(key string) string {
	if strings.HasPrefix(key, "$$") {
		return key[1:]
	}
	return key
}

func mistyped(x any, ty cty.Type) error {
	return fmt.Errorf("%T where the table has a %s", x, ty.FriendlyName())
}

// standIn is a known value that stands for the n-th secret of its place.
func standIn(n any, ty cty.Type) (cty.Value, error) {
	if n == hiddenLater {
		return cty.UnknownVal(ty).Mark(schema.SensitiveMark), nil
	}
	num, ok := n.(json.Number)
	if !ok {
		return cty.NilVal, fmt.Errorf("%v is no number of a secret", n)
	}
	i, err := num.Int64()
	if err != nil {
		return cty.NilVal, fmt.Errorf("%v is no number of a secret", n)
	}
	return like(i, ty).Mark(schema.SensitiveMark), nil
}

func like(i int64, ty cty.Type) cty.Value {
	switch {
	case ty == cty.Number:
		return cty.NumberIntVal(i)
	case ty == cty.Bool:
		return cty.BoolVal(i%2 == 1)
	case ty.IsListType():
		return cty.ListVal([]cty.Value{like(i, ty.ElementType())})
	case ty.IsSetType():
		return cty.SetVal([]cty.Value{like(i, ty.ElementType())})
	case ty.IsMapType():
		return cty.MapVal(map[string]cty.Value{"": like(i, ty.ElementType())})
	case ty.IsObjectType():
		vals := map[string]cty.Value{}
		for name, at := range ty.AttributeTypes() {
			vals[name] = like(i, at)
		}
		return cty.ObjectVal(vals)
	default:
		return cty.StringVal(strconv.FormatInt(i, 10))
	}
}

// typed is a value of a type that no table says.
type typed struct {
	Type  json.RawMessage `json:"type"`
	Value json.RawMessage `json:"value"`
}

func (w *writer) typed(v cty.Value) typed {
	ty, err := ctyjson.MarshalType(v.Type())
	if err != nil {
		panic("a type is not JSON: " + err.Error())
	}
	return typed{ty, w.value(v)}
}

func (t typed) read() (cty.Value, error) {
	ty, err := ctyjson.UnmarshalType(t.Type)
	if err != nil {
		return cty.NilVal, err
	}
	return readValue(t.Value, ty)
}

// step is one step of a path: into an attribute, to a key of a map, to a place
// in a list, or to an element of a set, which is its own key.
type step struct {
	Attr  string          `json:"attr,omitempty"`
	Key   *string         `json:"key,omitempty"`
	Place *int            `json:"place,omitempty"`
	Elem  json.RawMessage `json:"elem,omitempty"`
}

func (w *writer) path(p cty.Path) []step {
	steps := make([]step, 0, len(p))
	for _, s := range p {
		switch s := s.(type) {
		case cty.GetAttrStep:
			steps = append(steps, step{Attr: s.Name})
		case cty.IndexStep:
			key, marks := s.Key.UnmarkDeep()
			switch {
			case len(marks) > 0:
				return steps // the whole is hidden
			case key.Type() == cty.String && key.IsKnown():
				name := key.AsString()
				steps = append(steps, step{Key: &name})
			case key.Type() == cty.Number && key.IsKnown():
				i, _ := key.AsBigFloat().Int64()
				place := int(i)
				steps = append(steps, step{Place: &place})
			default:
				steps = append(steps, step{Elem: w.value(key)})
			}
		}
	}
	return steps
}

// readPath reads a path into a value of the type and the type that it leads to.
func readPath(steps []step, ty cty.Type) (cty.Path, cty.Type, error) {
	var p cty.Path
	for _, s := range steps {
		switch {
		case s.Attr != "" && ty.IsObjectType() && ty.HasAttribute(s.Attr):
			p, ty = p.GetAttr(s.Attr), ty.AttributeType(s.Attr)
		case s.Key != nil && ty.IsSetType() && ty.ElementType() == cty.String, s.Key != nil && ty.IsMapType():
			p, ty = p.IndexString(*s.Key), ty.ElementType()
		case s.Place != nil && ty.IsListType():
			p, ty = p.IndexInt(*s.Place), ty.ElementType()
		case s.Place != nil && ty.IsSetType() && ty.ElementType() == cty.Number:
			p, ty = p.IndexInt(*s.Place), ty.ElementType()
		case s.Elem != nil && ty.IsSetType():
			elem, err := readValue(s.Elem, ty.ElementType())
			if err != nil {
				return nil, ty, err
			}
			p, ty = p.Index(elem), ty.ElementType()
		default:
			return nil, ty, errors.New("a path leads to nothing that the table has")
		}
	}
	return p, ty, nil
}
