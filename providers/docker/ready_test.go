package docker

import (
	"testing"

	"github.com/docker/docker/api/types/container"
)

func TestJudge(t *testing.T) {
	type look struct {
		container.State
		restarts int
	}
	inspect := func(l look) *container.InspectResponse {
		return &container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{
			State: &l.State, RestartCount: l.restarts, HostConfig: &container.HostConfig{},
		}}
	}
	up := container.State{Running: true, StartedAt: "1"}
	health := func(status string, output string) container.State {
		s := container.State{Running: true, Health: &container.Health{Status: status}}
		if output != "" {
			s.Health.Log = []*container.HealthcheckResult{{ExitCode: 1, Output: output + "\n"}}
		}
		return s
	}
	for name, tc := range map[string]struct {
		verdict     func(c, before *container.InspectResponse) (bool, error)
		before, now look
		first, done bool
		err         string
	}{
		"just started":           {verdict: judgeRunning, first: true, now: look{State: up}},
		"still runs":             {verdict: judgeRunning, before: look{State: up}, now: look{State: up}, done: true},
		"was started again":      {verdict: judgeRunning, before: look{State: up}, now: look{State: container.State{Running: true, StartedAt: "2"}, restarts: 1}},
		"ran on after a restart": {verdict: judgeRunning, before: look{State: up, restarts: 1}, now: look{State: up, restarts: 1}, done: true},
		// A crash loop says both.
		"between two crashes": {verdict: judgeRunning, before: look{State: up}, now: look{State: container.State{Running: true, Restarting: true, StartedAt: "1"}}},
		"ended":               {verdict: judgeRunning, first: true, now: look{State: container.State{ExitCode: 7, OOMKilled: true}}, err: "it ended with exit code 7, since it was out of memory"},
		"healthy":             {verdict: judgeHealth, now: look{State: health("healthy", "")}, done: true},
		"starting":            {verdict: judgeHealth, now: look{State: health("starting", "no")}},
		"unhealthy":           {verdict: judgeHealth, now: look{State: health("unhealthy", "no")}, err: "its health check fails (exit code 1): no"},
		"without a check":     {verdict: judgeHealth, now: look{State: up}, err: "wait needs a health check, and neither the configuration nor the image has one; give it a healthcheck or remove wait"},
		"ended unhealthy":     {verdict: judgeHealth, now: look{State: container.State{ExitCode: 1}}, err: "it ended with exit code 1"},
		"crashes":             {verdict: judgeHealth, now: look{State: health("starting", ""), restarts: 2}, err: "it ended with exit code 0 and was started again 2 times"},
	} {
		var before *container.InspectResponse
		if !tc.first {
			before = inspect(tc.before)
		}
		done, err := tc.verdict(inspect(tc.now), before)
		if text := errText(err); done != tc.done || text != tc.err {
			t.Errorf("%s: got %v %q, want %v %q", name, done, text, tc.done, tc.err)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
