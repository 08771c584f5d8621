package main

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/cmd/gapool/view"
	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

func (c *cli) validateCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check the configuration, without Docker, state or values of variables",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, diags := c.read()
			if !diags.HasErrors() {
				diags = append(diags, c.validate(cfg)...)
			}
			if asJSON {
				if err := c.printJSON(view.NewValidation(c.sources, diags)); err != nil {
					return err
				}
				if diags.HasErrors() {
					return exitCode(exitError)
				}
				return nil
			}
			if err := c.warn(diags); err != nil {
				return err
			}
			fmt.Fprintln(c.stdout, c.style(c.stdout).Green("Success!"), "The configuration is valid.")
			return nil
		},
	}
	registerJSON(cmd.Flags(), &asJSON)
	return cmd
}

// validate evaluates all that can be without values of variables: each is
// unknown, but of its type.
func (c *cli) validate(cfg *schema.Config) hcl.Diagnostics {
	graph, diags := engine.NewGraph(cfg)
	if diags.HasErrors() {
		return diags
	}
	e := engine.NewEvaluator(cfg, schema.UnknownInputs(cfg.Root), c.workspace)
	engines := engine.NewEngines(c.providers, nil)
	for _, key := range sorted(cfg.Root.Providers) {
		block := cfg.Root.Providers[key]
		if p := engines.Provider(key); p != nil {
			diags = append(diags, checkProvider(e, block, p.Config())...)
		}
	}
	for _, r := range graph.Resources() {
		keys, more := instances(e, r)
		diags = append(diags, more...)
		for _, key := range keys {
			_, more := e.Body(r, key)
			diags = append(diags, more...)
			if more.HasErrors() {
				break // the others would say the same
			}
		}
	}
	for _, name := range sorted(cfg.Root.Outputs) {
		_, more := e.Output(cfg.Root.Outputs[name])
		diags = append(diags, more...)
		_, more = e.OutputConditions(cfg.Root.Outputs[name])
		diags = append(diags, more...)
	}
	return diags
}

// checkProvider decodes a provider block. That its arguments are not known yet
// is no mistake here.
func checkProvider(e *engine.Evaluator, p *schema.ProviderConfig, table *schema.Type) hcl.Diagnostics {
	_, diags := e.Provider(p, table)
	var out hcl.Diagnostics
	for _, d := range diags {
		if d.Summary != "Provider argument is not known" {
			out = append(out, d)
		}
	}
	return out
}

// instances returns the keys to check a block with. Where they are not known, a
// block under count is checked as its first instance, and one under for_each
// when it is planned, since any key that is made up may be wrong.
func instances(e *engine.Evaluator, r *schema.Resource) ([]schema.Key, hcl.Diagnostics) {
	many, first := r.Count, []schema.Key{schema.IntKey(0)}
	ty := cty.Number
	if r.ForEach != nil {
		many, first, ty = r.ForEach, nil, cty.DynamicPseudoType
	}
	if many != nil {
		v, diags := e.Expr(many, ty)
		if diags.HasErrors() || !v.IsWhollyKnown() {
			return first, diags
		}
	}
	x, diags := e.Expand(r)
	if diags.HasErrors() {
		return nil, diags
	}
	return x.Keys, diags
}
