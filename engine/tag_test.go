package engine_test

import (
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/plan"
	"github.com/gapool/gapool/providers"
)

// between lets others do something once the plan is made, before its first
// change is.
func (l *lab) between(others func()) {
	l.report = func(e engine.Event) {
		if e.Kind == engine.Started && others != nil {
			others()
			others = nil
		}
	}
}

// A tag that somebody made or moved since the plan is not taken from them.
func TestATagThatMovedSinceThePlanIsLeftAlone(t *testing.T) {
	const app = "resource \"docker_image\" \"app\" {\n  name   = \"app:latest\"\n  inputs = \"a\"\n}\n"
	theirs := func(l *lab) {
		l.world.Put(&providers.Object{Kind: "docker_image", Name: "app:latest", Attrs: l.table("docker_image").Build(map[string]cty.Value{
			"name": cty.StringVal("app:latest"), "inputs": cty.StringVal("theirs"),
		})})
	}
	tests := []struct {
		name          string
		first, config string
		others        func(*lab)
		says          string
	}{
		{"it was free", "", app, theirs, `the name "app:latest" means sha256:`},
		{"it was ours", app, strings.Replace(app, `"a"`, `"b"`, 1), theirs, "and meant sha256:"},
		{"it is gone", app, strings.Replace(app, `"a"`, `"b"`, 1), func(l *lab) { l.world.Remove("docker_image", "app:latest") }, "means nothing now, and meant sha256:"},
		{"only a note is written", app, strings.Replace(app, "inputs", "note = \"n\"\n  inputs", 1), theirs, "and meant sha256:"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t)
			if test.first != "" {
				l.write(test.first)
				l.apply()
			}
			l.write(test.config)
			var was string
			l.between(func() {
				test.others(l)
				was = l.world.String()
			})
			_, err := l.run(true)
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "nothing was done, plan again") {
				t.Errorf("the apply does not say %q: %v", test.says, err)
			}
			if got := l.world.String(); got != was {
				t.Errorf("it was\n%sand is\n%s", was, got)
			}
			l.apply()
			l.settled()
		})
	}
}

// Two blocks may ask for the same tag, and one may take over the tag that
// another one gives up: that is the plan's own doing.
func TestATagThatThePlanMovesItselfIsNoSurprise(t *testing.T) {
	l := newLab(t)
	l.write(`
resource "docker_image" "a" { name = "app:1" }
resource "docker_image" "b" { name = "app:1" }
resource "docker_image" "c" { name = "app:2" }
`)
	l.apply()
	l.settled()
	l.write(`
resource "docker_image" "a" { name = "app:2" }
resource "docker_image" "c" { name = "app:3" }
`)
	l.apply()
	l.settled()
	l.write(`resource "docker_image" "a" { name = "app:2" }
resource "docker_image" "b" { name = "app:2" }`)
	l.apply()
	l.write(`resource "docker_image" "a" { name = "app:2" }`)
	l.apply()
	l.settled()
	if got := l.world.String(); !strings.Contains(got, "docker_image app:2") {
		t.Errorf("the tag went with one of two that had it: %q", got)
	}
}

// What an image was is not known without a refresh, so nothing can be compared.
func TestATagIsTakenAsItIsWithoutARefresh(t *testing.T) {
	l := newLab(t)
	l.write("resource \"docker_image\" \"app\" {\n  name   = \"app:latest\"\n  inputs = \"a\"\n}\n")
	l.options = func(o *plan.Options) { o.Refresh = false }
	l.apply()
	l.options = nil
	l.settled()
}
