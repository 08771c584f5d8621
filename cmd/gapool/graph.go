package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gapool/gapool/cmd/gapool/view"
	"github.com/gapool/gapool/engine"
)

func (c *cli) graphCmd() *cobra.Command {
	var kind string
	cmd := &cobra.Command{
		Use:   "graph [PLANFILE]",
		Short: "Draw what refers to what, or what a kept plan does to it",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			draw := map[string]func(view.Diagram) error{
				"dot":     func(d view.Diagram) error { return d.Dot(c.stdout) },
				"mermaid": func(d view.Diagram) error { return d.Mermaid(c.stdout) },
				"svg":     func(d view.Diagram) error { return d.SVG(c.stdout) },
			}[kind]
			if draw == nil {
				return fmt.Errorf("-type=%s is not known; use dot, mermaid or svg", kind)
			}
			if len(args) == 1 {
				_, p, err := c.readPlan(args[0])
				if err != nil {
					return err
				}
				return draw(view.PlanDiagram(p))
			}
			cfg, err := c.load()
			if err != nil {
				return err
			}
			graph, diags := engine.NewGraph(cfg)
			if err := c.warn(diags); err != nil {
				return err
			}
			return draw(view.ConfigDiagram(graph))
		},
	}
	cmd.Flags().StringVar(&kind, "type", "dot", "dot for Graphviz, mermaid, or svg")
	return cmd
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
