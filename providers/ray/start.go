package ray

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The ports of a member inside its container.
const (
	GCSPort       = 6379  // the head's: nodes join here
	ClientPort    = 10001 // the head's: only ray:// drivers are served here
	DashboardPort = 8265  // the head's
	AgentPort     = 52365 // every member's dashboard agent, which knows its health
	MetricsPort   = 8080  // every member's
)

// TokenPath is where a member finds the cluster's token. A file, since the
// environment and the command line of a container can be read by inspecting it.
const TokenPath = "/run/ray/token"

// HeadGroup is the node type of the head. No worker group may have this name.
const HeadGroup = "head"

const (
	// selfDrain is how long a worker drains itself on SIGTERM, in seconds. It is
	// small because it is drained before it is stopped.
	selfDrain = 2

	// StopTimeout is how long a member is given between SIGTERM and SIGKILL. A
	// SIGKILL in the middle of its own drain leaves calls to its actors hanging.
	StopTimeout = (selfDrain + 15) * time.Second
)

// Member is what one container of a cluster is told at its start.
type Member struct {
	Container string // its name, by which Ray's nodes are matched to containers
	Group     string // its worker group, or HeadGroup
	HeadAlias string // the head's alias on the network; not used by the head itself
	NumCPUs   int
	NumGPUs   int // zero leaves Ray to see none
	Memory    Memory
	Resources map[string]float64 // custom resources
	Labels    map[string]string  // Ray's node labels
	Params    map[string]string  // further flags of ray start, with or without dashes
	Token     bool               // the cluster asks for a token
}

// StartCommand is the command that the member runs, in exec form: a shell as
// the first process would swallow the SIGTERM that lets Ray drain. The same
// member always gives the same command.
//
// It fails, naming the parameter, where Params sets what gapool sets itself.
func StartCommand(m Member) ([]string, error) {
	if m.NumCPUs < 0 || m.NumGPUs < 0 {
		return nil, fmt.Errorf("num_cpus = %d and num_gpus = %d: neither can be negative", m.NumCPUs, m.NumGPUs)
	}
	cmd := []string{"ray", "start"}
	if m.Group == HeadGroup {
		// --no-monitor: Ray's own autoscaler knows no way to add a node here,
		// and would tell every driver so.
		cmd = append(cmd, "--head", "--block", "--no-monitor",
			flag("port", GCSPort), "--dashboard-host=0.0.0.0")
	} else {
		if m.HeadAlias == "" {
			return nil, errors.New("a worker needs the network alias of its head")
		}
		cmd = append(cmd, "--block", fmt.Sprintf("--address=%s:%d", m.HeadAlias, GCSPort))
	}
	cmd = append(cmd,
		flag("dashboard-agent-listen-port", AgentPort),
		flag("metrics-export-port", MetricsPort),
		flag("num-cpus", m.NumCPUs),
	)
	if m.NumGPUs > 0 {
		cmd = append(cmd, flag("num-gpus", m.NumGPUs))
	}
	cmd = append(cmd, flag("memory", m.Memory.Heap), flag("object-store-memory", m.Memory.ObjectStore))
	if m.Group == HeadGroup {
		cmd = append(cmd, "--disable-usage-stats")
	}
	if len(m.Resources) > 0 {
		text, err := json.Marshal(m.Resources) // in the order of its keys
		if err != nil {
			return nil, fmt.Errorf("resources: %w", err)
		}
		cmd = append(cmd, "--resources="+string(text))
	}
	labels, err := labelList(m.Labels)
	if err != nil {
		return nil, err
	}
	if labels != "" {
		cmd = append(cmd, "--labels="+labels)
	}
	params, err := paramFlags(m.Params)
	if err != nil {
		return nil, err
	}
	return append(cmd, params...), nil
}

func flag[N int | int64](name string, value N) string {
	return "--" + name + "=" + strconv.FormatInt(int64(value), 10)
}

// labelList writes labels as ray start reads them. There is no quoting, so what
// would be read as another label is refused.
func labelList(labels map[string]string) (string, error) {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if key == "" || strings.ContainsAny(key+labels[key], ",=") {
			return "", fmt.Errorf("label %q = %q: ray start cannot take an empty key, a comma or an equals sign", key, labels[key])
		}
		list = append(list, key+"="+labels[key])
	}
	return strings.Join(list, ","), nil
}

// valued are the flags whose "true" is a value; with all others it stands for
// the bare flag.
var valued = []string{"include-log-monitor", "log-color"}

// paramFlags turns the user's parameters into flags, in the order of their names.
func paramFlags(params map[string]string) ([]string, error) {
	flags := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(params)) {
		name, value := paramName(key), params[key]
		if name == "" || strings.ContainsAny(name, "= \t\n") {
			return nil, fmt.Errorf("params: %q is not the name of a ray start flag; write it without dashes, its value on the right", key)
		}
		if name == "address" && isJoinMistake(value) {
			return nil, fmt.Errorf("params: address: %s; and leave it out here, since workers are given the head's address", JoinAdvice(value))
		}
		if where, owned := OwnedParam(key); owned {
			return nil, fmt.Errorf("params: %s is set by gapool: %s", key, where)
		}
		if _, twice := flags[name]; twice {
			return nil, fmt.Errorf("params: --%s is given twice; keep one of its spellings", name)
		}
		flags[name] = "--" + name
		if value != "" && (value != "true" || slices.Contains(valued, name)) {
			flags[name] += "=" + value
		}
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		list = append(list, flags[name])
	}
	return list, nil
}

// paramName is the flag's name without dashes before it: num_cpus, num-cpus and
// --num-cpus are one.
func paramName(key string) string {
	return strings.ReplaceAll(strings.TrimLeft(key, "-"), "_", "-")
}

// ownedParams says of each flag that gapool sets where to set it instead.
var ownedParams = map[string]string{
	"address":                     "workers join the head by its network alias on port 6379",
	"autoscaling-config":          "set replicas of the worker_group",
	"block":                       "it is always on",
	"dashboard-agent-listen-port": "health checks ask it on 52365 inside the container",
	"dashboard-host":              "set dashboard_port of the head to publish the dashboard on 127.0.0.1",
	"dashboard-port":              "set dashboard_port of the head; inside the container it is 8265",
	"disable-usage-stats":         "it is always on",
	"head":                        "write a head block",
	"include-dashboard":           "health checks and jobs need the dashboard",
	"labels":                      "set labels of the head or worker_group",
	"labels-file":                 "set labels of the head or worker_group",
	"memory":                      "set memory of the head or worker_group, from which it follows",
	"metrics-export-port":         "it is 8080 inside the container",
	"no-monitor":                  "it is always on",
	"node-ip-address":             "nodes are found by their container's name",
	"num-cpus":                    "set num_cpus of the head or worker_group",
	"num-gpus":                    "set num_gpus of the head or worker_group",
	"object-store-memory":         "set memory of the head or worker_group, from which it follows",
	"port":                        "the GCS listens on 6379 inside the container",
	"resources":                   "set resources of the head or worker_group",
}

// OwnedParam says whether gapool sets the ray start flag itself, so that a user
// may not, and where to set it instead. Dashes before it and underscores do not
// matter.
func OwnedParam(key string) (where string, owned bool) {
	where, owned = ownedParams[paramName(key)]
	return where, owned
}

// Env is the environment that gapool gives to the member. It is never secret.
func Env(m Member) map[string]string {
	env := map[string]string{
		"RAY_CLOUD_INSTANCE_ID":                 m.Container,
		"RAY_NODE_TYPE_NAME":                    m.Group,
		"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": strconv.Itoa(selfDrain),
		// Said in both cases: left open, Ray asks for a token wherever it finds
		// a file with one.
		"RAY_AUTH_MODE": "disabled",
	}
	if m.Token {
		env["RAY_AUTH_MODE"] = "token"
		env["RAY_AUTH_TOKEN_PATH"] = TokenPath
	}
	return env
}

// ownedEnv says of each variable that gapool sets, or needs unset, where to set
// it instead.
var ownedEnv = map[string]string{
	"RAY_ADDRESS":                           "members are given the head's address",
	"RAY_AUTH_MODE":                         "token authentication is on unless the cluster's auth says otherwise",
	"RAY_AUTH_TOKEN":                        "gapool makes the token and puts it into " + TokenPath,
	"RAY_AUTH_TOKEN_PATH":                   "gapool makes the token and puts it into " + TokenPath,
	"RAY_CLOUD_INSTANCE_ID":                 "it is the container's name, by which nodes are found",
	"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "workers are drained before they are stopped",
	"RAY_NODE_TYPE_NAME":                    "it is the name of the worker_group",
	"RAY_REDIS_ADDRESS":                     "a cluster that outlives its head is not supported yet",
	"RAY_enable_autoscaler_v2":              "set replicas of the worker_group",
}

// OwnedEnv says whether gapool sets the environment variable itself, or needs
// it unset, so that a user may not set it, and where to do so instead.
func OwnedEnv(name string) (where string, owned bool) {
	where, owned = ownedEnv[name]
	return where, owned
}
