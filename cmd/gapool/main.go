// Command gapool brings what runs on a Docker engine to what HCL files say.
//
// Main wires it: a cli holds the streams, the environment and the providers; a
// session is the configuration, its inputs and its state. Each verb is a file.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"
	"github.com/hashicorp/hcl/v2"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gapool/gapool/cmd/gapool/view"
	"github.com/gapool/gapool/engine/apply"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/docker"
	"github.com/gapool/gapool/providers/ray"
)

func main() {
	os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ(), everything()))
}

// everything is what resources can be of.
func everything() []providers.Provider { return []providers.Provider{ray.Over(docker.New())} }

// Exit codes besides 0, nothing to do or done.
const (
	exitError       = 1
	exitChanges     = 2 // of -detailed-exitcode: an apply would change something
	exitUnformatted = 3 // of fmt -check
)

// Main runs one command and returns its exit code. args are those behind the
// command's name, env has lines NAME=VALUE, list is what resources can be of.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer, env []string, list []providers.Provider) int {
	c := &cli{stdin: stdin, stdout: stdout, stderr: stderr, env: env, providers: list}
	c.report = &text{cli: c}
	root := c.root()
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	args, err := c.moreArgs(root, twoDashes(args))
	if err == nil {
		root.SetArgs(args)
		err = root.ExecuteContext(context.Background())
	}
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	default:
		c.complain(err)
		return exitError
	}
}

// cli is what a command has around it.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            []string
	providers      []providers.Provider

	// The flags before the verb, and -no-color.
	chdir, workspace string
	noColor          bool

	moreFrom []string // variables of the environment that gave arguments

	report        reporter
	lines         bool // report is a stream of JSON
	concise, full bool // how much of a plan is told

	// sources are the files that diagnostics quote.
	sources map[string][]byte
	log     *slog.Logger
}

// exitCode is an error that was told already, or is none.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// diagnosed is an error that is a list of diagnostics.
type diagnosed hcl.Diagnostics

func (d diagnosed) Error() string { return hcl.Diagnostics(d).Error() }

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "gapool",
		Short: "Plan and apply research environments on Docker",
		Long: "gapool reads the files *.gapool.hcl of a directory, plans how to bring what runs on Docker to what they say, and applies the plan.\n" +
			"Flags are written with one dash or two.",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if compat := c.getenv("GAPOOL_COMPAT"); compat != "" && compat != "terraform" {
				return fmt.Errorf("GAPOOL_COMPAT=%s is not known; use terraform, or leave it out", compat)
			}
			return c.startLog()
		},
	}
	root.Version = Version
	root.SetVersionTemplate(versionText())
	flags := root.PersistentFlags()
	flags.StringVar(&c.chdir, "chdir", "", "directory of the configuration, from which relative paths in flags and arguments start too")
	flags.StringVar(&c.workspace, "workspace", view.DefaultWorkspace, "workspace, which has a state of its own")
	flags.BoolVar(&c.noColor, "no-color", false, "no colours (or set NO_COLOR)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if err = flagError(cmd, err); c.moreFrom != nil {
			err = fmt.Errorf("%w (some arguments come from %s)", err, strings.Join(c.moreFrom, " and "))
		}
		return err
	})
	root.AddCommand(
		c.planCmd(), c.applyCmd(), c.destroyCmd(), c.showCmd(), c.outputCmd(), c.stateCmd(),
		c.validateCmd(), c.fmtCmd(), c.graphCmd(), c.statusCmd(), c.versionCmd(), c.initCmd(),
	)
	root.AddCommand(absent(absentVerbs)...)
	return root
}

// getenv returns a variable of the environment, the last if it is there twice.
func (c *cli) getenv(name string) string {
	for _, line := range slices.Backward(c.env) {
		if v, ok := strings.CutPrefix(line, name+"="); ok {
			return v
		}
	}
	return ""
}

// automated says that no person reads along: no hints at what to type next, no
// name guessed from a folder.
func (c *cli) automated() bool { return c.getenv("GAPOOL_IN_AUTOMATION") != "" }

// dir is the directory of the configuration, as it is named in messages.
func (c *cli) dir() string {
	if c.chdir == "" {
		return "."
	}
	return c.chdir
}

// path is where a relative path of a flag, an argument or a GAPOOL_ variable
// leads: it starts from the configuration's directory, as if -chdir had been a
// cd before the command. "" stays "".
func (c *cli) path(name string) string {
	if name == "" || c.chdir == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.chdir, name)
}

// startLog opens the log that GAPOOL_LOG asks for. It holds no values, only
// addresses, verbs and times.
func (c *cli) startLog() error {
	c.log = slog.New(slog.DiscardHandler)
	name := c.getenv("GAPOOL_LOG")
	if name == "" {
		return nil
	}
	level := slog.LevelDebug
	if !strings.EqualFold(name, "trace") { // Terraform's finest; there is none below debug here
		if err := level.UnmarshalText([]byte(name)); err != nil {
			return fmt.Errorf("GAPOOL_LOG=%s is no level; use trace, debug, info, warn or error", name)
		}
	}
	c.log = slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: level}))
	return nil
}

// style is that of a stream: colours on a terminal, unless unwanted.
func (c *cli) style(stream any) view.Style {
	return view.NewStyle(isTerminal(stream) && !c.noColor && c.getenv("NO_COLOR") == "" && c.getenv("TERM") != "dumb")
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// width is that of a terminal, 0 for what is none.
func width(stream any) int {
	if !isTerminal(stream) {
		return 0
	}
	w, _, err := term.GetSize(int(stream.(*os.File).Fd()))
	if err != nil {
		return 0
	}
	return w
}

// complain prints an error: diagnostics with the words in the file, the errors
// of an apply one by one, any other in a line.
func (c *cli) complain(err error) {
	var diags diagnosed
	var many *multierror.Error
	var step *apply.StepError
	var found hcl.Diagnostics
	switch {
	case errors.As(err, &many):
		for _, e := range many.Errors {
			c.complain(e)
		}
	case errors.As(err, &step) && errors.As(step.Err, &found):
		for _, d := range found {
			at := *d
			at.Summary = fmt.Sprintf("%s: %s: %s", step.Step.Addr, step.Step.Verb, d.Summary)
			c.report.Diagnose(step.Step.Addr.String(), c.sources, hcl.Diagnostics{&at})
		}
	case errors.As(err, &diags):
		c.tell(hcl.Diagnostics(diags))
	case errors.As(err, &step):
		c.report.Fail(step.Step.Addr.String(), err)
	default:
		c.report.Fail("", err)
	}
}

// tell prints diagnostics.
func (c *cli) tell(diags hcl.Diagnostics) { c.report.Diagnose("", c.sources, diags) }
