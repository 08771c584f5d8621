package docker

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/docker/internal/build"
	"github.com/gapool/gapool/providers/docker/internal/login"
	"github.com/gapool/gapool/schema"
)

func imageTable() *schema.Type {
	return &schema.Type{
		Name:   Image,
		ByName: true,
		Doc: "An image under a name: pulled from a registry, or built from a Dockerfile with BuildKit. " +
			"A name that the engine has already is not pulled again unless `platform` or `pull_triggers` changes: what is pushed upstream does not replace what runs. " +
			"A built image is built anew when what it is made from changes.",
		Attrs: []schema.Attr{
			{Name: "name", Type: cty.String, Required: true, Change: schema.Replace, Normal: normalImage, Check: checkImage,
				Doc: "Name of the image, with its tag or digest; without either the tag is `latest`."},
			{Name: "platform", Type: cty.String, Change: schema.Replace, Recorded: true,
				Doc: "Platform to pull, or to build for, such as `linux/amd64`; the engine's own if not set. An image that is there already when it is first configured is kept as it is."},
			{Name: "pull_triggers", Type: cty.Set(cty.String), Change: schema.Replace, Recorded: true,
				Doc: "Without `build`: any values that, when they change, pull the image anew."},
			{Name: "triggers", Type: cty.Map(cty.String), Doc: "With `build`: any values that, when they change, build the image anew."},
			{Name: "keep_locally", Type: cty.Bool, Doc: "Whether the name stays on the engine when the resource is destroyed."},
			{Name: "force_remove", Type: cty.Bool, Doc: "Accepted and without effect: an image that something uses is never removed."},
			{Name: "build", Doc: "How to build the image.", Block: &schema.Block{Nesting: schema.Single, Attrs: buildTable(), Absent: buildAbsent()}},
			{Name: "build_inputs", Type: cty.String, Computed: true, Change: schema.Replace, Addition: true,
				Doc: "Hash of all that the image is built from: its files, which are `build.context_hash`, arguments, labels, target, triggers. " +
					"Arguments, labels and triggers enter by argon2id, salted with all else, so that a short secret among them is not read off it; of build secrets only the `id`s enter."},
			{Name: "id", Type: cty.String, Computed: true, Local: true, Doc: "ID of the image, `sha256:…`."},
			{Name: "image_id", Type: cty.String, Computed: true, Local: true, Doc: "The same: what a container's `image` is best set to."},
			{Name: "repo_digest", Type: cty.String, Computed: true, Doc: "Name and digest in the registry; null for an image that comes from none."},
		},
		Absent: map[string]string{"timeouts": "Remove it: pulls and builds take the time that they take, and Ctrl-C ends them."},
		Validate: func(v cty.Value) []schema.Problem {
			b := v.GetAttr("build")
			if b.IsKnown() && !b.IsNull() && known(v, "pull_triggers") {
				return []schema.Problem{{Attr: "pull_triggers", Detail: "pull_triggers pull an image anew, and this one is built; what builds it anew are triggers."}}
			}
			if b.IsKnown() && b.IsNull() && known(v, "triggers") {
				return []schema.Problem{{Attr: "triggers", Detail: "triggers build an image anew, and this one has no build block; what pulls it anew are pull_triggers."}}
			}
			return nil
		},
		Derive: deriveInputs,
	}
}

func buildTable() []schema.Attr {
	return []schema.Attr{
		{Name: "context", Type: cty.String, Required: true, Local: true, Doc: "Folder whose files the Dockerfile can copy."},
		{Name: "dockerfile", Type: cty.String, Local: true, Doc: "Path of the Dockerfile, from the context. `Dockerfile` if not set."},
		{Name: "context_hash", Type: cty.String, Computed: true, Addition: true,
			Doc: "Hash of the files of the context that no `.dockerignore` leaves out and of the Dockerfile: known also where arguments are not yet. " +
				"What group and others may do with a file is not in it, since a checkout's umask decides that."},
		{Name: "target", Type: cty.String, Doc: "Stage to build; the last one if not set."},
		{Name: "build_args", Type: cty.Map(cty.String), Doc: "Values of `ARG`. They can be read in the image's history: secrets go into `secrets`."},
		{Name: "build_arg", Type: cty.Map(cty.String), Doc: "The same as `build_args`."},
		{Name: "label", Type: cty.Map(cty.String), Doc: "Labels of the image."},
		{Name: "labels", Type: cty.Map(cty.String), Doc: "More labels of the image."},
		{Name: "platform", Type: cty.String, Doc: "Platform to build for; the image's `platform` if not set."},
		{Name: "network_mode", Type: cty.String, Doc: "Network of `RUN`: `default`, `host` or `none`."},
		{Name: "extra_hosts", Type: cty.List(cty.String), Doc: "Lines `name:address` for the `/etc/hosts` of `RUN`."},
		{Name: "cache_from", Type: cty.List(cty.String), Doc: "Images whose layers may be used again."},
		{Name: "no_cache", Type: cty.Bool, Doc: "Whether each step runs, whatever ran before. It does not make a build necessary."},
		{Name: "pull_parent", Type: cty.Bool, Doc: "Whether the base image is looked for in the registry though the engine has it."},
		{Name: "remove", Type: cty.Bool, Doc: "Accepted and without effect: BuildKit leaves no containers behind."},
		{Name: "force_remove", Type: cty.Bool, Doc: "Accepted and without effect, for the same reason."},
		{Name: "secrets", Doc: "What `RUN --mount=type=secret,id=…` can read. Only the `id` is part of `build_inputs`, so another value alone builds nothing.", Block: &schema.Block{
			Nesting: schema.List, Key: []string{"id"},
			Attrs: []schema.Attr{
				{Name: "id", Type: cty.String, Required: true, Doc: "Name of the secret in the Dockerfile."},
				{Name: "src", Type: cty.String, Local: true, Doc: "File that holds it."},
				{Name: "env", Type: cty.String, Doc: "Environment variable that holds it."},
			},
		}},
	}
}

// buildAbsent is what Terraform's provider has for a build besides.
func buildAbsent() map[string]string {
	const (
		buildKit = "Remove it: images are built with BuildKit, which does not know it."
		engine   = "Remove it: images are built by BuildKit in the engine, and nothing else."
		own      = "Remove it: gapool sees to that itself."
	)
	return map[string]string{
		"additional_contexts": "",
		"auth_config":         "Remove it: credentials are those of docker login.",
		"build_id":            own,
		"build_log_file":      "Remove it: an apply shows the build's log.",
		"builder":             engine,
		"cache_to":            "",
		"cgroup_parent":       buildKit,
		"cpu_period":          buildKit,
		"cpu_quota":           buildKit,
		"cpu_set_cpus":        buildKit,
		"cpu_set_mems":        buildKit,
		"cpu_shares":          buildKit,
		"isolation":           buildKit,
		"memory":              buildKit,
		"memory_swap":         buildKit,
		"provenance":          "",
		"remote_context":      "Name a folder with context.",
		"sbom":                "",
		"security_opt":        buildKit,
		"session_id":          own,
		"shm_size":            "",
		"squash":              buildKit,
		"suppress_output":     own,
		"tag":                 "Give each further name a docker_image of its own with the same build.",
		"ulimit":              "",
		"use_legacy_builder":  engine,
		"version":             engine,
	}
}

// untagged stands for a part of a name in the engine's lists of an image that
// has none: "<none>:<none>", "<none>@<none>".
const untagged = "<none>"

// imageName is the normal form of what a configuration or the engine calls an
// image: without a tag and with `latest`, without a host and with the usual one
// it is one. An ID stays an ID. What is no name at all stays what it is.
func imageName(s string) string {
	if isHex(s) {
		return "sha256:" + s
	}
	if isImageID(s) {
		return s
	}
	ref, err := reference.ParseDockerRef(s)
	if err != nil {
		return s
	}
	return reference.FamiliarString(ref)
}

func isHex(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32
}

func isImageID(s string) bool {
	hash, ok := strings.CutPrefix(s, "sha256:")
	return ok && isHex(hash)
}

func normalImage(v cty.Value) cty.Value { return cty.StringVal(imageName(v.AsString())) }

func checkImage(v cty.Value) error {
	s := v.AsString()
	if isImageID(s) {
		return nil
	}
	if _, err := reference.ParseDockerRef(s); err != nil {
		return fmt.Errorf("%q is not the name of an image: %w", s, err)
	}
	return nil
}

// deriveInputs fills build_inputs and, of it, what files say. Each is unknown as
// long as a part of what it is of is.
func deriveInputs(dir string, v cty.Value) (cty.Value, error) {
	b, triggers, platform := v.GetAttr("build"), v.GetAttr("triggers"), v.GetAttr("platform")
	if b.IsKnown() && b.IsNull() {
		return v, nil
	}
	set := map[string]cty.Value{"build_inputs": cty.UnknownVal(cty.String)}
	if !b.IsKnown() || !b.GetAttr("context").IsKnown() || !b.GetAttr("dockerfile").IsKnown() {
		if b.IsKnown() {
			set["build"] = schema.With(b, map[string]cty.Value{"context_hash": cty.UnknownVal(cty.String)})
		}
		return schema.With(v, set), nil
	}
	files, err := build.Files(context.Background(), build.Options{Context: from(dir, text(b, "context")), Dockerfile: text(b, "dockerfile")})
	if err != nil {
		return cty.NilVal, err
	}
	b = schema.With(b, map[string]cty.Value{"context_hash": cty.StringVal(files)})
	set["build"] = b
	if b.IsWhollyKnown() && triggers.IsWhollyKnown() && platform.IsKnown() {
		inputs, err := buildOptions(dir, v).Inputs(files)
		if err != nil {
			return cty.NilVal, err
		}
		set["build_inputs"] = cty.StringVal(inputs)
	}
	return schema.With(v, set), nil
}

// buildOptions are the build block of an image in the builder's words.
func buildOptions(dir string, v cty.Value) build.Options {
	b := v.GetAttr("build")
	o := build.Options{
		Context:     from(dir, text(b, "context")),
		Dockerfile:  text(b, "dockerfile"),
		Target:      text(b, "target"),
		Args:        map[string]string{},
		Labels:      map[string]string{},
		Platform:    cmp.Or(text(b, "platform"), text(v, "platform")),
		NoCache:     truth(b, "no_cache"),
		Pull:        truth(b, "pull_parent"),
		NetworkMode: text(b, "network_mode"),
		ExtraHosts:  texts(b, "extra_hosts"),
		CacheFrom:   texts(b, "cache_from"),
		Triggers:    textMap(v, "triggers"),
	}
	for _, name := range []string{"build_args", "build_arg"} {
		maps.Copy(o.Args, textMap(b, name))
	}
	for _, name := range []string{"label", "labels"} {
		for k, l := range textMap(b, name) {
			o.Labels[k] = l
		}
	}
	for _, s := range blocks(b, "secrets") {
		secret := build.Secret{ID: text(s, "id"), Env: text(s, "env")}
		if src := text(s, "src"); src != "" {
			secret.File = from(dir, src)
		}
		o.Secrets = append(o.Secrets, secret)
	}
	return o
}

func from(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// imageObject is the normal form of what a name means. An image carries no
// owner: pulled ones have no labels of ours, and a built one may be shared.
func (p *Provider) imageObject(name string, i image.Summary) *providers.Object {
	return &providers.Object{
		Kind: Image, ID: i.ID, Name: name, Created: time.Unix(i.Created, 0), Started: true,
		Attrs: p.image.Build(map[string]cty.Value{
			"name":         cty.StringVal(name),
			"build_inputs": stringOrNull(i.Labels[labelInputs]),
			"id":           cty.StringVal(i.ID),
			"image_id":     cty.StringVal(i.ID),
			"repo_digest":  stringOrNull(repoDigest(name, i.RepoDigests)),
		}),
		Defaults: p.image.Null(),
	}
}

// repoDigest picks the digest of the name's own repository.
func repoDigest(name string, digests []string) string {
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return ""
	}
	slices.Sort(digests)
	for _, d := range digests {
		if r, err := reference.ParseNormalizedNamed(d); err == nil && r.Name() == ref.Name() {
			return reference.FamiliarString(r)
		}
	}
	return ""
}

// images are the verbs for docker_image.
type images struct{ e *Engine }

func (r images) Type() *schema.Type { return r.e.tables.image }

func (r images) Create(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	var err error
	if set(req.Want, "build") {
		err = r.build(ctx, req)
	} else {
		err = r.pull(ctx, req)
	}
	if err != nil {
		return nil, err
	}
	return r.Read(ctx, providers.Ref{Kind: Image, Name: req.Name})
}

// Update is for the rows that are gapool's own: nothing changes on the engine.
func (r images) Update(ctx context.Context, req *providers.Request) (*providers.Object, error) {
	return r.Read(ctx, req.Prior.Ref())
}

func (r images) build(ctx context.Context, req *providers.Request) error {
	o := buildOptions(req.Dir, req.Want)
	o.Sensitive = req.Sensitive
	o.Tags = []string{req.Name}
	o.Labels[labelInputs] = text(req.Want, "build_inputs")
	_, err := build.Build(ctx, r.e.api, o, func(ev build.Event) {
		p := providers.Progress{Stage: ev.Step, Line: ev.Line, Done: ev.Current, Total: ev.Total}
		if ev.Kind != build.Log && ev.Kind != build.Failed {
			p.Line = ""
		}
		req.Report(p)
	})
	if err != nil {
		var failed *build.Failure
		if errors.As(err, &failed) {
			return problem("image %s: %w", req.Name, err)
		}
		return first("image "+req.Name, err)
	}
	return nil
}

// pull pulls the image with the credentials of the docker command.
func (r images) pull(ctx context.Context, req *providers.Request) error {
	what := "pull image " + req.Name
	auth, err := r.credentials(req.Name)
	if err != nil {
		return problem("%s: %w", what, err)
	}
	body, err := r.e.api.ImagePull(ctx, req.Name, image.PullOptions{RegistryAuth: auth, Platform: text(req.Want, "platform")})
	if cerrdefs.IsNotFound(err) {
		return problem("%s: %w; check the name, and that you may read it (docker login)", what, err)
	}
	if err != nil {
		return first(what, err)
	}
	err = errors.Join(followPull(body, req.Report), body.Close())
	var failed *pullFailure
	switch {
	case errors.As(err, &failed) && ctx.Err() == nil:
		return problem("%s: %w", what, err)
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// pullFailure is what the engine says of a pull that made no image.
type pullFailure struct{ message string }

func (f *pullFailure) Error() string { return f.message }

func (r images) credentials(name string) (string, error) {
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", err
	}
	host := reference.Domain(ref)
	a, err := login.For(r.e.config, host)
	if err != nil {
		return "", fmt.Errorf("credentials for %s: %w", host, err)
	}
	return registry.EncodeAuthConfig(registry.AuthConfig{
		Username: a.Username, Password: a.Password, Auth: a.Auth,
		ServerAddress: a.ServerAddress, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken,
	})
}

// followPull reports the sum over the layers.
func followPull(body io.Reader, report func(providers.Progress)) error {
	done, total := map[string]int64{}, map[string]int64{}
	for messages := json.NewDecoder(body); ; {
		var m struct {
			ID, Status     string
			ProgressDetail struct{ Current, Total int64 }
			ErrorDetail    *struct{ Message string }
		}
		switch err := messages.Decode(&m); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("the engine's answer broke off: %w", err)
		case m.ErrorDetail != nil:
			return &pullFailure{m.ErrorDetail.Message}
		case m.Status != "Downloading" || m.ProgressDetail.Total <= 0:
			continue
		}
		done[m.ID], total[m.ID] = m.ProgressDetail.Current, m.ProgressDetail.Total
		p := providers.Progress{Stage: "pulling"}
		for id := range total {
			p.Done += done[id]
			p.Total += total[id]
		}
		report(p)
	}
}

// Delete takes the name away, if it still means the same image. The engine
// removes the image itself with its last name, unless a container uses it; then
// it refuses (409), and the image is kept.
func (r images) Delete(ctx context.Context, req *providers.Request) error {
	what := "remove image " + req.Prior.Name
	now, err := r.Read(ctx, req.Prior.Ref())
	switch {
	case errors.Is(err, providers.ErrNotFound):
		return nil
	case err != nil:
		return providers.NoEffect(fmt.Errorf("%s: %w", what, err))
	case now.ID != req.Prior.ID:
		return nil // the name has moved on to another image
	}
	_, err = r.e.api.ImageRemove(ctx, req.Prior.Name, image.RemoveOptions{PruneChildren: true})
	switch {
	case err == nil || cerrdefs.IsNotFound(err):
		return nil
	case cerrdefs.IsConflict(err):
		req.Report(providers.Progress{Stage: "kept, since a container uses it"})
		return nil
	default:
		return first(what, err)
	}
}

// Read finds an image by its name: what has none any more is not found.
func (r images) Read(ctx context.Context, ref providers.Ref) (*providers.Object, error) {
	name := cmp.Or(ref.Name, ref.ID)
	i, err := r.e.api.ImageInspect(ctx, name)
	if err != nil {
		return nil, notFound("image "+name, err)
	}
	s := image.Summary{ID: i.ID, RepoDigests: i.RepoDigests}
	if t, err := time.Parse(time.RFC3339Nano, i.Created); err == nil {
		s.Created = t.Unix()
	}
	if i.Config != nil {
		s.Labels = i.Config.Labels
	}
	return r.e.tables.imageObject(imageName(name), s), nil
}
