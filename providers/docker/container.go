package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

const (
	// lookTimeout bounds the look at what exists after a verb was interrupted.
	lookTimeout = 10 * time.Second
	// removeTimeout is how long another's removal of a container may take.
	removeTimeout = 30 * time.Second
	// defaultStop is how many seconds the engine gives a container to stop that
	// does not say it.
	defaultStop = 10
)

// containers are the verbs for docker_container.
type containers struct{ e *Engine }

func (r containers) Type() *schema.Type { return r.e.tables.container }

// Create makes the container, gives it its networks and files, starts it and
// waits until it is ready.
func (r containers) Create(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	e := r.e
	what := "create container " + req.Name
	files, err := uploadFiles(req.Dir, req.Want)
	if err != nil {
		return nil, problem("%s: %w", what, err)
	}
	s := specOf(req.Want, req.Owner)
	made, err := e.api.ContainerCreate(ctx, s.config, s.host, s.primary, nil, req.Name)
	switch {
	case cerrdefs.IsConflict(err):
		if made.ID, err = e.takenBy(ctx, what, req, err); err != nil {
			return nil, err
		}
	case cerrdefs.IsNotFound(err) && strings.Contains(err.Error(), "No such image"):
		return nil, problem("%s: the engine has no image %s; name one that a docker_image makes, or check its name", what, s.config.Image)
	case err != nil:
		return nil, first(what, err)
	}
	warn(req, made.Warnings)
	err = e.finish(ctx, made.ID, s, files, req)
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	obj, look := e.look(ctx, made.ID)
	if look != nil {
		obj = &providers.Object{Kind: Container, ID: made.ID, Name: req.Name, Owner: req.Owner, Attrs: e.tables.container.Null(), Defaults: e.tables.container.Null()}
	}
	return obj, errors.Join(err, look)
}

// look reads a container although its verb may have been interrupted: what
// exists of it must be recorded.
func (e *Engine) look(ctx context.Context, id string) (*providers.Object, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	return e.readContainer(ctx, id, nil)
}

// takenBy says who has the name of a container that was to be made. If it is
// this very attempt, whose first answer was lost, its ID is returned.
func (e *Engine) takenBy(ctx context.Context, what string, req *providers.Request, refusal error) (string, error) {
	c, err := e.api.ContainerInspect(ctx, req.Name)
	if err != nil {
		return "", conflict("%s: %w; plan again", what, refusal)
	}
	owner := ownerOf(c.Config.Labels, nil)
	if owner.UID != "" && owner.UID == req.Owner.UID {
		return c.ID, nil
	}
	return "", conflict("%s: the name is taken by container %.12s, %s; plan again, or rename or remove that one", what, c.ID, whose(owner))
}

// finish brings a container that was just made to where it is ready.
func (e *Engine) finish(ctx context.Context, id string, s containerSpec, files []File, req *providers.Request) error {
	for _, ep := range s.others {
		if err := e.api.NetworkConnect(ctx, ep.network, id, ep.settings); err != nil {
			return fmt.Errorf("connect it to network %s: %w", ep.network, err)
		}
	}
	if err := e.Upload(ctx, id, files...); err != nil {
		return err
	}
	if err := e.putSecrets(ctx, id, req.Files); err != nil {
		return err
	}
	if set(req.Want, "start") && !truth(req.Want, "start") {
		return nil
	}
	return e.start(ctx, id, req)
}

func (e *Engine) start(ctx context.Context, id string, req *providers.Request) error {
	if err := e.api.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return e.startFailed(ctx, req, err)
	}
	return e.ready(ctx, id, req)
}

// warn passes on what the engine remarks on a call that succeeded.
func warn(req *providers.Request, warnings []string) {
	for _, w := range warnings {
		req.Report(providers.Progress{Stage: "the engine warns", Line: w})
	}
}

// startFailed names who holds a port that the container was to publish.
func (e *Engine) startFailed(ctx context.Context, req *providers.Request, err error) error {
	err = fmt.Errorf("start: %w", told(err))
	if s := err.Error(); !strings.Contains(s, "port is already allocated") && !strings.Contains(s, "address already in use") {
		return err
	}
	list, look := e.api.ContainerList(ctx, container.ListOptions{})
	if look != nil {
		return err
	}
	for _, p := range blocks(req.Want, "ports") {
		for _, c := range list {
			for _, held := range c.Ports {
				if external := whole(p, "external"); external != 0 && int64(held.PublicPort) == external && held.Type == text(p, "protocol") {
					return fmt.Errorf("%w; port %d is held by container %s, %s: stop that one, or publish another port", err, external, nameOf(c), whose(ownerOf(c.Labels, nil)))
				}
			}
		}
	}
	return fmt.Errorf("%w; no container holds the port, so another program on the engine's machine does: end that one, or publish another port", err)
}

// updates are the attributes that one call of the engine changes together.
var updates = []string{"restart", "max_retry_count", "memory", "memory_reservation", "memory_swap", "cpus", "cpu_shares", "cpu_set"}

func (r containers) Update(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	what := "update container " + req.Prior.Name
	now, err := r.Read(ctx, req.Prior.Ref())
	if err != nil {
		return nil, providers.NoEffect(fmt.Errorf("%s: %w", what, err))
	}
	done := false // whether a call has taken effect
	fail := func(err error) (*providers.Object, error) {
		if done {
			err = fmt.Errorf("%s: %w", what, err)
		} else {
			err = first(what, err)
		}
		obj, look := r.e.look(ctx, now.ID)
		return obj, errors.Join(err, look)
	}
	changed := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(req.Changed, n) })
	}
	if name := text(req.Want, "name"); changed("name") && name != now.Name {
		if err := r.e.rename(ctx, now.ID, name); err != nil {
			return fail(err)
		}
		done = true
	}
	if changed(updates...) {
		res, err := r.e.api.ContainerUpdate(ctx, now.ID, updateOf(req.Want, now.Attrs, req.Changed))
		if err != nil {
			return fail(err)
		}
		done = true
		warn(req, res.Warnings)
	}
	if changed("networks_advanced") {
		did, err := r.e.reconnect(ctx, now, req.Want)
		done = done || did
		if err != nil {
			return fail(err)
		}
	}
	if changed("must_run") && truth(req.Want, "must_run") {
		if err := r.e.api.ContainerStart(ctx, now.ID, container.StartOptions{}); err != nil {
			return fail(r.e.startFailed(ctx, req, err))
		}
		done = true
		if err := r.e.ready(ctx, now.ID, req); err != nil {
			return fail(err)
		}
	}
	obj, err := r.e.look(ctx, now.ID)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	// The engine drops what its kernel cannot do, and calls that a success.
	for _, d := range schema.Differences(r.Type(), req.Want, obj.Attrs, obj.Defaults) {
		if changed(d.Attr) {
			return obj, fmt.Errorf("%s: the engine accepted the change of %s and did not make it", what, d.Attr)
		}
	}
	return obj, nil
}

// updateOf is the change in the engine's words, in which zero means "as it is".
func updateOf(want, live cty.Value, changed []string) container.UpdateConfig {
	all := resources(want)
	var u container.UpdateConfig
	for _, name := range changed {
		switch name {
		case "restart", "max_retry_count":
			u.RestartPolicy = restartPolicy(want)
		case "memory", "memory_swap":
			// Both in one call: a limit above the swap that is stored is refused.
			u.Memory, u.MemorySwap = all.Memory, all.MemorySwap
			if all.MemorySwap == 0 {
				u.MemorySwap = 2 * all.Memory
				if whole(live, "memory_swap") < 0 && !slices.Contains(changed, "memory_swap") {
					u.MemorySwap = -1 // as somebody else, or the kernel, has it
				}
			}
		case "memory_reservation":
			u.MemoryReservation = all.MemoryReservation
		case "cpus":
			u.NanoCPUs = all.NanoCPUs
		case "cpu_shares":
			u.CPUShares = all.CPUShares
		case "cpu_set":
			u.CpusetCpus = all.CpusetCpus
		}
	}
	return u
}

// reconnect leaves and joins networks until the container is on the wanted
// ones. It reports whether it changed anything.
func (e *Engine) reconnect(ctx context.Context, now *providers.Object, want cty.Value) (done bool, err error) {
	live, wanted := blocks(now.Attrs, "networks_advanced"), blocks(want, "networks_advanced")
	// None as wanted replaces the container; a network that stays is one whose
	// settings are as wanted or left open.
	stays := func(l cty.Value) bool {
		return slices.ContainsFunc(wanted, func(w cty.Value) bool { return sameEndpoint(w, l) })
	}
	for _, l := range live {
		if stays(l) {
			continue
		}
		if err := e.api.NetworkDisconnect(ctx, text(l, "name"), now.ID, false); err != nil && !cerrdefs.IsNotFound(err) {
			return done, fmt.Errorf("disconnect it from network %s: %w", text(l, "name"), err)
		}
		done = true
	}
	for _, w := range wanted {
		if slices.ContainsFunc(live, func(l cty.Value) bool { return sameEndpoint(w, l) }) {
			continue
		}
		ep := endpointOf(w)
		if err := e.api.NetworkConnect(ctx, ep.network, now.ID, ep.settings); err != nil {
			return done, fmt.Errorf("connect it to network %s: %w", ep.network, err)
		}
		done = true
	}
	return done, nil
}

func sameEndpoint(want, live cty.Value) bool {
	for _, name := range []string{"name", "aliases", "ipv4_address", "ipv6_address"} {
		if set(want, name) && !want.GetAttr(name).RawEquals(live.GetAttr(name)) {
			return false
		}
	}
	return true
}

func (e *Engine) rename(ctx context.Context, id, name string) error {
	err := e.api.ContainerRename(ctx, id, name)
	if !cerrdefs.IsConflict(err) {
		return err
	}
	if c, look := e.api.ContainerInspect(ctx, name); look == nil {
		if c.ID == id {
			return nil
		}
		return conflict("the name %s is taken by container %.12s, %s; plan again", name, c.ID, whose(ownerOf(c.Config.Labels, nil)))
	}
	return conflict("%w; plan again", err)
}

// Rename gives the container another name; it goes on running.
func (r containers) Rename(ctx context.Context, obj *providers.Object, name string) (*providers.Object, error) {
	if err := r.e.rename(ctx, obj.ID, name); err != nil {
		return nil, first(fmt.Sprintf("rename container %s to %s", obj.Name, name), err)
	}
	return r.e.look(ctx, obj.ID)
}

// Delete stops the container, with the time that it may take for that, and
// removes it with the volumes that have no name.
func (r containers) Delete(ctx context.Context, req *providers.Request) error {
	what, id := "delete container "+req.Prior.Name, req.Prior.ID
	c, err := r.e.api.ContainerInspect(ctx, id)
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return providers.NoEffect(fmt.Errorf("%s: %w", what, told(err)))
	}
	if c.State.Paused {
		if err := r.e.api.ContainerUnpause(ctx, id); err != nil && !cerrdefs.IsNotFound(err) && !cerrdefs.IsConflict(err) {
			return first(what+": unpause", err)
		}
	}
	if c.State.Running {
		// Without a time limit the engine takes the container's own. Zero would
		// be a SIGKILL.
		limit := timeOf(req.Prior.Attrs, "destroy_grace_seconds")
		if err := r.e.api.ContainerStop(ctx, id, container.StopOptions{Timeout: limit}); err != nil && !cerrdefs.IsNotFound(err) {
			return fmt.Errorf("%s: stop: %w", what, told(err))
		}
	}
	keep := req.Prior.Attrs != cty.NilVal && !req.Prior.Attrs.IsNull() && set(req.Prior.Attrs, "remove_volumes") && !truth(req.Prior.Attrs, "remove_volumes")
	err = r.e.api.ContainerRemove(ctx, id, container.RemoveOptions{RemoveVolumes: !keep, Force: true})
	switch {
	case err == nil || cerrdefs.IsNotFound(err):
		return nil
	case cerrdefs.IsConflict(err):
		return r.e.removed(ctx, what, id, err) // somebody else removes it just now
	default:
		return fmt.Errorf("%s: %w", what, told(err))
	}
}

// Linger is how long the container may take to stop: the engine goes on with
// that when whoever asked is gone.
func (r containers) Linger(req *providers.Request) time.Duration {
	limit := cmp.Or(timeOf(req.Prior.Attrs, "destroy_grace_seconds"), timeOf(req.Prior.Attrs, "stop_timeout"))
	if limit == nil {
		return defaultStop * time.Second
	}
	return time.Duration(max(0, *limit)) * time.Second
}

// timeOf is an attribute in seconds, nil where it is not set.
func timeOf(attrs cty.Value, name string) *int {
	if attrs == cty.NilVal || attrs.IsNull() || !set(attrs, name) {
		return nil
	}
	n := seconds(whole(attrs, name))
	return &n
}

// removed waits until a container is gone.
func (e *Engine) removed(ctx context.Context, what, id string, refusal error) error {
	for deadline := time.Now().Add(removeTimeout); time.Now().Before(deadline); {
		_, err := e.api.ContainerInspect(ctx, id)
		if there, err := exists(err); err == nil && !there {
			return nil
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return fmt.Errorf("%s: %w", what, refusal)
}

// Read finds a container by its ID, or by its name where there is none.
func (r containers) Read(ctx context.Context, ref providers.Ref) (*providers.Object, error) {
	if ref.ID == "" {
		return r.e.readContainer(ctx, ref.Name, nil)
	}
	return r.e.readContainer(ctx, ref.ID, nil)
}

// readContainer inspects a container. What its settings refer to is looked up
// in around, or asked of the engine where that is nil.
func (e *Engine) readContainer(ctx context.Context, id string, around *surroundings) (*providers.Object, error) {
	c, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return nil, notFound("container "+id, err)
	}
	img, err := e.imageConfig(ctx, c.Image)
	if err != nil {
		return nil, err
	}
	if around == nil {
		if around, err = e.lookAround(ctx, c); err != nil {
			return nil, fmt.Errorf("container %s: %w", strings.TrimPrefix(c.Name, "/"), err)
		}
	}
	uploads, err := e.liveUploads(ctx, c.ID, c.Config.Labels[labelUploads])
	if err != nil {
		return nil, err
	}
	return e.tables.containerObject(c, img, *around, uploads), nil
}

// lookAround asks what one container's settings refer to.
func (e *Engine) lookAround(ctx context.Context, c container.InspectResponse) (*surroundings, error) {
	s := surroundings{tags: map[string]string{}, networks: map[string]string{}, containers: map[string]string{}}
	if word := imageName(c.Config.Image); word != c.Image {
		i, err := e.api.ImageInspect(ctx, word)
		if there, err := exists(err); err != nil {
			return nil, fmt.Errorf("image %s: %w", word, err)
		} else if there {
			s.tags[word] = i.ID
		}
	}
	for name, ep := range c.NetworkSettings.Networks {
		if ep.EndpointID != "" {
			s.networks[ep.NetworkID] = name // what is connected is there
			continue
		}
		word := ep.NetworkID
		if word == "" {
			word = name
		}
		n, err := e.api.NetworkInspect(ctx, word, network.InspectOptions{})
		if there, err := exists(err); err != nil {
			return nil, fmt.Errorf("network %s: %w", word, err)
		} else if there {
			s.networks[n.ID] = n.Name
		}
	}
	for _, mode := range []string{string(c.HostConfig.NetworkMode), c.Config.Labels[labelNetworkMode]} {
		word, ok := strings.CutPrefix(mode, "container:")
		if !ok {
			continue
		}
		parent, err := e.api.ContainerInspect(ctx, word)
		if there, err := exists(err); err != nil {
			return nil, fmt.Errorf("container %s: %w", word, err)
		} else if there {
			s.containers[word] = parent.ID
		}
	}
	return &s, nil
}
