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
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"golang.org/x/sync/errgroup"

	"github.com/gapool/gapool/providers"
)

// inspects is how many containers are looked at at once.
const inspects = 16

// listing is what the engine's lists say: one call for each kind.
type listing struct {
	containers []container.Summary
	networks   []network.Summary
	volumes    []*volume.Volume
	images     []image.Summary
}

// Refresh lists each kind once and inspects the containers of the scope, whose
// list lacks most of their settings. Each image is inspected once in the life
// of the connection.
func (e *Engine) Refresh(ctx context.Context, scope providers.Scope) (*providers.World, error) {
	l, err := e.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the Docker engine at %s: %w", e.info.Host, err)
	}
	w := &world{e: e, l: l, scope: scope, around: l.surroundings(), objects: map[key]*providers.Object{}}
	for _, n := range l.networks {
		w.add(e.tables.networkObject(n))
	}
	for _, v := range l.volumes {
		w.add(e.tables.volumeObject(*v))
	}
	for ref, id := range w.around.tags {
		if i := slices.IndexFunc(l.images, func(s image.Summary) bool { return s.ID == id }); i >= 0 {
			w.add(e.tables.imageObject(ref, l.images[i]))
		}
	}
	if err := w.readContainers(ctx); err != nil {
		return nil, fmt.Errorf("read the Docker engine at %s: %w", e.info.Host, err)
	}
	if err := w.readMissing(ctx); err != nil {
		return nil, fmt.Errorf("read the Docker engine at %s: %w", e.info.Host, err)
	}
	return w.result(), nil
}

func (e *Engine) list(ctx context.Context) (l listing, err error) {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		l.containers, err = e.api.ContainerList(ctx, container.ListOptions{All: true})
		return err
	})
	g.Go(func() (err error) {
		l.networks, err = e.api.NetworkList(ctx, network.ListOptions{})
		return err
	})
	g.Go(func() error {
		res, err := e.api.VolumeList(ctx, volume.ListOptions{})
		l.volumes = res.Volumes
		return err
	})
	g.Go(func() (err error) {
		l.images, err = e.api.ImageList(ctx, image.ListOptions{})
		return err
	})
	return l, g.Wait()
}

// surroundings are the names that settings of a container refer to, and what
// they mean now.
type surroundings struct {
	tags       map[string]string // image names, also by digest, in normal form → image ID
	networks   map[string]string // network ID → name
	containers map[string]string // container name, and ID → ID
}

func (l listing) surroundings() surroundings {
	s := surroundings{tags: map[string]string{}, networks: map[string]string{}, containers: map[string]string{}}
	for _, i := range l.images {
		for _, ref := range slices.Concat(i.RepoTags, i.RepoDigests) {
			if !strings.HasPrefix(ref, untagged) {
				s.tags[imageName(ref)] = i.ID
			}
		}
	}
	for _, n := range l.networks {
		s.networks[n.ID] = n.Name
	}
	for _, c := range l.containers {
		s.containers[c.ID] = c.ID
		s.containers[nameOf(c)] = c.ID
	}
	return s
}

// key is a kind with an ID.
type key struct{ kind, id string }

// world is what a Refresh puts together.
type world struct {
	e       *Engine
	l       listing
	scope   providers.Scope
	around  surroundings
	objects map[key]*providers.Object // networks, volumes; containers that were inspected; images by name
}

func (w *world) add(o *providers.Object) { w.objects[keyOf(o.Kind, o.ID, o.Name)] = o }

// keyOf is the key of an object: an image is its tag.
func keyOf(kind, id, name string) key {
	if kind == Image || id == "" {
		return key{kind, name}
	}
	return key{kind, id}
}

func (w *world) recorded(k key) bool {
	return slices.ContainsFunc(w.scope.Recorded, func(r providers.Ref) bool { return keyOf(r.Kind, r.ID, r.Name) == k })
}

// readContainers inspects the containers that say they are of the scope, and
// the recorded ones.
func (w *world) readContainers(ctx context.Context) error {
	var ids []string
	images := map[string]bool{}
	for _, c := range w.l.containers {
		if (c.Labels[labelStack] == w.scope.Stack && c.Labels[labelWorkspace] == w.scope.Workspace) || w.recorded(key{Container, c.ID}) {
			ids = append(ids, c.ID)
			images[c.ImageID] = true
		}
	}
	if err := w.readImages(ctx, images); err != nil {
		return err
	}
	for _, r := range w.scope.Recorded {
		if r.Kind == Container && r.ID != "" && w.around.containers[r.ID] == "" {
			ids = append(ids, r.ID) // the list may be older than the container
		}
	}
	found := make([]*providers.Object, len(ids))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(inspects)
	for i, id := range ids {
		g.Go(func() (err error) {
			found[i], err = w.e.readContainer(ctx, id, &w.around)
			if errors.Is(err, providers.ErrNotFound) {
				return nil // it went in between
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, o := range found {
		if o != nil {
			w.add(o)
		}
	}
	return nil
}

// readImages inspects the images of containers, each once, however many
// containers it has.
func (w *world) readImages(ctx context.Context, ids map[string]bool) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(inspects)
	for id := range ids {
		g.Go(func() error {
			_, err := w.e.imageConfig(ctx, id)
			return err
		})
	}
	return g.Wait()
}

// readMissing looks for each recorded network and volume that the lists lack:
// only a 404 means gone.
func (w *world) readMissing(ctx context.Context) error {
	for _, r := range w.scope.Recorded {
		if w.objects[keyOf(r.Kind, r.ID, r.Name)] != nil {
			continue
		}
		var o *providers.Object
		var err error
		switch r.Kind {
		case Network:
			o, err = networks{w.e}.Read(ctx, r)
		case Volume:
			o, err = volumes{w.e}.Read(ctx, r)
		default:
			continue
		}
		switch {
		case err == nil:
			w.add(o)
		case !errors.Is(err, providers.ErrNotFound):
			return err
		}
	}
	return nil
}

func (w *world) result() *providers.World {
	out := &providers.World{Named: w.named, Held: w.l.held(), Busy: w.l.busy(w.e.own, w.e.info.Host)}
	for k, o := range w.objects {
		ours := o.Owner.UID != "" && o.Owner.Stack == w.scope.Stack && o.Owner.Workspace == w.scope.Workspace
		if o.Kind == Network || o.Kind == Volume {
			o.Users = usersOf(w.l.containers, o.Kind, o)
		}
		if ours || w.recorded(k) {
			out.Objects = append(out.Objects, o)
		}
	}
	slices.SortFunc(out.Objects, func(a, b *providers.Object) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// named finds what has a name. Of a container that is not of the scope only
// the list is known.
func (w *world) named(kind, name string) (*providers.Object, bool) {
	var id string
	switch kind {
	case Container:
		id = w.around.containers[name]
	case Network:
		for nid, n := range w.around.networks {
			if n == name && (id == "" || nid < id) {
				id = nid
			}
		}
	case Image:
		id = imageName(name)
	default:
		id = name
	}
	if o := w.objects[key{kind, id}]; o != nil {
		return o, true
	}
	if kind != Container || id == "" {
		return nil, false
	}
	i := slices.IndexFunc(w.l.containers, func(c container.Summary) bool { return c.ID == id })
	if i < 0 {
		return nil, false
	}
	c := w.l.containers[i]
	var fromImage map[string]string
	for _, img := range w.l.images {
		if img.ID == c.ImageID {
			fromImage = img.Labels
		}
	}
	return &providers.Object{
		Kind: Container, ID: c.ID, Name: nameOf(c), Owner: ownerOf(c.Labels, fromImage),
		Created: time.Unix(c.Created, 0), Started: c.State != container.StateCreated,
	}, true
}

// nameOf is a container's name: the list has those of its links too, which go
// through another container's.
func nameOf(c container.Summary) string {
	for _, n := range c.Names {
		if n = strings.TrimPrefix(n, "/"); !strings.Contains(n, "/") {
			return n
		}
	}
	return ""
}

// usersOf are the containers that use a network or a volume, running or not:
// one that is stopped could not be started again without it.
func usersOf(list []container.Summary, kind string, o *providers.Object) []providers.Ref {
	var users []providers.Ref
	for _, c := range list {
		var uses bool
		if kind == Network && c.NetworkSettings != nil {
			for name, ep := range c.NetworkSettings.Networks {
				uses = uses || ep.NetworkID == o.ID || (ep.NetworkID == "" && name == o.Name)
			}
		}
		for _, m := range c.Mounts {
			uses = uses || (kind == Volume && m.Type == mount.TypeVolume && m.Name == o.Name)
		}
		if uses {
			users = append(users, providers.Ref{Kind: Container, ID: c.ID, Name: nameOf(c)})
		}
	}
	sortRefs(users)
	return users
}

func sortRefs(refs []providers.Ref) {
	slices.SortFunc(refs, func(a, b providers.Ref) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
}

// imageConfig is what an image gives to its containers.
type imageConfig struct {
	Env        []string
	Cmd        []string
	Entrypoint []string
	User       string
	WorkingDir string
	StopSignal string
	Labels     map[string]string
	Health     *container.HealthConfig
}

// imageConfig reads what an image ID gives to its containers. Of an image that
// was removed under its container nothing is known any more.
func (e *Engine) imageConfig(ctx context.Context, id string) (imageConfig, error) {
	e.mu.Lock()
	c, ok := e.images[id]
	e.mu.Unlock()
	if ok {
		return c, nil
	}
	i, err := e.api.ImageInspect(ctx, id)
	if cerrdefs.IsNotFound(err) {
		return imageConfig{}, nil
	}
	if err != nil {
		return imageConfig{}, fmt.Errorf("image %s: %w", id, err)
	}
	if i.Config != nil {
		c = imageConfig{
			Env: i.Config.Env, Cmd: i.Config.Cmd, Entrypoint: i.Config.Entrypoint, User: i.Config.User,
			WorkingDir: i.Config.WorkingDir, StopSignal: i.Config.StopSignal, Labels: i.Config.Labels, Health: i.Config.Healthcheck,
		}
	}
	e.mu.Lock()
	e.images[id] = c
	e.mu.Unlock()
	return c, nil
}
