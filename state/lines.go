package state

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/gapool/gapool/schema"
)

// The most that is read or written in one piece, so that a corrupt file cannot
// ask for memory without bound.
const (
	maxLine     = 16 << 20
	maxSnapshot = 256 << 20
)

// header is a journal's first line.
type header struct {
	Version   int    `json:"version"`
	Base      uint64 `json:"base"` // generation of the snapshot that the journal continues
	Lineage   string `json:"lineage"`
	Stack     string `json:"stack"`
	Workspace string `json:"workspace"`
}

// Events of the lines after the first.
const (
	eventBegan   = "began"
	eventOutcome = "outcome"
	eventFailed  = "failed"
	eventSet     = "set"
	eventOutputs = "outputs"
)

type beganLine struct {
	Event string `json:"event"`
	Began
}

type outcomeLine struct {
	Event  string      `json:"event"`
	N      uint64      `json:"n"`
	Addr   schema.Addr `json:"address"`
	Record *Record     `json:"record"`
}

type failedLine struct {
	Event string      `json:"event"`
	N     uint64      `json:"n"`
	Addr  schema.Addr `json:"address"`
}

type setLine struct {
	Event string   `json:"event"`
	Set   []change `json:"set"`
}

type outputsLine struct {
	Event   string            `json:"event"`
	Outputs map[string]Output `json:"outputs"`
}

// anyLine reads each of them.
type anyLine struct {
	Event string `json:"event"`
	Began
	Record  *Record           `json:"record"`
	Set     []change          `json:"set"`
	Outputs map[string]Output `json:"outputs"`
}

// replay adds one line's facts.
func (f *facts) replay(body []byte) error {
	var l anyLine
	if err := decode(body, &l); err != nil {
		return err
	}
	switch l.Event {
	case eventBegan:
		return f.began(l.Began)
	case eventOutcome:
		if err := f.ends(l.N, l.Addr); err != nil {
			return err
		}
		if err := f.replaySet([]change{{l.Addr, l.Record}}); err != nil {
			return err
		}
		delete(f.open, l.N)
		return nil
	case eventFailed:
		if err := f.ends(l.N, l.Addr); err != nil {
			return err
		}
		delete(f.open, l.N)
		return nil
	case eventSet:
		return f.replaySet(l.Set)
	case eventOutputs:
		outputs, err := normalOutputs(l.Outputs)
		if err != nil {
			return err
		}
		if err := errors.Join(checkOutputs(outputs)...); err != nil {
			return err
		}
		f.setOutputs(outputs)
		return nil
	default:
		return fmt.Errorf("the event %q is unknown", l.Event)
	}
}

func (f *facts) replaySet(changes []change) error {
	for i, c := range changes {
		var err error
		if changes[i].Record, err = normal(c.Record); err != nil {
			return err
		}
	}
	if err := f.admits(changes); err != nil {
		return err
	}
	f.set(changes)
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const (
	sumHead = `,"sum":"`
	sumTail = `"}`
	sumLen  = len(sumHead) + 8 + len(sumTail)
)

// seal makes a line of v. chain is the sum of the line before; the line's own
// is returned.
func seal(chain uint32, v any) (line []byte, sum uint32, err error) {
	body, err := encode(v)
	if err != nil {
		return nil, 0, err
	}
	line, sum = sealBody(chain, body)
	if len(line) > maxLine {
		return nil, 0, fmt.Errorf("a journal line of %d bytes is longer than the %d that are read back", len(line), maxLine)
	}
	return line, sum, nil
}

// sealBody is seal of a JSON object, which it overwrites.
func sealBody(chain uint32, body []byte) (line []byte, sum uint32) {
	content := body[:len(body)-1]
	sum = crc32.Update(chain, castagnoli, content)
	return fmt.Appendf(content, "%s%08x%s\n", sumHead, sum, sumTail), sum
}

// unseal returns the object of a line that stands without its newline, and the
// line's sum; ok is false where the line is damaged. It overwrites the line.
func unseal(chain uint32, line []byte) (body []byte, sum uint32, ok bool) {
	at := len(line) - sumLen
	if at < 1 || !bytes.HasPrefix(line[at:], []byte(sumHead)) || !bytes.HasSuffix(line, []byte(sumTail)) {
		return nil, 0, false
	}
	content, digits := line[:at], string(line[at+len(sumHead):len(line)-len(sumTail)])
	sum = crc32.Update(chain, castagnoli, content)
	// Upper-case digits would be a changed byte that reads the same.
	if digits != fmt.Sprintf("%08x", sum) {
		return nil, 0, false
	}
	return append(content, '}'), sum, true
}
