package main

import (
	"strings"
	"testing"

	"github.com/gapool/gapool/providers/mem"
)

// A job begins on an idle cluster when its destroy, or its replacement, was
// planned and nothing was done yet: not even a worker goes. What may end by its
// name ends.
func TestAJobThatBeginsAfterThePlanKeepsTheCluster(t *testing.T) {
	for name, args := range map[string][]string{
		"destroy": {"destroy", "-auto-approve", "-var=workers=2"},
		"replace": {"apply", "-auto-approve", "-var=workers=2", "-replace=ray_cluster.pool"},
		"removed": {"apply", "-auto-approve", "-var=workers=2"},
	} {
		t.Run(name, func(t *testing.T) {
			s, ray := poolShop(t)
			w := s.world
			s.must(t, "apply", "-auto-approve", "-var=workers=2")
			if name == "removed" {
				network, _, _ := strings.Cut(pool, `resource "ray_cluster"`)
				s.write(network)
			}
			before := w.String()
			w.SetFault(func(c mem.Call) error {
				if c.Op == mem.Read {
					ray.Job(true)
				}
				return nil
			})
			code, out := s.run(args...)
			if code != 1 || !strings.Contains(out, "the cluster runs driver 02000000") || !strings.Contains(out, "-force") {
				t.Errorf("exit code %d\n%s", code, out)
			}
			if strings.Contains(out, "will be lost") {
				t.Errorf("the job was there when it was planned:\n%s", out)
			}
			if now := w.String(); now != before {
				t.Errorf("something was done:\n%s\nwas\n%s", now, before)
			}
			w.SetFault(nil)
			if code, out := s.run(append(args, "-force")...); code != 0 {
				t.Errorf("with -force, exit code %d\n%s", code, out)
			}
		})
	}
}
