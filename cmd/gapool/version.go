package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// Version is gapool's, which required_version is compared with.
const Version = "0.1.0"

func platform() string { return runtime.GOOS + "_" + runtime.GOARCH }

func versionText() string { return fmt.Sprintf("gapool v%s\non %s\n", Version, platform()) }

func (c *cli) versionCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print gapool's version",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return c.printJSON(map[string]string{"gapool_version": Version, "platform": platform()})
			}
			fmt.Fprint(c.stdout, versionText())
			return nil
		},
	}
	registerJSON(cmd.Flags(), &asJSON)
	return cmd
}

func (c *cli) initCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Do nothing: there is nothing to install",
		Args:  cobra.ArbitraryArgs,
		// People type it with Terraform's flags.
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		RunE: func(*cobra.Command, []string) error {
			next := " Go on with gapool plan."
			if c.automated() {
				next = ""
			}
			fmt.Fprintln(c.stdout, "gapool needs no initialisation: it has no plugins to install."+next)
			return nil
		},
	}
}
