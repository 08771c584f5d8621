package engine_test

import (
	"strings"
	"testing"

	"github.com/gapool/gapool/engine/plan"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/mem"
	"github.com/gapool/gapool/schema"
)

func TestAnotherEngineIsRefused(t *testing.T) {
	l := newLab(t)
	l.write(pool)
	l.apply()
	home := l.world
	l.world = mem.New("docker", &schema.Type{Name: "docker"}, tables(), mem.Uses(uses), mem.EngineID("another"))
	if _, err := l.run(true); err == nil || !strings.Contains(err.Error(), "Another engine") {
		t.Errorf("an apply on another engine: %v", err)
	}
	if made := l.world.String(); made != "" {
		t.Errorf("it made\n%s", made)
	}
	l.world = home
	l.settled()
}

// A destroy dies after the engine has deleted the volume; somebody makes one of
// that name and fills it.
func TestAVolumeMadeAnewIsNotOurs(t *testing.T) {
	l := newLab(t)
	l.write(`resource "docker_volume" "data" { name = "data" }`)
	l.apply()
	l.world.SetFault(func(c mem.Call) error {
		if c.Op == mem.Delete && c.When == mem.After {
			return mem.ErrCrash
		}
		return nil
	})
	l.mode = "destroy"
	l.options = func(o *plan.Options) { o.AllowDataLoss = everyVolume(o) }
	if _, err := l.run(true); err == nil {
		t.Fatal("the destroy did not die")
	}
	l.world.SetFault(nil)
	l.world.Put(&providers.Object{Kind: "docker_volume", Name: "data", Attrs: tables()[2].Build(nil)})
	if p, err := l.run(true); err != nil {
		t.Errorf("the next destroy: %v", explain(err))
	} else if p.Summary().Destroy > 0 {
		t.Errorf("it destroys:\n%s", sketch(p))
	}
	if left := l.world.String(); !strings.Contains(left, "docker_volume data (not ours)") {
		t.Errorf("the volume is gone: %q", left)
	}
}

func TestAnotherStacksObjectDoesNotBlockThisOne(t *testing.T) {
	l := newLab(t)
	l.write(`resource "docker_volume" "data" { name = "data" }`)
	l.apply()
	l.world.Remove("docker_volume", "data")
	l.world.Put(&providers.Object{Kind: "docker_volume", Name: "data", Attrs: tables()[2].Build(nil), Owner: providers.Owner{
		Stack: "other", Workspace: "default", Lineage: "theirs", UID: "theirs", Address: "docker_volume.data",
	}})
	if _, err := l.run(false); err == nil || !strings.Contains(explain(err).Error(), `of stack "other"`) {
		t.Errorf("the plan does not say whose the name is: %v", err)
	}
	l.write(`resource "docker_volume" "data" { name = "data2" }`)
	l.apply()
	l.settled()
}
