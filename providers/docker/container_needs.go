package docker

import (
	"fmt"
	"math/big"
	"net"
	"strconv"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/schema"
)

// usualShm is what the engine gives /dev/shm where nothing else is said.
const usualShm = 64 * mebi

// containerNeeds is what a container may take at most. A limit of zero is none.
func containerNeeds(v cty.Value) schema.Needs {
	n := schema.Needs{
		CPUs:   limit(v.GetAttr("cpus"), big.NewFloat(1000)),
		Memory: limit(v.GetAttr("memory"), big.NewFloat(mebi)),
		GPUs:   gpuNeeds(v.GetAttr("gpus")),
	}
	if mode := text(v, "ipc_mode"); mode != "host" && mode != "none" {
		n.SharedMem = limit(v.GetAttr("shm_size"), big.NewFloat(mebi))
		if n.SharedMem.Open > 0 {
			n.SharedMem = schema.Amount{N: usualShm}
		}
	}
	for _, p := range toPublish(v) {
		switch {
		case !p.IsKnown() || whole(p, "external") == 0:
			n.FreePorts++
		case !known(p, "external", "ip", "protocol"):
			n.Ports = append(n.Ports, strconv.FormatInt(whole(p, "external"), 10))
		default:
			n.Ports = append(n.Ports, fmt.Sprintf("%s/%s", net.JoinHostPort(text(p, "ip"), strconv.FormatInt(whole(p, "external"), 10)), text(p, "protocol")))
		}
	}
	return n
}

// limit is a limit in the given parts of its unit.
func limit(v cty.Value, parts *big.Float) schema.Amount {
	switch {
	case !v.IsKnown():
		return schema.Amount{Unknown: 1}
	case v.IsNull() || v.AsBigFloat().Sign() <= 0:
		return schema.Amount{Open: 1}
	}
	f := new(big.Float).Mul(v.AsBigFloat(), parts)
	whole, _ := f.Add(f, big.NewFloat(0.5)).Int64()
	return schema.Amount{N: whole}
}

func gpuNeeds(v cty.Value) schema.Amount {
	switch {
	case !v.IsKnown():
		return schema.Amount{Unknown: 1}
	case v.IsNull() || v.AsString() == "":
		return schema.Amount{}
	}
	requests := gpuRequest(v.AsString())
	if len(requests) == 0 {
		return schema.Amount{Unknown: 1}
	}
	switch r := requests[0]; {
	case r.Count < 0:
		return schema.Amount{Open: 1}
	default:
		return schema.Amount{N: int64(max(r.Count, len(r.DeviceIDs)))}
	}
}
