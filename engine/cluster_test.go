package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/mem"
	"github.com/gapool/gapool/schema"
)

// clusterTable is a small one in the manner of ray_cluster's.
func clusterTable() *schema.Type {
	return &schema.Type{Name: "ray_cluster", Virtual: true, Attrs: []schema.Attr{
		{Name: "name", Type: cty.String, Required: true, Change: schema.Replace},
		{Name: "image", Type: cty.String, Required: true, Change: schema.Update, Names: &schema.Naming{Type: "docker_image", ID: "image_id"}},
		{Name: "network", Type: cty.String, Change: schema.Update},
		{Name: "head_env", Type: cty.String, Change: schema.Update},
		{Name: "worker_env", Type: cty.String, Change: schema.Update},
		{Name: "worker_memory", Type: cty.Number, Change: schema.Update},
		{Name: "replicas", Type: cty.Number, Required: true, Change: schema.Update},
		{Name: "gpus", Type: cty.Number, Change: schema.Update}, // workers of a second group
		{Name: "url", Type: cty.String, Computed: true},
	}}
}

// lower makes a head and, of each group, as many workers as are asked for: those
// that live stay, the highest go first, the lowest free index is taken.
func lower(member *schema.Type) mem.LowerFunc {
	return func(addr schema.Addr, want cty.Value, live []*providers.Object, _ providers.Info) ([]providers.Member, error) {
		name := want.GetAttr("name").AsString()
		box := func(name string, env, memory cty.Value) cty.Value {
			set := map[string]cty.Value{
				"name": cty.StringVal(name), "image": want.GetAttr("image"), "must_run": cty.True, "memory": memory,
			}
			if !env.IsNull() {
				set["env"] = cty.MapVal(map[string]cty.Value{"E": env})
			}
			if network := want.GetAttr("network"); !network.IsNull() {
				set["network"] = cty.SetVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{"name": network})})
			}
			return member.Build(set)
		}
		head := addr.WithMember(schema.Member{Role: schema.Head})
		members := []providers.Member{{Addr: head, Type: member, Want: box(name+"-head", want.GetAttr("head_env"), cty.NullVal(cty.Number))}}
		for _, group := range []struct{ name, attr string }{{"cpu", "replicas"}, {"gpu", "gpus"}} {
			replicas := want.GetAttr(group.attr)
			if !replicas.IsKnown() {
				return nil, fmt.Errorf("%s must be known", group.attr)
			}
			if replicas.IsNull() {
				continue
			}
			n, _ := replicas.AsBigFloat().Int64()
			var before []schema.Addr
			for _, i := range indexes(live, group.name, int(n)) {
				m := addr.WithMember(schema.Member{Role: schema.Worker, Group: group.name, Index: i})
				members = append(members, providers.Member{
					Addr: m, Type: member, Follows: []schema.Addr{head}, AtOnce: 1, Needs: append([]schema.Addr{head}, before...),
					Want: box(fmt.Sprintf("%s-%s-%d", name, group.name, i), want.GetAttr("worker_env"), want.GetAttr("worker_memory")),
				})
				before = []schema.Addr{m}
			}
		}
		return members, nil
	}
}

func indexes(live []*providers.Object, group string, n int) []int {
	set := map[int]bool{}
	for _, o := range live {
		if a, err := schema.ParseAddr(o.Owner.Address); err == nil && a.Member.Role == schema.Worker && a.Member.Group == group {
			set[a.Member.Index] = true
		}
	}
	var out []int
	for i := range 100 {
		if set[i] && len(out) < n {
			out = append(out, i)
		}
	}
	for i := 0; len(out) < n; i++ {
		if !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	slices.Sort(out)
	return out
}

func clusterLab(t testing.TB, options ...mem.Option) *lab {
	types := append(tables(), clusterTable())
	var box *schema.Type
	for _, ty := range types {
		if ty.Name == "docker_container" {
			box = ty
		}
	}
	l := newLab(t)
	options = append([]mem.Option{mem.Uses(uses), mem.Cluster("ray_cluster", "docker_container", lower(box))}, options...)
	l.world = mem.New("docker", &schema.Type{Name: "docker"}, types, options...)
	return l
}

func cluster(replace ...string) string {
	return strings.NewReplacer(replace...).Replace(`
resource "docker_image" "app" {
  name   = "app"
  inputs = "a"
}
resource "docker_network" "net" {
  name   = "net"
  driver = "bridge"
}
resource "ray_cluster" "pool" {
  name       = "pool"
  image      = docker_image.app.image_id
  network    = docker_network.net.name
  head_env   = "h"
  worker_env = "w"
  worker_memory = 64
  replicas   = 2
}
resource "docker_container" "driver" {
  name  = "driver"
  image = "x"
  env   = { URL = ray_cluster.pool.url }
}
`)
}

// order is the place of each step in what an apply did.
func (l *lab) order() func(string) int {
	var done []string
	l.report = func(e engine.Event) {
		if e.Kind == engine.Done {
			done = append(done, string(e.Step.Verb)+" "+e.Step.Addr.String())
		}
	}
	return func(step string) int {
		i := slices.Index(done, step)
		if i < 0 {
			l.t.Errorf("%s was not done, but %v", step, done)
		}
		return i
	}
}

func inThisOrder(t tester, at func(string) int, steps ...string) {
	t.Helper()
	for i := 1; i < len(steps); i++ {
		if at(steps[i-1]) >= at(steps[i]) {
			t.Errorf("%s came after %s", steps[i-1], steps[i])
		}
	}
}

const (
	headAddr = "ray_cluster.pool.head"
	worker0  = `ray_cluster.pool.worker["cpu"][0]`
	worker1  = `ray_cluster.pool.worker["cpu"][1]`
	worker2  = `ray_cluster.pool.worker["cpu"][2]`
)

func sums(t tester, p *engine.Plan, want engine.Summary) {
	t.Helper()
	if got := p.Summary(); got != want {
		t.Errorf("the plan is %+v and not %+v:\n%s", got, want, sketch(p))
	}
}

func TestCluster(t *testing.T) {
	tests := []struct {
		name   string
		change []string
		want   engine.Summary
		order  []string
	}{
		{"nothing", nil, engine.Summary{}, nil},
		{"scale up", []string{"= 2", "= 3"}, engine.Summary{Add: 1, Change: 1}, []string{"create " + worker2, "update ray_cluster.pool"}},
		{"scale down", []string{"= 2", "= 1"}, engine.Summary{Change: 1, Destroy: 1}, []string{"delete " + worker1, "update ray_cluster.pool"}},
		{"members change in place", []string{"= 64", "= 128"}, engine.Summary{Change: 3}, []string{"update " + worker0, "update ray_cluster.pool"}},
		{"workers roll", []string{`"w"`, `"v"`}, engine.Summary{Add: 2, Change: 1, Destroy: 2}, []string{
			"delete " + worker0, "create " + worker0, "delete " + worker1, "create " + worker1, "update ray_cluster.pool",
		}},
		{"workers follow their head", []string{`"h"`, `"i"`}, engine.Summary{Add: 4, Change: 1, Destroy: 4}, []string{
			"delete " + worker0, "delete " + headAddr, "create " + headAddr, "create " + worker0, "create " + worker1, "update ray_cluster.pool",
		}},
		{"the network is replaced", []string{`"bridge"`, `"overlay"`}, engine.Summary{Add: 5, Change: 1, Destroy: 5}, []string{
			"delete " + worker0, "delete " + headAddr, "delete docker_network.net", "create docker_network.net", "create " + headAddr, "create " + worker0, "update ray_cluster.pool",
		}},
		{"the image changes", []string{`inputs = "a"`, `inputs = "b"`}, engine.Summary{Add: 5, Change: 1, Destroy: 5}, []string{
			"create docker_image.app", "delete " + worker0, "delete " + headAddr, "create " + headAddr, "create " + worker0, "update ray_cluster.pool",
		}},
	}
	for _, test := range tests {
		for _, parallelism := range []int{1, 4} {
			t.Run(fmt.Sprint(test.name, " ", parallelism), func(t *testing.T) {
				l := clusterLab(t)
				l.write(cluster())
				at := l.order()
				p := l.apply()
				sums(t, p, engine.Summary{Add: 7})
				inThisOrder(t, at, "create docker_network.net", "create "+headAddr, "create "+worker0, "create "+worker1, "create ray_cluster.pool", "create docker_container.driver")
				l.settled()

				l.write(cluster(test.change...))
				l.parallelism = parallelism
				at = l.order()
				p = l.apply()
				inOrder(t, p)
				sums(t, p, test.want)
				inThisOrder(t, at, test.order...)
				l.report = nil
				l.settled()

				l.mode = engine.Destroy
				at = l.order()
				l.apply()
				inThisOrder(t, at, "delete docker_container.driver", "delete "+worker0, "delete "+headAddr, "delete docker_network.net")
				inThisOrder(t, at, "delete "+headAddr, "forget ray_cluster.pool")
				if left := l.world.String(); left != "" {
					t.Errorf("left is\n%s", left)
				}
			})
		}
	}
}

// TestClusterIsKnownByItsLabels loses the state.
func TestClusterIsKnownByItsLabels(t *testing.T) {
	l := clusterLab(t)
	l.write(cluster())
	l.apply()
	l.lose()
	p := l.plan()
	for _, c := range p.Changes {
		if c.Action != engine.NoOp && c.Addr.Type == "ray_cluster" && !c.Addr.Member.IsZero() {
			t.Errorf("%s: %s", c.Addr, c.Action)
		}
	}
	l.apply()
	l.settled()
	l.lose()
	flags(l, []string{"unnamed"})
	l.mode = engine.Destroy
	l.apply()
	for _, o := range l.world.Objects() {
		if o.Owner.UID != "" {
			t.Errorf("left is %s %s", o.Kind, o.Name)
		}
	}
}

// TestAStaleLabelTakesNoMemberOfAnotherCluster gives the address of a cluster to
// a new one and loses the state: the labels of the old one's members say the
// address that they were made under.
func TestAStaleLabelTakesNoMemberOfAnotherCluster(t *testing.T) {
	const other = `
resource "ray_cluster" "pool" {
  name     = "other"
  image    = "x"
  replicas = 3
}
`
	renamed := strings.ReplaceAll(cluster(), `"pool" {`, `"second" {`)
	renamed = strings.ReplaceAll(renamed, "ray_cluster.pool", "ray_cluster.second")
	l := clusterLab(t)
	l.write(cluster())
	l.apply()
	l.write(renamed)
	l.apply()
	l.write(renamed + other)
	l.apply()
	l.settled()
	was := l.world.String()
	l.lose()
	for _, c := range l.plan().Changes {
		if c.Action != engine.NoOp && !c.Addr.Member.IsZero() {
			t.Errorf("%s: %s %s", c.Addr, c.Action, c.Reason)
		}
	}
	l.apply()
	l.settled()
	if got := l.world.String(); got != was {
		t.Errorf("it was\n%sand is\n%s", was, got)
	}
}

// TestADeadWorkerIsMadeAnew removes one and stops one.
func TestADeadWorkerIsMadeAnew(t *testing.T) {
	l := clusterLab(t)
	l.write(cluster())
	l.apply()
	was := l.world.String()
	l.world.Remove("docker_container", "pool-cpu-1")
	l.world.Stop("docker_container", "pool-cpu-0")
	p := l.apply()
	sums(t, p, engine.Summary{Add: 1, Change: 2})
	l.settled()
	if got := l.world.String(); got != was {
		t.Errorf("the world is\n%sand was\n%s", got, was)
	}
}

// TestAnImageThatProvesEqualKeepsTheCluster asks for the image anew.
func TestAnImageThatProvesEqualKeepsTheCluster(t *testing.T) {
	l := clusterLab(t)
	l.write(cluster())
	l.apply()
	ids := func() (all []string) {
		for _, o := range l.world.Objects() {
			all = append(all, o.ID)
		}
		return all
	}
	was := ids()
	flags(l, []string{"-replace=docker_image.app"})
	var news []string
	l.report = func(e engine.Event) {
		news = append(news, fmt.Sprint(kinds[e.Kind], " ", e.Step.Verb, " ", e.Step.Addr))
	}
	p := l.apply()
	if p.Summary().Add != 5 {
		t.Errorf("the plan is\n%s", sketch(p))
	}
	if !slices.Equal(ids(), was) {
		t.Errorf("members were made anew though the image is the same:\n%s\n%s", strings.Join(news, "\n"), sketch(p))
	}
	l.options = nil
	l.settled()
}

// TestAClusterFollowsTheNameOfItsImage builds anew the image that it names, by a
// reference or by a word.
func TestAClusterFollowsTheNameOfItsImage(t *testing.T) {
	for _, image := range []string{"docker_image.app.name", `"app:latest"`} {
		for _, parallelism := range []int{1, 4} {
			t.Run(fmt.Sprint(image, " ", parallelism), func(t *testing.T) {
				l := clusterLab(t)
				l.parallelism = parallelism
				named := []string{`name   = "app"`, `name   = "app:latest"`, "docker_image.app.image_id", image}
				l.write(cluster(named...))
				at := l.order()
				l.apply()
				inThisOrder(t, at, "create docker_image.app", "create "+headAddr)
				l.settled()
				was := l.world.String()

				t.Log("it proves to be the same")
				flags(l, []string{"-replace=docker_image.app"})
				sums(t, l.apply(), engine.Summary{Add: 5, Change: 1, Destroy: 5})
				if got := l.world.String(); got != was {
					t.Errorf("it was\n%sand is\n%s", was, got)
				}
				l.options = nil
				l.settled()

				t.Log("it is another one")
				l.write(cluster(append(named, `inputs = "a"`, `inputs = "b"`)...))
				at = l.order()
				p := l.apply()
				sums(t, p, engine.Summary{Add: 5, Change: 1, Destroy: 5})
				inThisOrder(t, at, "create docker_image.app", "delete "+worker0, "delete "+headAddr, "create "+headAddr, "create "+worker0, "update ray_cluster.pool")
				if got, want := sketch(p), "-/+ "+worker0+` [image "app:latest"→unknown replaces] only if [docker_image.app.image_id]`; !strings.Contains(got, want) {
					t.Errorf("the plan does not say %s:\n%s", want, got)
				}
				l.report = nil
				l.settled()
			})
		}
	}
}

// TestClusterIsRemoved takes the block out of the configuration.
func TestClusterIsRemoved(t *testing.T) {
	l := clusterLab(t)
	l.write(cluster())
	l.apply()
	text := cluster()
	l.write(text[:strings.Index(text, `resource "ray_cluster"`)])
	at := l.order()
	sums(t, l.apply(), engine.Summary{Destroy: 5})
	inThisOrder(t, at, "delete docker_container.driver", "delete "+worker0, "delete "+headAddr)
	l.report = nil
	l.settled()
}

// TestClusterTargets takes one member, a group, and the cluster with its members.
func TestClusterTargets(t *testing.T) {
	l := clusterLab(t)
	l.write(cluster())
	l.apply()
	flags(l, []string{"-replace=" + worker1})
	sums(t, l.plan(), engine.Summary{Add: 1, Change: 1, Destroy: 1})
	flags(l, []string{`-replace=ray_cluster.pool.worker["cpu"]`})
	sums(t, l.plan(), engine.Summary{Add: 2, Change: 1, Destroy: 2})
	flags(l, []string{"-replace=ray_cluster.pool"})
	sums(t, l.plan(), engine.Summary{Add: 4, Change: 1, Destroy: 4}) // and the driver, whose URL may change
	l.options = nil
	l.write(cluster(`"w"`, `"v"`, `"x"`, `"y"`))
	flags(l, []string{"-target=ray_cluster.pool"})
	sums(t, l.plan(), engine.Summary{Add: 2, Change: 1, Destroy: 2})
	flags(l, []string{"-target=" + worker1})
	sums(t, l.plan(), engine.Summary{Add: 1, Change: 1, Destroy: 1})
	flags(l, []string{`-target=ray_cluster.pool.worker["cpu"]`})
	sums(t, l.plan(), engine.Summary{Add: 2, Change: 1, Destroy: 2})
	flags(l, []string{"-target=" + headAddr})
	sums(t, l.plan(), engine.Summary{})
	l.write(cluster(`"h"`, `"i"`))
	sums(t, l.plan(), engine.Summary{Add: 3, Change: 1, Destroy: 3}) // the workers cannot be kept
	l.write(cluster("= 2", "= 1", "= 64", "= 128"))
	flags(l, []string{"-target=" + worker1})
	at := l.order()
	sums(t, l.apply(), engine.Summary{Change: 1, Destroy: 1})
	inThisOrder(t, at, "delete "+worker1, "update ray_cluster.pool")
	l.report, l.options = nil, nil
	sums(t, l.apply(), engine.Summary{Change: 2})
	l.settled()
}
