package docker

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/schema"
)

func TestMountedVolumes(t *testing.T) {
	v := configured(t, New(), Container, `
		name  = "web"
		image = "i"
		mounts {
			target = "/a"
			type   = "volume"
			source = "first"
		}
		mounts {
			target = "/b"
			type   = "volume" # without a name: it goes with the container
		}
		mounts {
			target = "/c"
			type   = "bind"
			source = "/srv"
		}
		volumes {
			container_path = "/d"
			volume_name    = "second"
		}
		volumes {
			container_path = "/e"
			host_path      = "/srv"
		}`)
	want := []schema.Named{{Type: Volume, Name: "first"}, {Type: Volume, Name: "second"}}
	if diff := cmp.Diff(want, mountedVolumes(v)); diff != "" {
		t.Error(diff)
	}
}

// What network_mode names is made first, whether it is a network or a container.
func TestNetworkModeNamesWhatItJoins(t *testing.T) {
	table := containerTable()
	for mode, want := range map[string][]schema.Named{
		"bridge": nil, "host": nil, "none": nil, "default": nil,
		"lab":           {{Type: Network, Name: "lab"}},
		"container:web": {{Type: Container, Name: "web"}},
	} {
		v := table.Build(map[string]cty.Value{"network_mode": cty.StringVal(mode)})
		if diff := cmp.Diff(want, table.Named(v)); diff != "" {
			t.Errorf("%s: %s", mode, diff)
		}
	}
	unknown := table.Build(map[string]cty.Value{"network_mode": cty.UnknownVal(cty.String)})
	if got := table.Named(unknown); len(got) > 0 {
		t.Errorf("what is not known yet names %v", got)
	}
}
