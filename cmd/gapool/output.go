package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/gapool/gapool/cmd/gapool/view"
	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/plan"
	"github.com/gapool/gapool/state"
)

func (c *cli) outputCmd() *cobra.Command {
	var f outputFlags
	cmd := &cobra.Command{
		Use:   "output [NAME]",
		Short: "Print outputs as they were applied",
		Long: "Print outputs as they were applied, all or the one that is named.\n" +
			"A sensitive one is not stored: it is evaluated when it is asked for by its name, which needs the engine and the variables.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			s, err := c.open(f.stateDir)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return s.output(ctx, args[0], &f)
			}
			if f.raw {
				return fmt.Errorf("-raw prints one value: name the output")
			}
			return s.outputs(&f)
		},
	}
	f.vars.register(cmd.Flags())
	registerJSON(cmd.Flags(), &f.json)
	cmd.Flags().BoolVar(&f.raw, "raw", false, "print a string, number or bool as it is, without a newline")
	cmd.Flags().DurationVar(&f.lockTimeout, "lock-timeout", 0, "how long a sensitive output waits for another process that has the state")
	registerStateDir(cmd.Flags(), &f.stateDir)
	return cmd
}

type outputFlags struct {
	vars        varFlags
	json, raw   bool
	lockTimeout time.Duration
	stateDir    string
}

// readOutputs turns recorded outputs into values.
func readOutputs(outputs map[string]state.Output) map[string]view.Output {
	out := map[string]view.Output{}
	for name, o := range outputs {
		v := cty.DynamicVal
		if !o.Sensitive {
			if known, err := engine.OutputValue(o); err == nil {
				v = known
			}
		}
		out[name] = view.Output{Value: v, Sensitive: o.Sensitive}
	}
	return out
}

func (s *session) outputs(f *outputFlags) error {
	loaded, err := s.peek()
	if err != nil {
		return err
	}
	recorded := loaded.State.Outputs
	if f.json {
		return s.outputsJSON(recorded)
	}
	if len(recorded) == 0 {
		return fmt.Errorf("no outputs are recorded; an apply records them")
	}
	return view.Outputs(s.stdout, readOutputs(recorded))
}

func (s *session) outputsJSON(recorded map[string]state.Output) error {
	type output struct {
		Sensitive bool            `json:"sensitive"`
		Type      json.RawMessage `json:"type,omitempty"`
		Value     json.RawMessage `json:"value"`
	}
	all := map[string]output{}
	for name, o := range recorded {
		all[name] = output{o.Sensitive, o.Type, o.Value}
	}
	return s.printJSON(all)
}

func (c *cli) printJSON(v any) error {
	e := json.NewEncoder(c.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// output prints one output by its name, also a sensitive one.
func (s *session) output(ctx context.Context, name string, f *outputFlags) error {
	loaded, err := s.peek()
	if err != nil {
		return err
	}
	o, ok := loaded.State.Outputs[name]
	if !ok {
		names := slices.Sorted(maps.Keys(loaded.State.Outputs))
		if len(names) == 0 {
			return fmt.Errorf("no output %q is recorded, nor any other; an apply records them", name)
		}
		return fmt.Errorf("no output %q is recorded; there are %s", name, strings.Join(names, ", "))
	}
	var v cty.Value
	if o.Sensitive {
		v, err = s.evaluate(ctx, name, f)
	} else {
		v, err = engine.OutputValue(o)
	}
	if err != nil {
		return fmt.Errorf("output %q: %w", name, err)
	}
	switch {
	case f.raw:
		text, err := convert.Convert(v, cty.String)
		if err != nil || text.IsNull() {
			return fmt.Errorf("output %q is %s, and -raw prints a string, a number or a bool; use -json", name, v.Type().FriendlyName())
		}
		fmt.Fprint(s.stdout, text.AsString())
		return nil
	case f.json:
		return s.printJSON(ctyjson.SimpleJSONValue{Value: v})
	default:
		fmt.Fprintln(s.stdout, view.Value(v, 0))
		return nil
	}
}

// evaluate computes an output from what runs: of a sensitive one the state has
// a hash only.
func (s *session) evaluate(ctx context.Context, name string, f *outputFlags) (cty.Value, error) {
	vars, err := s.inputs(f.vars)
	if err != nil {
		return cty.NilVal, err
	}
	lock, loaded, err := s.lock(ctx, "output", f.lockTimeout)
	if err != nil {
		return cty.NilVal, err
	}
	defer lock.Release()
	p, diags := plan.Make(ctx, plan.Options{
		Config: s.cfg, Vars: vars, Stack: s.stack, NamedStack: s.namedStack, Workspace: s.workspace,
		Loaded: loaded, Providers: s.providers, Mode: engine.Normal, Refresh: true,
	})
	if diags.HasErrors() {
		return cty.NilVal, diagnosed(diags)
	}
	defer p.Engines.Close()
	for _, o := range p.Outputs {
		if o.Name != name || o.Action == engine.Delete {
			continue
		}
		if v, _ := o.After.UnmarkDeep(); v.IsWhollyKnown() {
			return v, nil
		}
		return cty.NilVal, fmt.Errorf("its value is known after the next apply only")
	}
	return cty.NilVal, fmt.Errorf("it is sensitive, so it is evaluated anew, but the configuration does not have it any more")
}
