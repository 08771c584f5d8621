package gcs

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Cluster is what the GCS says of its cluster at one moment.
type Cluster struct {
	Nodes []Node

	// Pending holds the requests of tasks and actors that wait for a place, one
	// entry for each shape.
	Pending []Demand

	// PendingGangs counts the placement groups that wait for a place.
	PendingGangs int
}

// Demand is a number of waiting requests of one shape.
type Demand struct {
	Shape map[string]float64 // resource name to amount; memory in bytes
	Count int64
}

// Node is one record of the GCS: one start of Ray in one container. A container
// that was started again has several, of which one can be live.
type Node struct {
	ID         string // hexadecimal, new at each start
	InstanceID string // RAY_CLOUD_INSTANCE_ID of its container
	NodeType   string // RAY_NODE_TYPE_NAME of its container
	IP         string
	Status     Status
	Total      map[string]float64 // resource name to amount; memory in bytes
	Available  map[string]float64
	IdleFor    time.Duration // zero while it is busy, and at first
	Labels     map[string]string
	Head       bool
}

// Live says whether Ray still counts on the node. A draining one is live.
func (n Node) Live() bool { return n.Status != Dead }

// Status is Ray's word on a node. It trails the container: a node that was
// killed stays live for some 30 s.
type Status int

// The values are Ray's own.
const (
	Unspecified Status = 0
	Running     Status = 1
	Dead        Status = 2
	Idle        Status = 3
	Draining    Status = 4
)

// String is the word as Ray prints it.
func (s Status) String() string {
	switch s {
	case Unspecified:
		return "UNSPECIFIED"
	case Running:
		return "RUNNING"
	case Dead:
		return "DEAD"
	case Idle:
		return "IDLE"
	case Draining:
		return "DRAINING"
	}
	return fmt.Sprintf("STATUS_%d", int(s))
}

// Match finds the record that counts for a container: the live one, or, where
// none lives, the first dead one. It finds none where two live: the container
// was killed and started again, and Ray has not yet noticed the first death
// (ask again; [Live] tells the two cases apart).
func Match(nodes []Node, instanceID string) (Node, bool) {
	switch live := Live(nodes, instanceID); len(live) {
	case 0:
		i := slices.IndexFunc(nodes, func(n Node) bool { return n.InstanceID == instanceID })
		if i < 0 {
			return Node{}, false
		}
		return nodes[i], true
	case 1:
		return live[0], true
	}
	return Node{}, false
}

// Live returns the live records of a container, in the order of nodes.
func Live(nodes []Node, instanceID string) []Node {
	var live []Node
	for _, n := range nodes {
		if n.InstanceID == instanceID && n.Live() {
			live = append(live, n)
		}
	}
	return live
}

// decodeCluster reads a GetClusterResourceStateReply.
func decodeCluster(reply []byte) (Cluster, error) {
	var c Cluster
	found := false
	err := eachField(reply, func(f field) error {
		if f.num != 1 {
			return nil
		}
		found = true
		return f.message(c.decodeState)
	})
	if err != nil {
		return Cluster{}, err
	}
	if !found {
		// No node is one thing, no word about nodes another: the first would
		// make every worker look gone.
		return Cluster{}, fmt.Errorf("it holds no cluster state")
	}
	slices.SortStableFunc(c.Nodes, func(a, b Node) int {
		return cmp.Or(strings.Compare(a.InstanceID, b.InstanceID), strings.Compare(a.ID, b.ID))
	})
	slices.SortStableFunc(c.Pending, func(a, b Demand) int {
		// fmt prints maps in the order of their keys.
		return cmp.Or(strings.Compare(fmt.Sprint(a.Shape), fmt.Sprint(b.Shape)), cmp.Compare(a.Count, b.Count))
	})
	return c, nil
}

func (c *Cluster) decodeState(f field) error {
	switch f.num {
	case 3:
		n, err := decodeNode(f)
		c.Nodes = append(c.Nodes, n)
		return err
	case 4:
		d, err := decodeDemand(f)
		c.Pending = append(c.Pending, d)
		return err
	case 5:
		c.PendingGangs++
		return f.want(protowire.BytesType)
	}
	return nil
}

// headResource is the resource that Ray gives to the head's node alone.
const headResource = "node:__internal_head__"

func decodeNode(f field) (Node, error) {
	n := Node{Total: map[string]float64{}, Available: map[string]float64{}, Labels: map[string]string{}}
	var id []byte
	var status, idle int64
	err := f.message(func(f field) error {
		switch f.num {
		case 1:
			return f.toBytes(&id)
		case 2:
			return f.toString(&n.InstanceID)
		case 3:
			return f.toString(&n.NodeType)
		case 4:
			return f.toDoubles(n.Available)
		case 5:
			return f.toDoubles(n.Total)
		case 8:
			return f.toInt(&status)
		case 9:
			return f.toInt(&idle)
		case 10:
			return f.toString(&n.IP)
		case 13:
			return f.toStrings(n.Labels)
		}
		return nil
	})
	n.ID = hex.EncodeToString(id)
	n.Status = Status(status)
	n.IdleFor = milliseconds(idle)
	_, n.Head = n.Total[headResource]
	return n, err
}

func decodeDemand(f field) (Demand, error) {
	d := Demand{Shape: map[string]float64{}}
	err := f.message(func(f field) error {
		switch f.num {
		case 1:
			return f.message(func(f field) error {
				if f.num == 1 {
					return f.toDoubles(d.Shape)
				}
				return nil
			})
		case 2:
			return f.toInt(&d.Count)
		}
		return nil
	})
	return d, err
}

// encodeDrain makes a DrainNodeRequest.
func encodeDrain(id []byte, reason DrainReason, message string, deadline time.Time) []byte {
	var b []byte
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendBytes(b, id)
	b = protowire.AppendTag(b, 2, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(reason))
	b = protowire.AppendTag(b, 3, protowire.BytesType)
	b = protowire.AppendString(b, message)
	if !deadline.IsZero() {
		b = protowire.AppendTag(b, 4, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(deadline.UnixMilli()))
	}
	return b
}

// decodeDrainReply reads a DrainNodeReply.
func decodeDrainReply(reply []byte) (accepted bool, why string, err error) {
	var yes int64
	err = eachField(reply, func(f field) error {
		switch f.num {
		case 1:
			return f.toInt(&yes)
		case 2:
			return f.toString(&why)
		}
		return nil
	})
	return yes != 0, why, err
}
