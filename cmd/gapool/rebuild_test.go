package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/docker"
	"github.com/gapool/gapool/providers/mem"
	"github.com/gapool/gapool/providers/ray/raytest"
	"github.com/gapool/gapool/schema"
)

const farm = `
gapool { stack = "farm" }

resource "docker_image" "app" { name = "genetic:latest" }

resource "docker_network" "pool" { name = "pool" }

resource "ray_cluster" "pool" {
  name    = "genetic"
  image   = docker_image.app.image_id
  network = docker_network.pool.name
  head {}
  worker_group "cpu" { replicas = 2 }
}

output "address" { value = ray_cluster.pool.address }
`

// A cluster's members, what is computed of the cluster and an image by its tag
// are recorded like all else.
func TestRebuiltStateOfACluster(t *testing.T) {
	dir := t.TempDir()
	calls := 0
	world := mem.New("docker", &schema.Type{Name: "docker"}, docker.New().Types(), mem.Uses(mem.DockerUses), mem.Faults(func(c mem.Call) error {
		if c.Op != mem.Read && c.Op != mem.Refresh {
			calls++
		}
		return nil
	}))
	provider, _ := raytest.Over(world)
	if err := os.WriteFile(filepath.Join(dir, "main.gapool.hcl"), []byte(farm), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		var b bytes.Buffer
		args = append([]string{"-chdir=" + dir}, args...)
		if code := Main(args, strings.NewReader(""), &b, &b, []string{"XDG_STATE_HOME=" + filepath.Join(dir, ".home")}, []providers.Provider{provider}); code != 0 {
			t.Fatalf("%v exits %d:\n%s", args, code, &b)
		}
		return b.String()
	}
	run("apply", "-auto-approve")
	list, output := run("state", "list"), run("output", "-json")
	if n := strings.Count(list, "\n"); n != 6 {
		t.Fatalf("an image, a network, a cluster and three members are %d addresses:\n%s", n, list)
	}
	if err := os.RemoveAll(filepath.Join(dir, ".gapool")); err != nil {
		t.Fatal(err)
	}
	calls = 0
	said := run("state", "rebuild")
	if calls > 0 {
		t.Errorf("%d calls would change something", calls)
	}
	if got := run("state", "list"); got != list {
		t.Errorf("it had\n%sand has\n%s\n%s", list, got, said)
	}
	if got := run("output", "-json"); got != output {
		t.Errorf("the outputs were %s and are %s", output, got)
	}
	if got := run("plan", "-detailed-exitcode"); strings.Contains(got, "Found by their labels") {
		t.Errorf("something is still not recorded:\n%s", got)
	}
}
