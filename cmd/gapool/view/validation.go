package view

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcled"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Validation is what validate -json prints, in Terraform's format.
type Validation struct {
	FormatVersion string       `json:"format_version"`
	Valid         bool         `json:"valid"`
	ErrorCount    int          `json:"error_count"`
	WarningCount  int          `json:"warning_count"`
	Diagnostics   []diagnostic `json:"diagnostics"`
}

type diagnostic struct {
	Severity string        `json:"severity"`
	Summary  string        `json:"summary"`
	Detail   string        `json:"detail"`
	Address  string        `json:"address,omitempty"` // of the resource whose step it is
	Range    *sourceRange  `json:"range,omitempty"`
	Snippet  *sourceQuoted `json:"snippet,omitempty"`
}

type sourceRange struct {
	Filename string    `json:"filename"`
	Start    sourcePos `json:"start"`
	End      sourcePos `json:"end"`
}

type sourcePos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// sourceQuoted are the lines of a mistake. The offsets are bytes of Code.
type sourceQuoted struct {
	Context   *string `json:"context"`
	Code      string  `json:"code"`
	StartLine int     `json:"start_line"`
	From      int     `json:"highlight_start_offset"`
	To        int     `json:"highlight_end_offset"`
	Values    []any   `json:"values"` // Terraform's place for values; they stay out
}

// NewValidation describes what a check of a configuration found, in the order
// of files and lines, those without a place first. sources has the files to
// quote.
func NewValidation(sources map[string][]byte, diags hcl.Diagnostics) Validation {
	v := Validation{FormatVersion: "1.0", Valid: !diags.HasErrors(), Diagnostics: []diagnostic{}}
	ordered := slices.Clone(diags)
	slices.SortStableFunc(ordered, func(a, b *hcl.Diagnostic) int {
		pa, pb := place(a), place(b)
		return cmp.Or(cmp.Compare(pa.Filename, pb.Filename), cmp.Compare(pa.Start.Byte, pb.Start.Byte))
	})
	for _, d := range ordered {
		out := diagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail}
		if d.Severity == hcl.DiagWarning {
			out.Severity = "warning"
			v.WarningCount++
		} else {
			v.ErrorCount++
		}
		if d.Subject != nil {
			r := d.Subject
			out.Range = &sourceRange{r.Filename, sourcePos(r.Start), sourcePos(r.End)}
			if src, ok := sources[r.Filename]; ok {
				out.Snippet = quoted(src, *r)
			}
		}
		v.Diagnostics = append(v.Diagnostics, out)
	}
	return v
}

func place(d *hcl.Diagnostic) hcl.Range {
	if d.Subject == nil {
		return hcl.Range{}
	}
	return *d.Subject
}

// quoted returns the whole lines that a range begins and ends in, nil for a
// range that is not in the file.
func quoted(src []byte, r hcl.Range) *sourceQuoted {
	from, to := r.Start.Byte, max(r.End.Byte, r.Start.Byte)
	if to > len(src) {
		return nil
	}
	begin := bytes.LastIndexByte(src[:from], '\n') + 1
	end := len(src)
	if i := bytes.IndexByte(src[to:], '\n'); i >= 0 {
		end = to + i
	}
	q := &sourceQuoted{
		Code: string(src[begin:end]), StartLine: r.Start.Line, From: from - begin, To: to - begin, Values: []any{},
	}
	if f, _ := hclsyntax.ParseConfig(src, r.Filename, hcl.InitialPos); f != nil {
		if c := hcled.ContextString(f, from); c != "" {
			q.Context = &c
		}
	}
	return q
}
