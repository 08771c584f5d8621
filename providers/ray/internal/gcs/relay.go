package gcs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// Exec starts cmd in the head's container. What is written to the stream
// reaches the process's standard input, what is read from it is its standard
// output alone (not mixed with its standard error); the read ends with io.EOF
// when the process does.
//
// Close closes the process's standard input and releases a pending Read. The
// process may run until ctx ends: ctx bounds its whole life, not only its start.
type Exec func(ctx context.Context, cmd []string) (io.ReadWriteCloser, error)

// relayScript joins its standard input and output to the GCS. It needs nothing
// beyond Python's standard library, and no import of Ray, which takes a second.
//
// Its first line is "ok", or "failed" and why, so that a head without a GCS can
// be told from a container without Python. A closed input is passed on as a
// half-closed connection, whose answer is still awaited, but for two seconds at
// most: no relay may outlive its reader. The end of the connection ends it at
// once, although the other thread may be waiting for input: hence os._exit.
const relayScript = `
import os, socket, threading, time
def put(data):
    while data:
        data = data[os.write(1, data):]
def up(s):
    try:
        while True:
            data = os.read(0, 65536)
            if not data:
                break
            s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        time.sleep(2)
    finally:
        os._exit(0)
try:
    s = socket.create_connection(("127.0.0.1", 6379), 5)
    s.settimeout(None)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
except OSError as e:
    put(("failed %s\n" % e).encode())
    os._exit(1)
try:
    put(b"ok\n")
    threading.Thread(target=up, args=(s,), daemon=True).start()
    while True:
        data = s.recv(65536)
        if not data:
            break
        put(data)
finally:
    os._exit(0)
`

// python is the command that runs script: isolated (-I) from the variables and
// the working directory of the user's image, without its packages (-S).
func python(script string) []string {
	return []string{"python3", "-I", "-S", "-c", script}
}

// openRelay starts a relay that lives until life ends, and waits until it has
// reached the GCS or ctx ends.
func openRelay(ctx, life context.Context, exec Exec) (net.Conn, error) {
	stream, err := exec(life, python(relayScript))
	if err != nil {
		return nil, fmt.Errorf("start the relay in the head's container: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	reader := bufio.NewReader(stream)
	greeting, err := reader.ReadSlice('\n')
	if !stop() {
		return nil, errors.New("the relay in the head's container said nothing in time")
	}
	word, why, _ := strings.Cut(strings.TrimSpace(string(greeting)), " ")
	switch {
	case err == nil && word == "ok":
		return newRelayConn(stream, reader), nil
	case err == nil && word == "failed":
		err = fmt.Errorf("connect to the GCS at 127.0.0.1:6379 in the head's container: %s", why)
	case err == nil:
		// The engine writes here when it cannot start the process.
		err = fmt.Errorf("start the relay in the head's container: %s", strings.TrimSpace(string(greeting)))
	case errors.Is(err, io.EOF):
		err = errors.New("the relay in the head's container ended before it said a word (does the image have python3?)")
	default:
		err = fmt.Errorf("read from the relay in the head's container: %w", err)
	}
	_ = stream.Close()
	return nil, err
}

// relayConn is a stream as gRPC wants it: with deadlines, and with a Close that
// releases every pending read and write. net.Pipe has both, so the stream is
// pumped through one.
type relayConn struct {
	net.Conn
	stream io.Closer
}

func newRelayConn(stream io.ReadWriteCloser, from io.Reader) net.Conn {
	near, far := net.Pipe()
	go func() {
		_, _ = io.Copy(far, from)
		_ = far.Close()
	}()
	go func() {
		_, _ = io.Copy(stream, far)
		// Also after a failed write: nothing will be read that was not sent.
		_ = far.Close()
	}()
	return relayConn{Conn: near, stream: stream}
}

// Close ends the relay and the connection.
func (c relayConn) Close() error {
	return errors.Join(c.stream.Close(), c.Conn.Close())
}
