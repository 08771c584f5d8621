package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/gapool/gapool/cmd/gapool/view"
	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/apply"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

func (c *cli) stateCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Look into the state, take something out of it, or write it anew",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("gapool state needs one of list, show, rm, rebuild")
		},
	}
	cmd.AddCommand(c.stateListCmd(), c.stateShowCmd(), c.stateRmCmd(), c.stateRebuildCmd())
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

func (c *cli) stateRebuildCmd() *cobra.Command {
	f := planFlags{refresh: true, refreshOnly: true, parallelism: 1}
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Write a state that was lost anew, from the labels of what runs",
		Long: "Write a state that was lost anew, from the labels of what runs. Nothing is changed on the engine.\n" +
			"Objects are recorded as they are, also where the configuration has become another; the next plan shows what differs.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			s, err := c.open(f.stateDir)
			if err != nil {
				return err
			}
			return s.rebuild(ctx, &f)
		},
	}
	f.vars.register(cmd.Flags())
	cmd.Flags().DurationVar(&f.lockTimeout, "lock-timeout", 0, "how long to wait for another process that has the state, such as 5m")
	registerStateDir(cmd.Flags(), &f.stateDir)
	return cmd
}

// rebuild applies a refresh-only plan, which calls nothing that changes
// anything, to a state that has nothing to lose.
func (s *session) rebuild(ctx context.Context, f *planFlags) error {
	loaded, err := s.peek()
	if err == nil {
		err = s.nothingToLose(loaded) // before an engine is asked
	}
	if err != nil {
		return err
	}
	p, err := f.make(ctx, s, "state rebuild", nil)
	if err != nil {
		return err
	}
	defer p.close()
	if err := s.nothingToLose(p.loaded); err != nil {
		return err
	}
	if p.Lineage == "" || len(p.Changes) == 0 && len(p.Kept) == 0 {
		return fmt.Errorf("there is nothing to rebuild the state from: no object on the engine has the labels of stack %q, workspace %q. Is it the right engine (DOCKER_HOST, DOCKER_CONTEXT), stack and workspace?", s.stack, s.workspace)
	}
	p.loaded.State.Lineage = p.Lineage
	journal, err := s.store.Journal(p.loaded, p.lock)
	if err != nil {
		return err
	}
	err = apply.Run(ctx, p.Plan, journal, apply.Options{Parallelism: f.parallelism, Report: s.logEvent})
	recorded := journal.State()
	if err = errors.Join(err, journal.Close()); err != nil {
		return err
	}
	s.tellRebuilt(p.Plan, recorded)
	return nil
}

// nothingToLose refuses where a state is there that knows something.
func (s *session) nothingToLose(loaded *state.Loaded) error {
	if n := len(loaded.State.Records); n > 0 || len(loaded.Doubts) > 0 {
		return fmt.Errorf("there is a state already, of %d addresses, and it knows more than the labels of what runs: gapool apply -refresh-only brings it to what runs. "+
			"If it is of no use, move the folder %s away, then run gapool state rebuild again", n, s.store.Dir())
	}
	return nil
}

func (s *session) tellRebuilt(p *engine.Plan, recorded *state.State) {
	if addrs := recorded.Addrs(); len(addrs) > 0 {
		fmt.Fprintln(s.stdout, "Found, and recorded as they are:")
		for _, a := range addrs {
			fmt.Fprintf(s.stdout, "  %s\n", a)
		}
		fmt.Fprintln(s.stdout)
	}
	if len(p.Kept) > 0 {
		fmt.Fprintln(s.stdout, "Found, but the configuration has no place for them; they are not recorded, and every plan shows them:")
		for _, o := range p.Kept {
			fmt.Fprintf(s.stdout, "  %s %q (%s)\n", o.Kind, o.Name, o.Owner.Address)
		}
		fmt.Fprintln(s.stdout)
	}
	for _, note := range p.Notes {
		fmt.Fprintf(s.stdout, "%s %s\n", s.style(s.stdout).Yellow("Note:"), note)
	}
	fmt.Fprintf(s.stdout, "The state of stack %q, workspace %q, is written anew. Nothing was changed on the engine; gapool plan shows what differs from the configuration.\n", s.stack, s.workspace)
}
