//go:build engine

package docker

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/hashicorp/go-version"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// The engine fills in some settings by itself. What was configured and is taken
// out of the configuration is a difference; what never was is none.
func TestContainerSettingTakenOut(t *testing.T) {
	l := newLab(t)
	for attr, hcl := range map[string]string{
		"hostname":      `hostname = "foo"`,
		"init":          `init = true`,
		"ipc_mode":      `ipc_mode = "none"`,
		"log_driver":    `log_driver = "local"`,
		"log_opts":      `log_opts = { max-size = "1m" }`,
		"memory_swap":   "memory = 64\nmemory_swap = 80",
		"security_opts": `security_opts = ["no-new-privileges:true"]`,
		"shm_size":      `shm_size = 128`,
		"stop_timeout":  `stop_timeout = 3`,
		"ulimit":        "ulimit {\nname = \"nofile\"\nsoft = 1000\nhard = 2000\n}",
	} {
		o := l.create(Container, without(sleeper, "stop_timeout")+hcl)
		l.same(o, without(sleeper, "stop_timeout")+hcl)
		plain := without(sleeper, "stop_timeout")
		if attr == "memory_swap" {
			plain += "memory = 64\n"
		}
		attrs, replaces := l.differs(o, plain)
		if !slices.Equal(attrs, []string{attr}) || replaces != (attr != "memory_swap") {
			t.Errorf("%s taken out: differs in %v, replaces %v", attr, attrs, replaces)
		}
		if attr == "memory_swap" {
			o, err := l.update(o, plain)
			if err != nil {
				t.Fatal(err)
			}
			l.same(o, plain)
		}
		l.docker("rm", "-f", o.ID) // without waiting for its stop
	}
	// An engine may have its own, for all containers; -d is the docker command's way to that.
	l.docker("create", "--name", l.name("own"), "--shm-size", "99m", "--init", "--log-opt", "max-size=1m", "--ulimit", "nofile=9:9", "--stop-timeout", "7", l.image, "sleep", "600")
	t.Cleanup(func() { l.docker("rm", "-f", l.name("own")) })
	o, err := containers{l.Engine}.Read(t.Context(), providers.Ref{Kind: Container, Name: l.name("own")})
	if err != nil {
		t.Fatal(err)
	}
	want := l.want(Container, strings.Replace(without(sleeper, "stop_timeout"), "NAME-c", "NAME-own", 1)+"must_run = false\nlog_opts = { max-size = \"1m\" }")
	for _, d := range schema.Differences(l.tables.container, want, o.Attrs, o.Defaults) {
		t.Errorf("the engine's own %s differs: %#v, wanted %#v", d.Attr, d.Live, d.Want)
	}
}

// The engine lists the host name and the short ID among the aliases.
func TestContainerAliases(t *testing.T) {
	l := newLab(t)
	l.create(Network, `name = "NAME-n"`)
	l.create(Network, `name = "NAME-m"`)
	for _, nets := range []string{
		"networks_advanced {\nname = \"NAME-n\"\n}\nnetworks_advanced {\nname = \"NAME-m\"\n}",
		"networks_advanced {\nname = \"NAME-n\"\naliases = [\"foo\"]\n}\nnetworks_advanced {\nname = \"NAME-m\"\naliases = [\"b\", \"a\"]\n}",
	} {
		hcl := sleeper + "hostname = \"foo\"\n" + nets
		o := l.create(Container, hcl)
		l.same(o, hcl)
		l.docker("restart", "-t", "0", o.ID)
		l.same(l.read(o), hcl)
		l.delete(o)
	}
	nets := func(aliases string) string {
		return sleeper + "hostname = \"foo\"\nnetworks_advanced {\nname = \"NAME-n\"\n}\nnetworks_advanced {\nname = \"NAME-m\"\naliases = [" + aliases + "]\n}"
	}
	o := l.create(Container, nets(`"a", "b"`))
	for _, aliases := range []string{`"b"`, ``, `"c", "foo"`} {
		var err error
		if o, err = l.update(o, nets(aliases)); err != nil {
			t.Fatal(err)
		}
		l.same(o, nets(aliases))
	}
}

// Who attaches a container of the default network to another one by hand has
// not changed what is configured.
func TestContainerAttachedByHand(t *testing.T) {
	l := newLab(t)
	l.create(Network, `name = "NAME-n"`)
	l.create(Network, `name = "NAME-m"`)
	for _, mode := range []string{"", `network_mode = "NAME-m"`} {
		o := l.create(Container, sleeper+mode)
		if err := l.api.NetworkConnect(t.Context(), l.name("n"), o.ID, &network.EndpointSettings{Aliases: []string{"x"}}); err != nil {
			t.Fatal(err)
		}
		l.same(l.read(o), sleeper+mode)
		l.delete(o)
	}
}

// The engine takes the SELinux label off a privileged container.
func TestContainerPrivileged(t *testing.T) {
	l := newLab(t)
	for _, opts := range []string{"", `security_opts = ["no-new-privileges:true"]`, `security_opts = ["label=disable"]`} {
		// It is not started: a machine may not let even its engine have all rights.
		hcl := sleeper + "privileged = true\nstart = false\nmust_run = false\n" + opts
		o := l.create(Container, hcl)
		if attrs, _ := l.differs(o, hcl); len(attrs) > 0 {
			t.Errorf("%s: differs in %v", opts, attrs)
		}
		l.delete(o)
	}
}

// Settings that the engine has no word of its own for.
func TestContainerMoreSettings(t *testing.T) {
	l := newLab(t)
	for attr, hcl := range map[string]string{
		"domainname":         `domainname = "lab.example"`,
		"tty":                `tty = true`,
		"stdin_open":         `stdin_open = true`,
		"publish_all_ports":  `publish_all_ports = true`,
		"sysctls":            `sysctls = { "net.ipv4.ip_unprivileged_port_start" = "0" }`,
		"pid_mode":           `pid_mode = "host"`,
		"userns_mode":        `userns_mode = "host"`,
		"rm":                 `rm = true`,
		"dns_opts":           `dns_opts = ["ndots:2"]`,
		"memory_reservation": `memory_reservation = "32m"`,
		"runtime":            `runtime = "runc"`,
	} {
		o := l.create(Container, sleeper+hcl)
		l.same(o, sleeper+hcl)
		attrs, replaces := l.differs(o, sleeper)
		if want := []string{attr}; attr != "runtime" && (!slices.Equal(attrs, want) || !replaces) {
			t.Errorf("%s taken out: differs in %v, replaces %v", attr, attrs, replaces)
		}
		l.docker("rm", "-f", o.ID)
	}
	o := l.create(Container, sleeper+"memory_reservation = 32\nmemory = 64\n")
	o, err := l.update(o, sleeper+"memory_reservation = 48\nmemory = 64\n")
	if err != nil {
		t.Fatal(err)
	}
	l.same(o, sleeper+"memory_reservation = 48\nmemory = 64\n")
}

func TestNetworkOptionTakenOut(t *testing.T) {
	l := newLab(t)
	const hcl = "name = \"NAME-n\"\noptions = { \"com.docker.network.bridge.enable_icc\" = \"true\" }\nipam_config {\nsubnet = \"10.213.9.0/24\"\n}"
	o := l.create(Network, hcl)
	l.same(o, hcl)
	if attrs, replaces := l.differs(o, `name = "NAME-n"`); !slices.Equal(attrs, []string{"options", "ipam_config"}) || !replaces {
		t.Errorf("differs in %v, replaces %v", attrs, replaces)
	}
	req := l.request(Network, l.want(Network, "name = \"NAME-other\"\nipam_config {\nsubnet = \"10.213.8.0/22\"\n}"))
	_, err := networks{l.Engine}.Create(t.Context(), req)
	if err == nil || !strings.Contains(err.Error(), "network "+l.name("n")+" (10.213.9.0/24") {
		t.Errorf("got %v", err)
	}
}

func TestContainerPortIsHeld(t *testing.T) {
	l := newLab(t)
	const port = "ports {\ninternal = 80\nexternal = 48763\n}"
	l.create(Container, strings.Replace(sleeper, "NAME-c", "NAME-first", 1)+port)
	req := l.request(Container, l.want(Container, sleeper+port))
	_, err := containers{l.Engine}.Create(t.Context(), req)
	if err == nil || !strings.Contains(err.Error(), "port 48763 is held by container "+l.name("first")) {
		t.Errorf("got %v", err)
	}
}

// A port is seen to be taken, by a container or by another process of this machine,
// before anything is created.
func TestPortsAreSeenToBeTaken(t *testing.T) {
	l := newLab(t)
	other, err := net.Listen("tcp", "[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	taken := int64(other.Addr().(*net.TCPAddr).Port)
	l.create(Container, sleeper+"ports {\ninternal = 80\nip = \"127.0.0.1\"\n}")
	w, err := l.Refresh(t.Context(), providers.Scope{Stack: l.stack, Workspace: "test"})
	if err != nil {
		t.Fatal(err)
	}
	of, err := l.api.ContainerInspect(t.Context(), w.Objects[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	var held int64
	for _, b := range of.NetworkSettings.Ports["80/tcp"] {
		held, _ = strconv.ParseInt(b.HostPort, 10, 64)
	}
	stays := func(providers.Ref) bool { return false }
	if by := w.Held(Container, publishedPort(held, "tcp", "0.0.0.0")); len(by) != 1 || by[0].Name != l.name("c") {
		t.Errorf("port %d is held by %v", held, by)
	}
	if by := w.Busy(Container, publishedPort(taken, "tcp", "127.0.0.1"), stays); !strings.Contains(by, fmt.Sprintf("listens at [::]:%d", taken)) {
		t.Errorf("port %d is taken by %q", taken, by)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if w, err = l.Refresh(t.Context(), providers.Scope{Stack: l.stack, Workspace: "test"}); err != nil {
		t.Fatal(err)
	}
	if by := w.Busy(Container, publishedPort(taken, "tcp", "127.0.0.1"), stays); by != "" {
		t.Errorf("port %d is free, and taken by %q", taken, by)
	}
}

// A start that took effect is recorded as one, though what follows fails.
func TestContainerStartedAndNotReady(t *testing.T) {
	l := newLab(t)
	hcl := sleeper + "healthcheck {\ntest = [\"CMD-SHELL\", \"false\"]\ninterval = \"100ms\"\nretries = 1\n}\n"
	o := l.create(Container, hcl+"must_run = false\nstart = false\n")
	req := l.request(Container, l.want(Container, hcl+"wait = true"))
	req.Prior, req.Changed = o, []string{"must_run"}
	after, err := containers{l.Engine}.Update(t.Context(), req)
	if err == nil || providers.HadNoEffect(err) || after == nil || !after.Started {
		t.Errorf("got %v, no effect %v", err, providers.HadNoEffect(err))
	}
}

// One that ends and is gone at once did take effect.
func TestContainerStartedAndGone(t *testing.T) {
	l := newLab(t)
	hcl := without(sleeper, "command") + "rm = true\ncommand = [\"true\"]\n"
	o := l.create(Container, hcl+"must_run = false\nstart = false\n")
	req := l.request(Container, l.want(Container, hcl))
	req.Prior, req.Changed = o, []string{"must_run"}
	if _, err := (containers{l.Engine}).Update(t.Context(), req); err == nil || providers.HadNoEffect(err) {
		t.Errorf("got %v, no effect %v", err, providers.HadNoEffect(err))
	}
	eventually(t, "it is removed", func() bool {
		_, err := containers{l.Engine}.Read(t.Context(), o.Ref())
		return errors.Is(err, providers.ErrNotFound)
	})
}

// A file of ours that has grown beyond what is held in memory is a difference,
// and one that was uploaded so large is none.
func TestContainerLargeFile(t *testing.T) {
	l := newLab(t)
	hcl := sleeper + "upload {\nfile = \"/a\"\ncontent = \"x\"\n}\n"
	o := l.create(Container, hcl)
	l.same(o, hcl)
	l.docker("exec", o.ID, "dd", "if=/dev/zero", "of=/a", "bs=1M", "count=33")
	if attrs, _ := l.differs(o, hcl); !slices.Equal(slices.Compact(attrs), []string{"upload"}) {
		t.Errorf("differs in %v", attrs)
	}
	if _, err := l.ReadFile(t.Context(), o.ID, "/a"); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
	f, err := l.readFile(t.Context(), o.ID, "/a")
	if err != nil || f.content != nil || f.hash != hashOf(make([]byte, 33<<20)) {
		t.Errorf("%v, %d bytes, hash %s", err, len(f.content), f.hash)
	}
}

// Neither progress nor an error of a build quotes a sensitive argument, and a
// step that failed has made nothing.
func TestImageBuildFails(t *testing.T) {
	l := newLab(t)
	req := l.request(Image, cty.NullVal(l.tables.image.Implied()))
	dockerfile := "FROM " + l.image + "\nARG TOKEN\nRUN echo $TOKEN; false\n"
	if err := os.WriteFile(filepath.Join(req.Dir, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		t.Fatal(err)
	}
	req.Want = l.want(Image, "name = \"NAME-i\"\nbuild {\ncontext = \""+req.Dir+"\"\nbuild_arg = { TOKEN = \"hunter22\" }\nno_cache = true\n}")
	req.Name, req.Sensitive = text(req.Want, "name"), []string{"hunter22"}
	var said strings.Builder
	req.Report = func(p providers.Progress) { said.WriteString(p.Stage + p.Line + "\n") }
	_, err := images{l.Engine}.Create(t.Context(), req)
	if err == nil || !providers.HadNoEffect(err) {
		t.Fatalf("got %v, no effect %v", err, providers.HadNoEffect(err))
	}
	if text := said.String() + err.Error(); strings.Contains(text, "hunter22") || !strings.Contains(text, "(sensitive value)") {
		t.Errorf("said %s", text)
	}
	gone := schema.With(req.Want.GetAttr("build"), map[string]cty.Value{"context": cty.StringVal("/no/such/folder")})
	req.Want = schema.With(req.Want, map[string]cty.Value{"build": gone})
	if _, err := (images{l.Engine}).Create(t.Context(), req); err == nil || !providers.HadNoEffect(err) {
		t.Errorf("got %v, no effect %v", err, providers.HadNoEffect(err))
	}
}

// Engines have start_interval from API 1.44 on. The plan refuses it before that,
// and so does a verb that no plan has looked at.
func TestContainerStartInterval(t *testing.T) {
	l := newLab(t)
	const hcl = sleeper + "healthcheck {\ntest = [\"CMD\", \"true\"]\nstart_interval = \"1s\"\n}"
	api, err := version.NewVersion(l.Info().API)
	if err != nil {
		t.Fatal(err)
	}
	want := l.want(Container, hcl)
	newer := l.tables.container.Newer(want, api)
	if api.LessThan(version.Must(version.NewVersion("1.44"))) != (len(newer) == 1 && newer[0].Path == "healthcheck.start_interval") {
		t.Errorf("API %s is too old for %v", api, newer)
	}
	o, err := containers{l.Engine}.Create(t.Context(), l.request(Container, want))
	switch {
	case err == nil:
		l.same(o, hcl)
	case len(newer) == 0 || !strings.Contains(err.Error(), "requires API version 1.44"):
		t.Errorf("got %v", err)
	}
}

// The aliases on the primary network change in place: the container leaves the
// network for a moment and goes on running, with the ports that it publishes.
func TestContainerPrimaryAliases(t *testing.T) {
	l := newLab(t)
	l.create(Network, `name = "NAME-n"`)
	l.create(Network, `name = "NAME-m"`)
	const (
		port   = "48764"
		serves = "command = [\"sh\", \"-c\", \"while true; do echo hello | nc -l -p 80; done\"]\nstop_timeout = 0\nports {\ninternal = 80\nexternal = " + port + "\nip = \"127.0.0.1\"\n}\n"
	)
	asks := func() bool {
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		if err != nil {
			return false
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(time.Second))
		said, err := bufio.NewReader(c).ReadString('\n')
		return err == nil && said == "hello\n"
	}
	config := func(first, more string) string {
		return "name = \"NAME-c\"\nimage = \"IMAGE\"\n" + serves + "networks_advanced {\nname = \"NAME-n\"\naliases = [" + first + "]\n}\n" + more
	}
	for _, more := range []string{"", "networks_advanced {\nname = \"NAME-m\"\naliases = [\"b\"]\n}\n"} {
		hcl := config(`"a", "z"`, more)
		o := l.create(Container, hcl)
		since := l.docker("inspect", "-f", "{{.State.StartedAt}}", o.ID)
		eventually(t, "it serves", asks)

		// By hand, without the aliases; then the configuration gets others.
		l.docker("network", "disconnect", l.name("n"), o.ID)
		l.docker("network", "connect", "--alias", "by-hand", l.name("n"), o.ID)
		for _, hcl := range []string{hcl, config(`"c"`, more), config("", more), hcl} {
			if attrs, replaces := l.differs(o, hcl); !slices.Equal(slices.Compact(attrs), []string{"networks_advanced"}) || replaces {
				t.Fatalf("differs in %v, replaces %v", attrs, replaces)
			}
			var err error
			if o, err = l.update(l.find(o), hcl); err != nil {
				t.Fatal(err)
			}
			l.same(o, hcl)
			eventually(t, "it serves with other aliases", asks)
		}
		if now := l.docker("inspect", "-f", "{{.State.StartedAt}}", o.ID); now != since {
			t.Errorf("it was started at %s and now at %s", since, now)
		}
		// One that does not run is seen to as well, and started after that.
		l.docker("stop", o.ID)
		l.docker("network", "disconnect", l.name("n"), o.ID)
		l.docker("network", "connect", l.name("n"), o.ID)
		o, err := l.update(l.find(o), hcl)
		if err != nil {
			t.Fatal(err)
		}
		l.same(o, hcl)
		eventually(t, "it serves after its start", asks)
		l.docker("rm", "-f", o.ID)
	}
}
