package docker

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/docker/api/types/system"
)

// gpusOf is how many GPUs the engine can give to a container, nil where that is
// not known. The API does not say it. But what runs on our own kernel needs the
// NVIDIA driver that is loaded there, and that one lists its GPUs in /proc, which
// is the same in every container. root is "/" but in tests.
//
// Not known, too, are GPUs that come another way: of WSL (/dev/dxg), and those
// that the engine found itself (CDI).
func gpusOf(info system.Info, host, root string) *int {
	kernel, err := os.ReadFile(filepath.Join(root, "proc/sys/kernel/osrelease"))
	if err != nil || !strings.HasPrefix(host, "unix:") || strings.TrimSpace(string(kernel)) != info.KernelVersion || len(info.DiscoveredDevices) > 0 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(root, "dev/dxg")); err == nil {
		return nil
	}
	driver := filepath.Join(root, "proc/driver/nvidia")
	n := 0
	if _, err := os.Stat(driver); err == nil {
		list, err := os.ReadDir(filepath.Join(driver, "gpus"))
		if err != nil {
			return nil
		}
		n = len(list)
	}
	return &n
}
