package docker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/schema"
)

// Of what a content holds not even a hash is kept, shown or planned: who has it
// can try words. The hash of a source file is there, since it is what tells a
// change of the file.
func TestNoHashOfAContent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := New()
	table := containerTable()
	want := configured(t, p, Container, `
		name  = "web"
		image = "i"
		upload {
			file    = "/secret"
			content = "hunter2"
		}
		upload {
			file   = "/script"
			source = "`+file+`"
		}`)
	upload := func(path, source, content string) cty.Value {
		return table.Attr("upload").Block.Build(map[string]cty.Value{
			"file": cty.StringVal(path), "content": cty.StringVal(content), "source": stringOrNull(source),
			"source_hash": cty.StringVal(hashOf([]byte(content))), "permissions": cty.StringVal("0644"),
		})
	}
	live := schema.With(schema.Bare(want), map[string]cty.Value{"upload": cty.ListVal([]cty.Value{
		upload("/secret", "", "hunter2"), upload("/script", file, "#!/bin/sh\n"),
	})})
	for name, after := range map[string]cty.Value{
		"stays":       schema.Settled(table, want, live),
		"is updated":  schema.Planned(table, want, live, false),
		"is replaced": schema.Planned(table, want, live, true),
	} {
		uploads := schema.Bare(after).GetAttr("upload").AsValueSlice()
		if h := uploads[0].GetAttr("source_hash"); !h.IsKnown() || !h.IsNull() {
			t.Errorf("a container that %s has a hash of a content: %#v", name, h)
		}
		if h := uploads[1].GetAttr("source_hash"); !h.RawEquals(cty.StringVal(hashOf([]byte("#!/bin/sh\n")))) {
			t.Errorf("a container that %s has not the hash of its source: %#v", name, h)
		}
	}
	if ds := schema.Differences(table, want, live, table.Null()); len(ds) > 0 {
		t.Errorf("a container as wanted differs: %v", ds)
	}
}

// Beside a content a source_hash is accepted, as Terraform's provider does, in
// whatever form it is: it says nothing that the content does not.
func TestSourceHashOfAContent(t *testing.T) {
	table := containerTable()
	want := configured(t, New(), Container, `
		name  = "web"
		image = "i"
		upload {
			file        = "/a"
			content     = "hunter2"
			source_hash = "2ab96390c7dbe3439de74d0c9b0b1767"
		}`)
	live := schema.With(want, map[string]cty.Value{"upload": cty.ListVal([]cty.Value{table.Attr("upload").Block.Build(map[string]cty.Value{
		"file": cty.StringVal("/a"), "content": cty.StringVal("hunter2"), "source_hash": cty.StringVal(hashOf([]byte("hunter2"))), "permissions": cty.StringVal("0644"),
	})})})
	if ds := schema.Differences(table, want, live, table.Null()); len(ds) > 0 {
		t.Errorf("a container as wanted differs: %v", ds)
	}
}
