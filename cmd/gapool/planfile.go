package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gapool/gapool/cmd/gapool/view"
	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/planfile"
	"github.com/gapool/gapool/schema"
)

// write puts a plan down as it was made.
func (s *session) write(p *planned, o planfile.Options) (*planfile.File, error) {
	// What the variables are without flags and environment; what is wrong with
	// them was told already.
	auto, _ := schema.Inputs(s.cfg.Root, s.dir(), nil, nil)
	vars, err := planfile.WriteVariables(s.cfg.Root, p.vars, auto)
	if err != nil {
		return nil, err
	}
	return planfile.New(p.Plan, planfile.Origin{
		Gapool: Version, Options: o, Loaded: p.loaded, Configuration: s.cfg, Variables: vars,
	})
}

// savePlan is -out.
func (s *session) savePlan(p *planned, f *planFlags, out string) error {
	if n := len(p.loaded.Doubts); n > 0 {
		return fmt.Errorf("the plan is not kept: an earlier run was cut off, and what %d of its calls came to is not written down yet; do that with gapool apply -refresh-only, then plan again", n)
	}
	file, err := s.write(p, f.kept())
	if err != nil {
		return err
	}
	path := s.path(out)
	if err := file.Write(path); err != nil {
		return err
	}
	digest, err := file.Digest(s.typeOf)
	if err != nil {
		return err
	}
	return s.report.Kept(view.Kept{File: path, Typed: out, Digest: digest, Secrets: file.SensitiveVariables()})
}

// approvedBy holds the plan to the digest of the one that was approved.
func (s *session) approvedBy(digest digestFlag, p *planned, f *planFlags) error {
	file, err := s.write(p, f.kept())
	if err != nil {
		return err
	}
	return s.approvedAs(digest, file, "this", "What would be done now stands above: plan again, with the same flags, and have that approved")
}

// approvedAs refuses a plan, called what, that has another digest.
func (c *cli) approvedAs(digest digestFlag, file *planfile.File, what, next string) error {
	is, err := file.Digest(c.typeOf)
	if err != nil {
		return err
	}
	if is != string(digest) {
		return fmt.Errorf("%s is not the plan that was approved: its digest is %s and not %s; nothing was changed. %s", what, is, digest, next)
	}
	return nil
}

// shellWord is a word as it is typed into a shell.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,@%+") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// kept are the flags that a plan depends on.
func (f *planFlags) kept() planfile.Options {
	o := planfile.Options{AllowDataLoss: f.allowDataLoss, NoRefresh: !f.refresh, Force: f.force}
	if what := engine.OnFailure(f.onFailure); what != engine.Continue {
		o.OnFailure = what
	}
	for _, a := range f.targets {
		o.Targets = append(o.Targets, a.String())
	}
	for _, a := range f.replace {
		o.Replace = append(o.Replace, a.String())
	}
	return o
}

// again are the flags that make a kept plan again; what the apply may be given
// itself stays.
func (f *planFlags) again(file *planfile.File) error {
	f.targets, f.replace = nil, nil
	for _, list := range []struct {
		to   *addrFlags
		from []string
	}{{&f.targets, file.Options.Targets}, {&f.replace, file.Options.Replace}} {
		for _, text := range list.from {
			if err := list.to.Set(text); err != nil {
				return fmt.Errorf("the plan file is damaged: %w", err)
			}
		}
	}
	f.allowDataLoss, f.force = file.Options.AllowDataLoss, file.Options.Force
	f.onFailure = onFailureFlag(cmp.Or(file.Options.OnFailure, engine.Continue))
	f.destroy, f.refreshOnly = file.Mode == "destroy", file.Mode == "refresh-only"
	f.refresh = true // a plan that was made without looking is held to what is there, too
	given, err := file.Flags()
	f.vars = append(given, f.vars...)
	return err
}

// own are the flags that apply FILE takes: all else is in the plan.
var own = map[string]bool{
	"var": true, "var-file": true, "parallelism": true, "lock-timeout": true, "state-dir": true,
	"input": true, "auto-approve": true, "chdir": true, "workspace": true, "no-color": true,
	"json": true, "concise": true, "full": true, "digest": true,
}

// applyFile does what a kept plan says, or nothing.
func (c *cli) applyFile(ctx context.Context, stop <-chan struct{}, cmd *cobra.Command, f *planFlags, name string, digest digestFlag) error {
	var foreign []string
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if !own[flag.Name] {
			foreign = append(foreign, "-"+flag.Name)
		}
	})
	if len(foreign) > 0 {
		return fmt.Errorf("gapool apply %s does what the plan says, so it takes no %s: give that to gapool plan", name, strings.Join(foreign, ", "))
	}
	file, err := planfile.Read(c.path(name))
	if err != nil {
		return err
	}
	if digest != "" {
		if err := c.approvedAs(digest, file, name, "What it does is shown by gapool show "+shellWord(name)); err != nil {
			return err
		}
	}
	s, err := c.open(f.stateDir)
	if err != nil {
		return err
	}
	if file.Stack != s.stack || file.Workspace != s.workspace {
		return outdated(name, []string{fmt.Sprintf("it is of stack %q, workspace %q, and this is stack %q, workspace %q", file.Stack, file.Workspace, s.stack, s.workspace)})
	}
	if file.Unapproved != "" {
		return fmt.Errorf("this plan cannot be applied: %s to gapool plan, and apply what that makes", strings.TrimSuffix(file.Unapproved, "."))
	}
	if err := f.again(file); err != nil {
		return err
	}
	quiet, end := calm(ctx, stop)
	defer end()
	p, err := f.make(quiet, s, "apply", file)
	switch {
	case err != nil && errors.Is(context.Cause(quiet), errInterrupted):
		return errInterrupted
	case err != nil:
		c.complain(err)
		return outdated(name, []string{"what it was made from does not even plan any more: see above"})
	}
	defer p.close()
	if err := s.hold(file, p, name); err != nil {
		return err
	}
	end()
	return s.carryOut(ctx, stop, p, f.parallelism)
}

// hold refuses whatever is not exactly the plan that was kept.
func (s *session) hold(file *planfile.File, p *planned, name string) error {
	if n := len(p.loaded.Doubts); n > 0 {
		return outdated(name, []string{fmt.Sprintf("a run since was cut off, and what %d of its calls came to is not written down yet", n)})
	}
	differs, err := file.OtherVariables(p.vars)
	if err != nil {
		return err
	}
	now, err := s.write(p, file.Options)
	if err != nil {
		return err
	}
	differs = append(differs, file.Differs(now, s.typeOf)...)
	if len(differs) == 0 {
		if what := file.OtherHidden(p.Plan); what != "" {
			differs = append(differs, what)
		}
	}
	if len(differs) > 0 {
		return outdated(name, differs)
	}
	if p.Unapproved != "" {
		return outdated(name, []string{p.Unapproved})
	}
	return nil
}

// outdatedShown is how many differences are told.
const outdatedShown = 20

func outdated(name string, differs []string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "the plan %s is not carried out, and nothing was changed: the world is no longer the one it was made for.", name)
	for i, d := range differs {
		if i == outdatedShown {
			fmt.Fprintf(&b, "\n  … and %d more", len(differs)-i)
			break
		}
		fmt.Fprintf(&b, "\n  - %s", d)
	}
	b.WriteString("\nPlan again.")
	return errors.New(b.String())
}

// readPlan reads a kept plan for showing it.
func (c *cli) readPlan(name string) (*planfile.File, *engine.Plan, error) {
	file, err := planfile.Read(c.path(name))
	if err != nil {
		return nil, nil, err
	}
	p, err := file.Plan(c.typeOf)
	return file, p, err
}

// showPlan prints a kept plan as gapool plan printed it, or in another format.
func (c *cli) showPlan(name string, f format) error {
	file, p, err := c.readPlan(name)
	if err != nil {
		return err
	}
	switch {
	case f.json:
		vars, err := file.Values()
		if err != nil {
			return err
		}
		doc, err := view.PlanDocument{Plan: p, Vars: vars, Configuration: file.Configuration}.JSON()
		if err != nil {
			return err
		}
		_, err = c.stdout.Write(doc)
		return err
	case f.markdown:
		return c.review(file, p, view.Review.Markdown)
	case f.html:
		return c.review(file, p, view.Review.HTML)
	default:
		if err := c.report.Plan(p); err != nil {
			return err
		}
		digest, err := file.Digest(c.typeOf)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.stdout, "\nIts digest is %s.\n", digest)
		return err
	}
}

// review prints a plan, as it is read from its file, for those who approve it.
func (c *cli) review(file *planfile.File, p *engine.Plan, print func(view.Review, io.Writer) error) error {
	digest, err := file.Digest(c.typeOf)
	if err != nil {
		return err
	}
	return print(view.Review{Plan: p, Digest: digest, Flags: flagsOf(file)}, c.stdout)
}

// flagsOf are the names of the flags that decide with the configuration what a
// plan does.
func flagsOf(file *planfile.File) []string {
	var names []string
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"-workspace", file.Workspace != view.DefaultWorkspace},
		{"-destroy", file.Mode == engine.Destroy},
		{"-refresh-only", file.Mode == engine.RefreshOnly},
		{"-refresh=false", file.Options.NoRefresh},
		{"-target", len(file.Options.Targets) > 0},
		{"-replace", len(file.Options.Replace) > 0},
		{"-allow-data-loss", len(file.Options.AllowDataLoss) > 0},
		{"-force", file.Options.Force},
		{"-on-failure", file.Options.OnFailure != ""},
	} {
		if f.given {
			names = append(names, f.name)
		}
	}
	return names
}

// markdown prints a plan that is not kept as its file would be shown.
func (s *session) markdown(p *planned, f *planFlags) error {
	file, err := s.write(p, f.kept())
	if err != nil {
		return err
	}
	shown, err := file.Plan(s.typeOf)
	if err != nil {
		return err
	}
	return s.review(file, shown, view.Review.Markdown)
}
