package mem

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
)

// DockerUses is a function for [Uses] that knows what a docker_container names:
// its image, its networks, and the volumes of its mounts and volumes blocks.
func DockerUses(kind string, attrs cty.Value) []providers.Ref {
	if kind != "docker_container" {
		return nil
	}
	var refs []providers.Ref
	use := func(kind, name string) {
		if name != "" {
			refs = append(refs, providers.Ref{Kind: kind, Name: name})
		}
	}
	use("docker_image", word(attrs, "image"))
	for _, n := range nested(attrs, "networks_advanced") {
		use("docker_network", word(n, "name"))
	}
	for _, m := range nested(attrs, "mounts") {
		if word(m, "type") == "volume" {
			use("docker_volume", word(m, "source"))
		}
	}
	for _, v := range nested(attrs, "volumes") {
		use("docker_volume", word(v, "volume_name"))
	}
	return refs
}

// word is a string attribute's value, empty where there is none.
func word(obj cty.Value, attr string) string {
	if !obj.Type().HasAttribute(attr) || obj.GetAttr(attr).IsNull() {
		return ""
	}
	return obj.GetAttr(attr).AsString()
}

// nested are the blocks of an attribute.
func nested(obj cty.Value, attr string) []cty.Value {
	if !obj.Type().HasAttribute(attr) || obj.GetAttr(attr).IsNull() {
		return nil
	}
	return obj.GetAttr(attr).AsValueSlice()
}
