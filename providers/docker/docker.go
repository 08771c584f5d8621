// Package docker keeps networks, volumes, images and containers on a Docker
// engine. It is the only package that sees the engine's client.
//
// [Provider] has the tables, [Engine] is a connection. Each resource is a file
// with its table, its normal form (what the engine says, in the words of the
// configuration) and its verbs; refresh.go reads all of them at once.
package docker

import (
	"context"
	"sync"

	"github.com/zclconf/go-cty/cty"

	"github.com/docker/cli/cli/config/configfile"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// The types of this provider's objects.
const (
	Container = "docker_container"
	Image     = "docker_image"
	Network   = "docker_network"
	Volume    = "docker_volume"
)

// Provider is the family of docker_* types.
type Provider struct {
	config                            *schema.Type
	container, image, network, volume *schema.Type
}

// New returns the provider.
func New() *Provider {
	return &Provider{
		config:    configTable(),
		container: containerTable(),
		image:     imageTable(),
		network:   networkTable(),
		volume:    volumeTable(),
	}
}

// Name is "docker".
func (p *Provider) Name() string { return "docker" }

// Config is the table of the provider block.
func (p *Provider) Config() *schema.Type { return p.config }

// Types are the tables of the resources, sorted by name.
func (p *Provider) Types() []*schema.Type {
	return []*schema.Type{p.container, p.image, p.network, p.volume}
}

// Connect reaches the engine, agrees on an API version and asks what it is.
// Where cfg says nothing the engine is found as the docker command finds it.
func (p *Provider) Connect(ctx context.Context, cfg cty.Value) (providers.Engine, error) {
	return p.Open(ctx, cfg)
}

// Open is Connect with the engine's own type.
func (p *Provider) Open(ctx context.Context, cfg cty.Value) (*Engine, error) {
	c, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Engine{api: c.client, info: c.info, config: c.config, tables: p, own: c.own, images: map[string]imageConfig{}}, nil
}

// Engine is a connected Docker engine. Its methods may be called at once.
type Engine struct {
	api    api
	info   providers.Info
	config *configfile.ConfigFile // the docker command's, for credentials
	tables *Provider
	own    bool // it is certainly of this very machine

	mu     sync.Mutex
	images map[string]imageConfig // by ID; what an ID names never changes
}

// Info is what the engine said of itself when it was connected.
func (e *Engine) Info() providers.Info { return e.info }

// Close ends the connection.
func (e *Engine) Close() error { return e.api.Close() }

// Resource returns the verbs for an address of one of the provider's types.
func (e *Engine) Resource(addr schema.Addr) providers.Resource {
	switch addr.Type {
	case Container:
		return containers{e}
	case Image:
		return images{e}
	case Network:
		return networks{e}
	case Volume:
		return volumes{e}
	default:
		return nil
	}
}

const certFolder = "Put the certificates into a folder and name it with cert_path."

func configTable() *schema.Type {
	return &schema.Type{
		Name: "docker",
		Doc: "A Docker engine. Without a block, or with an empty one, it is the engine that the `docker` command would use: " +
			"`DOCKER_HOST` with `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`, then `DOCKER_CONTEXT`, then the current context.",
		Absent: map[string]string{
			"ca_material":                 certFolder,
			"cert_material":               certFolder,
			"disable_docker_daemon_check": "Remove it: validate and plan -refresh=false need no engine.",
			"key_material":                certFolder,
			"registry_auth":               "Remove it: credentials are those of docker login.",
			"ssh_opts":                    "Remove it: ssh reads its own configuration (~/.ssh/config).",
		},
		Attrs: []schema.Attr{
			{Name: "host", Type: cty.String, Doc: "Address of the engine, such as `unix:///var/run/docker.sock` or `tcp://10.0.0.5:2376`."},
			{Name: "context", Type: cty.String, Doc: "Name of a context of the `docker` command, to be used instead of `host`."},
			{Name: "cert_path", Type: cty.String, Doc: "Folder with `ca.pem`, `cert.pem` and `key.pem` for a `tcp` host."},
		},
		Validate: func(v cty.Value) []schema.Problem {
			host, name := v.GetAttr("host"), v.GetAttr("context")
			if host.IsKnown() && name.IsKnown() && !host.IsNull() && !name.IsNull() {
				return []schema.Problem{{Attr: "context", Detail: "An engine is named by host or by context; remove one of the two."}}
			}
			return nil
		},
	}
}
