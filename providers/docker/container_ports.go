package docker

import (
	"fmt"
	"net/netip"

	"github.com/docker/docker/api/types/container"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
)

// publishedPorts names the fixed ports of the engine's machine that a container
// takes. A port that the engine chooses is never in the way, nor is a container
// that is not started.
func publishedPorts(v cty.Value) []string {
	if known(v, "start") && !truth(v, "start") {
		return nil
	}
	var out []string
	for _, p := range blocks(v, "ports") {
		if !known(p, "external", "ip", "protocol") || whole(p, "external") == 0 {
			continue
		}
		out = append(out, publishedPort(whole(p, "external"), text(p, "protocol"), text(p, "ip")))
	}
	return out
}

func publishedPort(port int64, protocol, ip string) string {
	return fmt.Sprintf("port %d/%s of %s", port, protocol, ip)
}

// held finds the running container that has a published port. An address that
// lies in another one's, as 127.0.0.1 in 0.0.0.0, is not looked for.
func (l listing) held() func(kind, thing string) (providers.Ref, bool) {
	by := map[string]providers.Ref{}
	for _, c := range l.containers {
		if c.State != container.StateRunning {
			continue
		}
		for _, p := range c.Ports {
			if p.PublicPort != 0 {
				by[publishedPort(int64(p.PublicPort), p.Type, p.IP)] = providers.Ref{Kind: Container, ID: c.ID, Name: nameOf(c)}
			}
		}
	}
	return func(kind, thing string) (providers.Ref, bool) {
		r, ok := by[thing]
		return r, ok && kind == Container
	}
}

// remarkContainer tells of what is open to more than this machine.
func remarkContainer(v cty.Value) []string {
	var out []string
	for _, p := range blocks(v, "ports") {
		if !p.IsKnown() || !known(p, "ip") || !open(text(p, "ip")) {
			continue
		}
		port := "a port"
		if n := whole(p, "external"); n != 0 {
			port = fmt.Sprintf("port %d", n)
		}
		out = append(out, fmt.Sprintf("opens %s to the network (%s); ip = \"127.0.0.1\" keeps it on this machine.", port, text(p, "ip")))
	}
	return out
}

// open reports whether an address is one that other machines reach.
func open(ip string) bool {
	addr, err := netip.ParseAddr(ip)
	return err != nil || !addr.IsLoopback()
}
