package main

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/cmd/gapool/view"
	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/ray"
	"github.com/gapool/gapool/state"
)

func (c *cli) statusCmd() *cobra.Command {
	var vars varFlags
	var stateDir string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what runs",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			s, err := c.open(stateDir)
			if err != nil {
				return err
			}
			return s.status(ctx, vars)
		},
	}
	vars.register(cmd.Flags())
	registerStateDir(cmd.Flags(), &stateDir)
	return cmd
}

func (s *session) status(ctx context.Context, flags varFlags) error {
	// Only the engines have to be known: a variable without a value is missed
	// where a provider takes it, and not elsewhere.
	vars, diags := s.readInputs(flags)
	var missing, rest hcl.Diagnostics
	for _, d := range diags {
		if d.Summary == "Missing variable" {
			missing = append(missing, d)
			continue
		}
		rest = append(rest, d)
	}
	if err := s.warn(rest); err != nil {
		return err
	}
	loaded, err := s.peek()
	if err != nil {
		return err
	}
	known, recorded := recordedObjects(loaded.State)
	engines, keys, err := s.engines(vars, loaded.State)
	if err != nil {
		if len(missing) > 0 {
			return diagnosed(missing)
		}
		return err
	}
	defer engines.Close()
	var rows []view.StatusRow
	for _, key := range keys {
		e, err := engines.Get(ctx, key)
		if err != nil {
			return err
		}
		world, err := e.Refresh(ctx, providers.Scope{Stack: s.stack, Workspace: s.workspace, Recorded: recorded[key]})
		if err != nil {
			return fmt.Errorf("status: %s cannot be read: %w", e.Info().Host, err)
		}
		for _, w := range world.Warnings {
			fmt.Fprintln(s.stderr, "Warning:", view.PrintableLines(w))
		}
		for _, o := range world.Objects {
			row := view.StatusRow{Address: view.PrintableLines(o.Owner.Address), Object: o, Node: node(o)}
			if k, ok := known[recordKey{key, o.Kind, o.ID}]; ok {
				row.Address, row.Sensitive = k.address, k.record.Sensitive
			}
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		fmt.Fprintf(s.stdout, "Nothing of stack %q, workspace %q is there.\n", s.stack, s.workspace)
		return nil
	}
	return view.Status(s.stdout, rows, time.Now(), s.style(s.stdout))
}

// node is what Ray says of a cluster's member.
func node(o *providers.Object) string {
	info, ok := o.Detail.(*ray.NodeInfo)
	switch {
	case !ok || info == nil:
		return ""
	case info.ID == "":
		return "not listed"
	default:
		return fmt.Sprintf("%.12s %s", info.ID, info.Status)
	}
}

// recordKey is an object on the engine of a provider configuration.
type recordKey struct{ provider, kind, id string }

// recordedAs is the record of an object and its address.
type recordedAs struct {
	address string
	record  *state.Record
}

// recordedObjects returns how objects are recorded, and what to look for by
// provider configuration.
func recordedObjects(st *state.State) (map[recordKey]recordedAs, map[string][]providers.Ref) {
	known, refs := map[recordKey]recordedAs{}, map[string][]providers.Ref{}
	for _, a := range st.Addrs() {
		rec := st.Records[a]
		for _, o := range rec.Objects() {
			known[recordKey{rec.Provider, rec.Kind, o.ID}] = recordedAs{a.String(), rec}
			refs[rec.Provider] = append(refs[rec.Provider], providers.Ref{Kind: rec.Kind, ID: o.ID, Name: o.Name})
		}
	}
	return known, refs
}

// engines returns the engines that the configuration and the state name, not
// connected yet, and their keys.
func (s *session) engines(vars map[string]cty.Value, st *state.State) (*engine.Engines, []string, error) {
	eval := engine.NewEvaluator(s.cfg, vars, s.workspace)
	configs := map[string]cty.Value{}
	keys := map[string]bool{}
	engines := engine.NewEngines(s.providers, configs)
	for _, r := range s.cfg.Root.Resources {
		keys[r.Provider] = true
	}
	for _, rec := range st.Records {
		keys[rec.Provider] = true
	}
	for key := range keys {
		p, block := engines.Provider(key), s.cfg.Root.Providers[key]
		if p == nil || block == nil && p.Name() != key {
			continue // Get says what is wrong with the key
		}
		v, diags := eval.Provider(block, p.Config())
		if diags.HasErrors() {
			return nil, nil, diagnosed(diags)
		}
		configs[key] = v
	}
	return engines, sorted(keys), nil
}
