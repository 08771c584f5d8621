package docker

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/schema"
)

func containerTable() *schema.Type {
	replace := func(a schema.Attr) schema.Attr {
		a.Change = schema.Replace
		return a
	}
	// resource is a limit that the engine can change but not take away: to it,
	// zero means "as before".
	resource := func(a schema.Attr) schema.Attr {
		a.Change = schema.Replace
		a.ReplaceIf = func(_, want cty.Value) bool {
			return want.IsNull() || want.Equals(cty.Zero).True()
		}
		return a
	}
	return &schema.Type{
		Name:    Container,
		Renames: true,
		Doc: "A container: made, started and, with `wait`, waited for until it is healthy. Where an attribute is not set, what the image " +
			"says holds. The restart policy, the limits of memory and processors, networks that were added and the name change in place; all else makes a new container.",
		Attrs: []schema.Attr{
			{Name: "name", Type: cty.String, Required: true, Change: schema.Update, Check: checkName, Doc: "Name of the container."},
			replace(schema.Attr{Name: "image", Type: cty.String, Required: true, Normal: normalImage, Check: checkImage, Names: &schema.Naming{Type: Image, ID: "image_id"},
				Doc: "The image: its ID, such as `docker_image.NAME.image_id`, or its name. A name that has come to mean another image is a difference, also where a `docker_image` of the same configuration builds or pulls it anew."}),
			replace(schema.Attr{Name: "command", Type: cty.List(cty.String), Normal: normalCommand,
				Doc: "Command to run. An empty list is the image's own, as the engine has it."}),
			replace(schema.Attr{Name: "entrypoint", Type: cty.List(cty.String), Normal: normalEntrypoint,
				Doc: "Program that the command is given to. An empty list takes the image's away; any entrypoint takes away the image's command."}),
			replace(schema.Attr{Name: "env", Type: cty.Map(cty.String), Accept: acceptEnv, Merge: true, Live: true,
				Doc: "Environment variables, over those of the image: `[\"NAME=value\"]`, or a map."}),
			labels("Labels, over those of the image."),
			replace(schema.Attr{Name: "user", Type: cty.String, Doc: "User, or `user:group`, by name or number."}),
			replace(schema.Attr{Name: "working_dir", Type: cty.String, Normal: cleanPath, Check: checkAbsolute, Doc: "Folder that the command starts in."}),
			replace(schema.Attr{Name: "hostname", Type: cty.String, Doc: "Host name inside the container; a short form of its ID if not set."}),
			replace(schema.Attr{Name: "domainname", Type: cty.String, Doc: "Domain of the host name."}),
			replace(schema.Attr{Name: "tty", Type: cty.Bool, Doc: "Whether its process has a terminal."}),
			replace(schema.Attr{Name: "stdin_open", Type: cty.Bool, Doc: "Whether its standard input stays open though nobody is attached."}),
			replace(schema.Attr{Name: "init", Type: cty.Bool, Doc: "Whether a small init process reaps children and passes signals on. The engine's setting if not set."}),
			replace(schema.Attr{Name: "privileged", Type: cty.Bool, Doc: "Whether the container has all rights on the engine's machine."}),
			replace(schema.Attr{Name: "read_only", Type: cty.Bool, Doc: "Whether its root file system is read-only."}),
			replace(schema.Attr{Name: "group_add", Type: cty.Set(cty.String), Doc: "Further groups of the user."}),
			replace(schema.Attr{Name: "security_opts", Type: cty.Set(cty.String), Doc: "Security options, such as `no-new-privileges:true`."}),
			replace(schema.Attr{Name: "capabilities", Doc: "Linux capabilities.", Block: &schema.Block{Nesting: schema.Single, Attrs: []schema.Attr{
				{Name: "add", Type: cty.Set(cty.String), Normal: each(capability), Doc: "Capabilities to add, with or without `CAP_`."},
				{Name: "drop", Type: cty.Set(cty.String), Normal: each(capability), Doc: "Capabilities to take away."},
			}}}),

			replace(schema.Attr{Name: "ports", Doc: "Ports to publish on the engine's machine. With the usual `ip` they are open to its network.", Block: portsBlock()}),
			replace(schema.Attr{Name: "publish_all_ports", Type: cty.Bool, Doc: "Whether each port that the image exposes is published on a free one."}),
			replace(schema.Attr{Name: "mounts", Doc: "What is mounted into the container; see `volumes` for the shorter form.", Block: mountsBlock()}),
			replace(schema.Attr{Name: "volumes", Doc: "Volumes and folders that are mounted into the container.", Block: volumesBlock()}),
			replace(schema.Attr{Name: "tmpfs", Type: cty.Map(cty.String), Normal: normalTmpfs, Doc: "Folders in memory: options, such as `size=64m`, by path."}),
			replace(schema.Attr{Name: "upload", Live: true, Sensitive: true, Doc: "Files that are put into the container before it starts.", Block: uploadBlock()}),
			replace(schema.Attr{Name: "sysctls", Type: cty.Map(cty.String), Doc: "Kernel parameters of its namespaces, such as `net.core.somaxconn`."}),
			replace(schema.Attr{Name: "ipc_mode", Type: cty.String, Check: oneOf("none", "private", "shareable", "host"), Doc: "Whose shared memory it sees: `none`, `private`, `shareable` or `host`; the engine's setting if not set."}),
			replace(schema.Attr{Name: "pid_mode", Type: cty.String, Check: checkHost, Doc: "`host`: it sees the processes of the engine's machine."}),
			replace(schema.Attr{Name: "userns_mode", Type: cty.String, Check: checkHost, Doc: "`host`: its users are those of the engine's machine, though the engine maps them."}),
			replace(schema.Attr{Name: "runtime", Type: cty.String, Doc: "Runtime of the engine that starts it; the engine's own if not set."}),
			replace(schema.Attr{Name: "devices", Doc: "Devices of the engine's machine.", Block: &schema.Block{Nesting: schema.List, Key: []string{"host_path", "container_path"}, Attrs: []schema.Attr{
				{Name: "host_path", Type: cty.String, Required: true, Check: checkAbsolute, Doc: "The device on the engine's machine."},
				{Name: "container_path", Type: cty.String, Computed: true, Change: schema.Replace, Check: checkAbsolute, Doc: "Where it is in the container; at the same path if not set."},
				{Name: "permissions", Type: cty.String, Default: cty.StringVal("rwm"), Doc: "What may be done with it: `r`, `w`, `m`."},
			}}}),
			replace(schema.Attr{Name: "gpus", Type: cty.String, Accept: acceptGPUs, Normal: normalGPUs,
				Doc: "GPUs: `all`, how many, or `device=` with a list of IDs. The last two are additions."}),
			replace(schema.Attr{Name: "ulimit", Doc: "Limits of the processes.", Block: &schema.Block{Nesting: schema.List, Key: []string{"name"}, Attrs: []schema.Attr{
				{Name: "name", Type: cty.String, Required: true, Doc: "Name of the limit, such as `nofile`."},
				{Name: "soft", Type: cty.Number, Required: true, Doc: "The limit that holds."},
				{Name: "hard", Type: cty.Number, Required: true, Doc: "Up to where a process may raise it."},
			}}}),

			{Name: "networks_advanced", Change: schema.Replace, ReplaceIf: primaryChanges,
				Doc:   "Networks of the container. The first is its primary one: another network or address there makes a new container, other aliases take it off the network for a moment. Others are joined and left in place.",
				Block: networksBlock()},
			replace(schema.Attr{Name: "network_mode", Type: cty.String, Default: cty.StringVal("bridge"), Normal: normalNetworkMode,
				Doc: "`bridge`, `host`, `none`, `container:NAME` or the name of a network. With `networks_advanced` it is left at `bridge`, and those are the container's networks."}),
			replace(schema.Attr{Name: "dns", Type: cty.Set(cty.String), Normal: each(address), Doc: "Addresses of DNS servers."}),
			replace(schema.Attr{Name: "dns_opts", Type: cty.Set(cty.String), Doc: "Options of the resolver, such as `ndots:2`."}),
			replace(schema.Attr{Name: "dns_search", Type: cty.Set(cty.String), Doc: "Domains to look names up in."}),
			replace(schema.Attr{Name: "host", Doc: "Lines for `/etc/hosts`.", Block: &schema.Block{Nesting: schema.List, Key: []string{"host", "ip"}, Attrs: []schema.Attr{
				{Name: "host", Type: cty.String, Required: true, Doc: "Name to add."},
				{Name: "ip", Type: cty.String, Required: true, Doc: "Its address, or `host-gateway`."},
			}}}),

			{Name: "restart", Type: cty.String, Default: cty.StringVal("no"), Change: schema.Update, Check: oneOf("no", "on-failure", "always", "unless-stopped"),
				Doc: "When the engine starts the container again: `no`, `on-failure`, `always` or `unless-stopped`."},
			{Name: "max_retry_count", Type: cty.Number, Change: schema.Update, Check: atLeast(0), Doc: "How often at most, with `on-failure`; 0 is without limit."},
			resource(schema.Attr{Name: "memory", Type: cty.Number, Accept: acceptSize, Normal: normalSize, Check: checkSize, Unit: "MiB", Doc: "Limit of memory: a number of MiB, or a string with its unit, such as `\"2g\"`."}),
			resource(schema.Attr{Name: "memory_reservation", Type: cty.Number, Accept: acceptSize, Normal: normalSize, Check: checkSize, Unit: "MiB", Doc: "Memory that it is held to when the machine is short of it; less than `memory`."}),
			{Name: "memory_swap", Type: cty.Number, Change: schema.Replace, Accept: acceptSize, Normal: normalSize, Unit: "MiB", Doc: "Limit of memory and swap together; -1 is none. Twice the memory if not set.",
				ReplaceIf: func(_, want cty.Value) bool { return !want.IsNull() && want.Equals(cty.Zero).True() }},
			resource(schema.Attr{Name: "cpus", Type: cty.Number, Normal: func(v cty.Value) cty.Value { return cpus(nano(v)) }, Check: checkSize, Doc: "How many processors it may use at most, such as 1.5."}),
			resource(schema.Attr{Name: "cpu_shares", Type: cty.Number, Check: atLeast(0), Doc: "Weight against other containers when processors are short; others have 1024."}),
			{Name: "cpu_set", Type: cty.String, Change: schema.Replace, Doc: "Processors it may use, such as `0-3` or `0,2`.",
				ReplaceIf: func(_, want cty.Value) bool { return want.IsNull() || want.AsString() == "" }},
			replace(schema.Attr{Name: "shm_size", Type: cty.Number, Accept: acceptSize, Normal: normalSize, Check: checkSize, Unit: "MiB", Doc: "Size of `/dev/shm`; the engine's is 64."}),

			replace(schema.Attr{Name: "healthcheck", Doc: "How the engine finds out whether the container is well. What is not set is as in the image.", Block: &schema.Block{Nesting: schema.Single, Attrs: []schema.Attr{
				{Name: "test", Type: cty.List(cty.String), Required: true, Check: checkHealthTest, Doc: "The command: `[\"CMD\", …]`, `[\"CMD-SHELL\", \"…\"]`, or `[\"NONE\"]` for none."},
				{Name: "interval", Type: cty.String, Normal: normalDuration, Check: checkDuration, Doc: "Time between two checks, such as `10s`."},
				{Name: "timeout", Type: cty.String, Normal: normalDuration, Check: checkDuration, Doc: "Time after which a check has failed."},
				{Name: "start_period", Type: cty.String, Normal: normalDuration, Check: checkDuration, Doc: "Time at the start in which failures do not count."},
				{Name: "start_interval", Type: cty.String, Normal: normalDuration, Check: checkDuration, Since: "1.44", Doc: "Time between two checks at the start, until the first one succeeds."},
				{Name: "retries", Type: cty.Number, Check: atLeast(0), Doc: "Failures in a row that make it unhealthy."},
			}}}),
			replace(schema.Attr{Name: "log_driver", Type: cty.String, Doc: "Log driver; the engine's own if not set."}),
			replace(schema.Attr{Name: "log_opts", Type: cty.Map(cty.String), Merge: true, Doc: "Options of the log driver, over those of the engine's own configuration."}),
			replace(schema.Attr{Name: "stop_signal", Type: cty.String, Normal: func(v cty.Value) cty.Value { return cty.StringVal(signal(v.AsString())) }, Doc: "Signal that ends the container; `SIGTERM` if neither this nor the image says another."}),
			replace(schema.Attr{Name: "stop_timeout", Type: cty.Number, Check: atLeast(0), Unit: "s", Doc: "Time between that signal and `SIGKILL`."}),

			{Name: "must_run", Type: cty.Bool, Default: cty.True, Change: schema.Update, Demand: true, Doc: "Whether the container is started where it does not run."},
			{Name: "start", Type: cty.Bool, Default: cty.True, Doc: "Whether the container is started when it is made. With `false`, set `must_run` to `false` too."},
			{Name: "wait", Type: cty.Bool, Default: cty.False, Doc: "Whether to wait until the container is healthy. It must have a health check, its own or the image's."},
			{Name: "wait_timeout", Type: cty.Number, Default: cty.NumberIntVal(60), Check: atLeast(1), Unit: "s", Doc: "How long at most."},
			{Name: "destroy_grace_seconds", Type: cty.Number, Check: atLeast(0), Unit: "s", Doc: "Time between the stop signal and `SIGKILL` when it is removed; `stop_timeout` if not set."},
			replace(schema.Attr{Name: "rm", Type: cty.Bool, Doc: "Whether the engine removes the container when it ends. The next plan makes it again."}),
			{Name: "attach", Type: cty.Bool, Check: onlyFalse, Doc: "Accepted as `false`: an apply does not wait for the container's end."},
			{Name: "logs", Type: cty.Bool, Check: onlyFalse, Doc: "Accepted as `false`: `docker logs` shows them."},
			{Name: "remove_volumes", Type: cty.Bool, Default: cty.True, Doc: "Whether volumes without a name go with the container."},

			{Name: "id", Type: cty.String, Computed: true, Local: true, Doc: "ID of the container."},
			{Name: "exit_code", Type: cty.Number, Computed: true, Volatile: true, Doc: "Exit code of a container that has ended; null while it runs."},
			{Name: "network_data", Type: cty.List(networkData), Computed: true, Volatile: true, Doc: "Its addresses, by network."},
		},
		Absent: map[string]string{
			"cgroup_parent": "",
			"cgroupns_mode": "",
			"container_read_refresh_timeout_milliseconds": "Remove it: a container that runs is seen at once, and wait_timeout says how long a health check may take.",
			"cpu_period":        "Set cpus.",
			"cpu_quota":         "Set cpus.",
			"device_read_bps":   "",
			"device_read_iops":  "",
			"device_requests":   "GPUs are asked for with gpus.",
			"device_write_bps":  "",
			"device_write_iops": "",
			"platform":          "Set it in the docker_image that the container is made from.",
			"storage_opts":      "",
			"timeouts":          "Remove it: wait_timeout says how long a container may take to be ready, stop_timeout how long to end.",
		},
		Validate:  validateContainer,
		Exclusive: publishedPorts,
		Remarks:   remarkContainer,
		Needs:     containerNeeds,
		Brings:    mountedVolumes,
		Mentions:  networkMentioned,
		Derive:    deriveUploads,
	}
}

// networkData has the names that Terraform's Docker provider gives.
var networkData = cty.Object(map[string]cty.Type{
	"network_name":              cty.String,
	"ip_address":                cty.String,
	"ip_prefix_length":          cty.Number,
	"gateway":                   cty.String,
	"global_ipv6_address":       cty.String,
	"global_ipv6_prefix_length": cty.Number,
	"ipv6_gateway":              cty.String,
	"mac_address":               cty.String,
})

func portsBlock() *schema.Block {
	return &schema.Block{Nesting: schema.List, Key: []string{"internal", "protocol", "ip"}, Attrs: []schema.Attr{
		{Name: "internal", Type: cty.Number, Required: true, Check: checkPort, Doc: "Port inside the container."},
		{Name: "external", Type: cty.Number, Computed: true, Change: schema.Replace, Check: checkPort, Doc: "Port on the engine's machine. If it is not set the engine takes a free one, at each start another."},
		{Name: "ip", Type: cty.String, Default: cty.StringVal("0.0.0.0"), Normal: normalAddress, Check: checkAddress, Doc: "Address on the engine's machine. `127.0.0.1` keeps the port from its network."},
		{Name: "protocol", Type: cty.String, Default: cty.StringVal("tcp"), Normal: lower, Check: oneOf("tcp", "udp", "sctp"), Doc: "`tcp`, `udp` or `sctp`."},
	}}
}

const declareVolume = "Give the volume a docker_volume of its own, and set it there."

func mountsBlock() *schema.Block {
	return &schema.Block{Nesting: schema.List, Key: []string{"target"}, Attrs: []schema.Attr{
		{Name: "target", Type: cty.String, Required: true, Normal: cleanPath, Check: checkAbsolute, Doc: "Path in the container."},
		{Name: "type", Type: cty.String, Required: true, Normal: lower, Check: oneOf("bind", "volume", "tmpfs"), Doc: "`volume`, `bind` or `tmpfs`."},
		{Name: "source", Type: cty.String, Doc: "Name of the volume, or path on the engine's machine."},
		{Name: "read_only", Type: cty.Bool, Default: cty.False, Doc: "Whether it cannot be written to."},
		{Name: "bind_options", Doc: "Of a `bind`.", Block: &schema.Block{Nesting: schema.Single, Attrs: []schema.Attr{
			{Name: "propagation", Type: cty.String, Doc: "How mounts below it spread, such as `rprivate`."},
		}}},
		{Name: "volume_options", Doc: "Of a `volume`.", Block: &schema.Block{Nesting: schema.Single, Attrs: []schema.Attr{
			{Name: "no_copy", Type: cty.Bool, Doc: "Whether an empty volume stays empty and does not get what the image has there."},
		}, Absent: map[string]string{
			"driver_name": declareVolume, "driver_options": declareVolume, "labels": declareVolume, "subpath": "",
		}}},
		{Name: "tmpfs_options", Doc: "Of a `tmpfs`.", Block: &schema.Block{Nesting: schema.Single, Attrs: []schema.Attr{
			{Name: "size_bytes", Type: cty.Number, Check: atLeast(0), Doc: "Its size in bytes."},
			{Name: "mode", Type: cty.Number, Check: atLeast(0), Doc: "Its permissions, as a decimal number."},
		}}},
	}}
}

func volumesBlock() *schema.Block {
	return &schema.Block{Nesting: schema.List, Key: []string{"container_path"}, Attrs: []schema.Attr{
		{Name: "container_path", Type: cty.String, Required: true, Normal: cleanPath, Check: checkAbsolute, Doc: "Path in the container."},
		{Name: "volume_name", Type: cty.String, Doc: "Name of the volume."},
		{Name: "host_path", Type: cty.String, Normal: cleanPath, Check: checkAbsolute, Doc: "Path on the engine's machine, which makes it where it is missing."},
		{Name: "read_only", Type: cty.Bool, Default: cty.False, Doc: "Whether it cannot be written to."},
		{Name: "selinux_relabel", Type: cty.String, Check: oneOf("z", "Z"), Doc: "SELinux label: `z` for many containers, `Z` for this one."},
	}, Absent: map[string]string{"from_container": "Name the volumes that the other container has."}}
}

// networkMentioned is the network, or the container whose network it shares, that
// a container's network_mode names.
func networkMentioned(v cty.Value) []schema.Named {
	mode := container.NetworkMode(text(v, "network_mode"))
	switch {
	case mode == "": // not known
	case mode.IsContainer():
		return []schema.Named{{Type: Container, Name: mode.ConnectedContainer()}}
	case mode.IsUserDefined():
		return []schema.Named{{Type: Network, Name: mode.UserDefined()}}
	}
	return nil
}

// mountedVolumes are the volumes that a container names. The engine makes what
// is not there.
func mountedVolumes(v cty.Value) []schema.Named {
	var out []schema.Named
	add := func(block cty.Value, attr string) {
		if name := text(block, attr); name != "" {
			out = append(out, schema.Named{Type: Volume, Name: name})
		}
	}
	for _, m := range blocks(v, "mounts") {
		if m.IsKnown() && text(m, "type") == "volume" {
			add(m, "source")
		}
	}
	for _, m := range blocks(v, "volumes") {
		if m.IsKnown() {
			add(m, "volume_name")
		}
	}
	return out
}

func networksBlock() *schema.Block {
	return &schema.Block{Nesting: schema.List, Key: []string{"name"}, Attrs: []schema.Attr{
		{Name: "name", Type: cty.String, Required: true, Names: &schema.Naming{Type: Network, ID: "id"}, Doc: "Name or ID of the network."},
		{Name: "aliases", Type: cty.Set(cty.String), Default: cty.SetValEmpty(cty.String), Doc: "Further names of the container on that network."},
		{Name: "ipv4_address", Type: cty.String, Normal: normalAddress, Check: checkAddress, Doc: "A fixed address. The network needs a `subnet` of its own for that."},
		{Name: "ipv6_address", Type: cty.String, Normal: normalAddress, Check: checkAddress, Doc: "A fixed IPv6 address."},
	}, Absent: map[string]string{"driver_opts": "", "gw_priority": "", "link_local_ips": "", "mac_address": ""}}
}

// primaryChanges reports whether the first network, by which the engine
// started the container, is left or joined with another address.
func primaryChanges(prior, want cty.Value) bool {
	before, after := listOfBlocks(prior), listOfBlocks(want)
	if len(before) == 0 || len(after) == 0 {
		return true
	}
	for _, b := range before {
		if n := text(b, "name"); (isHex(n) || strings.HasSuffix(n, removed)) && !slices.ContainsFunc(after, func(w cty.Value) bool { return text(w, "name") == n }) {
			return true // it was removed, and nothing can be disconnected from it
		}
	}
	for _, w := range after {
		if text(w, "name") != text(before[0], "name") {
			continue
		}
		// Its aliases change by leaving and joining. Not so an address: what
		// runs inside has bound it, or told it to others.
		for _, name := range []string{"ipv4_address", "ipv6_address"} {
			if set(w, name) && !w.GetAttr(name).RawEquals(before[0].GetAttr(name)) {
				return true
			}
		}
		return false
	}
	return true
}

func listOfBlocks(v cty.Value) []cty.Value {
	if v.IsNull() || !v.IsKnown() {
		return nil
	}
	return v.AsValueSlice()
}

func normalCommand(v cty.Value) cty.Value {
	if v.LengthInt() == 0 {
		return cty.NullVal(v.Type()) // the engine puts the image's in its place
	}
	return v
}

func normalEntrypoint(v cty.Value) cty.Value {
	if l := listOf(v); len(l) == 1 && l[0] == "" {
		return stringList(nil) // as the docker command's --entrypoint ""
	}
	return v
}

func normalTmpfs(v cty.Value) cty.Value {
	if v.LengthInt() == 0 {
		return v
	}
	out := map[string]cty.Value{}
	for k, o := range v.AsValueMap() {
		out[path.Clean(k)] = o
	}
	return cty.MapVal(out)
}

func normalNetworkMode(v cty.Value) cty.Value {
	if s := v.AsString(); s == "default" || s == "" {
		return cty.StringVal("bridge")
	}
	return v
}

func capability(s string) string {
	s = strings.ToUpper(s)
	if s == "ALL" || strings.HasPrefix(s, "CAP_") {
		return s
	}
	return "CAP_" + s
}

func signal(s string) string {
	s = strings.ToUpper(s)
	if s == "" || strings.HasPrefix(s, "SIG") || s[0] >= '0' && s[0] <= '9' {
		return s
	}
	return "SIG" + s
}

var containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

func checkName(v cty.Value) error {
	if s := v.AsString(); !containerName.MatchString(s) {
		return fmt.Errorf("%q is not a container's name: two and more letters, digits, dots, dashes or underscores, a letter or digit first", s)
	}
	return nil
}

func checkHost(v cty.Value) error {
	if s := v.AsString(); s != "" && s != "host" {
		return fmt.Errorf("%q is not supported: write \"host\", or leave it out", s)
	}
	return nil
}

func onlyFalse(v cty.Value) error {
	if v.True() {
		return fmt.Errorf("only false is supported: containers are started and not waited for; leave it out")
	}
	return nil
}

func checkPort(v cty.Value) error {
	if !v.AsBigFloat().IsInt() || v.LessThan(cty.NumberIntVal(1)).True() || v.GreaterThan(cty.NumberIntVal(65535)).True() {
		return fmt.Errorf("a port is a whole number from 1 to 65535")
	}
	return nil
}

func checkHealthTest(v cty.Value) error {
	l := listOf(v)
	switch {
	case len(l) == 1 && l[0] == "NONE":
	case len(l) == 2 && l[0] == "CMD-SHELL":
	case len(l) > 1 && l[0] == "CMD":
	default:
		return fmt.Errorf(`begin with "CMD" and the command's words, or give ["CMD-SHELL", "command"] or ["NONE"]`)
	}
	return nil
}

// validateContainer finds what the engine would refuse, or would never make.
func validateContainer(v cty.Value) []schema.Problem {
	var out []schema.Problem
	add := func(attr, format string, args ...any) {
		out = append(out, schema.Problem{Attr: attr, Detail: fmt.Sprintf(format, args...)})
	}
	if known(v, "start", "must_run") && !truth(v, "start") && truth(v, "must_run") {
		add("start", "With start = false the container is made and left alone; set must_run = false too.")
	}
	if known(v, "start", "wait") && !truth(v, "start") && truth(v, "wait") {
		add("wait", "A container that is not started cannot be waited for; remove wait or start = false.")
	}
	if h := v.GetAttr("healthcheck"); truth(v, "wait") && h.IsKnown() && !h.IsNull() && slices.Equal(texts(h, "test"), []string{"NONE"}) {
		add("wait", "wait needs a health check, and this one's test is [\"NONE\"]; give it a test or remove wait.")
	}
	if truth(v, "rm") && known(v, "restart") && text(v, "restart") != "no" {
		add("rm", "A container that is removed when it ends cannot be started again; remove rm, or restart.")
	}
	if m := v.GetAttr("memory"); known(v, "memory_reservation") && m.IsKnown() && !m.IsNull() && bytesOf(v, "memory") > 0 && bytesOf(v, "memory_reservation") > bytesOf(v, "memory") {
		add("memory_reservation", "memory_reservation is not more than memory.")
	}
	if whole(v, "max_retry_count") > 0 && known(v, "restart") && text(v, "restart") != "on-failure" {
		add("max_retry_count", "max_retry_count counts restarts of restart = \"on-failure\" only.")
	}
	if m := v.GetAttr("memory"); known(v, "memory_swap") && m.IsKnown() {
		switch {
		case m.IsNull():
			add("memory_swap", "memory_swap is the limit of memory and swap together; set memory too.")
		case bytesOf(v, "memory_swap") >= 0 && bytesOf(v, "memory_swap") < bytesOf(v, "memory"):
			add("memory_swap", "memory_swap is the limit of memory and swap together, so it is not less than memory.")
		}
	}
	if mode, nets := v.GetAttr("network_mode"), v.GetAttr("networks_advanced"); known(v, "network_mode") && nets.IsKnown() && len(listOfBlocks(nets)) > 0 && mode.AsString() != "bridge" {
		add("network_mode", "With networks_advanced leave network_mode out: the first network there is the primary one.")
	}
	unique(v, "networks_advanced", "name", add)
	unique(v, "upload", "file", add)
	targets := map[string]bool{}
	target := func(attr, path string) {
		if path != "" && targets[path] {
			add(attr, "%s is mounted twice; each path can have one mount.", path)
		}
		targets[path] = true
	}
	for _, m := range blocks(v, "mounts") {
		target("mounts", text(m, "target"))
		source := m.GetAttr("source")
		switch kind := text(m, "type"); {
		case kind == "" || !source.IsKnown():
		case kind == "bind" && (source.IsNull() || !path.IsAbs(source.AsString())):
			add("mounts", "The source of a bind mount is an absolute path on the engine's machine.")
		case kind == "tmpfs" && !source.IsNull():
			add("mounts", "A tmpfs mount has no source.")
		}
	}
	for _, m := range blocks(v, "volumes") {
		target("volumes", text(m, "container_path"))
		name, host := m.GetAttr("volume_name"), m.GetAttr("host_path")
		if name.IsKnown() && host.IsKnown() && name.IsNull() == host.IsNull() {
			add("volumes", "Give either volume_name or host_path. The image's own volumes need no block.")
		}
	}
	if t := v.GetAttr("tmpfs"); t.IsKnown() && !t.IsNull() {
		for _, p := range sortedKeys(t.AsValueMap()) {
			target("tmpfs", p)
		}
	}
	if truth(v, "read_only") && len(blocks(v, "upload")) > 0 {
		add("upload", "The engine cannot upload into a read-only root file system; remove read_only, or mount the file.")
	}
	for _, u := range blocks(v, "upload") {
		for dir := range targets {
			if f := text(u, "file"); dir != "" && strings.HasPrefix(f, dir+"/") {
				add("upload", "%s would be hidden by what is mounted at %s.", f, dir)
			}
		}
		given := 0
		unknown := false
		for _, name := range []string{"content", "content_base64", "source"} {
			unknown = unknown || !u.GetAttr(name).IsKnown()
			if known(u, name) {
				given++
			}
		}
		if !unknown && given != 1 {
			add("upload", "Give one of content, content_base64 and source.")
		}
	}
	return out
}

// unique finds blocks that have the same key.
func unique(v cty.Value, attr, key string, add func(attr, format string, args ...any)) {
	seen := map[string]bool{}
	for _, b := range blocks(v, attr) {
		k := text(b, key)
		if k != "" && seen[k] {
			add(attr, "There are two blocks for %q; keep one.", k)
		}
		seen[k] = true
	}
}
