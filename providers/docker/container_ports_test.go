package docker

import (
	"testing"

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
		`opens a port that the engine chooses to the network (::); ip = "127.0.0.1" keeps it on this machine.`,
	}, remarkContainer(v)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"port 8080/tcp of 0.0.0.0", "port 8081/tcp of 127.0.0.1"}, publishedPorts(v)); diff != "" {
		t.Error(diff)
	}
}
