package build

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"github.com/moby/buildkit/session/filesync"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/tonistiigi/fsutil"
	"google.golang.org/grpc"

	"github.com/gapool/gapool/providers/docker/internal/login"
)

// newSession prepares what BuildKit may ask of us during the build: the context, the Dockerfile's directory, secrets, credentials.
func newSession(ctx context.Context, src source, secrets map[string][]byte) (*session.Session, error) {
	// Sessions with equal keys share what they sent: a file of unchanged size and time is not asked for again, even
	// if its content changed. The image would then bear the digest of inputs that it was not made from. So no two are equal.
	s, err := session.NewSession(ctx, identity.NewID())
	if err != nil {
		return nil, err
	}
	dockerfile, err := fsutil.NewFS(filepath.Dir(src.dockerfile))
	if err != nil {
		return nil, err
	}
	s.Allow(filesync.NewFSSyncProvider(filesync.StaticDirSource{"context": src.files, "dockerfile": dockerfile}))
	s.Allow(secretsprovider.FromMap(secrets))
	s.Allow(credentials{})
	return s, nil
}

// dialer connects a session over api. It gives up when ctx ends, also on an engine that took the request and never answers.
func dialer(api Client) session.Dialer {
	type result struct {
		conn net.Conn
		err  error
	}
	return func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
		dialled := make(chan result, 1)
		go func() {
			conn, err := api.DialHijack(ctx, "/session", proto, meta)
			dialled <- result{conn, err}
		}()
		select {
		case r := <-dialled:
			return r.conn, r.err
		case <-ctx.Done():
			go func() {
				if late := <-dialled; late.err == nil {
					_ = late.conn.Close()
				}
			}()
			return nil, ctx.Err()
		}
	}
}

// credentials answers the engine's questions for a registry's user and password from the docker command's own
// configuration and credential helpers. BuildKit's provider does more (it fetches tokens on this side), for 2 MB and
// twenty modules, and leaves a file in the user's configuration; engines fetch tokens themselves where it is missing.
type credentials struct {
	auth.UnimplementedAuthServer
}

// Register implements session.Attachable.
func (c credentials) Register(server *grpc.Server) { auth.RegisterAuthServer(server, c) }

// Credentials implements auth.AuthServer. No entry for a host is no error: most images are public.
func (credentials) Credentials(_ context.Context, req *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	file, err := config.Load(config.Dir())
	if err != nil {
		return nil, err
	}
	entry, err := login.For(file, req.Host)
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", req.Host, err)
	}
	if entry.IdentityToken != "" {
		return &auth.CredentialsResponse{Secret: entry.IdentityToken}, nil
	}
	return &auth.CredentialsResponse{Username: entry.Username, Secret: entry.Password}, nil
}

// readSecrets returns the values by id.
func readSecrets(secrets []Secret) (map[string][]byte, error) {
	values := make(map[string][]byte, len(secrets))
	for _, s := range secrets {
		value, err := s.read()
		if err != nil {
			return nil, err
		}
		if len(value) > secretsprovider.MaxSecretSize {
			return nil, fmt.Errorf("build secret %q: it has %d bytes, BuildKit takes up to %d", s.ID, len(value), secretsprovider.MaxSecretSize)
		}
		values[s.ID] = value
	}
	return values, nil
}

// shortest is the length in bytes from which a line of a secret is looked for in the log: shorter ones are everywhere.
const shortest = 4

// redactor returns a function that takes the secrets, line by line, out of a line of the log: a RUN may print what it was given.
func redactor(secrets map[string][]byte, more []string) func(string) string {
	values := slices.Clone(more)
	for _, value := range secrets {
		values = append(values, string(value))
	}
	var lines []string
	for _, value := range values {
		for line := range strings.Lines(value) {
			if line = strings.TrimSpace(line); len(line) >= shortest {
				lines = append(lines, line)
			}
		}
	}
	// The longest first, else a secret that begins another would leave its rest standing.
	slices.SortFunc(lines, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	pairs := make([]string, 0, 2*len(lines))
	for _, line := range lines {
		pairs = append(pairs, line, "(sensitive value)")
	}
	return strings.NewReplacer(pairs...).Replace
}
