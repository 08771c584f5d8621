package ray

import (
	"context"
	"io"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/ray/internal/gcs"
)

// Container is what the engine of the provider underneath must be able to do
// besides the contract. A container is named by its ID or its name.
type Container interface {
	// Exec starts cmd in the container. The stream is its standard input and
	// its standard output; its life ends with ctx or with Close.
	Exec(ctx context.Context, container string, cmd []string) (io.ReadWriteCloser, error)
	// ReadFile returns the content of a file in the container.
	ReadFile(ctx context.Context, container, path string) ([]byte, error)
	// Logs returns the last lines of what the container printed.
	Logs(ctx context.Context, container string, tail int) (string, error)
}

// asker asks a cluster. It is a *gcs.Client but in tests.
type asker interface {
	Nodes(ctx context.Context) (gcs.Cluster, error)
	Jobs(ctx context.Context) ([]gcs.Job, error)
	Close() error
}

type dialer func(ctx context.Context, exec gcs.Exec, token string) (asker, error)

func newEngine(p *provider, inner providers.Engine) (providers.Engine, error) {
	return inner, nil
}
