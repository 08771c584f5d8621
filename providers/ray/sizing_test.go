package ray

import (
	"math"
	"strings"
	"testing"
)

func TestDivideMemory(t *testing.T) {
	tests := []struct {
		limit float64
		want  Memory // in MiB, but the limit in bytes
	}{
		{1024, Memory{Limit: 1 << 30, ObjectStore: 307, Shm: 338, Heap: 205}},
		{1536, Memory{Limit: 1536 << 20, ObjectStore: 460, Shm: 506, Heap: 564}},
		{2048, Memory{Limit: 2 << 30, ObjectStore: 614, Shm: 676, Heap: 922}},
		{2048.5, Memory{Limit: 2<<30 + 1<<19, ObjectStore: 614, Shm: 676, Heap: 922}},
		{1000, Memory{Limit: 1000 << 20, ObjectStore: 300, Shm: 330, Heap: 188}},
		{minMemoryMiB, Memory{Limit: 732 << 20, ObjectStore: 219, Shm: 241, Heap: 1}},
		{1 << 20, Memory{Limit: 1 << 40, ObjectStore: 314572, Shm: 346030, Heap: 733492}},
	}
	for _, test := range tests {
		got, err := DivideMemory(test.limit)
		if err != nil {
			t.Errorf("%v MiB: %v", test.limit, err)
			continue
		}
		want := test.want
		want.ObjectStore <<= 20
		want.Shm <<= 20
		want.Heap <<= 20
		if got != want {
			t.Errorf("%v MiB: %+v, want %+v", test.limit, got, want)
		}
	}
}

func TestDivideMemoryRefuses(t *testing.T) {
	for _, limit := range []float64{minMemoryMiB - 1, 512, 1, 0, -1, math.NaN(), math.Inf(1), math.Inf(-1), 1e300} {
		got, err := DivideMemory(limit)
		if err == nil {
			t.Errorf("%v MiB: %+v, want an error", limit, got)
		} else if !strings.Contains(err.Error(), "732 MiB or more") {
			t.Errorf("%v MiB: %v; it does not say how much is enough", limit, err)
		}
	}
}
