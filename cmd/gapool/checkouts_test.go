package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/mem"
)

// Two checkouts of one stack have two states. While one has read and not yet
// acted, the other must not read the same and then do the same.
func TestTwoCheckoutsDoNotPlanAtOnce(t *testing.T) {
	home := t.TempDir()
	w := world(filepath.Join(home, "world.json"))
	run := func(checkout string, out *bytes.Buffer, args ...string) int {
		dir := filepath.Join(home, checkout)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Error(err)
		}
		text := "gapool {\n  stack = \"ga\"\n}\n" + chain
		if err := os.WriteFile(filepath.Join(dir, "main.gapool.hcl"), []byte(text), 0o600); err != nil {
			t.Error(err)
		}
		return Main(append([]string{"-chdir=" + dir}, args...), strings.NewReader(""), out, out, []string{"XDG_STATE_HOME=" + home}, []providers.Provider{w})
	}
	read, gate, done := make(chan struct{}), make(chan struct{}), make(chan int)
	var held atomic.Bool
	w.SetFault(func(c mem.Call) error {
		if c.Op == mem.Refresh && c.When == mem.After && held.CompareAndSwap(false, true) {
			close(read)
			<-gate
		}
		return nil
	})
	var first, second bytes.Buffer
	go func() { done <- run("one", &first, "apply", "-auto-approve") }()
	<-read
	code := run("two", &second, "apply", "-auto-approve")
	close(gate)
	if code != 1 || !strings.Contains(second.String(), "is locked by gapool apply") {
		t.Errorf("the second checkout: exit code %d\n%s", code, &second)
	}
	if code := <-done; code != 0 {
		t.Errorf("the first checkout: exit code %d\n%s", code, &first)
	}
}
