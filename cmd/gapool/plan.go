package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/plan"
	"github.com/gapool/gapool/engine/planfile"
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
	onFailure        onFailureFlag
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
	f.onFailure = onFailureFlag(engine.Continue)
	flags.Var(&f.onFailure, "on-failure", "when a step fails, continue with what does not depend on it, or rollback: undo what this apply did")
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
	case engine.OnFailure(f.onFailure) == engine.Rollback && !f.refresh:
		return "", errors.New("-on-failure=rollback must know what runs, and -refresh=false does not look: they exclude each other")
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

// planned is a plan with what it was made from.
type planned struct {
	*engine.Plan
	lock   *state.Lock
	loaded *state.Loaded
	vars   map[string]cty.Value
}

// close lets go of the state and the engines.
func (p *planned) close() {
	p.Engines.Close()
	p.lock.Release()
}

// make takes the lock and, before anything is read, the guards of the engines,
// reads and decides. The caller closes what it returns. from is the plan file
// that the plan is made again from; nil for a new plan.
func (f *planFlags) make(ctx context.Context, s *session, verb string, from *planfile.File) (*planned, error) {
	mode, err := f.mode()
	if err != nil {
		return nil, err
	}
	vars, err := s.inputs(f.vars)
	if err != nil {
		return nil, err
	}
	lock, loaded, err := s.lock(ctx, verb, f.lockTimeout)
	if err != nil {
		return nil, err
	}
	o := plan.Options{
		Config: s.cfg, Vars: vars, Stack: s.stack, NamedStack: s.namedStack, Workspace: s.workspace,
		Loaded: loaded, Providers: s.providers, Mode: mode, Targets: f.targets, Replace: f.replace,
		Refresh: f.refresh, AllowDataLoss: f.allowDataLoss, Force: f.force,
		Connected: lock.Guard,
		Waiting: func(d time.Duration) {
			s.report.Say(fmt.Sprintf("An earlier run was cut off; waiting %s for what it began to come to its end.", d.Round(time.Second)))
		},
		OnFailure: engine.OnFailure(f.onFailure),
	}
	if from != nil {
		o.Leaving = from.Leaving()
	}
	p, diags := plan.Make(ctx, o)
	if err := s.warn(diags); err != nil {
		lock.Release()
		return nil, err
	}
	made := &planned{p, lock, loaded, vars}
	n := p.Summary()
	s.log.Info("planned", "add", n.Add, "change", n.Change, "destroy", n.Destroy, "steps", len(p.Steps))
	return made, nil
}

func (c *cli) planCmd() *cobra.Command {
	var f planFlags
	var detailed, markdown bool
	var out string
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
			p, err := f.make(ctx, s, "plan", nil)
			if err != nil {
				return err
			}
			defer p.close()
			if markdown {
				c.report = &text{cli: c, news: c.stderr} // what is printed is a document
				err = s.markdown(p, &f)
			} else {
				err = c.report.Plan(p.Plan)
			}
			if err != nil {
				return err
			}
			if out != "" {
				if err := s.savePlan(p, &f, out); err != nil {
					return err
				}
			}
			if detailed && p.WouldChange() {
				return exitCode(exitChanges)
			}
			return nil
		},
	}
	f.register(cmd.Flags(), false)
	c.registerReport(cmd)
	cmd.Flags().StringVar(&out, "out", "", "keep the plan in this file, for gapool show FILE and gapool apply FILE")
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print Markdown, for a pull request's comment")
	cmd.MarkFlagsMutuallyExclusive("markdown", "json", "concise", "full")
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit 2 if an apply would change something")
	return cmd
}
