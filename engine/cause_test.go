package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gapool/gapool/engine"
)

// Why something goes, in Terraform's words and in ours.
func TestWhyAnObjectGoes(t *testing.T) {
	const (
		other  = "is not among the instances of count or for_each"
		single = "has no key, and count or for_each gives each one a key"
	)
	for name, tc := range map[string]struct {
		was, is string
		goes    map[string][2]string // cause and reason by address
	}{
		"fewer of a count": {"count = 2\nname = \"a${count.index}\"", "count = 1\nname = \"a${count.index}\"", map[string][2]string{
			"docker_container.c[1]": {"delete_because_count_index", other},
		}},
		"fewer of a for_each": {"for_each = toset([\"a\", \"b\"])\nname = each.key", "for_each = toset([\"a\"])\nname = each.key", map[string][2]string{
			`docker_container.c["b"]`: {"delete_because_each_key", other},
		}},
		"count instead of for_each": {"for_each = toset([\"b\"])\nname = each.key", "count = 1\nname = \"x\"", map[string][2]string{
			`docker_container.c["b"]`: {"delete_because_wrong_repetition", other},
		}},
		"for_each instead of count": {"count = 2\nname = \"a${count.index}\"", "for_each = toset([\"a0\"])\nname = each.key", map[string][2]string{
			"docker_container.c[1]": {"delete_because_wrong_repetition", other},
		}},
		"count instead of one": {"name = \"a\"", "count = 1\nname = \"b\"", map[string][2]string{
			"docker_container.c": {"delete_because_wrong_repetition", single},
		}},
		"one instead of count": {"count = 2\nname = \"a${count.index}\"", "name = \"a0\"", map[string][2]string{
			"docker_container.c[1]": {"delete_because_wrong_repetition", "has a key, and the configuration has one without"},
		}},
		"no block": {"name = \"a\"", "", map[string][2]string{
			"docker_container.c": {"delete_because_no_resource_config", "is not in the configuration"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			block := func(body string) string {
				if body == "" {
					return ""
				}
				return "resource \"docker_container\" \"c\" {\nimage = \"x\"\n" + body + "\n}\n"
			}
			l.write(block(tc.was))
			l.apply()
			l.write(block(tc.is))
			p, err := l.run(false)
			if err != nil {
				t.Fatal(err)
			}
			goes := map[string][2]string{}
			for _, c := range p.Changes {
				if c.Action == engine.Delete {
					goes[c.Addr.String()] = [2]string{string(c.Cause), c.Reason}
				}
			}
			if diff := cmp.Diff(tc.goes, goes); diff != "" {
				t.Errorf("what goes (-want +got):\n%s", diff)
			}
		})
	}
}

// A member goes because it is too many, or because its cluster goes.
func TestWhyAMemberGoes(t *testing.T) {
	const pool = "resource \"ray_cluster\" \"pool\" {\n  name = \"pool-NAME\"\n  image = \"x\"\n  replicas = 2\n  KEYS\n}\n"
	with := func(name, keys string) string {
		return strings.NewReplacer("NAME", name, "KEYS", keys).Replace(pool)
	}
	for name, tc := range map[string]struct {
		was, is string
		goes    []string
	}{
		"the member": {with("a", ""), strings.Replace(with("a", ""), "replicas = 2", "replicas = 1", 1), []string{
			`ray_cluster.pool.worker["cpu"][1]: delete_because_count_index, is not wanted by the cluster any more`,
		}},
		"its cluster's key": {with("${each.key}", "for_each = toset([\"a\", \"b\"])"), with("${each.key}", "for_each = toset([\"a\"])"), []string{
			`ray_cluster.pool["b"]: delete_because_each_key, is not among the instances of count or for_each`,
			`ray_cluster.pool["b"].head: delete_because_each_key, goes with its cluster`,
			`ray_cluster.pool["b"].worker["cpu"][0]: delete_because_each_key, goes with its cluster`,
			`ray_cluster.pool["b"].worker["cpu"][1]: delete_because_each_key, goes with its cluster`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := clusterLab(t)
			l.write(tc.was)
			l.apply()
			l.write(tc.is)
			p, err := l.run(false)
			if err != nil {
				t.Fatal(err)
			}
			var goes []string
			for _, c := range p.Changes {
				if c.Action == engine.Delete {
					goes = append(goes, fmt.Sprintf("%s: %s, %s", c.Addr, c.Cause, c.Reason))
				}
			}
			if diff := cmp.Diff(tc.goes, goes); diff != "" {
				t.Errorf("what goes (-want +got):\n%s", diff)
			}
		})
	}
}
