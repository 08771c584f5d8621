package planfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/state"
)

// What a plan is made of and a file cannot show: its secrets, and what its
// expressions have read from files, which may be secrets too and may stand in
// values that are not known yet. A salted hash of all of it is kept.

// OtherHidden says what differs of that in the plan made again now, "" for
// nothing. Where variables or anything that is shown differ, those say more.
func (f *File) OtherHidden(now *engine.Plan) string {
	text := hidden(now)
	if f.Hidden == "" && text == "" || f.Hidden != "" && state.VerifySecret(f.Hidden, []byte(text)) {
		return ""
	}
	what := "a sensitive value is another one, though no variable is"
	if names := filesOf(now); len(names) > 0 {
		what = fmt.Sprintf("a file that the configuration reads is another one (%s), or a sensitive value is", strings.Join(names, ", "))
	}
	return what
}

// hashHidden is "" where a plan hides nothing.
func hashHidden(p *engine.Plan) (string, error) {
	text := hidden(p)
	if text == "" {
		return "", nil
	}
	return state.HashSecret([]byte(text))
}

func filesOf(p *engine.Plan) []string {
	if p.Evaluator == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(p.Evaluator.Files()))
}

// hidden writes down each file that was read and each secret that is planned,
// with its place.
func hidden(p *engine.Plan) string {
	var b strings.Builder
	if p.Evaluator != nil {
		sums := p.Evaluator.Files()
		for _, name := range filesOf(p) {
			fmt.Fprintf(&b, "%q %x\n", name, sums[name])
		}
	}
	add := func(where string, v cty.Value) {
		if v == cty.NilVal {
			return
		}
		bare, marks := v.UnmarkDeepWithPaths()
		var w writer
		lines := make([]string, 0, len(marks))
		for _, m := range marks {
			if secret, err := m.Path.Apply(bare); err == nil {
				place, _ := encode(w.path(m.Path)) // steps are JSON
				lines = append(lines, where+" "+string(place)+" "+string(w.value(secret))+"\n")
			}
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	}
	for _, c := range p.Changes {
		add(c.Addr.String(), c.After)
	}
	for _, o := range p.Outputs {
		if o.Sensitive {
			add("output."+o.Name, mark(o.After))
		}
	}
	return b.String()
}
