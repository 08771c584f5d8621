package docker

import (
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
)

func TestOpenPortsAreToldAndFixedOnesAreExclusive(t *testing.T) {
	table := containerTable()
	port := func(set map[string]cty.Value) cty.Value {
		set["protocol"] = cty.StringVal("tcp")
		set["internal"] = cty.NumberIntVal(80)
		return table.Attr("ports").Block.Build(set)
	}
	v := table.Build(map[string]cty.Value{"ports": cty.ListVal([]cty.Value{
		port(map[string]cty.Value{"ip": cty.StringVal("0.0.0.0"), "external": cty.NumberIntVal(8080)}),
		port(map[string]cty.Value{"ip": cty.StringVal("127.0.0.1"), "external": cty.NumberIntVal(8081)}),
		port(map[string]cty.Value{"ip": cty.StringVal("::")}),
	})})
	if diff := cmp.Diff([]string{
		`opens port 8080 to the network (0.0.0.0); ip = "127.0.0.1" keeps it on this machine.`,
		`opens a port to the network (::); ip = "127.0.0.1" keeps it on this machine.`,
	}, remarkContainer(v)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"port 8080/tcp of 0.0.0.0", "port 8081/tcp of 127.0.0.1"}, publishedPorts(v)); diff != "" {
		t.Error(diff)
	}
}

// Who has a port now is in the list of containers: what does not run has none.
func TestHeldPortsAreThoseOfRunningContainers(t *testing.T) {
	l := listing{containers: []container.Summary{
		{ID: "1", Names: []string{"/web"}, State: container.StateRunning, Ports: []container.Port{
			{IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp"}, {IP: "::", PrivatePort: 80, PublicPort: 8080, Type: "tcp"}, {PrivatePort: 443, Type: "tcp"},
		}},
		{ID: "2", Names: []string{"/off"}, State: container.StateExited, Ports: []container.Port{{IP: "0.0.0.0", PrivatePort: 80, PublicPort: 9090, Type: "tcp"}}},
	}}
	held := l.held()
	table := containerTable()
	port := func(external int64) string {
		p := table.Attr("ports").Block.Build(map[string]cty.Value{"internal": cty.NumberIntVal(1), "external": cty.NumberIntVal(external), "ip": cty.StringVal("0.0.0.0"), "protocol": cty.StringVal("tcp")})
		return publishedPorts(table.Build(map[string]cty.Value{"ports": cty.ListVal([]cty.Value{p})}))[0]
	}
	if by, ok := held(Container, port(8080)); !ok || by.Name != "web" || by.ID != "1" {
		t.Errorf("8080 is held by %v, %v", by, ok)
	}
	for _, p := range []int64{9090, 443, 8081} {
		if by, ok := held(Container, port(p)); ok {
			t.Errorf("%d is held by %v", p, by)
		}
	}
	unstarted := table.Build(map[string]cty.Value{"start": cty.False, "ports": cty.ListVal([]cty.Value{
		table.Attr("ports").Block.Build(map[string]cty.Value{"internal": cty.NumberIntVal(1), "external": cty.NumberIntVal(1), "ip": cty.StringVal("::"), "protocol": cty.StringVal("tcp")}),
	})})
	if got := publishedPorts(unstarted); len(got) > 0 {
		t.Errorf("a container that is not started takes %v", got)
	}
}
