package ray

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// Lower makes a cluster's members: the head, and for each group as many
// workers as it has replicas. It is pure and keeps the promises of
// providers.Lowerer; growing takes the lowest free index, and who goes when a
// group shrinks is said at victims.
func (p *provider) Lower(addr schema.Addr, want cty.Value, live []*providers.Object, info providers.Info) ([]providers.Member, error) {
	name, err := mustKnow(want.GetAttr("name"), "name")
	if err != nil {
		return nil, err
	}
	groups, err := groupsOf(want)
	if err != nil {
		return nil, err
	}
	cluster := name.AsString()
	head := addr.WithMember(schema.Member{Role: schema.Head})
	value, err := p.lowerMember(want, want.GetAttr("head"), Member{
		Container: headName(cluster), Group: HeadGroup,
	})
	if err != nil {
		return nil, fmt.Errorf("head: %w", err)
	}
	members := []providers.Member{{Addr: head, Type: p.container, Want: value}}

	for _, g := range groups {
		for _, index := range choose(g, replicasLive(addr, g.name, live)) {
			value, err := p.lowerMember(want, g.block, Member{
				Container: workerName(cluster, g.name, index), Group: g.name, HeadAlias: headName(cluster),
			})
			if err != nil {
				return nil, fmt.Errorf("worker_group %q: %w", g.name, err)
			}
			members = append(members, providers.Member{
				Addr: addr.WithMember(schema.Member{Role: schema.Worker, Group: g.name, Index: index}),
				Type: p.container, Want: value,
				Follows: []schema.Addr{head}, AtOnce: g.maxUnavailable,
			})
		}
	}
	waves(members[0], members[1:], info)
	return members, nil
}

// group is a worker_group with what the plan has to know of it.
type group struct {
	name           string
	replicas       int
	maxUnavailable int
	block          cty.Value
}

// groupsOf returns the worker groups in the order of their names.
func groupsOf(want cty.Value) ([]group, error) {
	v, err := mustKnow(want.GetAttr("worker_group"), "the worker groups")
	if err != nil || v.IsNull() {
		return nil, err
	}
	var groups []group
	blocks := v.AsValueMap()
	for _, name := range slices.Sorted(maps.Keys(blocks)) {
		g := group{name: name, block: blocks[name]}
		if _, err := mustKnow(g.block, fmt.Sprintf("worker_group %q", name)); err != nil {
			return nil, err
		}
		for attr, to := range map[string]*int{"replicas": &g.replicas, "max_unavailable": &g.maxUnavailable} {
			n, err := mustKnow(g.block.GetAttr(attr), fmt.Sprintf("worker_group %q: %s", name, attr))
			if err != nil {
				return nil, err
			}
			*to = intOf(n)
		}
		groups = append(groups, g)
	}
	return groups, nil
}

func mustKnow(v cty.Value, what string) (cty.Value, error) {
	if !v.IsKnown() {
		return v, fmt.Errorf("%s must be known before the plan: it depends on something that is known only after an apply", what)
	}
	return v, nil
}

// waves makes workers wait for the head and for those before them: Ray's start
// is heavy, and too many at the same moment time out. Each needs the members
// of the wave before its own only, which are few.
func waves(head providers.Member, workers []providers.Member, info providers.Info) {
	size := wavePerCPU * info.CPUs
	if size == 0 {
		size = waveBlind
	}
	before := []schema.Addr{head.Addr}
	for wave := range slices.Chunk(workers, size) {
		var these []schema.Addr
		for i := range wave {
			wave[i].Needs = before
			these = append(these, wave[i].Addr)
		}
		before = these
	}
}

const (
	wavePerCPU = 3
	waveBlind  = 2 // where the number of cores is not known
)

// replica is what lives at an index of a group.
type replica struct {
	index int
	sound bool // something runs there that Ray counts on, as far as is known
	idle  time.Duration
}

// replicasLive returns the indexes of a group that have an object.
func replicasLive(cluster schema.Addr, group string, live []*providers.Object) []replica {
	byIndex := map[int]replica{}
	for _, obj := range live {
		addr, err := schema.ParseAddr(obj.Owner.Address)
		if err != nil || addr.Cluster() != cluster || addr.Member.Role != schema.Worker || addr.Member.Group != group {
			continue
		}
		r := byIndex[addr.Member.Index]
		r.index = addr.Member.Index
		r.sound = r.sound || (obj.Broken == "" && obj.Started && !stopped(obj))
		if node, ok := obj.Detail.(*NodeInfo); ok {
			r.sound = r.sound && node.Status != NodeDraining && node.Status != NodeDead
			r.idle = max(r.idle, node.IdleFor)
		}
		byIndex[r.index] = r
	}
	return slices.Collect(maps.Values(byIndex))
}

// stopped reports whether a container is known not to run.
func stopped(obj *providers.Object) bool {
	if obj.Attrs == cty.NilVal || obj.Attrs.IsNull() {
		return false
	}
	runs := obj.Attrs.GetAttr("must_run")
	return !runs.IsNull() && runs.IsKnown() && runs.False()
}

// choose returns the indexes that a group has from now on, sorted. Of those
// that live, as many as there may be stay: the first to go are the broken,
// draining, dead and stopped ones, then the one that was idle the longest, then
// the one with the highest index, which alone decides where Ray was not asked.
func choose(g group, live []replica) []int {
	slices.SortFunc(live, func(a, b replica) int {
		return cmp.Or(order(a.sound, b.sound), cmp.Compare(a.idle, b.idle), cmp.Compare(a.index, b.index))
	})
	var indexes []int
	for _, r := range live[:min(len(live), g.replicas)] {
		indexes = append(indexes, r.index)
	}
	for i := 0; len(indexes) < g.replicas; i++ {
		if !slices.Contains(indexes, i) {
			indexes = append(indexes, i)
		}
	}
	slices.Sort(indexes)
	return indexes
}

// order puts true first.
func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

// lowerMember returns the container that a member is, in the normal form of its
// table. What is not known yet is unknown there too.
func (p *provider) lowerMember(cluster, block cty.Value, m Member) (cty.Value, error) {
	raw := map[string]cty.Value{
		"name":         cty.StringVal(m.Container),
		"image":        cluster.GetAttr("image"),
		"restart":      cluster.GetAttr("restart"),
		"init":         cty.True,
		"must_run":     cty.True,
		"stop_timeout": cty.NumberIntVal(int64(StopTimeout.Seconds())),
		"memory":       block.GetAttr("memory"),
		"shm_size":     cty.UnknownVal(cty.Number),
		"entrypoint":   cty.UnknownVal(cty.List(cty.String)),
		"command":      cty.UnknownVal(cty.List(cty.String)),
		"env":          cty.UnknownVal(cty.Map(cty.String)),
		"healthcheck":  p.healthcheck(m.Group == HeadGroup),
		"networks_advanced": cty.TupleVal([]cty.Value{p.block("networks_advanced", map[string]cty.Value{
			"name": cluster.GetAttr("network"), "aliases": cty.SetVal([]cty.Value{cty.StringVal(m.Container)}),
		})}),
	}
	if memory := block.GetAttr("memory"); memory.IsKnown() {
		var err error
		if m.Memory, err = DivideMemory(floatOf(memory)); err != nil {
			return cty.NilVal, err
		}
		raw["shm_size"] = cty.NumberIntVal(m.Memory.Shm / mib)
	}
	if auth := cluster.GetAttr("auth"); auth.IsKnown() {
		m.Token = auth.True()
		raw["env"] = overlay(cluster.GetAttr("env"), block.GetAttr("env"), Env(m))
	}
	known, err := m.configure(cluster, block)
	if err != nil {
		return cty.NilVal, err
	}
	if known {
		command, err := StartCommand(m)
		if err != nil {
			return cty.NilVal, err
		}
		// The image's entrypoint may be a shell, which would swallow SIGTERM.
		raw["entrypoint"], raw["command"] = listOf(command[:1]), listOf(command[1:])
	}
	if m.Group == HeadGroup && !block.GetAttr("dashboard_port").IsNull() {
		raw["ports"] = cty.TupleVal([]cty.Value{p.block("ports", map[string]cty.Value{
			"internal": cty.NumberIntVal(DashboardPort),
			"external": block.GetAttr("dashboard_port"),
			"ip":       block.GetAttr("dashboard_ip"),
		})})
	}
	for _, name := range containerRows {
		if block.Type().HasAttribute(name) {
			raw[name] = block.GetAttr(name)
		}
	}
	return p.container.Normalize(written(p.container.Attrs, raw))
}

// written is what the table's decoder would read if only set were written: what
// is left out is null there, so that Normalize gives it its default.
func written(attrs []schema.Attr, set map[string]cty.Value) cty.Value {
	for i := range attrs {
		a := &attrs[i]
		if _, ok := set[a.Name]; !ok && a.Block == nil {
			set[a.Name] = cty.NullVal(a.Type)
		}
	}
	return cty.ObjectVal(set)
}

// block is one nested block of a container.
func (p *provider) block(name string, set map[string]cty.Value) cty.Value {
	return written(p.container.Attr(name).Block.Attrs, set)
}

// configure fills in what the blocks say of Ray's node, and reports whether all
// of it is known.
func (m *Member) configure(cluster, block cty.Value) (known bool, err error) {
	labels := overlay(cluster.GetAttr("labels"), block.GetAttr("labels"), nil)
	for _, v := range []cty.Value{
		labels, block.GetAttr("num_cpus"), block.GetAttr("num_gpus"), block.GetAttr("memory"),
		block.GetAttr("resources"), block.GetAttr("params"),
	} {
		if !v.IsWhollyKnown() {
			return false, nil
		}
	}
	m.NumCPUs, m.NumGPUs = intOf(block.GetAttr("num_cpus")), intOf(block.GetAttr("num_gpus"))
	if m.Memory, err = DivideMemory(floatOf(block.GetAttr("memory"))); err != nil {
		return false, err
	}
	var ok bool
	if m.Labels, ok = stringsOf(labels); !ok {
		return false, fmt.Errorf("labels: one of them is null; leave it out instead")
	}
	if m.Params, ok = stringsOf(block.GetAttr("params")); !ok {
		return false, fmt.Errorf("params: one of them is null; leave it out instead")
	}
	m.Resources = map[string]float64{}
	if r := block.GetAttr("resources"); !r.IsNull() {
		for name, amount := range r.AsValueMap() {
			if amount.IsNull() {
				return false, fmt.Errorf("resources: %s is null; leave it out instead", name)
			}
			m.Resources[name] = floatOf(amount)
		}
	}
	return true, nil
}

// overlay lays maps of strings over each other, the last on top. It is unknown
// where the keys of one are.
func overlay(cluster, block cty.Value, own map[string]string) cty.Value {
	out := map[string]cty.Value{}
	for _, v := range []cty.Value{cluster, block} {
		if !v.IsKnown() {
			return cty.UnknownVal(cty.Map(cty.String))
		}
		if !v.IsNull() {
			maps.Copy(out, v.AsValueMap())
		}
	}
	for name, s := range own {
		out[name] = cty.StringVal(s)
	}
	if len(out) == 0 {
		return cty.NullVal(cty.Map(cty.String))
	}
	return cty.MapVal(out)
}

func (p *provider) healthcheck(head bool) cty.Value {
	probe := HealthProbe(head)
	return p.block("healthcheck", map[string]cty.Value{
		"test":         listOf(probe.Test),
		"interval":     cty.StringVal(probe.Interval.String()),
		"timeout":      cty.StringVal(probe.Timeout.String()),
		"start_period": cty.StringVal(probe.StartPeriod.String()),
		"retries":      cty.NumberIntVal(int64(probe.Retries)),
	})
}

func listOf(words []string) cty.Value {
	if len(words) == 0 {
		return cty.ListValEmpty(cty.String)
	}
	list := make([]cty.Value, len(words))
	for i, w := range words {
		list[i] = cty.StringVal(w)
	}
	return cty.ListVal(list)
}
