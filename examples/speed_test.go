//go:build engine

package examples_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"
)

// The speed of gapool is told against a floor: the same calls for the same
// containers made by hand, as many at once, in the same run, in turns.
//
//	make bench
const (
	fleetSize = 50
	atOnce    = 10 // gapool's own -parallelism
)

const fleetConfig = `
gapool {
  stack = "NAME"
}
variable "image" {}
resource "docker_container" "fleet" {
  count   = 50
  name    = "NAME-${count.index}"
  image   = var.image
  command = ["sleep", "1000000"]
  init    = true
}
`

// floor makes and removes a fleet without gapool.
type floor struct {
	b      *testing.B
	api    *client.Client
	image  string
	prefix string
}

func (f *floor) each(do func(ctx context.Context, name string) error) time.Duration {
	f.b.Helper()
	began := time.Now()
	g, ctx := errgroup.WithContext(context.Background())
	g.SetLimit(atOnce)
	for i := range fleetSize {
		g.Go(func() error { return do(ctx, fmt.Sprintf("%s-%d", f.prefix, i)) })
	}
	if err := g.Wait(); err != nil {
		f.b.Fatal(err)
	}
	return time.Since(began)
}

func (f *floor) make() time.Duration {
	init := true
	return f.each(func(ctx context.Context, name string) error {
		made, err := f.api.ContainerCreate(ctx, &container.Config{
			Image: f.image, Cmd: []string{"sleep", "1000000"}, Labels: map[string]string{"gapool.stack": f.prefix},
		}, &container.HostConfig{Init: &init}, nil, nil, name)
		if err != nil {
			return err
		}
		return f.api.ContainerStart(ctx, made.ID, container.StartOptions{})
	})
}

func (f *floor) remove() time.Duration {
	return f.each(func(ctx context.Context, name string) error {
		if err := f.api.ContainerStop(ctx, name, container.StopOptions{}); err != nil {
			return err
		}
		return f.api.ContainerRemove(ctx, name, container.RemoveOptions{RemoveVolumes: true})
	})
}

// BenchmarkFleet makes 50 containers, plans once more, and removes them.
func BenchmarkFleet(b *testing.B) {
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithHost(script(b, "engine", "--host")), client.WithAPIVersionNegotiation())
	if err != nil {
		b.Fatal(err)
	}
	defer api.Close()
	image := tinyImage(b)
	bare := &floor{b: b, api: api, image: image, prefix: newStack(b).name}
	s := newStack(b)
	s.env = []string{"GAPOOL_VAR_image=" + image}
	s.mute = true
	s.write("main.gapool.hcl", fleetConfig)
	timed := func(code int, args ...string) time.Duration {
		began := time.Now()
		s.must(code, args...)
		return time.Since(began)
	}
	times := map[string][]time.Duration{}
	note := func(what string, d time.Duration) { times[what] = append(times[what], d) }
	withGapool := func() {
		note("apply", timed(0, "apply", "-auto-approve"))
		note("plan", timed(0, "plan", "-detailed-exitcode"))
		note("destroy", timed(0, "destroy", "-auto-approve"))
	}
	byHand := func() {
		note("floor-apply", bare.make())
		note("floor-destroy", bare.remove())
	}
	byHand() // the engine warms up, and it is not counted
	clear(times)
	round := 0
	for b.Loop() {
		turns := []func(){byHand, withGapool}
		if round%2 == 1 {
			slices.Reverse(turns)
		}
		for _, turn := range turns {
			turn()
		}
		round++
	}
	median := func(what string) float64 {
		slices.Sort(times[what])
		n := len(times[what])
		return (times[what][(n-1)/2] + times[what][n/2]).Seconds() / 2
	}
	b.ReportMetric(0, "ns/op") // of a round, which says nothing
	for _, verb := range []string{"apply", "destroy"} {
		b.ReportMetric(median("floor-"+verb), "floor-s/"+verb)
		b.ReportMetric(median(verb), "gapool-s/"+verb)
		b.ReportMetric(median(verb)/median("floor-"+verb), "ratio/"+verb)
	}
	b.ReportMetric(median("plan"), "gapool-s/no-op-plan")
	s.nothingLeft()
}
