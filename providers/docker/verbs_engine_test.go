//go:build engine

package docker

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

func TestNetwork(t *testing.T) {
	l := newLab(t)
	const full = `
		name     = "NAME-full"
		internal = true
		options  = { "com.docker.network.bridge.enable_icc" = "true" }
		labels {
			label = "a"
			value = "1"
		}
		ipam_config {
			subnet      = "10.213.7.0/24"
			ip_range    = "10.213.7.128/25"
			gateway     = "10.213.7.1"
			aux_address = { printer = "10.213.7.9" }
		}`
	for _, hcl := range []string{`name = "NAME-plain"`, full} {
		o := l.create(Network, hcl)
		l.same(o, hcl)
		l.delete(o)
	}
	o := l.create(Network, full)
	for change, attr := range map[string]string{
		`labels = { a = "2" }`:   "labels",
		`labels = {}`:            "labels",
		`internal = false`:       "internal",
		`driver = "macvlan"`:     "driver",
		`options = {}`:           "options",
		`ipv6 = true`:            "ipv6",
		`labels = { "b" = "1" }`: "labels",
	} {
		attrs, replaces := l.differs(o, `name = "NAME-full"`+"\n"+change)
		if !slices.Contains(attrs, attr) || !replaces {
			t.Errorf("%s: differs in %v, replaces %v", change, attrs, replaces)
		}
	}
}

// The engine makes two networks of one name if it is not told otherwise.
func TestNetworkNameIsTaken(t *testing.T) {
	l := newLab(t)
	o := l.create(Network, `name = "NAME-n"`)
	req := l.request(Network, l.want(Network, `name = "NAME-n"`))
	_, err := networks{l.Engine}.Create(t.Context(), req)
	if !errors.Is(err, providers.ErrConflict) || !providers.HadNoEffect(err) || !strings.Contains(err.Error(), "docker_network.x of stack "+l.stack) || !strings.Contains(err.Error(), "plan again") {
		t.Errorf("got %v", err)
	}
	req.Owner = o.Owner // the same attempt again, whose answer was lost
	again, err := networks{l.Engine}.Create(t.Context(), req)
	if err != nil || again.ID != o.ID {
		t.Errorf("got %v, %v", again, err)
	}
}

func TestNetworkInUse(t *testing.T) {
	l := newLab(t)
	n := l.create(Network, `name = "NAME-n"`)
	c := l.create(Container, sleeper+`networks_advanced { name = "NAME-n" }`)
	users := []providers.Ref{{Kind: Container, ID: c.ID, Name: c.Name}}
	for how, o := range map[string]*providers.Object{"read": l.read(n), "refreshed": l.find(n)} {
		if diff := cmp.Diff(users, o.Users); diff != "" {
			t.Errorf("%s: %s", how, diff)
		}
	}
	if diff := cmp.Diff([]providers.Ref{n.Ref()}, c.Uses); diff != "" {
		t.Error(diff)
	}
	err := networks{l.Engine}.Delete(t.Context(), &providers.Request{Prior: n})
	if err == nil || !providers.HadNoEffect(err) || !strings.Contains(err.Error(), c.Name) {
		t.Errorf("got %v", err)
	}
	// Once the container goes, the delete that waits for it succeeds.
	gone := make(chan error, 1)
	go func() {
		gone <- l.api.ContainerRemove(context.Background(), c.ID, container.RemoveOptions{Force: true})
	}()
	if err := (networks{l.Engine}).Delete(t.Context(), &providers.Request{Prior: n}); err != nil {
		t.Error(err)
	}
	if err := <-gone; err != nil {
		t.Error(err)
	}
}

func TestVolume(t *testing.T) {
	l := newLab(t)
	for _, hcl := range []string{
		`name = "NAME-plain"`,
		`name = "NAME-full"
		driver      = "local"
		driver_opts = { type = "tmpfs", device = "tmpfs", o = "size=1m" }
		labels      = { a = "1" }`,
	} {
		o := l.create(Volume, hcl)
		l.same(o, hcl)
		l.delete(o)
	}
	o := l.create(Volume, `name = "NAME-v"`)
	for _, change := range []string{`labels = { a = "1" }`, `driver_opts = { type = "tmpfs" }`, `driver = "other"`} {
		if attrs, replaces := l.differs(o, `name = "NAME-v"`+"\n"+change); len(attrs) != 1 || !replaces {
			t.Errorf("%s: differs in %v, replaces %v", change, attrs, replaces)
		}
	}
}

// The engine answers the create of a volume that exists with a success and the
// old volume.
func TestVolumeOfAnother(t *testing.T) {
	l := newLab(t)
	old := l.create(Volume, `name = "NAME-v"`)
	req := l.request(Volume, l.want(Volume, `name = "NAME-v"`))
	if _, err := (volumes{l.Engine}).Create(t.Context(), req); !errors.Is(err, providers.ErrConflict) || !providers.HadNoEffect(err) {
		t.Errorf("create: got %v", err)
	}
	other := *old
	other.Owner.UID = "another"
	if err := (volumes{l.Engine}).Delete(t.Context(), &providers.Request{Prior: &other}); !errors.Is(err, providers.ErrConflict) || !providers.HadNoEffect(err) {
		t.Errorf("delete: got %v", err)
	}
	l.read(old)
}

const sleeper = `
	name         = "NAME-c"
	image        = "IMAGE"
	command      = ["sleep", "600"]
	stop_timeout = 0
`

func TestContainer(t *testing.T) {
	l := newLab(t)
	l.create(Network, `name = "NAME-a"`)
	l.create(Network, "name = \"NAME-b\"\nipam_config {\nsubnet = \"10.213.8.0/24\"\n}")
	l.create(Volume, `name = "NAME-v"`)
	id := l.docker("image", "inspect", "-f", "{{.Id}}", l.image)
	net := l.docker("network", "inspect", "-f", "{{.Id}}", l.name("a"))
	host := t.TempDir()
	for name, hcl := range map[string]string{
		"plain":    ``,
		"image id": `image = "` + id + `"`,
		"env": `env = ["A=1", "B=x=y", "C="]
			labels = { a = "1" }`,
		"process": `
			entrypoint  = ["/bin/sh", "-c"]
			command     = ["sleep 600"]
			user        = "1000:1000"
			working_dir = "/tmp/"
			hostname    = "h"
			init        = true
			read_only   = true
			group_add   = ["20", "10"]
			stop_signal = "int"
			security_opts = ["no-new-privileges:true"]
			capabilities {
				add  = ["net_admin"]
				drop = ["CAP_CHOWN", "mknod"]
			}
			ulimit {
				name = "nofile"
				soft = 100
				hard = 200
			}`,
		"an entrypoint alone": `entrypoint = ["sleep", "600"]`,
		"limits": `
			memory     = "64m"
			cpus       = 0.3
			cpu_shares = 512
			cpu_set    = "0"
			shm_size   = "1.5m"
			restart    = "on-failure"
			max_retry_count = 3`,
		"swap": `
			memory      = 64
			memory_swap = "96m"`,
		"ports": `
			ports {
				internal = 80
			}
			ports {
				internal = 53
				protocol = "UDP"
				ip       = "127.0.0.1"
			}
			ports {
				internal = 80
				ip       = "127.0.0.1"
				external = 48761
			}`,
		"mounts": `
			mounts {
				type   = "volume"
				source = "NAME-v"
				target = "/v/"
				volume_options {
					no_copy = true
				}
			}
			mounts {
				type      = "bind"
				source    = "` + host + `"
				target    = "/h"
				read_only = true
				bind_options {
					propagation = "rprivate"
				}
			}
			mounts {
				type   = "tmpfs"
				target = "/t"
				tmpfs_options {
					size_bytes = 1048576
				}
			}
			volumes {
				volume_name    = "NAME-v"
				container_path = "/v2"
				read_only      = true
			}
			volumes {
				host_path      = "` + host + `/made"
				container_path = "/h2"
			}
			tmpfs = { "/t2/" = "size=64k" }
			devices {
				host_path = "/dev/null"
				container_path = "/dev/nothing"
			}`,
		"a network": `networks_advanced { name = "NAME-a" }`,
		"networks": `
			networks_advanced {
				name    = "NAME-b"
				aliases = ["y", "x"]
				ipv4_address = "10.213.8.77"
			}
			networks_advanced {
				name    = "` + net + `"
				aliases = ["z"]
			}`,
		"a network by its ID": `networks_advanced { name = "` + net + `" }`,
		"a network as mode":   `network_mode = "NAME-a"`,
		"no network":          `network_mode = "none"`,
		"the host's network":  `network_mode = "host"`,
		"names": `
			dns        = ["10.0.0.2", "10.0.0.1"]
			dns_search = ["example.org"]
			host {
				host = "db"
				ip   = "10.1.2.3"
			}
			host {
				host = "db"
				ip   = "fd00::1"
			}`,
		"log": `
			log_driver = "json-file"
			log_opts   = { max-size = "1m" }`,
		"health": `
			healthcheck {
				test     = ["CMD", "true"]
				interval = "1000ms"
				retries  = 2
			}
			wait = true`,
		"no health": `healthcheck { test = ["NONE"] }`,
		"uploads": `
			upload {
				file    = "/etc/app/secret"
				content = "geheim"
				permissions = "600"
			}
			upload {
				file           = "/run.sh"
				content_base64 = "/wA="
				executable     = true
			}
			upload {
				file   = "/etc/copy"
				source = "/etc/hostname"
			}`,
	} {
		t.Run(name, func(t *testing.T) {
			l := *l
			l.T = t
			base := sleeper
			for _, attr := range []string{"image", "command"} {
				if strings.Contains(hcl, attr+" ") {
					base = without(base, attr)
				}
			}
			if strings.Contains(hcl, "entrypoint = ") {
				base = without(base, "command")
			}
			o := l.create(Container, base+hcl)
			l.same(o, base+hcl)
			l.delete(o)
		})
	}
}

// without leaves an argument out of a body.
func without(hcl, attr string) string {
	lines := strings.Split(hcl, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(s string) bool { return strings.HasPrefix(strings.TrimSpace(s), attr+" ") }), "\n")
}

// Every attribute that is taken away again, or changed, is seen.
func TestContainerDifferences(t *testing.T) {
	l := newLab(t)
	l.create(Network, `name = "NAME-a"`)
	l.create(Network, `name = "NAME-b"`)
	everything := map[string]string{
		"env":         `env = { A = "1" }`,
		"labels":      `labels = { a = "1" }`,
		"user":        `user = "1000"`,
		"working_dir": `working_dir = "/tmp"`,
		"privileged":  `privileged = true`,
		"group_add":   `group_add = ["10"]`,
		"capabilities": `capabilities {
			drop = ["MKNOD"]
		}`,
		"ports": `ports {
			internal = 80
		}`,
		"mounts": `mounts {
			type   = "tmpfs"
			target = "/t"
		}`,
		"tmpfs":      `tmpfs = { "/t2" = "" }`,
		"dns":        `dns = ["10.0.0.1"]`,
		"dns_search": `dns_search = ["example.org"]`,
		"host": `host {
			host = "db"
			ip   = "10.1.2.3"
		}`,
		"memory":     `memory = 64`,
		"cpus":       `cpus = 0.5`,
		"cpu_shares": `cpu_shares = 512`,
		"cpu_set":    `cpu_set = "0"`,
		"healthcheck": `healthcheck {
			test = ["CMD", "true"]
		}`,
		"stop_signal": `stop_signal = "SIGINT"`,
		"networks_advanced": `networks_advanced {
			name = "NAME-a"
		}`,
		"upload": `upload {
			file = "/f"
			content = "x"
		}`,
	}
	body := sleeper
	for _, attr := range sortedKeys(everything) {
		body += everything[attr] + "\n"
	}
	o := l.create(Container, body)
	l.same(o, body)
	for attr, hcl := range everything {
		if attrs, replaces := l.differs(o, strings.Replace(body, hcl, "", 1)); len(attrs) != 1 || attrs[0] != attr || !replaces {
			t.Errorf("without %s: differs in %v, replaces %v", attr, attrs, replaces)
		}
	}
}

func TestContainerUpdate(t *testing.T) {
	l := newLab(t)
	l.create(Network, `name = "NAME-a"`)
	l.create(Network, `name = "NAME-b"`)
	l.create(Network, `name = "NAME-d"`)
	nets := func(names ...string) (s string) {
		for _, n := range names {
			s += "networks_advanced {\nname = \"NAME-" + n + "\"\n}\n"
		}
		return s
	}
	first := sleeper + "memory = 64\n" + nets("a", "b")
	o := l.create(Container, first)
	l.same(o, first)
	for _, hcl := range []string{
		"memory = 128\n" + nets("a", "b"),                                // above the swap that is stored
		"memory = 128\ncpus = 0.5\nrestart = \"always\"\n" + nets("a"),   // leaves a network
		"memory = 128\ncpus = 0.25\nrestart = \"no\"\n" + nets("d", "a"), // joins one; the primary stays
		"memory = 128\ncpus = 0.25\nmemory_swap = 200\ncpu_shares = 100\ncpu_set = \"0\"\n" + nets("a", "d"),
	} {
		var err error
		if o, err = l.update(o, sleeper+hcl); err != nil {
			t.Fatal(err)
		}
		l.same(o, sleeper+hcl)
	}
	for _, hcl := range []string{nets("d"), "network_mode = \"none\"", nets("b", "d")} {
		if _, replaces := l.differs(o, sleeper+"memory = 128\n"+hcl); !replaces {
			t.Errorf("%s: another primary network does not replace", hcl)
		}
	}
	renamed := strings.Replace(sleeper, "NAME-c", "NAME-other", 1) + "memory = 128\ncpus = 0.25\nmemory_swap = 200\ncpu_shares = 100\ncpu_set = \"0\"\n" + nets("a", "d")
	o, err := l.update(o, renamed)
	if err != nil {
		t.Fatal(err)
	}
	l.same(o, renamed)
	if o, err = (containers{l.Engine}).Rename(t.Context(), o, l.name("c")); err != nil || o.Name != l.name("c") {
		t.Errorf("renamed to %v: %v", o, err)
	}
}

func TestContainerDrift(t *testing.T) {
	l := newLab(t)
	n := l.create(Network, `name = "NAME-n"`)
	hcl := sleeper + `networks_advanced { name = "NAME-n" }`
	o := l.create(Container, hcl)
	check := func(what, attr string, replaces bool) {
		t.Helper()
		attrs, r := l.differs(o, hcl)
		if len(attrs) != 1 || attrs[0] != attr || r != replaces {
			t.Errorf("%s: differs in %v, replaces %v", what, attrs, r)
		}
	}
	l.docker("stop", "-t", "0", o.Name)
	check("stopped", "must_run", false)
	if c := l.find(o).Attrs.GetAttr("exit_code"); c.IsNull() || whole(l.find(o).Attrs, "exit_code") != 137 {
		t.Errorf("exit code %#v", c)
	}
	o, err := l.update(l.find(o), hcl)
	if err != nil {
		t.Fatal(err)
	}
	l.same(o, hcl)

	l.docker("network", "create", l.name("more"))
	t.Cleanup(func() { l.docker("network", "rm", l.name("more")) })
	l.docker("network", "connect", l.name("more"), o.Name)
	check("connected by hand", "networks_advanced", false)
	if o, err = l.update(l.find(o), hcl); err != nil {
		t.Fatal(err)
	}
	l.same(o, hcl)

	// A container that is stopped does not hold its network. Another one of
	// that name is not the same.
	l.docker("stop", "-t", "0", o.Name)
	l.docker("network", "rm", n.Name)
	for _, what := range []string{"network removed", "network made anew"} {
		attrs, replaces := l.differs(o, hcl)
		if !slices.Equal(slices.Compact(attrs), []string{"networks_advanced", "must_run"}) || !replaces {
			t.Errorf("%s: differs in %v, replaces %v", what, attrs, replaces)
		}
		if what == "network removed" {
			l.create(Network, `name = "NAME-n"`)
		}
	}
}

// A tag that was moved to another image is a difference of the container.
func TestContainerTagMoves(t *testing.T) {
	l := newLab(t)
	l.docker("tag", l.image, l.name("i")+":1")
	t.Cleanup(func() { l.docker("rmi", l.name("i")+":1") })
	hcl := strings.Replace(sleeper, "IMAGE", "docker.io/library/NAME-i:1", 1)
	o := l.create(Container, hcl)
	l.same(o, hcl)
	l.docker("commit", o.Name, l.name("i")+":1")
	if attrs, replaces := l.differs(o, hcl); !slices.Equal(attrs, []string{"image"}) || !replaces {
		t.Errorf("differs in %v, replaces %v", attrs, replaces)
	}
	// The new image has our labels, since it was made from our container. What
	// is run from it is not ours.
	l.docker("run", "-d", "--name", l.name("copy"), l.name("i")+":1")
	t.Cleanup(func() { l.docker("rm", "-f", l.name("copy")) })
	w, err := l.Refresh(t.Context(), providers.Scope{Stack: l.stack, Workspace: "test"})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range w.Objects {
		if o.Name == l.name("copy") {
			t.Error("a container that inherits our labels is taken for ours")
		}
	}
	if o, ok := w.Named(Container, l.name("copy")); !ok || o.Owner.UID != "" {
		t.Errorf("its name finds %v, %v", o, ok)
	}
}

func TestContainerNameIsTaken(t *testing.T) {
	l := newLab(t)
	o := l.create(Container, sleeper)
	req := l.request(Container, l.want(Container, sleeper))
	got, err := containers{l.Engine}.Create(t.Context(), req)
	if got != nil || !errors.Is(err, providers.ErrConflict) || !providers.HadNoEffect(err) || !strings.Contains(err.Error(), "docker_container.x of stack "+l.stack) || !strings.Contains(err.Error(), "plan again") {
		t.Errorf("got %v, %v", got, err)
	}
	other := l.create(Container, strings.Replace(sleeper, "NAME-c", "NAME-other", 1))
	if _, err := (containers{l.Engine}).Rename(t.Context(), other, o.Name); !errors.Is(err, providers.ErrConflict) || !providers.HadNoEffect(err) {
		t.Errorf("rename: got %v", err)
	}
}

// What a failed create left is returned beside the error.
func TestContainerHalfMade(t *testing.T) {
	l := newLab(t)
	l.create(Container, strings.Replace(sleeper, "NAME-c", "NAME-first", 1)+"ports {\ninternal = 80\nexternal = 48762\n}")
	for name, tc := range map[string]struct {
		hcl, says string
		started   bool
	}{
		"a port that is taken":          {sleeper + "ports {\ninternal = 80\nexternal = 48762\n}", "port is already allocated", false},
		"its network is not there":      {sleeper + "networks_advanced {\nname = \"NAME-none\"\n}", "NAME-none", false},
		"a network that is not there":   {sleeper + "networks_advanced {\nname = \"bridge\"\n}\nnetworks_advanced {\nname = \"NAME-none\"\n}", "NAME-none", false},
		"it is started again and again": {without(sleeper, "command") + "restart = \"always\"\ncommand = [\"sh\", \"-c\", \"echo farewell; exit 7\"]", "started again", true},
		"it ends before it is healthy":  {without(sleeper, "command") + "wait = true\ncommand = [\"sh\", \"-c\", \"echo farewell; exit 7\"]\nhealthcheck {\ntest = [\"CMD\", \"true\"]\n}", "exit code 7", true},
		"it is unhealthy":               {sleeper + "wait = true\nhealthcheck {\ntest = [\"CMD-SHELL\", \"echo farewell; false\"]\ninterval = \"100ms\"\nretries = 1\n}", "health check fails (exit code 1): farewell", true},
		"no health check":               {sleeper + `wait = true`, "wait needs a health check", true},
		"no health in time":             {sleeper + "wait = true\nwait_timeout = 1\nhealthcheck {\ntest = [\"CMD\", \"true\"]\ninterval = \"1h\"\n}", "not ready after 1s", true},
	} {
		t.Run(name, func(t *testing.T) {
			l := *l
			l.T = t
			req := l.request(Container, l.want(Container, tc.hcl))
			o, err := containers{l.Engine}.Create(t.Context(), req)
			says := strings.ReplaceAll(tc.says, "NAME", l.stack)
			if err == nil || providers.HadNoEffect(err) || !strings.Contains(err.Error(), says) {
				t.Errorf("got %v, want %q", err, says)
			}
			if strings.Contains(tc.hcl, "farewell") && !strings.Contains(err.Error(), "farewell") {
				t.Errorf("the log is not in %v", err)
			}
			if o == nil {
				t.Fatal("what exists of it is not returned")
			}
			if o.Started != tc.started || o.Owner.UID != req.Owner.UID {
				t.Errorf("started %v, owner %v", o.Started, o.Owner)
			}
			l.delete(o)
		})
	}
}

func TestContainerRefused(t *testing.T) {
	l := newLab(t)
	for hcl, says := range map[string]string{
		strings.Replace(sleeper, "IMAGE", "gapool/no-such-image", 1): "no image gapool/no-such-image:latest",
		sleeper + `log_driver = "nonsense"`:                          "nonsense",
	} {
		o, err := containers{l.Engine}.Create(t.Context(), l.request(Container, l.want(Container, hcl)))
		if o != nil || err == nil || !providers.HadNoEffect(err) || !strings.Contains(err.Error(), strings.ReplaceAll(says, "NAME", l.stack)) {
			t.Errorf("%s: got %v, %v", says, o, err)
		}
	}
}

// A first process that ends by itself when it is told to is not killed.
func TestContainerStopsInItsOwnTime(t *testing.T) {
	l := newLab(t)
	l.create(Volume, `name = "NAME-v"`)
	o := l.create(Container, `
		name    = "NAME-c"
		image   = "IMAGE"
		command = ["sh", "-c", "trap 'sleep 1; echo ended > /v/ended; exit 0' TERM; while :; do sleep 0.1; done"]
		mounts {
			type   = "volume"
			source = "NAME-v"
			target = "/v"
		}`)
	l.delete(o)
	if got := l.docker("run", "--rm", "-v", l.name("v")+":/v", l.image, "cat", "/v/ended"); got != "ended" {
		t.Errorf("got %q", got)
	}
}

func TestContainerNotStarted(t *testing.T) {
	l := newLab(t)
	o := l.create(Container, sleeper+"start = false\nmust_run = false\n")
	if o.Started {
		t.Error("it was started")
	}
	l.delete(o)
}

func TestContainerOfAnotherNetwork(t *testing.T) {
	l := newLab(t)
	parent := l.create(Container, strings.Replace(sleeper, "NAME-c", "NAME-parent", 1))
	hcl := sleeper + `network_mode = "container:NAME-parent"`
	o := l.create(Container, hcl)
	l.same(o, hcl)
	if diff := cmp.Diff([]providers.Ref{parent.Ref()}, o.Uses); diff != "" {
		t.Error(diff)
	}
	// The engine knows the parent by its ID. Another one of its name is not it.
	l.docker("rm", "-f", parent.Name)
	l.create(Container, strings.Replace(sleeper, "NAME-c", "NAME-parent", 1))
	if attrs, replaces := l.differs(o, hcl); !slices.Equal(attrs, []string{"network_mode"}) || !replaces {
		t.Errorf("differs in %v, replaces %v", attrs, replaces)
	}
}

// A request's files are there when the first process starts, and are its
// user's.
func TestContainerFiles(t *testing.T) {
	l := newLab(t)
	req := l.request(Container, l.want(Container, without(sleeper, "command")+`
		user    = "10001"
		command = ["sh", "-c", "echo $(cat /run/ray/token); sleep 600"]`))
	req.Files = []providers.File{{Path: "/run/ray/token", Content: []byte("token")}}
	o, err := containers{l.Engine}.Create(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "its log", func() bool {
		log, err := l.Logs(t.Context(), o.ID, 5)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(log, "token")
	})
	if got, err := l.ReadFile(t.Context(), o.ID, "/run/ray/token"); err != nil || string(got) != "token" {
		t.Errorf("read back %q, %v", got, err)
	}
	if got := l.docker("exec", o.Name, "stat", "-c", "%u %a", "/run/ray/token"); got != "10001 400" {
		t.Errorf("the file is %s", got)
	}
	if _, err := l.ReadFile(t.Context(), o.ID, "/none"); !errors.Is(err, providers.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestExec(t *testing.T) {
	l := newLab(t)
	o := l.create(Container, sleeper)
	s, err := l.Exec(t.Context(), o.ID, []string{"sh", "-c", "echo noise >&2; read x; echo got $x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("it\n")); err != nil {
		t.Fatal(err)
	}
	out, err := readAll(s)
	if err != nil || out != "got it\n" {
		t.Errorf("got %q, %v", out, err)
	}

	s, err = l.Exec(t.Context(), o.ID, []string{"sh", "-c", "echo out; echo wrong >&2; exit 3"})
	if err != nil {
		t.Fatal(err)
	}
	out, err = readAll(s)
	var exit *ExitError
	if out != "out\n" || !errors.As(err, &exit) || exit.Code != 3 || exit.Stderr != "wrong" {
		t.Errorf("got %q, %v", out, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	s, err = l.Exec(ctx, o.ID, []string{"cat"})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err = readAll(s); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Exec(t.Context(), "no-such-container", []string{"true"}); !errors.Is(err, providers.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestImageBuild(t *testing.T) {
	l := newLab(t)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("Dockerfile", "FROM "+l.image+"\nARG word\nCOPY file /file\nRUN echo $word > /word\nENV A=1\n")
	write("file", "1")
	hcl := `
		name = "NAME-i"
		build {
			context    = "` + dir + `"
			build_args = { word = "hello" }
			label      = { author = "me" }
		}`
	create := func() *providers.Object {
		t.Helper()
		req := l.request(Image, l.want(Image, hcl))
		o, err := images{l.Engine}.Create(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	t.Cleanup(func() { l.docker("rmi", "-f", l.name("i")) })
	old := create()
	l.same(old, hcl)
	if old.Name != l.name("i")+":latest" || old.ID != text(old.Attrs, "image_id") {
		t.Errorf("made %+v", old)
	}
	if got := l.docker("run", "--rm", old.ID, "cat", "/word"); got != "hello" {
		t.Errorf("built %q", got)
	}
	write("file", "2")
	if attrs, replaces := l.differs(old, hcl); !slices.Equal(attrs, []string{"build_inputs"}) || !replaces {
		t.Errorf("another file: differs in %v, replaces %v", attrs, replaces)
	}
	now := create()
	l.same(now, hcl)
	// The name means the new image, which is not the old one's to take away.
	if err := (images{l.Engine}).Delete(t.Context(), &providers.Request{Prior: old, Report: func(providers.Progress) {}}); err != nil {
		t.Error(err)
	}
	l.read(now)
	// What a container uses is kept.
	c := l.create(Container, strings.Replace(sleeper, "IMAGE", "NAME-i", 1)+`env = { B = "2" }`)
	l.same(c, strings.Replace(sleeper, "IMAGE", "NAME-i", 1)+`env = { B = "2" }`)
	if err := (images{l.Engine}).Delete(t.Context(), &providers.Request{Prior: now, Report: func(providers.Progress) {}}); err != nil {
		t.Error(err)
	}
	l.read(now)
	l.delete(c)
	l.delete(now)
}

func TestImagePull(t *testing.T) {
	l := newLab(t)
	req := l.request(Image, l.want(Image, `name = "127.0.0.1:1/gapool/none:1"`))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	o, err := images{l.Engine}.Create(ctx, req)
	if o != nil || err == nil || !strings.Contains(err.Error(), "pull image 127.0.0.1:1/gapool/none:1") {
		t.Errorf("got %v, %v", o, err)
	}
}

func TestNamed(t *testing.T) {
	l := newLab(t)
	n := l.create(Network, `name = "NAME-n"`)
	v := l.create(Volume, `name = "NAME-v"`)
	c := l.create(Container, sleeper)
	// As another stack sees them.
	w, err := l.Refresh(t.Context(), providers.Scope{Stack: "another", Workspace: "test"})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []*providers.Object{n, v, c} {
		got, ok := w.Named(o.Kind, o.Name)
		if !ok || got.ID != o.ID || got.Owner.UID != o.Owner.UID {
			t.Errorf("%s: found %v", o.Kind, got)
		}
		if slices.ContainsFunc(w.Objects, func(x *providers.Object) bool { return x.ID == o.ID }) {
			t.Errorf("%s: is among another stack's objects", o.Kind)
		}
		if _, ok := w.Named(o.Kind, l.name("none")); ok {
			t.Errorf("%s: found by a name that nothing has", o.Kind)
		}
	}
	if o, ok := w.Named(Image, "docker.io/"+l.image); !ok || o.Name != l.image {
		t.Errorf("image: found %v", o)
	}
	// Recorded objects are found though they are not of the stack.
	w, err = l.Refresh(t.Context(), providers.Scope{Stack: "another", Workspace: "test", Recorded: []providers.Ref{n.Ref(), v.Ref(), c.Ref(), {Kind: Network, ID: strings.Repeat("0", 64)}}})
	if err != nil || len(w.Objects) != 3 {
		t.Errorf("found %v, %v", w.Objects, err)
	}
}

func TestConnectSaysWhereItLooked(t *testing.T) {
	p := New()
	cfg := schema.With(p.Config().Null(), map[string]cty.Value{"host": cty.StringVal("unix:///nowhere/docker.sock")})
	_, err := p.Connect(t.Context(), cfg)
	for _, part := range []string{"unix:///nowhere/docker.sock", "provider block", "DOCKER_HOST"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
}

func readAll(r io.Reader) (string, error) {
	b, err := io.ReadAll(r)
	return string(b), err
}
