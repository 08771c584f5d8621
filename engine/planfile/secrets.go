package planfile

import (
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/state"
)

// OtherSecrets reports whether the plan, made again now, has a secret that f did
// not have, though no variable is another one: it may have come from a file.
func (f *File) OtherSecrets(now *engine.Plan) bool {
	text := secretsOf(now)
	if f.Secrets == "" || text == "" {
		return f.Secrets != text
	}
	return !state.VerifySecret(f.Secrets, []byte(text))
}

// hashSecrets is what is kept of a plan's secrets, "" where there are none.
func hashSecrets(p *engine.Plan) (string, error) {
	text := secretsOf(p)
	if text == "" {
		return "", nil
	}
	return state.HashSecret([]byte(text))
}

// secretsOf writes down each secret that is planned, with its place.
func secretsOf(p *engine.Plan) string {
	var b strings.Builder
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
