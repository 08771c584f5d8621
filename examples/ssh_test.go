//go:build engine

package examples_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// maxStartups is sshd's own default: whoever comes while so many have not
// logged in yet is turned away.
const maxStartups = 10

// sshServer stands on another machine, so to speak, before its engine. It runs
// one command for the user ada, who has a key: docker system dial-stdio.
type sshServer struct {
	t     *testing.T
	host  string // for DOCKER_HOST
	key   string // of the user
	known string // a line of known_hosts

	mu              sync.Mutex
	starting        int
	logins, refused int
}

// newSSHServer listens before the engine at a unix:// host until the test ends.
func newSSHServer(t *testing.T, engine string) *sshServer {
	t.Helper()
	signer := func() (ssh.Signer, ed25519.PrivateKey) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ssh.NewSignerFromKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return s, key
	}
	hostKey, _ := signer()
	user, userKey := signer()
	block, err := ssh.MarshalPrivateKey(userKey, "ada")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	s := &sshServer{
		t: t, host: "ssh://ada@" + address, key: string(pem.EncodeToMemory(block)),
		known: knownhosts.Line([]string{address}, hostKey.PublicKey()),
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "ada" || string(key.Marshal()) != string(user.PublicKey().Marshal()) {
			return nil, errors.New("not ada's key")
		}
		return nil, nil
	}}
	config.AddHostKey(hostKey)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // it is closed
			}
			all.Go(func() { s.serve(conn, config, strings.TrimPrefix(engine, "unix://")) })
		}
	})
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		all.Wait() // the ssh commands ended with gapool, and with them these
	})
	return s
}

func (s *sshServer) serve(conn net.Conn, config *ssh.ServerConfig, socket string) {
	defer conn.Close()
	s.mu.Lock()
	if s.starting >= maxStartups {
		s.refused++
		s.mu.Unlock()
		return
	}
	s.starting++
	s.mu.Unlock()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	s.mu.Lock()
	s.starting--
	if err == nil {
		s.logins++
	}
	s.mu.Unlock()
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			continue
		}
		for r := range requests {
			var call struct{ Command string }
			known := r.Type == "exec" && ssh.Unmarshal(r.Payload, &call) == nil && call.Command == "docker system dial-stdio"
			if r.WantReply {
				_ = r.Reply(known, nil) // it may be gone
			}
			if known {
				dialStdio(channel, socket)
			}
		}
	}
}

// dialStdio does what docker system dial-stdio does.
func dialStdio(channel ssh.Channel, socket string) {
	defer channel.Close()
	engine, err := net.Dial("unix", socket)
	if err != nil {
		fmt.Fprintln(channel.Stderr(), err)
		return
	}
	defer engine.Close()
	go func() {
		_, _ = io.Copy(engine, channel)
		_ = engine.(*net.UnixConn).CloseWrite()
	}()
	_, _ = io.Copy(channel, engine)
}

// seen returns how many logins there were and how many were turned away since
// it was last asked.
func (s *sshServer) seen() (logins, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	logins, refused = s.logins, s.refused
	s.logins, s.refused = 0, 0
	return logins, refused
}

// sshIn returns a folder with an ssh command that takes what it needs from
// $HOME/.ssh. The real one asks the system where its user is at home, and in a
// test that is not where it should look.
func sshIn(t *testing.T) string {
	t.Helper()
	command, err := exec.LookPath("ssh")
	if err != nil {
		t.Fatalf("%v; install it (openssh-client), or run make test, which does", err)
	}
	dir := t.TempDir()
	text := "#!/bin/sh\nexec " + command + ` -F none -o IdentitiesOnly=yes -i "$HOME/.ssh/id_ed25519" -o "UserKnownHostsFile=$HOME/.ssh/known_hosts" -o GlobalKnownHostsFile=none "$@"` + "\n"
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestEngineOverSSH makes more at once than sshd lets log in at once.
func TestEngineOverSSH(t *testing.T) {
	s := newStack(t)
	server := newSSHServer(t, script(t, "engine", "--host"))
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"id_ed25519": server.key, "known_hosts": server.known + "\n"} {
		if err := os.WriteFile(filepath.Join(home, ".ssh", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.env = []string{
		"DOCKER_HOST=" + server.host, "HOME=" + home, "PATH=" + sshIn(t) + ":" + os.Getenv("PATH"),
		"GAPOOL_VAR_image=" + tinyImage(t), "GAPOOL_VAR_crew=30",
	}
	s.write("main.gapool.hcl", crew)
	s.write("image.gapool.hcl", `
resource "docker_image" "built" {
  name = "NAME:latest"
  build { context = "${path.module}/image" }
}
`)
	if err := os.Mkdir(filepath.Join(s.dir, "image"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.write("image/Dockerfile", "FROM "+tinyImage(t)+"\nRUN echo built\n")
	verb := func(do func()) {
		t.Helper()
		do()
		logins, refused := server.seen()
		t.Logf("%d logins", logins)
		if logins == 0 || refused > 0 {
			t.Errorf("%d logins, %d turned away", logins, refused)
		}
	}
	verb(func() { s.must(0, "apply", "-auto-approve", "-parallelism=30") })
	verb(func() { s.settled() })
	s.withoutState(func() { verb(func() { s.settled() }) })
	verb(func() {
		s.must(0, "destroy", "-auto-approve", "-parallelism=30", "-allow-data-loss=docker_volume.data")
	})
	s.nothingLeft()
}
