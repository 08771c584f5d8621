package ray

import (
	"strings"
	"testing"
)

func TestJoinPortMistake(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string // empty for none
	}{
		{"one word", []string{"ray", "start", "--address=head:10001"}, "head:10001"},
		{"two words", []string{"ray", "start", "--block", "--address", "head:10001"}, "head:10001"},
		{"client scheme", []string{"ray", "start", "--address=ray://head"}, "ray://head"},
		{"client scheme and port", []string{"ray", "start", "--address=ray://head:10001", "--block"}, "ray://head:10001"},
		{"IPv6", []string{"ray", "start", "--address=[::1]:10001"}, "[::1]:10001"},
		{"quotes for no shell", []string{"ray", "start", `--address="head:10001"`}, `"head:10001"`},
		{"path", []string{"/opt/venv/bin/ray", "start", "--address=head:10001"}, "head:10001"},
		{"module", []string{"python", "-m", "ray.scripts.scripts", "start", "--address=head:10001"}, "head:10001"},
		{"option before start", []string{"ray", "--logging-level", "debug", "start", "--address=head:10001"}, "head:10001"},
		{"init before it", []string{"tini", "--", "ray", "start", "--address=head:10001"}, "head:10001"},
		{"shell", []string{"sh", "-c", "ray start --address=head:10001 --block"}, "head:10001"},
		{"shell, two words", []string{"bash", "-lc", "exec ray start --block --address head:10001"}, "head:10001"},
		{"shell, quoted", []string{"sh", "-c", `ray start --address="head:10001"`}, "head:10001"},
		{"shell, variable", []string{"sh", "-c", `ray start --address="$HEAD:10001"`}, "$HEAD:10001"},
		{"shell, second command", []string{"sh", "-c", "sleep 5 && ulimit -n 65536; ray start --address=head:10001"}, "head:10001"},
		{"shell, subshell", []string{"sh", "-c", "(ray start --address=head:10001)"}, "head:10001"},
		{"shell, long line", []string{"sh", "-c", "ray start \\\n  --block \\\n  --address=head:10001\n"}, "head:10001"},
		{"shell in a shell", []string{"sh", "-c", `su ray -c "ray start --address='head:10001'"`}, "head:10001"},
		{"shell form as one string", []string{"ray start --address=head:10001"}, "head:10001"},
		{"unclosed quote", []string{"sh", "-c", `ray start --address="head:10001`}, "head:10001"},

		{"GCS port", []string{"ray", "start", "--address=head:6379"}, ""},
		{"longer port", []string{"ray", "start", "--address=head:100010"}, ""},
		{"client port of a head", []string{"ray", "start", "--head", "--ray-client-server-port=10001"}, ""},
		{"driver", []string{"python", "ga.py", "--address=ray://head:10001"}, ""},
		{"another program", []string{"server", "start", "--address=0.0.0.0:10001"}, ""},
		{"flag before ray", []string{"wait-for", "--address=head:10001", "ray", "start", "--address=head:6379"}, ""},
		{"another command of the line", []string{"sh", "-c", "ray start --address=head:6379; probe --address=head:10001"}, ""},
		{"comment", []string{"sh", "-c", "# ray start --address=head:10001\nray start --address=head:6379"}, ""},
		{"status", []string{"ray", "status", "--address=head:10001"}, ""},
		{"no value", []string{"ray", "start", "--address"}, ""},
		{"nothing", nil, ""},
		{"spaces", []string{" ", "\n"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := JoinPortMistake(test.args)
			if got != test.want || ok != (test.want != "") {
				t.Errorf("%q: %q, %v; want %q", test.args, got, ok, test.want)
			}
		})
	}
}

func TestJoinAdviceNamesTheGCS(t *testing.T) {
	for bad, want := range map[string]string{
		"head:10001":       "use head:6379",
		"ray://head":       "use head:6379",
		"ray://head:10001": "use head:6379",
		`"head:10001"`:     "use head:6379",
		"[::1]:10001":      "use [::1]:6379",
		"ray://[::1]":      "use [::1]:6379",
	} {
		got := JoinAdvice(bad)
		if !strings.HasSuffix(got, want) || !strings.HasPrefix(got, bad) {
			t.Errorf("advice for %s: %q, want it to end with %q", bad, got, want)
		}
	}
}

func FuzzJoinPortMistake(f *testing.F) {
	f.Add("sh", `-c "ray start --address='a:10001'"`)
	f.Add(`\"`, "'\\' \xff #")
	f.Fuzz(func(t *testing.T, a, b string) {
		bad, ok := JoinPortMistake([]string{a, b})
		if ok != (bad != "") {
			t.Errorf("%q %q: %q and %v", a, b, bad, ok)
		}
	})
}
