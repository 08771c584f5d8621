package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/docker"
	"github.com/gapool/gapool/providers/mem"
	"github.com/gapool/gapool/providers/ray/raytest"
	"github.com/gapool/gapool/schema"
)

// The scripts run the program that people run, on a world in a file, which
// outlives the processes as an engine does.

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"gapool": func() {
			w := world(os.Getenv("WORLD"))
			if hold := os.Getenv("HOLD"); hold != "" { // each change waits for a line in that pipe
				w.SetFault(func(c mem.Call) error {
					if c.Op != mem.Update || c.When != mem.Before {
						return nil
					}
					_, err := os.ReadFile(hold)
					return err
				})
			}
			var p providers.Provider = w
			if ray := os.Getenv("RAY"); ray != "" { // "idle", or "busy" with a job
				over, r := raytest.Over(rayWorld(os.Getenv("WORLD")))
				r.Job(ray == "busy")
				p = over
			}
			os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ(), []providers.Provider{p}))
		},
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		// A script that fails may leave a process behind that waits for it.
		Deadline: time.Now().Add(5 * time.Minute),
		Setup: func(e *testscript.Env) error {
			e.Setenv("WORLD", filepath.Join(e.WorkDir, ".world.json"))
			e.Setenv("XDG_STATE_HOME", filepath.Join(e.WorkDir, ".home"))
			return os.Mkdir(filepath.Join(e.WorkDir, ".home"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"world": worldCmd,
		},
	})
}

// worldCmd is what other people do behind gapool's back:
//
//	world remove KIND NAME
//	world stop KIND NAME
//	world empty
//	world print
func worldCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: world remove|stop KIND NAME, world empty, world print")
	}
	w := world(ts.Getenv("WORLD"))
	if ts.Getenv("RAY") != "" {
		w = rayWorld(ts.Getenv("WORLD"))
	}
	switch {
	case args[0] == "remove" && len(args) == 3:
		w.Remove(args[1], args[2])
	case args[0] == "stop" && len(args) == 3:
		w.Stop(args[1], args[2])
	case args[0] == "empty":
		if left := w.Objects(); len(left) > 0 {
			ts.Fatalf("the world is not empty:\n%s", w)
		}
	case args[0] == "print":
		_, err := ts.Stdout().Write([]byte(w.String()))
		ts.Check(err)
	default:
		ts.Fatalf("unknown: world %s", strings.Join(args, " "))
	}
}

// rayWorld is an engine with all of Docker's attributes.
func rayWorld(file string) *mem.World {
	return mem.New("docker", docker.New().Config(), docker.New().Types(), mem.Uses(mem.DockerUses), mem.File(file))
}

// memoryOnly is what a container of that world takes.
func memoryOnly(v cty.Value) schema.Needs {
	m := v.GetAttr("memory")
	if !m.IsKnown() || m.IsNull() {
		return schema.Needs{}
	}
	mib, _ := m.AsBigFloat().Int64()
	return schema.Needs{Memory: schema.Amount{N: mib << 20}}
}

// world is an engine with a few of Docker's attributes.
func world(file string) *mem.World {
	name := schema.Attr{Name: "name", Type: cty.String, Required: true, Change: schema.Replace}
	id := schema.Attr{Name: "id", Type: cty.String, Computed: true}
	types := []*schema.Type{
		{Name: "docker_network", Attrs: []schema.Attr{id, name, {Name: "internal", Type: cty.Bool, Change: schema.Replace}}},
		{Name: "docker_volume", HoldsData: true, Attrs: []schema.Attr{id, name, {Name: "driver", Type: cty.String, Change: schema.Replace}}},
		{Name: "docker_container", Renames: true, Needs: memoryOnly, Attrs: []schema.Attr{
			id,
			{Name: "name", Type: cty.String, Required: true, Change: schema.Update},
			{Name: "image", Type: cty.String, Required: true, Change: schema.Replace},
			{Name: "env", Type: cty.Map(cty.String), Change: schema.Replace, Live: true, Merge: true},
			{Name: "memory", Type: cty.Number, Change: schema.Update, Unit: "MiB"},
			{Name: "must_run", Type: cty.Bool, Default: cty.True, Change: schema.Update, Demand: true},
			{Name: "networks_advanced", Change: schema.Update, Block: &schema.Block{Nesting: schema.Set, Key: []string{"name"}, Attrs: []schema.Attr{
				{Name: "name", Type: cty.String, Required: true},
			}}},
			{Name: "volumes", Change: schema.Replace, Block: &schema.Block{Nesting: schema.Set, Key: []string{"container_path"}, Attrs: []schema.Attr{
				{Name: "volume_name", Type: cty.String},
				{Name: "container_path", Type: cty.String},
			}}},
		}},
	}
	uses := func(kind string, attrs cty.Value) []providers.Ref {
		var refs []providers.Ref
		for _, r := range mem.DockerUses(kind, attrs) {
			if r.Kind != "docker_image" { // images come from elsewhere here
				refs = append(refs, r)
			}
		}
		return refs
	}
	return mem.New("docker", &schema.Type{Name: "docker", Attrs: []schema.Attr{{Name: "host", Type: cty.String}}}, types, mem.Uses(uses), mem.File(file))
}
