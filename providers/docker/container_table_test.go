package docker

import (
	"testing"

	"github.com/google/go-cmp/cmp"

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
