package state

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func FuzzLoadState(f *testing.F) {
	example, err := os.ReadFile(filepath.Join("testdata", snapshotName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add(example[:len(example)/2])
	f.Add([]byte(`{"version":1,"lineage":"x","generation":1,"stack":"lab","workspace":"default","records":[null]}`))
	f.Add([]byte(`{"version":1,"lineage":"x","generation":1,"stack":"lab","workspace":"default","records":[{"address":"","kind":""}]}`))
	f.Add([]byte(`{"version":9}`))
	s := Open("/nowhere/.gapool/default", "/nowhere", "lab", "default", Options{})
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := s.parseSnapshot(data)
		if err != nil {
			return
		}
		written, err := st.snapshot()
		if err != nil {
			t.Fatalf("a state that was read cannot be written: %v", err)
		}
		again, err := s.parseSnapshot(written)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, written)
		}
		if diff := sameFacts(st, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzJournal reads the data as a journal, and then its lines as what stands in
// lines with good checksums.
func FuzzJournal(f *testing.F) {
	example, err := os.ReadFile(filepath.Join("testdata", journalName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	var bodies [][]byte
	lines := lineReader{r: bufio.NewReader(bytes.NewReader(example))}
	for {
		body, err := lines.next()
		if err != nil {
			break
		}
		bodies = append(bodies, bytes.Clone(body))
	}
	f.Add(bytes.Join(bodies, []byte("\n")))
	s := Open("/nowhere/.gapool/default", "/nowhere", "lab", "default", Options{})
	load := func(data []byte) (*Loaded, error) {
		l := &Loaded{facts: newFacts(New("lab", "default"))}
		err := s.replayJournal(l, bytes.NewReader(data))
		return l, err
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if l, err := load(data); err == nil && l.end.offset > int64(len(data)) {
			t.Fatalf("it ends at %d of %d", l.end.offset, len(data))
		}
		var sealed []byte
		var sum uint32
		for body := range bytes.SplitSeq(data, []byte("\n")) {
			if len(body) > 0 {
				var line []byte
				line, sum = sealBody(sum, bytes.Clone(body))
				sealed = append(sealed, line...)
			}
		}
		l, err := load(sealed)
		if err != nil {
			return
		}
		if err := l.facts.state.Check(); err != nil {
			t.Fatalf("a journal that was read gives an unsound state: %v", err)
		}
	})
}
