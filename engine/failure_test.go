package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/go-multierror"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/apply"
	"github.com/gapool/gapool/providers/mem"
	"github.com/gapool/gapool/state"
)

const fleet = `
resource "docker_network" "net" {
  name = "net"
}
resource "docker_volume" "data" {
  count = 3
  name  = "data-${count.index}"
}
resource "docker_container" "web" {
  count = 3
  name  = "web-${count.index}"
  image = "x"
  network { name = docker_network.net.name }
  mount   { volume = docker_volume.data[count.index].name }
}
resource "docker_container" "after" {
  count = 3
  name  = "after-${count.index}"
  image = "x"
  env   = { WEB = docker_container.web[count.index].id }
}
`

// failing lets calls fail: those whose text one of the words begins.
func failing(err error, calls ...string) mem.Fault {
	return func(c mem.Call) error {
		for _, call := range calls {
			if strings.HasPrefix(c.String(), call) {
				return err
			}
		}
		return nil
	}
}

// news collects what an apply reports: each step's last event.
func (l *lab) news() map[string]engine.EventKind {
	last := map[string]engine.EventKind{}
	l.report = func(e engine.Event) { last[string(e.Step.Verb)+" "+e.Step.Addr.String()] = e.Kind }
	return last
}

// record loads what is recorded of an address.
func (l *lab) record(addr string) *state.Record {
	l.t.Helper()
	for a, r := range l.loaded().State.Records {
		if a.String() == addr {
			return r
		}
	}
	return nil
}

// TestAFailureSkipsOnlyWhatDependsOnIt lets two of several creates fail.
func TestAFailureSkipsOnlyWhatDependsOnIt(t *testing.T) {
	for _, parallelism := range []int{1, 4} {
		l := newLab(t)
		l.parallelism = parallelism
		l.write(fleet)
		l.world.SetFault(failing(errors.New("no space left"), "before create docker_volume data-2", "before create docker_volume data-0"))
		last := l.news()
		_, err := l.run(true)
		var multi *multierror.Error
		if !errors.As(err, &multi) || len(multi.Errors) != 2 {
			t.Fatalf("the error is %v", err)
		}
		for i, addr := range []string{"docker_volume.data[0]", "docker_volume.data[2]"} {
			if got := multi.Errors[i].Error(); !strings.HasPrefix(got, addr+": create: no space left") {
				t.Errorf("error %d is %q", i, got)
			}
			var step *apply.StepError
			if !errors.As(multi.Errors[i], &step) || step.Step.Addr.String() != addr {
				t.Errorf("error %d is not that step's", i)
			}
		}
		want := map[string]engine.EventKind{
			"create docker_network.net": engine.Done, "create docker_volume.data[1]": engine.Done,
			"create docker_volume.data[0]": engine.Failed, "create docker_volume.data[2]": engine.Failed,
		}
		for i := range 3 {
			want[fmt.Sprintf("create docker_container.web[%d]", i)] = engine.Skipped
			want[fmt.Sprintf("create docker_container.after[%d]", i)] = engine.Skipped
		}
		for step, kind := range want {
			if last[step] != kind {
				t.Errorf("%s: %d, want %d", step, last[step], kind)
			}
		}
		l.world.SetFault(nil)
		l.report = nil
		l.apply()
		l.settled()
		l.recordsAll()
	}
}

// TestAHalfMadeObjectIsRecordedAndReplaced lets a container fail to start, and
// another one after its start.
func TestAHalfMadeObjectIsRecordedAndReplaced(t *testing.T) {
	for _, call := range []string{"before start docker_container web-1", "after start docker_container web-1", "before ready docker_container web-1"} {
		l := newLab(t)
		l.write(fleet)
		l.world.SetFault(failing(errors.New("exec format error"), call))
		if _, err := l.run(true); err == nil || !strings.Contains(err.Error(), "docker_container.web[1]: create: exec format error") {
			t.Errorf("%s: the error is %v", call, err)
		}
		l.world.SetFault(nil)
		rec := l.record("docker_container.web[1]")
		if rec == nil || rec.Current == nil || rec.Current.Status != state.Tainted {
			t.Fatalf("%s: recorded is %+v", call, rec)
		}
		half := rec.Current.ID
		p := l.apply()
		if got := sketch(p); !strings.Contains(got, "-/+ docker_container.web[1] was left unfinished by an earlier apply") {
			t.Errorf("%s: the next plan is\n%s", call, got)
		}
		if rec := l.record("docker_container.web[1]"); rec.Current.ID == half || rec.Current.Status != state.Ready {
			t.Errorf("%s: recorded is %+v", call, rec.Current)
		}
		l.settled()
		l.recordsAll()
	}
}

// TestAFailedDeleteKeepsTheObject lets a delete fail: what it uses stays too.
func TestAFailedDeleteKeepsTheObject(t *testing.T) {
	l := newLab(t)
	l.write(fleet)
	l.apply()
	l.mode = engine.Destroy
	l.options = allowAll
	l.world.SetFault(failing(errors.New("device is busy"), "before delete docker_container web-1"))
	last := l.news()
	if _, err := l.run(true); err == nil || !strings.Contains(err.Error(), "docker_container.web[1]: delete: device is busy") {
		t.Errorf("the error is %v", err)
	}
	for step, kind := range map[string]engine.EventKind{
		"delete docker_container.web[0]": engine.Done, "delete docker_container.web[1]": engine.Failed,
		"delete docker_network.net": engine.Skipped,
	} {
		if last[step] != kind {
			t.Errorf("%s: %d, want %d", step, last[step], kind)
		}
	}
	l.world.SetFault(nil)
	l.report = nil
	l.apply()
	if left := l.world.String(); left != "" {
		t.Errorf("left is\n%s", left)
	}
}

// TestStopFinishesWhatIsInFlight interrupts an apply in the middle: what runs
// comes to its end, nothing else starts, all is recorded, the next one goes on.
func TestStopFinishesWhatIsInFlight(t *testing.T) {
	for _, parallelism := range []int{1, 3} {
		l := newLab(t)
		l.parallelism = parallelism
		l.write(fleet)
		stop := make(chan struct{})
		var stopped bool
		l.stop = stop
		l.report = func(e engine.Event) {
			if e.Kind == engine.Started && e.Step.Addr.Type == "docker_volume" && !stopped {
				stopped = true
				close(stop)
			}
			if e.Kind == engine.Done && e.Step.Addr.Type == "docker_container" {
				t.Errorf("%s was made after the stop", e.Step.Addr)
			}
		}
		_, err := l.run(true)
		if !errors.Is(err, apply.ErrInterrupted) {
			t.Fatalf("the error is %v", err)
		}
		l.stop, l.report = nil, nil
		if n := len(l.world.Objects()); n == 0 || n > 1+parallelism {
			t.Errorf("%d objects were made", n)
		}
		l.recordsAll()
		l.apply()
		l.settled()
	}
}

// TestCancelledContext cancels in the middle of an apply, as a second Ctrl-C
// does.
func TestCancelledContext(t *testing.T) {
	for _, at := range []string{"before create docker_volume data-1", "before start docker_container web-1", "after create docker_container web-0"} {
		l := newLab(t)
		l.write(fleet)
		ctx, cancel := context.WithCancel(context.Background())
		l.world.SetFault(func(c mem.Call) error {
			if strings.HasPrefix(c.String(), at) {
				cancel()
			}
			return nil
		})
		l.report = func(e engine.Event) {
			if e.Kind == engine.Started && ctx.Err() != nil {
				t.Errorf("%s: %s %s was started after that", at, e.Step.Verb, e.Step.Addr)
			}
		}
		_, err := l.runWith(ctx, true)
		if !errors.Is(err, apply.ErrInterrupted) {
			t.Errorf("%s: the error is %v", at, err)
		}
		l.report = nil
		l.world.SetFault(nil)
		l.apply()
		l.settled()
		l.recordsAll()
	}
}

// TestWhatWasPlannedForIsGone changes the world between plan and apply of one
// run: the step refuses.
func TestWhatWasPlannedForIsGone(t *testing.T) {
	l := newLab(t)
	l.write(five())
	l.apply()
	l.write(five("memory = 64", "memory = 128"))
	l.world.SetFault(func(c mem.Call) error {
		if c.String() == "after refresh" {
			l.world.SetFault(nil)
			l.world.Remove("docker_container", "web-0")
		}
		return nil
	})
	_, err := l.run(true)
	if err == nil || !strings.Contains(err.Error(), "docker_container.web[0]: update") || !strings.Contains(err.Error(), "plan again") {
		t.Errorf("the error is %v", err)
	}
	l.apply()
	l.settled()
}

// TestApplyNeverDecides puts a foreign object under a name between plan and
// apply: it is not taken.
func TestApplyNeverDecides(t *testing.T) {
	for _, kind := range []string{"docker_volume data", "docker_network net", "docker_container web-0"} {
		l := newLab(t)
		l.write(five())
		l.world.SetFault(func(c mem.Call) error {
			if c.String() == "after refresh" {
				l.world.SetFault(nil)
				drift(l, strings.Fields("put "+kind))
			}
			return nil
		})
		if _, err := l.run(true); err == nil || !strings.Contains(err.Error(), "conflict") {
			t.Errorf("%s: the error is %v", kind, err)
		}
		for _, o := range l.world.Objects() {
			if o.Kind+" "+o.Name == kind && o.Owner.UID != "" {
				t.Errorf("%s was taken", kind)
			}
		}
	}
}

// What an update did not change is recorded as it is: nobody else has changed it.
func TestFailedUpdateIsNoDrift(t *testing.T) {
	const config = `
resource "docker_container" "web" {
  name   = "web"
  image  = "x"
  memory = 64
}
`
	for name, when := range map[string]mem.When{"without effect": mem.Before, "with effect": mem.After} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.write(config)
			l.apply()
			l.world.SetFault(func(c mem.Call) error {
				if c.Op == mem.Update && c.When == when {
					return errors.New("no")
				}
				return nil
			})
			l.write(strings.Replace(config, "64", "128", 1))
			if _, err := l.run(true); err == nil {
				t.Fatal("the update does not fail")
			}
			l.world.SetFault(nil)
			p := l.plan()
			if len(p.Drift) > 0 {
				t.Errorf("drift: %+v", p.Drift)
			}
			if empty := when == mem.After; p.Empty() != empty {
				t.Errorf("the next plan is\n%s", sketch(p))
			}
			l.apply()
			l.settled()
		})
	}
}
