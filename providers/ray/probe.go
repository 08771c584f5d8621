package ray

import (
	"fmt"
	"time"
)

// Probe is a container's health check.
type Probe struct {
	Test        []string // exec form, begins with CMD
	Interval    time.Duration
	Timeout     time.Duration
	StartPeriod time.Duration
	Retries     int
}

// HealthProbe asks a worker's agent for its raylet, and a head's dashboard for
// the GCS too. It needs neither curl nor a token; http.client, unlike urllib,
// takes no proxy from the environment.
func HealthProbe(head bool) Probe {
	ask := fmt.Sprintf(`(%d, "/api/local_raylet_healthz"), `, AgentPort)
	if head {
		ask += fmt.Sprintf(`(%d, "/api/gcs_healthz"), `, DashboardPort)
	}
	script := `import http.client
for port, path in (` + ask + `):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    c.request("GET", path)
    r = c.getresponse()
    if r.status != 200:
        raise SystemExit("%s on %d: %d %s" % (path, port, r.status, r.read()[:200]))
`
	return Probe{
		Test:        []string{"CMD", "python3", "-I", "-S", "-c", script},
		Interval:    10 * time.Second,
		Timeout:     5 * time.Second,
		StartPeriod: time.Minute,
		Retries:     6,
	}
}
