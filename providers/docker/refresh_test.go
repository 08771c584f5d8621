package docker

import (
	"context"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// imagesOnly is an engine that has some images and nothing else.
type imagesOnly struct {
	api
	images []image.Summary
}

func (imagesOnly) ContainerList(context.Context, container.ListOptions) ([]container.Summary, error) {
	return nil, nil
}

func (imagesOnly) NetworkList(context.Context, network.ListOptions) ([]network.Summary, error) {
	return nil, nil
}

func (imagesOnly) VolumeList(context.Context, volume.ListOptions) (volume.ListResponse, error) {
	return volume.ListResponse{}, nil
}

func (f imagesOnly) ImageList(context.Context, image.ListOptions) ([]image.Summary, error) {
	return f.images, nil
}

// An image is found by each of its names, by digest too, and one that has none
// is not called "<none>".
func TestRefreshFindsImagesByTagAndDigest(t *testing.T) {
	id, digest := "sha256:"+strings.Repeat("1", 64), "sha256:"+strings.Repeat("d", 64)
	p := New()
	e := &Engine{tables: p, images: map[string]imageConfig{}, api: imagesOnly{images: []image.Summary{
		{ID: id, RepoTags: []string{"nginx:1"}, RepoDigests: []string{"nginx@" + digest}},
		{ID: "sha256:" + strings.Repeat("2", 64), RepoTags: []string{"<none>:<none>"}, RepoDigests: []string{"<none>@<none>"}},
	}}}
	for _, name := range []string{"nginx:1", "docker.io/library/nginx@" + digest, "nginx:1@" + digest} {
		want := configured(t, p, Image, `name = "`+name+`"`)
		ref := providers.Ref{Kind: Image, ID: id, Name: text(want, "name")}
		w, err := e.Refresh(t.Context(), providers.Scope{Stack: "s", Workspace: "w", Recorded: []providers.Ref{ref}})
		if err != nil {
			t.Fatal(err)
		}
		o, ok := w.Named(Image, name)
		if !ok || len(w.Objects) != 1 || w.Objects[0] != o || o.ID != id {
			t.Errorf("%s: found %v, %v; objects %v", name, o, ok, w.Objects)
			continue
		}
		for _, d := range schema.Differences(p.image, want, o.Attrs, o.Defaults) {
			t.Errorf("%s: %s differs: %#v, wanted %#v", name, d.Attr, d.Live, d.Want)
		}
	}
	if s := (listing{images: []image.Summary{{ID: id, RepoTags: []string{"<none>:<none>"}, RepoDigests: []string{"<none>@<none>"}}}}).surroundings(); len(s.tags) != 0 {
		t.Errorf("names of an image without one: %v", s.tags)
	}
}
