package docker

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/docker/cli/cli/config"
	"github.com/zclconf/go-cty/cty"
)

// standInSSH puts a program named ssh before the real one. It writes its
// arguments to a file, whose name is returned.
func standInSSH(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	args := filepath.Join(dir, "args")
	text := fmt.Sprintf("#!/bin/sh\necho \"$@\" >>%s\n%s", args, script)
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return args
}

// However an engine over SSH is named, it is reached, and by one login.
func TestEnginesOverSSH(t *testing.T) {
	const engine = `
while read -r line; do
  case $line in
    HEAD*) body= ;;
    GET*) body='{"ID":"lab"}' ;;
    "$(printf '\r')") printf 'HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: %d\r\n\r\n%s' "${#body}" "$body" ;;
  esac
done
`
	dir := t.TempDir()
	t.Cleanup(func() { config.SetDir("") })
	config.SetDir(dir)
	sum := sha256.Sum256([]byte("lab"))
	meta := filepath.Join(dir, "contexts", "meta", hex.EncodeToString(sum[:]))
	if err := os.MkdirAll(meta, 0o700); err != nil {
		t.Fatal(err)
	}
	text := `{"Name":"lab","Metadata":{},"Endpoints":{"docker":{"Host":"ssh://ada@lab:2222"}}}`
	if err := os.WriteFile(filepath.Join(meta, "meta.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		cfg map[string]cty.Value
		env map[string]string
	}{
		"DOCKER_HOST":            {env: map[string]string{"DOCKER_HOST": "ssh://ada@lab:2222"}},
		"DOCKER_CONTEXT":         {env: map[string]string{"DOCKER_CONTEXT": "lab"}},
		"the provider's host":    {cfg: map[string]cty.Value{"host": cty.StringVal("ssh://ada@lab:2222")}},
		"the provider's context": {cfg: map[string]cty.Value{"context": cty.StringVal("lab")}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, k := range []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH", "DOCKER_API_VERSION"} {
				t.Setenv(k, tc.env[k])
			}
			args := standInSSH(t, engine)
			cfg := map[string]cty.Value{"host": cty.NullVal(cty.String), "context": cty.NullVal(cty.String), "cert_path": cty.NullVal(cty.String)}
			for k, v := range tc.cfg {
				cfg[k] = v
			}
			c, err := connect(t.Context(), cty.ObjectVal(cfg))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.client.Close(); err != nil {
				t.Error(err)
			}
			if c.info.ID != "lab" || c.info.Host != "ssh://ada@lab:2222" {
				t.Errorf("got %+v", c.info)
			}
			logins, err := os.ReadFile(args)
			if err != nil {
				t.Fatal(err)
			}
			const want = "-l ada -p 2222 -o ConnectTimeout=30 -T -- lab docker system dial-stdio\n"
			if string(logins) != want {
				t.Errorf("ssh was run as\n%s\nwant\n%s", logins, want)
			}
		})
	}
}

// Why a login failed is in what ssh says, and nowhere else.
func TestLoginFails(t *testing.T) {
	for name, tc := range map[string]struct {
		script string
		want   []string
	}{
		"the key is not known": {
			"echo 'ada@lab: Permission denied (publickey).' >&2; exit 255",
			[]string{"no Docker engine at ssh://ada@lab (from DOCKER_HOST)", "ada@lab: Permission denied (publickey). Start it"},
		},
		"nothing listens": {
			"echo 'ssh: connect to host lab port 22: Connection refused' >&2; exit 255",
			[]string{"ssh: connect to host lab port 22: Connection refused. Start it"},
		},
		"no engine there": {
			"echo 'error during connect: dial unix /var/run/docker.sock: connect: connection refused' >&2; exit 1",
			[]string{"Dial unix /var/run/docker.sock: connect: Connection refused. Start it"},
		},
		"a shell with a greeting": {
			"echo 'Welcome, Ada!'; cat >/dev/null",
			[]string{`the login prints "Welcome, Ada!", and not what a Docker engine says`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKER_HOST", "ssh://ada@lab")
			standInSSH(t, tc.script)
			none := cty.NullVal(cty.String)
			_, err := connect(t.Context(), cty.ObjectVal(map[string]cty.Value{"host": none, "context": none, "cert_path": none}))
			if err == nil {
				t.Fatal("there is an engine")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}

// sshd drops connections at random once ten have not logged in.
func TestFewLoginsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logins, most atomic.Int32
		login := make(chan struct{})
		d := &sshDialer{
			logins: make(chan struct{}, sshLogins),
			dial: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				most.Store(max(most.Load(), logins.Add(1)))
				go func() {
					if _, err := http.ReadRequest(bufio.NewReader(theirs)); err != nil {
						t.Error(err)
					}
					<-login
					logins.Add(-1)
					fmt.Fprint(theirs, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}()
				return ours, nil
			},
		}
		for range 30 {
			go func() {
				if _, err := d.Dial(t.Context(), "", ""); err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		if n := logins.Load(); n != sshLogins {
			t.Errorf("%d log in at once, want %d", n, sshLogins)
		}
		close(login)
		synctest.Wait()
		if n := most.Load(); n != sshLogins {
			t.Errorf("%d logged in at once, want %d", n, sshLogins)
		}
	})
}

// A login that does not end is given up with what waits for it.
func TestLoginIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &sshDialer{
			logins: make(chan struct{}, sshLogins),
			dial: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() { _, _ = http.ReadRequest(bufio.NewReader(theirs)) }()
				return ours, nil
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			_, err := d.Dial(ctx, "", "")
			ended <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("got %v", err)
		}
	})
}
