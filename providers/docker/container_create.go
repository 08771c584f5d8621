package docker

import (
	"cmp"
	"strconv"
	"strings"

	"os"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
)

// containerSpec is a container in the engine's words.
type containerSpec struct {
	config  *container.Config
	host    *container.HostConfig
	primary *network.NetworkingConfig
	others  []endpoint // to be connected before the start
}

// endpoint is a container's place on a network.
type endpoint struct {
	network  string // name or ID, as written
	settings *network.EndpointSettings
}

// specOf turns a wanted value into the engine's words. It is pure. What is not
// set stays unset, and the engine's or the image's word holds.
func specOf(want cty.Value, owner providers.Owner) containerSpec {
	labels := mergeLabels(textMap(want, "labels"), owner)
	s := containerSpec{
		config: &container.Config{
			Image: text(want, "image"), Cmd: texts(want, "command"), User: text(want, "user"),
			WorkingDir: text(want, "working_dir"), Hostname: text(want, "hostname"), StopSignal: text(want, "stop_signal"),
			Domainname: text(want, "domainname"), Tty: truth(want, "tty"), OpenStdin: truth(want, "stdin_open"),
			Labels: labels, Healthcheck: healthcheck(want.GetAttr("healthcheck")),
		},
		host: &container.HostConfig{
			Privileged: truth(want, "privileged"), ReadonlyRootfs: truth(want, "read_only"),
			GroupAdd: texts(want, "group_add"), SecurityOpt: texts(want, "security_opts"), Tmpfs: textMap(want, "tmpfs"),
			Sysctls: textMap(want, "sysctls"), IpcMode: container.IpcMode(text(want, "ipc_mode")), PidMode: container.PidMode(text(want, "pid_mode")),
			UsernsMode: container.UsernsMode(text(want, "userns_mode")), Runtime: text(want, "runtime"),
			PublishAllPorts: truth(want, "publish_all_ports"), AutoRemove: truth(want, "rm"), DNSOptions: texts(want, "dns_opts"),
			DNS: texts(want, "dns"), DNSSearch: texts(want, "dns_search"), ShmSize: bytesOf(want, "shm_size"),
			RestartPolicy: restartPolicy(want),
			LogConfig:     container.LogConfig{Type: text(want, "log_driver"), Config: textMap(want, "log_opts")},
			Resources:     resources(want),
		},
	}
	if e := want.GetAttr("entrypoint"); !e.IsNull() {
		s.config.Entrypoint = listOf(e) // empty is not nil: it takes the image's away
	}
	env := textMap(want, "env")
	for _, k := range sortedKeys(env) {
		s.config.Env = append(s.config.Env, k+"="+env[k])
	}
	if set(want, "stop_timeout") {
		n := seconds(whole(want, "stop_timeout"))
		s.config.StopTimeout = &n
	}
	if set(want, "init") {
		on := truth(want, "init")
		s.host.Init = &on
	}
	if c := want.GetAttr("capabilities"); !c.IsNull() {
		s.host.CapAdd, s.host.CapDrop = texts(c, "add"), texts(c, "drop")
	}
	for _, h := range blocks(want, "host") {
		s.host.ExtraHosts = append(s.host.ExtraHosts, text(h, "host")+":"+text(h, "ip"))
	}
	if l := uploadLabel(want); l != "" {
		labels[labelUploads] = l
	}
	if l := givenLabel(want, engineFills...); l != "" {
		labels[labelGiven] = l
	}
	s.addPorts(want)
	s.addMounts(want)
	s.addNetworks(want)
	return s
}

// engineFills are the attributes for which the engine has a value of its own
// that it does not tell.
var engineFills = []string{
	"hostname", "init", "ipc_mode", "log_driver", "log_opts", "memory_swap", "runtime", "security_opts", "shm_size", "stop_timeout", "ulimit",
}

func restartPolicy(want cty.Value) container.RestartPolicy {
	return container.RestartPolicy{
		Name:              container.RestartPolicyMode(cmp.Or(text(want, "restart"), "no")),
		MaximumRetryCount: int(whole(want, "max_retry_count")),
	}
}

func resources(want cty.Value) container.Resources {
	r := container.Resources{
		Memory: bytesOf(want, "memory"), MemoryReservation: bytesOf(want, "memory_reservation"), MemorySwap: bytesOf(want, "memory_swap"), NanoCPUs: cpusOf(want, "cpus"),
		CPUShares: whole(want, "cpu_shares"), CpusetCpus: text(want, "cpu_set"), DeviceRequests: gpuRequest(text(want, "gpus")),
	}
	for _, d := range blocks(want, "devices") {
		r.Devices = append(r.Devices, container.DeviceMapping{
			PathOnHost:        text(d, "host_path"),
			PathInContainer:   cmp.Or(text(d, "container_path"), text(d, "host_path")),
			CgroupPermissions: text(d, "permissions"),
		})
	}
	for _, u := range blocks(want, "ulimit") {
		r.Ulimits = append(r.Ulimits, &container.Ulimit{Name: text(u, "name"), Soft: whole(u, "soft"), Hard: whole(u, "hard")})
	}
	return r
}

func healthcheck(v cty.Value) *container.HealthConfig {
	if v.IsNull() {
		return nil
	}
	return &container.HealthConfig{
		Test: texts(v, "test"), Interval: duration(v, "interval"), Timeout: duration(v, "timeout"),
		StartPeriod: duration(v, "start_period"), StartInterval: duration(v, "start_interval"), Retries: int(whole(v, "retries")),
	}
}

func (s *containerSpec) addPorts(want cty.Value) {
	for _, p := range blocks(want, "ports") {
		if s.config.ExposedPorts == nil {
			s.config.ExposedPorts, s.host.PortBindings = nat.PortSet{}, nat.PortMap{}
		}
		port := nat.Port(strconv.FormatInt(whole(p, "internal"), 10) + "/" + text(p, "protocol"))
		b := nat.PortBinding{HostIP: text(p, "ip")}
		if set(p, "external") {
			b.HostPort = strconv.FormatInt(whole(p, "external"), 10)
		}
		s.config.ExposedPorts[port] = struct{}{}
		s.host.PortBindings[port] = append(s.host.PortBindings[port], b)
	}
}

func (s *containerSpec) addMounts(want cty.Value) {
	for _, m := range blocks(want, "mounts") {
		out := mount.Mount{
			Type: mount.Type(text(m, "type")), Source: text(m, "source"), Target: text(m, "target"), ReadOnly: truth(m, "read_only"),
		}
		if o := m.GetAttr("bind_options"); !o.IsNull() && out.Type == mount.TypeBind {
			out.BindOptions = &mount.BindOptions{Propagation: mount.Propagation(text(o, "propagation"))}
		}
		if o := m.GetAttr("volume_options"); !o.IsNull() && out.Type == mount.TypeVolume {
			out.VolumeOptions = &mount.VolumeOptions{NoCopy: truth(o, "no_copy")}
		}
		if o := m.GetAttr("tmpfs_options"); !o.IsNull() && out.Type == mount.TypeTmpfs {
			out.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: whole(o, "size_bytes"), Mode: os.FileMode(whole(o, "mode"))}
		}
		s.host.Mounts = append(s.host.Mounts, out)
	}
	for _, v := range blocks(want, "volumes") {
		var options []string
		if truth(v, "read_only") {
			options = append(options, "ro")
		}
		if l := text(v, "selinux_relabel"); l != "" {
			options = append(options, l)
		}
		bind := cmp.Or(text(v, "host_path"), text(v, "volume_name")) + ":" + text(v, "container_path")
		if options != nil {
			bind += ":" + strings.Join(options, ",")
		}
		s.host.Binds = append(s.host.Binds, bind)
	}
}

// addNetworks puts the first network into the create call, which takes one
// only, and leaves the others to be connected.
func (s *containerSpec) addNetworks(want cty.Value) {
	nets := blocks(want, "networks_advanced")
	if len(nets) == 0 {
		mode := text(want, "network_mode")
		s.host.NetworkMode = container.NetworkMode(mode)
		if mode != "" && mode != "bridge" {
			s.config.Labels[labelNetworkMode] = mode
		}
		return
	}
	for i, n := range nets {
		ep := endpointOf(n)
		if i > 0 {
			s.others = append(s.others, ep)
			continue
		}
		s.host.NetworkMode = container.NetworkMode(ep.network)
		s.primary = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{ep.network: ep.settings}}
	}
}

func endpointOf(n cty.Value) endpoint {
	ep := endpoint{network: text(n, "name"), settings: &network.EndpointSettings{Aliases: texts(n, "aliases")}}
	if set(n, "ipv4_address") || set(n, "ipv6_address") {
		ep.settings.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: text(n, "ipv4_address"), IPv6Address: text(n, "ipv6_address")}
	}
	opts := map[string]string{}
	if isHex(ep.network) {
		opts[networkWord] = ep.network
	}
	if len(ep.settings.Aliases) > 0 {
		opts[networkAliases] = strings.Join(ep.settings.Aliases, ",")
	}
	if len(opts) > 0 {
		ep.settings.DriverOpts = opts
	}
	return ep
}
