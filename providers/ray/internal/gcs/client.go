package gcs

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

var (
	// ErrUnavailable says that Ray did not answer: the head is starting, is
	// gone, or the way to it is cut. The same call may succeed later.
	ErrUnavailable = errors.New("ray does not answer")

	// ErrUnauthenticated says that Ray answered and refused the token.
	ErrUnauthenticated = errors.New("ray refused the token")

	// ErrUnreadable says that Ray answered something else than it documents.
	// Asking again gives the same.
	ErrUnreadable = errors.New("ray's answer cannot be read")
)

const (
	service = "/ray.rpc.autoscaler.AutoscalerStateService/"

	// callTimeout bounds a call whose context has no nearer end: a connection
	// that was cut without a word would otherwise hold it forever.
	callTimeout = 15 * time.Second

	// maxReply bounds what one answer may hold, in bytes. A node takes less
	// than 4 KiB of it.
	maxReply = 64 << 20
)

// Client asks one cluster through its head. It is safe for concurrent use and
// connects again by itself after the head was away.
type Client struct {
	exec   Exec
	token  string
	life   context.Context // ends with Close: relays outlive the call that started them
	cancel context.CancelFunc
	conn   *grpc.ClientConn

	mu   sync.Mutex
	dial error // why the last attempt to connect failed
}

// Dial prepares a client that starts its processes with exec. Nothing is
// started before the first call, so the head need not be up yet. An empty
// token sends none.
//
// The client, and each process it started, lives until Close or the end of ctx.
func Dial(ctx context.Context, exec Exec, token string) (*Client, error) {
	c := &Client{exec: exec, token: token}
	c.life, c.cancel = context.WithCancel(ctx)
	conn, err := grpc.NewClient("passthrough:///ray-gcs",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(c.connect),
		// A head that starts is asked again and again, so look for it often:
		// the default waits up to two minutes between attempts.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 10 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(maxReply)),
	)
	if err != nil {
		c.cancel()
		return nil, fmt.Errorf("prepare the connection to ray's GCS: %w", err)
	}
	c.conn = conn
	return c, nil
}

// Close ends the connection and the processes in the head.
func (c *Client) Close() error {
	c.cancel()
	return c.conn.Close()
}

// Nodes asks the GCS for every node it knows, the dead ones too, and for what
// waits for a place. Nodes are in the order of their instance, then of their
// ID; pending shapes are in the order of their text.
//
// The error is ErrUnavailable, ErrUnauthenticated, ErrUnreadable, the context's,
// or one of gRPC's that is none of these.
func (c *Client) Nodes(ctx context.Context) (Cluster, error) {
	// The empty request asks for the whole state, whatever was seen before.
	reply, err := c.call(ctx, "GetClusterResourceState", nil)
	if err != nil {
		return Cluster{}, fmt.Errorf("list ray's nodes: %w", err)
	}
	cluster, err := decodeCluster(reply)
	if err != nil {
		return Cluster{}, fmt.Errorf("list ray's nodes: %w: %w", ErrUnreadable, err)
	}
	return cluster, nil
}

// DrainReason says how much a drain may disturb.
type DrainReason int

const (
	// IdleTermination is refused by a node that is busy or holds a result.
	IdleTermination DrainReason = 1
	// Preemption is never refused: tasks move on, actors stay until the node
	// is stopped.
	Preemption DrainReason = 2
)

// Drain asks the GCS to give the node no more work. nodeID is the node's ID in
// hex; message is shown by Ray. A zero deadline is none; Ray takes a deadline
// as a hint and does not enforce it.
//
// Accepted means that the node is draining or dead already, also where the GCS
// never knew it; refused, why holds Ray's reason. After an error it is not
// known whether the drain began; asking again is safe.
func (c *Client) Drain(ctx context.Context, nodeID string, reason DrainReason, message string, deadline time.Time) (accepted bool, why string, err error) {
	id, err := hex.DecodeString(nodeID)
	if err != nil {
		return false, "", fmt.Errorf("drain ray node %q: its ID is not hexadecimal", nodeID)
	}
	// Ray "accepts" an empty ID and drains nothing.
	if len(id) == 0 {
		return false, "", errors.New("drain a ray node: its ID is empty")
	}
	reply, err := c.call(ctx, "DrainNode", encodeDrain(id, reason, message, deadline))
	if err != nil {
		return false, "", fmt.Errorf("drain ray node %s: %w", nodeID, err)
	}
	accepted, why, err = decodeDrainReply(reply)
	if err != nil {
		return false, "", fmt.Errorf("drain ray node %s: %w: %w", nodeID, ErrUnreadable, err)
	}
	return accepted, why, nil
}

func (c *Client) call(ctx context.Context, method string, request []byte) ([]byte, error) {
	callCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if c.token != "" {
		callCtx = metadata.AppendToOutgoingContext(callCtx, "authorization", "Bearer "+c.token)
	}
	var reply []byte
	err := c.conn.Invoke(callCtx, service+method, &request, &reply)
	if err == nil {
		return reply, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, c.explain(err)
}

// explain turns a gRPC error into one of this package.
func (c *Client) explain(err error) error {
	message := status.Convert(err).Message()
	switch status.Code(err) {
	case codes.Unauthenticated:
		return fmt.Errorf("%w: %s", ErrUnauthenticated, message)
	case codes.Unavailable:
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.dial != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, c.dial)
		}
		return fmt.Errorf("%w: %s", ErrUnavailable, message)
	case codes.DeadlineExceeded:
		return fmt.Errorf("%w: nothing came back within %s", ErrUnavailable, callTimeout)
	case codes.Canceled:
		return fmt.Errorf("the client was closed: %w", err)
	case codes.Unimplemented:
		return fmt.Errorf("this GCS does not know the call (is the image's Ray older than 2.54?): %w", err)
	}
	return err
}

// connect starts a relay in the head and returns it as a connection.
func (c *Client) connect(ctx context.Context, _ string) (net.Conn, error) {
	// Not ctx: gRPC ends that one as soon as the connection stands.
	conn, err := openRelay(ctx, c.life, c.exec)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dial = err
	return conn, err
}

// rawCodec hands bytes through: the messages are made and read in this package.
type rawCodec struct{}

// Name is the content subtype that Ray's gRPC server expects.
func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) ([]byte, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("marshal %T: only *[]byte is known", v)
	}
	return *b, nil
}

func (rawCodec) Unmarshal(data []byte, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("unmarshal into %T: only *[]byte is known", v)
	}
	// gRPC takes data back after the call.
	*b = append([]byte(nil), data...)
	return nil
}
