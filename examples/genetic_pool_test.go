//go:build engine

package examples_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pool is the example's stack.
type pool struct {
	*stack
	dashboard string // http://127.0.0.1:PORT
	token     string
}

func (p *pool) head() string               { return p.name + "-head" }
func (p *pool) resource() string           { return "ray_cluster.pool" }
func (p *pool) worker(group string) string { return p.resource() + `.worker["` + group + `"]` }

// ask calls Ray's REST interface and returns the status and the body.
func (p *pool) ask(method, path, token string) (int, string) {
	p.t.Helper()
	req, err := http.NewRequest(method, p.dashboard+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Timeout: 30 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// listed wants Ray, not Docker, to list so many live workers of each group.
func (p *pool) listed(want map[string]int) {
	p.t.Helper()
	code, body := p.ask(http.MethodGet, "/api/v0/nodes?limit=10000&detail=1", p.token)
	if code != http.StatusOK {
		p.t.Fatalf("Ray's list of nodes: %d\n%s", code, body)
	}
	var answer struct {
		Data struct {
			Result struct {
				Result []struct {
					State  string            `json:"state"`
					IsHead bool              `json:"is_head_node"`
					Labels map[string]string `json:"labels"`
				} `json:"result"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		p.t.Fatalf("Ray's list of nodes: %v\n%s", err, body)
	}
	got := map[string]int{}
	for _, n := range answer.Data.Result.Result {
		if n.State == "ALIVE" && !n.IsHead {
			got[n.Labels["ray.io/node-group"]]++
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Fatalf("workers that Ray lists (-want +got):\n%s\n%s", diff, body)
	}
}

// algorithm is evolve.py at work in the head.
type algorithm struct {
	t      testing.TB
	cmd    *exec.Cmd
	ended  chan error
	output bytes.Buffer // to be read when it has ended
	lines  chan string
}

// evolve starts the algorithm.
func (p *pool) evolve(flags ...string) *algorithm {
	p.t.Helper()
	source, err := os.Open("genetic-pool/evolve.py")
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	p.t.Cleanup(cancel)
	a := &algorithm{t: p.t, ended: make(chan error, 1), lines: make(chan string, 10_000)}
	a.cmd = exec.CommandContext(ctx, "docker", append([]string{"exec", "-i", p.head(), "python3", "-"}, flags...)...)
	a.cmd.Stdin = source
	r, w := io.Pipe()
	a.cmd.Stdout, a.cmd.Stderr = w, w
	if err := a.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(r); s.Scan(); {
			fmt.Fprintln(&a.output, s.Text())
			a.lines <- s.Text()
		}
	}()
	go func() {
		err := a.cmd.Wait()
		w.Close()
		<-read
		source.Close()
		close(a.lines)
		a.ended <- err
	}()
	return a
}

// reaches waits for so many further generations.
func (a *algorithm) reaches(generations int) {
	a.t.Helper()
	for line := range a.lines {
		if strings.HasPrefix(line, "generation ") {
			if generations--; generations == 0 {
				return
			}
		}
	}
	a.t.Fatalf("the algorithm ended: %v\n%s", <-a.ended, a.output.String())
}

// running wants the algorithm not to have ended.
func (a *algorithm) running() {
	a.t.Helper()
	select {
	case err := <-a.ended:
		a.t.Fatalf("the algorithm has ended: %v\n%s", err, a.output.String())
	default:
	}
}

var account = regexp.MustCompile(`evaluations asked (\d+), returned (\d+), by (\d+) nodes`)

// whole waits for the algorithm's end and wants every evaluation back, and so
// many nodes to have evaluated.
func (a *algorithm) whole(nodes string) {
	a.t.Helper()
	err := <-a.ended
	text := a.output.String()
	m := account.FindStringSubmatch(text)
	if err != nil || m == nil || m[1] != m[2] || m[1] == "0" {
		a.t.Fatalf("the algorithm: %v\n%s", err, text)
	}
	if m[3] != nodes {
		a.t.Errorf("%s nodes evaluated, want %s:\n%s", m[3], nodes, text)
	}
	a.t.Log(m[0])
}

// freePort returns a port of this machine that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// newPool copies the example and gives it a name of its own.
func newPool(t *testing.T) *pool {
	t.Helper()
	p := &pool{stack: newStack(t)}
	if err := os.CopyFS(filepath.Join(p.dir, "image"), os.DirFS("genetic-pool/image")); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("genetic-pool/*.gapool.hcl")
	if err != nil || len(files) == 0 {
		t.Fatalf("the example has no configuration: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p.write(filepath.Base(file), strings.ReplaceAll(string(text), `"genetic-pool"`, `"NAME"`))
	}
	port := freePort(t)
	p.dashboard = fmt.Sprintf("http://127.0.0.1:%d", port)
	p.env = []string{
		"GAPOOL_VAR_base_image=" + script(t, "base-image"),
		fmt.Sprintf("GAPOOL_VAR_dashboard_port=%d", port),
	}
	return p
}

// The example as its users live with it: a cluster comes up, a genetic
// algorithm runs while workers come and go, one dies, all is removed.
func TestGeneticPool(t *testing.T) {
	p := newPool(t)
	lines := commandLines(t)
	r := p.apply()
	wants(t, r.stdout, "Apply complete!", `dashboard_url  = "`+p.dashboard+`"`, `head_address   = "`+p.head()+`:6379"`)
	p.token = p.docker("exec", p.head(), "cat", "/run/ray/token")
	p.listed(map[string]int{"small": 2, "large": 1})
	p.settled()
	status := p.must(0, "status")
	wants(t, status.stdout, p.worker("small")+"[0]", p.worker("small")+"[1]", p.worker("large")+"[0]", p.head())

	t.Log("the jobs API runs code: it asks for the token")
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if code, body := p.ask(method, "/api/jobs/", ""); code != http.StatusUnauthorized {
			t.Errorf("%s /api/jobs/ without the token: %d, want 401\n%s", method, code, body)
		}
	}
	if code, body := p.ask(http.MethodGet, "/api/jobs/", "0123456789abcdef"); code != http.StatusForbidden {
		t.Errorf("GET /api/jobs/ with a wrong token: %d, want 403\n%s", code, body)
	}
	if code, body := p.ask(http.MethodGet, "/api/jobs/", p.token); code != http.StatusOK {
		t.Errorf("GET /api/jobs/ with the token: %d, want 200\n%s", code, body)
	}
	if files := p.files() + r.stdout + r.stderr; strings.Contains(files, p.token) {
		t.Error("the cluster's token is in clear in what gapool wrote")
	}
	all := lines()
	if !slices.ContainsFunc(all, func(l string) bool { return strings.Contains(l, "ray start") }) {
		t.Error("not even ray start was seen among the processes")
	}
	for _, line := range all {
		if strings.Contains(line, p.token) {
			t.Errorf("the cluster's token is an argument: %s", line)
		}
	}

	t.Log("workers come and go under a running algorithm")
	const allowed = "-allow-data-loss=docker_volume.results"
	p.must(0, "plan", "-destroy", allowed, "-out=idle.plan")
	a := p.evolve("--generations", "100000", "--population", "24", "--eval-ms", "200", "--stop", "/tmp/stop", "--save", "/results/best.json")
	a.reaches(2)
	wants(t, p.must(1, "apply", "idle.plan").stderr, "nothing was changed", "ray_cluster.pool.head runs driver ")
	p.apply("-var", "workers=3")
	p.listed(map[string]int{"small": 3, "large": 1})
	a.running()
	t.Log("which keeps its cluster, unless somebody says -force")
	for _, args := range [][]string{{"destroy", "-auto-approve", allowed}, {"apply", "-auto-approve", "-replace=ray_cluster.pool"}} {
		wants(t, p.must(1, args...).stderr, "ray_cluster.pool.head runs driver ", "add -force")
	}
	p.listed(map[string]int{"small": 3, "large": 1})
	a.reaches(3)
	shrunk := p.apply("-var", "workers=1")
	wants(t, shrunk.stdout, "2 destroyed")
	p.listed(map[string]int{"small": 1, "large": 1})
	a.running()
	a.reaches(2)
	p.docker("exec", p.head(), "touch", "/tmp/stop")
	a.whole("4")
	wants(t, p.docker("exec", p.head(), "cat", "/results/best.json"), `"fitness"`)
	p.env = append(p.env, "GAPOOL_VAR_workers=1")
	p.settled()

	t.Log("a worker is killed by hand")
	p.docker("kill", p.name+"-large-0")
	p.drifted(p.worker("large") + "[0]")
	p.apply()
	p.listed(map[string]int{"small": 1, "large": 1})
	p.settled()

	t.Log("the state is thrown away")
	p.withoutState(func() { p.settled() })
	p.settled()

	t.Log("what was found is not lost by accident")
	wants(t, p.must(1, "destroy", "-auto-approve").stderr, "docker_volume.results")
	p.listed(map[string]int{"small": 1, "large": 1})
	gone := p.must(0, "destroy", "-auto-approve", allowed)
	wants(t, gone.stdout, "0 to add, 0 to change, 7 to destroy", "Resources: 7 destroyed")
	p.nothingLeft()
}
