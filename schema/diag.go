package schema

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
)

// WriteDiagnostics prints diagnostics for a person: what is wrong, the words in
// the file, what to do. sources has the files to quote, as Config.Sources; of
// other files only the name and the line are given. width is that of the
// terminal, 0 for no wrapping.
//
// The order is that of files and lines, those without a place first. Sensitive
// values are not shown.
func WriteDiagnostics(w io.Writer, sources map[string][]byte, diags hcl.Diagnostics, width int, color bool) error {
	parser := hclparse.NewParser()
	files := map[string]*hcl.File{}
	sorted := slices.Clone(diags)
	slices.SortStableFunc(sorted, compareDiagnostics)
	for i, d := range sorted {
		if d.Subject == nil {
			continue
		}
		name := d.Subject.Filename
		src, ok := sources[name]
		if !ok {
			sorted[i] = withoutSnippet(d)
			continue
		}
		if files[name] == nil {
			// The parsed file, unlike its bytes, can say in which block a line is.
			files[name], _ = parse(parser, name, src)
		}
	}
	if width < 0 {
		width = 0
	}
	return hcl.NewDiagnosticTextWriter(w, files, uint(width), color).WriteDiagnostics(sorted)
}

func compareDiagnostics(a, b *hcl.Diagnostic) int {
	if a.Subject == nil || b.Subject == nil {
		return cmp.Compare(btoi(a.Subject != nil), btoi(b.Subject != nil))
	}
	return cmp.Or(
		cmp.Compare(a.Subject.Filename, b.Subject.Filename),
		cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte),
	)
}

func withoutSnippet(d *hcl.Diagnostic) *hcl.Diagnostic {
	out := *d
	out.Subject, out.Context, out.Expression, out.EvalContext = nil, nil, nil, nil
	out.Detail = fmt.Sprintf("On %s line %d: %s", d.Subject.Filename, d.Subject.Start.Line, d.Detail)
	return &out
}

// problem is an error without a place in a file.
func problem(summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...)}
}

// problemAt is an error at a place in a file.
func problemAt(rng hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	d := problem(summary, format, args...)
	d.Subject = &rng
	return d
}

// nearest returns the known name that was probably meant, or "".
func nearest(name string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := levenshtein.Distance(name, k, nil); d < distance && d < len(name) {
			best, distance = k, d
		}
	}
	return best
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

// attributesInOrder returns the attributes as they are written.
func attributesInOrder(attrs hcl.Attributes) []*hcl.Attribute {
	return slices.SortedFunc(maps.Values(attrs), func(a, b *hcl.Attribute) int {
		return compareRange(a.NameRange, b.NameRange)
	})
}

func compareRange(a, b hcl.Range) int {
	return cmp.Or(cmp.Compare(a.Filename, b.Filename), cmp.Compare(a.Start.Byte, b.Start.Byte))
}
