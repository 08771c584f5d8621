package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/spf13/cobra"

	"github.com/gapool/gapool/cmd/gapool/view"
	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/apply"
	"github.com/gapool/gapool/state"
)

func (c *cli) applyCmd() *cobra.Command {
	return c.changingCmd("apply", "Bring what runs to what the configuration says", false)
}

func (c *cli) destroyCmd() *cobra.Command {
	return c.changingCmd("destroy", "Remove all that the stack has", true)
}

func (c *cli) changingCmd(verb, short string, destroys bool) *cobra.Command {
	var f planFlags
	var autoApprove bool
	var digest digestFlag
	cmd := &cobra.Command{
		Use:   verb,
		Short: short,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return fmt.Errorf("gapool %s takes one plan file, not %d", verb, len(args))
			case len(args) == 1 && destroys:
				return fmt.Errorf("gapool %s takes no %q: it plans and destroys in one go; a plan of gapool plan -destroy -out=FILE is applied by gapool apply FILE", verb, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.lines && len(args) == 0 && !autoApprove && digest == "" {
				return errors.New("-json asks nothing, so the approval has to be there before: " + approvals(destroys))
			}
			ctx, stop, release := c.interrupts(cmd.Context())
			defer release()
			if len(args) == 1 {
				return c.applyFile(ctx, stop, cmd, &f, args[0], digest)
			}
			s, err := c.open(f.stateDir)
			if err != nil {
				return err
			}
			return s.apply(ctx, stop, &f, verb, autoApprove, digest)
		},
	}
	if !destroys {
		cmd.Use += " [PLANFILE]"
	}
	f.register(cmd.Flags(), destroys)
	c.registerReport(cmd)
	cmd.Flags().Var(&digest, "digest", "apply only the plan that has this digest, which gapool plan -out, plan -markdown and show print; it is the approval")
	cmd.Flags().BoolVar(&autoApprove, "auto-approve", false, "do not ask; data is then lost only with -allow-data-loss")
	return cmd
}

// approvals are the ways to approve beforehand.
func approvals(destroys bool) string {
	if destroys {
		return "add -auto-approve or -digest=sha256:…"
	}
	return "add -auto-approve or -digest=sha256:…, or apply a plan file"
}

// interrupts returns a context that ends at the second Ctrl-C or SIGTERM and a
// channel that is closed at the first. Before an apply has begun, one is enough:
// see calm.
func (c *cli) interrupts(parent context.Context) (ctx context.Context, stop <-chan struct{}, release func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	first := make(chan struct{})
	go func() {
		select {
		case <-signals:
			close(first)
		case <-ctx.Done():
			return
		}
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, first, func() {
		signal.Stop(signals)
		cancel()
	}
}

// errInterrupted says that nothing was begun.
var errInterrupted = errors.New("interrupted; nothing was changed")

// calm returns a context for what changes nothing: it ends at the first
// interrupt.
func calm(ctx context.Context, stop <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-stop:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// apply plans, asks and carries the plan out.
func (s *session) apply(ctx context.Context, stop <-chan struct{}, f *planFlags, verb string, autoApprove bool, digest digestFlag) error {
	quiet, end := calm(ctx, stop)
	defer end()
	p, err := f.make(quiet, s, verb, nil)
	if err != nil {
		if errors.Is(context.Cause(quiet), errInterrupted) {
			return errInterrupted
		}
		return err
	}
	defer p.close()
	if err := s.report.Plan(p.Plan); err != nil {
		return err
	}
	if digest != "" {
		if err := s.approvedBy(digest, p, f); err != nil {
			return err
		}
		autoApprove = true
	}
	if p.WouldChange() {
		if err := s.approve(quiet, p.Plan, f, verb, autoApprove); err != nil {
			return err
		}
	}
	end()
	return s.carryOut(ctx, stop, p, f.parallelism)
}

// carryOut does what the plan says.
func (s *session) carryOut(ctx context.Context, stop <-chan struct{}, p *planned, parallelism int) error {
	if p.loaded.State.Lineage == "" {
		p.loaded.State.Lineage = p.Lineage
	}
	journal, err := s.store.Journal(p.loaded, p.lock)
	if err != nil {
		return err
	}
	progress, finish, err := s.progress(p.Plan)
	if err != nil {
		return multierror.Append(err, journal.Close())
	}
	err = apply.Run(ctx, p.Plan, journal, apply.Options{
		Parallelism: parallelism, Stop: s.announce(ctx, stop),
		Report: func(e engine.Event) {
			s.logEvent(e)
			progress.Event(e)
		},
	})
	finish()
	if e := progress.Complete(p.Plan, err); e != nil {
		err = multierror.Append(err, e)
	}
	outputs := journal.State().Outputs
	if e := journal.Close(); e != nil && !errors.Is(err, e) { // which may be told already
		err = multierror.Append(err, e)
	}
	if err != nil {
		return err
	}
	return s.showOutputs(outputs)
}

// announce passes the first interrupt on and says what it leads to.
func (s *session) announce(ctx context.Context, stop <-chan struct{}) <-chan struct{} {
	told := make(chan struct{})
	go func() {
		select {
		case <-stop:
			close(told)
			s.report.Say("Interrupted: finishing what is in flight, beginning nothing new. A second interrupt stops at once; nothing is lost by it.")
		case <-ctx.Done():
		}
	}()
	return told
}

// progress begins to show an apply and returns what ends that.
func (s *session) progress(p *engine.Plan) (view.Progress, func(), error) {
	a, err := s.report.Progress(p)
	if err != nil {
		return nil, nil, err
	}
	done := make(chan struct{})
	ended := make(chan struct{})
	ticker := time.NewTicker(time.Second)
	go func() {
		defer close(ended)
		for {
			select {
			case <-ticker.C:
				a.Tick()
			case <-done:
				return
			}
		}
	}()
	return a, func() {
		ticker.Stop()
		close(done)
		<-ended
		a.Close()
	}, nil
}

func (s *session) logEvent(e engine.Event) {
	switch e.Kind {
	case engine.Started:
		s.log.Info("step begins", "address", e.Step.Addr, "verb", e.Step.Verb)
	case engine.Progressed:
		s.log.Debug("step goes on", "address", e.Step.Addr, "verb", e.Step.Verb, "stage", e.Progress.Stage)
	case engine.Done:
		s.log.Info("step done", "address", e.Step.Addr, "verb", e.Step.Verb)
	case engine.Dropped:
		s.log.Info("step not needed", "address", e.Step.Addr, "verb", e.Step.Verb)
	case engine.RollingBack:
		s.log.Warn("rolling back", "address", e.Step.Addr, "verb", e.Step.Verb)
	case engine.Failed, engine.Skipped:
		s.log.Warn("step not done", "address", e.Step.Addr, "verb", e.Step.Verb)
	}
}

// approve asks, once: for "yes" or, where data or running work would be lost,
// for the names of what holds it. Without a prompt the permissions must have been given before.
func (s *session) approve(ctx context.Context, p *engine.Plan, f *planFlags, verb string, auto bool) error {
	if auto {
		if p.Unapproved != "" {
			return errors.New(p.Unapproved)
		}
		return nil
	}
	if !f.input || !isTerminal(s.stdin) {
		why := "the standard input is no terminal"
		if !f.input {
			why = "-input=false"
		}
		hint := "-auto-approve"
		if p.Unapproved != "" {
			hint += "; " + p.Unapproved
		}
		return fmt.Errorf("this plan needs an approval and cannot ask for it (%s); to approve it beforehand, add %s", why, hint)
	}
	objects := view.Objects(p)
	var names, losses []string
	for _, a := range p.DataLoss {
		if !p.Approved[a] {
			names = append(names, objects[a].Name)
		}
	}
	if len(names) > 0 {
		losses = append(losses, "Data will be lost.")
	}
	if !p.Force {
		for _, a := range p.Ends {
			names = append(names, a.String())
			losses = append(losses, fmt.Sprintf("Running work will be lost: %s in %s.", strings.Join(objects[a].Work, ", "), a))
		}
	}
	if len(names) == 0 && p.Unapproved != "" {
		return errors.New(p.Unapproved)
	}
	style := s.style(s.stdout)
	question, words := "Do you want to perform these actions?", []string{
		"gapool will do what is written above.", "Only 'yes' will be accepted to approve.",
	}
	if verb == "destroy" {
		question = fmt.Sprintf("Do you really want to destroy all of stack %q, workspace %q?", p.Stack, p.Workspace)
		words[0] = "gapool will remove what is written above. There is no undo."
	}
	if len(names) > 0 {
		words = append(append(words[:1], losses...), "To approve, enter "+strings.Join(names, " "))
	}
	fmt.Fprintf(s.stdout, "\n%s\n  %s\n\n  %s ", style.Bold(question), strings.Join(words, "\n  "), style.Bold("Enter a value:"))
	answer, err := s.read(ctx)
	if err != nil {
		fmt.Fprintln(s.stdout)
		return err
	}
	wanted := "yes"
	if len(names) > 0 {
		wanted = strings.Join(names, " ")
	}
	if !slices.Equal(wordsOf(answer), wordsOf(wanted)) {
		return fmt.Errorf("%s cancelled: the answer was not %q; nothing was changed", verb, wanted)
	}
	for _, a := range slices.Concat(p.DataLoss, p.Ends) {
		p.Approved[a] = true
	}
	p.Unapproved = ""
	return nil
}

// wordsOf are the words of an answer, in no order.
func wordsOf(answer string) []string {
	words := strings.FieldsFunc(answer, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' })
	slices.Sort(words)
	return words
}

// read returns a line of the standard input.
func (s *session) read(ctx context.Context) (string, error) {
	type result struct {
		line string
		err  error
	}
	got := make(chan result, 1)
	go func() {
		line, err := bufio.NewReader(s.stdin).ReadString('\n')
		got <- result{line, err}
	}()
	select {
	case <-ctx.Done():
		return "", errInterrupted
	case r := <-got:
		if r.err != nil {
			return "", fmt.Errorf("no answer came: %w; nothing was changed", r.err)
		}
		return strings.TrimSpace(r.line), nil
	}
}

func (s *session) showOutputs(outputs map[string]state.Output) error {
	if len(outputs) == 0 {
		return nil
	}
	return s.report.Outputs(readOutputs(outputs))
}
