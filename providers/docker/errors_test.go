package docker

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/gapool/gapool/providers"
)

// A call that was cut off is told in words, without the socket's path in
// percent signs, and stays in doubt.
func TestACallThatWasCutOffIsTold(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
	}()
	api, err := client.NewClientWithOpts(client.WithHost("unix://"+socket), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	err = first("start container web", api.ContainerStart(t.Context(), "web", container.StartOptions{}))
	if err == nil || !strings.HasPrefix(err.Error(), "start container web: the connection to the engine broke off: ") || strings.Contains(err.Error(), "%2F") {
		t.Errorf("it says %v", err)
	}
	if providers.HadNoEffect(err) {
		t.Error("it may have taken effect")
	}
}
