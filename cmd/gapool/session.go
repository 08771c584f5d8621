package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	version "github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// session is a configuration and the place of its state.
type session struct {
	*cli
	cfg        *schema.Config
	stack      string
	namedStack bool // the configuration says it
	store      *state.Store
}

// load reads and checks the configuration and prints its warnings; it needs no
// engine and no state.
func (c *cli) load() (*schema.Config, error) {
	cfg, diags := c.read()
	if err := c.warn(diags); err != nil {
		return nil, err
	}
	return cfg, nil
}

// read is load that prints nothing.
func (c *cli) read() (*schema.Config, hcl.Diagnostics) {
	var types []*schema.Type
	providerTypes := map[string]*schema.Type{}
	for _, p := range c.providers {
		types = append(types, p.Types()...)
		providerTypes[p.Name()] = p.Config()
	}
	cfg, diags := schema.Load(c.dir(), types, providerTypes)
	c.sources = cfg.Sources
	if !diags.HasErrors() {
		diags = append(diags, cfg.Root.CheckRefs()...)
	}
	if !diags.HasErrors() {
		diags = append(diags, checkVersion(cfg.Root.Settings)...)
	}
	if !diags.HasErrors() {
		c.log.Info("configuration read", "dir", cfg.Dir, "files", len(cfg.Sources), "resources", len(cfg.Root.Resources))
	}
	return cfg, diags
}

// warn prints warnings; with errors among the diagnostics it prints nothing and
// returns all as an error.
func (c *cli) warn(diags hcl.Diagnostics) error {
	if diags.HasErrors() {
		return diagnosed(diags)
	}
	c.tell(diags)
	return nil
}

func checkVersion(s schema.Settings) hcl.Diagnostics {
	if s.RequiredVersion == "" {
		return nil
	}
	want, err := version.NewConstraint(s.RequiredVersion)
	if err != nil || want.Check(version.Must(version.NewVersion(Version))) {
		return nil // a malformed one was reported when it was read
	}
	return hcl.Diagnostics{{
		Severity: hcl.DiagError, Summary: "Another version of gapool is needed",
		Detail:  fmt.Sprintf("The configuration requires gapool %s; this is %s.", s.RequiredVersion, Version),
		Subject: s.RequiredVersionRange.Ptr(),
	}}
}

var workspaceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

// open loads the configuration and finds its state's place. stateDir is the
// flag's value.
func (c *cli) open(stateDir string) (*session, error) {
	cfg, err := c.load()
	if err != nil {
		return nil, err
	}
	s := &session{cli: c, cfg: cfg, stack: cfg.Root.Settings.Stack}
	if !workspaceName.MatchString(c.workspace) {
		return nil, fmt.Errorf("-workspace=%s: a workspace is named with letters, digits, '_', '.' and '-'", c.workspace)
	}
	s.namedStack = s.stack != ""
	if !s.namedStack {
		if c.automated() {
			return nil, errors.New(`the configuration does not name its stack, and with GAPOOL_IN_AUTOMATION the directory's name is not taken for it, since runners clone into any folder; write: gapool { stack = "NAME" }`)
		}
		s.stack = filepath.Base(cfg.Dir)
	}
	if stateDir == "" {
		stateDir = c.getenv("GAPOOL_STATE_DIR")
	}
	stateDir = c.path(stateDir)
	if stateDir == "" {
		stateDir = filepath.Join(cfg.Dir, ".gapool")
	}
	guards, err := c.guardDir()
	if err != nil {
		return nil, err
	}
	s.store = state.Open(filepath.Join(stateDir, c.workspace), guards, s.stack, c.workspace, state.Options{})
	c.log.Info("session", "stack", s.stack, "workspace", c.workspace, "state", filepath.Join(stateDir, c.workspace))
	return s, nil
}

// guardDir is the folder for the locks that all checkouts of a user share.
func (c *cli) guardDir() (string, error) {
	if dir := c.getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "gapool"), nil
	}
	home := c.getenv("HOME")
	if home == "" {
		var err error
		if home, err = os.UserHomeDir(); err != nil {
			return "", fmt.Errorf("no folder for locks: set XDG_STATE_HOME or HOME (%w)", err)
		}
	}
	return filepath.Join(home, ".local", "state", "gapool"), nil
}

// inputs evaluates the variables.
func (s *session) inputs(flags varFlags) (map[string]cty.Value, error) {
	vals, diags := s.readInputs(flags)
	return vals, s.warn(diags)
}

// readInputs is inputs that prints nothing; with errors, what is wrong or missing is
// unknown.
func (s *session) readInputs(flags varFlags) (map[string]cty.Value, hcl.Diagnostics) {
	at := make([]schema.VarFlag, len(flags))
	for i, f := range flags {
		f.File = s.path(f.File)
		at[i] = f
	}
	return schema.Inputs(s.cfg.Root, s.dir(), s.env, at)
}

// lock takes the state and reads it.
func (s *session) lock(ctx context.Context, verb string, timeout time.Duration) (*state.Lock, *state.Loaded, error) {
	lock, err := s.store.Lock(ctx, verb, timeout)
	if err != nil {
		return nil, nil, err
	}
	loaded, err := s.store.Load()
	if err != nil {
		lock.Release()
		return nil, nil, err
	}
	s.log.Info("state read", "found", loaded.Found, "records", len(loaded.State.Records), "in doubt", len(loaded.Doubts))
	return lock, loaded, nil
}

// peek reads the state without the lock, for verbs that only show it and that
// have to work while an apply goes on: what is in doubt then is none of theirs.
func (s *session) peek() (*state.Loaded, error) {
	var err error
	for range 3 { // a fold may replace snapshot and journal between two readings
		var loaded *state.Loaded
		if loaded, err = s.store.Load(); err == nil {
			return loaded, nil
		}
	}
	return nil, err
}

// typeOf finds a table by its name, nil if no provider has it.
func (c *cli) typeOf(name string) *schema.Type {
	return engine.NewEngines(c.providers, nil).Type(name)
}
