package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// large is a configuration of n objects: a network for each ten, a volume for
// each five, containers for the rest, in blocks of various sizes.
func large(n int) string {
	return fmt.Sprintf(`
resource "docker_image" "app" {
  name   = "app:latest"
  inputs = "a"
}
resource "docker_network" "net" {
  count = %d
  name  = "net-${count.index}"
}
resource "docker_volume" "data" {
  count = %d
  name  = "data-${count.index}"
}
resource "docker_container" "web" {
  count  = %d
  name   = "web-${count.index}"
  image  = docker_image.app.image_id
  memory = 64
  env    = { INDEX = tostring(count.index) }
  network { name = docker_network.net[floor(count.index / 10)].name }
  mount   { volume = docker_volume.data[floor(count.index / 5)].name }
}
`, n/10, n/5, n-1-n/10-n/5)
}

// many is a configuration of n containers, each a block of its own that
// depends on the one before it in its group of ten, on an image of its group
// and on a network.
func many(n int) string {
	var b strings.Builder
	b.WriteString("resource \"docker_network\" \"net\" {\n  name = \"net\"\n}\n")
	for i := range n - 1 {
		if i%10 == 0 {
			fmt.Fprintf(&b, "resource \"docker_image\" \"i%d\" {\n  name = \"i%d\"\n}\n", i, i)
			continue
		}
		fmt.Fprintf(&b, "resource \"docker_container\" \"c%d\" {\n  name = \"c%d\"\n  image = docker_image.i%d.image_id\n  network { name = docker_network.net.name }\n", i, i, i-i%10)
		if i%10 > 1 {
			fmt.Fprintf(&b, "  env = { BEFORE = docker_container.c%d.id }\n", i-1)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// BenchmarkApply makes n objects from nothing and plans them once more.
// 10,000 should take no more than 4 times as long as 3,000.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1000, 3000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				l := newLab(b)
				l.parallelism = 10
				l.write(large(n))
				journal := int64(0)
				l.fault = func(point string) error {
					if point == "before create:state" {
						journal = l.written()
					}
					return nil
				}
				if p := l.apply(); len(p.Changes) != n {
					b.Fatalf("%d changes", len(p.Changes))
				}
				b.ReportMetric(float64(journal+l.written()), "bytes-written")
			}
		})
	}
}

// BenchmarkBlocks makes n blocks from nothing.
func BenchmarkBlocks(b *testing.B) {
	for _, n := range []int{1000, 3000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			config := many(n)
			for b.Loop() {
				l := newLab(b)
				l.parallelism = 10
				l.write(config)
				l.apply()
			}
		})
	}
}

// BenchmarkNoOpPlan plans n objects that are as they should be.
func BenchmarkNoOpPlan(b *testing.B) {
	for _, n := range []int{1000, 3000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := newLab(b)
			l.parallelism = 10
			l.write(large(n))
			l.apply()
			for b.Loop() {
				if p := l.plan(); !p.Empty() {
					b.Fatal("not empty")
				}
			}
		})
	}
}

// BenchmarkLostState plans n objects that only their labels know, as on a fresh
// clone.
func BenchmarkLostState(b *testing.B) {
	for _, n := range []int{1000, 3000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := newLab(b)
			l.parallelism = 10
			l.write(large(n))
			l.apply()
			l.lose()
			for b.Loop() {
				l.plan()
			}
		})
	}
}

// BenchmarkClusters plans n clusters of three members each: as they are, and
// where only their labels know them.
func BenchmarkClusters(b *testing.B) {
	for _, n := range []int{300, 1000, 3000} {
		l := clusterLab(b)
		l.parallelism = 10
		l.write(fmt.Sprintf("resource \"ray_cluster\" \"pool\" {\n  count = %d\n  name = \"pool-${count.index}\"\n  image = \"x\"\n  replicas = 2\n}\n", n))
		l.apply()
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				l.settled()
			}
		})
		l.lose()
		b.Run(fmt.Sprint(n, " lost"), func(b *testing.B) {
			for b.Loop() {
				l.plan()
			}
		})
	}
}

// BenchmarkDestroy destroys n objects.
func BenchmarkDestroy(b *testing.B) {
	for _, n := range []int{1000, 3000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				l := newLab(b)
				l.parallelism = 10
				l.write(large(n))
				l.apply()
				b.StartTimer()
				l.options = allowAll
				l.mode = "destroy"
				l.apply()
			}
		})
	}
}

// written is the size of the state's folder.
func (l *lab) written() int64 {
	var sum int64
	files, err := os.ReadDir(l.stateDir())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(filepath.Join(l.stateDir(), f.Name()))
		if err != nil {
			l.t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}
