package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/cli/cli/config"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/moby/buildkit/identity"
)

// engine returns a client of the engine that these tests need; without one they fail.
func engine(t *testing.T) *client.Client {
	t.Helper()
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	must(t, err)
	t.Cleanup(func() { _ = api.Close() })
	if _, err := api.Ping(t.Context()); err != nil {
		t.Fatalf("these tests need a Docker engine (scripts/engine starts one): %v", err)
	}
	return api
}

// base returns a tag, removed with the test, of an image with busybox from the machine that runs the test. It comes from no
// registry; each test has its own, with a mark in it, so that no test finds another's steps in the build cache.
func base(t *testing.T, api *client.Client) string {
	t.Helper()
	const busybox = "gapool/busybox:local"
	tag := "gapool-build-test:" + identity.NewID()
	if _, err := api.ImageInspect(t.Context(), busybox); err != nil {
		t.Fatalf("these tests need the image %s (scripts/base-image --tiny makes it): %v", busybox, err)
	}
	dir := tree(t, map[string]string{"Dockerfile": "FROM " + busybox + "\nCOPY mark /mark\n", "mark": tag})
	if _, err := made(t.Context(), t, api, Options{Context: dir, Tags: []string{tag}}, nil); err != nil {
		t.Fatal(err)
	}
	return tag
}

// made is Build, and takes the image away when the test ends.
func made(ctx context.Context, t *testing.T, api *client.Client, o Options, report func(Event)) (string, error) {
	t.Helper()
	id, err := Build(ctx, api, o, report)
	if err != nil {
		return id, err
	}
	names := o.Tags
	if len(names) == 0 {
		names = []string{id}
	}
	for _, name := range names {
		t.Cleanup(func() {
			// Not found is good: two builds of a test can have made one image.
			if _, err := api.ImageRemove(context.Background(), name, image.RemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
				t.Errorf("remove image %s: %v", name, err)
			}
		})
	}
	return id, err
}

// recorder collects events.
type recorder struct{ events []Event }

func (r *recorder) add(e Event) { r.events = append(r.events, e) }

// has tells whether there is an event of the kind for a step whose name ends so, and with that line ("" is any).
func (r *recorder) has(kind Kind, step, line string) bool {
	return slices.ContainsFunc(r.events, func(e Event) bool {
		return e.Kind == kind && strings.HasSuffix(e.Step, step) && (line == "" || e.Line == line)
	})
}

func (r *recorder) String() string {
	var b strings.Builder
	for _, e := range r.events {
		fmt.Fprintf(&b, "%s %q %s %q %d/%d\n", e.Kind, e.Step, e.Item, e.Line, e.Current, e.Total)
	}
	return b.String()
}

func TestBuildStages(t *testing.T) {
	api := engine(t)
	from := base(t, api)
	dir := tree(t, map[string]string{
		"Dockerfile": `ARG BASE
FROM ${BASE} AS compile
ARG WORD
COPY src/ /src/
RUN echo compiling ${WORD} && cat /src/a.txt > /out
FROM ${BASE} AS never
RUN exit 1
FROM ${BASE} AS final
RUN --mount=type=bind,source=src/b.txt,target=/b.txt --mount=type=cache,target=/cache cat /b.txt | tee /cache/kept /b
RUN --mount=type=cache,target=/cache test "$(cat /cache/kept)" = "from b"
COPY --from=compile /out /out
RUN test ! -e /src && cat /out /b
RUN grep -q "10.1.2.3.*elsewhere" /etc/hosts
`,
		".dockerignore": "**/*.tmp\n",
		"src/a.txt":     "from a\n",
		"src/b.txt":     "from b\n",
	})
	tags := []string{"gapool-build-test:" + identity.NewID(), "gapool-build-test:" + identity.NewID()}
	o := Options{
		Context: dir, Target: "final", Tags: tags, Args: map[string]string{"BASE": from, "WORD": "it"},
		Labels: map[string]string{"gapool.inputs": "sha256:abc", "who": "me"}, ExtraHosts: []string{"elsewhere:10.1.2.3"},
	}
	var first recorder
	id, err := made(t.Context(), t, api, o, first.add)
	if err != nil {
		t.Fatalf("%v\n%s", err, &first)
	}

	for _, tag := range tags {
		built, err := api.ImageInspect(t.Context(), tag)
		must(t, err)
		if built.ID != id || !strings.HasPrefix(id, "sha256:") {
			t.Errorf("%s is %s, Build returned %s", tag, built.ID, id)
		}
		if got := built.Config.Labels; got["gapool.inputs"] != "sha256:abc" || got["who"] != "me" {
			t.Errorf("labels %v", got)
		}
	}
	for _, want := range []struct {
		kind       Kind
		step, line string
	}{
		{Started, "RUN echo compiling it && cat /src/a.txt > /out", ""},
		{Log, "RUN echo compiling it && cat /src/a.txt > /out", "compiling it"},
		{Completed, "RUN echo compiling it && cat /src/a.txt > /out", ""},
		{Log, "RUN test ! -e /src && cat /out /b", "from a"},
		{Log, "RUN test ! -e /src && cat /out /b", "from b"},
		{Progress, "[internal] load build context", ""},
		{Completed, "exporting to image", ""},
	} {
		if !first.has(want.kind, want.step, want.line) {
			t.Errorf("no event %v", want)
		}
	}
	if first.has(Started, "RUN exit 1", "") {
		t.Error("a stage that the target does not need was built")
	}
	if t.Failed() {
		t.Log(&first)
	}

	var second recorder
	again, err := made(t.Context(), t, api, o, second.add)
	must(t, err)
	if again != id || !second.has(Cached, "RUN test ! -e /src && cat /out /b", "") {
		t.Errorf("the second build made %s from %s\n%s", again, id, &second)
	}

	// Of equal size and time, a file is not sent again where sessions share what they sent.
	changed := filepath.Join(dir, "src/a.txt")
	info, err := os.Stat(changed)
	must(t, err)
	must(t, os.WriteFile(changed, []byte("from A\n"), 0o644))
	must(t, os.Chtimes(changed, info.ModTime(), info.ModTime()))
	var third recorder
	_, err = made(t.Context(), t, api, Options{Context: dir, Target: "final", Args: o.Args, ExtraHosts: o.ExtraHosts}, third.add)
	must(t, err)
	if !third.has(Log, "RUN test ! -e /src && cat /out /b", "from A") {
		t.Errorf("the build did not see the new content\n%s", &third)
	}
}

func TestBuildSendsWhatInputsHashes(t *testing.T) {
	api := engine(t)
	from := base(t, api)
	dir := tree(t, map[string]string{
		"deploy/app.Dockerfile":              "FROM " + from + "\nCOPY . /ctx\nRUN cd /ctx && find . | sort && stat -c %u:%g kept\n",
		"deploy/app.Dockerfile.dockerignore": "ignored\n*.tmp\n",
		"app/.dockerignore":                  "kept\n",
		"app/kept":                           "x",
		"app/ignored":                        "x",
		"app/sub/a.tmp":                      "x",
		"app/b.tmp":                          "x",
	})
	must(t, os.Chmod(filepath.Join(dir, "app/kept"), 0o640))
	if os.Geteuid() == 0 {
		must(t, os.Chown(filepath.Join(dir, "app/kept"), 1234, 1234))
	}
	var r recorder
	_, err := made(t.Context(), t, api, Options{Context: dir + "/app", Dockerfile: dir + "/deploy/app.Dockerfile"}, r.add)
	must(t, err)
	var lines []string
	for _, e := range r.events {
		if e.Kind == Log {
			lines = append(lines, e.Line)
		}
	}
	if got, want := strings.Join(lines, " "), ". ./.dockerignore ./kept ./sub ./sub/a.tmp 0:0"; got != want {
		t.Errorf("the image holds %q, want %q", got, want)
	}
}

func TestBuildErrors(t *testing.T) {
	api := engine(t)
	from := base(t, api)
	for name, c := range map[string]struct {
		o      Options
		file   string
		want   []string
		absent []string
	}{
		"a failing RUN": {
			file: "FROM " + from + "\nRUN for i in $(seq 1 30); do echo line $i; done; exit 3\n",
			want: []string{"/Dockerfile: step [2/2] RUN for i in", "exit code: 3", "the end of its log:\n    line 11\n", "\n    line 30"}, absent: []string{"line 10\n"},
		},
		"a missing source": {
			file: "FROM " + from + "\nCOPY absent.txt /\n",
			want: []string{"step [2/2] COPY absent.txt /: ", `"/absent.txt`, "not found"},
		},
		"a word that is no instruction": {file: "FROM " + from + "\nRUNN x\n", want: []string{"parse error", "unknown instruction: RUNN"}},
		"an unknown stage":              {file: "FROM " + from + "\n", o: Options{Target: "none"}, want: []string{"none", "could not be found"}},
		"an unknown base":               {file: "FROM localhost:1/none:1\n", want: []string{"localhost:1/none:1"}},
		"a secret that was not given":   {file: "FROM " + from + "\nRUN --mount=type=secret,id=key,required=true true\n", want: []string{"key", "not found"}},
		"an unset variable":             {file: "FROM " + from + "\n", o: Options{Secrets: []Secret{{ID: "key", Env: "GAPOOL_TEST_UNSET"}}}, want: []string{`build secret "key": the environment variable GAPOOL_TEST_UNSET is not set`}},
		"a network of containers":       {file: "FROM " + from + "\n", o: Options{NetworkMode: "container:x"}, want: []string{`network mode "container:x" not supported`}},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Context = tree(t, map[string]string{"Dockerfile": c.file})
			var r recorder
			id, err := made(t.Context(), t, api, c.o, r.add)
			if err == nil {
				t.Fatalf("no error; image %s", id)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in the error\n%v\n%s", want, err, &r)
				}
			}
			for _, not := range c.absent {
				if strings.Contains(err.Error(), not) {
					t.Errorf("%q is in the error\n%v", not, err)
				}
			}
		})
	}
}

func TestBuildSecrets(t *testing.T) {
	api := engine(t)
	from := base(t, api)
	planted := []string{"file-7d1f", "env-93ac", "value-5b20"}
	t.Setenv("GAPOOL_TEST_SECRET", planted[1])
	dir := tree(t, map[string]string{"secret": planted[0] + "\n", "app/Dockerfile": "FROM " + from + `
RUN --mount=type=secret,id=f --mount=type=secret,id=e --mount=type=secret,id=v,target=/v sha256sum /run/secrets/f /run/secrets/e /v
RUN --mount=type=secret,id=f --mount=type=secret,id=e --mount=type=secret,id=v,target=/v cat /run/secrets/f /run/secrets/e /v; echo; cat /v >&2
`})
	o := Options{Context: filepath.Join(dir, "app"), Secrets: []Secret{
		{ID: "f", File: filepath.Join(dir, "secret")}, {ID: "e", Env: "GAPOOL_TEST_SECRET"}, {ID: "v", Value: []byte(planted[2])},
	}}
	var r recorder
	id, err := made(t.Context(), t, api, o, r.add)
	must(t, err)
	for _, sum := range []string{"440e8540a8e5b188", "eec9587d82bba708", "7e5d2bca1cb55d27"} {
		if !strings.Contains(r.String(), sum) {
			t.Errorf("the steps did not read the right secrets: no digest %s\n%s", sum, &r)
		}
	}
	if !strings.Contains(r.String(), "(sensitive value)") {
		t.Errorf("the second step wrote nothing\n%s", &r)
	}
	history, err := api.ImageHistory(t.Context(), id)
	must(t, err)
	var inspected bytes.Buffer
	_, err = api.ImageInspect(t.Context(), id, client.ImageInspectWithRawResponse(&inspected))
	must(t, err)
	seen := fmt.Sprintf("%+v %s %s", history, &inspected, &r)

	write("Dockerfile", "FROM "+from+"\nRUN --mount=type=secret,id=f cat /run/secrets/f; exit 1\n")(t, &o)
	_, err = made(t.Context(), t, api, o, r.add)
	if err == nil || !strings.Contains(err.Error(), "(sensitive value)") {
		t.Errorf("error %v, want one with a hidden line", err)
	}
	seen += fmt.Sprint(err)
	for _, secret := range planted {
		if strings.Contains(seen, secret) {
			t.Errorf("%s is to be seen in\n%s", secret, seen)
		}
	}
}

// An argument is shown by the name of the step that uses it; a sensitive one must not be.
func TestBuildHidesSensitiveArgs(t *testing.T) {
	api := engine(t)
	from := base(t, api)
	dir := tree(t, map[string]string{"Dockerfile": "FROM " + from + "\nARG TOKEN\nRUN echo ${TOKEN}; exit 1\n"})
	var r recorder
	_, err := made(t.Context(), t, api, Options{Context: dir, Args: map[string]string{"TOKEN": "arg-41ef"}, Sensitive: []string{"arg-41ef"}}, r.add)
	if err == nil || strings.Contains(r.String()+err.Error(), "arg-41ef") || !r.has(Log, "", "(sensitive value)") {
		t.Errorf("error %v\n%s", err, &r)
	}
}

func TestBuildsAtOnce(t *testing.T) {
	api := engine(t)
	from := base(t, api)
	var wait sync.WaitGroup
	for i := range 4 {
		mine := fmt.Sprintf("mine is %d", i)
		dir := tree(t, map[string]string{"Dockerfile": "FROM " + from + "\nCOPY mine /\nRUN --mount=type=secret,id=s cat /mine && wc -c < /run/secrets/s\n", "mine": mine + "\n"})
		wait.Go(func() {
			var r recorder
			_, err := made(t.Context(), t, api, Options{Context: dir, Secrets: []Secret{{ID: "s", Value: bytes.Repeat([]byte("s"), i+1)}}}, r.add)
			if err != nil || !r.has(Log, "", mine) || !r.has(Log, "", fmt.Sprint(i+1)) {
				t.Errorf("build %d: %v\n%s", i, err, &r)
			}
		})
	}
	wait.Wait()
}

func TestBuildNetworks(t *testing.T) {
	api := engine(t)
	from := base(t, api)
	o := Options{Context: tree(t, map[string]string{"Dockerfile": "FROM " + from + "\nRUN ls /sys/class/net\n"}), NoCache: true}
	interfaces := func(network string) string {
		o.NetworkMode = network
		var lines []string
		_, err := made(t.Context(), t, api, o, func(e Event) {
			if e.Kind == Log {
				lines = append(lines, e.Line)
			}
		})
		must(t, err)
		return strings.Join(lines, " ")
	}
	if got := interfaces("none"); got != "lo" {
		t.Errorf("none: interfaces %s", got)
	}
	if got := interfaces(""); got == "lo" {
		t.Errorf("default: interfaces %s", got)
	}
	if got := interfaces("host"); !strings.Contains(got, "docker0") {
		t.Errorf("host: interfaces %s", got)
	}
}

func TestBuildEndsWithItsContext(t *testing.T) {
	api := engine(t)
	from := base(t, api)
	dir := tree(t, map[string]string{"Dockerfile": "FROM " + from + "\nRUN echo running; while true; do sleep 1; done\n"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := made(ctx, t, api, Options{Context: dir}, func(e Event) {
		if e.Kind == Log && e.Line == "running" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}

	_, err = made(ctx, t, api, Options{Context: dir}, func(e Event) { t.Errorf("event %v of a build that is over before it began", e) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
	noGoroutines(t, api)
}

func TestBuildLeavesNothingRunning(t *testing.T) {
	api := engine(t)
	from := base(t, api)
	dir := tree(t, map[string]string{"Dockerfile": "FROM " + from + "\nCOPY . /\n"})
	_, err := made(t.Context(), t, api, Options{Context: dir}, nil)
	must(t, err)
	write("Dockerfile", "FROM "+from+"\nRUN exit 1\n")(t, &Options{Context: dir})
	if _, err := made(t.Context(), t, api, Options{Context: dir}, nil); err == nil {
		t.Error("no error")
	}
	noGoroutines(t, api)
}

// noGoroutines waits until no goroutine of a build or its session is left; it fails the test when they stay.
func noGoroutines(t *testing.T, api *client.Client) {
	t.Helper()
	must(t, api.Close()) // idle connections are the client's
	var left []string
	for range 500 {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		left = nil
		for _, stack := range strings.Split(string(stacks), "\n\n")[1:] {
			for _, of := range []string{"moby/buildkit", "google.golang.org/grpc", "x/net/http2", "internal/build.Build", "internal/build.dialer", "fsutil"} {
				if strings.Contains(stack, of) {
					left = append(left, stack)
					break
				}
			}
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("goroutines are left:\n%s", strings.Join(left, "\n\n"))
}

func TestBuildSaysThatNoEngineAnswers(t *testing.T) {
	api, err := client.NewClientWithOpts(client.WithHost("unix://" + filepath.Join(t.TempDir(), "none.sock")))
	must(t, err)
	_, err = made(t.Context(), t, api, Options{Context: tree(t, sample())}, nil)
	if err == nil || !strings.Contains(err.Error(), "none.sock") {
		t.Errorf("error %v, want one that names the socket", err)
	}
}

// A registry that wants a password, itself or at the place where it sends for a token, gets the one that docker login wrote.
func TestBuildLogsInToRegistry(t *testing.T) {
	api := engine(t)
	for _, scheme := range []string{"Basic", "Bearer"} {
		t.Run(scheme, func(t *testing.T) {
			var mu sync.Mutex
			var users []string
			registry := httptest.NewUnstartedServer(nil)
			registry.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				user, password, ok := r.BasicAuth()
				if r.URL.Path == "/token" && r.Method == http.MethodPost {
					user, password, ok = r.FormValue("username"), r.FormValue("password"), true
				}
				switch {
				case ok:
					mu.Lock()
					users = append(users, r.URL.Path+" "+user+" "+password)
					mu.Unlock()
					http.NotFound(w, r)
				case r.URL.Path == "/token":
					http.Error(w, "who are you?", http.StatusForbidden)
				default:
					w.Header().Set("WWW-Authenticate", scheme+` realm="http://`+r.Host+`/token",service="test"`)
					w.WriteHeader(http.StatusUnauthorized)
				}
			})
			registry.Start()
			defer registry.Close()
			host := strings.TrimPrefix(registry.URL, "http://")

			login, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"username": "ada", "password": "lovelace"}}})
			must(t, err)
			before := config.Dir()
			config.SetDir(tree(t, map[string]string{"config.json": string(login)}))
			defer config.SetDir(before)

			_, err = made(t.Context(), t, api, Options{Context: tree(t, map[string]string{"Dockerfile": "FROM " + host + "/private/base:1\n"})}, nil)
			if err == nil || strings.Contains(err.Error(), "lovelace") {
				t.Errorf("error %v, want one without the password: the registry has no image", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !slices.ContainsFunc(users, func(u string) bool {
				return strings.HasSuffix(u, " ada lovelace") && strings.HasPrefix(u, "/token") == (scheme == "Bearer")
			}) {
				t.Errorf("the registry saw the logins %q; the build ended with %v", users, err)
			}
		})
	}
}
