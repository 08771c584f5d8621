package schema

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
)

func TestWriteMarkdown(t *testing.T) {
	table := &Type{Name: "docker_thing", Doc: "A thing.", Addition: true, Absent: map[string]string{"size": "", "cluster": "Leave it out."}, Attrs: []Attr{
		{Name: "name", Type: cty.String, Required: true, Change: Replace, Doc: "What it is\ncalled."},
		{Name: "memory", Type: cty.Number, Unit: "MiB", Change: Update, Default: cty.NumberIntVal(4)},
		{Name: "port", Change: Replace, Block: &Block{Nesting: Set, Attrs: []Attr{
			{Name: "internal", Type: cty.Number, Required: true, Change: Replace, Since: "1.44"},
			{Name: "hash", Type: cty.String, Computed: true},
		}, Absent: map[string]string{"mode": ""}}},
		{Name: "id", Type: cty.List(cty.String), Computed: true, Doc: "The IDs."},
	}}
	var b strings.Builder
	if err := WriteMarkdown(&b, []*Type{table}); err != nil {
		t.Fatal(err)
	}
	const want = "## docker_thing\n\nA thing.\n\nAn addition: Terraform's Docker provider does not have it.\n\n" +
		"### Arguments\n\n" +
		"- `name` (string, required, a change replaces): What it is called.\n" +
		"- `memory` (number in MiB, default `4`)\n" +
		"- `port` (blocks, a change replaces)\n" +
		"  - `internal` (number, required, needs API 1.44 of the engine)\n" +
		"  - `hash` (string, computed)\n" +
		"  - not there yet: `mode`\n" +
		"\n### Computed\n\n- `id` (list of string): The IDs.\n" +
		"\nOf Terraform's Docker provider not there yet: `cluster`, `size`.\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}
