package docker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"
	"github.com/mdlayher/netlink"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// What the API does not tell, this machine does, where it is the engine's own.
// All of it is read, and "not known" wherever there is a doubt: a plan that was
// refused for nothing could not be applied at all.

// ownMachine reports whether an engine is certainly one of the machine and the
// kernel that we run on: not in a virtual machine, as Docker Desktop's, nor at
// the far end of a forwarded socket. root is "/" but in tests.
func ownMachine(info system.Info, host, root string) bool {
	return strings.HasPrefix(host, "unix:") &&
		kernelSays(root, "osrelease", info.KernelVersion) && kernelSays(root, "hostname", info.Name)
}

func kernelSays(root, what, want string) bool {
	is, err := os.ReadFile(filepath.Join(root, "proc/sys/kernel", what))
	return err == nil && strings.TrimSpace(string(is)) == want
}

// gpusOf is how many GPUs the engine can give to a container, nil where that is
// not known. What runs on our own kernel needs the NVIDIA driver that is loaded
// there, and that one lists its GPUs in /proc.
//
// Not known, too, are GPUs that come another way: of WSL (/dev/dxg), and those
// that the engine found itself (CDI).
func gpusOf(info system.Info, host, root string) *int {
	if !ownMachine(info, host, root) || len(info.DiscoveredDevices) > 0 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(root, "dev/dxg")); err == nil {
		return nil
	}
	driver := filepath.Join(root, "proc/driver/nvidia")
	n := 0
	if _, err := os.Stat(driver); err == nil {
		list, err := os.ReadDir(filepath.Join(driver, "gpus"))
		if err != nil {
			return nil
		}
		n = len(list)
	}
	return &n
}

// ownNetwork reports whether an engine certainly publishes ports in the network
// namespace that we run in: its socket was bound there. It is not where we run
// in a container that was given the socket, nor where the engine is rootless.
func ownNetwork(host, root string) bool {
	path := strings.TrimPrefix(host, "unix://")
	socket, err := os.Stat(filepath.Join(root, path))
	if err != nil {
		return false
	}
	list, err := os.ReadFile(filepath.Join(root, "proc/net/unix"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(list)) {
		// Num, RefCount, Protocol, Flags, Type, St, Inode and, where it has one, Path.
		// Only one of the same name is looked at: others may lie where nobody answers.
		if fields := strings.Fields(line); len(fields) == 8 && strings.HasPrefix(fields[7], "/") && filepath.Base(fields[7]) == filepath.Base(path) {
			if bound, err := os.Stat(filepath.Join(root, fields[7])); err == nil && os.SameFile(socket, bound) {
				return true
			}
		}
	}
	return false
}

// busy finds ports of the engine's machine at which something listens that is
// no container's published port. It looks once, when it is first asked.
func (l listing) busy(own bool, host string) func(kind string, claim schema.Claim, goes func(providers.Ref) bool) string {
	look := sync.OnceValue(func() schema.Claims[netip.AddrPort] {
		if !own || !ownNetwork(host, "/") {
			return nil
		}
		ports, err := listeners()
		if err != nil {
			return nil
		}
		return ports
	})
	return func(kind string, claim schema.Claim, goes func(providers.Ref) bool) string {
		if kind != Container {
			return ""
		}
		at := look().Clashing(claim)
		if len(at) == 0 || l.frees(goes) {
			return ""
		}
		return fmt.Sprintf("a process of the engine's machine that listens at %s (there, ss -lnp 'sport = :%d' shows which)", at[0], at[0].Port())
	}
}

// frees reports whether one of the containers that go may itself be what
// listens at a port that it does not publish.
func (l listing) frees(goes func(providers.Ref) bool) bool {
	for _, c := range l.containers {
		mode := container.NetworkMode(c.HostConfig.NetworkMode)
		if (mode.IsHost() || mode.IsContainer() || c.State == container.StateRestarting) && goes(providers.Ref{Kind: Container, ID: c.ID}) {
			return true
		}
	}
	return false
}

// listeners are the claims of whatever waits at a TCP or UDP port of this
// network namespace, each with the address in words. The kernel's sock_diag(7)
// says of a socket at :: whether it is at all IPv4 addresses, too, and passes
// over connections, of which there may be many more.
func listeners() (out schema.Claims[netip.AddrPort], err error) {
	conn, err := netlink.Dial(sockDiag, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	out = schema.Claims[netip.AddrPort]{}
	for _, family := range []byte{inet, inet6} {
		if err := listen(conn, out, family, ipTCP, tcpListen, "tcp"); err != nil {
			return nil, err
		}
		if err := listen(conn, out, family, ipUDP, tcpClose, "udp"); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Linux's numbers, which gapool is built without on other systems.
const (
	sockDiag         = 4  // NETLINK_SOCK_DIAG
	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	diagRequestLen   = 56 // struct inet_diag_req_v2
	diagMessageLen   = 72 // struct inet_diag_msg
	diagV6Only       = 11 // INET_DIAG_SKV6ONLY

	inet, inet6  = 2, 10
	ipTCP, ipUDP = 6, 17
	tcpListen    = 10
	tcpClose     = 7 // that of a UDP socket which is bound and not connected
)

func listen(conn *netlink.Conn, out schema.Claims[netip.AddrPort], family, protocol, state byte, name string) error {
	request := make([]byte, diagRequestLen)
	request[0], request[1] = family, protocol
	binary.NativeEndian.PutUint32(request[4:], 1<<state)
	answers, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: sockDiagByFamily, Flags: netlink.Request | netlink.Dump},
		Data:   request,
	})
	if err != nil {
		return err
	}
	for _, a := range answers {
		if len(a.Data) < diagMessageLen {
			return fmt.Errorf("sock_diag: an answer of %d bytes", len(a.Data))
		}
		// family, state, timer, retrans, then the port and addresses in the order of the network
		port := binary.BigEndian.Uint16(a.Data[4:])
		addr := netip.AddrFrom4([4]byte(a.Data[8:12]))
		if family == inet6 {
			addr = netip.AddrFrom16([16]byte(a.Data[8:24])).Unmap()
		}
		at := netip.AddrPortFrom(addr, port)
		out.Add(publishedPort(int64(port), name, addr.String()), at)
		if addr == netip.IPv6Unspecified() && !v6only(a.Data[diagMessageLen:]) {
			out.Add(publishedPort(int64(port), name, "0.0.0.0"), at)
		}
	}
	return nil
}

// v6only reads that of a socket. Where the kernel does not say it, it may be so.
func v6only(attributes []byte) bool {
	d, err := netlink.NewAttributeDecoder(attributes)
	if err != nil {
		return true
	}
	for d.Next() {
		if d.Type() == diagV6Only {
			return d.Uint8() != 0
		}
	}
	return true
}
