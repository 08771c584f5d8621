package docker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gapool/gapool/schema"
)

// What Terraform's Docker provider has, by place. Nothing of it is a word that
// gapool has never heard of.
var terraforms = map[string]string{
	Container: "attach capabilities cgroup_parent cgroupns_mode command container_read_refresh_timeout_milliseconds cpu_period cpu_quota cpu_set cpu_shares cpus " +
		"destroy_grace_seconds device_read_bps device_read_iops device_requests device_write_bps device_write_iops devices dns dns_opts dns_search domainname entrypoint env gpus " +
		"group_add healthcheck host hostname image init ipc_mode labels log_driver log_opts logs max_retry_count memory memory_reservation memory_swap mounts must_run name network_mode " +
		"networks_advanced pid_mode platform ports privileged publish_all_ports read_only remove_volumes restart rm runtime security_opts shm_size start stdin_open stop_signal stop_timeout " +
		"storage_opts sysctls timeouts tmpfs tty ulimit upload user userns_mode volumes wait wait_timeout working_dir",
	Container + ".capabilities":          "add drop",
	Container + ".devices":               "container_path host_path permissions",
	Container + ".healthcheck":           "interval retries start_interval start_period test timeout",
	Container + ".host":                  "host ip",
	Container + ".mounts":                "bind_options read_only source target tmpfs_options type volume_options",
	Container + ".mounts.bind_options":   "propagation",
	Container + ".mounts.tmpfs_options":  "mode size_bytes",
	Container + ".mounts.volume_options": "driver_name driver_options labels no_copy subpath",
	Container + ".networks_advanced":     "aliases driver_opts gw_priority ipv4_address ipv6_address link_local_ips mac_address name",
	Container + ".ports":                 "external internal ip protocol",
	Container + ".ulimit":                "hard name soft",
	Container + ".upload":                "content content_base64 executable file permissions source source_hash",
	Container + ".volumes":               "container_path from_container host_path read_only selinux_relabel volume_name",
	Image:                                "build force_remove keep_locally name platform pull_triggers timeouts triggers",
	Image + ".build": "additional_contexts auth_config build_args build_id build_log_file builder cache_from cache_to cgroup_parent context cpu_period cpu_quota cpu_set_cpus cpu_set_mems " +
		"cpu_shares dockerfile extra_hosts force_remove isolation label labels memory memory_swap network_mode no_cache platform provenance pull_parent remote_context remove sbom secrets " +
		"security_opt session_id shm_size squash suppress_output tag target ulimit use_legacy_builder version",
	Image + ".build.secrets": "env id src",
	Network:                  "attachable check_duplicate driver ingress internal ipam_config ipam_driver ipam_options ipv6 labels name options",
	Network + ".ipam_config": "aux_address gateway ip_range subnet",
	Volume:                   "cluster driver driver_opts labels name",
}

func TestTerraformsArgumentsAreKnown(t *testing.T) {
	places := 0
	check := func(place string, attr func(string) *schema.Attr, absent map[string]string) {
		places++
		for name := range strings.FieldsSeq(terraforms[place]) {
			_, lacks := absent[name]
			if a := attr(name); lacks == (a != nil && a.Settable()) {
				t.Errorf("%s.%s must be in the table or in its list of what is absent, and in one of them", place, name)
			}
		}
		for name := range absent {
			if !strings.Contains(" "+terraforms[place]+" ", " "+name+" ") {
				t.Errorf("%s.%s is no argument of Terraform's", place, name)
			}
		}
	}
	var blocks func(place string, attrs []schema.Attr)
	blocks = func(place string, attrs []schema.Attr) {
		for i := range attrs {
			if b := attrs[i].Block; b != nil {
				in := place + "." + attrs[i].Name
				check(in, b.Attr, b.Absent)
				blocks(in, b.Attrs)
			}
		}
	}
	for _, table := range New().Types() {
		check(table.Name, table.Attr, table.Absent)
		blocks(table.Name, table.Attrs)
	}
	if places != len(terraforms) {
		t.Errorf("%d places were looked at, Terraform's provider has %d", places, len(terraforms))
	}
}

func TestAbsentArguments(t *testing.T) {
	p := New()
	for body, wants := range map[string][]string{
		`cpu_quota = 50000`: {`"cpu_quota" is an argument of Terraform's Docker provider that gapool does not have yet. Set cpus.`},
		"device_read_bps {\npath = \"/dev/sda\"\nrate = 1\n}\ndevice_read_bps {\npath = \"/dev/sdb\"\nrate = 1\n}": {
			`"device_read_bps" is an argument of Terraform's`, `"device_read_bps" is an argument of Terraform's`,
		},
		"timeouts = {}": {`"timeouts" is an argument of Terraform's`},
		"dynamic \"device_requests\" {\nfor_each = []\ncontent {}\n}":                                                                      {`"device_requests" is an argument of Terraform's`},
		"mounts {\ntarget = \"/a\"\ntype = \"volume\"\nvolume_options {\nsubpath = \"a\"\nlabels {\nlabel = \"a\"\nvalue = \"b\"\n}\n}\n}": {`"subpath" is an argument of Terraform's`, `"labels" is an argument of Terraform's`},
		`cpu_shars = 1`: {`Did you mean "cpu_shares"?`},
	} {
		dir := t.TempDir()
		text := fmt.Sprintf("resource \"docker_container\" \"c\" {\nname = \"c\"\nimage = \"i\"\n%s\n}\n", body)
		if err := os.WriteFile(filepath.Join(dir, "main.gapool.hcl"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, diags := schema.Load(dir, p.Types(), map[string]*schema.Type{"docker": p.Config()})
		if len(diags) != len(wants) {
			t.Errorf("%s: %v", body, diags)
			continue
		}
		for i, want := range wants {
			if !strings.Contains(diags[i].Detail, want) || diags[i].Subject == nil {
				t.Errorf("%s: %v", body, diags[i])
			}
		}
	}
	dir := t.TempDir()
	text := `{"resource": {"docker_container": {"c": {"name": "c", "image": "i", "timeouts": {"create": "1m"}, "storage_opts": {"size": "1G"}}}}}`
	if err := os.WriteFile(filepath.Join(dir, "main.gapool.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, diags := schema.Load(dir, p.Types(), map[string]*schema.Type{"docker": p.Config()}); len(diags) != 2 || !strings.Contains(diags[0].Detail, "Terraform's Docker provider") {
		t.Errorf("JSON: %v", diags)
	}
}
