package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
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

// shop is a configuration in a folder of its own, beside a world.
type shop struct {
	dir      string
	world    *mem.World
	provider providers.Provider // over the world
}

const goods = `
gapool { stack = "shop" }

variable "memory" { type = number }

variable "image" {
  type    = string
  default = "nginx"
}

resource "docker_network" "pool" { name = "pool" }

resource "docker_volume" "data" { name = "data" }

resource "docker_container" "web" {
  count  = 3
  name   = "web-${count.index}"
  image  = var.image
  memory = var.memory
  networks_advanced { name = docker_network.pool.name }
}

resource "docker_container" "db" {
  name  = "db"
  image = "postgres"
  volumes {
    volume_name    = docker_volume.data.name
    container_path = "/data"
  }
}
`

func (s *shop) write(text string) {
	if err := os.WriteFile(filepath.Join(s.dir, "main.gapool.hcl"), []byte(text), 0o600); err != nil {
		panic(err)
	}
}

// run is one process.
func (s *shop) run(args ...string) (code int, out string) {
	var b bytes.Buffer
	args = append([]string{"-chdir=" + s.dir}, args...)
	code = Main(args, strings.NewReader(""), &b, &b, []string{"XDG_STATE_HOME=" + filepath.Join(s.dir, ".home")}, []providers.Provider{s.provider})
	return code, b.String()
}

// must is run of what has to succeed.
func (s *shop) must(t rapid.TB, args ...string) string {
	t.Helper()
	code, out := s.run(args...)
	if code != 0 {
		t.Fatalf("gapool %s exits %d:\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// TestKeptPlansMeetAnotherWorld makes a plan, changes something of what it was
// made for, and applies it: it is refused before its first change, whatever the
// plan and the change are. Without a change it is carried out.
func TestKeptPlansMeetAnotherWorld(t *testing.T) {
	containers := []string{"web-0", "web-1", "web-2", "db"}
	some := func(r *rapid.T) string { return rapid.SampledFrom(containers).Draw(r, "container") }
	drifts := map[string]func(*rapid.T, *shop){
		"nothing":          func(*rapid.T, *shop) {},
		"container gone":   func(r *rapid.T, s *shop) { s.world.Remove("docker_container", some(r)) },
		"container stops":  func(r *rapid.T, s *shop) { s.world.Stop("docker_container", some(r)) },
		"container breaks": func(r *rapid.T, s *shop) { s.world.Break("docker_container", some(r), "is unhealthy") },
		"container renamed": func(r *rapid.T, s *shop) {
			s.world.Rename("docker_container", some(r), "someone")
		},
		"memory": func(r *rapid.T, s *shop) {
			web := rapid.SampledFrom(containers[:3]).Draw(r, "container") // the other one does not say its memory
			s.world.Set("docker_container", web, "memory", cty.NumberIntVal(rapid.Int64Range(1000, 2000).Draw(r, "memory")))
		},
		"image": func(r *rapid.T, s *shop) {
			s.world.Set("docker_container", some(r), "image", cty.StringVal("other"))
		},
		"replaced by hand": func(r *rapid.T, s *shop) {
			name := some(r)
			s.world.Put(&providers.Object{Kind: "docker_container", Name: name})
		},
		"network gone": func(_ *rapid.T, s *shop) { s.world.Remove("docker_network", "pool") },
		"volume gone":  func(_ *rapid.T, s *shop) { s.world.Remove("docker_volume", "data") },
		"name taken": func(_ *rapid.T, s *shop) {
			s.world.Put(&providers.Object{Kind: "docker_container", Name: "new"})
		},
		"another apply": func(r *rapid.T, s *shop) {
			s.must(r, "apply", "-auto-approve", "-var=memory=77")
		},
		"state lost": func(r *rapid.T, s *shop) {
			if err := os.RemoveAll(filepath.Join(s.dir, ".gapool")); err != nil {
				r.Fatal(err)
			}
		},
		"configuration": func(_ *rapid.T, s *shop) { s.write(goods + `output "x" { value = 1 }`) },
		"variable file": func(r *rapid.T, s *shop) {
			if err := os.WriteFile(filepath.Join(s.dir, "gapool.vars.hcl"), []byte(`image = "httpd"`), 0o600); err != nil {
				r.Fatal(err)
			}
		},
	}
	plans := map[string][]string{
		"update":  {"-var=memory=128"},
		"replace": {"-var=memory=64", "-var=image=apache"},
		"asked":   {"-var=memory=64", "-replace=docker_container.db"},
		"blind":   {"-var=memory=128", "-refresh=false"},
		"destroy": {"-var=memory=64", "-destroy", "-allow-data-loss=docker_volume.data"},
		"nothing": {"-var=memory=64"},
		"new":     {"-var=memory=64"},
	}
	drifted := 0
	check := func(r *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "shop")
		if err != nil {
			r.Fatal(err)
		}
		w := world(filepath.Join(dir, ".world.json"))
		s := &shop{dir: dir, world: w, provider: w}
		s.write(goods)
		s.must(r, "apply", "-auto-approve", "-var=memory=64")
		planned := rapid.SampledFrom(keysOf(plans)).Draw(r, "plan")
		if planned == "new" {
			s.write(goods + `resource "docker_container" "new" {
  name  = "new"
  image = "nginx"
}`)
		}
		s.must(r, append([]string{"plan", "-out=kept"}, plans[planned]...)...)
		drift := rapid.SampledFrom(keysOf(drifts)).Draw(r, "drift")
		switch {
		case drift == "name taken" && planned != "new":
			drift = "nothing"
		case drift == "variable file" && planned == "replace":
			drift = "nothing" // the plan was given that variable
		case drift == "container breaks" && (planned == "destroy" || planned == "replace" || planned == "asked"):
			drift = "container gone" // health is not assumed: what goes anyway may be ill
		case planned == "blind" && (drift == "container stops" || drift == "container breaks"):
			drift = "container gone" // and what a state does not say was not assumed
		}
		if drifts[drift](r, s); drift != "nothing" {
			drifted++
		}
		before, files := s.world.String(), listing(r, s.dir)
		code, out := s.run("apply", "kept")
		switch {
		case drift == "nothing" && code != 0:
			r.Fatalf("the plan %q is refused though nothing differs:\n%s", planned, out)
		case drift != "nothing" && code == 0:
			r.Fatalf("the plan %q is carried out after %q:\n%s", planned, drift, out)
		case drift != "nothing" && s.world.String() != before:
			r.Fatalf("the plan %q is refused after %q and something was changed:\n%s\n%s", planned, drift, before, s.world.String())
		case drift != "nothing" && listing(r, s.dir) != files:
			r.Fatalf("the plan %q is refused after %q and the state is another:\n%s", planned, drift, listing(r, s.dir))
		case drift != "nothing" && !strings.Contains(out, "lan again"):
			r.Fatalf("the refusal does not say what to do:\n%s", out)
		}
		if drift == "nothing" && planned != "nothing" {
			if code, out := s.run("apply", "kept"); code == 0 {
				r.Fatalf("the plan %q is carried out twice:\n%s", planned, out)
			}
		}
	}
	for drifted < 200 && !t.Failed() { // rapid draws a hundred times, with nothing in some
		t.Run("draws", rapid.MakeCheck(check))
	}
}

const guest = `
gapool { stack = "guest" }

resource "docker_container" "web" {
  name  = "web"
  image = "nginx"
  networks_advanced { name = "lan" }
  volumes {
    volume_name    = "data"
    container_path = "/data"
  }
}
`

// TestKeptPlanIsHeldToWhatItNames keeps a plan that names what it does not
// manage, lets that become something else, and applies it. The digest of the
// plan is of the image, too.
func TestKeptPlanIsHeldToWhatItNames(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*mem.World)
		refusal string // a part of it; empty for none
		digest  bool   // it is another one
	}{
		"nothing": {change: func(*mem.World) {}},
		"tag moved": {func(w *mem.World) {
			image := imageTable(w)
			w.Put(&providers.Object{Kind: image.Name, Name: "nginx:latest", Attrs: image.Build(map[string]cty.Value{"build_inputs": cty.StringVal("other")})})
		}, `docker_container.web names the docker_image "nginx:latest", which was sha256:`, true},
		"network made anew": {func(w *mem.World) {
			w.Put(&providers.Object{Kind: "docker_network", Name: "lan"})
		}, `docker_container.web names the docker_network "lan", which was`, false},
		"volume gone": {func(w *mem.World) {
			w.Remove("docker_volume", "data")
		}, `docker_container.web names the docker_volume "data", which was data and is gone`, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := rayWorld(filepath.Join(dir, ".world.json"))
			w.Put(&providers.Object{Kind: "docker_image", Name: "nginx:latest"})
			w.Put(&providers.Object{Kind: "docker_network", Name: "lan"})
			w.Put(&providers.Object{Kind: "docker_volume", Name: "data"})
			s := &shop{dir: dir, world: w, provider: w}
			s.write(guest)
			code, out := s.run("plan", "-out=kept")
			if code != 0 {
				t.Fatal(out)
			}
			_, digest, _ := strings.Cut(out, "Its digest is ")
			c.change(w)
			before := w.String()
			code, out = s.run("apply", "kept")
			switch {
			case c.refusal == "":
				if code != 0 {
					t.Errorf("it is refused:\n%s", out)
				}
				return
			case code == 0 || !strings.Contains(out, c.refusal) || w.String() != before:
				t.Errorf("it exits %d, and does not say %q:\n%s\n%s", code, c.refusal, out, w)
			}
			code, out = s.run("apply", "-digest="+strings.TrimSuffix(digest, ".\n"))
			if refused := strings.Contains(out, "this is not the plan that was approved"); refused != c.digest || refused != (code != 0) {
				t.Errorf("with the digest it exits %d:\n%s", code, out)
			}
		})
	}
}

func imageTable(w *mem.World) *schema.Type {
	types := w.Types()
	return types[slices.IndexFunc(types, func(t *schema.Type) bool { return t.Name == "docker_image" })]
}

const pool = `
gapool { stack = "pool" }

variable "workers" { type = number }

resource "docker_network" "lab" { name = "lab" }

resource "ray_cluster" "pool" {
  name    = "pool"
  image   = "ray"
  network = docker_network.lab.name
  auth    = false
  head { memory = "1g" }
  worker_group "cpu" {
    replicas = var.workers
    num_cpus = 1
    memory   = "1g"
  }
}
`

// poolShop is a shop of a cluster, whose Ray is told what it says.
func poolShop(t *testing.T) (*shop, *raytest.Ray) {
	t.Helper()
	dir := t.TempDir()
	w := rayWorld(filepath.Join(dir, ".world.json"))
	w.Put(&providers.Object{Kind: "docker_image", Name: "ray:latest"})
	over, ray := raytest.Over(w)
	s := &shop{dir: dir, world: w, provider: over}
	s.write(pool)
	return s, ray
}

// TestKeptPlanSaysWhoLeaves keeps a plan that takes the idlest worker away and
// applies it when another one is the idlest: who goes was decided.
func TestKeptPlanSaysWhoLeaves(t *testing.T) {
	s, ray := poolShop(t)
	s.must(t, "apply", "-auto-approve", "-var=workers=3")
	ray.Idle("pool-cpu-1", time.Hour)
	if out := s.must(t, "plan", "-out=kept", "-var=workers=2"); !strings.Contains(out, `# ray_cluster.pool.worker["cpu"][1] will be destroyed`) {
		t.Fatalf("the idlest one is not to go:\n%s", out)
	}
	ray.Idle("pool-cpu-1", 0)
	ray.Idle("pool-cpu-2", time.Hour)
	if out := s.must(t, "apply", "kept"); !strings.Contains(out, `ray_cluster.pool.worker["cpu"][1]: Destruction complete`) {
		t.Fatalf("another one went:\n%s", out)
	}
	if out := s.must(t, "plan", "-var=workers=2"); !strings.Contains(out, "No changes.") {
		t.Fatalf("something is left to do:\n%s", out)
	}
}

// TestKeptPlanOfAClusterMadeBlind keeps plans of a cluster that were made without
// looking, and carries them out.
func TestKeptPlanOfAClusterMadeBlind(t *testing.T) {
	s, _ := poolShop(t)
	s.must(t, "apply", "-auto-approve", "-var=workers=1")
	for _, flags := range [][]string{{"-var=workers=6"}, {"-var=workers=2"}, {"-var=workers=2", "-replace=ray_cluster.pool.head"}, {"-var=workers=2", "-destroy"}} {
		s.must(t, append([]string{"plan", "-refresh=false", "-out=kept"}, flags...)...)
		s.must(t, "apply", "kept")
		if code, out := s.run(append([]string{"plan", "-detailed-exitcode"}, flags[len(flags)-1:]...)...); len(flags) == 1 && code != 0 {
			t.Errorf("something is left to do after %v:\n%s", flags, out)
		}
	}
	if left := s.world.Objects(); len(left) != 1 {
		t.Errorf("left:\n%s", s.world)
	}
}

// TestKeptPlanIsOfOneEngine keeps a plan and applies it where the docker command
// leads to another engine now.
func TestKeptPlanIsOfOneEngine(t *testing.T) {
	dir := t.TempDir()
	image := &providers.Object{Kind: "docker_image", Name: "nginx:latest"}
	here := rayWorld(filepath.Join(dir, ".here.json"))
	there := mem.New("docker", &schema.Type{Name: "docker"}, docker.New().Types(), mem.Uses(mem.DockerUses), mem.EngineID("there"))
	here.Put(image)
	there.Put(image)
	s := &shop{dir: dir, provider: here}
	s.write(`
gapool { stack = "shop" }
resource "docker_container" "web" {
  name  = "web"
  image = "nginx"
}`)
	s.must(t, "plan", "-out=kept")
	before := there.String()
	s.provider = there
	code, out := s.run("apply", "kept")
	if code != 1 || !strings.Contains(out, `the provider "docker" leads to the engine there`) || there.String() != before {
		t.Errorf("exit code %d\n%s\n%s", code, out, there)
	}
	s.provider = here
	s.must(t, "apply", "kept")
}

func keysOf[V any](m map[string]V) []string { return sorted(m) }

// listing is what stands in the state's files.
func listing(r *rapid.T, dir string) string {
	text := ""
	for _, name := range []string{"state.json", "journal.jsonl"} {
		data, err := os.ReadFile(filepath.Join(dir, ".gapool", "default", name))
		if err != nil && !os.IsNotExist(err) {
			r.Fatal(err)
		}
		text += fmt.Sprintf("%s: %s\n", name, data)
	}
	return text
}
