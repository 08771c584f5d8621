package docker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/docker/cli/cli/connhelper"
	"github.com/docker/docker/client"
)

const (
	// sshLogins is how many connections over SSH log in at once: sshd turns away
	// whoever comes while ten others, of anybody, have not logged in yet
	// (MaxStartups).
	sshLogins = 4
	// sshConns is how many connections over SSH there are at most, and all are
	// kept for the next call: each costs a login. No call waits for another one,
	// and streams, which may, have connections of their own.
	sshConns = 16
)

// sshOpts are the client's options for an engine at an ssh:// host, which the
// ssh command reaches; nil for any other host.
func sshOpts(host string) ([]client.Opt, error) {
	helper, err := connhelper.GetConnectionHelper(host)
	if helper == nil || err != nil {
		return nil, err
	}
	d := &sshDialer{dial: helper.Dialer, logins: make(chan struct{}, sshLogins)}
	transport := &http.Transport{DialContext: d.Dial, MaxConnsPerHost: sshConns, MaxIdleConnsPerHost: sshConns}
	return []client.Opt{
		client.WithHTTPClient(&http.Client{Transport: transport}),
		client.WithHost(helper.Host), client.WithDialContext(d.Dial),
	}, nil
}

// sshDialer opens connections to an engine over SSH, a few at a time.
type sshDialer struct {
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	logins chan struct{}
}

// Dial returns a connection on which the engine has answered. Without that
// nobody knows when the ssh command has logged in, or why it could not.
func (d *sshDialer) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	select {
	case d.logins <- struct{}{}:
		defer func() { <-d.logins }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	// The ssh command knows no deadline: what it waits for ends with it.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err = greet(conn)
	if !stop() {
		return nil, ctx.Err()
	}
	if err != nil {
		_ = conn.Close() // that it closes badly is no news
		return nil, errors.New(keptByClient.Replace(strings.Join(strings.Fields(err.Error()), " ")))
	}
	return conn, nil
}

// keptByClient are two phrases at which the client would put words of its own
// for the whole error.
var keptByClient = strings.NewReplacer("connection refused", "Connection refused", "dial unix", "Dial unix")

// greet waits for the engine's first answer.
func greet(conn net.Conn) error {
	ping, err := http.NewRequest(http.MethodHead, "http://docker/_ping", nil)
	if err != nil {
		return err
	}
	writing := ping.Write(conn)
	r := bufio.NewReader(conn)
	// Reading says why the ssh command ended; writing only that it did.
	const http1 = "HTTP/"
	if head, err := r.Peek(len(http1)); err != nil {
		return err
	} else if string(head) != http1 {
		line, _ := r.ReadString('\n') // what came of it is enough
		return fmt.Errorf("the login prints %q, and not what a Docker engine says; look at that user's shell", strings.TrimSpace(line))
	}
	answer, err := http.ReadResponse(r, ping)
	if err != nil {
		return err
	}
	if err := errors.Join(writing, answer.Body.Close()); err != nil {
		return err
	}
	if answer.Close || r.Buffered() > 0 {
		return errors.New("what answers there is no Docker engine")
	}
	return nil
}

// sshSays is why a connection over SSH came to nothing, in the words of the ssh
// command; nil if that is not known.
func sshSays(err error) error {
	var call *url.Error
	if !client.IsErrConnectionFailed(err) || !errors.As(err, &call) {
		return nil
	}
	return errors.New(strings.TrimRight(call.Err.Error(), "."))
}
