package docker

import (
	"fmt"
	"net/netip"

	"github.com/zclconf/go-cty/cty"
)

// publishedPorts names the fixed ports of the engine's machine that a container
// takes. A port that the engine chooses is never in the way.
func publishedPorts(v cty.Value) []string {
	var out []string
	for _, p := range blocks(v, "ports") {
		if !known(p, "external", "ip", "protocol") || whole(p, "external") == 0 {
			continue
		}
		out = append(out, fmt.Sprintf("port %d/%s of %s", whole(p, "external"), text(p, "protocol"), text(p, "ip")))
	}
	return out
}

// remarkContainer tells of what is open to more than this machine.
func remarkContainer(v cty.Value) []string {
	var out []string
	for _, p := range blocks(v, "ports") {
		if !p.IsKnown() || !known(p, "ip") || !open(text(p, "ip")) {
			continue
		}
		port := "a port that the engine chooses"
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
