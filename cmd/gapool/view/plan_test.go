package view

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"html/template"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/planfile"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// container is a table with every kind of attribute.
var container = &schema.Type{
	Name: "docker_container",
	Attrs: []schema.Attr{
		{Name: "id", Type: cty.String, Computed: true},
		{Name: "name", Type: cty.String, Required: true, Change: schema.Update},
		{Name: "image", Type: cty.String, Required: true, Change: schema.Replace},
		{Name: "command", Type: cty.List(cty.String), Change: schema.Replace},
		{Name: "env", Type: cty.Map(cty.String), Change: schema.Replace, Live: true, Merge: true},
		{Name: "labels", Type: cty.Map(cty.String), Change: schema.Replace, Merge: true},
		{Name: "memory", Type: cty.Number, Change: schema.Update, Unit: "MiB"},
		{Name: "dns", Type: cty.Set(cty.String), Change: schema.Replace},
		{Name: "init", Type: cty.Bool, Change: schema.Replace},
		{Name: "script", Type: cty.String, Change: schema.Replace},
		{Name: "password", Type: cty.String, Change: schema.Replace, Sensitive: true},
		{Name: "log_opts", Type: cty.Map(cty.String), Change: schema.Replace},
		{Name: "address", Type: cty.String, Computed: true, Volatile: true},
		{Name: "ports", Change: schema.Replace, Block: &schema.Block{Nesting: schema.List, Key: []string{"internal"}, Attrs: []schema.Attr{
			{Name: "internal", Type: cty.Number, Required: true},
			{Name: "external", Type: cty.Number, Computed: true},
			{Name: "protocol", Type: cty.String},
		}}},
		{Name: "healthcheck", Change: schema.Replace, Block: &schema.Block{Nesting: schema.Single, Attrs: []schema.Attr{
			{Name: "test", Type: cty.List(cty.String), Required: true},
			{Name: "retries", Type: cty.Number},
		}}},
		{Name: "mounts", Change: schema.Replace, Block: &schema.Block{Nesting: schema.Set, Attrs: []schema.Attr{
			{Name: "source", Type: cty.String},
			{Name: "target", Type: cty.String, Required: true},
		}}},
	},
}

var volume = &schema.Type{
	Name: "docker_volume", HoldsData: true,
	Attrs: []schema.Attr{
		{Name: "id", Type: cty.String, Computed: true},
		{Name: "name", Type: cty.String, Change: schema.Replace},
		{Name: "driver", Type: cty.String, Change: schema.Replace},
	},
}

// cluster has no object of its own.
var cluster = &schema.Type{
	Name: "ray_cluster", Virtual: true,
	Attrs: []schema.Attr{
		{Name: "id", Type: cty.String, Computed: true},
		{Name: "name", Type: cty.String, Required: true},
	},
}

// thing is a table with what the others do not have.
var thing = &schema.Type{
	Name: "docker_thing",
	Attrs: []schema.Attr{
		{Name: "config", Type: cty.String, Change: schema.Update},
		{Name: "ratio", Type: cty.Number, Change: schema.Update},
		{Name: "huge", Type: cty.Number, Change: schema.Update},
		{Name: "numbers", Type: cty.Set(cty.Number), Change: schema.Update},
		{Name: "amounts", Type: cty.Map(cty.Number), Change: schema.Update},
		{Name: "hosts", Type: cty.List(cty.Object(map[string]cty.Type{"name": cty.String, "ip": cty.String})), Change: schema.Update},
		{Name: "later", Type: cty.String, Change: schema.Update},
		{Name: "text", Type: cty.String, Change: schema.Update},
		{Name: "groups", Change: schema.Update, Block: &schema.Block{Nesting: schema.Map, Attrs: []schema.Attr{
			{Name: "replicas", Type: cty.Number},
			{Name: "tags", Type: cty.Set(cty.String)},
			{Name: "probe", Block: &schema.Block{Nesting: schema.Single, Attrs: []schema.Attr{{Name: "port", Type: cty.Number}}}},
		}}},
	},
}

// tables are all of these by their names.
func tables(name string) *schema.Type {
	for _, t := range []*schema.Type{container, volume, cluster, thing, kinds} {
		if t.Name == name {
			return t
		}
	}
	return nil
}

func str(s string) cty.Value { return cty.StringVal(s) }

func num(n int64) cty.Value { return cty.NumberIntVal(n) }

func strs(ss ...string) cty.Value {
	var vs []cty.Value
	for _, s := range ss {
		vs = append(vs, str(s))
	}
	return cty.ListVal(vs)
}

func dict(kv ...string) cty.Value {
	m := map[string]cty.Value{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = str(kv[i+1])
	}
	return cty.MapVal(m)
}

func secret(v cty.Value) cty.Value { return v.Mark(schema.SensitiveMark) }

type set = map[string]cty.Value

func unknown(ty cty.Type) cty.Value { return cty.UnknownVal(ty) }

func port(internal, external int64) cty.Value {
	return container.Attr("ports").Block.Build(set{"internal": num(internal), "external": num(external), "protocol": str("tcp")})
}

func mount(source, target string) cty.Value {
	return container.Attr("mounts").Block.Build(set{"source": str(source), "target": str(target)})
}

func addr(t *testing.T, s string) schema.Addr {
	t.Helper()
	a, err := schema.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func planned(t *testing.T, p *engine.Plan, o PlanOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := Plan(&b, p, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// web is a running container as the engine gives it back.
func web() cty.Value {
	return container.Build(set{
		"id": str("0a1b2c3d4e5f"), "name": str("web"), "image": str("sha256:aaaa"),
		"command": strs("serve", "--port", "80", "--workers", "4", "--quiet"),
		"env":     dict("LEVEL", "debug", "OLD_TOKEN", "s3cr3t", "TOKEN", "s3cr3t1", "PATH", "/usr/bin"),
		"labels":  dict("a", "1", "b", "2", "from.image", "x"),
		"memory":  num(512), "dns": cty.SetVal([]cty.Value{str("1.1.1.1"), str("9.9.9.9")}),
		"script": str("one\ntwo\nthree\nfour\nfive\nsix\n"), "password": secret(str("hunter2")),
		"log_opts": dict("max-size", "10m"), "address": str("172.18.0.2"),
		"ports":  cty.ListVal([]cty.Value{port(80, 8080), port(443, 8443)}),
		"mounts": cty.SetVal([]cty.Value{mount("data", "/data"), mount("tmp", "/scratch")}),
		"healthcheck": container.Attr("healthcheck").Block.Build(set{
			"test": strs("CMD", "true"), "retries": num(3),
		}),
	})
}

func object(kind, name string) *providers.Object {
	return &providers.Object{Kind: kind, ID: "4f5e6d7c8b9a0f1e2d3c", Name: name, Started: true}
}

// diffs fills in what the planner would find different, all of it forcing a
// replacement or none.
func diffs(c *engine.Change, replace bool) *engine.Change {
	var defaults cty.Value
	if c.Object != nil {
		defaults = c.Object.Defaults
	}
	c.Differences = engine.Differences(c.Type, nil, c.After, c.Before, defaults)
	for i := range c.Differences {
		c.Differences[i].Replace = replace
		c.Differences[i].Want, _ = c.Differences[i].Want.UnmarkDeep() // as the planner finds them
	}
	return c
}

// plans has every action and every kind of value.
func plans(t *testing.T) map[string]*engine.Plan {
	t.Helper()
	create := &engine.Change{
		Addr: addr(t, "docker_container.web"), Type: container, Action: engine.Create,
		Before: cty.NullVal(container.Implied()),
		After: container.Build(set{
			"id": unknown(cty.String), "name": str("web"), "image": unknown(cty.String),
			"command": cty.ListVal([]cty.Value{str("serve"), unknown(cty.String), str("quo\"ted\x1b[31m")}),
			"env":     cty.MapVal(set{"LEVEL": str("debug"), "TOKEN": secret(str("s3cr3t")), "URL": unknown(cty.String)}),
			"labels":  unknown(cty.Map(cty.String)), "memory": num(512), "init": cty.True,
			"dns":      cty.SetValEmpty(cty.String),
			"script":   str("one\n\n  two\x1b[31m\n"),
			"password": secret(str("hunter2")), "address": unknown(cty.String),
			"log_opts": secret(dict("tag", "of-nobody-else")),
			"ports":    cty.ListVal([]cty.Value{port(80, 8080), container.Attr("ports").Block.Build(set{"internal": num(443), "external": unknown(cty.Number)})}),
			"mounts":   unknown(container.Attr("mounts").Implied()),
			"healthcheck": container.Attr("healthcheck").Block.Build(set{
				"test": strs("CMD", "true"),
			}),
		}),
	}
	after := schema.With(web(), set{
		"id": unknown(cty.String), "image": str("sha256:bbbb"),
		"command": strs("serve", "--port", "81", "--workers", "4", "--quiet", "--new"),
		"env":     cty.MapVal(set{"LEVEL": str("info"), "NEW": str("x"), "TOKEN": secret(str("s3cr3t2"))}),
		"labels":  dict("a", "1", "b", "3", "c", "4"),
		"dns":     cty.SetVal([]cty.Value{str("8.8.8.8"), str("9.9.9.9")}),
		"init":    cty.True, "memory": cty.NullVal(cty.Number),
		"script":      str("one\ntwo\nthree\nfour\nfive!\nsix\n"),
		"password":    secret(str("hunter3")),
		"address":     unknown(cty.String),
		"ports":       cty.ListVal([]cty.Value{port(80, 8081), port(22, 2222)}),
		"mounts":      cty.SetVal([]cty.Value{mount("data", "/data"), mount("new", "/scratch")}),
		"log_opts":    unknown(cty.Map(cty.String)),
		"healthcheck": container.Attr("healthcheck").Block.Build(set{"test": strs("CMD", "false")}),
	})
	running := object("docker_container", "web")
	running.Defaults = container.Build(set{
		"env": dict("PATH", "/usr/bin"), "labels": dict("from.image", "x"), "memory": num(0),
		"healthcheck": container.Attr("healthcheck").Block.Build(set{"retries": num(5)}),
	})
	replace := diffs(&engine.Change{
		Addr: addr(t, "docker_container.web"), Type: container, Action: engine.Replace,
		Before: web(), After: after, Object: running,
	}, true)
	updated := diffs(&engine.Change{
		Addr: addr(t, `docker_container.web["a\"b"]`), Type: container, Action: engine.Update,
		Before: web(), After: schema.With(web(), set{"memory": num(1024), "name": str("www")}),
		Object: object("docker_container", "web"), Adopted: true,
	}, false)
	onlyIf := diffs(&engine.Change{
		Addr: addr(t, "docker_container.web[0]"), Type: container, Action: engine.ReplaceFirst,
		OnlyIf: []string{"docker_image.app.image_id"},
		Before: web(), After: schema.With(web(), set{"id": unknown(cty.String), "image": unknown(cty.String)}),
		Object: object("docker_container", "web"),
	}, true)
	gone := &engine.Change{
		Addr: addr(t, "docker_container.old"), Type: container, Action: engine.Delete,
		Reason: "is not in the configuration",
		Before: web(), After: cty.NullVal(container.Implied()),
		Object: object("docker_container", "web"),
	}
	gone.Object.Defaults = container.Build(set{
		"env": dict("PATH", "/usr/bin"), "labels": dict("from.image", "x"), "memory": num(512),
	})
	data := cty.ObjectVal(set{"id": str("data"), "name": str("genetic-data"), "driver": str("local")})
	lost := diffs(&engine.Change{
		Addr: addr(t, "docker_volume.data"), Type: volume, Action: engine.Replace,
		Before: data, After: schema.With(data, set{"driver": str("nfs"), "id": unknown(cty.String)}),
		Object: object("docker_volume", "genetic-data"),
	}, true)
	noop := func(a string) *engine.Change {
		return &engine.Change{Addr: addr(t, a), Type: container, Action: engine.NoOp, Before: web(), After: web(), Object: object("docker_container", "web")}
	}
	adopted := noop("docker_container.found")
	adopted.Adopted = true
	forget := &engine.Change{
		Addr: addr(t, "docker_volume.kept"), Type: volume, Action: engine.Forget,
		Reason: "is not in the configuration, and volumes are kept", Object: object("docker_volume", "kept"),
		Before: data, After: cty.NullVal(volume.Implied()),
	}
	orphan := &engine.Change{
		Addr: addr(t, "docker_volume.orphan"), Type: volume, Action: engine.Delete, Orphan: true,
		Before: data, After: cty.NullVal(volume.Implied()), Object: object("docker_volume", "genetic-data"),
	}
	member := func(a, name string) *engine.Change {
		return &engine.Change{
			Addr: addr(t, a), Type: container, Action: engine.Create,
			Before: cty.NullVal(container.Implied()),
			After: container.Build(set{
				"id": unknown(cty.String), "name": str(name), "image": unknown(cty.String),
				"command": strs("ray", "start", "--block"), "memory": num(1536), "address": unknown(cty.String),
				"healthcheck": container.Attr("healthcheck").Block.Build(set{"test": strs("CMD", "true")}),
			}),
		}
	}
	extra := noop("docker_container.web")
	moved := noop("docker_container.web")
	moved.Prev = addr(t, "docker_container.www")
	movedOn := diffs(&engine.Change{
		Addr: addr(t, "docker_container.api[0]"), Type: container, Action: engine.Update, Prev: addr(t, "docker_container.api"),
		Before: web(), After: schema.With(web(), set{"memory": num(1024)}), Object: object("docker_container", "api"),
	}, false)
	unfit := diffs(&engine.Change{
		Addr: addr(t, "docker_container.web"), Type: container, Action: engine.Replace, Reason: "is unhealthy: its health check fails", Cause: engine.Unfit,
		Before: web(), After: schema.With(web(), set{"id": unknown(cty.String), "address": unknown(cty.String)}), Object: object("docker_container", "web"),
	}, false)
	leaves := &engine.Change{
		Addr: addr(t, `ray_cluster.pool.worker["cpu"][1]`), Type: container, Action: engine.Delete, Reason: "is not wanted by the cluster any more", Cause: engine.NoSuchIndex,
		Before: web(), After: cty.NullVal(container.Implied()), Object: object("docker_container", "pool-cpu-1"),
	}
	rolls := diffs(&engine.Change{
		Addr: addr(t, `ray_cluster.pool.worker["cpu"][0]`), Type: container, Action: engine.Replace, Cause: engine.CannotUpdate,
		Before: web(), After: schema.With(web(), set{"id": unknown(cty.String), "image": str("sha256:bbbb")}), Object: object("docker_container", "pool-cpu-0"),
	}, true)
	pool := set{"id": str("pool"), "name": str("pool")}
	whole := &engine.Change{
		Addr: addr(t, "ray_cluster.pool"), Type: cluster, Action: engine.Update, Reason: "has members that change",
		Before: cluster.Build(pool), After: cluster.Build(pool),
	}
	made := &engine.Change{
		Addr: addr(t, "docker_container.new"), Type: container, Action: engine.Create, Before: cty.NullVal(container.Implied()),
		After: container.Build(set{"id": unknown(cty.String), "name": str("new"), "image": str("sha256:aaaa")}),
	}
	steps := []*engine.Step{
		{Verb: engine.DoCreate, Addr: made.Addr, Change: made, Name: "new"},
		{Verb: engine.DoDelete, Addr: gone.Addr, Change: gone, Target: gone.Object, Name: "web"},
		{Verb: engine.DoDelete, Addr: orphan.Addr, Change: orphan, Target: orphan.Object, Name: "genetic-data"},
	}
	head := member("ray_cluster.pool.head", "pool-head")
	head.Reason = "was lost"

	all := map[string]*engine.Plan{
		"create":    {Changes: []*engine.Change{create}},
		"replace":   {Changes: []*engine.Change{replace}},
		"update":    {Changes: []*engine.Change{updated, noop("docker_container.x")}},
		"only-if":   {Changes: []*engine.Change{onlyIf}},
		"delete":    {Changes: []*engine.Change{gone}},
		"data-loss": {Changes: []*engine.Change{lost}, DataLoss: []schema.Addr{lost.Addr}},
		"data-loss-approved": {Changes: []*engine.Change{lost}, DataLoss: []schema.Addr{lost.Addr},
			Approved: map[schema.Addr]bool{lost.Addr: true}},
		"cluster": {Changes: []*engine.Change{
			head, member(`ray_cluster.pool.worker["cpu"][0]`, "pool-cpu-0"),
			member(`ray_cluster.pool.worker["cpu"][1]`, "pool-cpu-1"),
		}},
		"adopted": {
			Changes: []*engine.Change{adopted},
			Notes:   []string{"there was no state; it was rebuilt from the labels"},
			Kept:    []*providers.Object{object("docker_volume", "old-data")},
		},
		"mixed": {
			Changes: []*engine.Change{adopted, extra, forget, orphan},
			Steps: []*engine.Step{{
				Verb: engine.DoDelete, Addr: extra.Addr, Change: extra, Extra: true,
				Target: object("docker_container", "web~1234"),
			}},
			Kept:     []*providers.Object{object("docker_volume", "old-data")},
			Notes:    []string{"port 8080 of docker_container.web is open to the network (0.0.0.0)"},
			Targeted: true,
		},
		"drift": {
			Mode: engine.RefreshOnly,
			Drift: []engine.Drift{
				{Addr: addr(t, "docker_container.gone"), Type: container, What: "was removed outside of gapool"},
				{Addr: addr(t, "docker_container.web"), Type: container, What: "was changed outside of gapool", Differences: []schema.Difference{
					{Attr: "memory", Want: num(512), Live: num(1024)},
					{Attr: "labels", Path: cty.GetAttrPath("labels").IndexString("b"), Want: str("1"), Live: str("2")},
				}},
			},
		},
		"outputs": {Outputs: []engine.OutputChange{
			{Name: "gone", Action: engine.Delete, Before: str("x"), After: cty.NullVal(cty.String)},
			{Name: "hidden", Action: engine.Update, Sensitive: true, Before: cty.NullVal(cty.DynamicPseudoType), After: secret(str("hunter2"))},
			{Name: "list", Action: engine.Update, Before: strs("a", "b"), After: strs("a", "c")},
			{Name: "object", Action: engine.Create, Before: cty.NullVal(cty.DynamicPseudoType), After: cty.ObjectVal(set{"a b": num(1), "c": cty.NullVal(cty.String), "d": cty.EmptyTupleVal})},
			{Name: "same", Action: engine.NoOp, Before: str("x"), After: str("x")},
			{Name: "url", Action: engine.Create, Before: cty.NullVal(cty.DynamicPseudoType), After: unknown(cty.DynamicPseudoType)},
		}},
		"moved":  {Changes: []*engine.Change{movedOn, moved}},
		"broken": {Changes: []*engine.Change{unfit}},
		"shrink": {Changes: []*engine.Change{whole, rolls, leaves}},
		"values": {Changes: []*engine.Change{things()}},
		"rollback": {
			Changes: []*engine.Change{made, gone, orphan}, Steps: steps, OnFailure: engine.Rollback,
			Undo: []*engine.Step{
				{Verb: engine.DoKeep, Addr: orphan.Addr, Change: orphan, Undoes: steps[2], Why: "its data is gone"},
				{Verb: engine.DoCreate, Addr: gone.Addr, Change: gone, Undoes: steps[1], Name: "web"},
				{Verb: engine.DoDelete, Addr: made.Addr, Change: made, Undoes: steps[0], Name: "new"},
			},
		},
		"empty":         {Changes: []*engine.Change{noop("docker_container.web")}},
		"empty-destroy": {Mode: engine.Destroy},
	}
	maps.Copy(all, kindPlans(t))
	return all
}

// things is a change of the kinds of values that a container does not have.
func things() *engine.Change {
	host := func(name, ip string) cty.Value { return cty.ObjectVal(set{"name": str(name), "ip": str(ip)}) }
	group := func(replicas int64, tags ...string) cty.Value {
		v := set{"replicas": num(replicas), "probe": thing.Attr("groups").Block.Attrs[2].Block.Build(set{"port": num(80)})}
		if tags != nil {
			v["tags"] = cty.SetVal(strs(tags...).AsValueSlice())
		}
		return thing.Attr("groups").Block.Build(v)
	}
	const big = "1208925819614629174706175" // more than a float64 holds
	return diffs(&engine.Change{
		Addr: schema.Addr{Type: thing.Name, Name: "all"}, Type: thing, Action: engine.Update, Object: object(thing.Name, "all"),
		Before: thing.Build(set{
			"config": str(`{"level":"info","workers":[1,2,3],"nested":{"a":1,"b":null}}`),
			"ratio":  cty.NumberFloatVal(0.1), "huge": cty.MustParseNumberVal(big),
			"numbers": cty.SetVal([]cty.Value{num(1), num(2)}), "amounts": cty.MapVal(set{"gpu": num(1), "a b": num(2)}),
			"hosts": cty.ListVal([]cty.Value{host("a", "10.0.0.1"), host("b", "10.0.0.2")}),
			"later": secret(str("hunter2")), "text": str("one line"),
			"groups": cty.MapVal(set{"cpu": group(2, "x", "y"), "gone": group(1)}),
		}),
		After: thing.Build(set{
			"config": str(`{"level":"debug","workers":[1,3],"nested":{"a":1,"b":null}}`),
			"ratio":  cty.NumberFloatVal(1.5), "huge": cty.MustParseNumberVal(big + "0"),
			"numbers": cty.SetVal([]cty.Value{num(2), num(3)}), "amounts": cty.MapVal(set{"gpu": num(2), "a b": unknown(cty.Number)}),
			"hosts": cty.ListVal([]cty.Value{host("a", "10.0.0.1"), host("b", "10.0.0.9")}),
			"later": secret(unknown(cty.String)), "text": str("now\nit\nhas three"),
			"groups": cty.MapVal(set{"cpu": group(3, "y", "z"), "new": group(1)}),
		}),
	}, false)
}

func TestPlan(t *testing.T) {
	for name, p := range plans(t) {
		t.Run(name, func(t *testing.T) {
			file := kept(t, p)
			again, err := file.Plan(tables)
			if err != nil {
				t.Fatal(err)
			}
			for view, o := range map[string]PlanOptions{
				"plan": {}, "concise": {Detail: Concise}, "full": {Detail: Full},
			} {
				got := planned(t, p, o)
				golden(t, view+"-"+name, got)
				if diff := cmp.Diff(got, planned(t, again, o)); diff != "" {
					t.Errorf("read from a file, the %s says otherwise (-made +read):\n%s", view, diff)
				}
				for _, s := range []string{"s3cr3t", "hunter", "\x1b"} {
					if strings.Contains(got, s) && !(view == "full" && inClear(p, s)) {
						t.Errorf("the %s shows %q", view, s)
					}
				}
				if view == "full" && strings.Contains(got, " hidden)") {
					t.Errorf("the %s hides something:\n%s", view, got)
				}
			}
		})
	}
}

// inClear reports whether the configuration itself shows a text in an env.
func inClear(p *engine.Plan, text string) bool {
	return slices.ContainsFunc(p.Changes, func(c *engine.Change) bool {
		env := attr(c.After, "env")
		return env != cty.NilVal && !env.IsNull() && slices.ContainsFunc(env.AsValueSlice(), func(v cty.Value) bool {
			return !v.IsMarked() && strings.Contains(v.AsString(), text)
		})
	})
}

// secrets are the strings that a plan marks, anywhere.
func secrets(p *engine.Plan) []string {
	list := []string{"hunter"}
	for _, c := range p.Changes {
		list = append(list, schema.Secrets(c.Before)...)
		list = append(list, schema.Secrets(c.After)...)
	}
	return list
}

// kept is a plan as it is read from its file, in which there is no secret.
func kept(t *testing.T, p *engine.Plan) *planfile.File {
	t.Helper()
	file, err := planfile.New(p, planfile.Origin{
		Options: planfile.Options{AllowDataLoss: slices.Collect(maps.Keys(p.Approved)), OnFailure: p.OnFailure},
		Loaded:  &state.Loaded{State: state.New("genetic", "default")},
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := file.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range secrets(p) {
		if bytes.Contains(data, []byte(s)) {
			t.Errorf("the file has %q in it:\n%s", s, data)
		}
	}
	file, err = planfile.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := file.Bytes()
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("read and written again, it is another file (%v):\n%s\n%s", err, data, again)
	}
	return file
}

// Where an env had a secret when it was applied last, all that it had may be one;
// what the configuration has in clear is shown beside it.
func TestNewValuesAreShownBesideSecretOnes(t *testing.T) {
	c := diffs(&engine.Change{
		Addr: addr(t, "docker_container.web"), Type: container, Action: engine.Replace, Object: object("docker_container", "web"),
		Before: web(), After: schema.With(web(), set{
			"env":    cty.MapVal(set{"LEVEL": str("info"), "OLD_TOKEN": str("one\ntwo"), "TOKEN": secret(str("hunter3")), "PATH": str("/usr/bin")}),
			"script": str("new"),
		}),
	}, true)
	for i := range c.Differences {
		c.Differences[i].Live = c.Differences[i].Live.Mark(schema.SensitiveMark)
	}
	c.Before = schema.With(c.Before, set{"env": secret(c.Before.GetAttr("env")), "script": secret(c.Before.GetAttr("script"))})
	got := planned(t, &engine.Plan{Changes: []*engine.Change{c}}, PlanOptions{})
	const want = `
      ~ env    = { # forces replacement
          ~ "LEVEL"     = (sensitive value) -> "info"
          ~ "OLD_TOKEN" = (sensitive value) -> <<-EOT
              + one
              + two
            EOT
          ~ "TOKEN"     = (sensitive value)
            # (1 unchanged element hidden)
        }
`
	if !strings.Contains(got, want) {
		t.Errorf("it does not show%s\nbut\n%s", want, got)
	}
	if line := `~ script = (sensitive value) -> "new" # forces replacement`; !strings.Contains(got, line) {
		t.Errorf("it does not show %q:\n%s", line, got)
	}
	for _, s := range []string{"s3cr3t", "hunter", "debug", "six"} {
		if strings.Contains(got, s) {
			t.Errorf("it shows %q", s)
		}
	}
}

func TestPlanInColour(t *testing.T) {
	p := &engine.Plan{Changes: []*engine.Change{{
		Addr: addr(t, "docker_volume.data"), Type: volume, Action: engine.Create,
		Before: cty.NullVal(volume.Implied()), After: volume.Build(set{"name": str("data")}),
	}}}
	got := planned(t, p, PlanOptions{Style: NewStyle(true)})
	if want := "\x1b[32m+\x1b[0m resource \"docker_volume\" \"data\" {"; !strings.Contains(got, want) {
		t.Errorf("no green sign %q in\n%s", want, got)
	}
	if plain := Printable(strings.ReplaceAll(got, "\n", "\t")); plain != strings.ReplaceAll(planned(t, p, PlanOptions{}), "\n", "\t") {
		t.Errorf("colours change more than colours:\n%s", got)
	}
}

// The lines that programs find in Terraform's text, as they match them: to the
// end of the line.
var (
	readAsCreated   = regexp.MustCompile(`(?m)^ *# (.*) will be created$`)
	readAsUpdated   = regexp.MustCompile(`(?m)^ *# (.*) will be updated in-place$`)
	readAsDestroyed = regexp.MustCompile(`(?m)^ *# (.*) will be destroyed$`)
	readAsReplaced  = regexp.MustCompile(`(?m)^ *# (.*?)(?: is tainted, so)? must be replaced$`)
	readAsSums      = regexp.MustCompile(`(?m)^Plan: (\d+) to add, (\d+) to change, (\d+) to destroy.`)
)

func TestPlanAsProgramsReadIt(t *testing.T) {
	for name, p := range plans(t) {
		text := planned(t, p, PlanOptions{})
		read := map[string]bool{}
		for word, line := range map[string]*regexp.Regexp{"created": readAsCreated, "updated": readAsUpdated, "destroyed": readAsDestroyed, "replaced": readAsReplaced} {
			for _, m := range line.FindAllStringSubmatch(text, -1) {
				read[m[1]+" "+word] = true
			}
		}
		for _, c := range p.Changes {
			word := map[engine.Action]string{
				engine.Create: "created", engine.Update: "updated", engine.Delete: "destroyed", engine.Replace: "replaced", engine.ReplaceFirst: "replaced",
			}[c.Action]
			if word != "" && !read[c.Addr.String()+" "+word] {
				t.Errorf("%s: no program reads that %s is %s:\n%s", name, c.Addr, word, text)
			}
		}
		want := []string(nil)
		if n := p.Summary(); n != (engine.Summary{}) {
			want = []string{strconv.Itoa(n.Add), strconv.Itoa(n.Change), strconv.Itoa(n.Destroy)}
		}
		var got []string
		if m := readAsSums.FindStringSubmatch(text); m != nil {
			got = m[1:]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the sums are read as %v, not %v:\n%s", name, got, want, text)
		}
	}
}

// With GAPOOL_COMPAT=terraform the text has the lines that name Terraform, whole,
// and is the same otherwise.
func TestPlanInTerraformsWords(t *testing.T) {
	p := plans(t)
	p["orphan"] = &engine.Plan{Changes: []*engine.Change{{
		Addr: addr(t, "docker_volume.orphan"), Type: volume, Action: engine.Delete, Orphan: true,
		Before: volume.Build(set{"name": str("orphan")}), After: cty.NullVal(volume.Implied()), Object: object("docker_volume", "orphan"),
	}}}
	p["undone"] = &engine.Plan{
		Changes: p["update"].Changes,
		Drift:   []engine.Drift{{Addr: addr(t, "docker_container.web"), Type: container, What: "was stopped outside of gapool"}},
	}
	actions := []string{
		"Terraform used the selected providers to generate the following execution",
		"plan. Resource actions are indicated with the following symbols:",
		"Terraform will perform the following actions:",
	}
	for name, lines := range map[string][]string{
		"mixed":  append(slices.Clone(actions), "  # docker_volume.kept will no longer be managed by Terraform, but will not be destroyed"),
		"orphan": actions,
		// What reads the first of these looks for the second, and does not come to
		// its end without it.
		"undone": append(slices.Clone(actions), "Note: Objects have changed outside of Terraform",
			"Unless you have made equivalent changes to your configuration, or ignored the"),
		"empty": {"No changes. Your infrastructure matches the configuration."},
	} {
		usual := planned(t, p[name], PlanOptions{})
		text := planned(t, p[name], PlanOptions{Terraform: true})
		for _, l := range lines {
			if !slices.Contains(strings.Split(text, "\n"), l) {
				t.Errorf("%s has no line %q:\n%s", name, l, text)
			}
		}
		if strings.Contains(usual, "Terraform") || strings.Contains(usual, "Your infrastructure") {
			t.Errorf("%s names Terraform unasked:\n%s", name, usual)
		}
	}
	// What only records undoes nothing.
	if text := planned(t, p["drift"], PlanOptions{Terraform: true}); strings.Contains(text, "Unless you have made") {
		t.Errorf("a plan that only records speaks of what it undoes:\n%s", text)
	}
}

// A state that has to be written first does not say what runs yet.
func TestPlanThatRecordsWhatItFound(t *testing.T) {
	p := plans(t)["adopted"]
	p.Mode = engine.RefreshOnly
	text := planned(t, p, PlanOptions{})
	if !strings.HasPrefix(text, "No changes. No object is touched.\n\nFound by their labels") {
		t.Errorf("it says otherwise:\n%s", text)
	}
}

// In each view each of a thousand changes is there; what the views say of one is
// in the other golden files.
func TestAThousandChangesInEachView(t *testing.T) {
	p := thousand(t, 1000)
	var stream bytes.Buffer
	c := &clock{time.Unix(0, 0)}
	if err := NewStream(&stream, "1.2.3", c.now).Plan(p); err != nil {
		t.Fatal(err)
	}
	doc, raw := document(t, p)
	hold(t, p, doc, raw)
	sums := ""
	quoted := func(name string) string { return strings.Trim(strconv.Quote(name), `"`) }
	for _, v := range []struct {
		name, text, before, after string // of an address
		write                     func(string) string
	}{
		{"plan", planned(t, p, PlanOptions{}), "\n  # ", " ", strings.Clone},
		{"concise", planned(t, p, PlanOptions{Detail: Concise}), "docker_", "\n", func(name string) string { return strings.TrimPrefix(name, "docker_") }},
		{"full", planned(t, p, PlanOptions{Detail: Full}), "\n  # ", " ", strings.Clone},
		{"json", string(raw), `"address":"`, `",`, quoted},
		{"stream", stream.String(), `"addr":"`, `",`, quoted},
		{"html", printed(t, review(t, p).HTML), "<code>", "</code>", template.HTMLEscapeString},
	} {
		named := map[string]bool{}
		for _, part := range strings.Split(v.text, v.before)[1:] {
			name, _, _ := strings.Cut(part, v.after)
			named[name] = true
			named[strings.SplitN(name, ":", 2)[0]] = true // with the reason behind it
		}
		for _, c := range p.Changes {
			if !named[v.write(c.Addr.String())] {
				t.Errorf("the %s does not name %s", v.name, c.Addr)
			}
		}
		sums += fmt.Sprintf("%-8s %8d bytes %6d lines sha256:%x\n", v.name, len(v.text), strings.Count(v.text, "\n"), sha256.Sum256([]byte(v.text)))
	}
	golden(t, "thousand", sums)
}
