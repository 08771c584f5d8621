package ray

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/schema"
)

// ClusterType is the name of the resource type that this package adds.
const ClusterType = "ray_cluster"

// What a cluster has where its configuration says nothing.
const (
	defaultDrain   = 60 * time.Second
	defaultReady   = 180 * time.Second
	defaultMemory  = 2048 // MiB
	defaultRestart = "unless-stopped"
)

// clusterTable is the table of ray_cluster. What a member has in common with
// any other container, the rows for its memory, volumes and mounts, is that of
// the container's table.
func clusterTable(container *schema.Type) *schema.Type {
	image := *container.Attr("image")
	image.Change = schema.None // the members have it
	image.Doc = "Image of all members, with `ray[default]` 2.54 or newer for its `python3`: its ID, such as `docker_image.x.image_id`, or its name. Either follows each build."
	return &schema.Type{
		Name: ClusterType,
		Doc: "A Ray cluster: one head and groups of workers, each a container. The cluster is made when Ray itself lists every " +
			"member, and a worker is drained before it is removed. Changes show at the members, such as " +
			"`ray_cluster.pool.worker[\"cpu\"][0]`.",
		Virtual: true, Addition: true,
		Attrs: []schema.Attr{
			{Name: "name", Type: cty.String, Required: true, Check: checkName("name"),
				Doc: "Name of the cluster. The head's container, and its alias on the network, is `NAME-head`; a worker's is `NAME-GROUP-INDEX`."},
			image,
			{Name: "network", Type: cty.String, Required: true, Check: notEmpty,
				Doc: "Name of the network that the members share."},
			{Name: "auth", Type: cty.Bool, Default: cty.True,
				Doc: "Whether Ray asks for a token. The token is made with the head and lies in `" + TokenPath + "` of each member."},
			{Name: "env", Type: cty.Map(cty.String), Live: true,
				Doc: "Environment variables of all members."},
			{Name: "labels", Type: cty.Map(cty.String),
				Doc: "Ray node labels of all members."},
			{Name: "restart", Type: cty.String, Default: cty.StringVal(defaultRestart), Check: oneOf("no", "on-failure", "always", "unless-stopped"),
				Doc: "Restart policy of the members' containers."},
			{Name: "drain_timeout", Type: cty.String, Default: cty.StringVal("60s"), Check: positive,
				Doc: "How long a worker that is to go may finish its work. After that its tasks are moved to other workers and its actors are lost with it."},
			{Name: "ready_timeout", Type: cty.String, Default: cty.StringVal("180s"), Check: positive,
				Doc: "How long a member may take until Ray lists it."},
			{Name: "head", Required: true, Block: &schema.Block{Nesting: schema.Single, Attrs: headRows(container)},
				Doc: "The head: the node that keeps the cluster together."},
			{Name: "worker_group", Block: &schema.Block{Nesting: schema.Map, Label: "name", Attrs: groupRows(container)},
				Doc: "A number of workers that are alike."},

			{Name: "id", Type: cty.String, Computed: true, Doc: "The cluster's name."},
			{Name: "dashboard_url", Type: cty.String, Computed: true,
				Doc: "Where the dashboard and the jobs API answer; null without `dashboard_port`."},
			{Name: "address", Type: cty.String, Computed: true,
				Doc: "Where a node of the network joins the cluster: `NAME-head:6379`."},
			{Name: "head_container", Type: cty.String, Computed: true, Doc: "Name of the head's container."},
			{Name: "ray_version", Type: cty.String, Computed: true, Doc: "Version of Ray in the head."},
			{Name: "python_version", Type: cty.String, Computed: true, Doc: "Version of Python in the head."},
		},
		Validate: validateCluster,
		Remarks:  remarkCluster,
		Derive:   deriveCluster,
	}
}

func headRows(container *schema.Type) []schema.Attr {
	return append([]schema.Attr{
		{Name: "dashboard_port", Type: cty.Number, Check: whole(1, 65535),
			Doc: "Port of the host where the dashboard and the jobs API answer. Without it they are not published."},
		{Name: "dashboard_ip", Type: cty.String, Default: cty.StringVal("127.0.0.1"), Check: address,
			Doc: "Address of the host on which `dashboard_port` is opened. Whoever reaches it and has the token can run code."},
	}, memberRows(container, "the head", 0)...)
}

func groupRows(container *schema.Type) []schema.Attr {
	return append([]schema.Attr{
		{Name: "replicas", Type: cty.Number, Default: cty.NumberIntVal(1), Check: whole(0, 100_000),
			Doc: "Number of workers. It must be known before the plan."},
		{Name: "max_unavailable", Type: cty.Number, Default: cty.NumberIntVal(1), Check: whole(1, 100_000),
			Doc: "How many workers of the group are replaced at the same time."},
	}, memberRows(container, "each worker", 1)...)
}

// memberRows are what the head and the groups have in common.
func memberRows(container *schema.Type, whose string, cpus int64) []schema.Attr {
	memory := *container.Attr("memory")
	memory.Default, memory.Required, memory.Computed = cty.NumberIntVal(defaultMemory), false, false
	memory.Change, memory.ReplaceIf = schema.None, nil
	memory.Doc = fmt.Sprintf("Memory limit of %s: a number is MiB, a string carries its unit (`\"2g\"`). "+
		"Of it, 0.3 is for the object store and 512 MiB for Ray itself; tasks and actors have the rest.", whose)
	rows := []schema.Attr{
		{Name: "num_cpus", Type: cty.Number, Default: cty.NumberIntVal(cpus), Check: whole(0, 100_000),
			Doc: "CPUs that Ray counts for " + whose + ". With 0 it runs no tasks that need one."},
		{Name: "num_gpus", Type: cty.Number, Default: cty.NumberIntVal(0), Check: whole(0, 100_000),
			Doc: "GPUs that Ray counts for " + whose + "; `gpus` gives the container its devices."},
		memory,
		{Name: "resources", Type: cty.Map(cty.Number), Doc: "Custom resources of " + whose + ", name to amount."},
		{Name: "labels", Type: cty.Map(cty.String), Doc: "Ray node labels of " + whose + ", over those of the cluster."},
		{Name: "env", Type: cty.Map(cty.String), Live: true, Doc: "Environment variables of " + whose + ", over those of the cluster."},
		{Name: "params", Type: cty.Map(cty.String), Check: checkParams,
			Doc: "Further flags of `ray start`, without their dashes; `\"true\"` is a flag without a value."},
	}
	for _, name := range containerRows {
		if row := container.Attr(name); row != nil {
			rows = append(rows, *row)
		}
	}
	return rows
}

// containerRows are rows of a container's table that the head and the groups
// have as they are.
var containerRows = []string{"volumes", "mounts", "gpus"}

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// checkName checks what becomes a part of a container's name and host name.
func checkName(what string) func(cty.Value) error {
	return func(v cty.Value) error {
		if s := v.AsString(); !nameForm.MatchString(s) || len(s) > 50 {
			return fmt.Errorf("the %s %q becomes part of containers' names: use letters, digits, '_', '.' and '-', a letter or digit first, 50 at most", what, s)
		}
		return nil
	}
}

func notEmpty(v cty.Value) error {
	if v.AsString() == "" {
		return errors.New("it is empty")
	}
	return nil
}

func oneOf(words ...string) func(cty.Value) error {
	return func(v cty.Value) error {
		if !slices.Contains(words, v.AsString()) {
			return fmt.Errorf("%q is none of %s", v.AsString(), strings.Join(words, ", "))
		}
		return nil
	}
}

func positive(v cty.Value) error {
	d, err := time.ParseDuration(v.AsString())
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is not a positive duration; write it like \"90s\" or \"5m\"", v.AsString())
	}
	return nil
}

func address(v cty.Value) error {
	if net.ParseIP(v.AsString()) == nil {
		return fmt.Errorf("%q is not an IP address", v.AsString())
	}
	return nil
}

func whole(low, high int64) func(cty.Value) error {
	return func(v cty.Value) error {
		n, acc := v.AsBigFloat().Int64()
		if acc != big.Exact || n < low || n > high {
			return fmt.Errorf("it must be a whole number from %d to %d", low, high)
		}
		return nil
	}
}

func checkParams(v cty.Value) error {
	params, ok := stringsOf(v)
	if !ok {
		return errors.New("a flag's value is null; leave the flag out instead")
	}
	_, err := paramFlags(params)
	return err
}

// validateCluster finds what several attributes are needed for, or what a row
// cannot point at.
func validateCluster(v cty.Value) []schema.Problem {
	var problems []schema.Problem
	add := func(attr, where string, err error) {
		if err != nil {
			problems = append(problems, schema.Problem{Attr: attr, Detail: fmt.Sprintf("%s: %v.", where, err)})
		}
	}
	add("env", "env", checkEnv(v.GetAttr("env")))
	add("labels", "labels", checkLabels(v.GetAttr("labels")))
	member := func(attr, where string, block cty.Value) {
		if !block.IsKnown() || block.IsNull() {
			return
		}
		add(attr, where+": env", checkEnv(block.GetAttr("env")))
		add(attr, where+": labels", checkLabels(block.GetAttr("labels")))
		if m := block.GetAttr("memory"); m.IsKnown() && !m.IsNull() {
			_, err := DivideMemory(floatOf(m))
			add(attr, where, err)
		}
	}
	member("head", "head", v.GetAttr("head"))
	if auth := v.GetAttr("auth"); auth.IsKnown() && auth.False() {
		if ip, open := openDashboard(v); open {
			problems = append(problems, schema.Problem{Attr: "auth", Detail: fmt.Sprintf(
				"without a token whoever reaches the dashboard runs code, and head opens it on %s. Leave auth on, or leave dashboard_ip at 127.0.0.1.", ip)})
		}
	}
	groups := v.GetAttr("worker_group")
	if !groups.IsKnown() || groups.IsNull() {
		return problems
	}
	m := groups.AsValueMap()
	for _, name := range slices.Sorted(maps.Keys(m)) {
		where := fmt.Sprintf("worker_group %q", name)
		add("worker_group", where, checkName("group's name")(cty.StringVal(name)))
		if name == HeadGroup {
			add("worker_group", where, errors.New("this is what the head is called; choose another name"))
		}
		member("worker_group", where, m[name])
	}
	return problems
}

// openDashboard returns the address on which a dashboard is published, and
// whether other machines reach it there.
func openDashboard(v cty.Value) (ip string, open bool) {
	head := v.GetAttr("head")
	if !head.IsKnown() || head.IsNull() || head.GetAttr("dashboard_port").IsNull() {
		return "", false
	}
	at := head.GetAttr("dashboard_ip")
	if at.IsNull() || !at.IsKnown() {
		return "", false
	}
	a := net.ParseIP(at.AsString())
	return at.AsString(), a != nil && !a.IsLoopback()
}

// remarkCluster tells of a dashboard that is open to more than this machine.
func remarkCluster(v cty.Value) []string {
	ip, open := openDashboard(v)
	if !open {
		return nil
	}
	port := "a port"
	if p := v.GetAttr("head").GetAttr("dashboard_port"); p.IsKnown() {
		port = fmt.Sprintf("port %d", intOf(p))
	}
	return []string{fmt.Sprintf(
		"opens its dashboard on %s to the network (%s), where whoever has the token can run code; dashboard_ip = \"127.0.0.1\" in head keeps it on this machine.", port, ip)}
}

func checkEnv(v cty.Value) error {
	if !v.IsKnown() || v.IsNull() {
		return nil
	}
	env := v.AsValueMap()
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if where, owned := OwnedEnv(name); owned {
			return fmt.Errorf("%s is set by gapool: %s", name, where)
		}
		if env[name].IsNull() {
			return fmt.Errorf("%s is null; leave the variable out instead", name)
		}
	}
	return nil
}

func checkLabels(v cty.Value) error {
	if !v.IsWhollyKnown() || v.IsNull() {
		return nil
	}
	labels, ok := stringsOf(v)
	if !ok {
		return errors.New("a label is null; leave it out instead")
	}
	_, err := labelList(labels)
	return err
}

// deriveCluster fills what follows from the configuration.
func deriveCluster(_ string, v cty.Value) (cty.Value, error) {
	name := v.GetAttr("name")
	set := map[string]cty.Value{
		"id": name, "address": cty.UnknownVal(cty.String), "head_container": cty.UnknownVal(cty.String),
		"dashboard_url": cty.UnknownVal(cty.String),
	}
	if name.IsKnown() {
		head := headName(name.AsString())
		set["head_container"] = cty.StringVal(head)
		set["address"] = cty.StringVal(fmt.Sprintf("%s:%d", head, GCSPort))
	}
	if head := v.GetAttr("head"); head.IsKnown() {
		ip, port := head.GetAttr("dashboard_ip"), head.GetAttr("dashboard_port")
		switch {
		case port.IsNull():
			set["dashboard_url"] = cty.NullVal(cty.String)
		case port.IsKnown() && ip.IsKnown():
			set["dashboard_url"] = cty.StringVal(dashboardURL(ip.AsString(), intOf(port)))
		}
	}
	return schema.With(v, set), nil
}

func dashboardURL(ip string, port int) string {
	if a := net.ParseIP(ip); a == nil || a.IsUnspecified() {
		ip = "127.0.0.1" // open on every address of the host, this one too
	}
	return "http://" + net.JoinHostPort(ip, strconv.Itoa(port))
}

func headName(cluster string) string { return cluster + "-" + HeadGroup }

func workerName(cluster, group string, index int) string {
	return fmt.Sprintf("%s-%s-%d", cluster, group, index)
}

// intOf returns a number that the table has checked to be whole.
func intOf(v cty.Value) int {
	n, _ := v.AsBigFloat().Int64()
	return int(n)
}

func floatOf(v cty.Value) float64 {
	f, _ := v.AsBigFloat().Float64()
	return f
}

// stringsOf returns a known map of strings, empty for null; false where one of
// them is null.
func stringsOf(v cty.Value) (map[string]string, bool) {
	out := map[string]string{}
	if v.IsNull() {
		return out, true
	}
	for key, s := range v.AsValueMap() {
		if s.IsNull() {
			return nil, false
		}
		out[key] = s.AsString()
	}
	return out, true
}
