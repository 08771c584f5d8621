//go:build engine

package examples_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// The mistakes of schema/testdata/broken, made by a person with a real engine:
// each verb fails, says so, and asks the engine for no change.
func TestBrokenConfigurationsChangeNothing(t *testing.T) {
	w := newWitness(t, script(t, "engine", "--host"))
	s := newStack(t)
	s.env = []string{"DOCKER_HOST=" + w.host, "GAPOOL_VAR_image=" + tinyImage(t)}
	s.write("main.gapool.hcl", `
gapool {
  stack = "NAME"
}
variable "image" {}
resource "docker_container" "web" {
  name    = "NAME-web"
  image   = var.image
  command = ["sleep", "1000000"]
  init    = true
}
`)
	s.apply()
	if made := w.seen(); !slices.ContainsFunc(made, func(r string) bool { return strings.HasSuffix(r, "/containers/create") }) {
		t.Fatalf("the witness saw only %v of an apply", made)
	}
	s.settled()
	if changes := w.seen(); len(changes) > 0 {
		t.Fatalf("an empty plan asked for %v", changes)
	}

	paths, err := filepath.Glob("../schema/testdata/broken/*.txtar")
	if err != nil || len(paths) < 20 {
		t.Fatalf("%d broken configurations were found (%v), want 20 or more", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b := &stack{t: t, name: s.name, dir: t.TempDir(), env: s.env}
			var want string
			for _, f := range ar.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				if err := os.MkdirAll(filepath.Dir(filepath.Join(b.dir, f.Name)), 0o700); err != nil {
					t.Fatal(err)
				}
				b.write(f.Name, string(f.Data))
			}
			var flags []string
			for line := range strings.Lines(string(ar.Comment)) {
				if pair, ok := strings.CutPrefix(strings.TrimSpace(line), "-var "); ok {
					flags = append(flags, "-var", pair)
				}
			}
			summary, _, _ := strings.Cut(want[strings.Index(want, "Error: "):], "\n")
			for _, verb := range [][]string{{"plan"}, {"apply", "-auto-approve"}, {"destroy", "-auto-approve"}} {
				r := b.must(1, append(verb, flags...)...)
				wants(t, r.stderr, summary)
			}
			if changes := w.seen(); len(changes) > 0 {
				t.Errorf("the engine was asked for %v", changes)
			}
		})
	}
	s.settled()
	s.must(0, "destroy", "-auto-approve")
	s.nothingLeft()
}
