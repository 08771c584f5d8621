package ray

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/docker"
	"github.com/gapool/gapool/schema"
)

var pool = schema.Addr{Type: ClusterType, Name: "pool"}

// decode reads a ray_cluster's body, in which unknown stands for a string and
// unknown_number for a number that are not known yet.
func decode(t *testing.T, p *provider, body string) (cty.Value, hcl.Diagnostics) {
	t.Helper()
	file, diags := hclsyntax.ParseConfig([]byte(body), "pool.gapool.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	v, diags := p.cluster.Decode(file.Body, &hcl.EvalContext{Variables: map[string]cty.Value{
		"unknown": cty.UnknownVal(cty.String), "unknown_number": cty.UnknownVal(cty.Number),
		"unknown_list": cty.UnknownVal(cty.List(cty.String)),
	}})
	if diags.HasErrors() {
		return v, diags
	}
	v, err := p.cluster.Derive("", v)
	if err != nil {
		t.Fatal(err)
	}
	return v, nil
}

// Decode is decode for the tests outside of the package.
func Decode(t *testing.T, over providers.Provider, body string) cty.Value {
	t.Helper()
	p, ok := over.(*provider)
	if !ok {
		t.Fatalf("a %T has no clusters", over)
	}
	return mustDecode(t, p, body)
}

func mustDecode(t *testing.T, p *provider, body string) cty.Value {
	t.Helper()
	v, diags := decode(t, p, body)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return v
}

const twoGroups = `
name    = "genetic"
image   = "sha256:1"
network = "net"
env     = { LEVEL = "info", KEEP = "1" }
labels  = { site = "a" }
head {
  memory         = "2g"
  dashboard_port = 8266
  volumes {
    container_path = "/data"
    volume_name    = "data"
  }
}
worker_group "cpu" {
  replicas        = 3
  num_cpus        = 2
  memory          = 1536
  max_unavailable = 2
  resources       = { island = 1 }
  labels          = { zone = "b", site = "c" }
  env             = { LEVEL = "debug" }
  params          = { object-spilling-directory = "/data" }
}
worker_group "big" {
  memory = "4g"
}
`

// show prints members, one a line, with what is asked of each.
func show(members []providers.Member, say func(providers.Member) string) string {
	var b strings.Builder
	for _, m := range members {
		line := strings.TrimPrefix(m.Addr.String(), "ray_cluster.pool.")
		if s := say(m); s != "" {
			line += ": " + s
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

func addrs(list []schema.Addr) string {
	var names []string
	for _, a := range list {
		names = append(names, strings.TrimPrefix(a.String(), "ray_cluster.pool."))
	}
	return strings.Join(names, " ")
}

func noWord(providers.Member) string { return "" }

// plainText writes a value as JSON-like text, without what is null.
func plainText(v cty.Value) string {
	switch ty := v.Type(); {
	case !v.IsKnown():
		return "?"
	case v.IsNull():
		return "null"
	case ty == cty.String:
		return v.AsString()
	case ty == cty.Number:
		return v.AsBigFloat().Text('f', -1)
	case ty == cty.Bool:
		return fmt.Sprint(v.True())
	case ty.IsMapType() || ty.IsObjectType():
		var parts []string
		for it := v.ElementIterator(); it.Next(); {
			k, el := it.Element()
			if !el.IsNull() {
				parts = append(parts, k.AsString()+"="+plainText(el))
			}
		}
		return "{" + strings.Join(parts, " ") + "}"
	default:
		var parts []string
		for it := v.ElementIterator(); it.Next(); {
			_, el := it.Element()
			parts = append(parts, plainText(el))
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
}

func wantText(v cty.Value) string {
	var lines []string
	for name, x := range v.AsValueMap() {
		if !x.IsNull() && name != "healthcheck" {
			lines = append(lines, name+" "+plainText(x))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

func TestMembersOfACluster(t *testing.T) {
	p := over(docker.New(), nil)
	v := mustDecode(t, p, twoGroups)
	members, err := p.Lower(pool, v, nil, providers.Info{CPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	got := show(members, func(m providers.Member) string {
		return fmt.Sprintf("needs [%s] follows [%s] at once %d", addrs(m.Needs), addrs(m.Follows), m.AtOnce)
	})
	want := `head: needs [] follows [] at once 0
worker["big"][0]: needs [head] follows [head] at once 1
worker["cpu"][0]: needs [head] follows [head] at once 2
worker["cpu"][1]: needs [head] follows [head] at once 2
worker["cpu"][2]: needs [worker["big"][0] worker["cpu"][0] worker["cpu"][1]] follows [head] at once 2
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	for _, m := range members {
		if m.Type != p.container {
			t.Errorf("%s has the table %s, not the provider's own", m.Addr, m.Type.Name)
		}
	}

	head := `command [start --head --block --no-monitor --port=6379 --dashboard-host=0.0.0.0 --dashboard-agent-listen-port=52365 --metrics-export-port=8080 --num-cpus=0 --memory=966787072 --object-store-memory=643825664 --disable-usage-stats --labels=site=a]
entrypoint [ray]
env {KEEP=1 LEVEL=info RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=/run/ray/token RAY_CLOUD_INSTANCE_ID=genetic-head RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=2 RAY_NODE_TYPE_NAME=head}
image sha256:1
init true
memory 2048
must_run true
name genetic-head
network_mode bridge
networks_advanced [{aliases=[genetic-head] name=net}]
ports [{external=8266 internal=8265 ip=127.0.0.1 protocol=tcp}]
remove_volumes true
restart unless-stopped
shm_size 676
start true
stop_timeout 17
volumes [{container_path=/data read_only=false volume_name=data}]
wait false
wait_timeout 60
`
	if diff := cmp.Diff(head, wantText(members[0].Want)); diff != "" {
		t.Errorf("the head (-want +got):\n%s", diff)
	}
	worker := `command [start --block --address=genetic-head:6379 --dashboard-agent-listen-port=52365 --metrics-export-port=8080 --num-cpus=2 --memory=591396864 --object-store-memory=482344960 --resources={"island":1} --labels=site=c,zone=b --object-spilling-directory=/data]
entrypoint [ray]
env {KEEP=1 LEVEL=debug RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=/run/ray/token RAY_CLOUD_INSTANCE_ID=genetic-cpu-1 RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=2 RAY_NODE_TYPE_NAME=cpu}
image sha256:1
init true
memory 1536
must_run true
name genetic-cpu-1
network_mode bridge
networks_advanced [{aliases=[genetic-cpu-1] name=net}]
remove_volumes true
restart unless-stopped
shm_size 506
start true
stop_timeout 17
wait false
wait_timeout 60
`
	if diff := cmp.Diff(worker, wantText(members[3].Want)); diff != "" {
		t.Errorf("a worker (-want +got):\n%s", diff)
	}
	if check := members[0].Want.GetAttr("healthcheck"); check.IsNull() ||
		!strings.Contains(plainText(check.GetAttr("test")), "gcs_healthz") {
		t.Errorf("the head's health check is %s", plainText(check))
	}
	for attr, want := range map[string]string{
		"id": "genetic", "address": "genetic-head:6379", "head_container": "genetic-head", "dashboard_url": "http://127.0.0.1:8266",
	} {
		if got := plainText(v.GetAttr(attr)); got != want {
			t.Errorf("%s is %s before the apply, want %s", attr, got, want)
		}
	}
}

func TestWhatIsUnknownStaysUnknownInTheMembers(t *testing.T) {
	p := over(docker.New(), nil)
	v := mustDecode(t, p, `
name    = "genetic"
image   = unknown
network = unknown
env     = { LEVEL = unknown }
head {}
worker_group "cpu" {
  num_cpus = unknown_number
  memory   = unknown
}`)
	members, err := p.Lower(pool, v, nil, providers.Info{})
	if err != nil {
		t.Fatal(err)
	}
	unknown := func(m providers.Member) string {
		var names []string
		for name, x := range m.Want.AsValueMap() {
			if !x.IsWhollyKnown() {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	want := `head: env image networks_advanced
worker["cpu"][0]: command entrypoint env image memory networks_advanced shm_size
`
	if diff := cmp.Diff(want, show(members, unknown)); diff != "" {
		t.Errorf("unknown attributes (-want +got):\n%s", diff)
	}
	if got := plainText(members[0].Want.GetAttr("env").Index(cty.StringVal("RAY_NODE_TYPE_NAME"))); got != "head" {
		t.Errorf("beside an unknown variable the known ones are kept: RAY_NODE_TYPE_NAME is %s", got)
	}

	for _, body := range []string{
		`worker_group "cpu" { replicas = unknown_number }`,
		`worker_group "cpu" { max_unavailable = unknown_number }`,
		"dynamic \"worker_group\" {\n for_each = unknown_list\n labels = [\"x\"]\n content {}\n}",
	} {
		v := mustDecode(t, p, "name = \"genetic\"\nimage = \"i\"\nnetwork = \"n\"\nhead {}\n"+body)
		if _, err := p.Lower(pool, v, nil, providers.Info{}); err == nil || !strings.Contains(err.Error(), "must be known before the plan") {
			t.Errorf("%s: error %v, want one that says it must be known before the plan", body, err)
		}
	}
}

// worker is a live worker of the pool, which runs.
func worker(p *provider, group string, index int, change func(*providers.Object)) *providers.Object {
	addr := pool.WithMember(schema.Member{Role: schema.Worker, Group: group, Index: index})
	obj := &providers.Object{
		Kind: containerType, Name: workerName("genetic", group, index), Started: true,
		Owner: providers.Owner{Address: addr.String()},
		Attrs: p.container.Build(map[string]cty.Value{"must_run": cty.True}),
	}
	obj.ID = "id of " + obj.Name
	if change != nil {
		change(obj)
	}
	return obj
}

func TestWhoStaysAndWhoGoes(t *testing.T) {
	p := over(docker.New(), nil)
	idle := func(d time.Duration) func(*providers.Object) {
		return func(o *providers.Object) { o.Detail = &NodeInfo{Status: NodeIdle, IdleFor: d} }
	}
	status := func(s NodeStatus) func(*providers.Object) {
		return func(o *providers.Object) { o.Detail = &NodeInfo{Status: s} }
	}
	broken := func(o *providers.Object) { o.Broken = "was left unfinished" }
	halted := func(o *providers.Object) {
		o.Attrs = schema.With(o.Attrs, map[string]cty.Value{"must_run": cty.False})
	}
	unfinished := func(o *providers.Object) { o.Started = false }
	for name, c := range map[string]struct {
		replicas int
		live     map[int]func(*providers.Object)
		want     string
	}{
		"new":                                  {3, nil, "0 1 2"},
		"growing takes the lowest free index":  {4, map[int]func(*providers.Object){1: nil, 5: nil}, "0 1 2 5"},
		"as many as there are":                 {2, map[int]func(*providers.Object){3: broken, 7: nil}, "3 7"},
		"Ray was not asked: the highest index": {1, map[int]func(*providers.Object){0: nil, 1: nil, 2: nil}, "0"},
		"the idlest":                           {2, map[int]func(*providers.Object){0: idle(9 * time.Second), 1: idle(0), 2: idle(time.Second)}, "1 2"},
		"a broken one before an idle one":      {1, map[int]func(*providers.Object){0: broken, 1: idle(time.Hour)}, "1"},
		"a draining one":                       {1, map[int]func(*providers.Object){0: status(NodeDraining), 1: idle(time.Hour)}, "1"},
		"a dead one":                           {1, map[int]func(*providers.Object){0: status(NodeDead), 1: idle(time.Hour)}, "1"},
		"a stopped one":                        {1, map[int]func(*providers.Object){0: halted, 1: idle(time.Hour)}, "1"},
		"one that was never started":           {1, map[int]func(*providers.Object){0: unfinished, 1: idle(time.Hour)}, "1"},
		"none":                                 {0, map[int]func(*providers.Object){0: nil}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var live []*providers.Object
			for i := range 10 {
				if change, ok := c.live[i]; ok {
					live = append(live, worker(p, "cpu", i, change))
				}
			}
			// What lives elsewhere has no say.
			other := worker(p, "big", 0, nil)
			foreign := worker(p, "cpu", 0, nil)
			foreign.Owner.Address = `ray_cluster.other.worker["cpu"][0]`
			live = append(live, other, foreign)

			v := mustDecode(t, p, fmt.Sprintf("name = \"genetic\"\nimage = \"i\"\nnetwork = \"n\"\nhead {}\nworker_group \"cpu\" { replicas = %d }", c.replicas))
			members, err := p.Lower(pool, v, live, providers.Info{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range members[1:] {
				got = append(got, fmt.Sprint(m.Addr.Member.Index))
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("indexes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWavesAreSmallAndLoweringIsDeterministic(t *testing.T) {
	p := over(docker.New(), nil)
	v := mustDecode(t, p, "name = \"genetic\"\nimage = \"i\"\nnetwork = \"n\"\nhead {}\nworker_group \"a\" { replicas = 5 }\nworker_group \"b\" { replicas = 500 }")
	for _, c := range []struct{ cpus, wave int }{{0, waveBlind}, {2, 2 * wavePerCPU}} {
		var last []providers.Member
		for range 3 {
			members, err := p.Lower(pool, v, nil, providers.Info{CPUs: c.cpus})
			if err != nil {
				t.Fatal(err)
			}
			if last != nil {
				if diff := cmp.Diff(show(last, noWord), show(members, noWord)); diff != "" {
					t.Errorf("lowered again (-first +second):\n%s", diff)
				}
			}
			last = members
		}
		ready := map[schema.Addr]int{last[0].Addr: 0} // the wave of each member
		sizes := map[int]int{}
		for _, m := range last[1:] {
			if len(m.Needs) == 0 || len(m.Needs) > c.wave {
				t.Fatalf("%s needs %d members, want 1 to %d", m.Addr, len(m.Needs), c.wave)
			}
			wave, ok := ready[m.Needs[0]]
			if !ok {
				t.Fatalf("%s needs %s, which does not come before it", m.Addr, m.Needs[0])
			}
			ready[m.Addr] = wave + 1
			sizes[wave+1]++
		}
		for wave, n := range sizes {
			if n > c.wave {
				t.Errorf("with %d cores %d workers start in wave %d, want %d at most", c.cpus, n, wave, c.wave)
			}
		}
	}
}

func TestMistakesInACluster(t *testing.T) {
	p := over(docker.New(), nil)
	base := map[string]string{"name": `name = "genetic"`, "image": `image = "i"`, "network": `network = "n"`, "head": "head {}"}
	for name, c := range map[string]struct {
		with map[string]string
		more string
		want string
	}{
		"a variable that gapool sets":    {more: `env = { RAY_ADDRESS = "x" }`, want: "RAY_ADDRESS is set by gapool"},
		"one of a group":                 {more: `worker_group "cpu" { env = { RAY_AUTH_TOKEN = "x" } }`, want: `worker_group "cpu": env: RAY_AUTH_TOKEN is set by gapool`},
		"a flag that gapool sets":        {more: `worker_group "cpu" { params = { num-cpus = "3" } }`, want: "set num_cpus of the head or worker_group"},
		"a join address of the client":   {more: `worker_group "cpu" { params = { address = "genetic-head:10001" } }`, want: "use genetic-head:6379"},
		"a group called head":            {more: `worker_group "head" {}`, want: "choose another name"},
		"a group's name with a blank":    {more: `worker_group "my group" {}`, want: "becomes part of containers' names"},
		"too little memory":              {more: `worker_group "cpu" { memory = 512 }`, want: "too little for a Ray node"},
		"too little memory for the head": {with: map[string]string{"head": "head {\n memory = 512\n}"}, want: "head: memory of 512 MiB is too little"},
		"a label with a comma":           {more: `labels = { zone = "a,b" }`, want: "ray start cannot take"},
		"an open dashboard without a token": {
			with: map[string]string{"head": "head {\n dashboard_port = 8265\n dashboard_ip = \"0.0.0.0\"\n}"},
			more: `auth = false`, want: "dashboard_ip at 127.0.0.1",
		},
		"half a worker":                     {more: `worker_group "cpu" { replicas = 1.5 }`, want: "whole number"},
		"a duration that is none":           {more: `drain_timeout = "soon"`, want: "not a positive duration"},
		"no head":                           {with: map[string]string{"head": ""}, want: "head"},
		"a name that cannot be an engine's": {with: map[string]string{"name": `name = "a b"`}, want: "becomes part of containers' names"},
	} {
		t.Run(name, func(t *testing.T) {
			body := c.more
			for _, part := range []string{"name", "image", "network", "head"} {
				text, ok := c.with[part]
				if !ok {
					text = base[part]
				}
				body += "\n" + text
			}
			_, diags := decode(t, p, body)
			if !diags.HasErrors() || !strings.Contains(diags.Error(), c.want) {
				t.Errorf("diagnostics %v, want one with %q", diags, c.want)
			}
		})
	}
}

func TestWhoReachesTheDashboard(t *testing.T) {
	p := over(docker.New(), nil)
	for name, c := range map[string]struct {
		body string
		want string // in the remark; empty for none
	}{
		"nobody":             {`head { dashboard_ip = "0.0.0.0" }`, ""},
		"this machine":       {`head { dashboard_port = 8265 }`, ""},
		"without a token":    {"auth = false\nhead { dashboard_port = 8265 }", ""},
		"by IPv6":            {"auth = false\nhead {\n dashboard_port = 8265\n dashboard_ip = \"::1\"\n}", ""},
		"the network":        {"head {\n dashboard_port = 8265\n dashboard_ip = \"0.0.0.0\"\n}", `on port 8265 to the network (0.0.0.0)`},
		"a network":          {"head {\n dashboard_port = 8265\n dashboard_ip = \"10.0.0.5\"\n}", `dashboard_ip = "127.0.0.1"`},
		"on an unknown port": {"head {\n dashboard_port = unknown_number\n dashboard_ip = \"::\"\n}", "on a port to"},
	} {
		t.Run(name, func(t *testing.T) {
			v := mustDecode(t, p, "name = \"genetic\"\nimage = \"i\"\nnetwork = \"n\"\n"+c.body)
			remarks := p.cluster.Remarks(v)
			if (c.want == "") != (len(remarks) == 0) || !strings.Contains(strings.Join(remarks, "\n"), c.want) {
				t.Errorf("remarks %q, want one with %q", remarks, c.want)
			}
			// The head's container has the port, but no attribute called ip.
			members, err := p.Lower(pool, v, nil, providers.Info{})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range members {
				if got := m.Type.Remarks(m.Want); len(got) > 0 {
					t.Errorf("%s remarks %q", m.Addr, got)
				}
			}
		})
	}
}

func TestAContainerThatJoinsTheClientPort(t *testing.T) {
	const base = "name = \"hand-made\"\nimage = \"ray\"\n"
	read := func(body string) hcl.Diagnostics {
		file, diags := hclsyntax.ParseConfig([]byte(base+body), "x.hcl", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		// The table that the command decodes with.
		i := slices.IndexFunc(Over(docker.New()).Types(), func(t *schema.Type) bool { return t.Name == containerType })
		_, diags = Over(docker.New()).Types()[i].Decode(file.Body, nil)
		return diags
	}
	for body, line := range map[string]int{
		`command = ["ray", "start", "--address=head:10001"]`:                                        3,
		"entrypoint = [\"ray\", \"start\"]\ncommand = [\"--block\", \"--address\", \"head:10001\"]": 4,
		`entrypoint = ["sh", "-c", "exec ray start --address=ray://head:10001"]`:                    3,
	} {
		diags := read(body)
		if !diags.HasErrors() || !strings.Contains(diags.Error(), "6379") || diags[0].Subject.Start.Line != line {
			t.Errorf("%s: diagnostics %v, want one in line %d that names 6379", body, diags, line)
		}
	}
	if diags := read(`command = ["ray", "start", "--address=head:6379"]`); diags.HasErrors() {
		t.Errorf("the right port: %v", diags)
	}
}

func TestTheTypesOfTheProvider(t *testing.T) {
	p := over(docker.New(), nil)
	var names []string
	for _, ty := range p.Types() {
		names = append(names, ty.Name)
		for _, again := range p.Types() {
			if again.Name == ty.Name && again != ty {
				t.Errorf("%s is another table at each call", ty.Name)
			}
		}
	}
	if diff := cmp.Diff([]string{"docker_container", "docker_image", "docker_network", "docker_volume", "ray_cluster"}, names); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	var undocumented func(where string, attrs []schema.Attr)
	undocumented = func(where string, attrs []schema.Attr) {
		for _, a := range attrs {
			if slices.Contains(containerRows, a.Name) {
				continue // the container's own
			}
			if a.Doc == "" {
				t.Errorf("%s.%s has no documentation", where, a.Name)
			}
			if a.Change != schema.None {
				t.Errorf("%s.%s leads to a change of the cluster itself", where, a.Name)
			}
			if a.Block != nil {
				undocumented(where+"."+a.Name, a.Block.Attrs)
			}
		}
	}
	undocumented(ClusterType, p.cluster.Attrs)
}
