package state

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/gapool/gapool/schema"
)

// BenchmarkStore loads n records, half from the snapshot and half from the
// journal, and folds them.
func BenchmarkStore(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				s := newStore(b, nil)
				j, _, lock := journal(b, s)
				fill(b, j, 0, n/2)
				ok(b, j.Fold())
				fill(b, j, n/2, n)
				ok(b, j.Close())
				b.StartTimer()
				l := got[*Loaded](b)(s.Load())
				j = got[*Journal](b)(s.Journal(l, lock))
				ok(b, j.Fold())
				b.StopTimer()
				if len(l.State.Records) != n {
					b.Fatalf("%d records were loaded", len(l.State.Records))
				}
				ok(b, j.Close())
				lock.Release()
				b.StartTimer()
			}
		})
	}
}

func fill(b *testing.B, j *Journal, from, to int) {
	network := schema.Addr{Type: "docker_network", Name: "pool"}
	for i := from; i < to; i++ {
		a := schema.Addr{Type: "docker_container", Name: "web", Key: schema.IntKey(i)}
		r := container(a, fmt.Sprintf("%064x", i))
		r.Deps = []schema.Addr{network}
		r.Attrs = json.RawMessage(`{"name":"web","image":"sha256:0123456789abcdef","memory":512,"ports":[{"internal":80,"external":8080}]}`)
		ok(b, j.Put(a, r))
	}
}
