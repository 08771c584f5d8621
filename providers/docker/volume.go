package docker

import (
	"cmp"
	"context"
	"fmt"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

func volumeTable() *schema.Type {
	return &schema.Type{
		Name:      Volume,
		HoldsData: true,
		Absent:    map[string]string{"cluster": ""},
		Doc: "A named volume. Nothing of it can be changed in place, and a volume that is replaced or deleted loses its data: " +
			"a plan that does so must be approved with the volume's name.",
		Attrs: []schema.Attr{
			{Name: "name", Type: cty.String, Required: true, Change: schema.Replace, Doc: "Name of the volume. Here it is required, so that the volume is found again."},
			{Name: "driver", Type: cty.String, Change: schema.Replace, Doc: "Driver of the volume. The engine's own is `local`."},
			{Name: "driver_opts", Type: cty.Map(cty.String), Change: schema.Replace, Doc: "Options of the driver, such as `type`, `o` and `device` of `local`."},
			labels("Labels of the volume."),
			{Name: "id", Type: cty.String, Computed: true, Doc: "The volume's name: it has no other ID."},
			{Name: "mountpoint", Type: cty.String, Computed: true, Local: true, Doc: "Folder of the volume on the engine's machine."},
		},
		Needs: func(v cty.Value) schema.Needs {
			if name := v.GetAttr("name"); !name.IsKnown() || name.IsNull() {
				return schema.Needs{Volumes: []string{"(not known yet)"}}
			}
			return schema.Needs{Volumes: []string{text(v, "name")}}
		},
	}
}

// volumeObject has no time of creation: what the engine calls so is when the
// volume's folder was last written to.
func (p *Provider) volumeObject(v volume.Volume) *providers.Object {
	t := p.volume
	return &providers.Object{
		Kind: Volume, ID: v.Name, Name: v.Name, Owner: ownerOf(v.Labels, nil), Started: true,
		Attrs: t.Build(map[string]cty.Value{
			"name":        cty.StringVal(v.Name),
			"driver":      cty.StringVal(v.Driver),
			"driver_opts": stringMap(v.Options),
			"labels":      stringMap(userLabels(v.Labels)),
			"id":          cty.StringVal(v.Name),
			"mountpoint":  cty.StringVal(v.Mountpoint),
		}),
		Defaults: t.Build(map[string]cty.Value{
			"driver":      cty.StringVal("local"),
			"driver_opts": cty.MapValEmpty(cty.String),
			"labels":      stringMap(givenLabels(v.Labels, nil)),
		}),
	}
}

// volumes are the verbs for docker_volume.
type volumes struct{ e *Engine }

func (r volumes) Type() *schema.Type { return r.e.tables.volume }

func (r volumes) Create(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	what := "create volume " + req.Name
	v, err := r.e.api.VolumeCreate(ctx, volume.CreateOptions{
		Name: req.Name, Driver: text(req.Want, "driver"), DriverOpts: textMap(req.Want, "driver_opts"),
		Labels: mergeLabels(textMap(req.Want, "labels"), req.Owner),
	})
	switch {
	case cerrdefs.IsConflict(err):
		return nil, conflict("%s: %v; plan again", what, err)
	case err != nil:
		return nil, first(what, err)
	}
	obj := r.e.tables.volumeObject(v)
	// Where the name is taken the engine answers with the old volume and a
	// success. Only the uid tells.
	if obj.Owner.UID != req.Owner.UID {
		return nil, conflict("%s: there is a volume of that name already, %s; plan again, or give this one another name", what, whose(obj.Owner))
	}
	return obj, nil
}

// Update is never asked for: everything replaces.
func (r volumes) Update(_ context.Context, req *providers.Request) (*providers.Object, error) {
	return nil, problem("update volume %s: a volume cannot be changed in place", req.Prior.Name)
}

// Delete removes the volume by its name, which may have come to mean another
// one: so its uid is read before.
func (r volumes) Delete(ctx context.Context, req *providers.Request) error {
	what := "delete volume " + req.Prior.Name
	v, err := r.e.api.VolumeInspect(ctx, req.Prior.Name)
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return providers.NoEffect(fmt.Errorf("%s: %w", what, err))
	}
	if now := ownerOf(v.Labels, nil); now.UID != req.Prior.Owner.UID {
		return conflict("%s: %w (it is %s); plan again", what, errNotOurs, whose(now))
	}
	err = r.e.api.VolumeRemove(ctx, req.Prior.Name, false)
	switch {
	case err == nil || cerrdefs.IsNotFound(err):
		return nil
	default:
		return first(what, err)
	}
}

func (r volumes) Read(ctx context.Context, ref providers.Ref) (*providers.Object, error) {
	name := cmp.Or(ref.Name, ref.ID)
	v, err := r.e.api.VolumeInspect(ctx, name)
	if err != nil {
		return nil, notFound("volume "+name, err)
	}
	list, err := r.e.api.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, fmt.Errorf("volume %s: who uses it: %w", name, err)
	}
	obj := r.e.tables.volumeObject(v)
	obj.Users = usersOf(list, Volume, obj)
	return obj, nil
}
