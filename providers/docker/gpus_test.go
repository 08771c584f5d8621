package docker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/docker/docker/api/types/system"
)

func TestGPUsOfTheMachine(t *testing.T) {
	const kernel = "6.1.0-9-amd64"
	machine := func(files ...string) string {
		root := t.TempDir()
		for _, f := range append(files, "proc/sys/kernel/osrelease") {
			f = filepath.Join(root, f)
			if err := os.MkdirAll(filepath.Dir(f), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(f, []byte(kernel+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return root
	}
	const local = "unix:///var/run/docker.sock"
	for name, c := range map[string]struct {
		info system.Info
		host string
		root string
		want int // -1: not known
	}{
		"no driver":                         {system.Info{KernelVersion: kernel}, local, machine(), 0},
		"a driver and two GPUs":             {system.Info{KernelVersion: kernel}, local, machine("proc/driver/nvidia/gpus/0000:01:00.0/information", "proc/driver/nvidia/gpus/0000:02:00.0/information"), 2},
		"a driver that does not tell":       {system.Info{KernelVersion: kernel}, local, machine("proc/driver/nvidia/version"), -1},
		"WSL":                               {system.Info{KernelVersion: kernel}, local, machine("dev/dxg"), -1},
		"the engine has devices":            {system.Info{KernelVersion: kernel, DiscoveredDevices: []system.DeviceInfo{{Source: "cdi", ID: "vendor.com/gpu=0"}}}, local, machine(), -1},
		"a virtual machine behind a socket": {system.Info{KernelVersion: "6.6.0-linuxkit"}, local, machine(), -1},
		"another machine":                   {system.Info{KernelVersion: kernel}, "ssh://lab", machine(), -1},
		"no proc":                           {system.Info{KernelVersion: kernel}, local, t.TempDir(), -1},
	} {
		got := -1
		if n := gpusOf(c.info, c.host, c.root); n != nil {
			got = *n
		}
		if got != c.want {
			t.Errorf("%s: %d GPUs, not %d", name, got, c.want)
		}
	}
}
