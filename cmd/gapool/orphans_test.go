package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/gapool/gapool/providers"
)

// Without a state an address may have two objects that the configuration does
// not know, such as a candidate and the one before it. Both are told before they
// go; where the configuration does not name the stack, both are listed.
func TestAllOrphansOfAnAddressAreTold(t *testing.T) {
	dir := t.TempDir()
	w := world(filepath.Join(dir, ".world.json"))
	s := &shop{dir: dir, world: w, provider: w}
	put := func(stack string) {
		for _, name := range []string{"web", "web.12345678"} {
			w.Put(&providers.Object{Kind: "docker_container", Name: name, Owner: providers.Owner{
				Stack: stack, Workspace: "default", Lineage: "lost", UID: "uid of " + name, Address: "docker_container.web",
			}})
		}
	}
	put("shop")
	s.write(`gapool { stack = "shop" }`)
	for _, flag := range []string{"-full", "-concise", "-markdown", "-json"} {
		_, out := s.run("plan", flag)
		if flag != "-json" && !strings.Contains(out, "web.12345678") || strings.Count(out, "planned_change") != map[bool]int{true: 2}[flag == "-json"] {
			t.Errorf("one of two that go is not told by plan %s:\n%s", flag, out)
		}
	}
	put(filepath.Base(dir))
	s.write("")
	for _, flag := range []string{"-full", "-markdown", "-json"} {
		_, out := s.run("plan", flag)
		if strings.Count(out, "docker_container") != 2 || strings.Contains(out, "data") {
			t.Errorf("two that are kept are not told, or another reason, by plan %s:\n%s", flag, out)
		}
	}
}
