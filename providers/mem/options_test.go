package mem_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/mem"
	"github.com/gapool/gapool/schema"
)

func TestDockerUses(t *testing.T) {
	container := cty.ObjectVal(map[string]cty.Value{
		"image":             cty.StringVal("app:1"),
		"networks_advanced": set(blocks("name", "lan")),
		"mounts": cty.ListVal([]cty.Value{
			cty.ObjectVal(map[string]cty.Value{"type": cty.StringVal("volume"), "source": cty.StringVal("data")}),
			cty.ObjectVal(map[string]cty.Value{"type": cty.StringVal("bind"), "source": cty.StringVal("/srv")}),
			cty.ObjectVal(map[string]cty.Value{"type": cty.StringVal("volume"), "source": cty.NullVal(cty.String)}),
		}),
		"volumes": cty.SetVal([]cty.Value{
			cty.ObjectVal(map[string]cty.Value{"volume_name": cty.StringVal("cache")}),
			cty.ObjectVal(map[string]cty.Value{"volume_name": cty.NullVal(cty.String)}),
		}),
	})
	want := []providers.Ref{
		{Kind: "docker_image", Name: "app:1"},
		{Kind: "docker_network", Name: "lan"},
		{Kind: "docker_volume", Name: "data"},
		{Kind: "docker_volume", Name: "cache"},
	}
	if diff := cmp.Diff(want, mem.DockerUses("docker_container", container)); diff != "" {
		t.Error(diff)
	}
	if got := mem.DockerUses("docker_volume", cty.EmptyObjectVal); got != nil {
		t.Errorf("a volume uses %v", got)
	}
}

func TestAVolumeThatIsMountedComesIntoBeing(t *testing.T) {
	w := newWorld()
	c := connect(t, w)
	c.mustCreate("test_image", "app:1", nil)
	c.mustCreate("test_box", "web", map[string]cty.Value{"image": cty.StringVal("app:1"), "mount": blocks("volume", "data")})
	o, ok := c.refresh().Named("test_volume", "data")
	if !ok || o.Owner.Stack != "" {
		t.Errorf("want a volume of nobody's, got %v", o)
	}
	_, err := c.create("test_box", "lost", map[string]cty.Value{"image": cty.StringVal("app:2")})
	if err == nil || !providers.HadNoEffect(err) {
		t.Errorf("an image that is not there: %v", err)
	}
}

func TestDefaultsLieUnderWhatIsConfigured(t *testing.T) {
	w := newWorld(mem.Defaults(func(kind string, _ cty.Value) map[string]cty.Value {
		if kind != "test_box" {
			return nil
		}
		return map[string]cty.Value{
			"env":     cty.MapVal(map[string]cty.Value{"PATH": cty.StringVal("/bin")}),
			"restart": cty.StringVal("no"),
		}
	}))
	c := connect(t, w)
	c.mustCreate("test_image", "app:1", nil)
	attrs := map[string]cty.Value{"image": cty.StringVal("app:1"), "env": cty.MapVal(map[string]cty.Value{"A": cty.StringVal("1")})}
	o := c.mustCreate("test_box", "web", attrs)
	for attr, want := range map[string]cty.Value{
		"env":     cty.MapVal(map[string]cty.Value{"A": cty.StringVal("1"), "PATH": cty.StringVal("/bin")}),
		"restart": cty.StringVal("no"),
		"port":    cty.NullVal(c.table("test_box").Attr("port").Implied()),
	} {
		if got := o.Attrs.GetAttr(attr); !got.RawEquals(want) {
			t.Errorf("%s is %#v, want %#v", attr, got, want)
		}
	}
	differ := func(set map[string]cty.Value) (attrs []string) {
		for _, d := range schema.Differences(c.table("test_box"), c.want("test_box", "web", set), o.Attrs, o.Defaults) {
			attrs = append(attrs, d.Attr)
		}
		return attrs
	}
	if got := differ(attrs); got != nil {
		t.Errorf("made as wanted, and differs in %v", got)
	}
	delete(attrs, "env")
	if diff := cmp.Diff([]string{"env"}, differ(attrs)); diff != "" {
		t.Errorf("env was taken away:\n%s", diff)
	}
}

func TestPeople(t *testing.T) {
	w := newWorld()
	c := connect(t, w)
	house(c)
	w.Set("test_box", "web", "restart", cty.StringVal("no"))
	w.Break("test_box", "web", "it is unhealthy")
	w.Stop("test_box", "web")
	w.Rename("test_network", "lan", "wan")
	w.Remove("test_volume", "data")
	want := `test_box web (test_box.web in lab/default, stopped, broken since it is unhealthy)
  image = <test_image app:1>
  restart = "no"
  must_run = true
  port = [{"internal":80}]
  network = [{"name":<test_network wan>}]
  mount = [{"volume":"data"}]
test_image app:1 (not ours)
test_network wan (test_network.lan in lab/default)
`
	if diff := cmp.Diff(want, w.String()); diff != "" {
		t.Error(diff)
	}
	if o, _ := c.refresh().Named("test_box", "web"); o.Broken != "it is unhealthy" {
		t.Errorf("broken since %q", o.Broken)
	}
}

func TestClusterIsItsMembers(t *testing.T) {
	types := append(tables(), &schema.Type{Name: "test_cluster", Virtual: true, Attrs: []schema.Attr{
		{Name: "name", Type: cty.String, Required: true, Change: schema.Replace},
		{Name: "url", Type: cty.String, Computed: true},
	}})
	addr := schema.Addr{Type: "test_cluster", Name: "pool"}
	head := addr.WithMember(schema.Member{Role: schema.Head})
	lower := func(a schema.Addr, _ cty.Value, _ []*providers.Object, _ providers.Info) ([]providers.Member, error) {
		return []providers.Member{{Addr: a.WithMember(schema.Member{Role: schema.Head})}}, nil
	}
	w := mem.New("test", &schema.Type{Name: "test"}, types, mem.Cluster("test_cluster", "test_box", lower))
	c := connect(t, w)
	if got := c.eng.Resource(head).Type().Name; got != "test_box" {
		t.Errorf("the head is a %s", got)
	}
	members, err := w.Lower(addr, cty.NilVal, nil, c.eng.Info())
	if err != nil || len(members) != 1 || members[0].Addr != head {
		t.Errorf("lowered to %v, %v", members, err)
	}
	o := c.mustCreate("test_cluster", "pool", nil)
	if o.Attrs.GetAttr("url").IsNull() || o.Attrs.GetAttr("name").AsString() != "pool" {
		t.Errorf("the cluster is %#v", o.Attrs)
	}
	if w.String() != "" {
		t.Errorf("a cluster has no object of its own:\n%s", w)
	}
	if err := c.delete(o); err != nil {
		t.Error(err)
	}
}
