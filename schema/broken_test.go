package schema

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the diagnostics that are had into testdata/broken")

// Each archive is a configuration with a mistake, and its diagnostics as they
// are printed. A line "-var a=b" of the comment gives a variable its value.
func TestBrokenConfigurations(t *testing.T) {
	paths, err := filepath.Glob("testdata/broken/*.txtar")
	if err != nil || len(paths) < 20 {
		t.Fatalf("there are %d archives (%v), want 20 or more", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			path, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(t.TempDir())
			var want string
			files := map[string]string{}
			for _, f := range ar.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				files[f.Name] = string(f.Data)
			}
			writeFiles(t, files)
			got := diagnose(t, string(ar.Comment))
			if *update {
				kept := ar.Files[:0]
				for _, f := range ar.Files {
					if f.Name != "want" {
						kept = append(kept, f)
					}
				}
				ar.Files = append(kept, txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("diagnostics (-want +got):\n%s", diff)
			}
		})
	}
}

// diagnose does what validate does: it stops at the first stage with errors.
func diagnose(t *testing.T, comment string) string {
	t.Helper()
	cfg, diags := Load(".", testTypes(), testProviders())
	if !diags.HasErrors() {
		diags = append(diags, cfg.Root.CheckRefs()...)
	}
	if !diags.HasErrors() {
		var flags []VarFlag
		for line := range strings.Lines(comment) {
			if pair, ok := strings.CutPrefix(strings.TrimSpace(line), "-var "); ok {
				name, value, _ := strings.Cut(pair, "=")
				flags = append(flags, VarFlag{Name: name, Value: value})
			}
		}
		_, d := Inputs(cfg.Root, ".", nil, flags)
		diags = append(diags, d...)
	}
	if len(diags) == 0 {
		t.Error("there is nothing wrong with it")
	}
	var b bytes.Buffer
	if err := WriteDiagnostics(&b, cfg.Sources, diags, 78, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func FuzzLoad(f *testing.F) {
	paths, err := filepath.Glob("testdata/broken/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		ar, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range ar.Files {
			if file.Name != "want" {
				f.Add(file.Data, strings.HasSuffix(file.Name, ".json"))
			}
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, src []byte, json bool) {
		names := []string{"main.gapool.hcl", "main.gapool.json"}
		if json {
			names[0], names[1] = names[1], names[0]
		}
		if err := os.WriteFile(filepath.Join(dir, names[0]), src, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(dir, names[1])); err != nil {
			t.Fatal(err)
		}
		cfg, diags := Load(dir, testTypes(), testProviders())
		if !diags.HasErrors() {
			diags = append(diags, cfg.Root.CheckRefs()...)
			for _, r := range cfg.Root.SortedResources() {
				if _, d := References(r.Traversals()); d.HasErrors() && !diags.HasErrors() {
					t.Errorf("CheckRefs misses %s", d)
				}
			}
		}
		if err := WriteDiagnostics(&bytes.Buffer{}, cfg.Sources, diags, 40, true); err != nil {
			t.Error(err)
		}
	})
}
