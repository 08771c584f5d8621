package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine/plan"
	"github.com/gapool/gapool/providers/mem"
)

// cutOff is a destroy that died while a container of a long grace was stopping.
func cutOff(t *testing.T) *lab {
	l := newLab(t, mem.Lingers(func(kind string, _ cty.Value) time.Duration {
		if kind == "docker_container" {
			return 30*time.Second + time.Millisecond
		}
		return 0
	}))
	l.write(pool)
	l.apply()
	l.world.SetFault(func(c mem.Call) error {
		if c.Op == mem.Stop && c.When == mem.Before {
			return mem.ErrCrash
		}
		return nil
	})
	l.mode, l.options = "destroy", allowAll
	if _, err := l.run(true); err == nil {
		t.Fatal("the destroy did not die")
	}
	l.world.SetFault(nil)
	return l
}

// A stop may go on for as long as the container has to end: what runs is read
// when that is over. A clock that was set back since makes it no longer.
func TestAStopInDoubtIsWaitedFor(t *testing.T) {
	for _, test := range []struct {
		what  string
		since time.Duration // the journal's last write
		want  string
	}{
		{"the clock was set back", -time.Hour, "33s"}, // 2 s and the stop, in whole seconds
		{"long ago", time.Hour, ""},
	} {
		l := cutOff(t)
		waits := ""
		l.options = func(o *plan.Options) {
			allowAll(o)
			o.Loaded.LastWrite = time.Now().Add(-test.since)
			o.Waiting = func(d time.Duration) { waits += d.String() }
		}
		l.apply()
		if waits != test.want {
			t.Errorf("%s: it waits %q, want %q", test.what, waits, test.want)
		}
		if left := len(l.world.Objects()); left > 0 {
			t.Errorf("%s: %d objects are left", test.what, left)
		}
	}
}

// Whoever takes an engine for himself must have it before he reads it.
func TestAnEngineIsTakenBeforeItIsRead(t *testing.T) {
	l := newLab(t)
	l.write(pool)
	seen := ""
	l.world.SetFault(func(c mem.Call) error {
		if c.When == mem.Before {
			seen += fmt.Sprintf("%s ", c.Op)
		}
		return nil
	})
	taken := error(nil)
	l.options = func(o *plan.Options) {
		o.Connected = func(_ context.Context, id string) error {
			seen += id + " "
			return taken
		}
	}
	l.plan()
	if seen != "mem:docker refresh " {
		t.Errorf("it did %s", seen)
	}
	seen, taken = "", errors.New("held by another checkout")
	if _, err := l.run(true); err == nil || seen != "mem:docker " {
		t.Errorf("it did %s, %v", seen, err)
	}
}
