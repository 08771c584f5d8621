package docker

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/schema"
)

func TestNeedsOfAContainer(t *testing.T) {
	table := containerTable()
	port := func(set map[string]cty.Value) cty.Value { return table.Attr("ports").Block.Build(set) }
	mib := func(n int64) schema.Amount { return schema.Amount{N: n << 20} }
	for name, c := range map[string]struct {
		set  map[string]cty.Value
		want schema.Needs
	}{
		"nothing is said": {nil, schema.Needs{CPUs: schema.Amount{Open: 1}, Memory: schema.Amount{Open: 1}, SharedMem: mib(64)}},
		"zero is no limit": {map[string]cty.Value{"memory": cty.Zero, "cpus": cty.Zero, "gpus": cty.StringVal(""), "shm_size": cty.Zero},
			schema.Needs{CPUs: schema.Amount{Open: 1}, Memory: schema.Amount{Open: 1}, SharedMem: mib(64)}},
		"limits": {map[string]cty.Value{"memory": cty.NumberIntVal(1536), "cpus": cty.MustParseNumberVal("0.1"), "shm_size": cty.NumberIntVal(256), "gpus": cty.StringVal("device=0,2")},
			schema.Needs{CPUs: schema.Amount{N: 100}, Memory: mib(1536), SharedMem: mib(256), GPUs: schema.Amount{N: 2}}},
		"all GPUs and the host's shared memory": {map[string]cty.Value{"gpus": cty.StringVal("all"), "ipc_mode": cty.StringVal("host")},
			schema.Needs{CPUs: schema.Amount{Open: 1}, Memory: schema.Amount{Open: 1}, GPUs: schema.Amount{Open: 1}}},
		"not known yet": {map[string]cty.Value{"memory": cty.UnknownVal(cty.Number), "cpus": cty.UnknownVal(cty.Number), "shm_size": cty.UnknownVal(cty.Number), "gpus": cty.UnknownVal(cty.String), "ports": cty.UnknownVal(table.Attr("ports").Implied())},
			schema.Needs{CPUs: schema.Amount{Unknown: 1}, Memory: schema.Amount{Unknown: 1}, SharedMem: schema.Amount{Unknown: 1}, GPUs: schema.Amount{Unknown: 1}}},
		"ports": {map[string]cty.Value{"ports": cty.ListVal([]cty.Value{
			port(map[string]cty.Value{"internal": cty.NumberIntVal(80), "external": cty.NumberIntVal(8080), "ip": cty.StringVal("::"), "protocol": cty.StringVal("tcp")}),
			port(map[string]cty.Value{"internal": cty.NumberIntVal(81), "external": cty.UnknownVal(cty.Number), "ip": cty.StringVal("0.0.0.0"), "protocol": cty.StringVal("tcp")}),
			port(map[string]cty.Value{"internal": cty.NumberIntVal(82), "external": cty.NumberIntVal(8082), "ip": cty.UnknownVal(cty.String), "protocol": cty.StringVal("tcp")}),
		})}, schema.Needs{CPUs: schema.Amount{Open: 1}, Memory: schema.Amount{Open: 1}, SharedMem: mib(64), Ports: []string{"[::]:8080/tcp", "8082"}, FreePorts: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, table.Needs(table.Build(c.set))); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := volumeTable().Needs(volumeTable().Build(map[string]cty.Value{"name": cty.StringVal("data")})); len(got.Volumes) != 1 || got.Volumes[0] != "data" {
		t.Errorf("a volume needs %+v", got)
	}
}
