package gcs

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// msg writes a message field by field, in any order and with any field.
type msg []byte

func (m msg) bytes(num protowire.Number, v []byte) msg {
	return protowire.AppendBytes(protowire.AppendTag(m, num, protowire.BytesType), v)
}

func (m msg) str(num protowire.Number, v string) msg { return m.bytes(num, []byte(v)) }

func (m msg) int(num protowire.Number, v int64) msg {
	return protowire.AppendVarint(protowire.AppendTag(m, num, protowire.VarintType), uint64(v))
}

func (m msg) double(num protowire.Number, v float64) msg {
	return protowire.AppendFixed64(protowire.AppendTag(m, num, protowire.Fixed64Type), math.Float64bits(v))
}

func (m msg) amount(num protowire.Number, key string, v float64) msg {
	return m.bytes(num, msg{}.str(1, key).double(2, v))
}

func (m msg) label(num protowire.Number, key, v string) msg {
	return m.bytes(num, msg{}.str(1, key).str(2, v))
}

// fakeHead is a container with a GCS in it: it answers relays and records what
// it was asked.
type fakeHead struct {
	server *grpc.Server
	conns  pipeListener
	answer func(method string, request []byte) ([]byte, error)

	mu       sync.Mutex
	greeting string // what the next relay says first
	cmds     [][]string
	tokens   []string
	requests map[string][][]byte
	open     []net.Conn // the relays' ends in the head
}

func newFakeHead(t *testing.T, answer func(method string, request []byte) ([]byte, error)) *fakeHead {
	t.Helper()
	h := &fakeHead{greeting: "ok\n", answer: answer, conns: make(pipeListener), requests: map[string][][]byte{}}
	h.server = grpc.NewServer(grpc.ForceServerCodec(rawCodec{}), grpc.UnknownServiceHandler(h.handle))
	go func() { _ = h.server.Serve(h.conns) }()
	t.Cleanup(h.server.Stop)
	return h
}

func (h *fakeHead) handle(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	method = strings.TrimPrefix(method, service)
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	md, _ := metadata.FromIncomingContext(stream.Context())
	h.mu.Lock()
	h.requests[method] = append(h.requests[method], request)
	h.tokens = append(h.tokens, md.Get("authorization")...)
	h.mu.Unlock()
	reply, err := h.answer(method, request)
	if err != nil {
		return err
	}
	return stream.SendMsg(&reply)
}

func (h *fakeHead) exec(_ context.Context, cmd []string) (io.ReadWriteCloser, error) {
	near, far := net.Pipe()
	h.mu.Lock()
	greeting := h.greeting
	h.cmds = append(h.cmds, cmd)
	h.open = append(h.open, far)
	h.mu.Unlock()
	go func() {
		_, _ = io.WriteString(far, greeting)
		if greeting != "ok\n" {
			_ = far.Close()
			return
		}
		h.conns <- far
	}()
	return near, nil
}

// cut ends every connection, as the death of the head does.
func (h *fakeHead) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.open {
		_ = c.Close()
	}
	h.open = nil
}

func (h *fakeHead) greet(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.greeting = text
}

type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l pipeListener) Close() error   { close(l); return nil }
func (l pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "fake head"} }

func dial(t *testing.T, exec Exec, token string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), exec, token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// emptyState is an answer of a GCS that knows no node.
func emptyState(string, []byte) ([]byte, error) { return msg{}.bytes(1, nil), nil }

func TestCallCarriesTheTokenInMetadataOnly(t *testing.T) {
	head := newFakeHead(t, emptyState)
	c := dial(t, head.exec, "s3cret")
	if _, err := c.Nodes(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"Bearer s3cret"}; !slices.Equal(head.tokens, want) {
		t.Errorf("the GCS saw authorization %q, want %q", head.tokens, want)
	}
	for _, cmd := range head.cmds {
		if strings.Contains(strings.Join(cmd, " "), "s3cret") {
			t.Errorf("the token stands in the command line %q", cmd)
		}
	}
	if cmd := head.cmds[0]; cmd[0] != "python3" || !slices.Contains(cmd, "-S") {
		t.Errorf("the relay runs as %q, want an isolated python3", cmd)
	}
}

func TestNoTokenSendsNone(t *testing.T) {
	head := newFakeHead(t, emptyState)
	if _, err := dial(t, head.exec, "").Nodes(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(head.tokens) != 0 {
		t.Errorf("the GCS saw authorization %q, want none", head.tokens)
	}
}

func TestDrain(t *testing.T) {
	head := newFakeHead(t, func(method string, request []byte) ([]byte, error) {
		if method != "DrainNode" {
			return nil, status.Error(codes.Unimplemented, method)
		}
		if strings.Contains(string(request), "busy") {
			return msg{}.int(1, 0).str(2, "CPU currently in use").str(9, "later"), nil
		}
		return msg{}.int(1, 1), nil
	})
	c := dial(t, head.exec, "")

	accepted, why, err := c.Drain(t.Context(), "00ff", Preemption, "scale down", time.UnixMilli(1700000000123))
	if err != nil || !accepted || why != "" {
		t.Errorf("drain = %v, %q, %v; want it accepted", accepted, why, err)
	}
	want := msg{}.bytes(1, []byte{0, 255}).int(2, 2).str(3, "scale down").int(4, 1700000000123)
	if got := head.requests["DrainNode"][0]; !slices.Equal(got, want) {
		t.Errorf("the request was %x, want %x", got, []byte(want))
	}

	accepted, why, err = c.Drain(t.Context(), "00ff", IdleTermination, "busy", time.Time{})
	if err != nil || accepted || why != "CPU currently in use" {
		t.Errorf("drain = %v, %q, %v; want it refused with Ray's reason", accepted, why, err)
	}
	want = msg{}.bytes(1, []byte{0, 255}).int(2, 1).str(3, "busy")
	if got := head.requests["DrainNode"][1]; !slices.Equal(got, want) {
		t.Errorf("the request without a deadline was %x, want %x", got, []byte(want))
	}
}

func TestDrainRefusesABadIDWithoutAsking(t *testing.T) {
	head := newFakeHead(t, func(string, []byte) ([]byte, error) { return msg{}.int(1, 1), nil })
	c := dial(t, head.exec, "")
	for _, id := range []string{"", "xyz", "abc"} {
		if accepted, _, err := c.Drain(t.Context(), id, Preemption, "", time.Time{}); err == nil || accepted {
			t.Errorf("drain of %q = %v, %v; want an error", id, accepted, err)
		}
	}
	if n := len(head.requests["DrainNode"]); n != 0 {
		t.Errorf("the GCS was asked %d times, want 0", n)
	}
}

func TestErrorsHaveTypes(t *testing.T) {
	tests := []struct {
		name     string
		answer   error
		greeting string
		execErr  error
		is       error
		text     string
	}{
		{name: "no token", answer: status.Error(codes.Unauthenticated, "InvalidAuthToken"), is: ErrUnauthenticated, text: "InvalidAuthToken"},
		{name: "unavailable", answer: status.Error(codes.Unavailable, "shutting down"), is: ErrUnavailable, text: "shutting down"},
		{name: "no GCS yet", greeting: "failed [Errno 111] Connection refused\n", is: ErrUnavailable, text: "127.0.0.1:6379 in the head's container: [Errno 111] Connection refused"},
		{name: "no python", greeting: "OCI runtime exec failed: python3 not found\n", is: ErrUnavailable, text: "start the relay in the head's container: OCI runtime exec failed"},
		{name: "dead at once", greeting: "", is: ErrUnavailable, text: "does the image have python3?"},
		{name: "endless line", greeting: strings.Repeat("x", 1<<16), is: ErrUnavailable, text: "buffer full"},
		{name: "no container", execErr: errNoContainer, is: errNoContainer, text: "start the relay"},
		{name: "no container is not up either", execErr: errNoContainer, is: ErrUnavailable, text: "no such container"},
		{name: "old Ray", answer: status.Error(codes.Unimplemented, "unknown method"), text: "older than 2.54"},
		{name: "other", answer: status.Error(codes.Internal, "assertion"), text: "assertion"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			head := newFakeHead(t, func(m string, r []byte) ([]byte, error) {
				if test.answer != nil {
					return nil, test.answer
				}
				return emptyState(m, r)
			})
			if test.answer == nil {
				head.greet(test.greeting)
			}
			exec := head.exec
			if test.execErr != nil {
				exec = func(context.Context, []string) (io.ReadWriteCloser, error) { return nil, test.execErr }
			}
			_, err := dial(t, exec, "s3cret").Nodes(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v is not %v", err, test.is)
			}
			if test.is != ErrUnavailable && test.is != errNoContainer && errors.Is(err, ErrUnavailable) {
				t.Errorf("%v is ErrUnavailable", err)
			}
			if !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v does not say %q", err, test.text)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%v holds the token", err)
			}
		})
	}
}

var errNoContainer = errors.New("no such container")

func TestTheCallersContextEndsACall(t *testing.T) {
	asked := make(chan struct{})
	release := make(chan struct{})
	head := newFakeHead(t, func(m string, r []byte) ([]byte, error) {
		close(asked)
		<-release
		return emptyState(m, r)
	})
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err := dial(t, head.exec, "").Nodes(ctx)
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
		t.Errorf("error %v, want the context's own", err)
	}
}

func TestTheClientConnectsAgain(t *testing.T) {
	head := newFakeHead(t, emptyState)
	head.greet("failed Connection refused\n")
	c := dial(t, head.exec, "")
	if _, err := c.Nodes(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("before the GCS is up: %v, want ErrUnavailable", err)
	}
	head.greet("ok\n")
	untilAnswered(t, c)
	head.cut()
	untilAnswered(t, c)
}

// untilAnswered asks until the GCS answers; nothing but ErrUnavailable may come
// before. The test's own time limit ends it.
func untilAnswered(t *testing.T, c *Client) {
	t.Helper()
	for {
		_, err := c.Nodes(t.Context())
		if err == nil {
			return
		}
		if !errors.Is(err, ErrUnavailable) {
			t.Fatalf("while the head is away: %v, want ErrUnavailable", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestCloseEndsTheRelay(t *testing.T) {
	head := newFakeHead(t, emptyState)
	relays := make(chan *watched, 1)
	c := dial(t, func(ctx context.Context, cmd []string) (io.ReadWriteCloser, error) {
		stream, err := head.exec(ctx, cmd)
		w := &watched{ReadWriteCloser: stream, closed: make(chan struct{}), life: ctx}
		relays <- w
		return w, err
	}, "")
	if _, err := c.Nodes(t.Context()); err != nil {
		t.Fatal(err)
	}
	relay := <-relays
	if relay.life.Err() != nil {
		t.Error("the relay's context ended with the connecting, want it to live as long as the client")
	}
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	<-relay.closed
	<-relay.life.Done()
	if _, err := c.Nodes(t.Context()); err == nil {
		t.Error("a closed client answered")
	}
}

type watched struct {
	io.ReadWriteCloser
	once   sync.Once
	closed chan struct{}
	life   context.Context
}

func (w *watched) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.ReadWriteCloser.Close()
}
