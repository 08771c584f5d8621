package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gapool/gapool/cmd/gapool/view"
)

func (c *cli) showCmd() *cobra.Command {
	var stateDir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show [PLANFILE]",
		Short: "Print what the state knows, or a plan that was kept",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && (c.concise || c.full) {
				return errors.New("-concise and -full say how a plan is told: name the plan file")
			}
			if len(args) == 1 {
				return c.showPlan(args[0], asJSON)
			}
			s, err := c.open(stateDir)
			if err != nil {
				return err
			}
			loaded, err := s.peek()
			if err != nil {
				return err
			}
			st := loaded.State
			if asJSON {
				doc, err := view.StateJSON(st, Version, c.typeOf, readOutputs(st.Outputs))
				if err != nil {
					return err
				}
				_, err = c.stdout.Write(doc)
				return err
			}
			if len(st.Records) == 0 && len(st.Outputs) == 0 {
				fmt.Fprintln(c.stdout, "The state is empty.")
				return nil
			}
			return view.Records(c.stdout, st, c.typeOf, readOutputs(st.Outputs), c.style(c.stdout))
		},
	}
	registerJSON(cmd.Flags(), &asJSON)
	c.registerDetail(cmd)
	cmd.MarkFlagsMutuallyExclusive("json", "concise", "full")
	registerStateDir(cmd.Flags(), &stateDir)
	return cmd
}
