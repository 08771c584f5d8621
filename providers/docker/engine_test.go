//go:build engine

// These tests work on a real Docker engine, and fail where there is none:
//
//	go test -tags engine ./providers/docker

package docker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// lab is a stack of its own on the engine. Whatever is left of it at the end of
// a test is removed.
type lab struct {
	*testing.T
	*Engine
	stack string
	image string // a small image with a shell
}

func newLab(t *testing.T) *lab {
	t.Helper()
	out, err := exec.Command("../../scripts/base-image", "--tiny").Output()
	if err != nil {
		t.Fatalf("scripts/base-image --tiny: %v", err)
	}
	p := New()
	e, err := p.Open(context.Background(), p.Config().Null())
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, Engine: e, stack: "gapool-test-" + random(), image: strings.TrimSpace(string(out))}
	t.Cleanup(l.clean)
	return l
}

func random() string {
	b := make([]byte, 5)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func (l *lab) clean() {
	ctx := context.Background()
	w, err := l.Refresh(ctx, providers.Scope{Stack: l.stack, Workspace: "test"})
	if err != nil {
		l.Error(err)
		return
	}
	for _, kind := range []string{Container, Network, Volume} {
		for _, o := range w.Objects {
			if o.Kind != kind {
				continue
			}
			if o.Kind == Container {
				err = l.api.ContainerRemove(ctx, o.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
			} else {
				err = l.Resource(schema.Addr{Type: o.Kind}).Delete(ctx, &providers.Request{Prior: o, Report: func(providers.Progress) {}})
			}
			if err != nil {
				l.Error(err)
			}
		}
	}
	if err := l.Close(); err != nil {
		l.Error(err)
	}
}

// name is a name of the lab's own.
func (l *lab) name(s string) string { return l.stack + "-" + s }

// want reads a configuration. In it NAME- begins a name of the lab's own and
// IMAGE is the small image.
func (l *lab) want(kind, hcl string) cty.Value {
	l.Helper()
	return configured(l.T, l.tables, kind, strings.NewReplacer("NAME", l.stack, "IMAGE", l.image).Replace(hcl))
}

func (l *lab) request(kind string, want cty.Value) *providers.Request {
	req := &providers.Request{
		Addr: schema.Addr{Type: kind, Name: "x"}, Want: want, Dir: l.TempDir(), Report: func(providers.Progress) {},
		Owner: providers.Owner{
			Stack: l.stack, Workspace: "test", Lineage: "lineage", UID: random(), Address: kind + ".x",
			Deps: []schema.Addr{{Type: Network, Name: "n", Key: schema.StringKey(`a "key"`)}},
		},
	}
	if !want.IsNull() {
		req.Name = text(want, "name")
	}
	return req
}

func (l *lab) create(kind, hcl string) *providers.Object {
	l.Helper()
	req := l.request(kind, l.want(kind, hcl))
	o, err := l.Resource(req.Addr).Create(l.Context(), req)
	if err != nil {
		l.Fatal(err)
	}
	if o.Owner.UID != req.Owner.UID || o.Owner.Address != req.Owner.Address || len(o.Owner.Deps) != 1 || o.Owner.Deps[0] != req.Owner.Deps[0] {
		l.Errorf("made by %+v, says it is of %+v", req.Owner, o.Owner)
	}
	return o
}

// update changes an object to what hcl says, in the attributes that differ.
func (l *lab) update(o *providers.Object, hcl string) (*providers.Object, error) {
	l.Helper()
	want := l.want(o.Kind, hcl)
	req := l.request(o.Kind, want)
	req.Prior = o
	for _, d := range l.differences(o, want) {
		if d.Replace {
			l.Fatalf("%s replaces: %#v -> %#v", d.Attr, d.Live, d.Want)
		}
		req.Changed = append(req.Changed, d.Attr)
	}
	if len(req.Changed) == 0 {
		l.Fatal("there is nothing to update")
	}
	return l.Resource(req.Addr).Update(l.Context(), req)
}

func (l *lab) differences(o *providers.Object, want cty.Value) []schema.Difference {
	return schema.Differences(l.Resource(schema.Addr{Type: o.Kind}).Type(), want, o.Attrs, o.Defaults)
}

// same fails unless the object, as it was returned, as it is read and as a
// refresh finds it, is as hcl wants it.
func (l *lab) same(o *providers.Object, hcl string) {
	l.Helper()
	want := l.want(o.Kind, hcl)
	for how, o := range map[string]*providers.Object{"returned": o, "read": l.read(o), "refreshed": l.find(o)} {
		for _, d := range l.differences(o, want) {
			l.Errorf("%s: %s differs: it is %#v, wanted %#v", how, d.Attr, d.Live, d.Want)
		}
		if !o.Started {
			l.Errorf("%s: not started", how)
		}
	}
}

// differs returns the attributes in which an object is not as hcl wants it, and
// whether that replaces it.
func (l *lab) differs(o *providers.Object, hcl string) (attrs []string, replaces bool) {
	l.Helper()
	for _, d := range l.differences(l.find(o), l.want(o.Kind, hcl)) {
		attrs = append(attrs, d.Attr)
		replaces = replaces || d.Replace
	}
	return attrs, replaces
}

func (l *lab) read(o *providers.Object) *providers.Object {
	l.Helper()
	got, err := l.Resource(schema.Addr{Type: o.Kind}).Read(l.Context(), o.Ref())
	if err != nil {
		l.Fatal(err)
	}
	return got
}

func (l *lab) find(o *providers.Object) *providers.Object {
	l.Helper()
	w, err := l.Refresh(l.Context(), providers.Scope{Stack: l.stack, Workspace: "test", Recorded: []providers.Ref{o.Ref()}})
	if err != nil {
		l.Fatal(err)
	}
	for _, f := range w.Objects {
		if f.Kind == o.Kind && f.ID == o.ID {
			return f
		}
	}
	l.Fatalf("a refresh does not find %s %s", o.Kind, o.Name)
	return nil
}

func (l *lab) delete(o *providers.Object) {
	l.Helper()
	req := l.request(o.Kind, cty.NullVal(o.Attrs.Type()))
	req.Prior = o
	for range 2 { // what is gone already is a success
		if err := l.Resource(req.Addr).Delete(l.Context(), req); err != nil {
			l.Fatal(err)
		}
	}
	if _, err := l.Resource(req.Addr).Read(l.Context(), o.Ref()); !errors.Is(err, providers.ErrNotFound) {
		l.Errorf("deleted, and reading it says %v", err)
	}
}

func (l *lab) docker(args ...string) string {
	l.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		l.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after 20 s", what)
		}
	}
}
