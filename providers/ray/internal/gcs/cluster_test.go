package gcs

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
)

// sampleState is an answer with a head, two workers, three pending shapes and
// two placement groups, out of order and with fields that nobody knows yet.
func sampleState() []byte {
	head := msg{}.bytes(1, []byte{0xab, 0x01}).str(2, "pool-head").str(3, "head").
		amount(4, "memory", 2<<30).amount(5, "memory", 3<<30).amount(5, headResource, 1).
		int(7, 12).int(8, 3).int(9, 1500).str(10, "172.18.0.2").str(12, "busy").label(13, "ray.io/node-id", "ab01").
		str(99, "new")
	busy := msg{}.int(8, 1).bytes(1, []byte{0x02}).str(2, "pool-w-1").str(3, "cpu").
		amount(4, "CPU", 0.5).amount(5, "CPU", 2).amount(5, "CPU_group_0_77", 1)
	gone := msg{}.int(8, 2).bytes(1, []byte{0x01}).str(2, "pool-w-1").str(3, "cpu")
	state := msg{}.int(1, 7).
		bytes(3, busy).bytes(3, head).bytes(3, gone).
		bytes(4, msg{}.bytes(1, msg{}.amount(1, "CPU", 2)).int(2, 3)).
		bytes(4, msg{}.bytes(1, msg{}.amount(1, "CPU", 1).amount(1, "GPU", 1).bytes(3, nil)).int(2, 1)).
		bytes(4, msg{}.int(2, 9)).
		bytes(5, msg{}.str(2, "PACK")).bytes(5, nil).
		str(7, "session_2026").double(50, 1)
	return msg{}.bytes(1, state).int(77, 5)
}

func TestDecodeCluster(t *testing.T) {
	got, err := decodeCluster(sampleState())
	if err != nil {
		t.Fatal(err)
	}
	none := map[string]float64{}
	want := Cluster{
		Nodes: []Node{
			{ID: "ab01", InstanceID: "pool-head", NodeType: "head", IP: "172.18.0.2", Status: Idle, IdleFor: 1500 * time.Millisecond, Head: true,
				Total:     map[string]float64{"memory": 3 << 30, headResource: 1},
				Available: map[string]float64{"memory": 2 << 30},
				Labels:    map[string]string{"ray.io/node-id": "ab01"}},
			{ID: "01", InstanceID: "pool-w-1", NodeType: "cpu", Status: Dead, Total: none, Available: none, Labels: map[string]string{}},
			{ID: "02", InstanceID: "pool-w-1", NodeType: "cpu", Status: Running,
				Total:     map[string]float64{"CPU": 2, "CPU_group_0_77": 1},
				Available: map[string]float64{"CPU": 0.5},
				Labels:    map[string]string{}},
		},
		Pending: []Demand{
			{Shape: map[string]float64{"CPU": 1, "GPU": 1}, Count: 1},
			{Shape: map[string]float64{"CPU": 2}, Count: 3},
			{Shape: none, Count: 9},
		},
		PendingGangs: 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cluster (-want +got):\n%s", diff)
	}
}

func TestNodesOverTheRelay(t *testing.T) {
	head := newFakeHead(t, func(string, []byte) ([]byte, error) { return sampleState(), nil })
	got, err := dial(t, head.exec, "").Nodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want, err := decodeCluster(sampleState())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cluster (-want +got):\n%s", diff)
	}
	if request := head.requests["GetClusterResourceState"][0]; len(request) != 0 {
		t.Errorf("the request was %x, want the empty one that asks for everything", request)
	}
}

func TestBrokenAnswersAreErrors(t *testing.T) {
	node := func(n msg) []byte { return msg{}.bytes(1, msg{}.bytes(3, n)) }
	tests := map[string]struct {
		reply []byte
		text  string
	}{
		"nothing":               {nil, "no cluster state"},
		"another message":       {msg{}.int(2, 1), "no cluster state"},
		"state is a number":     {msg{}.int(1, 1), "field 1: wire type 0"},
		"node is a number":      {msg{}.bytes(1, msg{}.int(3, 1)), "field 1: field 3: wire type 0"},
		"status is text":        {node(msg{}.str(8, "IDLE")), "field 3: field 8: wire type 2"},
		"total is text":         {node(msg{}.label(5, "CPU", "2")), "field 5: field 2: wire type 2"},
		"label is a number":     {node(msg{}.amount(13, "zone", 2)), "field 13: field 2: wire type 1"},
		"ID is a number":        {node(msg{}.int(1, 5)), "field 1: wire type 0"},
		"count is a double":     {msg{}.bytes(1, msg{}.bytes(4, msg{}.double(2, 1))), "field 4: field 2: wire type 1"},
		"group of groups":       {protowire.AppendTag(nil, 1, protowire.StartGroupType), "field 1 is broken"},
		"length beyond the end": {[]byte{0x0a, 0x7f, 1}, "field 1 is broken"},
		"endless number":        {[]byte{0x08, 0xff, 0xff, 0xff}, "field 1 is broken"},
		"field zero":            {[]byte{0x00}, "tag is broken"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := decodeCluster(test.reply)
			if err == nil {
				t.Fatalf("no error, but %+v", got)
			}
			if !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v does not say %q", err, test.text)
			}
		})
	}
}

func TestGroupsArePassedOver(t *testing.T) {
	var reply []byte
	reply = protowire.AppendTag(reply, 9, protowire.StartGroupType)
	reply = msg(reply).int(1, 5)
	reply = protowire.AppendTag(reply, 9, protowire.EndGroupType)
	got, err := decodeCluster(append(reply, sampleState()...))
	if err != nil || len(got.Nodes) != 3 {
		t.Errorf("%d nodes and error %v, want 3 and none", len(got.Nodes), err)
	}
}

func TestIdleTimeStaysInBounds(t *testing.T) {
	for ms, want := range map[int64]time.Duration{
		-1: 0, 0: 0, 1: time.Millisecond,
		math.MaxInt64: math.MaxInt64 / time.Millisecond * time.Millisecond,
	} {
		if got := milliseconds(ms); got != want {
			t.Errorf("milliseconds(%d) = %d, want %d", ms, got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	dead := Node{ID: "1", InstanceID: "a", Status: Dead}
	idle := Node{ID: "2", InstanceID: "a", Status: Idle}
	draining := Node{ID: "3", InstanceID: "a", Status: Draining}
	other := Node{ID: "4", InstanceID: "b", Status: Running}
	tests := map[string]struct {
		nodes []Node
		want  string // the ID; empty for none
		live  int
	}{
		"nothing known":            {nil, "", 0},
		"another's":                {[]Node{other}, "", 0},
		"live":                     {[]Node{other, idle}, "2", 1},
		"live after a dead one":    {[]Node{dead, idle}, "2", 1},
		"live before a dead one":   {[]Node{idle, dead}, "2", 1},
		"draining is live":         {[]Node{dead, draining}, "3", 1},
		"only dead":                {[]Node{dead, other}, "1", 0},
		"two live are no one node": {[]Node{idle, draining}, "", 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := Match(test.nodes, "a")
			if got.ID != test.want || ok != (test.want != "") {
				t.Errorf("match = %q, %v; want %q", got.ID, ok, test.want)
			}
			if n := len(Live(test.nodes, "a")); n != test.live {
				t.Errorf("%d live, want %d", n, test.live)
			}
		})
	}
}

func FuzzNodes(f *testing.F) {
	sample := sampleState()
	f.Add(sample)
	f.Add(sample[:len(sample)/2])
	f.Add([]byte{0x0a, 0x00})
	f.Add([]byte{0x0b, 0x0b, 0x0c})
	f.Fuzz(func(t *testing.T, reply []byte) {
		got, err := decodeCluster(reply)
		if err != nil {
			if diff := cmp.Diff(Cluster{}, got); diff != "" {
				t.Errorf("an error came with a cluster:\n%s", diff)
			}
			return
		}
		again, err := decodeCluster(append([]byte(nil), reply...))
		if err != nil {
			t.Fatalf("the second reading failed: %v", err)
		}
		nan := cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })
		if diff := cmp.Diff(got, again, nan); diff != "" {
			t.Errorf("two readings differ:\n%s", diff)
		}
		for _, n := range got.Nodes {
			if n.IdleFor < 0 {
				t.Errorf("node %s is idle for %s", n.ID, n.IdleFor)
			}
		}
	})
}
