package docker

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/schema"
)

// What tables share: other spellings, normal forms and checks. A normal form is
// one function for both sides, what is configured and what the engine says.

// acceptSize takes a number of MiB, or a string with a unit: "2g", "1536m".
func acceptSize(v cty.Value) (cty.Value, error) {
	if v.Type() != cty.String {
		return v, nil
	}
	if n, err := cty.ParseNumberVal(v.AsString()); err == nil {
		return n, nil
	}
	bytes, err := units.RAMInBytes(v.AsString())
	if err != nil {
		return cty.NilVal, fmt.Errorf("%q is not a size: give a number of MiB, or one with its unit, such as \"512m\" or \"2g\"", v.AsString())
	}
	return mebibytes(bytes), nil
}

func checkSize(v cty.Value) error {
	if v.AsBigFloat().Sign() < 0 {
		return fmt.Errorf("a size is not negative")
	}
	return nil
}

// normalSize drops what is less than a byte.
func normalSize(v cty.Value) cty.Value {
	if v.AsBigFloat().Sign() < 0 {
		return cty.NumberIntVal(-1)
	}
	return mebibytes(bytesOf(cty.ObjectVal(map[string]cty.Value{"n": v}), "n"))
}

// acceptEnv takes a map, or a list of "NAME=value".
func acceptEnv(v cty.Value) (cty.Value, error) {
	ty := v.Type()
	if ty.IsMapType() || ty.IsObjectType() {
		return v, nil
	}
	if !ty.IsListType() && !ty.IsSetType() && !ty.IsTupleType() {
		return cty.NilVal, fmt.Errorf(`give a map { NAME = "value" } or a list ["NAME=value"]`)
	}
	if !v.IsWhollyKnown() {
		return cty.UnknownVal(cty.Map(cty.String)), nil
	}
	vars := map[string]cty.Value{}
	for it := v.ElementIterator(); it.Next(); {
		_, el := it.Element()
		if el.IsNull() || el.Type() != cty.String {
			return cty.NilVal, fmt.Errorf(`each element is a string "NAME=value"`)
		}
		name, value, ok := strings.Cut(el.AsString(), "=")
		if !ok || name == "" {
			return cty.NilVal, fmt.Errorf("%q has no name and value; write \"NAME=value\", or \"NAME=\" for an empty one", el.AsString())
		}
		vars[name] = cty.StringVal(value)
	}
	if len(vars) == 0 {
		return cty.MapValEmpty(cty.String), nil
	}
	return cty.MapVal(vars), nil
}

// labels is the row of an object's labels.
func labels(doc string) schema.Attr {
	return schema.Attr{
		Name: "labels", Type: cty.Map(cty.String), Change: schema.Replace, Merge: true,
		Pairs: &schema.Pairs{Key: "label", Value: "value"},
		Check: func(v cty.Value) error {
			for _, k := range sortedKeys(v.AsValueMap()) {
				if strings.HasPrefix(k, labelPrefix) {
					return fmt.Errorf("labels that begin with %q are gapool's own; give %q another name", labelPrefix, k)
				}
			}
			return nil
		},
		Doc: doc + " A map; a block with `label` and `value` for each is accepted too.",
	}
}

func oneOf(words ...string) func(cty.Value) error {
	return func(v cty.Value) error {
		if s := v.AsString(); !slices.Contains(words, s) {
			return fmt.Errorf("%q is not one of %s", s, strings.Join(words, ", "))
		}
		return nil
	}
}

func atLeast(least int64) func(cty.Value) error {
	return func(v cty.Value) error {
		if v.LessThan(cty.NumberIntVal(least)).True() || !v.AsBigFloat().IsInt() {
			return fmt.Errorf("must be a whole number from %d up", least)
		}
		return nil
	}
}

func lower(v cty.Value) cty.Value { return cty.StringVal(strings.ToLower(v.AsString())) }

func cleanPath(v cty.Value) cty.Value { return cty.StringVal(path.Clean(v.AsString())) }

func checkAbsolute(v cty.Value) error {
	if !path.IsAbs(v.AsString()) {
		return fmt.Errorf("%q must be an absolute path", v.AsString())
	}
	return nil
}

func checkAddress(v cty.Value) error {
	if _, err := netip.ParseAddr(v.AsString()); err != nil {
		return fmt.Errorf("%q is not an IP address", v.AsString())
	}
	return nil
}

func normalAddress(v cty.Value) cty.Value { return cty.StringVal(address(v.AsString())) }

func address(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String()
	}
	return s
}

func checkPrefix(v cty.Value) error {
	if _, err := netip.ParsePrefix(v.AsString()); err != nil {
		return fmt.Errorf("%q is not a network such as 10.20.0.0/16", v.AsString())
	}
	return nil
}

func normalPrefix(v cty.Value) cty.Value { return cty.StringVal(prefix(v.AsString())) }

func prefix(s string) string {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked().String()
	}
	return s
}

func checkDuration(v cty.Value) error {
	if d, err := time.ParseDuration(v.AsString()); err != nil || d < 0 {
		return fmt.Errorf("%q is not a duration; write 500ms, 30s, 5m or 1h30m", v.AsString())
	}
	return nil
}

func normalDuration(v cty.Value) cty.Value {
	d, err := time.ParseDuration(v.AsString())
	if err != nil {
		return v
	}
	return cty.StringVal(d.String())
}

func duration(v cty.Value, name string) time.Duration {
	d, err := time.ParseDuration(text(v, name))
	if err != nil {
		return 0 // null; others were checked
	}
	return d
}

// each applies a normal form to the elements of a set of strings.
func each(f func(string) string) func(cty.Value) cty.Value {
	return func(v cty.Value) cty.Value {
		list := listOf(v)
		for i, s := range list {
			list[i] = f(s)
		}
		return stringSet(list)
	}
}

// known reports whether attributes are known to be set.
func known(v cty.Value, names ...string) bool {
	for _, n := range names {
		if a := v.GetAttr(n); !a.IsKnown() || a.IsNull() {
			return false
		}
	}
	return true
}
