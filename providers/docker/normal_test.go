package docker

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// Many ways to write a thing have one normal form.
func TestNormalForms(t *testing.T) {
	p := New()
	for kind, pairs := range map[string][][2]string{
		Container: {
			{`image = "nginx"`, `image = "docker.io/library/nginx:latest"`},
			{`image = "` + strings.Repeat("ab", 32) + `"`, `image = "sha256:` + strings.Repeat("ab", 32) + `"`},
			{`memory = 2048`, `memory = "2g"`},
			{`memory = "0.5k"`, `memory = 0.00048828125`},
			{`shm_size = "64"`, `shm_size = 64`},
			{`cpus = "1.50"`, `cpus = 1.5`},
			{`env = ["A=1", "B=x=y"]`, `env = { B = "x=y", A = 1 }`},
			{`env = []`, `env = {}`},
			{"labels {\nlabel = \"a\"\nvalue = \"1\"\n}", `labels = { a = "1" }`},
			{`command = []`, ``},
			{`entrypoint = [""]`, `entrypoint = []`},
			{`working_dir = "/a/../b/"`, `working_dir = "/b"`},
			{`stop_signal = "int"`, `stop_signal = "SIGINT"`},
			{`network_mode = "default"`, ``},
			{"capabilities {\nadd = [\"sys_admin\", \"ALL\"]\n}", "capabilities {\nadd = [\"all\", \"CAP_SYS_ADMIN\", \"SYS_ADMIN\"]\n}"},
			{"ports {\ninternal = 80\n}", "ports {\ninternal = \"80\"\nip = \"0.0.0.0\"\nprotocol = \"TCP\"\n}"},
			{"healthcheck {\ntest = [\"CMD\", \"a\"]\ninterval = \"60s\"\n}", "healthcheck {\ntest = [\"CMD\", \"a\"]\ninterval = \"1m\"\n}"},
			{`tmpfs = { "/a/" = "" }`, `tmpfs = { "/a" = "" }`},
			{`gpus = "device=1,0"`, `gpus = "device=0,1"`},
			{`gpus = 2`, `gpus = "2"`},
			{"networks_advanced {\nname = \"n\"\nipv6_address = \"FD00:0::1\"\n}", "networks_advanced {\nname = \"n\"\naliases = []\nipv6_address = \"fd00::1\"\n}"},
			{"upload {\nfile = \"/a//b\"\ncontent = \"x\"\npermissions = \"600\"\n}", "upload {\nfile = \"/a/b\"\ncontent = \"x\"\npermissions = \"0600\"\n}"},
		},
		Network: {
			{"ipam_config {\nsubnet = \"10.1.2.3/16\"\n}", "ipam_config {\nsubnet = \"10.1.0.0/16\"\n}"},
		},
		Image: {
			{`platform = null`, ``},
		},
	} {
		for _, pair := range pairs {
			var forms [2]cty.Value
			for i, hcl := range pair {
				head := `name = "xx"` + "\n"
				if kind == Container && !strings.Contains(hcl, "image = ") {
					head += `image = "i"` + "\n"
				}
				forms[i] = configured(t, p, kind, head+hcl)
			}
			if !forms[0].RawEquals(forms[1]) {
				t.Errorf("%s and %s differ:\n%s", pair[0], pair[1], cmp.Diff(fmt.Sprintf("%#v", forms[0]), fmt.Sprintf("%#v", forms[1])))
			}
		}
	}
}

func TestMistakes(t *testing.T) {
	p := New()
	for hcl, says := range map[string]string{
		`name = "x"`:                                       "is not a container's name",
		`name = "a b"`:                                     "is not a container's name",
		`image = "Not A Name"`:                             "is not the name of an image",
		`memory = "lots"`:                                  "is not a size",
		`memory = -1`:                                      "a size is not negative",
		`memory_swap = 10`:                                 "set memory too",
		"memory = 10\nmemory_swap = 5":                     "not less than memory",
		`env = ["A"]`:                                      `has no name and value`,
		`env = "A=1"`:                                      "give a map",
		`labels = { "gapool.uid" = "x" }`:                  "gapool's own",
		`restart = "sometimes"`:                            "is not one of no, on-failure, always, unless-stopped",
		`max_retry_count = 3`:                              `restart = "on-failure" only`,
		`gpus = "some"`:                                    `write "all"`,
		"rm = true\nrestart = \"always\"":                  "cannot be started again",
		"memory = 10\nmemory_reservation = 20":             "not more than memory",
		`pid_mode = "container:x"`:                         `write "host"`,
		`attach = true`:                                    "only false",
		`ipc_mode = "container:x"`:                         "is not one of none, private",
		`start = false`:                                    "set must_run = false too",
		"start = false\nmust_run = false\nwait = true":     "cannot be waited for",
		"wait = true\nhealthcheck {\ntest = [\"NONE\"]\n}": "wait needs a health check",
		"healthcheck {\ntest = [\"true\"]\n}":              `begin with "CMD"`,
		"healthcheck {\ntest = [\"CMD\", \"true\"]\ninterval = \"10\"\n}":            "is not a duration",
		"ports {\ninternal = 0\n}":                                                   "from 1 to 65535",
		"ports {\ninternal = 80\nip = \"localhost\"\n}":                              "is not an IP address",
		"volumes {\ncontainer_path = \"/a\"\n}":                                      "either volume_name or host_path",
		"volumes {\ncontainer_path = \"a\"\nvolume_name = \"v\"\n}":                  "must be an absolute path",
		"mounts {\ntype = \"bind\"\nsource = \"here\"\ntarget = \"/a\"\n}":           "absolute path on the engine's machine",
		"mounts {\ntype = \"tmpfs\"\ntarget = \"/a/\"\n}\ntmpfs = { \"/a\" = \"\" }": "mounted twice",
		"network_mode = \"host\"\nnetworks_advanced {\nname = \"n\"\n}":              "leave network_mode out",
		"networks_advanced {\nname = \"n\"\n}\nnetworks_advanced {\nname = \"n\"\n}": `two blocks for "n"`,
		"upload {\nfile = \"/a\"\n}":                                                 "Give one of content",
		"upload {\nfile = \"/a\"\ncontent = \"x\"\ncontent_base64 = \"eA==\"\n}":     "Give one of content",
		"upload {\nfile = \"/t/a\"\ncontent = \"x\"\n}\ntmpfs = { \"/t\" = \"\" }":   "would be hidden",
		"read_only = true\nupload {\nfile = \"/a\"\ncontent = \"x\"\n}":              "read-only",
	} {
		body := hcl
		for _, head := range []string{"name = \"xx\"\n", "image = \"i\"\n"} {
			if attr, _, _ := strings.Cut(head, " "); !strings.HasPrefix(hcl, attr+" ") {
				body += "\n" + head
			}
		}
		_, diags := decode(t, p, Container, body)
		if !diags.HasErrors() || !strings.Contains(diags.Error(), says) {
			t.Errorf("%s\ngot %v, want %q", hcl, diags, says)
		}
	}
	for hcl, says := range map[string]string{
		`name = "n"` + "\n" + `triggers = { a = "1" }`: "no build block",
		`name = "A"`: "is not the name of an image",
	} {
		if _, diags := decode(t, p, Image, hcl); !diags.HasErrors() || !strings.Contains(diags.Error(), says) {
			t.Errorf("%s: got %v", hcl, diags)
		}
	}
	if _, diags := decode(t, p, "", "host = \"a\"\ncontext = \"b\""); !diags.HasErrors() {
		t.Error("host and context are both taken")
	}
}

// What is unknown at plan time is no mistake.
func TestUnknownIsNoMistake(t *testing.T) {
	p := New()
	for _, hcl := range []string{
		`image = unknown`, `memory = unknown`, `env = [unknown]`, `env = { A = unknown }`, `command = [unknown]`, `network_mode = unknown`,
		"networks_advanced {\nname = unknown\n}", "volumes {\ncontainer_path = \"/a\"\nvolume_name = unknown\n}", "mounts {\ntype = unknown\nsource = unknown\ntarget = unknown\n}",
		"upload {\nfile = \"/a\"\ncontent = unknown\n}", "upload {\nfile = \"/a\"\nsource = unknown\n}", "ports {\ninternal = unknown\n}", `gpus = unknown`,
		"healthcheck {\ntest = [unknown]\n}\nwait = true", `tmpfs = { "/a" = unknown }`, "capabilities {\nadd = [unknown]\n}", `must_run = unknown`, `dns = [unknown]`,
	} {
		if !strings.HasPrefix(hcl, "image") {
			hcl = "image = \"i\"\n" + hcl
		}
		configured(t, p, Container, "name = \"xx\"\n"+hcl)
	}
	v := configured(t, p, Image, "name = \"i\"\nbuild {\ncontext = unknown\n}")
	if v.GetAttr("build_inputs").IsKnown() {
		t.Error("the inputs of an unknown context are known")
	}
}

func TestEveryRowIsDocumented(t *testing.T) {
	p := New()
	var walk func(where string, attrs []schema.Attr)
	walk = func(where string, attrs []schema.Attr) {
		for _, a := range attrs {
			if a.Doc == "" {
				t.Errorf("%s.%s has no documentation", where, a.Name)
			}
			if a.Block != nil {
				walk(where+"."+a.Name, a.Block.Attrs)
			}
		}
	}
	for _, typ := range append(p.Types(), p.Config()) {
		if typ.Doc == "" {
			t.Errorf("%s has no documentation", typ.Name)
		}
		walk(typ.Name, typ.Attrs)
	}
}

// inspected is a container as the engine shows one that was made from spec.
func inspected(s containerSpec) container.InspectResponse {
	id := strings.Repeat("c", 64)
	nets := map[string]*network.EndpointSettings{}
	if s.primary != nil {
		for name, ep := range s.primary.EndpointsConfig {
			ep = ep.Copy()
			ep.Aliases = append(ep.Aliases, id[:12])
			nets[name] = ep
		}
	}
	for _, o := range s.others {
		nets[o.network] = o.settings
	}
	return container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: id, Name: "/xx", Image: "sha256:" + strings.Repeat("1", 64), HostConfig: s.host,
			State: &container.State{Status: container.StateRunning, Running: true},
		},
		Config:          s.config,
		NetworkSettings: &container.NetworkSettings{Networks: nets},
	}
}

// The engine adds the image's words to those of the configuration. Neither is a
// difference, nor is what the configuration leaves to it.
func TestWhatTheImageSaysIsNoDifference(t *testing.T) {
	p := New()
	img := imageConfig{
		Env: []string{"PATH=/bin", "A=image"}, Cmd: []string{"serve"}, Entrypoint: []string{"/entry"}, User: "app", WorkingDir: "/srv",
		StopSignal: "SIGQUIT", Labels: map[string]string{"maker": "me", "gapool.inputs": "x"},
		Health: &container.HealthConfig{Test: []string{"CMD", "ok"}, Interval: 5e9, Retries: 2},
	}
	around := surroundings{
		tags:       map[string]string{"i:latest": "sha256:" + strings.Repeat("1", 64)},
		networks:   map[string]string{"n1": "n", "n2": "m"},
		containers: map[string]string{},
	}
	for name, tc := range map[string]struct {
		hcl    string
		inject func(c *container.InspectResponse)
		differ []string
	}{
		"all from the image": {inject: func(c *container.InspectResponse) {
			c.Config.Env, c.Config.Cmd, c.Config.Entrypoint = img.Env, img.Cmd, img.Entrypoint
			c.Config.User, c.Config.WorkingDir, c.Config.StopSignal, c.Config.Healthcheck = img.User, img.WorkingDir, img.StopSignal, img.Health
			maps.Copy(c.Config.Labels, map[string]string{"maker": "me", "com.docker.compose.project": "p"})
			c.Config.Hostname = c.ID[:12]
			c.HostConfig.ShmSize, c.HostConfig.NetworkMode, c.HostConfig.RestartPolicy.Name = 64<<20, "default", ""
			c.HostConfig.LogConfig.Type, c.HostConfig.SecurityOpt = "json-file", []string{"label=disable"}
			c.HostConfig.MemorySwap = -1
			c.Mounts = []container.MountPoint{{Type: mount.TypeVolume, Name: strings.Repeat("f", 64), Destination: "/data", Mode: "z"}}
			c.NetworkSettings.Networks = map[string]*network.EndpointSettings{"bridge": {NetworkID: "b", EndpointID: "e"}}
			c.NetworkSettings.Ports = nat.PortMap{"80/tcp": nil}
		}},
		"env over the image's": {hcl: `env = ["A=mine"]`, inject: func(c *container.InspectResponse) {
			c.Config.Env = []string{"A=mine", "PATH=/bin"}
			with(c, img)
		}},
		"env of another": {hcl: `env = ["A=mine"]`, inject: func(c *container.InspectResponse) {
			c.Config.Env = []string{"A=mine", "PATH=/bin", "OLD=1"}
			with(c, img)
		}, differ: []string{"env"}},
		"an entrypoint takes the command away": {hcl: `entrypoint = ["/entry"]`, inject: func(c *container.InspectResponse) {
			c.Config.Env = img.Env
			with(c, img)
			c.Config.Cmd = nil
		}},
		"a random port": {hcl: "ports {\ninternal = 80\n}", inject: func(c *container.InspectResponse) {
			with(c, img)
			c.Config.Env = img.Env
			c.HostConfig.PortBindings["80/tcp"][0].HostIP = ""
			c.NetworkSettings.Ports = nat.PortMap{"80/tcp": {{HostIP: "0.0.0.0", HostPort: "49153"}, {HostIP: "::", HostPort: "49154"}}}
		}},
		"a port of a stopped container": {hcl: "ports {\ninternal = 80\nexternal = 8080\n}\nmust_run = false", inject: func(c *container.InspectResponse) {
			with(c, img)
			c.Config.Env = img.Env
			c.State.Running = false
		}},
		"a network": {hcl: "networks_advanced {\nname = \"n\"\naliases = [\"a\"]\n}", inject: func(c *container.InspectResponse) {
			with(c, img)
			c.Config.Env = img.Env
			c.NetworkSettings.Networks["n"].NetworkID = "n1"
		}},
		"a network that was made anew": {hcl: "networks_advanced {\nname = \"n\"\naliases = [\"a\"]\n}", inject: func(c *container.InspectResponse) {
			with(c, img)
			c.Config.Env = img.Env
			c.NetworkSettings.Networks["n"].NetworkID = "old"
		}, differ: []string{"networks_advanced"}},
		"another network too": {hcl: "networks_advanced {\nname = \"n\"\n}", inject: func(c *container.InspectResponse) {
			with(c, img)
			c.Config.Env = img.Env
			c.NetworkSettings.Networks["m"] = &network.EndpointSettings{NetworkID: "n2"}
		}, differ: []string{"networks_advanced"}},
		"options that the engine's own configuration adds": {hcl: `log_opts = { max-file = "3" }`, inject: func(c *container.InspectResponse) {
			with(c, img)
			c.Config.Env = img.Env
			c.HostConfig.LogConfig.Config["max-size"] = "10m"
		}},
		"privileged takes the label off": {hcl: "privileged = true\nsecurity_opts = [\"a\"]", inject: func(c *container.InspectResponse) {
			with(c, img)
			c.Config.Env = img.Env
			c.HostConfig.SecurityOpt = append(c.HostConfig.SecurityOpt, "label=disable")
		}},
		"a label that somebody took off": {hcl: "security_opts = [\"a\"]", inject: func(c *container.InspectResponse) {
			with(c, img)
			c.Config.Env = img.Env
			c.HostConfig.SecurityOpt = append(c.HostConfig.SecurityOpt, "label=disable")
		}, differ: []string{"security_opts"}},
		"a tag that moved": {inject: func(c *container.InspectResponse) {
			with(c, img)
			c.Config.Env = img.Env
			c.Image = "sha256:" + strings.Repeat("0", 64)
		}, differ: []string{"image"}},
		"between two crashes": {inject: func(c *container.InspectResponse) {
			with(c, img)
			c.Config.Env = img.Env
			c.State.Restarting = true
		}, differ: []string{"must_run"}},
	} {
		t.Run(name, func(t *testing.T) {
			want := configured(t, p, Container, "name = \"xx\"\nimage = \"i\"\n"+tc.hcl)
			c := inspected(specOf(want, providers.Owner{Stack: "s", Workspace: "w", UID: "u"}))
			tc.inject(&c)
			o := p.containerObject(c, img, around, nil)
			var got []string
			for _, d := range schema.Differences(p.container, want, o.Attrs, o.Defaults) {
				got = append(got, d.Attr)
			}
			if diff := cmp.Diff(tc.differ, slices.Compact(got)); diff != "" {
				t.Errorf("differs in (-want +got):\n%s", diff)
			}
			if o.Owner.UID != "u" {
				t.Errorf("owner %+v", o.Owner)
			}
		})
	}
}

// with lays what the engine takes from an image under a container's own.
func with(c *container.InspectResponse, img imageConfig) {
	if c.Config.Entrypoint == nil {
		c.Config.Entrypoint = img.Entrypoint
	}
	if c.Config.Cmd == nil {
		c.Config.Cmd = img.Cmd
	}
	c.Config.User, c.Config.WorkingDir, c.Config.StopSignal, c.Config.Healthcheck = img.User, img.WorkingDir, img.StopSignal, img.Health
	c.Config.Labels["maker"] = "me"
}

// Options that the engine adds by its own configuration are no difference.
func TestNetworkOptionsOfTheEngine(t *testing.T) {
	p := New()
	n := network.Inspect{Name: "n", Driver: "bridge", IPAM: network.IPAM{Driver: "default"}, Options: map[string]string{"com.docker.network.driver.mtu": "1400"}}
	for _, hcl := range []string{`name = "n"`, "name = \"n\"\noptions = { \"com.docker.network.driver.mtu\" = \"1400\" }"} {
		o := p.networkObject(n)
		for _, d := range schema.Differences(p.network, configured(t, p, Network, hcl), o.Attrs, o.Defaults) {
			t.Errorf("%s: %s differs: %#v, wanted %#v", hcl, d.Attr, d.Live, d.Want)
		}
	}
}

func TestOwner(t *testing.T) {
	o := providers.Owner{
		Stack: "s", Workspace: "w", Lineage: "l", UID: "u", Address: `docker_container.a["x, y"]`,
		Deps: []schema.Addr{{Type: Network, Name: "n"}, {Type: Volume, Name: "v", Key: schema.StringKey(`"`)}},
	}
	labels := mergeLabels(map[string]string{"a": "1", "gapool.uid": "forged"}, o)
	if diff := cmp.Diff(o, ownerOf(labels, nil), cmp.Comparer(func(a, b schema.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"a": "1"}, userLabels(labels)); diff != "" {
		t.Error(diff)
	}
	// What was made from an image that was committed from a container of ours.
	if got := ownerOf(labels, labels); got.UID != "" || got.Stack != "" {
		t.Errorf("taken for ours: %+v", got)
	}
}

func TestUpdateOf(t *testing.T) {
	p := New()
	for name, tc := range map[string]struct {
		want, live string
		changed    []string
		update     container.UpdateConfig
	}{
		"memory takes its swap along":      {`memory = 100`, ``, []string{"memory"}, container.UpdateConfig{Resources: container.Resources{Memory: 100 << 20, MemorySwap: 200 << 20}}},
		"memory without a limit of swap":   {`memory = 100`, "memory = 50\nmemory_swap = -1", []string{"memory"}, container.UpdateConfig{Resources: container.Resources{Memory: 100 << 20, MemorySwap: -1}}},
		"a limit of swap taken away":       {`memory = 100`, "memory = 100\nmemory_swap = -1", []string{"memory_swap"}, container.UpdateConfig{Resources: container.Resources{Memory: 100 << 20, MemorySwap: 200 << 20}}},
		"memory and swap":                  {"memory = 100\nmemory_swap = 150", ``, []string{"memory"}, container.UpdateConfig{Resources: container.Resources{Memory: 100 << 20, MemorySwap: 150 << 20}}},
		"only what changed":                {"memory = 100\ncpus = 0.1", ``, []string{"cpus"}, container.UpdateConfig{Resources: container.Resources{NanoCPUs: 1e8}}},
		"a restart policy and its counter": {"restart = \"on-failure\"\nmax_retry_count = 2", ``, []string{"max_retry_count"}, container.UpdateConfig{RestartPolicy: container.RestartPolicy{Name: "on-failure", MaximumRetryCount: 2}}},
	} {
		head := "name = \"xx\"\nimage = \"i\"\n"
		got := updateOf(configured(t, p, Container, head+tc.want), configured(t, p, Container, head+tc.live), tc.changed)
		if diff := cmp.Diff(tc.update, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestErrorsWithoutEffect(t *testing.T) {
	for err, none := range map[error]bool{
		cerrdefs.ErrInvalidArgument: true, cerrdefs.ErrNotFound: true, cerrdefs.ErrConflict: true, cerrdefs.ErrPermissionDenied: true, cerrdefs.ErrUnauthenticated: true,
		cerrdefs.ErrInternal: false, cerrdefs.ErrUnavailable: false, errors.New("cut"): false,
	} {
		if got := first("create", fmt.Errorf("engine: %w", err)); providers.HadNoEffect(got) != none || !errors.Is(got, err) {
			t.Errorf("%v: no effect %v", err, !none)
		}
	}
	for err, gone := range map[error]bool{cerrdefs.ErrNotFound: true, cerrdefs.ErrInternal: false, errors.New("no such container"): false} {
		if got := notFound("container", err); errors.Is(got, providers.ErrNotFound) != gone {
			t.Errorf("%v: gone %v", err, !gone)
		}
	}
}

func TestFollowPull(t *testing.T) {
	var last providers.Progress
	report := func(p providers.Progress) { last = p }
	err := followPull(strings.NewReader(`{"status":"Pulling from x","id":"1"}
{"status":"Downloading","id":"a","progressDetail":{"current":5,"total":10}}
{"status":"Downloading","id":"b","progressDetail":{"current":1,"total":90}}
{"status":"Downloading","id":"a","progressDetail":{"current":10,"total":10}}
`), report)
	if err != nil || last.Done != 11 || last.Total != 100 {
		t.Errorf("%v, %+v", err, last)
	}
	err = followPull(strings.NewReader(`{"errorDetail":{"message":"toomanyrequests"},"error":"toomanyrequests"}`), report)
	var failed *pullFailure
	if errText(err) != "toomanyrequests" || !errors.As(err, &failed) {
		t.Errorf("got %v", err)
	}
	if err := followPull(strings.NewReader(`{"status":`), report); err == nil || errors.As(err, &failed) {
		t.Error("an answer that broke off is taken for a whole one")
	}
}

// What the removal of a container waits for is what its stop may take.
func TestARemovalLingers(t *testing.T) {
	p := New()
	e := &Engine{tables: p}
	for text, want := range map[string]time.Duration{
		``:                    10 * time.Second,
		`stop_timeout = 60`:   time.Minute,
		`stop_timeout = 0`:    0,
		`stop_timeout = 1e12`: math.MaxInt32 * time.Second,
		"stop_timeout = 60\ndestroy_grace_seconds = 7": 7 * time.Second,
	} {
		o := &providers.Object{Attrs: configured(t, p, Container, "name = \"ga\"\nimage = \"b\"\n"+text)}
		if got := (containers{e}).Linger(&providers.Request{Prior: o}); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
