package schema

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseAddr(t *testing.T) {
	tests := map[string]Addr{
		`docker_volume.data`:                 {Type: "docker_volume", Name: "data"},
		`docker_container.web[3]`:            {Type: "docker_container", Name: "web", Key: IntKey(3)},
		`docker_container.web["x"]`:          {Type: "docker_container", Name: "web", Key: StringKey("x")},
		`data.docker_image.base`:             {Data: true, Type: "docker_image", Name: "base"},
		`module.a.docker_container.web["x"]`: {Module: "module.a", Type: "docker_container", Name: "web", Key: StringKey("x")},
		`module.a["k"].module.b[0].docker_volume.v`: {
			Module: `module.a["k"].module.b[0]`, Type: "docker_volume", Name: "v"},
		`ray_cluster.pool.head`: {Type: "ray_cluster", Name: "pool", Member: Member{Role: Head}},
		`ray_cluster.pool[1].worker["cpu"][3]`: {
			Type: "ray_cluster", Name: "pool", Key: IntKey(1), Member: Member{Role: Worker, Group: "cpu", Index: 3}},
	}
	for text, want := range tests {
		got, err := ParseAddr(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(Key{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		if got.String() != text {
			t.Errorf("%s is written back as %s", text, got)
		}
	}
}

func TestParseAddrRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                              "not a resource address",
		`docker_volume`:                 "name is missing",
		`docker_volume.a.id`:            "attribute of the resource",
		`docker_volume.a[-1]`:           "not a resource address",
		`docker_volume.a[1.5]`:          "whole number",
		`docker_volume.a[*]`:            "not a resource address",
		`ray_cluster.p.worker["cpu"]`:   `.worker["GROUP"][INDEX]`,
		`ray_cluster.p.head.memory`:     "goes on",
		`module.a`:                      "resource type is missing",
		`docker_volume.a["unterminated`: "not a resource address",
	} {
		_, err := ParseAddr(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want one with %q", text, err, want)
		}
	}
}

// TestGroup is the address of all workers of a group: it can be asked for, and
// nothing is recorded at it.
func TestGroup(t *testing.T) {
	const text = `module.a.ray_cluster.pool["x"].worker["cpu"]`
	group, err := ParseTarget(text)
	if err != nil {
		t.Fatal(err)
	}
	if group.String() != text {
		t.Errorf("%s is written back as %s", text, group)
	}
	for member, want := range map[string]bool{
		`module.a.ray_cluster.pool["x"].worker["cpu"][0]`:  true,
		`module.a.ray_cluster.pool["x"].worker["cpu"][12]`: true,
		`module.a.ray_cluster.pool["x"].worker["gpu"][0]`:  false,
		`module.a.ray_cluster.pool["y"].worker["cpu"][0]`:  false,
		`ray_cluster.pool["x"].worker["cpu"][0]`:           false,
		`module.a.ray_cluster.pool["x"].head`:              false,
		`module.a.ray_cluster.pool["x"]`:                   false,
	} {
		addr, err := ParseAddr(member)
		if err != nil {
			t.Fatal(err)
		}
		if got := group.Contains(addr); got != want {
			t.Errorf("the group contains %s: %t, want %t", member, got, want)
		}
	}
	if !group.Cluster().Contains(group) || !group.Block().Contains(group) {
		t.Error("the cluster and the block contain the group")
	}
	for _, bad := range []string{`ray_cluster.pool.worker`, `ray_cluster.pool.worker[0]`, `ray_cluster.pool.worker["cpu"]["x"]`} {
		if a, err := ParseTarget(bad); err == nil {
			t.Errorf("%s is taken for %s", bad, a)
		}
	}
	var addr Addr
	if err := addr.UnmarshalText([]byte(text)); err == nil {
		t.Errorf("a record can be at %s", addr)
	}
}

func TestAddrTextIsInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Addr{Type: "docker_container", Name: "web", Key: StringKey(rapid.String().Draw(t, "key"))}
		got, err := ParseAddr(a.String())
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != a.String() {
			t.Fatalf("%s became %s", a, got)
		}
	})
}

func TestCompareAddrIsNumeric(t *testing.T) {
	a := Addr{Type: "docker_container", Name: "web"}
	if CompareAddr(a.Instance(IntKey(9)), a.Instance(IntKey(10))) >= 0 {
		t.Error("web[9] must come before web[10]")
	}
}
