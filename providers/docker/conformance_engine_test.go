//go:build engine

package docker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/providertest"
)

func TestConformance(t *testing.T) {
	l := newLab(t)
	text := cty.StringVal
	container := func(name string, set map[string]cty.Value) map[string]cty.Value {
		out := map[string]cty.Value{
			"name": text(name), "image": text(l.image), "command": stringList([]string{"sleep", "600"}), "stop_timeout": cty.Zero,
		}
		for k, v := range set {
			out[k] = v
		}
		return out
	}
	uses := func(name string, set map[string]cty.Value) (string, map[string]cty.Value) {
		return Container, container(name, set)
	}
	rows := l.tables.container
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM "+l.image+"\nENV A=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var untagged []string
	t.Cleanup(func() {
		if len(untagged) > 0 {
			l.docker(append([]string{"rmi", "-f"}, untagged...)...)
		}
	})
	providertest.Run(t, providertest.Harness{
		Provider: New(), Config: New().Config().Null(), Prefix: l.stack, Dir: dir,
		Foreign: func(t *testing.T, kind, name string) {
			switch kind {
			case Container:
				l.docker("create", "--name", name, l.image)
				t.Cleanup(func() { l.docker("rm", "-f", name) })
			case Network:
				l.docker("network", "create", name)
				t.Cleanup(func() { l.docker("network", "rm", name) })
			default:
				l.docker("volume", "create", name)
				t.Cleanup(func() { l.docker("volume", "rm", name) })
			}
		},
		Cases: []providertest.Case{
			{
				Kind: Image,
				Want: func(name string) map[string]cty.Value {
					return map[string]cty.Value{"name": text(name), "build": l.tables.image.Attr("build").Block.Build(map[string]cty.Value{
						"context": text("."), "label": stringMap(map[string]string{"of": name}),
					})}
				},
				Named: func(name string, used *providers.Object) (string, map[string]cty.Value) {
					return uses(name, map[string]cty.Value{"image": text(used.Name)})
				},
				Moved: func(t *testing.T, tag string) {
					untagged = append(untagged, l.docker("inspect", "--format", "{{.Id}}", tag))
					l.docker("tag", l.image, tag)
					t.Cleanup(func() { l.docker("rmi", tag) })
				},
				Parallel: 5,
			},
			{
				Kind: Network,
				Want: func(name string) map[string]cty.Value {
					return map[string]cty.Value{"name": text(name), "labels": stringMap(map[string]string{"a": "1"})}
				},
				Replace: func(name string) map[string]cty.Value {
					return map[string]cty.Value{"name": text(name), "internal": cty.True}
				},
				User: func(name string, used *providers.Object) (string, map[string]cty.Value) {
					return uses(name, map[string]cty.Value{"networks_advanced": cty.ListVal([]cty.Value{
						rows.Attr("networks_advanced").Block.Build(map[string]cty.Value{"name": text(used.Name)}),
					})})
				},
				Parallel: 5, // the engine has addresses for some 30 networks
			},
			{
				Kind: Volume,
				Want: func(name string) map[string]cty.Value {
					return map[string]cty.Value{"name": text(name)}
				},
				Replace: func(name string) map[string]cty.Value {
					return map[string]cty.Value{"name": text(name), "labels": stringMap(map[string]string{"a": "1"})}
				},
				User: func(name string, used *providers.Object) (string, map[string]cty.Value) {
					return uses(name, map[string]cty.Value{"mounts": cty.ListVal([]cty.Value{
						rows.Attr("mounts").Block.Build(map[string]cty.Value{"type": text("volume"), "source": text(used.Name), "target": text("/v"), "read_only": cty.False}),
					})})
				},
			},
			{
				Kind: Container,
				Want: func(name string) map[string]cty.Value {
					return container(name, map[string]cty.Value{
						"env": stringMap(map[string]string{"A": "1"}), "memory": cty.NumberIntVal(48), "memory_swap": cty.NumberIntVal(-1),
					})
				},
				Update: func(name string) map[string]cty.Value {
					return container(name, map[string]cty.Value{
						"env": stringMap(map[string]string{"A": "1"}), "memory": cty.NumberIntVal(64), "memory_swap": cty.NumberIntVal(-1), "restart": text("always"),
					})
				},
				Replace: func(name string) map[string]cty.Value {
					return container(name, map[string]cty.Value{"env": stringMap(map[string]string{"A": "2"})})
				},
				Half: func(_ *testing.T, name string) map[string]cty.Value {
					return container(name, map[string]cty.Value{"command": stringList([]string{"no-such-command"})})
				},
				Parallel: 10,
			},
		},
	})
}
