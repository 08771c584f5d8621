package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gapool/gapool/cmd/gapool/view"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

func (c *cli) stateCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Look into the state, or take something out of it",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("gapool state needs one of list, show, rm")
		},
	}
	cmd.AddCommand(c.stateListCmd(), c.stateShowCmd(), c.stateRmCmd())
	cmd.AddCommand(absent(absentStateVerbs)...)
	return cmd
}

func parseAddrs(args []string) ([]schema.Addr, error) {
	addrs := make([]schema.Addr, len(args))
	for i, arg := range args {
		a, err := schema.ParseTarget(arg)
		if err != nil {
			return nil, err
		}
		addrs[i] = a
	}
	return addrs, nil
}

// within returns the recorded addresses that are one of asked or belong to it,
// in order. What matches nothing is an error.
func within(st *state.State, asked []schema.Addr) ([]schema.Addr, error) {
	var found []schema.Addr
	for _, a := range asked {
		n := len(found)
		for _, b := range st.Addrs() {
			if a.Contains(b) || a == b.Cluster().Block() {
				found = append(found, b)
			}
		}
		if len(found) == n {
			return nil, fmt.Errorf("the state does not know %s; gapool state list prints what it knows", a)
		}
	}
	slices.SortFunc(found, schema.CompareAddr)
	return slices.Compact(found), nil
}

func (c *cli) stateListCmd() *cobra.Command {
	var stateDir string
	cmd := &cobra.Command{
		Use:   "list [ADDRESS...]",
		Short: "Print the addresses that the state knows",
		RunE: func(_ *cobra.Command, args []string) error {
			asked, err := parseAddrs(args)
			if err != nil {
				return err
			}
			s, err := c.open(stateDir)
			if err != nil {
				return err
			}
			loaded, err := s.peek()
			if err != nil {
				return err
			}
			addrs := loaded.State.Addrs()
			if len(asked) > 0 {
				if addrs, err = within(loaded.State, asked); err != nil {
					return err
				}
			}
			for _, a := range addrs {
				fmt.Fprintln(c.stdout, a)
			}
			return nil
		},
	}
	registerStateDir(cmd.Flags(), &stateDir)
	return cmd
}

func (c *cli) stateShowCmd() *cobra.Command {
	var stateDir string
	cmd := &cobra.Command{
		Use:   "show ADDRESS",
		Short: "Print what the state knows of an address",
		Args:  oneAddress,
		RunE: func(_ *cobra.Command, args []string) error {
			asked, err := parseAddrs(args)
			if err != nil {
				return err
			}
			s, err := c.open(stateDir)
			if err != nil {
				return err
			}
			loaded, err := s.peek()
			if err != nil {
				return err
			}
			rec := loaded.State.Records[asked[0]]
			if rec == nil {
				return fmt.Errorf("the state does not know %s; gapool state list prints what it knows", asked[0])
			}
			return view.Record(c.stdout, rec, c.typeOf(rec.Kind), c.style(c.stdout))
		},
	}
	registerStateDir(cmd.Flags(), &stateDir)
	return cmd
}

func (c *cli) stateRmCmd() *cobra.Command {
	var stateDir string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "rm ADDRESS...",
		Short: "Take addresses out of the state; their objects go on running",
		Long: "Take addresses out of the state; their objects go on running.\n" +
			"They keep their labels, so a plan that still finds them in the configuration takes them up again.",
		Args: addresses,
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, err := parseAddrs(args)
			if err != nil {
				return err
			}
			for _, a := range asked {
				if !a.Member.IsZero() {
					return fmt.Errorf("%s is a part of %s: only the whole can be taken out of the state", a, a.Cluster())
				}
			}
			s, err := c.open(stateDir)
			if err != nil {
				return err
			}
			return s.forget(cmd.Context(), asked, timeout)
		},
	}
	cmd.Flags().DurationVar(&timeout, "lock-timeout", 0, "how long to wait for another process that has the state, such as 5m")
	registerStateDir(cmd.Flags(), &stateDir)
	return cmd
}

func (s *session) forget(ctx context.Context, asked []schema.Addr, timeout time.Duration) error {
	lock, loaded, err := s.lock(ctx, "state rm", timeout)
	if err != nil {
		return err
	}
	defer lock.Release()
	if len(loaded.Doubts) > 0 {
		return errors.New("an earlier run was cut off, and what it began is not settled; run gapool apply or gapool plan first to see it")
	}
	addrs, err := within(loaded.State, asked)
	if err != nil {
		return err
	}
	gone := map[schema.Addr]*state.Record{}
	for _, a := range addrs {
		gone[a] = nil
	}
	journal, err := s.store.Journal(loaded, lock)
	if err != nil {
		return err
	}
	if err := errors.Join(journal.Fold(), journal.PutAll(gone), journal.Fold(), journal.Close()); err != nil {
		return err
	}
	for _, a := range addrs {
		fmt.Fprintf(s.stdout, "Removed %s\n", a)
	}
	fmt.Fprintln(s.stdout, "What runs was not touched. It keeps its labels: a plan finds it by them.")
	return nil
}
