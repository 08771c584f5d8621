// Package build makes an image from a Dockerfile with BuildKit, through the Engine API alone: no docker command, no plugin.
//
// Its few types: Options says what to build, Secret what a step may read and nobody else, Event what is happening.
// Inputs names what a build is made from, so that a caller knows without building whether there is anything to build;
// Build does it. Both look at the context through the same filter: what was hashed is what is sent.
package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/docker/docker/api/types/build"
)

// Client is the part of the Engine API that a build needs. Docker's *client.Client is one; it may be shared by builds at the same time.
type Client interface {
	// ImageBuild starts the build and returns its stream of messages.
	ImageBuild(ctx context.Context, body io.Reader, o build.ImageBuildOptions) (build.ImageBuildResponse, error)
	// DialHijack opens the connection over which BuildKit asks for files, secrets and credentials.
	DialHijack(ctx context.Context, url, proto string, meta map[string][]string) (net.Conn, error)
}

// Options is what Terraform's Docker provider calls a build block, less what BuildKit does not know.
type Options struct {
	// Context is the absolute path of the directory whose files the Dockerfile may copy.
	Context string
	// Dockerfile is a path, relative to Context or absolute and then anywhere. "" is "Dockerfile".
	Dockerfile string
	// Target is the stage to build; "" is the last.
	Target string
	// Args are the values of ARG instructions. They can be read in the image's history: a secret belongs into Secrets.
	Args map[string]string
	// Labels are put on the image.
	Labels map[string]string
	// Triggers are further values that Inputs is to notice.
	Triggers map[string]string
	// Tags are the image's names. With none it is known by its ID only.
	Tags []string
	// Secrets are what RUN --mount=type=secret,id=ID may read.
	Secrets []Secret
	// Sensitive are further values to keep out of Events and errors, such as those of sensitive Args:
	// BuildKit writes arguments into the names of the steps that use them.
	Sensitive []string
	// Platform is "os/arch[/variant]"; "" is the engine's own.
	Platform string
	// NoCache runs each step again.
	NoCache bool
	// Pull asks the registry for newer base images even where the engine has one.
	Pull bool
	// NetworkMode is the network of RUN: "" or "default", "host", "none".
	NetworkMode string
	// ExtraHosts are "name:address" lines for the /etc/hosts of RUN.
	ExtraHosts []string
	// CacheFrom are images whose layers may be reused.
	CacheFrom []string
}

// Build builds the image and returns its ID ("sha256:…"), with o's tags on it.
//
// report, which may be nil, is called for each Event, never twice at once and never after Build has returned.
// An error after which there certainly is no image is a *Failure: any other, such as a connection that broke, leaves that open.
// When a step fails the error names it and holds the engine's words and the last lines of its log. No secret of four
// bytes and more is in an error or in an Event, even if a step prints it. When ctx ends, so does the build on the engine, and the error is ctx's.
func Build(ctx context.Context, api Client, o Options, report func(Event)) (imageID string, err error) {
	src, err := o.locate()
	if err != nil {
		return "", &Failure{err}
	}
	values, err := readSecrets(o.Secrets)
	if err != nil {
		return "", &Failure{err}
	}
	s, err := newSession(ctx, src, values)
	if err != nil {
		return "", &Failure{fmt.Errorf("build %s: %w", src.dockerfile, err)}
	}

	run, cancel := context.WithCancelCause(ctx)
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := s.Run(run, dialer(api)); err != nil {
			cancel(fmt.Errorf("open a BuildKit session on the engine: %w", err))
		}
	}()
	defer func() {
		cancel(nil)
		// The connection is all that Close gives up; that it was gone already is no error of the build.
		_ = s.Close()
		<-served
	}()

	t := newTracker(report, redactor(values, o.Sensitive))
	imageID, err = request(run, api, o.engineOptions(src, s.ID()), t)
	if err != nil {
		// What ended the context says more than the request that broke off because of it.
		if cause := context.Cause(run); cause != nil {
			err = cause
		}
		return "", fmt.Errorf("build %s: %w", src.dockerfile, err)
	}
	return imageID, nil
}

// Failure is the error of a build that made no image: what it needs could not be read, or the engine said that it failed.
type Failure struct{ err error }

func (f *Failure) Error() string { return f.err.Error() }
func (f *Failure) Unwrap() error { return f.err }

// request sends the build and follows it to its end.
func request(ctx context.Context, api Client, o build.ImageBuildOptions, t *tracker) (imageID string, _ error) {
	res, err := api.ImageBuild(ctx, nil, o)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }() // read to its end, or given up with an error of its own
	return t.follow(res.Body)
}

// engineOptions puts o into the Engine's words.
func (o Options) engineOptions(src source, sessionID string) build.ImageBuildOptions {
	args := make(map[string]*string, len(o.Args))
	for name, value := range o.Args {
		args[name] = &value
	}
	return build.ImageBuildOptions{
		Version:       build.BuilderBuildKit,
		SessionID:     sessionID,
		RemoteContext: "client-session",
		Dockerfile:    filepath.Base(src.dockerfile),
		Target:        o.Target,
		BuildArgs:     args,
		Labels:        o.Labels,
		Tags:          o.Tags,
		Platform:      o.Platform,
		NoCache:       o.NoCache,
		PullParent:    o.Pull,
		NetworkMode:   o.NetworkMode,
		ExtraHosts:    o.ExtraHosts,
		CacheFrom:     o.CacheFrom,
	}
}

// Secret is a value for RUN --mount=type=secret. It is read when the build starts and is nowhere written:
// not into the image, its history, an Event, an error, nor into what Inputs hashes (its ID is).
// Exactly one of File, Env and Value says where it comes from.
type Secret struct {
	ID    string
	File  string // path of a file
	Env   string // name of an environment variable, which must be set
	Value []byte
}

// read returns the secret's value.
func (s Secret) read() ([]byte, error) {
	sources := 0
	for _, given := range []bool{s.File != "", s.Env != "", s.Value != nil} {
		if given {
			sources++
		}
	}
	switch {
	case s.ID == "":
		return nil, errors.New("build secret: it has no id; a RUN finds it by its id")
	case sources != 1:
		return nil, fmt.Errorf("build secret %q: give it either a file, an environment variable or a value", s.ID)
	case s.Env != "":
		value, ok := os.LookupEnv(s.Env)
		if !ok {
			return nil, fmt.Errorf("build secret %q: the environment variable %s is not set", s.ID, s.Env)
		}
		return []byte(value), nil
	case s.File != "":
		value, err := os.ReadFile(s.File)
		if err != nil {
			return nil, fmt.Errorf("build secret %q: %w", s.ID, err)
		}
		return value, nil
	}
	return s.Value, nil
}
