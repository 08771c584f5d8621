//go:build engine

package ray_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/docker"
	"github.com/gapool/gapool/providers/ray"
	"github.com/gapool/gapool/schema"
)

// rig is a cluster on a real engine.
type rig struct {
	t      *testing.T
	p      providers.Provider
	engine providers.Engine
	addr   schema.Addr
	owner  providers.Owner
	want   cty.Value
	scope  providers.Scope
}

// steps creates members as an apply would: each when what it needs is ready.
func (r *rig) steps(members []providers.Member) map[schema.Addr]*providers.Object {
	r.t.Helper()
	done := map[schema.Addr]chan struct{}{}
	for _, m := range members {
		done[m.Addr] = make(chan struct{})
	}
	var mu sync.Mutex
	var failed bool
	made := map[schema.Addr]*providers.Object{}
	var wg sync.WaitGroup
	for _, m := range members {
		wg.Go(func() {
			defer close(done[m.Addr])
			for _, need := range m.Needs {
				if c := done[need]; c != nil {
					<-c
				}
			}
			obj, err := r.create(m)
			mu.Lock()
			defer mu.Unlock()
			made[m.Addr] = obj
			if err != nil {
				failed = true
				r.t.Errorf("%s: %v", m.Addr, err)
				return
			}
			for _, d := range schema.Differences(m.Type, m.Want, obj.Attrs, obj.Defaults) {
				r.t.Errorf("%s: %s is %#v, want %#v", m.Addr, d.Attr, d.Live, d.Want)
			}
		})
	}
	wg.Wait()
	if failed {
		r.t.FailNow()
	}
	return made
}

func (r *rig) request(addr schema.Addr) *providers.Request {
	owner := r.owner
	owner.Address = addr.String()
	owner.UID = fmt.Sprintf("%s-%d", addr, time.Now().UnixNano())
	began := time.Now()
	return &providers.Request{
		Addr: addr, Owner: owner, Cluster: r.want,
		Report: func(p providers.Progress) {
			r.t.Logf("%s: %s, %s", addr, p.Stage, time.Since(began).Round(time.Millisecond))
		},
	}
}

func (r *rig) create(m providers.Member) (*providers.Object, error) {
	req := r.request(m.Addr)
	req.Want, req.Name = m.Want, m.Want.GetAttr("name").AsString()
	return r.engine.Resource(m.Addr).Create(r.t.Context(), req)
}

func (r *rig) lower() []providers.Member {
	r.t.Helper()
	lowerer, ok := r.p.(providers.Lowerer)
	if !ok {
		r.t.Fatal("the provider lowers nothing")
	}
	members, err := lowerer.Lower(r.addr, r.want, r.live(), r.engine.Info())
	if err != nil {
		r.t.Fatal(err)
	}
	return members
}

func (r *rig) refresh() *providers.World {
	r.t.Helper()
	w, err := r.engine.Refresh(r.t.Context(), r.scope)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, warning := range w.Warnings {
		r.t.Errorf("warning: %s", warning)
	}
	return w
}

func (r *rig) live() []*providers.Object {
	return slices.DeleteFunc(r.refresh().Objects, func(o *providers.Object) bool { return o.Kind != "docker_container" })
}

func (r *rig) delete(ctx context.Context, obj *providers.Object) error {
	addr, err := schema.ParseAddr(obj.Owner.Address)
	if err != nil {
		return err
	}
	req := r.request(addr)
	req.Prior = obj
	return r.engine.Resource(addr).Delete(ctx, req)
}

func (r *rig) scale(workers int64) {
	groups := r.want.GetAttr("worker_group").AsValueMap()
	groups["cpu"] = schema.With(groups["cpu"], map[string]cty.Value{"replicas": cty.NumberIntVal(workers)})
	r.want = schema.With(r.want, map[string]cty.Value{"worker_group": cty.MapVal(groups)})
}

func (r *rig) verify() *providers.Object {
	r.t.Helper()
	req := r.request(r.addr)
	req.Want, req.Name, req.Cluster = r.want, r.want.GetAttr("name").AsString(), cty.NilVal
	obj, err := r.engine.Resource(r.addr).Create(r.t.Context(), req)
	if err != nil {
		r.t.Fatal(err)
	}
	return obj
}

func TestAClusterOnARealEngine(t *testing.T) {
	image := ray.Image(t)
	name := fmt.Sprintf("gapool-test-cluster-%d", os.Getpid())
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("docker", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("network", "create", "--label", "gapool.test=cluster", name)
	t.Cleanup(func() { run("network", "rm", name) })

	r := &rig{
		t: t, p: ray.Over(docker.New()), addr: schema.Addr{Type: ray.ClusterType, Name: "pool"},
		owner: providers.Owner{Stack: name, Workspace: "default", Lineage: name},
		scope: providers.Scope{Stack: name, Workspace: "default"},
	}
	ctx := t.Context()
	var err error
	if r.engine, err = r.p.Connect(ctx, docker.New().Config().Null()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// What a failed test leaves behind.
		for _, line := range strings.Fields(run("ps", "--all", "--quiet", "--filter", "label=gapool.stack="+name)) {
			if t.Failed() {
				t.Logf("%s", run("logs", "--tail", "30", line))
			}
			run("rm", "--force", "--volumes", line)
		}
		if err := r.engine.Close(); err != nil {
			t.Error(err)
		}
	})

	r.want = ray.Decode(t, r.p, fmt.Sprintf(`
name          = %q
image         = %q
network       = %q
drain_timeout = "20s"
labels        = { site = "a" }
head {
  memory = "1280m"
}
worker_group "cpu" {
  replicas  = 2
  memory    = 1280
  resources = { island = 1 }
  env       = { LEVEL = "info" }
}`, name, run("image", "inspect", "--format", "{{.Id}}", image), name))

	made := r.steps(r.lower())
	cluster := r.verify()
	if v := cluster.Attrs.GetAttr("ray_version").AsString(); !strings.HasPrefix(v, "2.") {
		t.Errorf("ray_version is %q", v)
	}

	w := r.refresh()
	for _, obj := range made {
		i := slices.IndexFunc(w.Objects, func(o *providers.Object) bool { return o.ID == obj.ID })
		if i < 0 {
			t.Fatalf("refresh does not see %s", obj.Name)
		}
		seen := w.Objects[i]
		info, ok := seen.Detail.(*ray.NodeInfo)
		if !ok || info.ID == "" || seen.Broken != "" {
			t.Errorf("%s: detail %+v, broken %q", seen.Name, seen.Detail, seen.Broken)
		}
	}
	i := slices.IndexFunc(w.Objects, func(o *providers.Object) bool { return o.Kind == ray.ClusterType })
	if i < 0 {
		t.Fatal("refresh does not see the cluster")
	}
	for _, attr := range []string{"id", "address", "dashboard_url", "head_container", "ray_version", "python_version"} {
		if got, want := w.Objects[i].Attrs.GetAttr(attr), cluster.Attrs.GetAttr(attr); !got.RawEquals(want) {
			t.Errorf("%s: a refresh reads %#v, the apply had %#v", attr, got, want)
		}
	}
	// The token is nowhere to be seen.
	token := run("exec", name+"-head", "cat", ray.TokenPath)
	if len(token) != 64 || strings.Contains(run("inspect", name+"-head", name+"-cpu-0"), token) {
		t.Errorf("the token has %d characters, or is seen by inspecting the containers", len(token))
	}
	if mode := run("exec", name+"-head", "stat", "-c", "%a %u", ray.TokenPath); mode != "400 10001" {
		t.Errorf("the token's file has the mode and the owner %s", mode)
	}

	// Two workers become three, one of them after a kill by hand.
	r.scale(3)
	members := r.lower()
	r.steps(slices.DeleteFunc(slices.Clone(members), func(m providers.Member) bool { return made[m.Addr] != nil }))
	r.verify()
	run("kill", name+"-cpu-1")
	for _, obj := range r.live() {
		if obj.Name != name+"-cpu-1" {
			continue
		}
		if obj.Attrs.GetAttr("must_run").True() {
			t.Error("a worker that was killed reads as one that runs")
		}
		addr, err := schema.ParseAddr(obj.Owner.Address)
		if err != nil {
			t.Fatal(err)
		}
		req := r.request(addr)
		req.Prior, req.Changed = obj, []string{"must_run"}
		req.Want = schema.With(obj.Attrs, map[string]cty.Value{"must_run": cty.True})
		killed, _ := obj.Detail.(*ray.NodeInfo)
		if _, err := r.engine.Resource(addr).Update(ctx, req); err != nil {
			t.Fatal(err)
		}
		r.verify()
		for _, now := range r.live() {
			if info, _ := now.Detail.(*ray.NodeInfo); now.ID == obj.ID && (info == nil || killed == nil || info.ID == killed.ID) {
				t.Errorf("the node of the worker that was started again is %+v, before its death it was %+v", info, killed)
			}
		}
	}

	// A driver that keeps a worker busy for a while: that one must not be asked
	// to go before it ends, and its result must come back.
	busy := exec.Command("docker", "exec", name+"-head", "python3", "-c", `
import ray, time
ray.init(address="auto", log_to_driver=False)
@ray.remote(num_cpus=1)
def hold(i):
    time.sleep(6)
    return i
print("sum", sum(ray.get([hold.remote(i) for i in range(6)])))
`)
	out := make(chan string, 1)
	go func() {
		b, err := busy.CombinedOutput()
		out <- fmt.Sprintf("%s error %v", b, err)
	}()
	r.until("the driver keeps all workers busy", func() bool {
		n := 0
		for _, obj := range r.live() {
			if info, ok := obj.Detail.(*ray.NodeInfo); ok && obj.Name != name+"-head" && info.Available["CPU"] == 0 {
				n++
			}
		}
		return n == 3
	})
	// The head knows of the driver, and stays for it.
	for _, obj := range r.live() {
		if obj.Name != name+"-head" {
			continue
		}
		if len(obj.Work) != 1 || !strings.HasPrefix(obj.Work[0], "driver ") {
			t.Errorf("the head works on %q, want a driver", obj.Work)
		}
		if err := r.delete(ctx, obj); err == nil || !strings.Contains(err.Error(), "-force") {
			t.Errorf("delete the head of a running driver: %v, want a refusal that names -force", err)
		}
	}
	r.scale(1)
	stay := map[string]bool{}
	for _, m := range r.lower() {
		stay[m.Addr.String()] = true
	}
	var wg sync.WaitGroup
	gone := 0
	for _, obj := range r.live() {
		if !stay[obj.Owner.Address] {
			gone++
			wg.Go(func() {
				if err := r.delete(ctx, obj); err != nil {
					t.Errorf("delete %s: %v", obj.Name, err)
				}
			})
		}
	}
	wg.Wait()
	if gone != 2 {
		t.Errorf("%d workers went, want 2", gone)
	}
	if got := <-out; !strings.Contains(got, "sum 15 ") && !strings.Contains(got, "sum 15\n") {
		t.Errorf("the driver on a shrinking cluster says %q, want sum 15", got)
	}
	r.verify()

	// A head that runs and is mute: its worker stays.
	gcs := func(signal string) {
		sent := run("exec", name+"-head", "python3", "-c", `
import os, signal
for pid in filter(str.isdigit, os.listdir("/proc")):
    with open(f"/proc/{pid}/comm") as f:
        if f.read().strip() == "gcs_server":
            os.kill(int(pid), signal.SIG`+signal+`)
            print("sent")
`)
		if sent != "sent" {
			t.Fatalf("SIG%s was not sent to the GCS: %q", signal, sent)
		}
	}
	for _, obj := range r.live() {
		if obj.Name == name+"-head" {
			continue
		}
		gcs("STOP")
		err := r.delete(ctx, obj)
		gcs("CONT")
		if err == nil || !strings.Contains(err.Error(), "-force") {
			t.Errorf("delete a worker while the GCS is mute: %v, want a refusal that names -force", err)
		}
		if state := run("inspect", "--format", "{{.State.Status}}", obj.Name); state != "running" {
			t.Errorf("the worker is %s after a delete that was refused", state)
		}
	}
	r.verify()

	// All of it goes.
	all := map[string]*providers.Object{}
	for _, obj := range r.live() {
		all[obj.Name] = obj
	}
	head := all[name+"-head"]
	delete(all, head.Name)
	for _, worker := range slices.Sorted(maps.Keys(all)) {
		if err := r.delete(ctx, all[worker]); err != nil {
			t.Errorf("delete %s: %v", worker, err)
		}
	}
	if err := r.delete(ctx, head); err != nil {
		t.Errorf("delete the head: %v", err)
	}
	if left := run("ps", "--all", "--quiet", "--filter", "label=gapool.stack="+name); left != "" {
		t.Errorf("containers are left: %s", left)
	}
}

func (r *rig) until(what string, done func() bool) {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		if done() {
			return
		}
	}
	r.t.Fatalf("%s: not within a minute", what)
}
