package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"
	"pgregory.net/rapid"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/docker"
	"github.com/gapool/gapool/providers/mem"
	"github.com/gapool/gapool/providers/ray/raytest"
	"github.com/gapool/gapool/schema"
)

// lab has each kind of thing that a digest is of: an image that is built, what
// is known after the apply only, a secret, instances, a cluster, an output, and
// what is replaced before its predecessor goes. The blocks stand apart.
var lab = []string{
	`gapool { stack = "lab" }`,
	`variable "workers" { type = number }`,
	`variable "memory" { default = 64 }`,
	`variable "token" {
  type      = string
  sensitive = true
}`,
	`locals { motd = file("${path.module}/motd.txt") }`,
	`resource "docker_image" "app" {
  name = "app:1"
  build {
    context = "./image"
  }
}`,
	`resource "docker_network" "lab" {
  name = "lab"
  labels = { b = "2", a = "1" }
}`,
	`resource "docker_volume" "data" { name = "data" }`,
	`resource "docker_container" "web" {
  for_each = toset(["a", "b"])
  name     = "web-${each.key}"
  image    = docker_image.app.image_id
  memory   = var.memory
  env      = { TOKEN = var.token, MOTD = local.motd }
  networks_advanced { name = docker_network.lab.name }
  volumes {
    volume_name    = docker_volume.data.name
    container_path = "/data"
  }
}`,
	`resource "docker_container" "first" {
  name    = "first"
  image   = docker_image.app.image_id
  command = ["serve", tostring(var.memory)]
  lifecycle {
    create_before_destroy = true
  }
}`,
	`resource "ray_cluster" "pool" {
  name    = "pool"
  image   = docker_image.app.image_id
  network = docker_network.lab.name
  auth    = false
  head { memory = "1g" }
  worker_group "cpu" {
    replicas = var.workers
    num_cpus = 1
    memory   = "1g"
  }
}`,
	`output "dashboard" { value = ray_cluster.pool.dashboard_url }`,
	`output "token" {
  value     = var.token
  sensitive = true
}`,
}

var itsDigest = regexp.MustCompile(`(?m)^Its digest is (sha256:[0-9a-f]{64})\.$`)

// bench is a folder with the lab's files, over an engine of its own.
type bench struct {
	t rapid.TB
	*shop
}

func newBench(t rapid.TB, dir string) *bench {
	if err := os.MkdirAll(filepath.Join(dir, "image"), 0o700); err != nil {
		t.Fatal(err)
	}
	w := mem.New("docker", &schema.Type{Name: "docker"}, docker.New().Types(), mem.Uses(mem.DockerUses))
	over, _ := raytest.Over(w)
	b := &bench{t, &shop{dir: dir, world: w, provider: over}}
	b.file("image/Dockerfile", "FROM scratch\nCOPY app /app\n")
	b.file("image/app", "one")
	b.file("motd.txt", "hello")
	b.arrange(lab)
	return b
}

func (b *bench) file(name, text string) {
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// arrange writes the blocks into files, so many into each.
func (b *bench) arrange(blocks []string, sizes ...int) {
	old, _ := filepath.Glob(filepath.Join(b.dir, "*.gapool.hcl"))
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			b.t.Fatal(err)
		}
	}
	for i := 0; len(blocks) > 0; i++ {
		n := len(blocks)
		if i < len(sizes) {
			n = min(n, sizes[i])
		}
		b.file(fmt.Sprintf("part%d.gapool.hcl", i), strings.Join(blocks[:n], "\n\n")+"\n")
		blocks = blocks[n:]
	}
}

func (b *bench) must(args ...string) string { return b.shop.must(b.t, args...) }

// apply comes to what the later plans start from.
func (b *bench) apply() *bench {
	b.must("apply", "-auto-approve", "-var=workers=2", "-var=token=hunter2")
	return b
}

func (b *bench) digest(args ...string) string {
	out := b.must(append([]string{"plan", "-out=kept"}, args...)...)
	m := itsDigest.FindStringSubmatch(out)
	if m == nil {
		b.t.Fatalf("no digest is told:\n%s", out)
	}
	return m[1]
}

// labPlans are what is planned in the lab, after an apply but for the first.
var labPlans = map[string][]string{
	"create":  {"-var=workers=4", "-var=token=hunter2"},
	"update":  {"-var=workers=1", "-var=token=hunter2", "-var=memory=128"},
	"secret":  {"-var=workers=2", "-var=token=sesame"},
	"nothing": {"-var=workers=2", "-var=token=hunter2"},
	"destroy": {"-var=workers=2", "-var=token=hunter2", "-destroy", "-allow-data-loss=docker_volume.data"},
}

// TestDigestIsTheSame plans over and over, each time in a new folder of another
// name, on a new engine, with other IDs, the blocks in another order and in
// other files. What is decided is the same.
func TestDigestIsTheSame(t *testing.T) {
	home := t.TempDir()
	// digests plans all, or one of them. Without the state each object is taken
	// up, which is another plan.
	digests := func(b *bench, only string) map[string]string {
		out := map[string]string{}
		plan := func(name, flags string) {
			if only == "" || only == name {
				out[name] = b.digest(labPlans[flags]...)
			}
		}
		plan("create", "create")
		if only == "create" {
			return out
		}
		b.apply()
		for _, name := range keysOf(labPlans) {
			if name != "create" {
				plan(name, name)
			}
		}
		if err := os.RemoveAll(filepath.Join(b.dir, ".gapool")); err != nil {
			b.t.Fatal(err)
		}
		for _, name := range keysOf(labPlans) {
			if name != "create" {
				plan(name+" without a state", name)
			}
		}
		return out
	}
	want := digests(newBench(t, filepath.Join(home, "first")), "")
	for _, a := range keysOf(want) {
		for _, b := range keysOf(want) {
			if a < b && want[a] == want[b] {
				t.Errorf("the plans %q and %q have one digest", a, b)
			}
		}
	}
	rapid.Check(t, func(r *rapid.T) { // a hundred times
		dir, err := os.MkdirTemp(home, rapid.StringMatching(`[a-z]{1,12}`).Draw(r, "folder"))
		if err != nil {
			r.Fatal(err)
		}
		b := newBench(r, dir)
		b.arrange(rapid.Permutation(lab).Draw(r, "blocks"), rapid.SliceOfN(rapid.IntRange(1, 4), 0, 5).Draw(r, "files")...)
		name := rapid.SampledFrom(keysOf(want)).Draw(r, "plan")
		if got := digests(b, name)[name]; got != want[name] {
			r.Fatalf("the digest of %q is %s and was %s", name, got, want[name])
		}
	})
}

// TestDigestIsOfWhatIsInIt changes one thing that is approved.
func TestDigestIsOfWhatIsInIt(t *testing.T) {
	replace := func(pairs ...string) func(*bench) {
		return func(b *bench) {
			was := strings.Join(lab, "\n\n")
			text := strings.NewReplacer(pairs...).Replace(was)
			if text == was {
				b.t.Fatalf("there is no %q", pairs[0])
			}
			b.arrange([]string{text})
		}
	}
	for name, change := range map[string]func(*bench){
		"the stack":                     replace(`"lab" }`, `"lib" }`),
		"an address":                    replace(`"docker_network" "lab"`, `"docker_network" "lib"`, "docker_network.lab", "docker_network.lib"),
		"an instance":                   replace(`"b"]`, `"c"]`),
		"an attribute":                  replace(`"serve"`, `"server"`),
		"what is known afterwards only": replace(`image    = docker_image.app.image_id`, `image    = "app:1"`),
		"an edge":                       replace(`  command = ["serve"`, "  depends_on = [docker_volume.data]\n  command = [\"serve\""),
		"what the image is built from":  func(b *bench) { b.file("image/app", "two") },
		"how the image is built":        func(b *bench) { b.file("image/Dockerfile", "FROM scratch\nCOPY app /bin/app\n") },
		"a file that is read":           func(b *bench) { b.file("motd.txt", "goodbye") },
		"an output":                     replace(`"dashboard" { value = ray_cluster.pool.dashboard_url }`, `"dashboard" { value = "none" }`),
		"who is secret":                 replace("  value     = var.token\n  sensitive = true", "  value     = nonsensitive(\"x\")\n  sensitive = false"),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, t.TempDir())
			was := b.digest(labPlans["create"]...)
			change(b)
			if b.digest(labPlans["create"]...) == was {
				t.Error("the digest is the same")
			}
		})
	}
}

// TestDigestIsNotOfWhereItIsMade changes what another checkout of the same
// commit, or another machine, has otherwise.
func TestDigestIsNotOfWhereItIsMade(t *testing.T) {
	text := strings.Join(lab, "\n\n") + "\n"
	must := func(b *bench, err error) {
		if err != nil {
			b.t.Fatal(err)
		}
	}
	instead := func(old, new string) func(*bench) {
		return func(b *bench) {
			if !strings.Contains(text, old) {
				b.t.Fatalf("there is no %q", old)
			}
			b.arrange([]string{strings.ReplaceAll(text, old, new)})
		}
	}
	for name, c := range map[string]struct {
		change func(*bench)
		flags  []string
	}{
		"an umask": {change: func(b *bench) {
			must(b, os.Chmod(filepath.Join(b.dir, "image"), 0o775))
			must(b, os.Chmod(filepath.Join(b.dir, "image/app"), 0o664))
			must(b, os.Chmod(filepath.Join(b.dir, "image/Dockerfile"), 0o644))
			must(b, os.Chmod(filepath.Join(b.dir, "motd.txt"), 0o666))
		}},
		"a time of files": {change: func(b *bench) {
			must(b, os.Chtimes(filepath.Join(b.dir, "image/app"), time.Unix(1, 0), time.Unix(1, 0)))
		}},
		"an absolute path":          {change: instead(`"./image"`, `"${abspath(path.module)}/image"`)},
		"a path of another form":    {change: instead(`"./image"`, `"image"`)},
		"ends of lines":             {change: instead("\n", "\r\n")},
		"comments":                  {change: instead("\n\n", "\n\n# why\n/* because */ // so\n")},
		"words that decide nothing": {change: instead(`variable "workers" { type = number }`, "variable \"workers\" {\n  description = \"How many.\"\n  type        = number\n}")},
		"another way to write it":   {change: instead(`memory = "1g"`, `memory = 1024`)},
		"a local value less":        {change: instead("local.motd", `"hello"`)},
		"how it is carried out":     {flags: []string{"-parallelism=1", "-lock-timeout=1m", "-input=false", "-no-color"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, t.TempDir())
			was := b.digest(labPlans["create"]...)
			if c.change != nil {
				c.change(b)
			}
			if b.digest(append(c.flags, labPlans["create"]...)...) != was {
				t.Error("the digest is another one")
			}
		})
	}
}

// What an image is built from is approved also where its arguments are known
// after the apply only: build_inputs is not known then.
func TestFilesOfAnImageWhoseArgumentsAreNotKnown(t *testing.T) {
	b := newBench(t, t.TempDir())
	b.arrange([]string{`gapool { stack = "lab" }
resource "docker_image" "base" {
  name = "base:1"
  build { context = "./image" }
}
resource "docker_image" "app" {
  name = "app:1"
  build {
    context    = "./app"
    build_args = { BASE = docker_image.base.image_id }
  }
}`})
	if err := os.Mkdir(filepath.Join(b.dir, "app"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.file("app/Dockerfile", "ARG BASE\nFROM $BASE\n")
	was := b.digest()
	b.file("app/Dockerfile", "ARG BASE\nFROM $BASE\nRUN rm -rf /\n")
	if code, out := b.run("apply", "kept"); code != 1 || !strings.Contains(out, "docker_image.app") || !strings.Contains(out, "nothing was changed") {
		t.Errorf("the kept plan of other files: exit code %d\n%s", code, out)
	}
	if b.digest() == was {
		t.Error("with other files the digest is the same")
	}
	b.must("apply", "kept")
	if out := b.must("plan"); !strings.Contains(out, "No changes.") {
		t.Errorf("the second plan is\n%s", out)
	}
}

// TestDigestIsOfWhatATagMeans, of an image that the plan does not make.
func TestDigestIsOfWhatATagMeans(t *testing.T) {
	b := newBench(t, t.TempDir())
	b.arrange([]string{`gapool { stack = "lab" }
resource "docker_container" "web" {
  name  = "web"
  image = "nginx:1"
}`})
	types := docker.New().Types()
	image := types[slices.IndexFunc(types, func(t *schema.Type) bool { return t.Name == docker.Image })]
	pull := func(digest string) string {
		b.world.Put(&providers.Object{Kind: docker.Image, Name: "nginx:1", Attrs: image.Build(map[string]cty.Value{
			"name": cty.StringVal("nginx:1"), "repo_digest": cty.StringVal("nginx@sha256:" + digest),
		})})
		return b.digest()
	}
	was := pull("1")
	if pull("1") != was {
		t.Error("the same image, pulled again, has another digest")
	}
	if pull("2") == was {
		t.Error("the tag means another image, and the digest is the same")
	}
	b.must("apply", "-auto-approve")
	was = b.digest()
	if pull("3") == was {
		t.Error("what runs is of an image that the tag means no more, and the digest is the same")
	}
}

// TestDigestOfASecret is of whether it changes, and not of what it is.
func TestDigestOfASecret(t *testing.T) {
	b := newBench(t, t.TempDir())
	plan := func(token string) string { return b.digest("-var=workers=2", "-var=token="+token) }
	if plan("a") != plan("b") {
		t.Error("two secrets that are added have two digests")
	}
	b.apply()
	changed := plan("a")
	if changed != plan("b") {
		t.Error("two secrets that change have two digests")
	}
	if changed == plan("hunter2") {
		t.Error("a secret that changes has the digest of one that does not")
	}
}
