package view

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gapool/gapool/providers"
)

// Running is what the Detail of an object may offer: how it is, in the engine's
// own words.
type Running interface {
	// Running says "running", "running (healthy)" or "exited (1)", and since
	// when; the time is zero where it is not known.
	Running() (state string, since time.Time)
	// Published are the ports that can be reached from outside:
	// "127.0.0.1:8265->8265/tcp".
	Published() []string
}

// Noded is what the Detail of a cluster's member may offer: its node as Ray
// lists it.
type Noded interface {
	// Node returns Ray's ID of the node and what Ray says of it: "IDLE",
	// "1 of 2 CPUs in use". Both are empty where Ray does not list it.
	Node() (id, state string)
}

// StatusRow is one object of the stack.
type StatusRow struct {
	Address string // as recorded, else as its label says
	Object  *providers.Object
}

// Status prints a table of what runs. now is the moment that ages count from.
func Status(w io.Writer, rows []StatusRow, now time.Time, s Style) error {
	slices.SortStableFunc(rows, func(a, b StatusRow) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Object.Name, b.Object.Name))
	})
	noded := slices.ContainsFunc(rows, func(r StatusRow) bool { _, ok := r.Object.Detail.(Noded); return ok })
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	head := []string{"ADDRESS", "NAME", "STATE", "SINCE", "PORTS"}
	if noded {
		head = append(head, "RAY NODE")
	}
	fmt.Fprintln(t, strings.Join(head, "\t"))
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r.cells(now, noded), "\t"))
	}
	return t.Flush()
}

func (r StatusRow) cells(now time.Time, noded bool) []string {
	o := r.Object
	state, since, ports := "exists", o.Created, "-"
	if run, ok := o.Detail.(Running); ok {
		state, since = run.Running()
		if p := run.Published(); len(p) > 0 {
			ports = strings.Join(p, ", ")
		}
	}
	if o.Broken != "" {
		state += ": " + Printable(o.Broken)
	}
	age := "-"
	if !since.IsZero() {
		age = Age(now.Sub(since))
	}
	cells := []string{r.Address, Printable(o.Name), state, age, ports}
	if !noded {
		return cells
	}
	node := "-"
	if n, ok := o.Detail.(Noded); ok {
		id, says := n.Node()
		if node = "not listed"; id != "" {
			node = strings.TrimSpace(shortID(id) + " " + says)
		}
	}
	return append(cells, node)
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
