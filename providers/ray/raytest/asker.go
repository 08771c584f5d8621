package raytest

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/ray/internal/gcs"
)

// asker asks the cluster of one head.
type asker struct {
	r           *Ray
	head, token string
}

func (a *asker) Close() error { return nil }

// Nodes lists the members that run. A start that is to fail ends its container
// when it is first looked for.
func (a *asker) Nodes(ctx context.Context) (gcs.Cluster, error) {
	if err := ctx.Err(); err != nil {
		return gcs.Cluster{}, err
	}
	a.r.mu.Lock()
	defer a.r.mu.Unlock()
	var c gcs.Cluster
	up := false
	running := map[string]bool{}
	for _, obj := range a.r.world.Running(kind) {
		running[obj.ID] = true
	}
	for _, obj := range a.r.world.Objects() {
		isHead := obj.Kind == kind && obj.Name == a.head
		flags := map[string]string{}
		if obj.Kind == kind {
			flags = flagsOf(obj)
		}
		if !isHead && flags["address"] != a.head+":6379" {
			continue
		}
		if a.r.ghosts[obj.Name] {
			n := a.r.node(obj, flags, isHead)
			n.ID = hex.EncodeToString([]byte("earlier " + obj.ID))
			c.Nodes = append(c.Nodes, n)
		}
		if !running[obj.ID] {
			continue
		}
		if f := a.r.failing[obj.Name]; f != nil && f.times > 0 {
			f.times--
			a.r.world.Stop(kind, obj.Name)
			continue
		}
		if isHead {
			if envOf(obj)["RAY_AUTH_MODE"] == "token" && a.token != a.r.tokenOf(obj.Name) {
				return gcs.Cluster{}, gcs.ErrUnauthenticated
			}
			up = true
		} else if given := a.r.tokens[obj.Name]; given != a.r.tokens[a.head] {
			continue // Ray refuses a node with another token
		}
		if !a.r.hidden[obj.Name] {
			c.Nodes = append(c.Nodes, a.r.node(obj, flags, isHead))
		}
	}
	if !up {
		return gcs.Cluster{}, gcs.ErrUnavailable
	}
	if a.r.mute != nil {
		return gcs.Cluster{}, a.r.mute
	}
	return c, nil
}

// node is what Ray says of a container that runs.
func (r *Ray) node(obj *providers.Object, flags map[string]string, isHead bool) gcs.Node {
	env := envOf(obj)
	n := gcs.Node{
		ID: r.nodeID(obj), InstanceID: env["RAY_CLOUD_INSTANCE_ID"], NodeType: env["RAY_NODE_TYPE_NAME"],
		Status: gcs.Running, IdleFor: r.idle[obj.Name], Total: map[string]float64{}, Head: isHead,
	}
	if status, ok := r.drained[obj.ID]; ok {
		n.Status = status
	}
	_ = json.Unmarshal([]byte(flags["resources"]), &n.Total) // left out: there are none
	for resource, flag := range map[string]string{
		"CPU": "num-cpus", "GPU": "num-gpus", "memory": "memory", "object_store_memory": "object-store-memory",
	} {
		if amount, err := strconv.ParseFloat(flags[flag], 64); err == nil && amount > 0 {
			n.Total[resource] = amount
		}
	}
	return n
}

// nodeID is another one at each start.
func (r *Ray) nodeID(obj *providers.Object) string {
	return hex.EncodeToString(fmt.Appendf(nil, "%d %s", r.starts[obj.ID], obj.ID))
}

// Jobs is one job, if one runs, and one that has ended.
func (a *asker) Jobs(ctx context.Context) ([]gcs.Job, error) {
	if _, err := a.Nodes(ctx); err != nil {
		return nil, err
	}
	a.r.mu.Lock()
	defer a.r.mu.Unlock()
	if a.r.jobless {
		return nil, gcs.ErrUnavailable
	}
	jobs := []gcs.Job{{ID: "01000000", Type: "DRIVER", Status: "SUCCEEDED"}}
	if a.r.job {
		jobs = append(jobs, gcs.Job{ID: "02000000", Type: "DRIVER", Status: "RUNNING"})
	}
	return jobs, nil
}

// Drain takes a node out: one without work is dead at once, one with work
// drains for as long as it runs.
func (a *asker) Drain(_ context.Context, nodeID string, reason gcs.DrainReason, _ string, _ time.Time) (bool, string, error) {
	a.r.mu.Lock()
	defer a.r.mu.Unlock()
	for _, obj := range a.r.world.Running(kind) {
		if a.r.nodeID(obj) != nodeID {
			continue
		}
		why := a.r.work[obj.Name]
		switch {
		case reason == gcs.Preemption:
			a.r.asked = append(a.r.asked, "preempt "+obj.Name)
			a.r.drained[obj.ID] = gcs.Draining
		case why != "":
			a.r.asked = append(a.r.asked, "idle "+obj.Name)
			return false, why, nil
		default:
			a.r.asked = append(a.r.asked, "idle "+obj.Name)
			a.r.drained[obj.ID] = gcs.Dead
		}
	}
	return true, "", nil
}

// token is what a member has for its token.
func (r *Ray) token(container string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tokenOf(container)
}

func (r *Ray) tokenOf(container string) string {
	return cmp.Or(r.tokens[container], "token of "+container)
}

// flagsOf are the flags of a container's command.
func flagsOf(obj *providers.Object) map[string]string {
	flags := map[string]string{}
	command := obj.Attrs.GetAttr("command")
	if command.IsNull() {
		return flags
	}
	for _, word := range command.AsValueSlice() {
		if flag, ok := strings.CutPrefix(word.AsString(), "--"); ok {
			name, value, _ := strings.Cut(flag, "=")
			flags[name] = value
		}
	}
	return flags
}

func envOf(obj *providers.Object) map[string]string {
	env := map[string]string{}
	if v := obj.Attrs.GetAttr("env"); !v.IsNull() {
		for name, x := range v.AsValueMap() {
			if x.Type() == cty.String && !x.IsNull() {
				env[name] = x.AsString()
			}
		}
	}
	return env
}
