package docker

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/cli/cli/config"
	"github.com/docker/docker/client"
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

// Only DOCKER_TLS alone, which asks for no more, believes any certificate.
func TestTLSIsVerified(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what is wanted
	srv.StartTLS()
	t.Cleanup(srv.Close)
	key, err := x509.MarshalPKCS8PrivateKey(srv.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert := pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}
	for name, block := range map[string]pem.Block{"ca.pem": cert, "cert.pem": cert, "key.pem": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The certificate is for 127.0.0.1, and this is another name of it.
	host := strings.Replace(srv.URL, "https://127.0.0.1", "tcp://localhost", 1)
	for name, tc := range map[string]struct {
		certs    string
		env      map[string]string
		believed bool
	}{
		"DOCKER_TLS":                            {env: map[string]string{"DOCKER_TLS": "1", "DOCKER_CERT_PATH": dir}, believed: true},
		"DOCKER_TLS_VERIFY":                     {env: map[string]string{"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": dir}},
		"both":                                  {env: map[string]string{"DOCKER_TLS": "1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": dir}},
		"cert_path of the provider":             {certs: dir},
		"cert_path of the provider, DOCKER_TLS": {certs: dir, env: map[string]string{"DOCKER_TLS": "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, k := range []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH"} {
				t.Setenv(k, tc.env[k])
			}
			t.Setenv("DOCKER_HOST", host)
			got, err := findEngine("", "", tc.certs, "")
			if err != nil {
				t.Fatal(err)
			}
			c, err := client.NewClientWithOpts(got.opts...)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.ServerVersion(t.Context())
			if refused := err != nil && strings.Contains(err.Error(), "certificate"); refused == tc.believed {
				t.Errorf("got %v, believed should be %v", err, tc.believed)
			}
		})
	}
}

func TestNoAccessToTheSocket(t *testing.T) {
	err := target{host: "unix:///var/run/docker.sock", from: "the default"}.fail(errors.New("permission denied while trying to connect to the Docker daemon socket"))
	if !strings.Contains(err.Error(), "usermod -aG docker") || strings.Contains(err.Error(), "Start it") {
		t.Errorf("got %v", err)
	}
}
