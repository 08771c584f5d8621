package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gapool/gapool/cmd/gapool/view"
)

// format is how something is shown; as text where none is chosen.
type format struct{ json, markdown, html bool }

func (c *cli) showCmd() *cobra.Command {
	var stateDir string
	var f format
	cmd := &cobra.Command{
		Use:   "show [PLANFILE]",
		Short: "Print what the state knows, or a plan that was kept",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && (c.concise || c.full) {
				return errors.New("-concise and -full say how a plan is told: name the plan file")
			}
			if len(args) == 1 {
				return c.showPlan(args[0], f)
			}
			if f.markdown || f.html {
				return errors.New("-markdown and -html show a plan: name the file that gapool plan -out=FILE wrote")
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
			if f.json {
				doc, err := view.StateJSON(st, c.typeOf, readOutputs(st.Outputs))
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
	registerJSON(cmd.Flags(), &f.json)
	c.registerDetail(cmd)
	cmd.Flags().BoolVar(&f.markdown, "markdown", false, "print a plan as Markdown, for a pull request's comment")
	cmd.Flags().BoolVar(&f.html, "html", false, "print a plan as a page of HTML")
	cmd.MarkFlagsMutuallyExclusive("json", "markdown", "html", "concise", "full")
	registerStateDir(cmd.Flags(), &stateDir)
	return cmd
}
