//go:build engine

package examples_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const service = `
gapool {
  stack = "NAME"
}

variable "image" {
  type = string
}

variable "greeting" {
  type    = string
  default = "hello"
}

variable "memory" {
  type    = number
  default = 32
}

variable "password" {
  type      = string
  sensitive = true
  default   = "hunter2-hunter2"
}

resource "docker_network" "lab" {
  name = "NAME"
}

resource "docker_volume" "data" {
  name = "NAME-data"
}

resource "docker_container" "server" {
  name    = "NAME-server"
  image   = var.image
  command = ["sh", "-c", "echo $GREETING > /data/index.html; exec httpd -f -p 8080 -h /data"]
  memory  = var.memory
  init    = true
  env = {
    GREETING = var.greeting
    PASSWORD = var.password
  }

  networks_advanced {
    name    = docker_network.lab.name
    aliases = ["server"]
  }

  volumes {
    volume_name    = docker_volume.data.name
    container_path = "/data"
  }

  healthcheck {
    test     = ["CMD", "test", "-s", "/data/index.html"]
    interval = "1s"
    timeout  = "2s"
    retries  = 10
  }
  wait = true
}

resource "docker_container" "client" {
  for_each   = toset(["one", "two"])
  name       = "NAME-client-${each.key}"
  image      = var.image
  command    = ["sleep", "1000000"]
  init       = true
  depends_on = [docker_container.server]

  networks_advanced {
    name = docker_network.lab.name
  }
}

output "server" {
  value = docker_container.server.name
}

output "secret" {
  value     = var.password
  sensitive = true
}
`

// What a service goes through: made, left alone, changed, broken by hand,
// mended, destroyed.
func TestServiceFromCreateToDestroy(t *testing.T) {
	s := newStack(t)
	s.env = []string{"GAPOOL_VAR_image=" + tinyImage(t)}
	s.write("main.gapool.hcl", service)
	server, client := s.name+"-server", s.name+"-client-one"
	hears := func(want string) {
		t.Helper()
		if got := s.docker("exec", client, "wget", "-q", "-O", "-", "http://server:8080/"); got != want {
			t.Fatalf("the client hears %q of the server, want %q", got, want)
		}
	}

	r := s.apply()
	wants(t, r.stdout, "5 to add, 0 to change, 0 to destroy", `server = "`+server+`"`)
	hears("hello")
	s.settled()

	t.Log("a limit is changed in place")
	id := s.inspect("container", server, ".Id")
	wants(t, s.must(2, "plan", "-detailed-exitcode", "-var", "memory=48").stdout, "0 to add, 1 to change, 0 to destroy")
	s.apply("-var", "memory=48")
	if got := s.inspect("container", server, ".HostConfig.Memory"); got != "50331648" {
		t.Errorf("the server may use %s bytes, want 48 MiB", got)
	}
	if now := s.inspect("container", server, ".Id"); now != id {
		t.Error("the server was replaced for a change of its memory")
	}
	s.settled("-var", "memory=48")

	t.Log("a variable of its environment takes a new container")
	s.env = append(s.env, "GAPOOL_VAR_greeting=welcome", "GAPOOL_VAR_memory=48")
	wants(t, s.must(2, "plan", "-detailed-exitcode").stdout,
		"docker_container.server must be replaced", "forces replacement", "1 to add, 0 to change, 1 to destroy")
	s.apply()
	hears("welcome")
	s.settled()

	t.Log("a container is removed, another stopped")
	s.docker("rm", "--force", s.name+"-client-two")
	s.docker("stop", "--time", "0", server)
	s.drifted(`docker_container.client["two"]`, "docker_container.server")
	s.apply()
	hears("welcome")
	s.settled()

	t.Log("the network is removed")
	for _, c := range []string{server, client, s.name + "-client-two"} {
		s.docker("network", "disconnect", "--force", s.name, c)
	}
	s.docker("network", "rm", s.name)
	s.drifted("docker_network.lab")
	s.apply()
	hears("welcome")
	s.settled()

	t.Log("the password is in clear nowhere but in the container")
	for _, text := range []string{
		r.stdout, r.stderr, s.must(0, "show").stdout, s.must(0, "output", "-json").stdout, s.files(),
	} {
		if strings.Contains(text, "hunter2-hunter2") {
			t.Errorf("the password is in clear in:\n%s", text)
		}
	}
	if got := s.must(0, "output", "-raw", "secret").stdout; got != "hunter2-hunter2" {
		t.Errorf("output -raw secret prints %q", got)
	}

	t.Log("the state is thrown away")
	s.withoutState(func() {
		s.settled()
		s.apply()
		s.settled()
		wants(t, s.must(0, "output", "server").stdout, server)
	})
	s.settled()

	t.Log("data is not lost by accident")
	refused := s.must(1, "destroy", "-auto-approve")
	wants(t, refused.stderr, "-allow-data-loss", "docker_volume.data")
	hears("welcome")
	s.must(0, "destroy", "-auto-approve", "-allow-data-loss=docker_volume.data")
	s.nothingLeft()
	wants(t, s.must(0, "destroy", "-auto-approve").stdout, "No changes.")
}

// A step that fails leaves the rest as it should be, says what to do, and is
// taken up again.
func TestFailedStepIsTakenUpAgain(t *testing.T) {
	s := newStack(t)
	s.env = []string{"GAPOOL_VAR_image=" + tinyImage(t)}
	const config = `
gapool {
  stack = "NAME"
}
variable "image" {}
variable "command" {
  type    = list(string)
  default = ["no-such-command"]
}
resource "docker_network" "lab" {
  name = "NAME"
}
resource "docker_container" "first" {
  name    = "NAME-first"
  image   = var.image
  command = var.command

  destroy_grace_seconds = 1
  networks_advanced { name = docker_network.lab.name }
}
resource "docker_container" "second" {
  name       = "NAME-second"
  image      = var.image
  command    = ["sleep", "1000000"]
  init       = true
  depends_on = [docker_container.first]
}
`
	s.write("main.gapool.hcl", config)
	r := s.must(1, "apply", "-auto-approve")
	wants(t, r.stderr, "docker_container.first")
	if s.docker("container", "ls", "--all", "--quiet", "--filter", "name="+s.name+"-second") != "" {
		t.Error("what depends on the failed container was made")
	}
	s.env = append(s.env, `GAPOOL_VAR_command=["sleep","1000000"]`)
	s.apply()
	s.settled()
	s.must(0, "destroy", "-auto-approve")
	s.nothingLeft()
}

const imageByName = `
gapool {
  stack = "NAME"
}

resource "docker_container" "word" {
  name         = "NAME-word"
  image        = "NAME:latest"
  command      = ["sleep", "1000000"]
  stop_timeout = 0
}

resource "docker_image" "app" {
  name = "NAME"
  build {
    context = "image"
    label   = { of = "NAME" }
  }
}

resource "docker_container" "reference" {
  name         = "NAME-reference"
  image        = docker_image.app.name
  command      = ["sleep", "1000000"]
  stop_timeout = 0
}
`

// Containers name their image, one by a reference and one by a word: they follow
// each build that makes another image, in one apply, and no other.
func TestContainersFollowTheNameOfTheirImage(t *testing.T) {
	s := newStack(t)
	t.Cleanup(func() { s.docker("image", "prune", "--force", "--filter", "label=of="+s.name) })
	dockerfile := func(more string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(s.dir, "image"), 0o700); err != nil {
			t.Fatal(err)
		}
		s.write("image/Dockerfile", "FROM "+tinyImage(t)+"\n"+more)
	}
	containers := []string{s.name + "-word", s.name + "-reference"}
	ids := func(of string) (all string) {
		for _, c := range containers {
			all += s.inspect("container", c, of) + "\n"
		}
		return all
	}
	dockerfile("ENV RELEASE=1\n")
	s.write("main.gapool.hcl", imageByName)
	s.apply()
	s.settled()

	t.Log("another image")
	dockerfile("ENV RELEASE=2\n")
	wants(t, s.must(2, "plan", "-detailed-exitcode").stdout,
		"# docker_container.word must be replaced\n  # (only if docker_image.app.image_id changes)",
		"# docker_container.reference must be replaced\n  # (only if docker_image.app.image_id changes)",
		"3 to add, 0 to change, 3 to destroy")
	s.apply()
	image := s.inspect("image", s.name+":latest", ".Id")
	if got, want := ids(".Image"), image+"\n"+image+"\n"; got != want {
		t.Errorf("the containers run\n%sand not\n%s", got, want)
	}
	s.settled()

	t.Log("a build that makes the same image")
	was := ids(".Id")
	s.apply("-replace=docker_image.app")
	if got := ids(".Id"); got != was {
		t.Errorf("the containers were\n%sand are\n%s", was, got)
	}
	s.settled()

	t.Log("the tag is taken away, and made again of the same image")
	s.docker("image", "tag", s.name+":latest", s.name+":other")
	s.docker("image", "rm", s.name+":latest")
	s.apply()
	s.docker("image", "rm", s.name+":other")
	if got := ids(".Id"); got != was {
		t.Errorf("the containers were\n%sand are\n%s", was, got)
	}
	s.settled()
	s.must(0, "destroy", "-auto-approve")
	s.nothingLeft()
}
