# A policy for plans, to start your own from. It looks at what `gapool show
# -json` prints, which is Terraform's format:
#
#   gapool plan -out=plan.bin && gapool show -json plan.bin >plan.json
#   opa eval --fail-defined -f pretty -i plan.json -d docker.rego 'data.gapool.deny[_]'
#   conftest test -n gapool -p docker.rego plan.json
#
# A member of a Ray cluster is a docker_container there, so that what is said of
# containers holds for it as well.
package gapool

# deny are sentences that say what is wrong. There are none for a good plan.
#
# What is not set is null in a plan, and null is neither false nor undefined:
# conditions say what they want, as `== true` and `is_string`.

deny contains "this is no plan: show -json wants the file that plan -out wrote" if not input.resource_changes

deny contains "the plan leaves out a part of the configuration (-target)" if input.complete == false

deny contains sprintf("%s: the volume %s would be destroyed with its data", [c.address, c.change.before.name]) if {
	some c in input.resource_changes
	c.type == "docker_volume"
	"delete" in c.change.actions
}

# Volumes, images and containers are judged where the apply makes, changes or
# takes up something: what has been there longer is not this plan's doing.
changed contains c if {
	some c in input.resource_changes
	some action in c.change.actions
	action in {"create", "update"}
}

changed contains c if {
	some c in input.resource_changes
	c.change.importing
}

containers contains c if {
	some c in changed
	c.type == "docker_container"
}

# Ports.

everywhere := {"0.0.0.0", "::", ""}

deny contains sprintf("%s: port %d is open to the machine's network; give it an ip, such as 127.0.0.1", [c.address, port.internal]) if {
	some c in containers
	some port in c.change.after.ports
	port.ip in everywhere
}

deny contains sprintf("%s: publish_all_ports opens ports to the machine's network; name them", [c.address]) if {
	some c in containers
	c.change.after.publish_all_ports == true
}

# Rights on the engine's machine.

usual_capabilities := {"NET_BIND_SERVICE", "SYS_PTRACE", "SYS_NICE"}

deny contains sprintf("%s: privileged has all rights on the machine", [c.address]) if {
	some c in containers
	c.change.after.privileged == true
}

deny contains sprintf("%s: %s shares the machine's own with the container", [c.address, mode]) if {
	some c in containers
	some mode in ["network_mode", "pid_mode", "ipc_mode", "userns_mode"]
	c.change.after[mode] == "host"
}

deny contains sprintf("%s: the capability %s is not among the usual ones", [c.address, capability]) if {
	some c in containers
	some capability in c.change.after.capabilities[_].add
	not trim_prefix(capability, "CAP_") in usual_capabilities
}

# Folders of the engine's machine; its socket is one of them.

deny contains sprintf("%s: %s of the machine is mounted; use a volume", [c.address, volume.host_path]) if {
	some c in containers
	some volume in c.change.after.volumes
	is_string(volume.host_path)
}

deny contains sprintf("%s: %s of the machine is mounted; use a volume", [c.address, mount.source]) if {
	some c in containers
	some mount in c.change.after.mounts
	mount.type == "bind"
}

deny contains sprintf("%s: the volume is %s of the machine", [c.address, c.change.after.driver_opts.device]) if {
	some c in changed
	c.type == "docker_volume"
	is_string(c.change.after.driver_opts.device)
}

# Images: what is approved today is what runs tomorrow. The image of a container
# that is not known yet is a docker_image of this plan, and judged as such.

pinned(image) if startswith(image, "sha256:")

pinned(image) if contains(image, "@sha256:")

deny contains sprintf("%s: the image %s can become another one; pin it: NAME@sha256:…", [c.address, c.change.after.name]) if {
	some c in changed
	c.type == "docker_image"
	count(c.change.after.build) == 0
	not pinned(c.change.after.name)
}

deny contains sprintf("%s: the image %s can become another one; use a docker_image's image_id, or NAME@sha256:…", [c.address, c.change.after.image]) if {
	some c in containers
	not pinned(c.change.after.image)
}

# What is known after the apply only, or is a secret, has no value in a plan. If
# it were passed over, that would be the way around all of the above.

judged := {
	"privileged": null, "network_mode": null, "pid_mode": null, "ipc_mode": null, "userns_mode": null, "publish_all_ports": null,
	"ports": "ip", "volumes": "host_path", "mounts": "type", "capabilities": "add", "driver_opts": "device",
}

deny contains sprintf("%s: %s is %s, and cannot be judged", [c.address, name, why]) if {
	some c in changed
	some name, part in judged
	some why, marks in {"known after the apply only": c.change.after_unknown, "a secret": c.change.after_sensitive}
	hidden(marks[name], part)
}

deny contains sprintf("%s: image is a secret, and cannot be judged", [c.address]) if {
	some c in containers
	c.change.after_sensitive.image == true
}

hidden(marks, _) if marks == true

hidden(marks, part) if {
	walk(marks, [path, true])
	part in path
}
