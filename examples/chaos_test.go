//go:build engine

package examples_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gapool/gapool/state"
)

var (
	chaosRounds = flag.Int("chaos.rounds", 6, "how many rounds TestChaos plays")
	chaosSeed   = flag.Uint64("chaos.seed", 0, "seed of its first round, the next ones count up from there; 0 is a random one")
)

const chaosConfig = `
gapool {
  stack = "NAME"
}

variable "image" {}
variable "memory" { type = number }
variable "workers" { type = number }
variable "greeting" {}
variable "front" {}
variable "wires" {}
variable "disk" {}
variable "tool" {}

resource "docker_network" "net" {
  for_each = toset(["lab", "side"])
  name     = "NAME-${each.key}"
  labels   = { made = var.wires }
}

resource "docker_volume" "data" {
  name   = "NAME-data"
  labels = { made = var.disk }
}

resource "docker_volume" "cache" {
  name = "NAME-cache"
}

resource "docker_image" "tool" {
  name = "NAME:latest"
  build {
    context    = "./image"
    build_args = { BASE = var.image, TOOL = var.tool }
    labels     = { chaos = "NAME" }
  }
}

resource "docker_container" "server" {
  name    = "NAME-server"
  image   = var.image
  command = ["sleep", "1000000"]
  init    = true
  memory  = var.memory
  env     = { GREETING = var.greeting }

  networks_advanced {
    name    = docker_network.net["lab"].name
    aliases = ["server"]
  }
  volumes {
    volume_name    = docker_volume.data.name
    container_path = "/data"
  }
  healthcheck {
    test     = ["CMD", "true"]
    interval = "1s"
  }
  wait = true
}

resource "docker_container" "front" {
  name    = "NAME-front"
  image   = var.image
  command = ["sleep", "1000000"]
  init    = true
  env     = { FRONT = var.front, SERVER = docker_container.server.name }

  networks_advanced {
    name = docker_network.net["lab"].name
  }
  networks_advanced {
    name = docker_network.net["side"].name
  }
  lifecycle {
    create_before_destroy = true
  }
}

resource "docker_container" "worker" {
  count   = var.workers
  name    = "NAME-worker-${count.index}"
  image   = var.image
  command = ["sleep", "1000000"]
  init    = true

  networks_advanced {
    name = docker_network.net["side"].name
  }
}

resource "docker_container" "tool" {
  name    = "NAME-tool"
  image   = docker_image.tool.image_id
  command = ["sleep", "1000000"]
  init    = true

  volumes {
    volume_name    = docker_volume.cache.name
    container_path = "/cache"
  }
}

output "server" {
  value = docker_container.server.name
}
`

const chaosDockerfile = `ARG BASE
FROM ${BASE}
ARG TOOL
RUN echo ${TOOL} > /tool
`

// wish is what a person wants of the stack.
type wish struct {
	gone                                bool // the stack is destroyed
	memory, workers                     int
	greeting, front, wires, disk, tools uint32
}

func (w wish) env() []string {
	var env []string
	for name, value := range map[string]any{
		"memory": w.memory, "workers": w.workers, "greeting": w.greeting, "front": w.front,
		"wires": w.wires, "disk": w.disk, "tool": w.tools,
	} {
		env = append(env, fmt.Sprintf("GAPOOL_VAR_%s=%v", name, value))
	}
	return env
}

// objects are the names that the engine must have, by kind.
func (w wish) objects(stack string) map[string][]string {
	all := map[string][]string{}
	if w.gone {
		return all
	}
	add := func(kind string, names ...string) {
		for _, n := range names {
			all[kind] = append(all[kind], stack+"-"+n)
		}
		slices.Sort(all[kind])
	}
	add("network", "lab", "side")
	add("volume", "cache", "data")
	add("container", "server", "front", "tool")
	for i := range w.workers {
		add("container", fmt.Sprintf("worker-%d", i))
	}
	return all
}

// chaosVerbs are what a person does, as a change of the wish. The first word
// says from what it starts.
var chaosVerbs = []struct {
	name   string
	before func(*wish)
	after  func(*wish)
}{
	{"create", func(w *wish) { w.gone = true }, func(w *wish) { w.gone = false }},
	{"update in place", nil, func(w *wish) { w.memory = 80 - w.memory }},
	{"replace", nil, func(w *wish) { w.greeting++ }},
	{"replace, create before destroy", nil, func(w *wish) { w.front++ }},
	{"scale up", func(w *wish) { w.workers = 1 }, func(w *wish) { w.workers = 3 }},
	{"scale down", func(w *wish) { w.workers = 3 }, func(w *wish) { w.workers = 1 }},
	{"replace the networks", nil, func(w *wish) { w.wires++ }},
	{"replace a volume", nil, func(w *wish) { w.disk++ }},
	{"build anew", nil, func(w *wish) { w.tools++ }},
	{"all at once", func(w *wish) { w.workers = 1 }, func(w *wish) {
		*w = wish{memory: 80 - w.memory, workers: 3, greeting: w.greeting + 1, front: w.front + 1, wires: w.wires + 1, disk: w.disk + 1, tools: w.tools + 1}
	}},
	{"destroy", nil, func(w *wish) { w.gone = true }},
}

// death is how a running gapool is ended: by these signals, a moment apart.
type death []syscall.Signal

var deaths = []death{
	{syscall.SIGKILL}, {syscall.SIGKILL}, {syscall.SIGKILL}, {syscall.SIGKILL},
	{syscall.SIGTERM}, {syscall.SIGINT}, {syscall.SIGINT, syscall.SIGINT}, {syscall.SIGTERM, syscall.SIGTERM},
}

// chaos is a stack that is treated badly.
type chaos struct {
	*stack
	is       wish
	took     map[string]time.Duration // what a verb takes when it is let alone
	lost     bool                     // the state was deleted since the stack was last destroyed
	hits     int                      // processes that were running when the signal came
	inDoubt  int                      // of them, left work in doubt
	byHand   int                      // runs that failed although nobody disturbed them
	failures []string
}

// TestChaos ends gapool at random moments, loses its state, removes its
// containers, and wants each time that the next apply comes to what was wanted
// without anyone's help, and that nothing is there twice or left over.
//
//	make chaos N=50
//	make chaos N=1 SEED=4711     plays one round again
//
// A seed settles what is done and at which part of a verb's time it is cut off;
// where exactly that hits is the machine's.
func TestChaos(t *testing.T) {
	c := &chaos{stack: newStack(t), is: wish{gone: true, memory: 32, workers: 1}, took: map[string]time.Duration{}}
	t.Cleanup(func() { c.forgetImages() })
	c.mute = true
	c.write("main.gapool.hcl", chaosConfig)
	if err := os.Mkdir(filepath.Join(c.dir, "image"), 0o700); err != nil {
		t.Fatal(err)
	}
	c.write("image/Dockerfile", chaosDockerfile)
	c.env = []string{"GAPOOL_VAR_image=" + tinyImage(t)}

	seed := *chaosSeed
	if seed == 0 {
		seed = rand.Uint64N(1_000_000_000)
	}
	for i := range *chaosRounds {
		c.round(i+1, seed+uint64(i))
	}
	c.reach(wish{gone: true})
	t.Logf("%d rounds from seed %d: %d signals hit a running process, %d of them left work in doubt, %d repairs were needed by hand",
		*chaosRounds, seed, c.hits, c.inDoubt, c.byHand)
	for _, f := range c.failures {
		t.Error(f)
	}
}

// round does one verb, disturbed, and checks what comes after it.
func (c *chaos) round(number int, seed uint64) {
	c.t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	verb := chaosVerbs[r.IntN(len(chaosVerbs))]
	before := c.is
	before.gone = false
	if verb.before != nil {
		verb.before(&before)
	}
	if before != c.is { // where the round before it came to was looked at
		c.reach(before)
	}
	after := before
	verb.after(&after)
	// A verb is measured the first time that it is asked for.
	if c.took[verb.name] == 0 {
		c.took[verb.name] = c.reach(after)
		c.reach(before)
	}

	var story []string
	times := 1
	if r.IntN(4) == 0 {
		times = 2
	}
	for range times {
		how := deaths[r.IntN(len(deaths))]
		part := r.Float64()
		flags := []string{}
		if r.IntN(3) == 0 {
			flags = append(flags, "-parallelism=1")
		}
		story = append(story, c.disturbed(after, how, time.Duration(part*float64(c.took[verb.name])), flags))
	}
	if r.IntN(4) == 0 {
		story = append(story, c.drift(r))
	}
	if r.IntN(4) == 0 {
		// Work that is not known to be in doubt cannot be waited for: whoever
		// deletes a state is slower than the engine.
		time.Sleep(2 * time.Second)
		what := []string{"", "", "default/state.json", "default/journal.jsonl"}[r.IntN(4)]
		story = append(story, "deleted .gapool/"+what)
		if err := os.RemoveAll(filepath.Join(c.dir, ".gapool", what)); err != nil {
			c.t.Fatal(err)
		}
		c.lost = true
	}
	if r.IntN(4) == 0 {
		story = append(story, "taken back")
		after = before
	}
	c.t.Logf("round %d, seed %d: %s; %s", number, seed, verb.name, strings.Join(story, "; "))

	plan := c.attempt(after, "plan", "-detailed-exitcode")
	if plan.code != 0 && plan.code != 2 {
		c.failed("round %d, seed %d: the plan after it: %v", number, seed, plan)
	}
	c.reach(after)
}

// attempt runs gapool with what is wanted as its variables.
func (c *chaos) attempt(w wish, args ...string) result {
	c.t.Helper()
	s := *c.stack
	s.env = append(slices.Clone(c.env), w.env()...)
	return s.run(args...)
}

// verb is the command that leads to a wish.
func (c *chaos) verb(w wish) []string {
	verb := "apply"
	if w.gone {
		verb = "destroy"
	}
	return []string{verb, "-auto-approve", "-allow-data-loss=docker_volume.data", "-allow-data-loss=docker_volume.cache"}
}

// failed notes a failure and goes on: the next round starts from where the
// failed one should have come to.
func (c *chaos) failed(format string, args ...any) {
	c.byHand++
	c.failures = append(c.failures, fmt.Sprintf(format, args...))
}

// reach brings the stack to a wish, undisturbed, checks that it is there, and
// returns how long the way took.
func (c *chaos) reach(w wish) (took time.Duration) {
	c.t.Helper()
	args := c.verb(w)
	for try := 1; ; try++ {
		began := time.Now()
		r := c.attempt(w, args...)
		took = time.Since(began)
		if r.code == 0 {
			break
		}
		c.failed("%v\nit was not disturbed", r)
		if try == 3 {
			c.t.Fatalf("three times in a row:\n%s", strings.Join(c.failures, "\n"))
		}
	}
	c.is = w
	if w.gone {
		r := c.attempt(w, "destroy", "-auto-approve")
		if r.code != 0 || !strings.Contains(r.stdout, "No changes.") {
			c.failed("after a destroy there is something to do: %v", r)
		}
	} else if r := c.attempt(w, "plan", "-detailed-exitcode"); r.code != 0 || !strings.Contains(r.stdout, "No changes.") {
		c.failed("after an apply there is something to do: %v", r)
	}
	c.look(w)
	return took
}

// look compares what the engine has with what is wanted, by our label and by
// name: a second network of a name, a candidate that was left and a volume
// without labels show.
func (c *chaos) look(w wish) {
	c.t.Helper()
	want := w.objects(c.name)
	for _, kind := range []string{"container", "network", "volume"} {
		for _, filter := range []string{"label=gapool.stack=" + c.name, "name=" + c.name} {
			args := []string{kind, "ls", "--filter", filter, "--format", "{{.Name}}"}
			if kind == "container" {
				args = append(args[:len(args)-1], "{{.Names}}", "--all")
			}
			got := strings.Fields(c.docker(args...))
			slices.Sort(got)
			if !slices.Equal(got, want[kind]) {
				c.failed("by %s there are the %ss %v, want %v", filter, kind, got, want[kind])
			}
		}
	}
	if w.gone {
		// Without its state nobody can tell whose a tag was before.
		if !c.lost && c.docker("image", "ls", "--quiet", "--filter", "reference="+c.name) != "" {
			c.failed("the image is left")
		}
		c.forgetImages()
		c.lost = false
	}
	for _, name := range []string{"state.json.tmp", "journal.jsonl.tmp"} {
		if _, err := os.Lstat(filepath.Join(c.dir, ".gapool", "default", name)); err == nil {
			c.failed("%s is left", name)
		}
	}
}

// forgetImages removes what builds left without a name.
func (c *chaos) forgetImages() {
	if ids := strings.Fields(c.docker("image", "ls", "--quiet", "--filter", "label=chaos="+c.name)); len(ids) > 0 {
		slices.Sort(ids)
		c.docker(append([]string{"image", "rm", "--force"}, slices.Compact(ids)...)...)
	}
}

// disturbed starts what leads to a wish, ends it by a death after a while, and
// tells what happened.
func (c *chaos) disturbed(w wish, how death, after time.Duration, flags []string) string {
	c.t.Helper()
	cmd := exec.Command(gapoolBinary, append(c.verb(w), flags...)...)
	cmd.Dir = c.dir
	cmd.Env = append(append(os.Environ(), c.env...), w.env()...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var names []string
	var err error
	over := false
	wait := after
	for _, sig := range how {
		select {
		case err = <-ended:
			over = true
		case <-time.After(wait):
			if cmd.Process.Signal(sig) == nil {
				names = append(names, sig.String())
			}
		}
		if over {
			break
		}
		wait = 50 * time.Millisecond
	}
	if !over {
		select {
		case err = <-ended:
		case <-time.After(commandTimeout):
			_ = cmd.Process.Kill()
			c.t.Fatalf("%v did not end it:\n%s", names, &out)
		}
	}
	told := "over before a signal"
	if len(names) > 0 {
		told = fmt.Sprintf("%s after %v", strings.Join(append(names, flags...), ", "), after.Round(time.Millisecond))
		c.hits++
		if n := c.doubts(); n > 0 {
			c.inDoubt++
			told += fmt.Sprintf(", %d calls in doubt", n)
		}
	}
	// Whoever is only asked to stop, stops in order.
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() != 1 && !slices.Contains(how, syscall.SIGKILL) {
		c.failed("%v ended it with %v:\n%s", names, err, &out)
	}
	return told
}

// doubts is how many calls the journal has that began and did not end.
func (c *chaos) doubts() int {
	c.t.Helper()
	loaded, err := state.Open(filepath.Join(c.dir, ".gapool", "default"), "", c.name, "default", state.Options{}).Load()
	if err != nil {
		c.failed("the state cannot be read: %v", err)
		return 0
	}
	return len(loaded.Doubts)
}

// drift removes one of the stack's containers by hand.
func (c *chaos) drift(r *rand.Rand) string {
	c.t.Helper()
	ids := c.left("container")
	if len(ids) == 0 {
		return "no container to remove"
	}
	id := ids[r.IntN(len(ids))]
	name := c.inspect("container", id, ".Name")
	c.docker("container", "rm", "--force", "--volumes", id)
	return "removed " + name
}
