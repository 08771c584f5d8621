package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/docker/cli/cli/config"
)

func TestFindEngine(t *testing.T) {
	dir := t.TempDir()
	t.Cleanup(func() { config.SetDir("") })
	config.SetDir(dir)
	sum := sha256.Sum256([]byte("lab"))
	meta := filepath.Join(dir, "contexts", "meta", hex.EncodeToString(sum[:]))
	if err := os.MkdirAll(meta, 0o700); err != nil {
		t.Fatal(err)
	}
	text := `{"Name":"lab","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://lab:2375","SkipTLSVerify":false}}}`
	if err := os.WriteFile(filepath.Join(meta, "meta.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		host, context, current string
		env                    map[string]string
		want, from             string
		err                    bool
	}{
		"nothing is said":               {want: "unix:///var/run/docker.sock", from: "the default"},
		"the provider's host":           {host: "tcp://a:1", env: map[string]string{"DOCKER_HOST": "tcp://b:1"}, want: "tcp://a:1", from: "from the provider block"},
		"the provider's context":        {context: "lab", env: map[string]string{"DOCKER_HOST": "tcp://b:1"}, want: "tcp://lab:2375", from: "context lab of the provider block"},
		"DOCKER_HOST before contexts":   {current: "lab", env: map[string]string{"DOCKER_HOST": "tcp://b:1", "DOCKER_CONTEXT": "lab"}, want: "tcp://b:1", from: "from DOCKER_HOST"},
		"DOCKER_CONTEXT":                {env: map[string]string{"DOCKER_CONTEXT": "lab"}, want: "tcp://lab:2375", from: "context lab from DOCKER_CONTEXT"},
		"the default context by name":   {current: "lab", env: map[string]string{"DOCKER_CONTEXT": "default"}, want: "unix:///var/run/docker.sock", from: "context default from DOCKER_CONTEXT"},
		"the current context":           {current: "lab", want: "tcp://lab:2375", from: "context lab, the current one of the docker command"},
		"a context that does not exist": {context: "none", err: true},
		"TLS without certificates":      {env: map[string]string{"DOCKER_HOST": "tcp://b:1", "DOCKER_TLS_VERIFY": "1"}, err: true},
		"a socket needs no TLS":         {env: map[string]string{"DOCKER_TLS_VERIFY": "1"}, want: "unix:///var/run/docker.sock", from: "the default"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, k := range []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH"} {
				t.Setenv(k, tc.env[k])
			}
			got, err := findEngine(tc.host, tc.context, "", tc.current)
			if (err != nil) != tc.err {
				t.Fatalf("got %v", err)
			}
			if err == nil && (got.host != tc.want || got.from != tc.from) {
				t.Errorf("got %s, %s; want %s, %s", got.host, got.from, tc.want, tc.from)
			}
		})
	}
}
