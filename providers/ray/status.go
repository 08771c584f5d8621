package ray

import (
	"cmp"
	"slices"
	"time"

	"github.com/gapool/gapool/providers/ray/internal/gcs"
)

// NodeStatus is Ray's word on a member's node, which trails its container.
type NodeStatus string

// The statuses are Ray's own words, but for the last.
const (
	NodeRunning  NodeStatus = "RUNNING"
	NodeIdle     NodeStatus = "IDLE"
	NodeDraining NodeStatus = "DRAINING"
	NodeDead     NodeStatus = "DEAD"
	// NodeUnknown is that of a container which Ray does not list.
	NodeUnknown NodeStatus = "UNKNOWN"
)

// NodeInfo is what Ray says of a member: the Detail of its container's object
// where the cluster could be asked.
type NodeInfo struct {
	Status    NodeStatus
	ID        string // of Ray's node, new at each start; empty for an unknown one
	IP        string
	IdleFor   time.Duration      // zero while it is busy, and at first
	Total     map[string]float64 // resource to amount; memory in bytes
	Available map[string]float64
}

// ClusterInfo is what Ray says of the whole: the Detail of a cluster's object.
type ClusterInfo struct {
	// Pending counts the requests of tasks and actors that wait for a place,
	// and PendingGangs the placement groups that do.
	Pending      int64
	PendingGangs int
	// Jobs are the jobs and other drivers that have not ended: "job
	// raysubmit_1", "driver 01000000". None where they could not be asked for.
	Jobs []string
}

// nodeInfo says what the GCS has on a container.
func nodeInfo(nodes []gcs.Node, container string) *NodeInfo {
	node, ok := gcs.Match(nodes, container)
	if !ok {
		// It was killed and started again, and Ray has not noticed the death:
		// the later start is the one that was idle for less.
		live := gcs.Live(nodes, container)
		if len(live) == 0 {
			return &NodeInfo{Status: NodeUnknown}
		}
		node = slices.MinFunc(live, func(a, b gcs.Node) int { return cmp.Compare(a.IdleFor, b.IdleFor) })
	}
	return &NodeInfo{
		Status: NodeStatus(node.Status.String()), ID: node.ID, IP: node.IP, IdleFor: node.IdleFor,
		Total: node.Total, Available: node.Available,
	}
}

func clusterInfo(c gcs.Cluster, jobs []gcs.Job) *ClusterInfo {
	info := &ClusterInfo{PendingGangs: c.PendingGangs, Jobs: jobNames(jobs)}
	for _, d := range c.Pending {
		info.Pending += d.Count
	}
	return info
}
