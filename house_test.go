// Package house_test holds the project to its own plan: which package may
// import which, and that the documentation points at things that exist.
package house_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"

	"github.com/gapool/gapool/providers/docker"
	"github.com/gapool/gapool/providers/ray"
	"github.com/gapool/gapool/schema"
)

var update = flag.Bool("update", false, "write docs/resources.md anew")

const module = "github.com/gapool/gapool"

// mayImport says for each package, or tree of packages, which others of ours
// it may import. What is inside of the tree itself is always allowed, and the
// tree that fits best decides. A package that no tree holds is an error: give
// it its place here.
var mayImport = map[string][]string{
	"schema":                 {},
	"state":                  {"schema"},
	"providers":              {"schema"},
	"providers/docker":       {"schema", "providers"},
	"providers/ray":          {"schema", "providers"},
	"providers/ray/raytest":  {"schema", "providers", "providers/ray", "providers/mem"},
	"providers/mem":          {"schema", "providers"},
	"providers/providertest": {"schema", "providers"},
	"engine":                 {"schema", "state", "providers"},
	"engine/plan":            {"schema", "state", "providers", "engine"},
	"engine/planfile":        {"schema", "state", "providers", "engine"},
	"engine/apply":           {"schema", "state", "providers", "engine"},
	"cmd": {
		"schema", "state", "providers", "engine", "engine/plan", "engine/planfile", "engine/apply",
		"providers/docker", "providers/ray", "providers/mem",
	},
}

// onlyIn are modules that must not spread.
var onlyIn = map[string]string{
	"github.com/docker/docker": "providers/docker",
	"github.com/moby/buildkit": "providers/docker",
}

type goPackage struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
}

func ours(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// tree returns the longest key of mayImport that holds the package.
func tree(pkg string) string {
	for at := pkg; at != "."; at = path.Dir(at) {
		if _, ok := mayImport[at]; ok {
			return at
		}
	}
	return ""
}

func TestImportsGoOneWay(t *testing.T) {
	packages := ours(t)
	if len(packages) < len(mayImport) {
		t.Fatalf("go list found %d packages only", len(packages))
	}
	for _, p := range packages {
		name, inside := strings.CutPrefix(p.ImportPath, module+"/")
		if !inside || len(p.GoFiles) == 0 {
			continue
		}
		from := tree(name)
		if from == "" {
			t.Errorf("%s has no place among mayImport", name)
			continue
		}
		for _, imported := range p.Imports {
			for mod, owner := range onlyIn {
				if within(imported, mod) && !within(name, owner) {
					t.Errorf("%s imports %s, which only %s may", name, imported, owner)
				}
			}
			to, inside := strings.CutPrefix(imported, module+"/")
			if !inside || tree(to) == from {
				continue
			}
			if !slices.Contains(mayImport[from], tree(to)) {
				t.Errorf("%s imports %s, which nothing in %s may", name, to, from)
			}
		}
	}
}

func within(pkg, tree string) bool { return pkg == tree || strings.HasPrefix(pkg, tree+"/") }

// What a package does before main has asked for it cannot be seen, ordered or
// tested.
func TestNothingHappensInInit(t *testing.T) {
	for _, p := range ours(t) {
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s/%s has a func init", p.ImportPath, name)
				}
			}
		}
	}
}

// Which registry a name without a host means is the library's to know, and a
// person's to configure: the program names none.
func TestNoRegistryIsNamed(t *testing.T) {
	usual, err := reference.ParseNormalizedNamed("x")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range ours(t) {
		for _, name := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), reference.Domain(usual)) {
				t.Errorf("%s/%s names the host %s", p.ImportPath, name, reference.Domain(usual))
			}
		}
	}
}

var markdownLink = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)

func TestDocumentationLinksToWhatIsThere(t *testing.T) {
	pages, err := exec.Command("git", "ls-files", "*.md").Output()
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, page := range strings.Fields(string(pages)) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range markdownLink.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
	if links == 0 {
		t.Error("no links were found at all")
	}
}

// The page is made of the attribute tables, so it cannot be out of date.
func TestResourcesPageIsThatOfTheTables(t *testing.T) {
	const page = "docs/resources.md"
	var want bytes.Buffer
	want.WriteString("<!-- Made of the attribute tables by `make docs`. -->\n\n")
	if err := schema.WriteMarkdown(&want, ray.Over(docker.New()).Types()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), want.String()); diff != "" {
		t.Errorf("%s is not what the tables say; run make docs (-page +tables):\n%s", page, diff)
	}
}
