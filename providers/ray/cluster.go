package ray

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/ray/internal/gcs"
	"github.com/gapool/gapool/schema"
)

// clusters are the verbs of the cluster itself, which is its members: there is
// nothing to make or to remove, only to see whether all is there.
type clusters struct{ e *engine }

// Type is the cluster's table.
func (r *clusters) Type() *schema.Type { return r.e.p.cluster }

// Create waits until the cluster is whole.
func (r *clusters) Create(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	return r.verify(ctx, req)
}

// Update waits until the cluster is whole again.
func (r *clusters) Update(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	return r.verify(ctx, req)
}

// Delete does nothing: the members are deleted by themselves.
func (r *clusters) Delete(context.Context, *providers.Request) error { return nil }

// Read asks the cluster of that name. One without a head that answers does not
// exist.
func (r *clusters) Read(ctx context.Context, ref providers.Ref) (*providers.Object, error) {
	head := headName(ref.Name)
	r.e.mu.Lock()
	at, ok := r.e.heads[head]
	r.e.mu.Unlock()
	if !ok {
		at = providers.Ref{Kind: containerType, Name: head}
	}
	obj, err := r.e.containers().Read(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("read cluster %s: %w", ref.Name, err)
	}
	addr, err := schema.ParseAddr(obj.Owner.Address)
	if err != nil {
		return nil, fmt.Errorf("read cluster %s: container %s is not its head: %w", ref.Name, head, providers.ErrNotFound)
	}
	if stopped(obj) {
		return nil, fmt.Errorf("read cluster %s: %w: %w", ref.Name, errHeadStopped, providers.ErrNotFound)
	}
	c := &cluster{addr: addr.Cluster(), head: obj, broken: map[string]string{}}
	r.e.ask(ctx, c, []*providers.Object{obj})
	if err := errors.Join(c.err, c.versionsErr); err != nil {
		return nil, fmt.Errorf("read cluster %s: %w", ref.Name, err)
	}
	return r.e.whole(c), nil
}

// verify waits until the cluster is ready: Ray shows exactly one live node for
// each wanted container, with the resources that it was given, and no other.
func (r *clusters) verify(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	want, err := rosterOf(req.Want)
	if err != nil {
		return nil, providers.NoEffect(err)
	}
	limit := durationOf(req.Want, "ready_timeout", defaultReady)
	end := time.Now().Add(limit)
	report := reporter(req)
	var problems []string
	for {
		c, err := r.e.nodes(ctx, want.head, want.secured)
		if err != nil {
			problems = []string{err.Error()}
		} else {
			var joined int
			if joined, problems = want.compare(c.Nodes); len(problems) == 0 {
				break
			}
			stage := fmt.Sprintf("%d of %d workers have joined", joined, want.workers())
			if joined == want.workers() {
				stage = "all workers have joined, but " + problems[0]
			}
			report(stage)
		}
		if ctx.Err() == nil && time.Now().After(end) {
			return nil, fmt.Errorf("the cluster was not whole within %s: %s. The next plan shows what is to be done",
				limit, strings.Join(problems, "; "))
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return nil, err
		}
	}
	versions, err := r.e.versions(ctx, want.head)
	if err != nil {
		return nil, fmt.Errorf("ask the head for its versions: %w", err)
	}
	set := computed(want.name, req.Want.GetAttr("dashboard_url"), versions)
	return &providers.Object{
		Kind: ClusterType, ID: want.name, Name: want.name, Owner: req.Owner, Started: true,
		Attrs: schema.With(req.Want, set), Defaults: r.e.p.cluster.Null(),
	}, nil
}

// roster is who is wanted in a cluster.
type roster struct {
	name, head string
	secured    bool
	groups     []attendance
}

// attendance is a group's part: how many, each with these totals. The first is
// the head's.
type attendance struct {
	name     string
	replicas int
	totals   map[string]float64
}

func rosterOf(want cty.Value) (*roster, error) {
	groups, err := groupsOf(want)
	if err != nil {
		return nil, err
	}
	name := want.GetAttr("name").AsString()
	out := &roster{name: name, head: headName(name), secured: want.GetAttr("auth").True()}
	groups = slices.Insert(groups, 0, group{name: HeadGroup, replicas: 1, block: want.GetAttr("head")})
	for _, g := range groups {
		m := Member{Group: g.name}
		if _, err := m.configure(want, g.block); err != nil {
			return nil, err
		}
		out.groups = append(out.groups, attendance{g.name, g.replicas, totalsOf(m)})
	}
	return out, nil
}

// totalsOf are the resources that Ray lists for a member.
func totalsOf(m Member) map[string]float64 {
	totals := map[string]float64{
		"CPU": float64(m.NumCPUs), "GPU": float64(m.NumGPUs),
		"memory": float64(m.Memory.Heap), "object_store_memory": float64(m.Memory.ObjectStore),
	}
	for name, amount := range m.Resources {
		totals[name] = amount
	}
	return totals
}

func (r *roster) workers() int {
	n := 0
	for _, g := range r.groups[1:] {
		n += g.replicas
	}
	return n
}

// compare says how many workers have joined, and in what the nodes are not as
// wanted: nothing is a cluster that is ready.
func (r *roster) compare(nodes []gcs.Node) (joined int, problems []string) {
	seen := map[string]int{}  // by container
	count := map[string]int{} // by group
	for _, n := range nodes {
		if !n.Live() {
			continue
		}
		g := r.groupOf(n)
		switch seen[n.InstanceID]++; {
		case g == nil:
			problems = append(problems, fmt.Sprintf("the node of %s is no member of the cluster", orIP(n)))
			continue
		case seen[n.InstanceID] > 1:
			problems = append(problems, "an earlier start of "+n.InstanceID+" is still listed")
			continue
		case n.Status == gcs.Draining:
			problems = append(problems, n.InstanceID+" is draining")
			continue
		}
		if wrong := g.wrong(n); wrong != "" {
			problems = append(problems, n.InstanceID+" has "+wrong)
			continue
		}
		count[g.name]++
	}
	for i, g := range r.groups {
		if i > 0 {
			joined += min(count[g.name], g.replicas)
		}
		switch {
		case count[g.name] == g.replicas:
		case i == 0:
			problems = append(problems, "the head's own node is not listed")
		default:
			problems = append(problems, fmt.Sprintf("of group %q %d workers are ready and %d are wanted", g.name, count[g.name], g.replicas))
		}
	}
	return joined, problems
}

// groupOf finds where a node belongs: by its group and by its container's name.
func (r *roster) groupOf(n gcs.Node) *attendance {
	for i := range r.groups {
		g := &r.groups[i]
		if n.NodeType != g.name {
			continue
		}
		if i == 0 && n.InstanceID == r.head {
			return g
		}
		if index, ok := strings.CutPrefix(n.InstanceID, r.name+"-"+g.name+"-"); ok && i > 0 {
			if _, err := strconv.ParseUint(index, 10, 31); err == nil {
				return g
			}
		}
	}
	return nil
}

// wrong says in what a node's totals differ.
func (a *attendance) wrong(n gcs.Node) string {
	var names []string
	for name := range a.totals {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if want, got := a.totals[name], n.Total[name]; math.Abs(want-got) > 1e-4 { // Ray's own resolution
			return fmt.Sprintf("%v %s, wanted are %v", got, name, want)
		}
	}
	return ""
}

func orIP(n gcs.Node) string {
	if n.InstanceID != "" {
		return n.InstanceID
	}
	if net.ParseIP(n.IP) != nil {
		return n.IP
	}
	return "an unnamed container"
}
