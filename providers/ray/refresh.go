package ray

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"
	"golang.org/x/sync/errgroup"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/ray/internal/gcs"
	"github.com/gapool/gapool/schema"
)

const (
	// askTimeout bounds what a refresh waits for one cluster.
	askTimeout = 5 * time.Second

	// startTakes is how long a node may be unknown to Ray, or listed as dead,
	// while its container runs: a start that fails gives up after 50 s, and
	// workers whose head was restarted after 45 s.
	startTakes = 90 * time.Second

	// clockSkew is how far an engine's clock may be ahead of ours before it is
	// of no use to tell how long a container runs.
	clockSkew = 10 * time.Second
)

// cluster is one cluster among the objects of a world.
type cluster struct {
	addr    schema.Addr
	head    *providers.Object
	members []int // indexes of its objects, the head's too

	nodes       gcs.Cluster
	err         error
	jobs        []gcs.Job // those that have not ended
	jobsErr     error
	versions    Versions
	versionsErr error
	broken      map[string]string // by the member's name
	unjudged    []string          // members with what speaks against them
}

// Refresh reads the world underneath and asks each cluster whose head runs. To
// the members it adds Ray's word, and for each cluster that answered an object
// with what is computed of it. A cluster that does not answer is a warning.
func (e *engine) Refresh(ctx context.Context, scope providers.Scope) (*providers.World, error) {
	world, err := e.Engine.Refresh(ctx, scope)
	if err != nil {
		return nil, err
	}
	found := findClusters(world.Objects)
	var g errgroup.Group
	for _, c := range found {
		e.remember(c.head)
		if c.head.Started && !stopped(c.head) {
			g.Go(func() error { e.ask(ctx, c, world.Objects); return nil })
		} else {
			c.err = errHeadStopped
		}
	}
	_ = g.Wait() // what went wrong is each cluster's
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, c := range found {
		switch {
		case errors.Is(c.err, errHeadStopped): // the head's own difference says it
		case c.err != nil:
			world.Warnings = append(world.Warnings, fmt.Sprintf(
				"%s: Ray could not be asked through container %s (%v), so what it says of its nodes is not considered. If the head is starting, plan again in a minute; else see its log.",
				c.addr, c.head.Name, c.err))
		default:
			for _, i := range c.members {
				own := *world.Objects[i]
				own.Detail = nodeInfo(c.nodes.Nodes, own.Name)
				if world.Objects[i] == c.head {
					own.Work = jobNames(c.jobs)
				}
				if own.Broken == "" {
					own.Broken = c.broken[own.Name]
				}
				world.Objects[i] = &own
			}
			world.Objects = append(world.Objects, e.whole(c))
			world.Warnings = append(world.Warnings, c.warnings()...)
		}
	}
	sortObjects(world.Objects)
	return world, nil
}

// warnings are what could not be seen of a cluster that answered.
func (c *cluster) warnings() []string {
	var list []string
	if c.versionsErr != nil {
		list = append(list, fmt.Sprintf(
			"%s: container %s did not tell its versions (%v), so they are as they were recorded.", c.addr, c.head.Name, c.versionsErr))
	}
	if c.jobsErr != nil {
		list = append(list, fmt.Sprintf(
			"%s: whether jobs run could not be asked through container %s (%v); a step that removes it asks again.", c.addr, c.head.Name, c.jobsErr))
	}
	for _, member := range c.unjudged {
		list = append(list, fmt.Sprintf(
			"%s: container %s; since when it runs is not known (do the engine's clock and this one agree?), so it is left alone. To replace it, use -replace.", c.addr, member))
	}
	return list
}

var errHeadStopped = errors.New("the head does not run")

// findClusters finds the clusters by their heads. A worker belongs to the head
// that it joins, whatever the address in its labels, which goes stale.
func findClusters(objects []*providers.Object) []*cluster {
	var found []*cluster
	byHead := map[string]*cluster{}
	for i, obj := range objects {
		addr, err := schema.ParseAddr(obj.Owner.Address)
		if err != nil || obj.Kind != containerType || addr.Type != ClusterType || addr.Member.Role != schema.Head {
			continue
		}
		c := &cluster{addr: addr.Cluster(), head: obj, members: []int{i}, broken: map[string]string{}}
		found, byHead[obj.Name] = append(found, c), c
	}
	for i, obj := range objects {
		if obj.Kind != containerType || obj.Owner.UID == "" {
			continue
		}
		if c := byHead[headOf(obj.Attrs)]; c != nil {
			c.members = append(c.members, i)
		}
	}
	return found
}

// ask fills in what Ray says. Its nodes are the answer; jobs and versions are
// asked beside them, and where they do not come in time the nodes count all the
// same.
func (e *engine) ask(ctx context.Context, c *cluster, objects []*providers.Object) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var g errgroup.Group
	g.Go(func() error {
		c.versions, c.versionsErr = e.versions(ctx, c.head.Name)
		return nil
	})
	g.Go(func() error {
		c.jobs, c.jobsErr = e.patientJobs(ctx, c.head.Name, secured(c.head.Attrs))
		return nil
	})
	c.nodes, c.err = e.nodes(ctx, c.head.Name, secured(c.head.Attrs))
	_ = g.Wait() // what went wrong is noted
	if c.err == nil {
		c.judge(objects, time.Now())
	}
}

// judge finds the members that Ray does not count on any more.
func (c *cluster) judge(objects []*providers.Object, now time.Time) {
	for _, i := range c.members {
		obj := objects[i]
		if obj == c.head || !obj.Started || stopped(obj) {
			continue
		}
		why := ""
		switch nodeInfo(c.nodes.Nodes, obj.Name).Status {
		case NodeDraining:
			c.broken[obj.Name] = "is being drained"
			continue
		case NodeDead:
			why = "is listed as dead by Ray, though its container runs"
		case NodeUnknown:
			why = "is not listed by Ray, though its container runs"
		default:
			continue
		}
		// A start takes its time, and one that is not known to be older may
		// still be on its way.
		switch up := now.Sub(obj.Since); {
		case obj.Since.IsZero() || up < -clockSkew:
			c.unjudged = append(c.unjudged, obj.Name+" "+why)
		case up > startTakes:
			c.broken[obj.Name] = why
		}
	}
}

// whole is the cluster's object: it has what is computed, the rest is its
// members'.
func (e *engine) whole(c *cluster) *providers.Object {
	name := strings.TrimSuffix(c.head.Name, "-"+HeadGroup)
	owner := c.head.Owner
	owner.UID, owner.Address = "", c.addr.String()
	return &providers.Object{
		Kind: ClusterType, ID: name, Name: name, Owner: owner, Created: c.head.Created, Started: true,
		Attrs:    e.p.cluster.Build(computed(name, publishedURL(c.head.Attrs), c.versions)),
		Defaults: e.p.cluster.Null(),
		Detail:   clusterInfo(c.nodes, c.jobs),
	}
}

func computed(name string, url cty.Value, v Versions) map[string]cty.Value {
	head := headName(name)
	return map[string]cty.Value{
		"id":             cty.StringVal(name),
		"dashboard_url":  url,
		"address":        cty.StringVal(net.JoinHostPort(head, strconv.Itoa(GCSPort))),
		"head_container": cty.StringVal(head),
		"ray_version":    orNull(v.Ray),
		"python_version": orNull(v.Python),
	}
}

func orNull(s string) cty.Value {
	if s == "" {
		return cty.NullVal(cty.String)
	}
	return cty.StringVal(s)
}

// publishedURL is where a head's dashboard is reached from the host.
func publishedURL(head cty.Value) cty.Value {
	ports := head.GetAttr("ports")
	if ports.IsNull() || !ports.IsWhollyKnown() {
		return cty.NullVal(cty.String)
	}
	for it := ports.ElementIterator(); it.Next(); {
		_, port := it.Element()
		internal, external, ip := port.GetAttr("internal"), port.GetAttr("external"), port.GetAttr("ip")
		if internal.IsNull() || intOf(internal) != DashboardPort || external.IsNull() {
			continue
		}
		if ip.IsNull() {
			return cty.StringVal(dashboardURL("", intOf(external)))
		}
		return cty.StringVal(dashboardURL(ip.AsString(), intOf(external)))
	}
	return cty.NullVal(cty.String)
}
