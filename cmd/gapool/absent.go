package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// What people type out of habit and gapool does not have, with the way to what
// they want.
var (
	absentVerbs = map[string]string{
		"workspace":    "-workspace=NAME before the verb chooses a workspace, and the first apply in it makes it",
		"refresh":      "use gapool apply -refresh-only, which shows what it records",
		"import":       "not yet; objects that carry gapool's labels are found by themselves",
		"console":      "not yet",
		"schema":       "not yet; docs/resources.md lists every resource and attribute",
		"logs":         "not yet; use docker logs with a name that gapool status prints",
		"stats":        "not yet; use docker stats with a name that gapool status prints",
		"exec":         "not yet; use docker exec with a name that gapool status prints",
		"taint":        "use gapool apply -replace=ADDRESS",
		"untaint":      "what is marked to be replaced shows in gapool plan; it cannot be unmarked",
		"force-unlock": "a lock goes with the process that holds it, so there is nothing to unlock",
	}
	absentStateVerbs = map[string]string{
		"mv":   "not yet; the next plan finds an object whose name stays at its new address",
		"pull": "the state is a file, .gapool/WORKSPACE/state.json; gapool show prints it",
		"push": "the state needs no copy: gapool state rebuild writes it anew from the labels of what runs",
	}
	absentFlags = map[string]string{
		"out":   "gapool plan -out=FILE keeps a plan, gapool apply FILE applies it",
		"lock":  "the state is always locked; -lock-timeout=5m waits for the other process",
		"state": "-state-dir=DIR says where the state is",
	}
)

// absent returns hidden commands that say where to go instead.
func absent(verbs map[string]string) []*cobra.Command {
	var cmds []*cobra.Command
	for _, name := range sorted(verbs) {
		cmds = append(cmds, &cobra.Command{
			Use: name, Hidden: true, DisableFlagParsing: true,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return fmt.Errorf("there is no %s: %s", cmd.CommandPath(), verbs[name])
			},
		})
	}
	return cmds
}
