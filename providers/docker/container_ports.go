package docker

import (
	"fmt"
	"net/netip"

	"github.com/docker/docker/api/types/container"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// publishedPorts names the fixed ports of the engine's machine that a container
// takes. A port that the engine chooses is never in the way, nor is a container
// that is not started.
func publishedPorts(v cty.Value) []schema.Claim {
	if known(v, "start") && !truth(v, "start") || !v.GetAttr("network_mode").IsKnown() {
		return nil
	}
	var out []schema.Claim
	for _, p := range toPublish(v) {
		if !known(p, "external", "ip", "protocol") || whole(p, "external") == 0 {
			continue
		}
		out = append(out, publishedPort(whole(p, "external"), text(p, "protocol"), text(p, "ip")))
	}
	return out
}

// toPublish are the ports that the engine publishes: in the host's network and in
// none it passes over them.
func toPublish(v cty.Value) []cty.Value {
	if mode := container.NetworkMode(text(v, "network_mode")); mode.IsHost() || mode.IsNone() {
		return nil
	}
	return blocks(v, "ports")
}

// publishedPort is the claim to a port: on 0.0.0.0 to that of each IPv4 address,
// on :: to that of each IPv6 address.
func publishedPort(port int64, protocol, ip string) schema.Claim {
	c := schema.Claim{Of: fmt.Sprintf("port %d/%s", port, protocol), Part: ip}
	if addr, err := netip.ParseAddr(ip); err == nil {
		if addr.Is6() {
			c.Of += " over IPv6"
		}
		if addr.IsUnspecified() {
			c.Part = ""
		}
	}
	return c
}

// held finds the running containers that have a published port, in the order of
// the list.
func (l listing) held() func(kind string, claim schema.Claim) []providers.Ref {
	all := schema.Claims[providers.Ref]{}
	for _, c := range l.containers {
		switch c.State {
		case container.StateRunning, container.StatePaused, container.StateRestarting:
		default:
			continue
		}
		for _, p := range c.Ports {
			if p.PublicPort != 0 {
				all.Add(publishedPort(int64(p.PublicPort), p.Type, p.IP), providers.Ref{Kind: Container, ID: c.ID, Name: nameOf(c)})
			}
		}
	}
	return func(kind string, claim schema.Claim) []providers.Ref {
		if kind != Container {
			return nil
		}
		return all.Clashing(claim)
	}
}

// remarkContainer tells of what is open to more than this machine.
func remarkContainer(v cty.Value) []string {
	var out []string
	for _, p := range toPublish(v) {
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
