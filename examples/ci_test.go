//go:build engine

package examples_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// poolConfig is what the requests of the story are about.
const poolConfig = `gapool {
  stack = "NAME"
}

variable "token" {
  sensitive = true
}

variable "memory" {
  default = 32
}

resource "docker_network" "pool" {
  name = "NAME"
}

resource "docker_volume" "results" {
  name = "NAME-results"
}

resource "docker_container" "worker" {
  name    = "NAME-worker"
  image   = "gapool/busybox:local"
  command = ["sleep", "1000000"]
  init    = true
  memory  = var.memory
  env = {
    TOKEN = var.token
  }

  networks_advanced {
    name = docker_network.pool.name
  }

  volumes {
    volume_name    = docker_volume.results.name
    container_path = "/results"
  }
}
`

// poolToken is a secret of the service.
const poolToken = "hunter2-in-ci"

// memory is poolConfig with another limit, which is changed in place.
func memory(mib int) string {
	return strings.Replace(poolConfig, "default = 32", fmt.Sprintf("default = %d", mib), 1)
}

// otherNetwork is one more network of the stack.
func otherNetwork(name string) string {
	return fmt.Sprintf("resource \"docker_network\" %q {\n  name = \"NAME-%s\"\n}\n", name, name)
}

// runners run what a service runs for a recipe, each job on a machine that has
// nothing yet: a new home, a new folder, no state.
type runners struct {
	*stack
	t      *testing.T
	forge  *forge
	engine *witness
	ssh    *sshServer
	bin    string // programs of the machine, before the system's

	scripts map[string]bool // of the recipe: whether each was run
}

func newRunners(t *testing.T, f *forge) *runners {
	t.Helper()
	tinyImage(t)
	s := newStack(t)
	s.mute = true
	r := &runners{stack: s, t: t, forge: f, bin: sshIn(t), scripts: map[string]bool{}}
	r.engine = newWitness(t, script(t, "engine", "--host"))
	r.ssh = newSSHServer(t, r.engine.host)
	version := strings.Fields(s.run("version").stdout)[1]
	// What go would fetch is what is here; apt-get has nothing to do.
	r.program("go", fmt.Sprintf(`[ "$*" = "install github.com/gapool/gapool/cmd/gapool@%s" ] || { echo "go $*" >&2; exit 1; }
mkdir -p "$HOME/go/bin" && cp %s "$HOME/go/bin/"`, version, gapoolBinary))
	r.program("apt-get", `case "$*" in "-qq update" | "-qq install "*" curl jq openssh-client") ;; *) exit 1 ;; esac`)
	for _, name := range []string{"curl", "git", "jq"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatalf("%v; install it, or run make test, which does", err)
		}
		// Others on a machine can read the arguments of a process.
		r.program(name, fmt.Sprintf(`case "$*" in *Bearer* | *%s* | *%s*) echo "a secret is an argument: %s $*" >&2; exit 1 ;; esac
exec %s "$@"`, gitlabToken, poolToken, name, path))
	}
	return r
}

func (r *runners) program(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		r.t.Fatal(err)
	}
}

// config is a configuration in the words of this stack.
func (r *runners) config(text string) string { return strings.ReplaceAll(text, "NAME", r.name) }

// machine is where one job runs.
type machine struct {
	r         *runners
	home, dir string
	env       map[string]string
	log       strings.Builder
}

// machine returns a new one with a commit checked out.
func (r *runners) machine(commit string) *machine {
	r.t.Helper()
	m := &machine{r: r, home: r.t.TempDir(), dir: r.t.TempDir()}
	git(r.t, m.dir, "clone", "--quiet", "--no-checkout", r.forge.origin, ".")
	git(r.t, m.dir, "checkout", "--quiet", commit)
	m.env = map[string]string{"HOME": m.home, "PATH": strings.Join([]string{r.bin, m.home + "/go/bin", "/usr/local/bin", "/usr/bin", "/bin"}, ":")}
	return m
}

// run runs a script of the recipe and says whether it succeeded.
func (m *machine) run(text string, env map[string]string, shell ...string) bool {
	m.r.t.Helper()
	m.r.scripts[text] = true
	all := maps.Clone(m.env)
	maps.Copy(all, env)
	var list []string
	for k, v := range all {
		list = append(list, k+"="+v)
	}
	ctx, cancel := context.WithTimeout(m.r.t.Context(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell[0], append(shell[1:], text)...)
	cmd.Dir, cmd.Env = m.dir, list
	out, err := cmd.CombinedOutput()
	m.log.Write(out)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.r.t.Fatal(err)
	}
	if strings.Contains(m.log.String(), poolToken) {
		m.r.t.Errorf("the secret is in the log:\n%s", m.log.String())
	}
	return err == nil
}

// file is the text of a file that a job left.
func (m *machine) file(path string) string {
	m.r.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		m.r.t.Fatal(err)
	}
	return string(text)
}

// ran is how jobs ended.
type ran struct {
	jobs []string
	ok   bool
	log  string
}

func (o ran) String() string { return fmt.Sprintf("%v, success %v:\n%s", o.jobs, o.ok, o.log) }

// pipelines are what GitHub or GitLab starts for a repository.
type pipelines interface {
	// requested is what a push to the branch of a request starts; fork where it
	// is of somebody else's copy.
	requested(r *mergeRequest, fork bool) ran
	// pushed is what main's coming to a commit starts.
	pushed(commit string) ran
	// byHand is what a person starts for main.
	byHand(verb, digest, allow string) ran
}

// --- GitHub Actions -----------------------------------------------------------

type githubActions struct {
	*runners
	w *workflow
}

// event is what a run of a workflow is for.
type event struct {
	name, commit string
	request      *mergeRequest
	fork         bool
	inputs       map[string]string
}

// conditions are those of the workflow, in our words. Another one is a mistake
// of this test.
var conditions = map[string]func(e event) bool{
	"":                                    func(event) bool { return true },
	"github.event_name == 'pull_request'": func(e event) bool { return e.name == "pull_request" },
	"github.event_name == 'pull_request' && github.event.pull_request.head.repo.full_name == github.repository": func(e event) bool {
		return e.name == "pull_request" && !e.fork
	},
	"github.event_name != 'pull_request'": func(e event) bool { return e.name != "pull_request" },
	"github.event_name == 'push'":         func(e event) bool { return e.name == "push" },
	"github.event_name == 'workflow_dispatch' && inputs.digest == ''": func(e event) bool {
		return e.name == "workflow_dispatch" && e.inputs["digest"] == ""
	},
	"github.event_name == 'push' || inputs.digest != ''": func(e event) bool { return e.name == "push" || e.inputs["digest"] != "" },
}

var expression = regexp.MustCompile(`\$\{\{ *(.*?) *\}\}`)

func (g *githubActions) run(e event) ran {
	g.t.Helper()
	out := ran{ok: true}
	for _, name := range []string{"check", "plan", "apply"} {
		job := g.w.Jobs[name]
		if !g.holds(job.If, e) {
			continue
		}
		out.jobs = append(out.jobs, name)
		m := g.machine(e.commit)
		ok := g.job(m, job, e)
		out.ok = out.ok && ok
		out.log += m.log.String()
	}
	return out
}

func (g *githubActions) holds(condition string, e event) bool {
	g.t.Helper()
	f, ok := conditions[condition]
	if !ok {
		g.t.Fatalf("this test does not know the condition %q", condition)
	}
	return f(e)
}

func (g *githubActions) job(m *machine, job workflowJob, e event) bool {
	g.t.Helper()
	var token []string
	for what, level := range job.Permissions {
		token = append(token, what+":"+level)
	}
	values := map[string]string{
		"vars.GAPOOL_DOCKER_HOST": g.ssh.host, "vars.GAPOOL_SSH_KNOWN_HOSTS": g.ssh.known,
		"secrets.GAPOOL_SSH_KEY": g.ssh.key, "secrets.GAPOOL_VAR_TOKEN": poolToken,
		"github.token": strings.Join(token, " "), "github.event.pull_request.number": "",
		"inputs.verb": e.inputs["verb"], "inputs.allow_data_loss": e.inputs["allow_data_loss"],
		"inputs.verb || 'apply'":                         e.inputs["verb"],
		"inputs.digest || steps.reviewed.outputs.digest": e.inputs["digest"],
	}
	if e.inputs == nil {
		values["inputs.verb || 'apply'"] = "apply"
	}
	if e.request != nil {
		values["github.event.pull_request.number"] = fmt.Sprint(e.request.number)
	}
	if e.fork {
		for name := range values {
			if strings.HasPrefix(name, "secrets.") {
				values[name] = ""
			}
		}
	}
	fill := func(into, env map[string]string) {
		for name, text := range env {
			into[name] = expression.ReplaceAllStringFunc(text, func(x string) string {
				value, ok := values[expression.FindStringSubmatch(x)[1]]
				if !ok {
					g.t.Fatalf("this test does not know %s", x)
				}
				return value
			})
		}
	}
	output, summary := filepath.Join(m.home, "output"), filepath.Join(m.home, "summary")
	for _, file := range []string{output, summary} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			g.t.Fatal(err)
		}
	}
	maps.Copy(m.env, map[string]string{
		"GITHUB_OUTPUT": output, "GITHUB_STEP_SUMMARY": summary, "GITHUB_WORKFLOW": g.w.Name,
		"GITHUB_API_URL": g.forge.url, "GITHUB_GRAPHQL_URL": g.forge.url + "/graphql",
		"GITHUB_REPOSITORY": "lab/pools", "GITHUB_SHA": e.commit, "GITHUB_REF_NAME": "main",
	})
	fill(m.env, g.w.Env)
	path := m.env["PATH"]
	m.env["PATH"] = strings.Replace(path, m.home+"/go/bin:", "", 1)
	for _, step := range job.Steps {
		if !g.holds(step.If, e) {
			continue
		}
		switch {
		case strings.HasPrefix(step.Uses, "actions/checkout@"):
			continue // as it is
		case strings.HasPrefix(step.Uses, "actions/setup-go@"):
			m.env["PATH"] = path
			continue
		case step.Uses != "":
			g.t.Fatalf("this test does not know %s", step.Uses)
		}
		env := map[string]string{}
		fill(env, step.Env)
		// As the runner runs a script where shell is bash.
		if g.w.Defaults.Run.Shell != "bash" {
			g.t.Fatalf("the shell is %q", g.w.Defaults.Run.Shell)
		}
		if !m.run(step.Run, env, "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c") {
			fmt.Fprintf(&m.log, "failed: %s\n", step.Name)
			return false
		}
		for line := range strings.Lines(m.file(output)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && step.ID == "reviewed" && name == "digest" {
				values["inputs.digest || steps.reviewed.outputs.digest"] = value
			}
		}
	}
	m.log.WriteString(m.file(summary))
	return true
}

func (g *githubActions) requested(r *mergeRequest, fork bool) ran {
	// What is checked out is main with the request merged into it.
	dir := g.t.TempDir()
	git(g.t, dir, "clone", "--quiet", g.forge.origin, ".")
	git(g.t, dir, "merge", "--quiet", "--no-ff", "--message=Merge", "origin/"+r.branch)
	ref := fmt.Sprintf("refs/pull/%d/merge", r.number)
	git(g.t, dir, "push", "--quiet", "--force", "origin", "HEAD:"+ref, "HEAD:refs/heads/merged")
	return g.run(event{name: "pull_request", commit: git(g.t, dir, "rev-parse", "HEAD"), request: r, fork: fork})
}

func (g *githubActions) pushed(commit string) ran { return g.run(event{name: "push", commit: commit}) }

func (g *githubActions) byHand(verb, digest, allow string) ran {
	return g.run(event{
		name: "workflow_dispatch", commit: git(g.t, g.forge.origin, "rev-parse", "main"),
		inputs: map[string]string{"verb": verb, "digest": digest, "allow_data_loss": allow},
	})
}

// --- GitLab CI ----------------------------------------------------------------

// gitlabFile is .gitlab-ci.yml, as far as ours has it.
type gitlabFile struct {
	Stages   []string
	Workflow struct {
		AutoCancel map[string]string `yaml:"auto_cancel"`
		Rules      []gitlabRule
	}
	Variables map[string]yaml.Node
	Jobs      map[string]gitlabJob `yaml:",inline"`
}

type gitlabRule struct{ If, When string }

type gitlabJob struct {
	Extends, Image, Stage, Environment string
	Interruptible                      bool
	ResourceGroup                      string   `yaml:"resource_group"`
	BeforeScript                       []string `yaml:"before_script"`
	Variables                          map[string]string
	Rules                              []gitlabRule
	Script                             []string
}

type gitlabCI struct {
	*runners
	file gitlabFile
}

// rules are those of the file, in our words.
var rules = map[string]func(e event) bool{
	`$CI_PIPELINE_SOURCE == "merge_request_event"`: func(e event) bool { return e.name == "merge_request_event" },
	`$CI_PIPELINE_SOURCE == "merge_request_event" && $CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID`: func(e event) bool {
		return e.name == "merge_request_event" && !e.fork
	},
	`$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH`:                       func(e event) bool { return e.name != "merge_request_event" },
	`$CI_PIPELINE_SOURCE == "push" || $CI_PIPELINE_SOURCE == "web"`: func(e event) bool { return e.name == "push" || e.name == "web" },
}

// wanted is whether the first rule that holds lets something run.
func (g *gitlabCI) wanted(list []gitlabRule, e event) bool {
	g.t.Helper()
	for _, rule := range list {
		f, ok := rules[rule.If]
		if !ok {
			g.t.Fatalf("this test does not know the rule %q", rule.If)
		}
		if f(e) {
			return rule.When != "never"
		}
	}
	return false
}

func (g *gitlabCI) run(e event) ran {
	g.t.Helper()
	out := ran{ok: true}
	if !g.wanted(g.file.Workflow.Rules, e) {
		return out
	}
	for _, name := range []string{"check", "plan", "apply"} { // the stages
		job := g.file.Jobs[name]
		if !out.ok || !g.wanted(job.Rules, e) {
			continue
		}
		out.jobs = append(out.jobs, name)
		m := g.machine(e.commit)
		for name, node := range g.file.Variables {
			var value struct {
				Value, Description string
				Options            []string
			}
			if node.Kind == yaml.ScalarNode {
				m.env[name] = node.Value
			} else if err := node.Decode(&value); err != nil {
				g.t.Fatal(err)
			} else {
				m.env[name] = value.Value
			}
		}
		maps.Copy(m.env, job.Variables)
		maps.Copy(m.env, e.inputs)
		maps.Copy(m.env, map[string]string{
			"CI_PIPELINE_SOURCE": e.name, "CI_COMMIT_SHA": e.commit, "CI_DEFAULT_BRANCH": "main",
			"CI_PROJECT_ID": "7", "CI_PROJECT_PATH": "lab/pools",
			"CI_API_V4_URL": g.forge.url + "/api/v4", "CI_API_GRAPHQL_URL": g.forge.url + "/api/graphql",
		})
		if e.request != nil {
			m.env["CI_MERGE_REQUEST_IID"], m.env["CI_MERGE_REQUEST_TARGET_BRANCH_NAME"] = fmt.Sprint(e.request.number), "main"
		} else {
			m.env["CI_COMMIT_BRANCH"] = "main"
		}
		if !e.fork {
			maps.Copy(m.env, map[string]string{
				"DOCKER_HOST": g.ssh.host, "GAPOOL_GITLAB_TOKEN": gitlabToken, "GAPOOL_VAR_token": poolToken,
				"GAPOOL_SSH_KEY": filepath.Join(m.home, "key"), "GAPOOL_SSH_KNOWN_HOSTS": filepath.Join(m.home, "known"),
			})
			// What is typed into a field ends without a newline.
			for file, text := range map[string]string{"key": strings.TrimSpace(g.ssh.key), "known": g.ssh.known} {
				if err := os.WriteFile(filepath.Join(m.home, file), []byte(text), 0o666); err != nil {
					g.t.Fatal(err)
				}
			}
		}
		// One shell runs all lines.
		before := job.BeforeScript
		if before == nil {
			before = g.file.Jobs[job.Extends].BeforeScript
		}
		lines := slices.Concat(before, job.Script)
		out.ok = m.run(strings.Join(lines, "\n"), nil, "bash", "-eo", "pipefail", "-c")
		for _, line := range lines {
			g.scripts[line] = true
		}
		out.log += m.log.String()
	}
	return out
}

func (g *gitlabCI) requested(r *mergeRequest, fork bool) ran {
	return g.run(event{name: "merge_request_event", commit: git(g.t, g.forge.origin, "rev-parse", r.branch), request: r, fork: fork})
}

func (g *gitlabCI) pushed(commit string) ran { return g.run(event{name: "push", commit: commit}) }

func (g *gitlabCI) byHand(verb, digest, allow string) ran {
	return g.run(event{
		name: "web", commit: git(g.t, g.forge.origin, "rev-parse", "main"),
		inputs: map[string]string{"VERB": verb, "DIGEST": digest, "ALLOW_DATA_LOSS": allow},
	})
}

// --- the story ----------------------------------------------------------------

func TestReviewsOnGitHub(t *testing.T) {
	f := newForge(t, "github-actions[bot]", github)
	g := &githubActions{newRunners(t, f), parseWorkflow(t)}
	review(t, g.runners, g)
	for name, job := range g.w.Jobs {
		for _, step := range job.Steps {
			if step.Run != "" && !g.scripts[step.Run] {
				t.Errorf("a script of %s was never run:\n%s", name, step.Run)
			}
		}
	}
}

func TestReviewsOnGitLab(t *testing.T) {
	f := newForge(t, "project_7_bot", gitlab)
	g := &gitlabCI{runners: newRunners(t, f)}
	parseStrictly(t, gitlabRecipe, &g.file)
	review(t, g.runners, g)
	for name, job := range g.file.Jobs {
		for _, line := range slices.Concat(job.BeforeScript, job.Script) {
			if !g.scripts[line] {
				t.Errorf("a line of %s was never run:\n%s", name, line)
			}
		}
	}
}

var digestLine = regexp.MustCompile("(?m)^Digest of this plan: `(sha256:[0-9a-f]{64})`")

// digest is the one that a comment or a log shows.
func digest(t *testing.T, text string) string {
	t.Helper()
	found := digestLine.FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("there is no digest in:\n%s", text)
	}
	return found[1]
}

// review goes through what happens to requests: they are planned, read,
// approved, merged and applied, or are not.
func review(t *testing.T, r *runners, s pipelines) {
	f := r.forge
	succeeds := func(o ran, jobs ...string) string {
		t.Helper()
		if !o.ok || !slices.Equal(o.jobs, jobs) {
			t.Fatalf("want success of %v, got %v", jobs, o)
		}
		return o.log
	}
	refused := func(o ran, why ...string) {
		t.Helper()
		if o.ok {
			t.Fatalf("it was applied: %v", o)
		}
		wants(t, o.log, why...)
		if changes := r.engine.seen(); len(changes) > 0 {
			t.Fatalf("it was refused, and something was changed: %v", changes)
		}
	}
	planned := func(m *mergeRequest) *comment {
		t.Helper()
		succeeds(s.requested(m, false), "check", "plan")
		if changes := r.engine.seen(); len(changes) > 0 {
			t.Fatalf("a plan changed something: %v", changes)
		}
		plans := f.plans(m)
		if len(plans) != 1 {
			t.Fatalf("there are %d comments with a plan", len(plans))
		}
		if strings.Contains(plans[0].body, poolToken) {
			t.Errorf("the secret is in the comment:\n%s", plans[0].body)
		}
		return plans[0]
	}
	limit := func(want string) {
		t.Helper()
		r.engine.seen()
		if got := r.inspect("container", r.name+"-worker", ".HostConfig.Memory"); got != want {
			t.Errorf("the worker may use %s bytes, want %s", got, want)
		}
	}

	t.Log("a request is opened: its plan is in a comment")
	request := f.open("main.gapool.hcl", r.config(poolConfig))
	plan := planned(request)
	wants(t, plan.body, "### 3 created", "docker_container.worker")
	first := digest(t, plan.body)

	t.Log("it is approved, and pushed again: the same comment has the new plan")
	f.approve(request)
	f.commit(request.branch, "main.gapool.hcl", r.config(memory(48)))
	if again := planned(request); again != plan || again.edited == "" {
		t.Errorf("it is %+v", again)
	}
	if digest(t, plan.body) == first {
		t.Error("another plan has the same digest")
	}

	t.Log("it is merged: the approval was of another plan")
	refused(s.pushed(f.merge(request)), "Not applied: nobody approved the plan that the", "run it again with its")
	t.Log("so somebody looks again, and approves by hand")
	refused(s.byHand("apply", first, ""), "this is not the plan that was approved")
	succeeds(s.byHand("apply", digest(t, succeeds(s.byHand("apply", "", ""), "apply")), ""), "apply")
	limit("50331648")

	t.Log("a request is approved and merged: what was reviewed is applied, where no state is")
	request = f.open("main.gapool.hcl", r.config(memory(64)))
	f.mu.Lock()
	body := strings.SplitN(plan.body, "\n", 2)[0] + "\nLooks harmless.\n\nDigest of this plan: `" + first + "`."
	f.write(request, "mallory", body) // a comment like the bot's, before it
	f.mu.Unlock()
	plan = planned(request)
	wants(t, plan.body, "### 1 updated", "2 taken up as they are")
	f.approve(request)
	if again := planned(request); again.edited != "" {
		t.Error("the same plan was written once more, which takes the approval away")
	}
	succeeds(s.pushed(f.merge(request)), "apply")
	limit("67108864")

	t.Log("a request that changes nothing, whose commits main has then in a row")
	request = f.open("README.md", "Pools, and how to use them.\n")
	wants(t, planned(request).body, "**No changes.**")
	f.approve(request)
	succeeds(s.pushed(f.mergeAs(request, rebased)), "apply")
	if changes := r.engine.seen(); len(changes) > 0 {
		t.Errorf("changed: %v", changes)
	}

	t.Log("the engine's machine is another one than the one that is known")
	request = f.open("main.gapool.hcl", r.config(memory(72)))
	known := r.ssh.known
	r.ssh.known = newSSHServer(t, r.engine.host).known
	r.ssh.known = strings.Fields(known)[0] + strings.TrimPrefix(r.ssh.known, strings.Fields(r.ssh.known)[0])
	if o := s.requested(request, false); o.ok || !strings.Contains(o.log, "Host key verification failed") || len(f.plans(request)) > 0 {
		t.Errorf("it is talked to all the same: %v", o)
	}
	r.ssh.known = known

	t.Log("three requests of one main: the first is merged in one commit, the second's plan is of a main that is no more")
	second, third := f.open("other.gapool.hcl", r.config(otherNetwork("second"))), f.open("third.gapool.hcl", r.config(otherNetwork("third")))
	for _, m := range []*mergeRequest{request, second, third} {
		planned(m)
		f.approve(m)
	}
	succeeds(s.pushed(f.mergeAs(request, squashed)), "apply")
	limit("75497472")
	refused(s.pushed(f.merge(second)), "this is not the plan that was approved")
	succeeds(s.byHand("apply", digest(t, succeeds(s.byHand("apply", "", ""), "apply")), ""), "apply")
	r.engine.seen()
	t.Log("the third, still behind main, is pushed again: its plan is of what main will be")
	f.push(third, "third.gapool.hcl", r.config(otherNetwork("third")+"# again\n"))
	if plan = planned(third); strings.Contains(plan.body, "destroyed") {
		t.Errorf("it takes back what main has:\n%s", plan.body)
	}
	f.approve(third)
	succeeds(s.pushed(f.merge(third)), "apply")
	r.engine.seen()

	t.Log("an apply fails halfway: what is mended goes the same way")
	request = f.open("main.gapool.hcl", strings.Replace(r.config(memory(72)), `"sleep", "1000000"`, `"no-such-program"`, 1))
	planned(request)
	f.approve(request)
	if o := s.pushed(f.merge(request)); o.ok || !strings.Contains(o.log, "no-such-program") {
		t.Errorf("it succeeds: %v", o)
	}
	r.engine.seen()
	request = f.open("main.gapool.hcl", r.config(memory(72)))
	wants(t, planned(request).body, "docker_container.worker")
	f.approve(request)
	succeeds(s.pushed(f.merge(request)), "apply")
	limit("75497472")

	t.Log("an approval is taken back")
	request = f.open("main.gapool.hcl", r.config(memory(76)))
	planned(request)
	f.approve(request)
	f.dismiss(request)
	refused(s.pushed(f.merge(request)), "Not applied: nobody approved the plan that the")

	t.Log("between review and merge the world changes")
	request = f.open("main.gapool.hcl", r.config(memory(80)))
	planned(request)
	f.approve(request)
	r.docker("rm", "--force", r.name+"-worker")
	refused(s.pushed(f.merge(request)), "this is not the plan that was approved", "nothing was changed")
	succeeds(s.byHand("apply", digest(t, succeeds(s.byHand("apply", "", ""), "apply")), ""), "apply")
	limit("83886080")

	t.Log("somebody writes another plan into the comment, and it is approved")
	request = f.open("main.gapool.hcl", r.config(memory(96)))
	plan = planned(request)
	f.mu.Lock()
	f.edit(plan, "mallory", strings.Replace(plan.body, "### 1 updated", "### Nothing", 1))
	f.mu.Unlock()
	f.approve(request)
	refused(s.pushed(f.merge(request)), "Not applied: mallory edited the")

	t.Log("so does somebody whose account is no more by the merge")
	request = f.open("main.gapool.hcl", r.config(memory(104)))
	plan = planned(request)
	f.mu.Lock()
	f.edit(plan, ghost, strings.Replace(plan.body, "### 1 updated", "### Nothing", 1))
	f.mu.Unlock()
	f.approve(request)
	refused(s.pushed(f.merge(request)), " edited the ")

	t.Log("nobody asked for a review")
	refused(s.pushed(f.commit("main", "main.gapool.hcl", r.config(memory(112)))), "Not applied: no merged", "brought this commit")

	t.Log("a request from a fork is checked, and no more: it has no secrets")
	request = f.open("main.gapool.hcl", strings.Replace(r.config(memory(128)), "init    = true", "init = true", 1))
	if o := s.requested(request, true); o.ok || !slices.Equal(o.jobs, []string{"check"}) {
		t.Errorf("what is not formatted passes: %v", o)
	}
	f.commit(request.branch, "main.gapool.hcl", r.config(memory(128)))
	succeeds(s.requested(request, true), "check")
	refused(s.pushed(f.merge(request)), "with a plan")

	t.Log("the end: the volume is named, or nothing is destroyed")
	refused(s.byHand("destroy", digest(t, succeeds(s.byHand("destroy", "", ""), "apply")), ""), "-allow-data-loss", "docker_volume.results")
	const volume = "docker_volume.results"
	end := succeeds(s.byHand("destroy", "", volume), "apply")
	wants(t, end, "**5 destroyed**", "DATA WILL BE LOST")
	succeeds(s.byHand("destroy", digest(t, end), volume), "apply")
	r.nothingLeft()
	if _, refused := r.ssh.seen(); refused > 0 {
		t.Errorf("%d logins were turned away", refused)
	}
}

// --- Atlantis -----------------------------------------------------------------

// atlantisRepos is Atlantis's configuration on the server, by its documentation
// and as far as ours has it.
type atlantisRepos struct {
	Repos []struct {
		ID, Workflow         string
		PlanRequirements     []string `yaml:"plan_requirements"`
		ApplyRequirements    []string `yaml:"apply_requirements"`
		AllowedOverrides     []string `yaml:"allowed_overrides"`
		AllowCustomWorkflows bool     `yaml:"allow_custom_workflows"`
	}
	Workflows map[string]struct {
		Plan, Apply struct{ Steps []atlantisStep }
	}
}

type atlantisStep struct {
	Env struct{ Name, Value string }
	Run string
}

// atlantisProjects is atlantis.yaml of a repository.
type atlantisProjects struct {
	Version  int
	Projects []struct {
		Dir      string
		Autoplan struct {
			WhenModified []string `yaml:"when_modified"`
		}
	}
}

// Atlantis keeps the plan's file beside the checkout until it is applied.
func TestReviewsWithAtlantis(t *testing.T) {
	var repos atlantisRepos
	parseStrictly(t, "ci/atlantis/repos.yaml", &repos)
	var projects atlantisProjects
	parseStrictly(t, "ci/atlantis/atlantis.yaml", &projects)
	w, ok := repos.Workflows[repos.Repos[0].Workflow]
	if !ok || !slices.Contains(repos.Repos[0].ApplyRequirements, "approved") || projects.Version != 3 || projects.Projects[0].Dir != "." {
		t.Fatalf("got %+v, %+v", repos, projects)
	}
	f := newForge(t, "atlantis", github)
	r := newRunners(t, f)
	commit := f.commit("main", "main.gapool.hcl", r.config(poolConfig))
	checkout := func() *machine {
		m := r.machine(commit)
		if err := os.Mkdir(filepath.Join(m.home, ".ssh"), 0o700); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{"id_ed25519": r.ssh.key, "known_hosts": r.ssh.known + "\n"} {
			if err := os.WriteFile(filepath.Join(m.home, ".ssh", file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r.program("gapool", "exec "+gapoolBinary+` "$@"`)
		maps.Copy(m.env, map[string]string{
			"DOCKER_HOST": r.ssh.host, "GAPOOL_VAR_token": poolToken,
			"PLANFILE": filepath.Join(m.dir, "default.tfplan"), "WORKSPACE": "default", "DIR": m.dir,
		})
		return m
	}
	// does runs the steps of a stage; Atlantis puts a backslash before each
	// letter of what a comment adds.
	does := func(m *machine, steps []atlantisStep, flags ...string) (string, bool) {
		t.Helper()
		var args []string
		for _, flag := range flags {
			var b strings.Builder
			for _, c := range flag {
				fmt.Fprintf(&b, `\%c`, c)
			}
			args = append(args, b.String())
		}
		env := map[string]string{"COMMENT_ARGS": strings.Join(args, ",")}
		m.log.Reset()
		for _, step := range steps {
			if step.Run == "" {
				env[step.Env.Name] = step.Env.Value
			} else if !m.run(step.Run, env, "sh", "-c") {
				return m.log.String(), false
			}
		}
		return m.log.String(), true
	}
	must := func(m *machine, steps []atlantisStep, want bool, flags ...string) string {
		t.Helper()
		log, ok := does(m, steps, flags...)
		if ok != want {
			t.Fatalf("success is %v:\n%s", ok, log)
		}
		return log
	}

	m := checkout()
	wants(t, must(m, w.Plan.Steps, true), "Terraform will perform the following actions:", "Plan: 3 to add, 0 to change, 0 to destroy.")
	must(m, w.Apply.Steps, true)
	wants(t, must(checkout(), w.Plan.Steps, true), "No changes. Your infrastructure matches the configuration.")

	t.Log("between plan and apply the world changes")
	commit = f.commit("main", "main.gapool.hcl", r.config(memory(48)))
	m = checkout()
	must(m, w.Plan.Steps, true)
	r.docker("rm", "--force", r.name+"-worker")
	r.engine.seen()
	wants(t, must(m, w.Apply.Steps, false), "is not carried out, and nothing was changed")
	if changes := r.engine.seen(); len(changes) > 0 {
		t.Fatalf("it is refused, and something was changed: %v", changes)
	}
	must(m, w.Plan.Steps, true)
	must(m, w.Apply.Steps, true)

	t.Log("a comment chooses flags of the plan, and not every one")
	for _, flag := range []string{"-out=/tmp/elsewhere", "-var=token=other:-replace=", "-destroy", "yes:-destroy"} {
		wants(t, must(m, w.Plan.Steps, false, "-target=docker_volume.results", flag), flag+" cannot be chosen here")
	}
	m.env["GAPOOL_OWNERS"], m.env["USER_NAME"] = "grace ada-2", "ada"
	for _, flag := range []string{"-destroy", "-allow-data-loss=docker_volume.results"} {
		wants(t, must(m, w.Plan.Steps, false, flag), flag+" cannot be chosen here by ada;")
	}
	must(m, w.Plan.Steps, true, "-replace=docker_container.worker")
	m.env["USER_NAME"] = "grace"
	must(m, w.Plan.Steps, true, "-destroy", "-allow-data-loss=docker_volume.results")
	must(m, w.Apply.Steps, true)
	r.nothingLeft()
}
