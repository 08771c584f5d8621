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
	"github.com/spf13/pflag"

	"github.com/gapool/gapool/cmd/gapool/view"
	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/plan"
	"github.com/gapool/gapool/state"
)

// planFlags are what a plan is made by; apply and destroy have them too.
type planFlags struct {
	vars             varFlags
	targets, replace addrFlags
	allowDataLoss    addrFlags
	refresh          bool
	refreshOnly      bool
	destroy          bool
	force            bool
	input            bool
	parallelism      int
	lockTimeout      time.Duration
	stateDir         string
}

func (f *planFlags) register(flags *pflag.FlagSet, destroys bool) {
	flags.SortFlags = true
	f.vars.register(flags)
	flags.Var(&f.targets, "target", "only this resource, and what it depends on (can be repeated)")
	flags.Var(&f.allowDataLoss, "allow-data-loss", "allow this volume to be deleted (can be repeated)")
	flags.BoolVar(&f.refresh, "refresh", true, "read what runs; false plans from the state alone, without Docker")
	flags.BoolVar(&f.force, "force", false, "also where running work speaks against it, such as Ray jobs")
	flags.BoolVar(&f.input, "input", true, "ask questions; false fails instead")
	flags.IntVar(&f.parallelism, "parallelism", 10, "how much is done at once")
	flags.DurationVar(&f.lockTimeout, "lock-timeout", 0, "how long to wait for another process that has the state, such as 5m")
	registerStateDir(flags, &f.stateDir)
	if destroys {
		f.destroy = true
		return
	}
	flags.Var(&f.replace, "replace", "replace this resource even if nothing differs (can be repeated)")
	flags.BoolVar(&f.refreshOnly, "refresh-only", false, "only bring the state to what runs")
	flags.BoolVar(&f.destroy, "destroy", false, "destroy all that the stack has")
}

func registerStateDir(flags *pflag.FlagSet, dir *string) {
	flags.StringVar(dir, "state-dir", "", "directory of the state, which is .gapool beside the configuration otherwise (or set GAPOOL_STATE_DIR)")
}

func (f *planFlags) mode() (engine.Mode, error) {
	switch {
	case f.destroy && f.refreshOnly:
		return "", errors.New("-destroy and -refresh-only exclude each other")
	case f.refreshOnly && !f.refresh:
		return "", errors.New("-refresh-only reads what runs and -refresh=false does not: they exclude each other")
	case f.parallelism < 1:
		return "", fmt.Errorf("-parallelism=%d: at least one thing must be done at a time", f.parallelism)
	case f.destroy:
		return engine.Destroy, nil
	case f.refreshOnly:
		return engine.RefreshOnly, nil
	default:
		return engine.Normal, nil
	}
}

// make takes the lock and, before anything is read, the guards of the engines,
// reads and decides. The caller releases the lock and closes the plan's engines.
func (f *planFlags) make(ctx context.Context, s *session, verb string) (*engine.Plan, *state.Lock, *state.Loaded, error) {
	mode, err := f.mode()
	if err != nil {
		return nil, nil, nil, err
	}
	vars, err := s.inputs(f.vars)
	if err != nil {
		return nil, nil, nil, err
	}
	lock, loaded, err := s.lock(ctx, verb, f.lockTimeout)
	if err != nil {
		return nil, nil, nil, err
	}
	p, diags := plan.Make(ctx, plan.Options{
		Config: s.cfg, Vars: vars, Stack: s.stack, NamedStack: s.namedStack, Workspace: s.workspace,
		Loaded: loaded, Providers: s.providers, Mode: mode, Targets: f.targets, Replace: f.replace,
		Refresh: f.refresh, AllowDataLoss: f.allowDataLoss, Force: f.force,
		Connected: lock.Guard,
		Waiting: func(d time.Duration) {
			fmt.Fprintf(s.stderr, "An earlier run was cut off; waiting %s for what it began to come to its end.\n", d.Round(time.Second))
		},
	})
	if err := s.warn(diags); err != nil {
		lock.Release()
		return nil, nil, nil, err
	}
	n := p.Summary()
	s.log.Info("planned", "add", n.Add, "change", n.Change, "destroy", n.Destroy, "steps", len(p.Steps))
	return p, lock, loaded, nil
}

func (c *cli) planCmd() *cobra.Command {
	var f planFlags
	var detailed bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what an apply would do",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			s, err := c.open(f.stateDir)
			if err != nil {
				return err
			}
			p, lock, _, err := f.make(ctx, s, "plan")
			if err != nil {
				return err
			}
			defer lock.Release()
			defer p.Engines.Close()
			if err := view.Plan(c.stdout, p, c.style(c.stdout)); err != nil {
				return err
			}
			if detailed && wouldChange(p) {
				return exitCode(exitChanges)
			}
			return nil
		},
	}
	f.register(cmd.Flags(), false)
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit 2 if an apply would change something")
	return cmd
}

// wouldChange is what -detailed-exitcode asks. Drift alone is a change only
// where the plan is for recording it.
func wouldChange(p *engine.Plan) bool {
	moved := slices.ContainsFunc(p.Changes, func(c *engine.Change) bool { return !c.Prev.IsZero() })
	return !p.Empty() || moved || p.Mode == engine.RefreshOnly && len(p.Drift) > 0
}
