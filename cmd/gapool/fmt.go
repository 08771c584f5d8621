package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
)

func (c *cli) fmtCmd() *cobra.Command {
	var f fmtFlags
	cmd := &cobra.Command{
		Use:   "fmt [FILE|DIR...]",
		Short: "Bring configuration files to the canonical format",
		Long:  "Bring the files *.gapool.hcl and *.vars.hcl to the canonical format and print the names of those that were not in it.\nThe file - is the standard input.",
		RunE: func(_ *cobra.Command, args []string) error {
			return c.format(args, f)
		},
	}
	cmd.Flags().BoolVar(&f.check, "check", false, "change nothing; exit 3 if a file is not in the format")
	cmd.Flags().BoolVar(&f.diff, "diff", false, "print the differences")
	cmd.Flags().BoolVar(&f.recursive, "recursive", false, "subdirectories too")
	return cmd
}

type fmtFlags struct{ check, diff, recursive bool }

func (c *cli) format(args []string, f fmtFlags) error {
	if len(args) == 0 {
		args = []string{"."}
	}
	if slices.Equal(args, []string{"-"}) {
		return c.formatStdin(f)
	}
	var files []string
	for _, arg := range args {
		found, err := formattable(c.path(arg), f.recursive)
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	c.sources = map[string][]byte{}
	var diags hcl.Diagnostics
	changed := false
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		c.sources[name] = src
		out, d := canonical(name, src)
		diags = append(diags, d...)
		if d.HasErrors() || bytes.Equal(src, out) {
			continue
		}
		changed = true
		fmt.Fprintln(c.stdout, name)
		if f.diff {
			_, _ = c.stdout.Write(diff.Diff("old/"+name, src, "new/"+name, out))
		}
		if !f.check {
			if err := overwrite(name, out); err != nil {
				return err
			}
		}
	}
	if diags.HasErrors() {
		return diagnosed(diags)
	}
	if f.check && changed {
		return exitCode(exitUnformatted)
	}
	return nil
}

func (c *cli) formatStdin(f fmtFlags) error {
	src, err := io.ReadAll(c.stdin)
	if err != nil {
		return err
	}
	const name = "<stdin>"
	c.sources = map[string][]byte{name: src}
	out, diags := canonical(name, src)
	switch {
	case diags.HasErrors():
		return diagnosed(diags)
	case f.check && !bytes.Equal(src, out):
		return exitCode(exitUnformatted)
	case f.check:
		return nil
	case f.diff:
		_, err = c.stdout.Write(diff.Diff("old", src, "new", out))
		return err
	default:
		_, err = c.stdout.Write(out)
		return err
	}
}

// canonical formats what can be parsed; the rest is an error and stays.
func canonical(name string, src []byte) ([]byte, hcl.Diagnostics) {
	if _, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos); diags.HasErrors() {
		return nil, diags
	}
	return hclwrite.Format(src), nil
}

// formattable lists the files to format: arg itself, or those of the directory.
func formattable(arg string, recursive bool) ([]string, error) {
	info, err := os.Stat(arg)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{arg}, nil
	}
	var files []string
	err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != arg && (!recursive || strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case !d.IsDir() && (strings.HasSuffix(path, ".gapool.hcl") || strings.HasSuffix(path, ".vars.hcl")):
			files = append(files, path)
		}
		return nil
	})
	if err == nil && len(files) == 0 && !recursive {
		err = errors.New(arg + " has no files *.gapool.hcl or *.vars.hcl")
	}
	return files, err
}

// overwrite replaces a file as a whole, so that a crash leaves the old one, and
// follows a link to where the file is.
func overwrite(name string, data []byte) error {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(real)
	if err != nil {
		return err
	}
	return renameio.WriteFile(real, data, info.Mode().Perm(), renameio.WithExistingPermissions())
}
