package ray

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/ray/internal/gcs"
	"github.com/gapool/gapool/schema"
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

// Asker asks one cluster; see gcs.Client, which it is but in tests.
type Asker interface {
	Nodes(ctx context.Context) (gcs.Cluster, error)
	Jobs(ctx context.Context) ([]gcs.Job, error)
	Drain(ctx context.Context, nodeID string, reason gcs.DrainReason, message string, deadline time.Time) (accepted bool, why string, err error)
	Close() error
}

// Dialer prepares to ask the cluster of a head, without asking it yet.
type Dialer func(ctx context.Context, head string, exec gcs.Exec, token string) (Asker, error)

func dialGCS(ctx context.Context, _ string, exec gcs.Exec, token string) (Asker, error) {
	return gcs.Dial(ctx, exec, token)
}

// engine is another one with clusters. A head is known by its container's
// name, which is unique on an engine.
type engine struct {
	providers.Engine
	p      *provider
	box    Container
	life   context.Context // ends with Close: connections outlive the call that made them
	cancel context.CancelFunc

	mu    sync.Mutex
	conns map[string]*conn         // by the head's name
	heads map[string]providers.Ref // by the head's name
}

// conn is the way to one cluster, opened at the first use.
type conn struct {
	mu    sync.Mutex
	asker Asker
}

func newEngine(ctx context.Context, p *provider, inner providers.Engine) (providers.Engine, error) {
	box, ok := inner.(Container)
	if !ok {
		return nil, fmt.Errorf("ray: the provider %s cannot run commands in containers", p.Name())
	}
	e := &engine{Engine: inner, p: p, box: box, conns: map[string]*conn{}, heads: map[string]providers.Ref{}}
	e.life, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return e, nil
}

// Close ends all connections.
func (e *engine) Close() error {
	e.cancel()
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for _, c := range e.conns {
		errs = append(errs, c.close())
	}
	clear(e.conns)
	return errors.Join(append(errs, e.Engine.Close())...)
}

func (c *conn) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asker == nil {
		return nil
	}
	err := c.asker.Close()
	c.asker = nil
	return err
}

// Resource returns the verbs of a cluster, of a member, or of the provider
// underneath.
func (e *engine) Resource(addr schema.Addr) providers.Resource {
	switch {
	case addr.Type != ClusterType:
		return e.Engine.Resource(addr)
	case addr.Member.IsZero():
		return &clusters{e}
	default:
		return &members{e: e, inner: e.containers()}
	}
}

// containers are the verbs of plain containers.
func (e *engine) containers() providers.Resource {
	return e.Engine.Resource(schema.Addr{Type: containerType, Name: "member"})
}

// asker returns the way to the cluster of a head. With secured the head's token
// is read first.
func (e *engine) asker(ctx context.Context, head string, secured bool) (Asker, error) {
	e.mu.Lock()
	c := e.conns[head]
	if c == nil {
		c = &conn{}
		e.conns[head] = c
	}
	e.mu.Unlock()

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asker != nil {
		return c.asker, nil
	}
	token := ""
	if secured {
		var err error
		if token, err = e.token(ctx, head); err != nil {
			return nil, err
		}
	}
	exec := func(ctx context.Context, cmd []string) (io.ReadWriteCloser, error) { return e.box.Exec(ctx, head, cmd) }
	asker, err := e.p.dial(e.life, head, exec, token)
	c.asker = asker
	return asker, err
}

// token reads the cluster's token where its head has it: it is kept nowhere else.
func (e *engine) token(ctx context.Context, head string) (string, error) {
	b, err := e.box.ReadFile(ctx, head, TokenPath)
	if err != nil {
		return "", fmt.Errorf("read the cluster's token in container %s: %w", head, err)
	}
	return strings.TrimSpace(string(b)), nil
}

// forget ends the connection to a head that is gone or made anew.
func (e *engine) forget(head string) {
	e.mu.Lock()
	c := e.conns[head]
	delete(e.conns, head)
	delete(e.heads, head)
	e.mu.Unlock()
	if c != nil {
		_ = c.close() // nothing was left unread
	}
}

// remember notes where a head is, so that it can be read by its ID.
func (e *engine) remember(head *providers.Object) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heads[head.Name] = head.Ref()
}

// headRuns reports whether a head is there and runs. An error of the engine
// says nothing about it.
func (e *engine) headRuns(ctx context.Context, head string) bool {
	e.mu.Lock()
	ref, ok := e.heads[head]
	e.mu.Unlock()
	if !ok {
		ref = providers.Ref{Kind: containerType, Name: head}
	}
	obj, err := e.containers().Read(ctx, ref)
	if errors.Is(err, providers.ErrNotFound) {
		return false
	}
	return err != nil || !stopped(obj)
}

// nodes asks Ray for its nodes.
func (e *engine) nodes(ctx context.Context, head string, secured bool) (gcs.Cluster, error) {
	return question(ctx, e, head, secured, Asker.Nodes)
}

// jobs asks Ray for the jobs that have not ended.
func (e *engine) jobs(ctx context.Context, head string, secured bool) ([]gcs.Job, error) {
	list, err := question(ctx, e, head, secured, Asker.Jobs)
	return slices.DeleteFunc(list, func(j gcs.Job) bool { return !j.Active() }), err
}

// question asks the cluster of a head. A token that was refused is read once
// more: the head may have been made anew by somebody else.
func question[T any](ctx context.Context, e *engine, head string, secured bool, ask func(Asker, context.Context) (T, error)) (T, error) {
	for again := false; ; again = true {
		asker, err := e.asker(ctx, head, secured)
		if err != nil {
			var none T
			return none, err
		}
		answer, err := ask(asker, ctx)
		if again || !errors.Is(err, gcs.ErrUnauthenticated) {
			return answer, err
		}
		e.forget(head)
	}
}

// output runs a command in a container and returns what it prints.
func (e *engine) output(ctx context.Context, container string, cmd []string) ([]byte, error) {
	stream, err := e.box.Exec(ctx, container, cmd)
	if err != nil {
		return nil, fmt.Errorf("run %s in container %s: %w", cmd[0], container, err)
	}
	defer context.AfterFunc(ctx, func() { _ = stream.Close() })()
	out, err := io.ReadAll(stream)
	_ = stream.Close() // all was read
	return out, errors.Join(ctx.Err(), err)
}

// versions asks the head what it runs.
func (e *engine) versions(ctx context.Context, head string) (Versions, error) {
	out, err := e.output(ctx, head, PreflightCommand())
	if err != nil {
		return Versions{}, err
	}
	p, err := ParsePreflight(out)
	return p.Versions, err
}

// lastLines are the end of a container's log, to go under an error.
func (e *engine) lastLines(ctx context.Context, container string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	text, err := e.box.Logs(ctx, container, logTail)
	if err != nil || strings.TrimSpace(text) == "" {
		return ""
	}
	return strings.TrimRight(text, "\n")
}

// logTail is how many lines of a log an error shows.
const logTail = 20

// under adds the end of a container's log to a message.
func under(message, log string) string {
	if log == "" {
		return message
	}
	return message + "; the end of its log:\n" + log
}

// headOf returns the name of the head that a worker joins, from its command;
// empty for another container.
func headOf(attrs cty.Value) string {
	suffix := fmt.Sprintf(":%d", GCSPort)
	for _, word := range wordsOf(attrs, "command") {
		if address, ok := strings.CutPrefix(word, "--address="); ok && strings.HasSuffix(address, suffix) {
			return strings.TrimSuffix(address, suffix)
		}
	}
	return ""
}

func wordsOf(attrs cty.Value, attr string) []string {
	if attrs == cty.NilVal || attrs.IsNull() {
		return nil
	}
	list := attrs.GetAttr(attr)
	if list.IsNull() || !list.IsWhollyKnown() {
		return nil
	}
	var words []string
	for _, w := range list.AsValueSlice() {
		if !w.IsNull() {
			words = append(words, w.AsString())
		}
	}
	return words
}

// secured reports whether a member's environment asks for a token.
func secured(attrs cty.Value) bool {
	if attrs == cty.NilVal || attrs.IsNull() {
		return false
	}
	env := attrs.GetAttr("env")
	if env.IsNull() || !env.IsKnown() {
		return false
	}
	mode, ok := env.AsValueMap()["RAY_AUTH_MODE"]
	return ok && mode.IsKnown() && !mode.IsNull() && mode.AsString() == "token"
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// reporter tells each stage once.
func reporter(req *providers.Request) func(string) {
	var last string
	return func(stage string) {
		if stage != last {
			req.Report(providers.Progress{Stage: stage})
		}
		last = stage
	}
}

// sortObjects puts objects in the order that a world has them in.
func sortObjects(objs []*providers.Object) {
	slices.SortStableFunc(objs, func(a, b *providers.Object) int {
		return slices.Compare([]string{a.Kind, a.Name, a.ID}, []string{b.Kind, b.Name, b.ID})
	})
}
