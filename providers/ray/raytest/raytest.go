// Package raytest gives the in-memory engine clusters. Its Ray is made up of
// the world's containers: a member that runs is a live node of the head that it
// joins, a drained one is dead until its container is made anew.
//
// A [Ray] misbehaves on request, as [mem.World] does.
package raytest

import (
	"context"
	"sync"
	"time"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/mem"
	"github.com/gapool/gapool/providers/ray"
	"github.com/gapool/gapool/providers/ray/internal/gcs"
)

const kind = "docker_container"

// Ray is what stands in for Ray on a world. It is safe for concurrent use.
type Ray struct {
	world *mem.World

	mu      sync.Mutex
	drained map[string]gcs.Status // by the container's ID
	work    map[string]string     // by the container's name: why its drain is refused
	failing map[string]*failure   // by the container's name
	hidden  map[string]bool       // by the container's name
	starts  map[string]int        // by the container's ID: how often it was started again
	ghosts  map[string]bool       // by the container's name
	idle    map[string]time.Duration
	tokens  map[string]string // by the container's name
	uptime  *time.Duration    // nil where the engine does not tell
	deaf    bool
	job     bool
	jobless bool
	mute    error // what each question is answered with
	asked   []string
}

type failure struct {
	log   string
	times int
}

// Over returns the world with clusters, and the Ray that they ask. The world
// needs a docker_container table.
func Over(world *mem.World) (providers.Provider, *Ray) {
	hour := time.Hour
	r := &Ray{
		world: world, drained: map[string]gcs.Status{}, work: map[string]string{}, failing: map[string]*failure{},
		hidden: map[string]bool{}, ghosts: map[string]bool{}, starts: map[string]int{}, idle: map[string]time.Duration{}, tokens: map[string]string{}, uptime: &hour,
	}
	return ray.OverWith(boxes{world, r}, func(_ context.Context, head string, _ gcs.Exec, token string) (ray.Asker, error) {
		return &asker{r: r, head: head, token: token}, nil
	}), r
}

// Busy lets the node of a container refuse to be drained for that reason, as
// one with work does; empty is idle again.
func (r *Ray) Busy(container, why string) { r.locked(func() { r.work[container] = why }) }

// Job says whether a job runs.
func (r *Ray) Job(runs bool) { r.locked(func() { r.job = runs }) }

// Jobless lets nobody tell which jobs there are, as a dashboard that is down.
func (r *Ray) Jobless(down bool) { r.locked(func() { r.jobless = down }) }

// Fail lets the next starts of a container end with that log.
func (r *Ray) Fail(container, log string, times int) {
	r.locked(func() { r.failing[container] = &failure{log, times} })
}

// Hide keeps a container from being listed although it runs.
func (r *Ray) Hide(container string, hidden bool) { r.locked(func() { r.hidden[container] = hidden }) }

// Ghost lets Ray go on listing an earlier start of a container as alive, as it
// does for a while after a container was killed and started again.
func (r *Ray) Ghost(container string, listed bool) { r.locked(func() { r.ghosts[container] = listed }) }

// Idle says for how long a container's node was idle.
func (r *Ray) Idle(container string, d time.Duration) { r.locked(func() { r.idle[container] = d }) }

// Uptime is for how long every container runs, in the engine's words; an hour
// unless set. With nil the engine does not tell.
func (r *Ray) Uptime(d *time.Duration) { r.locked(func() { r.uptime = d }) }

// Deaf lets no container run a command. Ray answers all the same.
func (r *Ray) Deaf(deaf bool) { r.locked(func() { r.deaf = deaf }) }

// Drained lets Ray say of a container's node that it is draining or dead.
func (r *Ray) Drained(container string, status ray.NodeStatus) {
	word := gcs.Dead
	if status == ray.NodeDraining {
		word = gcs.Draining
	}
	for _, obj := range r.world.Running(kind) {
		if obj.Name == container {
			r.locked(func() { r.drained[obj.ID] = word })
		}
	}
}

// Token returns the token that a member was made with, empty for none.
func (r *Ray) Token(container string) string {
	var token string
	r.locked(func() { token = r.tokens[container] })
	return token
}

// Mute lets each question fail so, as long as it is not nil.
func (r *Ray) Mute(err error) { r.locked(func() { r.mute = err }) }

// Asked returns the drains so far: "idle NAME" for one that a busy node
// refuses, "preempt NAME" for one that none refuses.
func (r *Ray) Asked() []string {
	var list []string
	r.locked(func() { list = append(list, r.asked...) })
	return list
}

func (r *Ray) locked(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}
