package engine

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/schema"
)

// Machine is what an engine runs on. Zero is what is not known.
type Machine struct {
	CPUs   int
	Memory int64 // bytes
	GPUs   *int  // nil is not known
}

// Usage is what the objects of a plan take of one engine's machine.
type Usage struct {
	Provider string
	Machine  Machine
	// Now is what is there, After what there will be; Peak is what no moment of
	// the apply exceeds.
	Now, Peak, After schema.Needs
}

// Usage returns what the plan's objects take, for each engine that any of them
// takes something of, sorted. What -target leaves out is not counted.
//
// The peak is a bound from above, without a look at how much is done at once:
// an object counts from when its creation may begin until its deletion is over.
// An object that goes for sure before another one comes gives it its place, so
// of such two the larger one counts; of a create-before-destroy both do.
func (p *Plan) Usage() []Usage {
	all := map[string]*Usage{}
	of := func(c *Change) *Usage {
		u := all[c.Provider]
		if u == nil {
			u = &Usage{Provider: c.Provider, Machine: p.Machines[c.Provider]}
			all[c.Provider] = u
		}
		return u
	}
	freed := p.gaveWay()
	gone := map[*Change]bool{} // deletes that were counted with what takes their place
	for _, old := range freed {
		gone[old] = true
	}
	for _, c := range p.Changes {
		if c.Type.Needs == nil {
			continue
		}
		var was, is schema.Needs
		if c.Object != nil {
			was = needsOf(c.Type, c.Before)
		}
		switch {
		case c.Action == Forget:
			is = was // it is there still, though nobody manages it
		case c.Action != Delete:
			is = needsOf(c.Type, c.After)
		}
		u := of(c)
		u.Now, u.After = sum(u.Now, was), sum(u.After, is)
		switch old := freed[c]; {
		case gone[c]:
		case c.Action == ReplaceFirst:
			u.Peak = sum(u.Peak, sum(was, is))
		case old != nil:
			u.Peak = sum(u.Peak, larger(needsOf(old.Type, old.Before), is))
		default:
			u.Peak = sum(u.Peak, larger(was, is))
		}
	}
	for _, s := range p.Steps {
		if !s.Extra || s.Target == nil || s.Change == nil || s.Change.Type.Needs == nil {
			continue
		}
		// Of what is left over only the name is kept.
		left := unknownBut(s.Change.Type, "name", cty.StringVal(s.Target.Name))
		u, n := of(s.Change), needsOf(s.Change.Type, left)
		u.Now, u.Peak = sum(u.Now, n), sum(u.Peak, n)
	}
	var out []Usage
	for _, key := range slices.Sorted(maps.Keys(all)) {
		u := *all[key]
		for _, n := range []*schema.Needs{&u.Now, &u.Peak, &u.After} {
			n.Ports, n.Volumes = unique(n.Ports), unique(n.Volumes)
		}
		out = append(out, u)
	}
	return out
}

// Warnings are sentences about what the machine does not have.
func (u Usage) Warnings() []string {
	var out []string
	say := func(what, peak, after, has string) {
		out = append(out, fmt.Sprintf("The limits of %s on %s come to %s at the peak of the apply and to %s afterwards; its machine has %s.", what, u.Provider, peak, after, has))
	}
	if has := int64(u.Machine.CPUs) * 1000; has > 0 && u.Peak.CPUs.N > has {
		say("processors", Thousandths(u.Peak.CPUs.N), Thousandths(u.After.CPUs.N), Thousandths(has))
	}
	if has := u.Machine.Memory; has > 0 && u.Peak.Memory.N > has {
		say("memory", Bytes(u.Peak.Memory.N), Bytes(u.After.Memory.N), Bytes(has))
	}
	return out
}

// GPUs writes how many GPUs something takes.
func GPUs(a schema.Amount) string {
	if a.Open > 0 {
		return "all there are"
	}
	return strconv.FormatInt(a.N, 10)
}

// Thousandths writes a number of thousandths: 1500 is "1.5".
func Thousandths(n int64) string { return strconv.FormatFloat(float64(n)/1000, 'f', -1, 64) }

// Bytes writes a size: "1.5 GiB", "512 MiB".
func Bytes(n int64) string {
	unit, in := "MiB", float64(n)/(1<<20)
	if n >= 1<<30 {
		unit, in = "GiB", float64(n)/(1<<30)
	}
	return strconv.FormatFloat(float64(int64(in*100+0.5))/100, 'f', -1, 64) + " " + unit
}

// gaveWay finds for what is created an object that is deleted for sure before:
// each at most once.
func (p *Plan) gaveWay() map[*Change]*Change {
	out := map[*Change]*Change{}
	free := map[*Change]bool{}
	for _, s := range p.Steps {
		if c := s.Change; s.Verb == DoDelete && !s.Extra && c.Action == Delete && c.Object != nil && c.Type.Needs != nil {
			free[c] = true
		}
	}
	for _, s := range p.Steps {
		if len(free) == 0 {
			break
		}
		c := s.Change
		if s.Verb != DoCreate || c.Action != Create || c.Type.Needs == nil {
			continue
		}
		seen := map[int]bool{s.ID: true}
		for open := []int{s.ID}; len(open) > 0; open = open[1:] {
			at := p.Steps[open[0]]
			if old := at.Change; at.Verb == DoDelete && free[old] && old.Provider == c.Provider {
				delete(free, old)
				out[c] = old
				break
			}
			for _, n := range at.Needs {
				if !seen[n] {
					seen[n] = true
					open = append(open, n)
				}
			}
		}
	}
	return out
}

// needsOf asks the table; what is marked is told as if it were not known.
func needsOf(t *schema.Type, v cty.Value) schema.Needs {
	if v == cty.NilVal || v.IsNull() {
		return schema.Needs{}
	}
	v = Open(v)
	if !v.IsKnown() {
		v = unknownBut(t, "", cty.NilVal)
	}
	return t.Needs(v)
}

// Open returns a value in which what is marked is unknown: what is made of it
// may be told.
func Open(v cty.Value) cty.Value {
	if v == cty.NilVal {
		return v
	}
	v, _ = cty.Transform(v, func(_ cty.Path, x cty.Value) (cty.Value, error) {
		if x.IsMarked() {
			return cty.UnknownVal(x.Type()), nil
		}
		return x, nil
	})
	return v
}

func unknownBut(t *schema.Type, name string, is cty.Value) cty.Value {
	set := map[string]cty.Value{}
	for i := range t.Attrs {
		a := &t.Attrs[i]
		if set[a.Name] = cty.UnknownVal(a.Implied()); a.Name == name {
			set[a.Name] = is
		}
	}
	return cty.ObjectVal(set)
}

// sum adds b to a, whose lists it may take over.
func sum(a, b schema.Needs) schema.Needs {
	return schema.Needs{
		CPUs: a.CPUs.Add(b.CPUs), Memory: a.Memory.Add(b.Memory), SharedMem: a.SharedMem.Add(b.SharedMem), GPUs: a.GPUs.Add(b.GPUs),
		Ports: append(a.Ports, b.Ports...), FreePorts: a.FreePorts + b.FreePorts, Volumes: append(a.Volumes, b.Volumes...),
	}
}

// larger is what neither exceeds; of what has a name, that is both.
func larger(a, b schema.Needs) schema.Needs {
	return schema.Needs{
		CPUs: a.CPUs.Max(b.CPUs), Memory: a.Memory.Max(b.Memory), SharedMem: a.SharedMem.Max(b.SharedMem), GPUs: a.GPUs.Max(b.GPUs),
		Ports: slices.Concat(a.Ports, b.Ports), FreePorts: max(a.FreePorts, b.FreePorts), Volumes: slices.Concat(a.Volumes, b.Volumes),
	}
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
