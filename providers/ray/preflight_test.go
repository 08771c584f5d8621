package ray

import (
	"strings"
	"testing"
)

func TestParsePreflight(t *testing.T) {
	out := `starting up
gapool-preflight {"ray": "2.60.0", "python": "3.11.2", "dashboard": true, "nofile_soft": 1048576, "nofile_hard": -1, "later": 1}
`
	want := Preflight{Versions: Versions{Ray: "2.60.0", Python: "3.11.2"}, Dashboard: true, NofileSoft: 1048576, NofileHard: -1}
	got, err := ParsePreflight([]byte(out))
	if err != nil || got != want {
		t.Errorf("%+v and error %v, want %+v", got, err, want)
	}
}

func TestParsePreflightVersions(t *testing.T) {
	for version, good := range map[string]bool{
		"2.54.0": true, "2.60.0rc1": true, "3.0.0.dev0": true, "2.100.1": true, "10.1": true,
		"2.53.9": false, "2.9.3": false, "1.99.0": false, "": false, "new": false, "2": false,
	} {
		_, err := ParsePreflight([]byte(`gapool-preflight {"ray": "` + version + `", "python": "3.11.2", "dashboard": true}`))
		if (err == nil) != good {
			t.Errorf("Ray %q: error %v, want one: %v", version, err, !good)
		}
	}
}

func TestParsePreflightErrors(t *testing.T) {
	tests := map[string]struct{ out, text string }{
		"nothing":      {"", "did not say its versions"},
		"a traceback":  {"ModuleNotFoundError: No module named 'x'", "No module named"},
		"not JSON":     {"gapool-preflight {", "cannot be read"},
		"no Ray":       {`gapool-preflight {"ray": "", "python": "3.11.2"}`, "install ray[default]"},
		"old Ray":      {`gapool-preflight {"ray": "2.53.0", "python": "3.11.2", "dashboard": true}`, "2.54.0 is the oldest"},
		"no dashboard": {`gapool-preflight {"ray": "2.60.0", "python": "3.11.2", "dashboard": false}`, "install ray[default] instead"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParsePreflight([]byte(test.out))
			if err == nil {
				t.Fatalf("no error, but %+v", got)
			}
			if !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v does not say %q", err, test.text)
			}
		})
	}
}
