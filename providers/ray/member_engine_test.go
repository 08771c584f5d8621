//go:build engine

// These tests start Ray in real containers. They need a Docker engine and the
// docker command, and fail where they are missing:
//
//	go test -tags engine ./providers/ray
//
// GAPOOL_TEST_RAY_IMAGE names an image with Ray and a python3 (the one of
// examples/genetic-pool will do). Without it a plain one is built on what
// scripts/base-image prints, once, and kept as gapool-test/ray.

package ray

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gapool/gapool/providers/ray/internal/gcs"
)

const testToken = "0123456789abcdef0123456789abcdef"

// runDocker runs the docker command and returns its standard output.
func runDocker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := tryDocker(nil, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryDocker(stdin io.Reader, args ...string) (string, error) {
	cmd := exec.Command("docker", args...)
	// The classic builder is in every engine and needs no plugin.
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	cmd.Stdin = stdin
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("docker %s: %w\n%s", strings.Join(args, " "), err, problem.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// rayImage is an image with Ray, built where there is none.
func rayImage(t *testing.T) string {
	t.Helper()
	if image := os.Getenv("GAPOOL_TEST_RAY_IMAGE"); image != "" {
		return image
	}
	const image = "gapool-test/ray:2.60.0"
	if _, err := tryDocker(nil, "image", "inspect", image); err == nil {
		return image
	}
	base, err := exec.Command("../../scripts/base-image").Output()
	if err != nil {
		t.Fatalf("scripts/base-image: %v", err)
	}
	file := fmt.Sprintf(`FROM %s
USER root
ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m pip install --no-cache-dir "ray[default]==2.60.0"
RUN useradd --create-home --uid 10001 ray
USER 10001
ENV HOME=/home/ray
WORKDIR /home/ray
`, strings.TrimSpace(string(base)))
	if out, err := tryDocker(strings.NewReader(file), "build", "--tag", image, "-"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return image
}

// create makes the member's container as gapool would, without starting it.
func create(t *testing.T, image, network, alias string, m Member) {
	t.Helper()
	command, err := StartCommand(m)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"create", "--name", m.Container, "--label", "gapool.test=member", "--init",
		"--network", network, "--network-alias", alias,
		"--memory", fmt.Sprint(m.Memory.Limit), "--shm-size", fmt.Sprint(m.Memory.Shm),
		"--stop-timeout", fmt.Sprint(int(StopTimeout.Seconds())),
		"--entrypoint", command[0]}
	env := Env(m)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		args = append(args, "--env", name+"="+env[name])
	}
	runDocker(t, append(append(args, image), command[1:]...)...)
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := tryDocker(nil, "logs", "--tail", "30", m.Container)
			t.Logf("%s:\n%s", m.Container, logs)
		}
		runDocker(t, "rm", "--force", "--volumes", m.Container)
	})
	if _, err := tryDocker(tokenArchive(t), "cp", "-", m.Container+":/"); err != nil {
		t.Fatal(err)
	}
}

// tokenArchive holds the token where a member looks for it.
func tokenArchive(t *testing.T) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{
		{Name: "run/ray/", Typeflag: tar.TypeDir, Mode: 0o700, Uid: 10001},
		{Name: strings.TrimPrefix(TokenPath, "/"), Typeflag: tar.TypeReg, Mode: 0o400, Uid: 10001, Size: int64(len(testToken))},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(w, testToken); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// dockerExec is the package's way in, by the docker command.
func dockerExec(container string) gcs.Exec {
	return func(ctx context.Context, command []string) (io.ReadWriteCloser, error) {
		cmd := exec.CommandContext(ctx, "docker", append([]string{"exec", "--interactive", container}, command...)...)
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		return &execStream{cmd: cmd, Writer: in, Reader: out, in: in, out: out}, nil
	}
}

type execStream struct {
	io.Reader
	io.Writer
	cmd     *exec.Cmd
	in, out io.Closer
}

func (s *execStream) Close() error {
	_ = s.in.Close()
	_ = s.out.Close()
	_ = s.cmd.Wait() // how it ended is no concern of who closed it
	return nil
}

// until asks again and again, and fails with the last answer after two minutes.
func until(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	last := ""
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		ok, state := done()
		if ok {
			return
		}
		last = state
	}
	t.Fatalf("%s: not in two minutes; last: %s", what, last)
}

func TestARealClusterStartsIsAskedAndDrains(t *testing.T) {
	image := rayImage(t)
	ctx := t.Context()

	out, err := tryDocker(nil, append([]string{"run", "--rm", "--entrypoint", "", image}, PreflightCommand()...)...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParsePreflight([]byte(out)); err != nil {
		t.Fatal(err)
	}

	name := fmt.Sprintf("gapool-test-member-%d", os.Getpid())
	runDocker(t, "network", "create", "--label", "gapool.test=member", name)
	t.Cleanup(func() { runDocker(t, "network", "rm", name) })

	memory, err := DivideMemory(1280)
	if err != nil {
		t.Fatal(err)
	}
	head := Member{Container: name + "-head", Group: HeadGroup, Memory: memory, Token: true}
	worker := Member{
		Container: name + "-cpu-0", Group: "cpu", HeadAlias: "pool-head", NumCPUs: 1, Memory: memory, Token: true,
		Resources: map[string]float64{"island": 2},
		Labels:    map[string]string{"zone": "a", "rack": "r1"},
		Params:    map[string]string{"min-worker-port": "20000", "max-worker-port": "20999", "include-log-monitor": "true"},
	}
	create(t, image, name, "pool-head", head)
	create(t, image, name, "pool-cpu", worker)

	client, err := gcs.Dial(ctx, dockerExec(head.Container), testToken)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if _, err := client.Nodes(ctx); !errors.Is(err, gcs.ErrUnavailable) {
		t.Fatalf("a head that is not started: %v, want ErrUnavailable", err)
	}
	if _, err := client.Jobs(ctx); !errors.Is(err, gcs.ErrUnavailable) {
		t.Fatalf("jobs of a head that is not started: %v, want ErrUnavailable", err)
	}

	// nodes asks until the cluster is as wanted; only ErrUnavailable is passed over.
	nodes := func(what string, want func(gcs.Cluster) bool) gcs.Cluster {
		t.Helper()
		var c gcs.Cluster
		until(t, what, func() (bool, string) {
			var err error
			c, err = client.Nodes(ctx)
			if err != nil && !errors.Is(err, gcs.ErrUnavailable) {
				t.Fatalf("%s: %v", what, err)
			}
			return err == nil && want(c), fmt.Sprintf("%+v, error %v", c, err)
		})
		return c
	}

	runDocker(t, "start", head.Container)
	c := nodes("the head is up", func(c gcs.Cluster) bool { return len(c.Nodes) == 1 })
	if n := c.Nodes[0]; !n.Head || n.InstanceID != head.Container || n.NodeType != HeadGroup || n.Total["CPU"] != 0 {
		t.Errorf("the head's node is %+v", n)
	}
	runDocker(t, "start", worker.Container)
	c = nodes("the worker joins", func(c gcs.Cluster) bool { return len(c.Nodes) == 2 })
	n, ok := gcs.Match(c.Nodes, worker.Container)
	if !ok {
		t.Fatalf("no node of %s in %+v", worker.Container, c.Nodes)
	}
	if n.Head || n.NodeType != "cpu" || n.IP == "" || len(n.ID) != 56 {
		t.Errorf("the worker's node is %+v", n)
	}
	for resource, want := range map[string]float64{"CPU": 1, "island": 2, "memory": float64(memory.Heap), "object_store_memory": float64(memory.ObjectStore)} {
		if n.Total[resource] != want {
			t.Errorf("the worker has %v of %s, want %v", n.Total[resource], resource, want)
		}
	}
	if n.Labels["zone"] != "a" || n.Labels["rack"] != "r1" {
		t.Errorf("the worker's labels are %v", n.Labels)
	}

	for _, m := range []Member{head, worker} {
		until(t, "the probe of "+m.Container, func() (bool, string) {
			_, err := tryDocker(nil, append([]string{"exec", m.Container}, HealthProbe(m.Group == HeadGroup).Test[1:]...)...)
			return err == nil, fmt.Sprint(err)
		})
	}

	for _, token := range []string{"", "wrong-wrong-wrong-wrong-wrong-wr"} {
		stranger, err := gcs.Dial(ctx, dockerExec(head.Container), token)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stranger.Nodes(ctx); !errors.Is(err, gcs.ErrUnauthenticated) {
			t.Errorf("token %q: %v, want ErrUnauthenticated", token, err)
		}
		_ = stranger.Close()
	}

	jobs := func() []gcs.Job {
		t.Helper()
		list, err := client.Jobs(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(list, func(j gcs.Job) bool { return !j.Active() })
	}
	if list := jobs(); len(list) != 0 {
		t.Errorf("an idle cluster has the jobs %+v", list)
	}

	// A driver that holds the worker's CPU, and asks for more than there is.
	runDocker(t, "exec", "--detach", head.Container, "python3", "-c", `
import ray, time, os
ray.init(address="auto")
@ray.remote(num_cpus=1)
def hold():
    while not os.path.exists("/tmp/go"):
        time.sleep(0.1)
@ray.remote(num_cpus=5)
def wait():
    pass
held = hold.remote()
waiting = [wait.remote() for _ in range(3)]
ray.util.placement_group([{"CPU": 7}])
ray.get(held)
`)
	c = nodes("the demand is seen", func(c gcs.Cluster) bool {
		n, _ := gcs.Match(c.Nodes, worker.Container)
		return n.Available["CPU"] == 0 && c.PendingGangs == 1 &&
			slices.ContainsFunc(c.Pending, func(d gcs.Demand) bool { return d.Shape["CPU"] == 5 && d.Count == 3 })
	})
	if n, _ := gcs.Match(c.Nodes, worker.Container); n.Status != gcs.Running || n.IdleFor != 0 {
		t.Errorf("a busy worker is %s, idle for %s", n.Status, n.IdleFor)
	}
	if list := jobs(); len(list) != 1 || list[0].Type != "DRIVER" || list[0].ID == "" || list[0].Status != "RUNNING" {
		t.Errorf("with a driver the jobs are %+v, want one that runs", list)
	}
	accepted, why, err := client.Drain(ctx, n.ID, gcs.IdleTermination, "test", time.Time{})
	if err != nil || accepted || why == "" {
		t.Errorf("a busy worker's drain: accepted %v, %q, error %v; want it refused with a reason", accepted, why, err)
	}

	runDocker(t, "exec", worker.Container, "touch", "/tmp/go")
	until(t, "the driver ends", func() (bool, string) { list := jobs(); return len(list) == 0, fmt.Sprint(list) })
	until(t, "the idle worker's drain", func() (bool, string) {
		accepted, why, err := client.Drain(ctx, n.ID, gcs.IdleTermination, "test", time.Now().Add(time.Minute))
		return err == nil && accepted, fmt.Sprint(why, err)
	})
	nodes("the drained worker is dead", func(c gcs.Cluster) bool {
		n, ok := gcs.Match(c.Nodes, worker.Container)
		return ok && n.Status == gcs.Dead && len(gcs.Live(c.Nodes, worker.Container)) == 0
	})
	accepted, why, err = client.Drain(ctx, n.ID, gcs.IdleTermination, "test", time.Time{})
	if err != nil || !accepted {
		t.Errorf("a dead node's drain: accepted %v, %q, error %v; want it accepted", accepted, why, err)
	}
	accepted, why, err = client.Drain(ctx, strings.Repeat("ab", 28), gcs.IdleTermination, "test", time.Time{})
	if err != nil || !accepted {
		t.Errorf("an unknown node's drain: accepted %v, %q, error %v; want it accepted", accepted, why, err)
	}

	// Once more live than dead: the container starts again under its old name.
	runDocker(t, "restart", worker.Container)
	c = nodes("the worker is back", func(c gcs.Cluster) bool { return len(gcs.Live(c.Nodes, worker.Container)) == 1 })
	if again, ok := gcs.Match(c.Nodes, worker.Container); !ok || again.ID == n.ID || len(c.Nodes) != 3 {
		t.Errorf("after a restart the node is %s (%v) of %d records, want a new one of 3", again.ID, ok, len(c.Nodes))
	}

	// A restarted head answers the same client.
	runDocker(t, "restart", head.Container)
	nodes("the head is back", func(c gcs.Cluster) bool {
		return slices.ContainsFunc(c.Nodes, func(n gcs.Node) bool { return n.Head && n.Live() })
	})

	processes := func() string {
		return runDocker(t, "exec", head.Container, "sh", "-c", `for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline; echo; done`)
	}
	if list := processes(); !strings.Contains(list, "create_connection") {
		t.Errorf("no relay is seen while the client is open:\n%s", list)
	} else if strings.Contains(list, testToken) {
		t.Errorf("the token stands in a command line:\n%s", list)
	}
	if err := client.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	until(t, "the relay ends", func() (bool, string) {
		list := processes()
		return !strings.Contains(list, "create_connection"), list
	})
	if strings.Contains(runDocker(t, "inspect", head.Container, worker.Container), testToken) {
		t.Error("the token is seen by inspecting the containers")
	}
}

// Image is rayImage for the tests outside of the package.
func Image(t *testing.T) string { return rayImage(t) }
