package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// stderrLimit is how much of a process's standard error is kept, in bytes.
const stderrLimit = 4 << 10

// logLimit is how much of a container's log is kept, in bytes: a line of it can
// have any length.
const logLimit = 1 << 20

// ExitError is the end of a process that failed.
type ExitError struct {
	Code   int
	Stderr string // the end of it
}

func (e *ExitError) Error() string {
	s := fmt.Sprintf("exit code %d", e.Code)
	if e.Stderr != "" {
		s += ": " + e.Stderr
	}
	return s
}

// Exec starts cmd in a running container. What is written to the stream reaches
// its standard input, and what is read is its standard output alone; the read
// ends with io.EOF when the process ends well, else with an *ExitError. Close
// closes its standard input and releases a pending Read; ctx bounds the life of
// the stream, not only the start.
func (e *Engine) Exec(ctx context.Context, id string, cmd []string) (io.ReadWriteCloser, error) {
	what := fmt.Sprintf("exec %s in container %.12s", cmd[0], id)
	made, err := e.api.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd: cmd, AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, notFound(what, err)
	}
	conn, err := e.api.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	r, w := io.Pipe()
	s := &stream{Reader: r, out: w, conn: conn}
	s.stop = context.AfterFunc(ctx, func() { s.end(ctx.Err()) })
	go func() {
		stderr := tail{limit: stderrLimit}
		_, err := stdcopy.StdCopy(w, &stderr, conn.Reader)
		if err == nil {
			err = e.exit(ctx, made.ID, stderr.String())
		}
		if err != nil && !errors.Is(err, io.EOF) {
			err = fmt.Errorf("%s: %w", what, err)
		}
		_ = w.CloseWithError(err) // it always succeeds
	}()
	return s, nil
}

// exit is nil for a process that ended well. The engine notes the end a little
// after the stream's.
func (e *Engine) exit(ctx context.Context, execID, stderr string) error {
	for step := time.Millisecond; ; step = min(2*step, 100*time.Millisecond) {
		i, err := e.api.ContainerExecInspect(ctx, execID)
		switch {
		case err != nil:
			return err
		case !i.Running && i.ExitCode != 0:
			return &ExitError{Code: i.ExitCode, Stderr: strings.TrimSpace(stderr)}
		case !i.Running:
			return nil
		}
		if err := pause(ctx, step); err != nil {
			return err
		}
	}
}

// stream is the connection to a process.
type stream struct {
	io.Reader
	out  *io.PipeWriter
	conn types.HijackedResponse
	stop func() bool
	once sync.Once
}

func (s *stream) Write(p []byte) (int, error) { return s.conn.Conn.Write(p) }

func (s *stream) Close() error {
	s.stop()
	s.end(io.ErrClosedPipe)
	return nil
}

func (s *stream) end(err error) {
	s.once.Do(func() {
		// The reason first: what the copy makes of a closed connection comes
		// too late to be read instead of it.
		_ = s.out.CloseWithError(err) // it always succeeds
		s.conn.Close()
	})
}

// tail keeps the end of what is written to it.
type tail struct {
	bytes.Buffer
	limit int // bytes
}

func (t *tail) Write(p []byte) (int, error) {
	n, err := t.Buffer.Write(p)
	if over := t.Len() - t.limit; over > 0 {
		t.Next(over)
	}
	return n, err
}

// Logs returns the last lines of a container's log, its output and its errors
// as they came, up to 1 MiB of them.
func (e *Engine) Logs(ctx context.Context, id string, lines int) (_ string, err error) {
	what := fmt.Sprintf("log of container %.12s", id)
	c, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return "", notFound(what, err)
	}
	body, err := e.api.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(lines)})
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	out := tail{limit: logLimit}
	if c.Config.Tty {
		_, err = io.Copy(&out, body) // a terminal's log has no frames
	} else {
		_, err = stdcopy.StdCopy(&out, &out, body)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	return out.String(), nil
}
