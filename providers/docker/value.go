package docker

import (
	"maps"
	"math/big"
	"slices"
	"strconv"

	"github.com/zclconf/go-cty/cty"
)

// Values of a normal form, in Go's types. An attribute that is null or not
// known yet reads as zero.

func text(v cty.Value, name string) string {
	if a := v.GetAttr(name); !a.IsNull() && a.IsKnown() {
		return a.AsString()
	}
	return ""
}

func truth(v cty.Value, name string) bool {
	a := v.GetAttr(name)
	return !a.IsNull() && a.IsKnown() && a.True()
}

func whole(v cty.Value, name string) int64 {
	a := v.GetAttr(name)
	if a.IsNull() || !a.IsKnown() {
		return 0
	}
	n, _ := a.AsBigFloat().Int64()
	return n
}

func set(v cty.Value, name string) bool { return !v.GetAttr(name).IsNull() }

func listOf(v cty.Value) []string {
	if v.IsNull() || !v.IsWhollyKnown() {
		return nil
	}
	out := make([]string, 0, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		_, el := it.Element()
		out = append(out, el.AsString())
	}
	return out
}

func texts(v cty.Value, name string) []string { return listOf(v.GetAttr(name)) }

func textMap(v cty.Value, name string) map[string]string {
	m := v.GetAttr(name)
	if m.IsNull() || !m.IsKnown() {
		return nil
	}
	out := make(map[string]string, m.LengthInt())
	for k, el := range m.AsValueMap() {
		if !el.IsNull() && el.IsKnown() {
			out[k] = el.AsString()
		}
	}
	return out
}

// blocks are the nested blocks of an attribute.
func blocks(v cty.Value, name string) []cty.Value {
	b := v.GetAttr(name)
	if b.IsNull() || !b.IsKnown() {
		return nil
	}
	return b.AsValueSlice()
}

// And back.

func stringOrNull(s string) cty.Value {
	if s == "" {
		return cty.NullVal(cty.String)
	}
	return cty.StringVal(s)
}

func stringList(list []string) cty.Value {
	if len(list) == 0 {
		return cty.ListValEmpty(cty.String)
	}
	return cty.ListVal(stringVals(list))
}

func stringSet(list []string) cty.Value {
	if len(list) == 0 {
		return cty.SetValEmpty(cty.String)
	}
	return cty.SetVal(stringVals(list))
}

func stringVals(list []string) []cty.Value {
	vals := make([]cty.Value, len(list))
	for i, s := range list {
		vals[i] = cty.StringVal(s)
	}
	return vals
}

func stringMap(m map[string]string) cty.Value {
	if len(m) == 0 {
		return cty.MapValEmpty(cty.String)
	}
	vals := make(map[string]cty.Value, len(m))
	for k, s := range m {
		vals[k] = cty.StringVal(s)
	}
	return cty.MapVal(vals)
}

// blockList is the normal form of nested blocks: null for none.
func blockList(ty cty.Type, list []cty.Value) cty.Value {
	if len(list) == 0 {
		return cty.NullVal(ty)
	}
	return cty.ListVal(list)
}

const mebi = 1 << 20

// mebibytes is a size as it is configured. Dividing by a power of two is exact.
func mebibytes(bytes int64) cty.Value {
	f := new(big.Float).SetPrec(512).SetInt64(bytes)
	return cty.NumberVal(f.Quo(f, new(big.Float).SetInt64(mebi)))
}

// bytesOf is a size as the engine wants it. Zero for null.
func bytesOf(v cty.Value, name string) int64 {
	a := v.GetAttr(name)
	if a.IsNull() || !a.IsKnown() {
		return 0
	}
	if a.AsBigFloat().Sign() < 0 {
		return -1 // no limit, whatever the unit
	}
	f := new(big.Float).Mul(a.AsBigFloat(), new(big.Float).SetInt64(mebi))
	n, _ := f.Int64()
	return n
}

// cpusOf reads 1.5 processors as the engine counts them, in billionths.
func cpusOf(v cty.Value, name string) int64 {
	a := v.GetAttr(name)
	if a.IsNull() || !a.IsKnown() {
		return 0
	}
	return nano(a)
}

func nano(v cty.Value) int64 {
	f := new(big.Float).Mul(v.AsBigFloat(), new(big.Float).SetInt64(1e9))
	f.Add(f, big.NewFloat(0.5))
	n, _ := f.Int64()
	return n
}

func cpus(nano int64) cty.Value {
	return cty.MustParseNumberVal(strconv.FormatFloat(float64(nano)/1e9, 'f', -1, 64))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
