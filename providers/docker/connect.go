package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	ctxdocker "github.com/docker/cli/cli/context/docker"
	"github.com/docker/cli/cli/context/store"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/tlsconfig"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
)

// connection is an engine that has answered.
type connection struct {
	client *client.Client
	info   providers.Info
	config *configfile.ConfigFile
	own    bool // see ownMachine
}

// target is where to look for an engine.
type target struct {
	host string
	from string // why there, in words that follow the host: "from DOCKER_HOST"
	opts []client.Opt
}

func connect(ctx context.Context, cfg cty.Value) (*connection, error) {
	conf, err := loadConfig()
	if err != nil {
		return nil, err
	}
	t, err := findEngine(text(cfg, "host"), text(cfg, "context"), text(cfg, "cert_path"), conf.CurrentContext)
	if err != nil {
		return nil, err
	}
	c, err := client.NewClientWithOpts(append(t.opts, client.WithVersionFromEnv(), client.WithAPIVersionNegotiation())...)
	if err != nil {
		return nil, t.fail(err)
	}
	// Before anything else: until the first answer the client's version is its
	// own wish.
	ping, err := c.Ping(ctx)
	if err != nil {
		return nil, t.fail(errors.Join(err, c.Close()))
	}
	c.NegotiateAPIVersionPing(ping)
	info, err := c.Info(ctx)
	if err != nil {
		return nil, t.fail(errors.Join(err, c.Close()))
	}
	return &connection{client: c, config: conf, own: ownMachine(info, t.host, "/"), info: providers.Info{
		ID: info.ID, Host: t.host, Version: info.ServerVersion, API: c.ClientVersion(), CPUs: info.NCPU, Memory: info.MemTotal,
		GPUs: gpusOf(info, t.host, "/"),
	}}, nil
}

// loadConfig reads the docker command's configuration. The log of that library
// is not ours to show.
func loadConfig() (*configfile.ConfigFile, error) {
	conf, err := config.Load(config.Dir())
	if err != nil {
		return nil, fmt.Errorf("the configuration of the docker command: %w; mend that file, or set DOCKER_CONFIG to another folder", err)
	}
	return conf, nil
}

// findEngine decides by the docker command's rules: what is configured, then
// DOCKER_HOST, then DOCKER_CONTEXT, then the current context, then the default.
func findEngine(host, name, certs, current string) (target, error) {
	switch {
	case host != "":
		return hostTarget(host, certs, tlsWish{wanted: certs != ""}, "from the provider block")
	case name != "":
		return contextTarget(name, "context "+name+" of the provider block")
	case os.Getenv(client.EnvOverrideHost) != "":
		return environmentTarget(os.Getenv(client.EnvOverrideHost), certs, "from DOCKER_HOST")
	case os.Getenv("DOCKER_CONTEXT") != "":
		name = os.Getenv("DOCKER_CONTEXT")
		return contextTarget(name, "context "+name+" from DOCKER_CONTEXT")
	case current != "" && current != "default":
		return contextTarget(current, "context "+current+", the current one of the docker command")
	default:
		return environmentTarget(client.DefaultDockerHost, certs, "the default")
	}
}

func environmentTarget(host, certs, from string) (target, error) {
	verify, bare := os.Getenv(client.EnvTLSVerify) != "", os.Getenv("DOCKER_TLS") != ""
	wish := tlsWish{
		wanted: verify || certs != "" || bare,
		// Who says where the certificates are wants them looked at.
		unverified: bare && !verify && certs == "",
	}
	return hostTarget(host, cmp.Or(certs, os.Getenv(client.EnvOverrideCertPath)), wish, from)
}

// tlsWish says whether a connection is to be encrypted, and whether then any
// engine that answers is believed to be the one that was asked for.
type tlsWish struct{ wanted, unverified bool }

func hostTarget(host, certs string, wish tlsWish, from string) (target, error) {
	t := target{host: host, from: from}
	ssh, err := sshOpts(host)
	if err != nil {
		return t, t.fail(err)
	}
	if ssh != nil {
		t.opts = ssh
		return t, nil
	}
	if wish.wanted && !strings.HasPrefix(host, "unix:") && !strings.HasPrefix(host, "npipe:") {
		certs = cmp.Or(certs, config.Dir())
		conf, err := tlsconfig.Client(tlsconfig.Options{
			CAFile: filepath.Join(certs, "ca.pem"), CertFile: filepath.Join(certs, "cert.pem"), KeyFile: filepath.Join(certs, "key.pem"),
			InsecureSkipVerify: wish.unverified,
			ExclusiveRootPools: true,
		})
		if err != nil {
			return t, t.fail(fmt.Errorf("its certificates in %s: %w", certs, err))
		}
		t.opts = append(t.opts, client.WithHTTPClient(&http.Client{
			Transport: &http.Transport{TLSClientConfig: conf}, CheckRedirect: client.CheckRedirect,
		}))
	}
	t.opts = append(t.opts, client.WithHost(host))
	return t, nil
}

func contextTarget(name, from string) (target, error) {
	if name == "default" {
		return environmentTarget(client.DefaultDockerHost, "", from)
	}
	t := target{host: "the engine", from: from}
	contexts := store.New(config.ContextStoreDir(), store.NewConfig(
		func() any { return &map[string]any{} },
		store.EndpointTypeGetter(ctxdocker.DockerEndpoint, func() any { return &ctxdocker.EndpointMeta{} }),
	))
	meta, err := contexts.GetMetadata(name)
	if err != nil {
		return t, fmt.Errorf("docker context %q: %w; 'docker context ls' shows those that exist", name, err)
	}
	endpoint, err := ctxdocker.EndpointFromContext(meta)
	if err != nil {
		return t, fmt.Errorf("docker context %q: %w", name, err)
	}
	full, err := ctxdocker.WithTLSData(contexts, name, endpoint)
	if err != nil {
		return t, fmt.Errorf("docker context %q: %w", name, err)
	}
	t.host = full.Host
	if t.opts, err = sshOpts(t.host); err == nil && t.opts == nil {
		t.opts, err = full.ClientOpts()
	}
	if err != nil {
		return t, t.fail(err)
	}
	return t, nil
}

// fail says which engine was tried, why that one, and what to do.
func (t target) fail(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if strings.Contains(err.Error(), "permission denied") && strings.HasPrefix(t.host, "unix:") {
		return fmt.Errorf("no access to the Docker engine at %s (%s): permission denied. Join the group of its socket (sudo usermod -aG docker $USER, then log in again), or use sudo",
			t.host, t.from)
	}
	if why := sshSays(err); why != nil && strings.HasPrefix(t.host, "ssh:") {
		err = why
	} else if client.IsErrConnectionFailed(err) {
		err = errors.New("nothing answers there")
	} else if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: the connection was closed at once; does the engine want TLS?", err)
	}
	return fmt.Errorf("no Docker engine at %s (%s): %w. Start it, or name another one with DOCKER_HOST, DOCKER_CONTEXT or host in a provider \"docker\" block",
		t.host, t.from, err)
}
