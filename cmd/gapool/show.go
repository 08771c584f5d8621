package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gapool/gapool/cmd/gapool/view"
)

func (c *cli) showCmd() *cobra.Command {
	var stateDir string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print what the state knows",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := c.open(stateDir)
			if err != nil {
				return err
			}
			loaded, err := s.peek()
			if err != nil {
				return err
			}
			st := loaded.State
			if len(st.Records) == 0 && len(st.Outputs) == 0 {
				fmt.Fprintln(c.stdout, "The state is empty.")
				return nil
			}
			return view.Records(c.stdout, st, c.typeOf, readOutputs(st.Outputs), c.style(c.stdout))
		},
	}
	registerStateDir(cmd.Flags(), &stateDir)
	return cmd
}
