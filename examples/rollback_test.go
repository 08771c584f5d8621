//go:build engine

package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const rolledBack = `
gapool {
  stack = "NAME"
}
variable "image" {}
variable "command" {
  type    = list(string)
  default = ["sleep", "1000000"]
}
variable "subnet" {
  default = "10.213.77.0/24"
}
variable "words" {
  default = "one"
}
variable "memory" {
  type    = number
  default = 32
}
resource "docker_network" "lab" {
  name = "NAME"
  ipam_config { subnet = var.subnet }
}
resource "docker_image" "app" {
  name = "NAME"
  build {
    context    = "image"
    build_args = { BASE = var.image, WORDS = var.words }
  }
}
resource "docker_container" "first" {
  name    = "NAME-first"
  image   = docker_image.app.image_id
  command = ["sleep", "1000000"]
  init    = true
  env     = { TOKEN = "hunter2-hunter2", LEVEL = "info" }
  networks_advanced {
    name    = docker_network.lab.id
    aliases = ["first"]
  }
  upload {
    file    = "/etc/first.conf"
    content = "secret-content"
  }
  upload {
    file   = "/etc/source.conf"
    source = "source.conf"
  }
}
resource "docker_container" "other" {
  name    = "NAME-other"
  image   = var.image
  command = ["sleep", "1000000"]
  init    = true
  memory  = var.memory
  restart = "unless-stopped"
}
resource "docker_container" "second" {
  name    = "NAME-second"
  image   = var.image
  command = var.command
  init    = true
  env     = { TOKEN = "hunter2-hunter2" }
  depends_on = [docker_container.first, docker_container.other]
}
resource "docker_container" "third" {
  name    = "NAME-third"
  image   = var.image
  command = var.command
  init    = true
  depends_on = [docker_container.second]
  lifecycle { create_before_destroy = true }
}
`

// A change of several containers fails at one of them: what ran before runs
// again, and the old configuration has nothing to do.
func TestFailedChangeIsRolledBack(t *testing.T) {
	s := newStack(t)
	s.env = []string{"GAPOOL_VAR_image=" + tinyImage(t)}
	s.write("main.gapool.hcl", rolledBack)
	s.write("source.conf", "one")
	if err := os.Mkdir(filepath.Join(s.dir, "image"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.write("image/Dockerfile", "ARG BASE\nFROM $BASE\nARG WORDS\nRUN echo $WORDS >/words\n")
	s.apply()
	s.settled()
	first, second := s.name+"-first", s.name+"-second"
	looks := func() string {
		var b strings.Builder
		for _, c := range []string{first, second, s.name + "-other", s.name + "-third"} {
			for _, field := range []string{".State.Running", ".Config.Image", ".Image", ".Config.Env", ".Config.Cmd", ".HostConfig.Memory", ".HostConfig.MemorySwap", ".HostConfig.RestartPolicy", ".HostConfig.Init"} {
				b.WriteString(c + field + " " + s.inspect("container", c, field) + "\n")
			}
		}
		b.WriteString(s.docker("exec", first, "cat", "/words", "/etc/first.conf", "/etc/source.conf") + "\n")
		b.WriteString(s.inspect("network", s.name, ".IPAM.Config") + "\n")
		return b.String()
	}
	was := looks()
	id := s.inspect("container", s.name+"-other", ".Id")

	for i, change := range [][]string{
		{`command=["no-such-command"]`, "memory=48"},
		{`command=["no-such-command"]`, "subnet=10.213.78.0/24"},
		{`command=["no-such-command"]`, "memory=0"},
	} {
		s.write("source.conf", "two")
		flags := []string{"-on-failure=rollback"}
		for _, v := range change {
			flags = append(flags, "-var", v)
		}
		wants(t, s.must(0, append([]string{"plan"}, flags...)...).stdout,
			"If a step fails, what this apply has done by then is undone", "without what it had written inside itself:\n", "docker_container.second\n")
		r := s.must(1, append([]string{"apply", "-auto-approve"}, flags...)...)
		wants(t, r.stdout, "Rolling back what was done, since docker_container.second failed:", "Apply failed and was rolled back. What runs is what ran before.")
		wants(t, r.stderr, "docker_container.second: create", "no-such-command", "and what runs is as it was before")
		if strings.Contains(r.stdout+r.stderr+s.files(), "hunter2-hunter2") || strings.Contains(s.files(), "secret-content") {
			t.Error("a secret is told")
		}
		if now := looks(); now != was {
			t.Errorf("it is\n%s\nand was\n%s", now, was)
		}
		s.write("source.conf", "one")
		s.settled()
		if now := s.inspect("container", s.name+"-other", ".Id"); now != id && i < 2 {
			t.Error("a container of which only the memory was changed is another one")
		}
	}

	t.Log("a new image stays, and the container of the old one is back")
	flags := []string{"-on-failure=rollback", "-var", `command=["no-such-command"]`, "-var", "words=two"}
	const stays = "docker_image.app (create): the tag named another image before, and is not moved back"
	wants(t, s.must(0, append([]string{"plan"}, flags...)...).stdout, "Not undone then:\n  "+stays)
	r := s.must(1, append([]string{"apply", "-auto-approve"}, flags...)...)
	wants(t, r.stdout, "Apply failed and was rolled back in part.")
	wants(t, r.stderr, stays)
	if now := looks(); now != was {
		t.Errorf("it is\n%s\nand was\n%s", now, was)
	}

	t.Log("a first apply that fails leaves nothing")
	s.must(0, "destroy", "-auto-approve")
	r = s.must(1, "apply", "-auto-approve", "-on-failure=rollback", "-var", `command=["no-such-command"]`)
	wants(t, r.stdout, "Apply failed and was rolled back.")
	s.nothingLeft()
	wants(t, s.must(0, "destroy", "-auto-approve").stdout, "No changes.")
}

const driver = `
variable "command" {
  type    = list(string)
  default = ["sleep", "1000000"]
}
variable "level" {
  default = "one"
}
resource "docker_container" "driver" {
  name       = "NAME-driver"
  image      = docker_image.pool.image_id
  command    = var.command
  init       = true
  depends_on = [ray_cluster.pool]
}
`

// A worker that came goes again, and it is Ray that says so. What went from a
// cluster does not come back, which the plan says beforehand, and the next apply
// brings the old configuration back.
func TestFailedChangeOfAClusterIsRolledBack(t *testing.T) {
	p := newPool(t)
	p.write("driver.gapool.hcl", driver)
	main, err := os.ReadFile(filepath.Join(p.dir, "main.gapool.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	p.write("main.gapool.hcl", strings.Replace(string(main), "head {\n", "head {\n    env = { LEVEL = var.level }\n", 1))
	p.apply()
	head := func(field string) string { return p.inspect("container", p.head(), field) }
	asBefore := func() {
		t.Helper()
		p.token = p.docker("exec", p.head(), "cat", "/run/ray/token")
		p.listed(map[string]int{"small": 2, "large": 1})
		if env := head(".Config.Env"); !strings.Contains(env, "LEVEL=one") {
			t.Errorf("the head has %s", env)
		}
		if runs := p.inspect("container", p.name+"-driver", ".State.Running"); runs != "true" {
			t.Errorf("the driver runs: %s", runs)
		}
		p.settled()
	}
	asBefore()
	was := head(".Id")
	broken := func(verb string, flags ...string) []string {
		return append([]string{verb, "-on-failure=rollback", `-var=command=["no-such-command"]`}, flags...)
	}

	t.Log("a worker had come")
	r := p.must(1, append(broken("apply", "-var=workers=3"), "-auto-approve")...)
	wants(t, r.stdout, "Rolling back what was done, since docker_container.driver failed:", p.worker("small")+"[2]: Destruction complete",
		"Apply failed and was rolled back. What runs is what ran before.")
	wants(t, r.stderr, "docker_container.driver: create", "no-such-command")
	asBefore()

	const gone = " (delete): a member of a cluster that is removed does not come back"
	t.Log("a worker had gone")
	shrunk := regexp.MustCompile(regexp.QuoteMeta(p.worker("small")) + `\[[01]\]` + regexp.QuoteMeta(gone)) // the idlest one
	if r = p.must(0, broken("plan", "-var=workers=1")...); !shrunk.MatchString(r.stdout) {
		t.Errorf("it does not say what is not undone:\n%s", r.stdout)
	}
	r = p.must(1, append(broken("apply", "-var=workers=1"), "-auto-approve")...)
	wants(t, r.stdout, "Apply failed and was rolled back in part.")
	if !shrunk.MatchString(r.stderr) {
		t.Errorf("it does not say what was not undone:\n%s", r.stderr)
	}
	p.listed(map[string]int{"small": 1, "large": 1})
	if head(".Id") != was {
		t.Error("the head is another one, and nothing was to be done to it")
	}
	p.apply()
	asBefore()

	t.Log("the head had been made anew, and all workers with it")
	wants(t, p.must(0, broken("plan", "-var=level=two")...).stdout, "Not undone then:", "ray_cluster.pool.head"+gone)
	r = p.must(1, append(broken("apply", "-var=level=two"), "-auto-approve")...)
	wants(t, r.stdout, "Apply failed and was rolled back in part.")
	wants(t, r.stderr, "ray_cluster.pool.head"+gone)
	p.apply()
	asBefore()

	t.Log("a first apply that fails leaves nothing")
	allowed := "-allow-data-loss=docker_volume.results"
	p.must(0, "destroy", "-auto-approve", allowed)
	r = p.must(1, append(broken("apply", allowed), "-auto-approve")...)
	wants(t, r.stdout, "Apply failed and was rolled back. What runs is what ran before.")
	p.nothingLeft()
}
