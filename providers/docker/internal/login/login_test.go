package login

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
)

// written is the configuration of a docker command in a folder of its own.
func written(t *testing.T, content any) *configfile.ConfigFile {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	text, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := config.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// helper puts a credential helper on the way that knows one registry.
func helper(t *testing.T, name, server, user, secret string) {
	t.Helper()
	dir := t.TempDir()
	script := `#!/bin/sh
case $1 in
list) echo '{"` + server + `":"` + user + `"}' ;;
get)
  read -r asked
  if [ "$asked" = "` + server + `" ]; then
    echo '{"ServerURL":"` + server + `","Username":"` + user + `","Secret":"` + secret + `"}'
  else
    echo "credentials not found in native keychain"
    exit 1
  fi ;;
esac
`
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// hosts are the names of the registry that a name without a host means: in the
// names of images, where the engine asks, and where docker login keeps it.
func hosts(t *testing.T) (image, engine, key string) {
	t.Helper()
	ref, err := reference.ParseNormalizedNamed("x")
	if err != nil {
		t.Fatal(err)
	}
	domain := reference.Domain(ref)
	return domain, "registry-1." + domain, "https://index." + domain + "/v1/"
}

type entries = map[string]any

func TestFor(t *testing.T) {
	image, engine, key := hosts(t)
	ada := entries{"username": "ada", "password": "lovelace"}
	private := "registry.example:5000"
	for name, c := range map[string]struct {
		config entries
		helper string // the server that it knows
		found  []string
		none   []string
	}{
		"a private registry": {
			config: entries{"auths": entries{private: ada}},
			found:  []string{private},
			none:   []string{image, engine, "registry.example", "other.example:5000"},
		},
		"the usual registry": {
			config: entries{"auths": entries{key: ada, "another": entries{"username": "no"}}},
			found:  []string{image, engine},
			none:   []string{private, "not" + image},
		},
		"only a name like a path": {
			config: entries{"auths": entries{"myregistry": ada}},
			none:   []string{image, engine, private},
		},
		"a helper for all": {
			config: entries{"credsStore": "test"}, helper: private,
			found: []string{private}, none: []string{image, engine},
		},
		"a helper for one": {
			config: entries{"credHelpers": entries{private: "test"}}, helper: private,
			found: []string{private}, none: []string{image, "other.example:5000"},
		},
		"a helper that docker login has used": {
			config: entries{"credsStore": "test", "auths": entries{key: entries{}}}, helper: key,
			found: []string{image, engine}, none: []string{private},
		},
		"a helper that somebody else has filled": {
			config: entries{"credsStore": "test"}, helper: key,
			found: []string{image, engine}, none: []string{private},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.helper != "" {
				helper(t, "test", c.helper, "ada", "lovelace")
			}
			file := written(t, c.config)
			for _, host := range c.found {
				if got, err := For(file, host); err != nil || got.Username != "ada" || got.Password != "lovelace" {
					t.Errorf("%s: %q, %v", host, got.Username, err)
				}
			}
			for _, host := range c.none {
				if got, err := For(file, host); err != nil || !empty(got) {
					t.Errorf("%s: %q, %v", host, got.Username, err)
				}
			}
		})
	}
}

func TestForSaysWhatIsWrongWithTheHelper(t *testing.T) {
	file := written(t, entries{"credsStore": "missing"})
	if _, err := For(file, "registry.example:5000"); err == nil || !strings.Contains(err.Error(), "docker-credential-missing") {
		t.Errorf("got %v", err)
	}
}
