package docker

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// detachTimeout is how long a network may take to notice that its last
// container has gone.
const detachTimeout = 5 * time.Second

func networkTable() *schema.Type {
	return &schema.Type{
		Name: Network,
		Doc: "A network. Nothing of it can be changed in place: another network takes its place, and the containers on it are made anew. " +
			"What is not set is the engine's choice, such as the subnet.",
		Attrs: []schema.Attr{
			{Name: "name", Type: cty.String, Required: true, Change: schema.Replace, Doc: "Name of the network."},
			{Name: "driver", Type: cty.String, Change: schema.Replace, Doc: "`bridge` (what the engine takes by itself), `overlay`, `macvlan` or a plugin's name."},
			{Name: "internal", Type: cty.Bool, Change: schema.Replace, Doc: "Whether the network has no way out."},
			{Name: "attachable", Type: cty.Bool, Change: schema.Replace, Doc: "Whether containers of their own can join, on an `overlay`."},
			{Name: "ingress", Type: cty.Bool, Change: schema.Replace, Doc: "Whether it is the swarm's routing mesh."},
			{Name: "ipv6", Type: cty.Bool, Change: schema.Replace, Doc: "Whether the network has IPv6 addresses."},
			{Name: "check_duplicate", Type: cty.Bool, Doc: "Accepted and always on: a second network of one name is never made."},
			{Name: "options", Type: cty.Map(cty.String), Change: schema.Replace, Merge: true, Doc: "Options of the driver."},
			{Name: "ipam_driver", Type: cty.String, Change: schema.Replace, Doc: "Driver that gives out addresses. The engine's is `default`."},
			{Name: "ipam_options", Type: cty.Map(cty.String), Change: schema.Replace, Doc: "Options of that driver."},
			{Name: "ipam_config", Change: schema.Replace, Doc: "Address ranges.", Block: &schema.Block{
				Nesting: schema.List, Key: []string{"subnet"},
				Attrs: []schema.Attr{
					{Name: "subnet", Type: cty.String, Computed: true, Change: schema.Replace, Normal: normalPrefix, Check: checkPrefix, Doc: "The subnet, as `10.20.0.0/16`."},
					{Name: "ip_range", Type: cty.String, Normal: normalPrefix, Check: checkPrefix, Doc: "Part of the subnet that containers get addresses from."},
					{Name: "gateway", Type: cty.String, Computed: true, Change: schema.Replace, Normal: normalAddress, Check: checkAddress, Doc: "Address of the gateway."},
					{Name: "aux_address", Type: cty.Map(cty.String), Doc: "Addresses that other things have, by name."},
				},
			}},
			labels("Labels of the network."),
			{Name: "id", Type: cty.String, Computed: true, Local: true, Doc: "The network's ID."},
			{Name: "scope", Type: cty.String, Computed: true, Doc: "`local` or `swarm`."},
		},
	}
}

// networkObject is the normal form of a network. Who uses it is told
// elsewhere: the engine's list of networks does not say.
func (p *Provider) networkObject(n network.Inspect) *providers.Object {
	t := p.network
	block := t.Attr("ipam_config").Block
	var ranges []cty.Value
	for _, c := range n.IPAM.Config {
		aux := make(map[string]string, len(c.AuxAddress))
		for k, a := range c.AuxAddress {
			aux[k] = a
		}
		ranges = append(ranges, block.Build(map[string]cty.Value{
			"subnet":      stringOrNull(prefix(c.Subnet)),
			"ip_range":    stringOrNull(prefix(c.IPRange)),
			"gateway":     stringOrNull(address(c.Gateway)),
			"aux_address": stringMap(aux),
		}))
	}
	given := given(n.Labels)
	ranged := cty.NullVal(t.Attr("ipam_config").Implied())
	if given["ipam_config"] {
		ranged = cty.ListValEmpty(ranged.Type().ElementType())
	}
	return &providers.Object{
		Kind: Network, ID: n.ID, Name: n.Name, Owner: ownerOf(n.Labels, nil), Created: n.Created, Started: true,
		Attrs: t.Build(map[string]cty.Value{
			"name":         cty.StringVal(n.Name),
			"driver":       cty.StringVal(n.Driver),
			"internal":     cty.BoolVal(n.Internal),
			"attachable":   cty.BoolVal(n.Attachable),
			"ingress":      cty.BoolVal(n.Ingress),
			"ipv6":         cty.BoolVal(n.EnableIPv6),
			"options":      stringMap(n.Options),
			"ipam_driver":  cty.StringVal(n.IPAM.Driver),
			"ipam_options": stringMap(n.IPAM.Options),
			"ipam_config":  blockList(t.Attr("ipam_config").Implied(), ranges),
			"labels":       stringMap(userLabels(n.Labels)),
			"id":           cty.StringVal(n.ID),
			"scope":        cty.StringVal(n.Scope),
		}),
		Defaults: t.Build(map[string]cty.Value{
			"driver":       cty.StringVal("bridge"),
			"internal":     cty.False,
			"attachable":   cty.False,
			"ingress":      cty.False,
			"ipv6":         cty.False,
			"options":      engineEntries("options", n.Options, given),
			"ipam_driver":  cty.StringVal("default"),
			"ipam_options": cty.MapValEmpty(cty.String),
			"labels":       stringMap(givenLabels(n.Labels, nil)),
			"ipam_config":  ranged,
		}),
	}
}

func networkOptions(want cty.Value, owner providers.Owner) network.CreateOptions {
	o := network.CreateOptions{
		Driver: text(want, "driver"), Internal: truth(want, "internal"), Attachable: truth(want, "attachable"),
		Ingress: truth(want, "ingress"), Options: textMap(want, "options"),
		Labels: mergeLabels(textMap(want, "labels"), owner),
	}
	if set(want, "ipv6") {
		on := truth(want, "ipv6")
		o.EnableIPv6 = &on
	}
	ipam := network.IPAM{Driver: text(want, "ipam_driver"), Options: textMap(want, "ipam_options")}
	for _, b := range blocks(want, "ipam_config") {
		ipam.Config = append(ipam.Config, network.IPAMConfig{
			Subnet: text(b, "subnet"), IPRange: text(b, "ip_range"), Gateway: text(b, "gateway"), AuxAddress: textMap(b, "aux_address"),
		})
	}
	if l := givenLabel(want, "options", "ipam_config"); l != "" {
		o.Labels[labelGiven] = l
	}
	if ipam.Driver != "" || ipam.Options != nil || ipam.Config != nil {
		o.IPAM = &ipam
	}
	return o
}

// networks are the verbs for docker_network.
type networks struct{ e *Engine }

func (r networks) Type() *schema.Type { return r.e.tables.network }

func (r networks) Create(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	what := "create network " + req.Name
	made, err := r.e.api.NetworkCreate(ctx, req.Name, networkOptions(req.Want, req.Owner))
	if cerrdefs.IsConflict(err) {
		old, look := r.e.readNetwork(ctx, req.Name)
		switch {
		case look != nil:
			return nil, conflict("%s: %v; plan again", what, err)
		case old.Owner.UID != req.Owner.UID:
			return nil, conflict("%s: the name is taken by network %.12s, %s; plan again, or give this one another name", what, old.ID, whose(old.Owner))
		}
		return old, nil // the engine did it, and its first answer was lost
	}
	if err != nil {
		return nil, first(what, r.e.overlapping(ctx, req.Want, err))
	}
	if made.Warning != "" {
		warn(req, []string{made.Warning})
	}
	obj, err := r.e.readNetwork(ctx, made.ID)
	if err != nil {
		return &providers.Object{Kind: Network, ID: made.ID, Name: req.Name, Owner: req.Owner, Started: true, Attrs: r.Type().Null(), Defaults: r.Type().Null()}, err
	}
	return obj, nil
}

// overlapping names the networks that have the addresses that another one was
// to have.
func (e *Engine) overlapping(ctx context.Context, want cty.Value, err error) error {
	if !strings.Contains(err.Error(), "overlaps with other one") {
		return err
	}
	list, look := e.api.NetworkList(ctx, network.ListOptions{})
	if look != nil {
		return err
	}
	var holders []string
	for _, b := range blocks(want, "ipam_config") {
		wanted, bad := netip.ParsePrefix(text(b, "subnet"))
		if bad != nil {
			continue
		}
		for _, n := range list {
			for _, c := range n.IPAM.Config {
				if p, bad := netip.ParsePrefix(c.Subnet); bad == nil && p.Overlaps(wanted) {
					holders = append(holders, fmt.Sprintf("network %s (%s, %s)", n.Name, c.Subnet, whose(ownerOf(n.Labels, nil))))
				}
			}
		}
	}
	if holders == nil {
		return fmt.Errorf("%w; something on the engine's machine has these addresses: give another subnet", err)
	}
	slices.Sort(holders)
	return fmt.Errorf("%w; the addresses belong to %s: give another subnet, or remove that network", err, strings.Join(holders, ", "))
}

// Update is never asked for: everything replaces.
func (r networks) Update(_ context.Context, req *providers.Request) (*providers.Object, error) {
	return nil, problem("update network %s: a network cannot be changed in place", req.Prior.Name)
}

func (r networks) Delete(ctx context.Context, req *providers.Request) error {
	what := "delete network " + req.Prior.Name
	deadline := time.Now().Add(detachTimeout)
	for {
		err := r.e.api.NetworkRemove(ctx, req.Prior.ID)
		switch {
		case err == nil || cerrdefs.IsNotFound(err):
			return nil
		case !cerrdefs.IsPermissionDenied(err) && !cerrdefs.IsConflict(err) && !cerrdefs.IsFailedPrecondition(err):
			return first(what, err)
		}
		// It is in use: 403 of this engine, 400 or 409 of others. What was
		// removed just now may not have left it yet.
		users, look := r.e.networkUsers(ctx, req.Prior.ID)
		switch {
		case look != nil:
			return first(what, err)
		case time.Now().After(deadline):
			if len(users) == 0 {
				return first(what, err)
			}
			return providers.NoEffect(fmt.Errorf("%s: it is used by %s; detach or remove that first", what, strings.Join(users, ", ")))
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return first(what, err)
		}
	}
}

func (r networks) Read(ctx context.Context, ref providers.Ref) (*providers.Object, error) {
	return r.e.readNetwork(ctx, cmp.Or(ref.ID, ref.Name))
}

// readNetwork finds a network by its ID or name, with who uses it.
func (e *Engine) readNetwork(ctx context.Context, word string) (*providers.Object, error) {
	n, err := e.api.NetworkInspect(ctx, word, network.InspectOptions{})
	if err != nil {
		return nil, notFound("network "+word, err)
	}
	list, err := e.api.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, fmt.Errorf("network %s: who uses it: %w", word, err)
	}
	obj := e.tables.networkObject(n)
	obj.Users = usersOf(list, Network, obj)
	return obj, nil
}

// networkUsers names the containers on a network as the network sees them.
func (e *Engine) networkUsers(ctx context.Context, id string) ([]string, error) {
	n, err := e.api.NetworkInspect(ctx, id, network.InspectOptions{})
	if err != nil {
		return nil, err
	}
	var names []string
	for id, c := range n.Containers {
		if c.Name == "" {
			c.Name = fmt.Sprintf("%.12s", id)
		}
		names = append(names, "container "+c.Name)
	}
	slices.Sort(names)
	return names, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
