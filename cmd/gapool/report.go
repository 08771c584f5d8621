package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/gapool/gapool/cmd/gapool/view"
	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

// reporter tells what plan, apply and destroy find and do: text for people, or,
// with -json, a view.Stream for programs.
type reporter interface {
	// Plan tells a plan.
	Plan(*engine.Plan) error
	// Kept tells where a plan was kept.
	Kept(view.Kept) error
	// Diagnose tells mistakes and warnings. addr is the resource whose step they
	// are of, or "".
	Diagnose(addr string, sources map[string][]byte, diags hcl.Diagnostics)
	// Fail tells an error of another kind.
	Fail(addr string, err error)
	// Say tells news that belongs nowhere else.
	Say(text string)
	// Progress begins the apply of a plan.
	Progress(*engine.Plan) (view.Progress, error)
	// Outputs tells the outputs after an apply.
	Outputs(map[string]view.Output) error
}

// registerReport has the flags that say how a run is told.
func (c *cli) registerReport(cmd *cobra.Command) {
	on := func(set func()) func(string) error {
		return func(text string) error {
			yes, err := strconv.ParseBool(text)
			if yes {
				set()
			}
			return err
		}
	}
	cmd.Flags().BoolFunc("json", "print news as they come, each a line of JSON, as Terraform does; asks nothing", on(func() {
		c.lines = true
		c.report = view.NewStream(c.stdout, Version, time.Now)
	}))
	c.registerDetail(cmd)
	cmd.MarkFlagsMutuallyExclusive("json", "concise", "full")
}

// registerDetail has the flags that say how much of a plan is told.
func (c *cli) registerDetail(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.concise, "concise", false, "print a line for each change")
	cmd.Flags().BoolVar(&c.full, "full", false, "print what does not change, too")
	cmd.MarkFlagsMutuallyExclusive("concise", "full")
}

// text is the reporter for people.
type text struct {
	*cli
	gap  bool      // a plan stands above what the apply prints
	news io.Writer // where it says that a plan was kept; nil is the standard output
}

func (t *text) Plan(p *engine.Plan) error {
	t.gap = p.WouldChange()
	o := view.PlanOptions{Style: t.style(t.stdout), Terraform: t.getenv("GAPOOL_COMPAT") != ""}
	switch {
	case t.concise:
		o.Detail = view.Concise
	case t.full:
		o.Detail = view.Full
	}
	return view.Plan(t.stdout, p, o)
}

func (t *text) Kept(k view.Kept) error {
	next := ""
	if !t.automated() {
		next = " To do exactly this: gapool apply " + shellWord(k.Typed) + "."
	}
	if len(k.Secrets) > 0 {
		next += fmt.Sprintf(" It has no secret in it: give %s again then.", strings.Join(k.Secrets, ", "))
	}
	to := t.stdout
	if t.news != nil {
		to = t.news
	}
	_, err := fmt.Fprintf(to, "\nThe plan is kept in %s.%s\nIts digest is %s.\n", k.File, next, k.Digest)
	return err
}

func (t *text) Diagnose(_ string, sources map[string][]byte, diags hcl.Diagnostics) {
	s := t.style(t.stderr)
	// A failing standard error leaves nowhere to say so.
	_ = schema.WriteDiagnostics(t.stderr, sources, diags, width(t.stderr), s != view.Style{})
}

func (t *text) Fail(_ string, err error) {
	fmt.Fprintf(t.stderr, "%s %s\n", t.style(t.stderr).Loud("Error:"), view.PrintableLines(err.Error()))
}

func (t *text) Say(news string) { fmt.Fprintln(t.stderr, news) }

func (t *text) Progress(*engine.Plan) (view.Progress, error) {
	if t.gap {
		fmt.Fprintln(t.stdout)
	}
	style := t.style(t.stdout)
	if f, ok := t.stdout.(*os.File); ok && isTerminal(f) && t.getenv("TERM") != "dumb" {
		return view.NewLiveApply(f, style, time.Now), nil
	}
	return view.NewApply(t.stdout, style, time.Now), nil
}

func (t *text) Outputs(outputs map[string]view.Output) error {
	fmt.Fprintf(t.stdout, "\n%s\n\n", t.style(t.stdout).Bold("Outputs:"))
	return view.Outputs(t.stdout, outputs)
}
