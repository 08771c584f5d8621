package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/gapool/gapool/providers"
)

const (
	// glance is how long a container must have run: most that end at once, for a
	// wrong argument, have ended then.
	glance = 100 * time.Millisecond
	// settleTime is the same for one that the engine would start again: a crash
	// loop runs, too, between two crashes.
	settleTime = 500 * time.Millisecond
	// settleTimeout is how long such a container may take until it does.
	settleTimeout = 15 * time.Second
	// tailLines is how much of its log a failed container's error repeats.
	tailLines = 20
)

// ready waits until a started container does what its configuration asks for:
// it is healthy with wait, it runs with must_run, and nothing otherwise. The
// error of one that does not come to that shows the end of its log.
func (e *Engine) ready(ctx context.Context, id string, req *providers.Request) error {
	wait := truth(req.Want, "wait")
	if !wait && set(req.Want, "must_run") && !truth(req.Want, "must_run") {
		return nil
	}
	limit := settleTimeout
	if wait {
		limit = time.Duration(seconds(whole(req.Want, "wait_timeout"))) * time.Second
		req.Report(providers.Progress{Stage: "waiting until it is healthy"})
	}
	deadline := time.Now().Add(limit)
	var before *container.InspectResponse
	for step := 20 * time.Millisecond; ; step = min(2*step, 500*time.Millisecond) {
		c, err := e.api.ContainerInspect(ctx, id)
		if err != nil {
			return fmt.Errorf("wait until it is ready: %w", err)
		}
		verdict := judgeRunning
		if wait {
			verdict = judgeHealth
		}
		done, why := verdict(&c, before)
		if done {
			return nil
		}
		if why == nil && time.Now().After(deadline) {
			why = fmt.Errorf("not ready after %s: it is %s", limit, state(&c))
		}
		if why != nil {
			return e.withLog(ctx, id, why)
		}
		if !wait {
			before, step = &c, glance
			if !c.HostConfig.RestartPolicy.IsNone() {
				step = settleTime
			}
		}
		if err := pause(ctx, step); err != nil {
			return fmt.Errorf("wait until it is ready: %w", err)
		}
	}
}

// judgeRunning tells whether a container runs, and has not been started again
// since it was looked at before.
func judgeRunning(c, before *container.InspectResponse) (bool, error) {
	s := c.State
	if !s.Running && !s.Restarting {
		return false, errors.New("it " + state(c))
	}
	return running(s) && before != nil && before.RestartCount == c.RestartCount && before.State.StartedAt == s.StartedAt, nil
}

// judgeHealth tells whether a container is healthy. What ended or is unhealthy
// will not become so in time.
func judgeHealth(c, _ *container.InspectResponse) (bool, error) {
	s := c.State
	switch {
	case !running(s) || c.RestartCount > 0:
		return false, errors.New("it " + state(c))
	case s.Health == nil || s.Health.Status == container.NoHealthcheck:
		return false, errors.New("wait needs a health check, and neither the configuration nor the image has one; give it a healthcheck or remove wait")
	case s.Health.Status == container.Unhealthy:
		why := "its health check fails"
		if n := len(s.Health.Log); n > 0 {
			last := s.Health.Log[n-1]
			why += fmt.Sprintf(" (exit code %d)", last.ExitCode)
			if said := strings.TrimSpace(last.Output); said != "" {
				why += ": " + said
			}
		}
		return false, errors.New(why)
	}
	return s.Health.Status == container.Healthy, nil
}

// state says in words what a container does.
func state(c *container.InspectResponse) string {
	s := c.State
	switch {
	case c.RestartCount > 0:
		return fmt.Sprintf("ended with exit code %d and was started again %d times", s.ExitCode, c.RestartCount)
	case s.Restarting:
		return fmt.Sprintf("ended with exit code %d and is started again", s.ExitCode)
	case s.Running && s.Health != nil:
		return "running, its health " + string(s.Health.Status)
	case s.Running:
		return "running"
	default:
		words := fmt.Sprintf("ended with exit code %d", s.ExitCode)
		if s.OOMKilled {
			words += ", since it was out of memory"
		}
		if s.Error != "" {
			words += ": " + s.Error
		}
		return words
	}
}

func (e *Engine) withLog(ctx context.Context, id string, why error) error {
	log, err := e.Logs(ctx, id, tailLines)
	if err != nil || log == "" {
		return why
	}
	return fmt.Errorf("%w; the end of its log:\n%s", why, indent(log))
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n  ")
}
