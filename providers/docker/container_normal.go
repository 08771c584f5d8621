package docker

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// networkWord is the driver option in which an endpoint keeps how its network
// was written where that was an ID: the engine itself keeps the name only.
// Drivers pass over options that they do not know.
const networkWord = "gapool.network"

// networkAliases is the driver option with the aliases that were asked for. In
// the endpoint's own list the engine adds the container's short ID and its host
// name.
const networkAliases = "gapool.aliases"

// noSELinux is the security option that the engine adds by itself to a container
// that is privileged or shares namespaces with the host.
const (
	noSELinux      = "label=disable"
	givenNoSELinux = "security_opts." + noSELinux
)

// removed follows the name of a network that is gone where its ID is not known.
const removed = " (removed)"

// containerObject is the normal form of a container: what the engine says, in
// the words of the configuration. It is pure.
func (p *Provider) containerObject(c container.InspectResponse, img imageConfig, around surroundings, uploads []cty.Value) *providers.Object {
	n := normalizer{t: p.container, c: c, img: img, around: around}
	attrs := n.attrs()
	attrs["upload"] = blockList(p.container.Attr("upload").Implied(), uploads)
	name := strings.TrimPrefix(c.Name, "/")
	obj := &providers.Object{
		Kind: Container, ID: c.ID, Name: name, Owner: ownerOf(c.Config.Labels, img.Labels),
		Attrs: p.container.Build(attrs), Defaults: p.container.Build(n.defaults()),
		Started: started(c), Uses: n.uses(),
	}
	if t, err := time.Parse(time.RFC3339Nano, c.Created); err == nil {
		obj.Created = t
	}
	obj.State, obj.Since = stateOf(c.State)
	if c.State.Dead {
		obj.Broken = "the engine could not remove it whole"
	}
	return obj
}

// stateOf is a container's state for people, and since when it is so.
func stateOf(s *container.State) (string, time.Time) {
	text, at := string(s.Status), s.StartedAt
	switch s.Status {
	case container.StateRunning:
		if h := s.Health; h != nil && h.Status != "" && h.Status != container.NoHealthcheck {
			text += " (" + string(h.Status) + ")"
		}
	case container.StateExited:
		text, at = fmt.Sprintf("%s (%d)", text, s.ExitCode), s.FinishedAt
	case container.StateCreated:
		return text, time.Time{}
	}
	since, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return text, time.Time{}
	}
	return text, since
}

// started reports whether a container ever ran.
func started(c container.InspectResponse) bool {
	return c.State.Status != container.StateCreated
}

// running reports whether a container does its work: one that only waits for
// its next crash does not.
func running(s *container.State) bool { return s.Running && !s.Restarting }

type normalizer struct {
	t      *schema.Type
	c      container.InspectResponse
	img    imageConfig
	around surroundings
}

func (n normalizer) attrs() map[string]cty.Value {
	c, h := n.c.Config, n.c.HostConfig
	out := map[string]cty.Value{
		"name":          cty.StringVal(strings.TrimPrefix(n.c.Name, "/")),
		"image":         cty.StringVal(imageWord(c.Image, n.c.Image, n.around.tags)),
		"command":       stringList(c.Cmd),
		"entrypoint":    stringList(c.Entrypoint),
		"env":           stringMap(envMap(c.Env)),
		"labels":        stringMap(userLabels(c.Labels)),
		"user":          cty.StringVal(c.User),
		"working_dir":   cty.StringVal(workingDir(c.WorkingDir)),
		"hostname":      stringOrNull(c.Hostname),
		"domainname":    cty.StringVal(c.Domainname),
		"tty":           cty.BoolVal(c.Tty),
		"stdin_open":    cty.BoolVal(c.OpenStdin),
		"privileged":    cty.BoolVal(h.Privileged),
		"read_only":     cty.BoolVal(h.ReadonlyRootfs),
		"group_add":     stringSet(h.GroupAdd),
		"security_opts": stringSet(n.securityOpts()),
		"capabilities": n.block("capabilities").Build(map[string]cty.Value{
			"add":  stringSet(mapped(h.CapAdd, capability)),
			"drop": stringSet(mapped(h.CapDrop, capability)),
		}),
		"ports":              n.ports(),
		"publish_all_ports":  cty.BoolVal(h.PublishAllPorts),
		"sysctls":            stringMap(h.Sysctls),
		"ipc_mode":           stringOrNull(string(h.IpcMode)),
		"pid_mode":           cty.StringVal(string(h.PidMode)),
		"userns_mode":        cty.StringVal(string(h.UsernsMode)),
		"runtime":            stringOrNull(h.Runtime),
		"rm":                 cty.BoolVal(h.AutoRemove),
		"dns_opts":           stringSet(h.DNSOptions),
		"memory_reservation": mebibytes(h.MemoryReservation),
		"mounts":             n.mounts(),
		"volumes":            n.binds(),
		"tmpfs":              normalTmpfs(stringMap(h.Tmpfs)),
		"devices":            n.devices(),
		"gpus":               cty.StringVal(gpus(h.DeviceRequests)),
		"ulimit":             n.ulimits(),
		"networks_advanced":  n.networks(),
		"network_mode":       cty.StringVal(n.networkMode()),
		"dns":                stringSet(mapped(h.DNS, address)),
		"dns_search":         stringSet(h.DNSSearch),
		"host":               n.hosts(),
		"restart":            cty.StringVal(cmp.Or(string(h.RestartPolicy.Name), "no")),
		"max_retry_count":    cty.NumberIntVal(int64(h.RestartPolicy.MaximumRetryCount)),
		"memory":             mebibytes(h.Memory),
		"memory_swap":        swap(h.MemorySwap),
		"cpus":               cpus(h.NanoCPUs),
		"cpu_shares":         cty.NumberIntVal(h.CPUShares),
		"cpu_set":            cty.StringVal(h.CpusetCpus),
		"shm_size":           mebibytes(h.ShmSize),
		"healthcheck":        n.healthcheck(c.Healthcheck),
		"log_driver":         cty.StringVal(h.LogConfig.Type),
		"log_opts":           stringMap(h.LogConfig.Config),
		"stop_signal":        cty.StringVal(cmp.Or(signal(c.StopSignal), "SIGTERM")),
		"must_run":           cty.BoolVal(running(n.c.State)),
		"id":                 cty.StringVal(n.c.ID),
		"network_data":       n.networkData(),
	}
	if h.Init != nil {
		out["init"] = cty.BoolVal(*h.Init)
	}
	if c.StopTimeout != nil {
		out["stop_timeout"] = cty.NumberIntVal(int64(*c.StopTimeout))
	}
	if started(n.c) && !n.c.State.Running {
		out["exit_code"] = cty.NumberIntVal(int64(n.c.State.ExitCode))
	}
	return out
}

// defaults are what holds where the configuration is silent: the image's word,
// or the engine's. What the engine decides by its own configuration is left
// out, so that anything is accepted there.
func (n normalizer) defaults() map[string]cty.Value {
	list := func(attr string) cty.Value { return cty.ListValEmpty(n.t.Attr(attr).Implied().ElementType()) }
	given := given(n.c.Config.Labels)
	command := n.img.Cmd
	if len(n.c.Config.Cmd) == 0 {
		// An entrypoint of its own has taken the image's command away.
		command = nil
	}
	out := map[string]cty.Value{
		"command":            stringList(command),
		"entrypoint":         stringList(n.img.Entrypoint),
		"env":                stringMap(envMap(n.img.Env)),
		"labels":             stringMap(givenLabels(n.c.Config.Labels, n.img.Labels)),
		"user":               cty.StringVal(n.img.User),
		"working_dir":        cty.StringVal(workingDir(n.img.WorkingDir)),
		"privileged":         cty.False,
		"read_only":          cty.False,
		"group_add":          stringSet(nil),
		"capabilities":       n.block("capabilities").Build(map[string]cty.Value{"add": stringSet(nil), "drop": stringSet(nil)}),
		"ports":              list("ports"),
		"domainname":         cty.StringVal(""),
		"tty":                cty.False,
		"stdin_open":         cty.False,
		"publish_all_ports":  cty.False,
		"sysctls":            stringMap(nil),
		"pid_mode":           cty.StringVal(""),
		"userns_mode":        cty.StringVal(""),
		"rm":                 cty.False,
		"dns_opts":           stringSet(nil),
		"memory_reservation": cty.Zero,
		"mounts":             list("mounts"),
		"volumes":            list("volumes"),
		"upload":             list("upload"),
		"tmpfs":              stringMap(nil),
		"devices":            list("devices"),
		"gpus":               cty.StringVal(""),
		"dns":                stringSet(nil),
		"dns_search":         stringSet(nil),
		"host":               list("host"),
		"memory":             cty.Zero,
		"cpus":               cty.Zero,
		"cpu_shares":         cty.Zero,
		"cpu_set":            cty.StringVal(""),
		"healthcheck":        n.healthcheck(n.img.Health),
		"stop_signal":        cty.StringVal(cmp.Or(signal(n.img.StopSignal), "SIGTERM")),
		"network_mode":       cty.StringVal("bridge"),
		"restart":            cty.StringVal("no"),
		"max_retry_count":    cty.Zero,
		"networks_advanced":  list("networks_advanced"),
		"log_opts":           engineEntries("log_opts", n.c.HostConfig.LogConfig.Config, given),
	}
	// What was configured and is not any more goes back to what an engine has
	// that nobody configured.
	for attr, v := range map[string]cty.Value{
		"hostname":      cty.StringVal(n.c.ID[:min(12, len(n.c.ID))]),
		"init":          cty.False,
		"ipc_mode":      cty.StringVal("private"),
		"runtime":       cty.StringVal("runc"),
		"log_driver":    cty.StringVal("json-file"),
		"security_opts": stringSet(nil),
		"shm_size":      cty.NumberIntVal(64),
		"stop_timeout":  cty.NumberIntVal(defaultStop),
		"ulimit":        list("ulimit"),
	} {
		if given[attr] {
			out[attr] = v
		}
	}
	// A limit of memory brings one of swap, unless the kernel cannot.
	if m := n.c.HostConfig.Memory; m > 0 && (given["memory_swap"] || n.c.HostConfig.MemorySwap > 0) {
		out["memory_swap"] = mebibytes(2 * m)
	}
	if !n.hasPrimary() {
		// The configuration names none, and what somebody attached by hand is theirs.
		delete(out, "networks_advanced")
	}
	return out
}

// hasPrimary reports whether the network of the container's mode is one of
// networks_advanced.
func (n normalizer) hasPrimary() bool {
	return userNetwork(string(n.c.HostConfig.NetworkMode)) && n.c.Config.Labels[labelNetworkMode] == ""
}

func (n normalizer) block(attr string) *schema.Block { return n.t.Attr(attr).Block }

// imageWord is the image as it is configured: by the word that the container
// was made with, if that still means the container's image, else its ID.
func imageWord(word, id string, tags map[string]string) string {
	word = imageName(word)
	if word == id || tags[word] == id {
		return word
	}
	return id
}

func envMap(list []string) map[string]string {
	out := map[string]string{}
	for _, e := range list {
		// An entry without a value takes a variable away, which is as well
		// said by its absence.
		if k, v, ok := strings.Cut(e, "="); ok {
			out[k] = v
		}
	}
	return out
}

func workingDir(dir string) string {
	if dir == "" {
		return "/"
	}
	return path.Clean(dir)
}

func mapped(list []string, f func(string) string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = f(s)
	}
	return out
}

func swap(bytes int64) cty.Value {
	if bytes < 0 {
		return cty.NumberIntVal(-1)
	}
	return mebibytes(bytes)
}

// ports are the wanted bindings, which stay while the container is stopped. A
// port that the engine chose is known while it runs.
func (n normalizer) ports() cty.Value {
	type binding struct {
		internal, external int
		proto, ip          string
	}
	var list []binding
	for p, bs := range n.c.HostConfig.PortBindings {
		for i, b := range bs {
			host := b.HostPort
			if host == "" || host == "0" {
				host = chosen(n.c.NetworkSettings, p, i, b.HostIP)
			}
			external, err := strconv.Atoi(host)
			if err != nil {
				external = 0 // not bound now, or a range, which we never ask for
			}
			list = append(list, binding{p.Int(), external, p.Proto(), cmp.Or(address(b.HostIP), "0.0.0.0")})
		}
	}
	slices.SortFunc(list, func(a, b binding) int {
		return cmp.Or(cmp.Compare(a.internal, b.internal), cmp.Compare(a.proto, b.proto), cmp.Compare(a.ip, b.ip), cmp.Compare(a.external, b.external))
	})
	var out []cty.Value
	for _, b := range list {
		set := map[string]cty.Value{
			"internal": cty.NumberIntVal(int64(b.internal)),
			"ip":       cty.StringVal(b.ip), "protocol": cty.StringVal(b.proto),
		}
		if b.external > 0 {
			set["external"] = cty.NumberIntVal(int64(b.external))
		}
		out = append(out, n.block("ports").Build(set))
	}
	return blockList(n.t.Attr("ports").Implied(), out)
}

// chosen is the port that the engine gave the i-th binding of a port.
func chosen(s *container.NetworkSettings, p nat.Port, i int, ip string) string {
	if s == nil {
		return ""
	}
	ip = cmp.Or(address(ip), "0.0.0.0")
	of := slices.DeleteFunc(slices.Clone(s.Ports[p]), func(b nat.PortBinding) bool { return address(b.HostIP) != ip })
	if len(of) == 0 {
		return ""
	}
	return of[min(i, len(of)-1)].HostPort
}

func (n normalizer) mounts() cty.Value {
	var out []cty.Value
	for _, m := range sortedBy(n.c.HostConfig.Mounts, func(m mount.Mount) string { return path.Clean(m.Target) }) {
		b := n.block("mounts")
		set := map[string]cty.Value{
			"target":    cty.StringVal(path.Clean(m.Target)),
			"type":      cty.StringVal(string(m.Type)),
			"source":    stringOrNull(m.Source),
			"read_only": cty.BoolVal(m.ReadOnly),
		}
		if o := m.BindOptions; o != nil {
			set["bind_options"] = b.Attr("bind_options").Block.Build(map[string]cty.Value{"propagation": stringOrNull(string(o.Propagation))})
		}
		if o := m.VolumeOptions; o != nil {
			set["volume_options"] = b.Attr("volume_options").Block.Build(map[string]cty.Value{"no_copy": cty.BoolVal(o.NoCopy)})
		}
		if o := m.TmpfsOptions; o != nil {
			set["tmpfs_options"] = b.Attr("tmpfs_options").Block.Build(map[string]cty.Value{
				"size_bytes": cty.NumberIntVal(o.SizeBytes), "mode": cty.NumberIntVal(int64(o.Mode)),
			})
		}
		out = append(out, b.Build(set))
	}
	return blockList(n.t.Attr("mounts").Implied(), out)
}

func (n normalizer) binds() cty.Value {
	var out []cty.Value
	for _, bind := range sortedBy(n.c.HostConfig.Binds, bindTarget) {
		parts := strings.Split(bind, ":")
		if len(parts) < 2 {
			continue // a volume without a name, which we never ask for
		}
		set := map[string]cty.Value{"container_path": cty.StringVal(bindTarget(bind)), "read_only": cty.False}
		if path.IsAbs(parts[0]) {
			set["host_path"] = cty.StringVal(path.Clean(parts[0]))
		} else {
			set["volume_name"] = cty.StringVal(parts[0])
		}
		if len(parts) > 2 {
			for o := range strings.SplitSeq(parts[2], ",") {
				switch o {
				case "ro":
					set["read_only"] = cty.True
				case "z", "Z":
					set["selinux_relabel"] = cty.StringVal(o)
				}
			}
		}
		out = append(out, n.block("volumes").Build(set))
	}
	return blockList(n.t.Attr("volumes").Implied(), out)
}

func bindTarget(bind string) string {
	parts := strings.Split(bind, ":")
	return path.Clean(parts[min(1, len(parts)-1)])
}

func (n normalizer) devices() cty.Value {
	var out []cty.Value
	for _, d := range sortedBy(n.c.HostConfig.Devices, func(d container.DeviceMapping) string { return d.PathOnHost + " " + d.PathInContainer }) {
		out = append(out, n.block("devices").Build(map[string]cty.Value{
			"host_path":      cty.StringVal(d.PathOnHost),
			"container_path": cty.StringVal(d.PathInContainer),
			"permissions":    cty.StringVal(d.CgroupPermissions),
		}))
	}
	return blockList(n.t.Attr("devices").Implied(), out)
}

func (n normalizer) ulimits() cty.Value {
	var out []cty.Value
	for _, u := range sortedBy(n.c.HostConfig.Ulimits, func(u *container.Ulimit) string { return u.Name }) {
		out = append(out, n.block("ulimit").Build(map[string]cty.Value{
			"name": cty.StringVal(u.Name), "soft": cty.NumberIntVal(u.Soft), "hard": cty.NumberIntVal(u.Hard),
		}))
	}
	return blockList(n.t.Attr("ulimit").Implied(), out)
}

func (n normalizer) hosts() cty.Value {
	var out []cty.Value
	for _, line := range sortedBy(n.c.HostConfig.ExtraHosts, func(s string) string { return s }) {
		host, ip, _ := strings.Cut(line, ":")
		out = append(out, n.block("host").Build(map[string]cty.Value{"host": cty.StringVal(host), "ip": cty.StringVal(ip)}))
	}
	return blockList(n.t.Attr("host").Implied(), out)
}

// healthcheck is the check of a container, or of an image for the defaults. No
// check equals ["NONE"].
func (n normalizer) healthcheck(h *container.HealthConfig) cty.Value {
	if h == nil || len(h.Test) == 0 {
		h = &container.HealthConfig{Test: []string{"NONE"}}
	}
	return n.block("healthcheck").Build(map[string]cty.Value{
		"test":           stringList(h.Test),
		"interval":       cty.StringVal(h.Interval.String()),
		"timeout":        cty.StringVal(h.Timeout.String()),
		"start_period":   cty.StringVal(h.StartPeriod.String()),
		"start_interval": cty.StringVal(h.StartInterval.String()),
		"retries":        cty.NumberIntVal(int64(h.Retries)),
	})
}

// userNetwork reports whether a network mode names a network of its own.
func userNetwork(mode string) bool {
	switch mode {
	case "", "default", "bridge", "host", "none":
		return false
	}
	return !strings.HasPrefix(mode, "container:")
}

// networkMode is the mode as it was written. One that names the first of
// networks_advanced was not written at all.
func (n normalizer) networkMode() string {
	mode, written := string(n.c.HostConfig.NetworkMode), n.c.Config.Labels[labelNetworkMode]
	if parent, ok := strings.CutPrefix(mode, "container:"); ok {
		// The engine keeps an ID. The written name may mean another one now.
		if word, ok := strings.CutPrefix(written, "container:"); ok && n.around.containers[word] == parent {
			return written
		}
		return mode
	}
	if !userNetwork(mode) {
		return cmp.Or(strings.Replace(mode, "default", "bridge", 1), "bridge")
	}
	if written == "" {
		return "bridge"
	}
	for name, ep := range n.c.NetworkSettings.Networks {
		if n.isPrimary(name, ep) && n.goneNetwork(name, ep) {
			return ep.NetworkID
		}
	}
	return written
}

// isPrimary reports whether an endpoint is on the network of the container's
// mode, which is a name or an ID.
func (n normalizer) isPrimary(name string, ep *network.EndpointSettings) bool {
	mode := string(n.c.HostConfig.NetworkMode)
	return mode == name || (ep.NetworkID != "" && mode == ep.NetworkID) || mode == ep.DriverOpts[networkWord]
}

// goneNetwork reports whether the network that a container was connected to
// does not exist any more, though another of its name may. The engine keeps the
// ID of the old one until the container fails to start.
func (n normalizer) goneNetwork(name string, ep *network.EndpointSettings) bool {
	if ep.NetworkID != "" {
		return n.around.networks[ep.NetworkID] == ""
	}
	for _, other := range n.around.networks {
		if other == name {
			return false
		}
	}
	return true
}

// networks are the user's networks of the container, the primary one first. One
// that is gone reads by its old ID, which equals no name.
func (n normalizer) networks() cty.Value {
	mode := string(n.c.HostConfig.NetworkMode)
	if mode == "host" || mode == "none" || strings.HasPrefix(mode, "container:") || n.c.NetworkSettings == nil {
		return cty.NullVal(n.t.Attr("networks_advanced").Implied())
	}
	written := n.c.Config.Labels[labelNetworkMode] != ""
	var primary, others []cty.Value
	for _, name := range sortedKeys(n.c.NetworkSettings.Networks) {
		ep := n.c.NetworkSettings.Networks[name]
		first := n.isPrimary(name, ep)
		if (name == "bridge" && !userNetwork(mode)) || (first && written) {
			continue
		}
		word := name
		switch {
		case n.goneNetwork(name, ep):
			word = cmp.Or(ep.NetworkID, name+removed)
		case ep.DriverOpts[networkWord] != "" && (ep.DriverOpts[networkWord] == ep.NetworkID || ep.NetworkID == ""):
			word = ep.DriverOpts[networkWord]
		}
		set := map[string]cty.Value{
			"name":    cty.StringVal(word),
			"aliases": stringSet(aliases(ep, n.c.ID, n.c.Config.Hostname)),
		}
		if ipam := ep.IPAMConfig; ipam != nil {
			set["ipv4_address"] = stringOrNull(address(ipam.IPv4Address))
			set["ipv6_address"] = stringOrNull(address(ipam.IPv6Address))
		}
		el := n.block("networks_advanced").Build(set)
		if first {
			primary = append(primary, el)
		} else {
			others = append(others, el)
		}
	}
	return blockList(n.t.Attr("networks_advanced").Implied(), append(primary, others...))
}

// aliases are those of an endpoint that were asked for and are there. Of one
// that we did not make they are all but the container's short ID and its host
// name, which the engine adds.
func aliases(ep *network.EndpointSettings, id, hostname string) []string {
	if asked := ep.DriverOpts[networkAliases]; asked != "" {
		return slices.DeleteFunc(strings.Split(asked, ","), func(a string) bool { return !slices.Contains(ep.Aliases, a) })
	}
	return slices.DeleteFunc(slices.Clone(ep.Aliases), func(a string) bool {
		return a == hostname || len(a) >= 12 && strings.HasPrefix(id, a)
	})
}

// securityOpts are the options less the one that comes with privileged and with
// namespaces of the host.
func (n normalizer) securityOpts() []string {
	h := n.c.HostConfig
	if !h.Privileged && !h.IpcMode.IsHost() && !h.PidMode.IsHost() || given(n.c.Config.Labels)[givenNoSELinux] {
		return h.SecurityOpt
	}
	return slices.DeleteFunc(slices.Clone(h.SecurityOpt), func(o string) bool { return o == noSELinux })
}

func (n normalizer) networkData() cty.Value {
	if n.c.NetworkSettings == nil || len(n.c.NetworkSettings.Networks) == 0 {
		return cty.ListValEmpty(networkData)
	}
	var out []cty.Value
	for _, name := range sortedKeys(n.c.NetworkSettings.Networks) {
		ep := n.c.NetworkSettings.Networks[name]
		out = append(out, cty.ObjectVal(map[string]cty.Value{
			"network_name":              cty.StringVal(name),
			"ip_address":                cty.StringVal(ep.IPAddress),
			"ip_prefix_length":          cty.NumberIntVal(int64(ep.IPPrefixLen)),
			"gateway":                   cty.StringVal(ep.Gateway),
			"global_ipv6_address":       cty.StringVal(ep.GlobalIPv6Address),
			"global_ipv6_prefix_length": cty.NumberIntVal(int64(ep.GlobalIPv6PrefixLen)),
			"ipv6_gateway":              cty.StringVal(ep.IPv6Gateway),
			"mac_address":               cty.StringVal(ep.MacAddress),
		}))
	}
	return cty.ListVal(out)
}

// uses are the networks, named volumes and the container that this one cannot
// be without.
func (n normalizer) uses() []providers.Ref {
	set := map[providers.Ref]bool{}
	if n.c.NetworkSettings != nil {
		for name, ep := range n.c.NetworkSettings.Networks {
			id := ep.NetworkID
			for other, otherName := range n.around.networks {
				if id == "" && otherName == name {
					id = other
				}
			}
			if id != "" && name != "bridge" && name != "host" && name != "none" {
				set[providers.Ref{Kind: Network, ID: id, Name: name}] = true
			}
		}
	}
	for _, m := range n.c.Mounts {
		if m.Type == mount.TypeVolume && n.named(m.Destination) {
			set[providers.Ref{Kind: Volume, ID: m.Name, Name: m.Name}] = true
		}
	}
	if parent, ok := strings.CutPrefix(string(n.c.HostConfig.NetworkMode), "container:"); ok {
		ref := providers.Ref{Kind: Container, ID: parent}
		for word, id := range n.around.containers {
			if id == parent && word != id {
				ref.Name = word
			}
		}
		set[ref] = true
	}
	refs := slices.Collect(maps.Keys(set))
	sortRefs(refs)
	return refs
}

// named reports whether what is mounted at a path was asked for by name: a
// volume without one goes with its container.
func (n normalizer) named(target string) bool {
	return slices.ContainsFunc(n.c.HostConfig.Mounts, func(m mount.Mount) bool { return path.Clean(m.Target) == target && m.Source != "" }) ||
		slices.ContainsFunc(n.c.HostConfig.Binds, func(b string) bool { return strings.Contains(b, ":") && bindTarget(b) == target })
}

func sortedBy[T any](list []T, by func(T) string) []T {
	return slices.SortedStableFunc(slices.Values(list), func(a, b T) int { return cmp.Compare(by(a), by(b)) })
}

// gpus is the wish for GPUs in the words of the configuration.
func gpus(requests []container.DeviceRequest) string {
	for _, r := range requests {
		switch {
		case !slices.ContainsFunc(r.Capabilities, func(all []string) bool { return slices.Contains(all, "gpu") }):
		case len(r.DeviceIDs) > 0:
			return "device=" + strings.Join(slices.Sorted(slices.Values(r.DeviceIDs)), ",")
		case r.Count < 0:
			return "all"
		default:
			return strconv.Itoa(r.Count)
		}
	}
	return ""
}

func gpuRequest(s string) []container.DeviceRequest {
	r := container.DeviceRequest{Capabilities: [][]string{{"gpu"}}}
	if ids, ok := strings.CutPrefix(s, "device="); ok {
		r.DeviceIDs = strings.Split(ids, ",")
	} else if s == "all" {
		r.Count = -1
	} else if count, err := strconv.Atoi(s); err == nil && count > 0 {
		r.Count = count
	} else {
		return nil
	}
	return []container.DeviceRequest{r}
}

func normalGPUs(v cty.Value) cty.Value { return cty.StringVal(gpus(gpuRequest(v.AsString()))) }

func acceptGPUs(v cty.Value) (cty.Value, error) {
	if v.Type() == cty.Number {
		v = cty.StringVal(v.AsBigFloat().Text('f', -1))
	}
	if v.Type() != cty.String || v.AsString() != "" && gpuRequest(v.AsString()) == nil {
		return cty.NilVal, errors.New(`write "all", how many ("2") or which ("device=0,1")`)
	}
	return v, nil
}

// seconds is a time limit for the engine.
func seconds(n int64) int { return int(min(n, math.MaxInt32)) }
