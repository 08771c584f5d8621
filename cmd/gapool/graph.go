package main

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gapool/gapool/cmd/gapool/view"
	"github.com/gapool/gapool/engine"
)

func (c *cli) graphCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "graph",
		Short: "Print what refers to what, for Graphviz",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := c.load()
			if err != nil {
				return err
			}
			graph, diags := engine.NewGraph(cfg)
			if err := c.warn(diags); err != nil {
				return err
			}
			return view.Dot(c.stdout, graph)
		},
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
