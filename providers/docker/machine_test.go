package docker

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestGPUsOfTheMachine(t *testing.T) {
	const kernel = "6.1.0-9-amd64"
	machine := func(files ...string) string {
		root := t.TempDir()
		write(t, filepath.Join(root, "proc/sys/kernel/osrelease"), kernel+"\n")
		write(t, filepath.Join(root, "proc/sys/kernel/hostname"), "lab\n")
		for _, f := range files {
			write(t, filepath.Join(root, f), "")
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
		"no driver":                         {system.Info{Name: "lab", KernelVersion: kernel}, local, machine(), 0},
		"a driver and two GPUs":             {system.Info{Name: "lab", KernelVersion: kernel}, local, machine("proc/driver/nvidia/gpus/0000:01:00.0/information", "proc/driver/nvidia/gpus/0000:02:00.0/information"), 2},
		"a driver that does not tell":       {system.Info{Name: "lab", KernelVersion: kernel}, local, machine("proc/driver/nvidia/version"), -1},
		"WSL":                               {system.Info{Name: "lab", KernelVersion: kernel}, local, machine("dev/dxg"), -1},
		"the engine has devices":            {system.Info{Name: "lab", KernelVersion: kernel, DiscoveredDevices: []system.DeviceInfo{{Source: "cdi", ID: "vendor.com/gpu=0"}}}, local, machine(), -1},
		"a virtual machine behind a socket": {system.Info{Name: "lab", KernelVersion: "6.6.0-linuxkit"}, local, machine(), -1},
		"a forwarded socket":                {system.Info{Name: "cluster", KernelVersion: kernel}, local, machine(), -1},
		"another machine":                   {system.Info{Name: "lab", KernelVersion: kernel}, "ssh://lab", machine(), -1},
		"no proc":                           {system.Info{Name: "lab", KernelVersion: kernel}, local, t.TempDir(), -1},
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

// An engine publishes ports in our network where its socket was bound in it,
// under whatever name.
func TestNetworkOfTheEngine(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "run/docker.sock"), "")
	write(t, filepath.Join(root, "run/given.sock"), "")
	if err := os.MkdirAll(filepath.Join(root, "var"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../run", filepath.Join(root, "var/run")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "proc/net/unix"), `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000001: 00000002 00000000 00010000 0001 01 20101 @/run/given.sock
0000000000000002: 00000003 00000000 00000000 0001 03 20102
0000000000000003: 00000002 00000000 00010000 0001 01 20103 /run/gone.sock
0000000000000004: 00000002 00000000 00010000 0001 01 20104 /run/docker.sock
`)
	for host, want := range map[string]bool{
		"unix:///run/docker.sock":     true,
		"unix:///var/run/docker.sock": true,
		"unix:///run/given.sock":      false, // a mount from another namespace
		"unix:///run/gone.sock":       false,
		"ssh://lab":                   false,
	} {
		if got := ownNetwork(host, root); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
}

// Whatever listens has its port, and a socket at :: also that of IPv4 unless it
// says otherwise.
func TestListeners(t *testing.T) {
	port := func(addr net.Addr) int64 { return int64(netip.MustParseAddrPort(addr.String()).Port()) }
	tcp := func(network, addr string) int64 {
		l, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return port(l.Addr())
	}
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	one, all, both, six := tcp("tcp4", "127.0.0.1:0"), tcp("tcp4", "0.0.0.0:0"), tcp("tcp", "[::]:0"), tcp("tcp6", "[::]:0")
	// A connection has a port, too, and leaves it free for who listens elsewhere.
	c, err := net.Dial("tcp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(one)).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	found, err := listeners()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		claim schema.Claim
		at    string // "" if it is free
	}{
		{publishedPort(one, "tcp", "127.0.0.1"), "127.0.0.1"},
		{publishedPort(one, "tcp", "0.0.0.0"), "127.0.0.1"},
		{publishedPort(one, "tcp", "127.0.0.2"), ""},
		{publishedPort(one, "tcp", "::"), ""},
		{publishedPort(one, "udp", "127.0.0.1"), ""},
		{publishedPort(all, "tcp", "127.0.0.1"), "0.0.0.0"},
		{publishedPort(all, "tcp", "::"), ""},
		{publishedPort(both, "tcp", "127.0.0.1"), "::"},
		{publishedPort(both, "tcp", "::1"), "::"},
		{publishedPort(six, "tcp", "127.0.0.1"), ""},
		{publishedPort(six, "tcp", "::"), "::"},
		{publishedPort(port(udp.LocalAddr()), "udp", "0.0.0.0"), "127.0.0.1"},
		{publishedPort(port(udp.LocalAddr()), "tcp", "0.0.0.0"), ""},
		{publishedPort(port(c.LocalAddr()), "tcp", "0.0.0.0"), ""},
	} {
		at := ""
		if by := found.Clashing(want.claim); len(by) > 0 {
			at = by[0].Addr().String()
		}
		if at != want.at {
			t.Errorf("%s is taken at %q, not %q", want.claim, at, want.at)
		}
	}
}

// What a container that goes may itself listen at is not in the way.
func TestContainersWhoseProcessesListen(t *testing.T) {
	c := func(id, mode, state string) container.Summary {
		s := container.Summary{ID: id, State: state}
		s.HostConfig.NetworkMode = mode
		return s
	}
	l := listing{containers: []container.Summary{
		c("bridge", "default", container.StateRunning), c("host", "host", container.StateRunning),
		c("beside", "container:host", container.StateRunning), c("loops", "default", container.StateRestarting),
	}}
	for id, want := range map[string]bool{"bridge": false, "host": true, "beside": true, "loops": true, "other": false} {
		if got := l.frees(func(r providers.Ref) bool { return r.ID == id }); got != want {
			t.Errorf("%s: %v", id, got)
		}
	}
}
