package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// box takes a thousandth of a processor for each of its size.
var box = &schema.Type{
	Name:  "test_box",
	Attrs: []schema.Attr{{Name: "name", Type: cty.String}, {Name: "size", Type: cty.Number}},
	Needs: func(v cty.Value) schema.Needs {
		size := v.GetAttr("size")
		switch {
		case !size.IsKnown():
			return schema.Needs{CPUs: schema.Amount{Unknown: 1}}
		case size.IsNull():
			return schema.Needs{CPUs: schema.Amount{Open: 1}}
		}
		n, _ := size.AsBigFloat().Int64()
		return schema.Needs{CPUs: schema.Amount{N: n}, Ports: []string{"80"}}
	},
}

func boxed(name string, a Action, before, after cty.Value) *Change {
	of := func(size cty.Value) cty.Value {
		if size == cty.NilVal {
			return cty.NullVal(box.Implied())
		}
		return box.Build(map[string]cty.Value{"size": size})
	}
	c := &Change{Addr: schema.Addr{Type: "test_box", Name: name}, Type: box, Provider: "test", Action: a, Before: of(before), After: of(after)}
	if before != cty.NilVal {
		c.Object = &providers.Object{Kind: "test_box", Name: name}
	}
	return c
}

func TestUsageIsBoundedByTheOrderOfThePlan(t *testing.T) {
	n := cty.NumberIntVal
	one := func(c ...*Change) *Plan { return &Plan{Changes: c} }
	old, new := boxed("a", Delete, n(300), cty.NilVal), boxed("b", Create, cty.NilVal, n(500))
	inTurn := one(old, new)
	inTurn.Steps = []*Step{
		{ID: 0, Verb: DoDelete, Addr: old.Addr, Change: old},
		{ID: 1, Verb: Join, Needs: []int{0}},
		{ID: 2, Verb: DoCreate, Addr: new.Addr, Change: new, Needs: []int{1}},
	}
	left := boxed("a", NoOp, n(1), n(1))
	extra := one(left)
	extra.Steps = []*Step{{Verb: DoDelete, Change: left, Extra: true, Target: &providers.Object{Name: "old"}}}
	amount := func(n int64) schema.Amount { return schema.Amount{N: n} }
	for name, c := range map[string]struct {
		plan             *Plan
		now, peak, after schema.Amount
	}{
		"a replacement, the old one first":           {one(boxed("a", Replace, n(300), n(500))), amount(300), amount(500), amount(500)},
		"a replacement, the new one first":           {one(boxed("a", ReplaceFirst, n(300), n(500))), amount(300), amount(800), amount(500)},
		"an update to less":                          {one(boxed("a", Update, n(300), n(100))), amount(300), amount(300), amount(100)},
		"one goes and another comes, in any order":   {one(old, new), amount(300), amount(800), amount(500)},
		"one goes before another comes":              {inTurn, amount(300), amount(500), amount(500)},
		"what is forgotten is there still":           {one(boxed("a", Forget, n(300), cty.NilVal)), amount(300), amount(300), amount(300)},
		"without a limit, then with one":             {one(boxed("a", Update, cty.NullVal(cty.Number), n(5))), schema.Amount{Open: 1}, schema.Amount{N: 5, Open: 1}, amount(5)},
		"not known yet":                              {one(boxed("a", Create, cty.NilVal, cty.UnknownVal(cty.Number))), amount(0), schema.Amount{Unknown: 1}, schema.Amount{Unknown: 1}},
		"a secret is told as what is not known":      {one(boxed("a", Create, cty.NilVal, n(7).Mark(schema.SensitiveMark))), amount(0), schema.Amount{Unknown: 1}, schema.Amount{Unknown: 1}},
		"what is left over counts until it has gone": {extra, schema.Amount{N: 1, Unknown: 1}, schema.Amount{N: 1, Unknown: 1}, amount(1)},
	} {
		t.Run(name, func(t *testing.T) {
			all := c.plan.Usage()
			if len(all) != 1 {
				t.Fatalf("%d engines", len(all))
			}
			got := []schema.Amount{all[0].Now.CPUs, all[0].Peak.CPUs, all[0].After.CPUs}
			if diff := cmp.Diff([]schema.Amount{c.now, c.peak, c.after}, got); diff != "" {
				t.Errorf("now, at the peak and after (-want +got):\n%s", diff)
			}
		})
	}
	if ports := inTurn.Usage()[0].Peak.Ports; len(ports) != 1 {
		t.Errorf("one port is told as %v", ports)
	}
}

func TestMoreThanTheMachineHasIsAWarning(t *testing.T) {
	p := &Plan{
		Changes:  []*Change{boxed("a", ReplaceFirst, cty.NumberIntVal(1500), cty.NumberIntVal(1000))},
		Machines: map[string]Machine{"test": {CPUs: 2, Memory: 1 << 30}},
	}
	want := []string{"The limits of processors on test come to 2.5 at the peak of the apply and to 1 afterwards; its machine has 2."}
	if diff := cmp.Diff(want, p.Usage()[0].Warnings()); diff != "" {
		t.Error(diff)
	}
	p.Machines["test"] = Machine{CPUs: 3}
	if got := p.Usage()[0].Warnings(); len(got) > 0 {
		t.Errorf("enough is too little: %v", got)
	}
}

func TestSizesAreWrittenForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 MiB", 1 << 20: "1 MiB", 1536 << 20: "1.5 GiB", 64 << 30: "64 GiB", 1<<30 + 1<<28: "1.25 GiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d is %s, not %s", n, got, want)
		}
	}
}
