package view

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
)

// StatusRow is one object of the stack.
type StatusRow struct {
	Address string // as recorded, else as its label says
	Object  *providers.Object
	// Sensitive are the attributes that held a secret when they were applied last.
	Sensitive []string
	// Node is what Ray says of a cluster's member: "fedcba987654 IDLE". Empty
	// for what is none.
	Node string
}

// Status prints a table of what runs. now is the moment that ages count from.
func Status(w io.Writer, rows []StatusRow, now time.Time, s Style) error {
	slices.SortStableFunc(rows, func(a, b StatusRow) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Object.Name, b.Object.Name))
	})
	head := []string{"ADDRESS", "NAME", "STATE", "SINCE", "PORTS"}
	noded := slices.ContainsFunc(rows, func(r StatusRow) bool { return r.Node != "" })
	if noded {
		head = append(head, "RAY NODE")
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, strings.Join(head, "\t"))
	for _, r := range rows {
		cells := r.cells(now)
		if noded {
			cells = append(cells, cmp.Or(Printable(r.Node), "-"))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

func (r StatusRow) cells(now time.Time) []string {
	o := r.Object
	state := cmp.Or(Printable(o.State), stateOf(o.Attrs))
	if o.Broken != "" {
		state += ": " + Printable(o.Broken)
	}
	since := o.Since
	if since.IsZero() {
		since = o.Created
	}
	age := "-"
	if !since.IsZero() {
		age = Age(now.Sub(since))
	}
	ports := cmp.Or(strings.Join(published(o.Attrs), ", "), "-")
	if slices.Contains(r.Sensitive, "ports") {
		ports = sensitiveText
	}
	return []string{r.Address, Printable(o.Name), state, age, ports}
}

// stateOf is the state of an object whose engine does not tell one.
func stateOf(attrs cty.Value) string {
	switch v := attr(attrs, "must_run"); {
	case none(v) || !v.IsKnown() || v.Type() != cty.Bool:
		return "exists"
	case v.True():
		return "running"
	default:
		return "stopped"
	}
}

// published are the ports of a container that can be reached from outside.
func published(attrs cty.Value) []string {
	ports := attr(attrs, "ports")
	if kind(ports) != byPlace {
		return nil
	}
	word := func(port cty.Value, name string) string {
		v := attr(port, name)
		if none(v) {
			return ""
		}
		return strings.Trim(leafText(v), `"`)
	}
	var out []string
	for _, p := range ports.AsValueSlice() {
		inside := word(p, "internal") + "/" + cmp.Or(word(p, "protocol"), "tcp")
		if outside := word(p, "external"); outside != "" {
			inside = cmp.Or(word(p, "ip"), "0.0.0.0") + ":" + outside + "->" + inside
		}
		out = append(out, inside)
	}
	return out
}

// Age rounds a duration to its largest unit: 5s, 3m, 2h, 4d.
func Age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}
