package view

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
)

// openTerminal returns both ends of a pseudo-terminal.
func openTerminal(t *testing.T, columns, rows uint16) (outside, inside *os.File) {
	t.Helper()
	outside, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = outside.Close() })
	fd := int(outside.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		t.Fatal(err)
	}
	inside, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = inside.Close() })
	return outside, inside
}

var sequence = regexp.MustCompile(`^\x1b\[([0-9;]*)([A-Za-z])`)

// screen returns the lines that a terminal of that width shows after text. It
// knows what a live view writes: cursor up, erase below, colours, tabs, wrapping.
func screen(t *testing.T, text string, width int) []string {
	t.Helper()
	lines, row, col := [][]rune{nil}, 0, 0
	down := func() {
		if row++; row == len(lines) {
			lines = append(lines, nil)
		}
	}
	put := func(r rune) {
		if col == width {
			col = 0
			down()
		}
		for len(lines[row]) <= col {
			lines[row] = append(lines[row], ' ')
		}
		lines[row][col] = r
		col++
	}
	for text != "" {
		if m := sequence.FindStringSubmatch(text); m != nil {
			text = text[len(m[0]):]
			switch m[2] {
			case "A":
				n, err := strconv.Atoi(m[1])
				if err != nil {
					t.Fatal(err)
				}
				row = max(0, row-n)
			case "J":
				lines = append(lines[:row:row], lines[row][:min(col, len(lines[row]))])
			case "m":
			default:
				t.Fatalf("unknown sequence %q", m[0])
			}
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		switch r {
		case '\r':
			col = 0
		case '\n':
			down()
		case '\t':
			for put(' '); col%8 != 0 && col < width; {
				put(' ')
			}
		default:
			put(r)
		}
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.TrimRight(string(l), " ")
	}
	return out
}

// TestLiveApplyLeavesLinesOnly shows an apply on a narrow terminal: while it
// runs each step has one row, and when it has ended none of the rows is left.
func TestLiveApplyLeavesLinesOnly(t *testing.T) {
	const width = 40
	outside, inside := openTerminal(t, width, 24)
	written := make(chan string)
	drawn := make(chan struct{})
	go func() {
		var all []byte
		buf := make([]byte, 4096)
		seen := false
		for {
			n, err := outside.Read(buf)
			all = append(all, buf[:n]...)
			if !seen && strings.Contains(string(all), "0s · ") {
				seen = true
				close(drawn)
			}
			if err != nil { // io.EOF, or EIO where the other end was closed
				written <- string(all)
				return
			}
		}
	}()

	a := NewLiveApply(inside, Style{}, func() time.Time { return time.Unix(0, 0) })
	steps := make([]*engine.Step, 3)
	for i := range steps {
		steps[i] = &engine.Step{ID: i, Verb: engine.DoCreate, Addr: addr(t, fmt.Sprintf("docker_image.app[%d]", i))}
		a.Event(engine.Event{Kind: engine.Started, Step: steps[i]})
		a.Event(engine.Event{Kind: engine.Progressed, Step: steps[i], Progress: providers.Progress{
			Line: "a\tb\tc and much more than fits into a row\tof it",
		}})
	}
	select {
	case <-drawn:
	case <-time.After(time.Minute): // the reading of a terminal alone never ends
		t.Fatal("no row says how far its step is")
	}
	for _, s := range steps[:2] {
		a.Event(engine.Event{Kind: engine.Done, Step: s, Object: &providers.Object{ID: "0123456789ab"}})
	}
	a.Event(engine.Event{Kind: engine.Failed, Step: steps[2], Err: io.ErrUnexpectedEOF})
	a.Close()
	if _, err := io.WriteString(inside, "end\n"); err != nil {
		t.Fatal(err)
	}
	if err := inside.Close(); err != nil {
		t.Fatal(err)
	}
	got := screen(t, <-written, width)
	want := []string{
		"docker_image.app[0]: Creating...",
		"docker_image.app[1]: Creating...",
		"docker_image.app[2]: Creating...",
		"docker_image.app[0]: Creation complete a",
		"fter 0s [id=0123456789ab]",
		"docker_image.app[1]: Creation complete a",
		"fter 0s [id=0123456789ab]",
		"docker_image.app[2]: Creation failed aft",
		"er 0s",
		"end",
		"",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestLiveApplyWithoutItsTerminal closes the terminal while an apply runs, as
// happens to one in the background: the apply goes on.
func TestLiveApplyWithoutItsTerminal(t *testing.T) {
	outside, inside := openTerminal(t, 80, 24)
	a := NewLiveApply(inside, Style{}, time.Now)
	steps := make([]*engine.Step, 3)
	for i := range steps {
		steps[i] = &engine.Step{ID: i, Verb: engine.DoCreate, Addr: addr(t, fmt.Sprintf("docker_image.app[%d]", i))}
	}
	a.Event(engine.Event{Kind: engine.Started, Step: steps[0]})
	if err := outside.Close(); err != nil {
		t.Fatal(err)
	}
	for { // until the view has noticed
		if _, err := a.out.Write([]byte("a line\n")); err != nil {
			break
		}
	}
	a.Event(engine.Event{Kind: engine.Started, Step: steps[1]})
	a.Event(engine.Event{Kind: engine.Started, Step: steps[2]})
	a.Event(engine.Event{Kind: engine.Done, Step: steps[0]})
	a.Event(engine.Event{Kind: engine.Done, Step: steps[1]})
	a.Close()
	if got := a.tally.done; got != (engine.Summary{Add: 2}) {
		t.Errorf("done: %+v", got)
	}
}
