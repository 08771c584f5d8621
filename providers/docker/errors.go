package docker

import (
	"errors"
	"fmt"
	"net/url"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/gapool/gapool/providers"
)

// refused reports whether the engine answered with a 4xx: it understood the
// call and did nothing.
func refused(err error) bool {
	return cerrdefs.IsInvalidArgument(err) || cerrdefs.IsNotFound(err) || cerrdefs.IsConflict(err) ||
		cerrdefs.IsPermissionDenied(err) || cerrdefs.IsUnauthorized(err) || cerrdefs.IsFailedPrecondition(err)
}

// first is the error of the first changing call of a verb: one that was refused
// left the world as it was.
func first(what string, err error) error {
	err = fmt.Errorf("%s: %w", what, told(err))
	if refused(err) {
		return providers.NoEffect(err)
	}
	return err
}

// notFound turns the engine's 404 into ErrNotFound. Any other error stays what
// it is: it says nothing about the object.
func notFound(what string, err error) error {
	if cerrdefs.IsNotFound(err) {
		return fmt.Errorf("%s: %w", what, providers.ErrNotFound)
	}
	return fmt.Errorf("%s: %w", what, told(err))
}

// told puts into words that a call got no answer. What the client says of that
// is the call's address on the wire, with the socket's path in percent signs.
func told(err error) error {
	var call *url.Error
	if client.IsErrConnectionFailed(err) && errors.As(err, &call) {
		return fmt.Errorf("the connection to the engine broke off: %w", call.Err)
	}
	return err
}

// conflict says that something is taken, and changed nothing.
func conflict(format string, args ...any) error {
	return providers.NoEffect(fmt.Errorf("%w: %w", providers.ErrConflict, fmt.Errorf(format, args...)))
}

// problem is an error that was found before anything was asked of the engine.
func problem(format string, args ...any) error {
	return providers.NoEffect(fmt.Errorf(format, args...))
}

// exists reports whether err, the answer to a look at something, says that it
// is there; the error is one that says neither.
func exists(err error) (bool, error) {
	switch {
	case err == nil:
		return true, nil
	case cerrdefs.IsNotFound(err):
		return false, nil
	default:
		return false, err
	}
}

var errNotOurs = errors.New("the object is another one than was planned for")
