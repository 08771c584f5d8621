package raytest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/ray"
	"github.com/gapool/gapool/schema"
)

// boxes is a world whose containers can be looked into.
type boxes struct {
	providers.Provider
	r *Ray
}

func (b boxes) Connect(ctx context.Context, cfg cty.Value) (providers.Engine, error) {
	e, err := b.Provider.Connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return box{e, b.r}, nil
}

type box struct {
	providers.Engine
	r *Ray
}

// answer is what a command prints; what is written to it is lost.
type answer struct{ io.Reader }

func (answer) Write(p []byte) (int, error) { return len(p), nil }
func (answer) Close() error                { return nil }

// Exec runs the one command that package ray runs besides a relay, in
// containers that run.
func (b box) Exec(_ context.Context, container string, cmd []string) (io.ReadWriteCloser, error) {
	if err := b.runs(container); err != nil {
		return nil, err
	}
	var deaf bool
	b.r.locked(func() { deaf = b.r.deaf })
	if deaf || !slices.Equal(cmd, ray.PreflightCommand()) {
		return nil, fmt.Errorf("raytest: no container runs %.80q", strings.Join(cmd, " "))
	}
	return answer{strings.NewReader(`gapool-preflight {"ray":"2.60.0","python":"3.11.2","dashboard":true,"nofile_soft":1048576,"nofile_hard":1048576}` + "\n")}, nil
}

// Refresh says of containers that run since when they do.
func (b box) Refresh(ctx context.Context, scope providers.Scope) (*providers.World, error) {
	w, err := b.Engine.Refresh(ctx, scope)
	if err != nil {
		return nil, err
	}
	var since time.Time
	b.r.locked(func() {
		if b.r.uptime != nil {
			since = time.Now().Add(-*b.r.uptime)
		}
	})
	for i, obj := range w.Objects {
		if b.runs(obj.Name) == nil {
			own := *obj
			own.Since = since
			w.Objects[i] = &own
		}
	}
	return w, nil
}

func (b box) runs(container string) error {
	for _, obj := range b.r.world.Running(kind) {
		if obj.Name == container || obj.ID == container {
			return nil
		}
	}
	return fmt.Errorf("container %s does not run", container)
}

// ReadFile returns a file that a container was made with. The token of a head
// that another process has made is taken to be what token says.
func (b box) ReadFile(_ context.Context, container, path string) ([]byte, error) {
	if path == ray.TokenPath {
		return []byte(b.r.token(container)), nil
	}
	return nil, fmt.Errorf("container %s: %s: %w", container, path, providers.ErrNotFound)
}

// Logs returns what Ray.Fail said.
func (b box) Logs(_ context.Context, container string, _ int) (string, error) {
	var log string
	b.r.locked(func() {
		if f := b.r.failing[container]; f != nil {
			log = f.log
		}
	})
	return log, nil
}

// Resource returns verbs that keep the files which containers are made with, and
// note when they are started again.
func (b box) Resource(addr schema.Addr) providers.Resource {
	res := b.Engine.Resource(addr)
	if addr.Type == kind {
		return keeping{res, b.r}
	}
	return res
}

type keeping struct {
	providers.Resource
	r *Ray
}

func (k keeping) Create(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	for _, f := range req.Files {
		if f.Path == ray.TokenPath {
			k.r.locked(func() { k.r.tokens[req.Name] = string(f.Content) })
		}
	}
	return k.Resource.Create(ctx, req)
}

func (k keeping) Update(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	if slices.Contains(req.Changed, "must_run") {
		k.r.locked(func() { k.r.starts[req.Prior.ID]++ })
	}
	return k.Resource.Update(ctx, req)
}

func (k keeping) Rename(ctx context.Context, obj *providers.Object, name string) (*providers.Object, error) {
	r, ok := k.Resource.(providers.Renamer)
	if !ok {
		return nil, providers.NoEffect(fmt.Errorf("a %s cannot be renamed", kind))
	}
	return r.Rename(ctx, obj, name)
}

func (k keeping) Linger(req *providers.Request) time.Duration {
	l, ok := k.Resource.(providers.Lingerer)
	if !ok {
		return 0
	}
	return l.Linger(req)
}
