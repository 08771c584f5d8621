package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/mattn/go-shellwords"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
)

// twoDashes writes flags with one dash, as people type them, with two. What
// follows "--" is left alone, and so are "-" and letters such as "-h".
func twoDashes(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if a == "--" {
			copy(out[i:], args[i:])
			break
		}
		if len(a) > 2 && a[0] == '-' && a[1] != '-' && !strings.ContainsAny(a[1:2], "0123456789.") {
			a = "-" + a
		}
		out[i] = a
	}
	return out
}

// moreArgs puts the arguments of GAPOOL_CLI_ARGS and then those of
// GAPOOL_CLI_ARGS_verb, split as a shell splits words, before those of the verb:
// what is typed comes last and wins.
func (c *cli) moreArgs(root *cobra.Command, args []string) ([]string, error) {
	cmd, rest, err := root.Find(args)
	if err != nil || cmd == root {
		return args, nil // what is wrong with them is told when they are run
	}
	verb := strings.Fields(cmd.CommandPath())[1:]
	out := verb
	for _, name := range []string{"GAPOOL_CLI_ARGS", "GAPOOL_CLI_ARGS_" + strings.Join(verb, "_")} {
		text := c.getenv(name)
		if text == "" {
			continue
		}
		p := shellwords.NewParser()
		words, err := p.Parse(text)
		if err != nil || p.Position >= 0 { // it stops at a ';' or '|' and says no more
			return nil, fmt.Errorf("%s is not what a shell takes for words: close each quote, and quote ; & | < > ( )", name) // a secret may be in it
		}
		out = append(out, twoDashes(words)...)
		c.moreFrom = append(c.moreFrom, name)
	}
	return append(out, rest...), nil
}

// flagError names the flags that a verb has where one is asked for that it does
// not have.
func flagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) && invalid.GetFlag().Name == "var" { // what was typed may be a secret
		return fmt.Errorf("%s: -var: %w", cmd.CommandPath(), invalid.Unwrap())
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return fmt.Errorf("%s: %w", cmd.CommandPath(), err)
	}
	if hint, ok := absentFlags[unknown.GetSpecifiedName()]; ok {
		return fmt.Errorf("%s has no flag -%s: %s", cmd.CommandPath(), unknown.GetSpecifiedName(), hint)
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, "-"+f.Name)
		}
	})
	return fmt.Errorf("%s has no flag -%s; it has %s", cmd.CommandPath(), unknown.GetSpecifiedName(), strings.Join(names, ", "))
}

// noArgs is for verbs that take flags only.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes flags only, not %q; see %s -help", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}

func registerJSON(flags *pflag.FlagSet, on *bool) {
	flags.BoolVar(on, "json", false, "print JSON")
}

// oneAddress is for verbs that take an address.
func oneAddress(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes one address, not %d; gapool state list prints them", cmd.CommandPath(), len(args))
	}
	return nil
}

// addresses is for verbs that take one address or more.
func addresses(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%s takes one address or more; gapool state list prints them", cmd.CommandPath())
	}
	return nil
}

// varFlags are -var and -var-file in the order in which they are given, since
// later ones win.
type varFlags []schema.VarFlag

func (v *varFlags) register(flags *pflag.FlagSet) {
	flags.Var(&varFlag{v}, "var", "value of a variable, NAME=VALUE (can be repeated)")
	flags.Var(&varFileFlag{v}, "var-file", "file with values of variables (can be repeated)")
}

type varFlag struct{ list *varFlags }

func (f *varFlag) String() string { return "" }
func (f *varFlag) Type() string   { return "NAME=VALUE" }

func (f *varFlag) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return errors.New("write -var NAME=VALUE")
	}
	*f.list = append(*f.list, schema.VarFlag{Name: name, Value: value})
	return nil
}

type varFileFlag struct{ list *varFlags }

func (f *varFileFlag) String() string { return "" }
func (f *varFileFlag) Type() string   { return "FILE" }

func (f *varFileFlag) Set(s string) error {
	*f.list = append(*f.list, schema.VarFlag{File: s})
	return nil
}

// onFailureFlag is continue or rollback.
type onFailureFlag engine.OnFailure

func (f *onFailureFlag) String() string { return string(*f) }
func (f *onFailureFlag) Type() string   { return "continue|rollback" }

func (f *onFailureFlag) Set(s string) error {
	switch engine.OnFailure(s) {
	case engine.Continue, engine.Rollback:
		*f = onFailureFlag(s)
		return nil
	default:
		return errors.New("write -on-failure=continue or -on-failure=rollback")
	}
}

// digestFlag is a digest, whole. An empty one is a mistake and not as if there
// were none: a script that did not find it must not apply what comes.
type digestFlag string

var aDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (f *digestFlag) String() string { return string(*f) }
func (f *digestFlag) Type() string   { return "sha256:…" }

func (f *digestFlag) Set(s string) error {
	if !aDigest.MatchString(s) {
		return errors.New("write -digest=sha256:… with all 64 digits, as gapool plan -out, plan -markdown and show print it")
	}
	*f = digestFlag(s)
	return nil
}

// addrFlags are addresses or groups, one for each time the flag is given.
type addrFlags []schema.Addr

func (f *addrFlags) String() string { return "" }
func (f *addrFlags) Type() string   { return "ADDRESS" }

func (f *addrFlags) Set(s string) error {
	a, err := schema.ParseTarget(s)
	if err != nil {
		return err
	}
	*f = append(*f, a)
	return nil
}
