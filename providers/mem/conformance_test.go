package mem_test

import (
	"errors"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/mem"
	"github.com/gapool/gapool/providers/providertest"
)

func TestConformance(t *testing.T) {
	w := newWorld()
	w.Put(&providers.Object{Kind: "test_image", Name: "app:1"})
	named := func(set map[string]cty.Value) func(string) map[string]cty.Value {
		return func(name string) map[string]cty.Value {
			all := map[string]cty.Value{"name": cty.StringVal(name)}
			for k, v := range set {
				all[k] = v
			}
			return all
		}
	}
	box := func(set map[string]cty.Value) func(string) map[string]cty.Value {
		return func(name string) map[string]cty.Value {
			all := map[string]cty.Value{
				"image": cty.StringVal("app:1"),
				"env":   cty.MapVal(map[string]cty.Value{"A": cty.StringVal("1")}),
				"port": cty.SetVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{
					"internal": cty.NumberIntVal(80), "external": cty.NullVal(cty.Number),
				})}),
			}
			for k, v := range set {
				all[k] = v
			}
			return named(all)(name)
		}
	}
	user := func(attr string, value func(used *providers.Object) cty.Value) func(string, *providers.Object) (string, map[string]cty.Value) {
		return func(name string, used *providers.Object) (string, map[string]cty.Value) {
			return "test_box", box(map[string]cty.Value{attr: value(used)})(name)
		}
	}
	providertest.Run(t, providertest.Harness{
		Provider: w,
		Config:   w.Config().Null(),
		Prefix:   "conf",
		Foreign: func(t *testing.T, kind, name string) {
			o := &providers.Object{Kind: kind, Name: name}
			if kind == "test_box" {
				for _, ty := range w.Types() {
					if ty.Name == kind {
						o.Attrs = ty.Build(box(nil)(name))
					}
				}
			}
			w.Put(o)
			t.Cleanup(func() { w.Remove(kind, name) })
		},
		Cases: []providertest.Case{
			{
				Kind: "test_image", Want: named(nil),
				User:  user("image", func(o *providers.Object) cty.Value { return cty.StringVal(o.ID) }),
				Named: user("image", func(o *providers.Object) cty.Value { return cty.StringVal(o.Name) }),
				Moved: func(t *testing.T, tag string) {
					w.Put(&providers.Object{Kind: "test_image", Name: tag, Attrs: tables()[0].Build(map[string]cty.Value{
						"name": cty.StringVal(tag), "inputs": cty.StringVal("theirs"),
					})})
					t.Cleanup(func() { w.Remove("test_image", tag) })
				},
			},
			{
				Kind: "test_network", Want: named(nil),
				Replace: named(map[string]cty.Value{"driver": cty.StringVal("overlay")}),
				User:    user("network", func(o *providers.Object) cty.Value { return set(blocks("name", o.ID)) }),
			},
			{
				Kind: "test_volume", Want: named(nil),
				Replace: named(map[string]cty.Value{"driver": cty.StringVal("nfs")}),
				User:    user("mount", func(o *providers.Object) cty.Value { return blocks("volume", o.Name) }),
			},
			{
				Kind: "test_box", Want: box(nil), Parallel: 100,
				Update:  box(map[string]cty.Value{"restart": cty.StringVal("always")}),
				Replace: box(map[string]cty.Value{"env": cty.MapVal(map[string]cty.Value{"B": cty.StringVal("1")})}),
				Half: func(t *testing.T, name string) map[string]cty.Value {
					w.SetFault(func(c mem.Call) error {
						if c.Op == mem.Start && c.Name == name {
							return errors.New("no such command")
						}
						return nil
					})
					t.Cleanup(func() { w.SetFault(nil) })
					return box(nil)(name)
				},
			},
		},
	})
	w.Remove("test_image", "app:1")
	if left := w.String(); left != "" {
		t.Errorf("the suite left behind:\n%s", left)
	}
}
