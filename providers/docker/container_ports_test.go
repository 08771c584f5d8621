package docker

import (
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/schema"
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
	if diff := cmp.Diff([]schema.Claim{{Of: "port 8080/tcp"}, {Of: "port 8081/tcp", Part: "127.0.0.1"}}, publishedPorts(v)); diff != "" {
		t.Error(diff)
	}
}

// Who has a port now is in the list of containers: what does not run has none.
// In the host's network and in none the engine publishes nothing: two such
// containers may name one port.
func TestPortsThatAreNotPublished(t *testing.T) {
	for mode, want := range map[string]int{"bridge": 1, "lab": 1, "host": 0, "none": 0} {
		v := configured(t, New(), Container, `
			name         = "web"
			image        = "i"
			network_mode = "`+mode+`"
			ports {
				internal = 80
				external = 8080
			}`)
		if claims, remarks, needs := publishedPorts(v), remarkContainer(v), containerNeeds(v).Ports; len(claims) != want || len(remarks) != want || len(needs) != want {
			t.Errorf("%s: claims %v, remarks %q, needs %v", mode, claims, remarks, needs)
		}
	}
	unknown := configured(t, New(), Container, "name = \"web\"\nimage = \"i\"\nnetwork_mode = unknown\nports {\ninternal = 80\nexternal = 8080\n}")
	if claims := publishedPorts(unknown); len(claims) > 0 {
		t.Errorf("in a network that is not known yet: claims %v", claims)
	}
}

func TestHeldPortsAreThoseOfRunningContainers(t *testing.T) {
	l := listing{containers: []container.Summary{
		{ID: "1", Names: []string{"/web"}, State: container.StateRunning, Ports: []container.Port{
			{IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp"}, {IP: "::", PrivatePort: 80, PublicPort: 8080, Type: "tcp"}, {PrivatePort: 443, Type: "tcp"},
		}},
		{ID: "3", Names: []string{"/one"}, State: container.StateRunning, Ports: []container.Port{{IP: "127.0.0.1", PrivatePort: 80, PublicPort: 7070, Type: "tcp"}}},
		{ID: "4", Names: []string{"/two"}, State: container.StateRunning, Ports: []container.Port{{IP: "127.0.0.2", PrivatePort: 80, PublicPort: 7070, Type: "tcp"}}},
		{ID: "5", Names: []string{"/still"}, State: container.StatePaused, Ports: []container.Port{{IP: "127.0.0.1", PrivatePort: 80, PublicPort: 6060, Type: "tcp"}}},
		{ID: "2", Names: []string{"/off"}, State: container.StateExited, Ports: []container.Port{{IP: "0.0.0.0", PrivatePort: 80, PublicPort: 9090, Type: "tcp"}}},
	}}
	held := l.held()
	table := containerTable()
	port := func(external int64, ip string) schema.Claim {
		p := table.Attr("ports").Block.Build(map[string]cty.Value{"internal": cty.NumberIntVal(1), "external": cty.NumberIntVal(external), "ip": cty.StringVal(ip), "protocol": cty.StringVal("tcp")})
		return publishedPorts(table.Build(map[string]cty.Value{"ports": cty.ListVal([]cty.Value{p})}))[0]
	}
	for _, ip := range []string{"0.0.0.0", "::", "127.0.0.1"} { // the last one lies in the first
		if by := held(Container, port(8080, ip)); len(by) != 1 || by[0].Name != "web" || by[0].ID != "1" {
			t.Errorf("8080 of %s is held by %v", ip, by)
		}
	}
	if by := held(Container, port(7070, "0.0.0.0")); len(by) != 2 {
		t.Errorf("7070 of all addresses is held by %v", by)
	}
	if by := held(Container, port(7070, "127.0.0.2")); len(by) != 1 || by[0].Name != "two" {
		t.Errorf("7070 of one address is held by %v", by)
	}
	if by := held(Container, port(6060, "127.0.0.1")); len(by) != 1 || by[0].Name != "still" {
		t.Errorf("6060 is held by %v", by)
	}
	for _, p := range []int64{9090, 443, 8081} {
		if by := held(Container, port(p, "0.0.0.0")); len(by) > 0 {
			t.Errorf("%d is held by %v", p, by)
		}
	}
	for _, ip := range []string{"::", "127.0.0.3"} {
		if by := held(Container, port(7070, ip)); len(by) > 0 {
			t.Errorf("7070 of %s is held by %v", ip, by)
		}
	}
	unstarted := table.Build(map[string]cty.Value{"start": cty.False, "ports": cty.ListVal([]cty.Value{
		table.Attr("ports").Block.Build(map[string]cty.Value{"internal": cty.NumberIntVal(1), "external": cty.NumberIntVal(1), "ip": cty.StringVal("::"), "protocol": cty.StringVal("tcp")}),
	})})
	if got := publishedPorts(unstarted); len(got) > 0 {
		t.Errorf("a container that is not started takes %v", got)
	}
}
