package ray

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var twoGiB = Memory{Limit: 2 << 30, ObjectStore: 614 << 20, Shm: 676 << 20, Heap: 922 << 20}

func TestStartCommand(t *testing.T) {
	tests := map[string]struct {
		member Member
		want   string
	}{
		"head": {
			Member{Container: "pool-head", Group: HeadGroup, Memory: twoGiB},
			"ray start --head --block --no-monitor --port=6379 --dashboard-host=0.0.0.0 --dashboard-agent-listen-port=52365 --metrics-export-port=8080" +
				" --num-cpus=0 --memory=966787072 --object-store-memory=643825664 --disable-usage-stats",
		},
		"worker": {
			Member{Container: "pool-cpu-0", Group: "cpu", HeadAlias: "pool-head", NumCPUs: 2, Memory: twoGiB},
			"ray start --block --address=pool-head:6379 --dashboard-agent-listen-port=52365 --metrics-export-port=8080" +
				" --num-cpus=2 --memory=966787072 --object-store-memory=643825664",
		},
		"worker with everything": {
			Member{
				Container: "pool-gpu-0", Group: "gpu", HeadAlias: "h", NumCPUs: 1, NumGPUs: 2, Memory: twoGiB,
				Resources: map[string]float64{"island": 1, "fast": 0.5},
				Labels:    map[string]string{"zone": "a", "rack": ""},
				Params: map[string]string{
					"min-worker-port": "20000", "--max_worker_port": "29999", "no-redirect-output": "", "ray-debugger-external": "true",
					"include-log-monitor": "true", "log-color": "true", "system-config": `{"a b":1}`,
				},
			},
			"ray start --block --address=h:6379 --dashboard-agent-listen-port=52365 --metrics-export-port=8080" +
				" --num-cpus=1 --num-gpus=2 --memory=966787072 --object-store-memory=643825664" +
				` --resources={"fast":0.5,"island":1} --labels=rack=,zone=a` +
				" --include-log-monitor=true --log-color=true --max-worker-port=29999 --min-worker-port=20000 --no-redirect-output" +
				` --ray-debugger-external --system-config={"a b":1}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := StartCommand(test.member)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("command (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStartCommandKeepsAValueInOneWord(t *testing.T) {
	got, err := StartCommand(Member{Group: HeadGroup, Params: map[string]string{"system-config": `{"a b": "$HOME"}`}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `--system-config={"a b": "$HOME"}`; !slices.Contains(got, want) {
		t.Errorf("%q does not hold %q as one word", got, want)
	}
}

func TestStartCommandRefuses(t *testing.T) {
	worker := func(change func(*Member)) Member {
		m := Member{Container: "w", Group: "cpu", HeadAlias: "h", NumCPUs: 1, Memory: twoGiB}
		change(&m)
		return m
	}
	param := func(key, value string) Member {
		return worker(func(m *Member) { m.Params = map[string]string{key: value} })
	}
	tests := map[string]struct {
		member Member
		text   string
	}{
		"negative cpus":      {worker(func(m *Member) { m.NumCPUs = -1 }), "num_cpus = -1"},
		"negative gpus":      {worker(func(m *Member) { m.NumGPUs = -1 }), "num_gpus = -1"},
		"no head":            {worker(func(m *Member) { m.HeadAlias = "" }), "alias of its head"},
		"comma in a label":   {worker(func(m *Member) { m.Labels = map[string]string{"zone": "a,b=c"} }), `label "zone" = "a,b=c"`},
		"empty label":        {worker(func(m *Member) { m.Labels = map[string]string{"": "a"} }), "empty key"},
		"owned":              {param("num-cpus", "2"), "num-cpus is set by gapool: set num_cpus of the head or worker_group"},
		"owned, other style": {param("--num_cpus", "2"), "set num_cpus of the head or worker_group"},
		"address":            {param("address", "h:6379"), "address is set by gapool: workers join the head by its network alias on port 6379"},
		"client port":        {param("address", "h:10001"), "use h:6379"},
		"client scheme":      {param("--address", "ray://h"), "use h:6379"},
		"value in the name":  {param("temp-dir=/tmp/x", ""), "not the name of a ray start flag"},
		"two words":          {param("temp-dir /tmp/x", ""), "not the name of a ray start flag"},
		"only dashes":        {param("--", "x"), "not the name of a ray start flag"},
		"twice": {worker(func(m *Member) { m.Params = map[string]string{"temp-dir": "/a", "temp_dir": "/b"} }),
			"--temp-dir is given twice"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := StartCommand(test.member)
			if err == nil {
				t.Fatalf("no error, but %q", got)
			}
			if !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v does not say %q", err, test.text)
			}
		})
	}
}

// What gapool writes into a command or an environment, a user cannot write too.
func TestWhatIsSetIsOwned(t *testing.T) {
	for _, m := range []Member{
		{Group: HeadGroup, Token: true},
		{Group: "gpu", HeadAlias: "h", NumGPUs: 1, Resources: map[string]float64{"a": 1}, Labels: map[string]string{"a": "b"}},
	} {
		cmd, err := StartCommand(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range cmd[2:] {
			name, _, _ := strings.Cut(word, "=")
			if where, owned := OwnedParam(name); !owned || where == "" {
				t.Errorf("%s is set for %s, but a user may set it too", name, m.Group)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(Env(m))) {
			if where, owned := OwnedEnv(name); !owned || where == "" {
				t.Errorf("%s is set for %s, but a user may set it too", name, m.Group)
			}
		}
	}
	for _, free := range []string{"temp-dir", "min-worker-port"} {
		if _, owned := OwnedParam(free); owned {
			t.Errorf("%s is refused, want it left to the user", free)
		}
	}
	if _, owned := OwnedEnv("RAY_memory_usage_threshold"); owned {
		t.Error("RAY_memory_usage_threshold is refused, want it left to the user")
	}
}

func TestEnv(t *testing.T) {
	want := map[string]string{
		"RAY_CLOUD_INSTANCE_ID":                 "pool-cpu-0",
		"RAY_NODE_TYPE_NAME":                    "cpu",
		"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "2",
		"RAY_AUTH_MODE":                         "disabled",
	}
	m := Member{Container: "pool-cpu-0", Group: "cpu"}
	if diff := cmp.Diff(want, Env(m)); diff != "" {
		t.Errorf("without a token (-want +got):\n%s", diff)
	}
	m.Token = true
	want["RAY_AUTH_MODE"] = "token"
	want["RAY_AUTH_TOKEN_PATH"] = "/run/ray/token"
	if diff := cmp.Diff(want, Env(m)); diff != "" {
		t.Errorf("with a token (-want +got):\n%s", diff)
	}
}

// A SIGKILL during a worker's own drain leaves calls to its actors hanging.
func TestTheStopTimeoutExceedsTheDrain(t *testing.T) {
	if StopTimeout.Seconds() < selfDrain+15 {
		t.Errorf("the stop timeout is %s, want 15 s more than the drain's %d s", StopTimeout, selfDrain)
	}
}

func TestHealthProbe(t *testing.T) {
	for _, head := range []bool{false, true} {
		p := HealthProbe(head)
		script := p.Test[len(p.Test)-1]
		if p.Test[0] != "CMD" {
			t.Errorf("the probe runs as %s, want the exec form", p.Test[0])
		}
		if !strings.Contains(script, `52365, "/api/local_raylet_healthz"`) {
			t.Errorf("head = %v: the raylet is not asked:\n%s", head, script)
		}
		if got := strings.Contains(script, `8265, "/api/gcs_healthz"`); got != head {
			t.Errorf("head = %v: the GCS is asked: %v:\n%s", head, got, script)
		}
	}
}
