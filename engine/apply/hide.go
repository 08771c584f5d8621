package apply

import (
	"strconv"
	"strings"
)

// hidden is an error whose text was cleared of secrets: the engine's own words,
// or the end of a container's log, may quote them.
type hidden struct {
	err  error
	text string
}

func (h hidden) Error() string { return h.text }
func (h hidden) Unwrap() error { return h.err }

// shortest is the length in bytes from which a secret is looked for: shorter
// ones are everywhere.
const shortest = 4

// hide returns err without the secrets in its text, err itself where it has
// none.
func hide(err error, secrets []string) error {
	text := without(err.Error(), secrets)
	if text == err.Error() {
		return err
	}
	return hidden{err, text}
}

// without returns a text without the secrets in it. A secret of several lines is
// looked for line by line, and each line also as it is quoted.
func without(text string, secrets []string) string {
	for _, s := range secrets {
		for line := range strings.Lines(s) {
			if line = strings.TrimSpace(line); len(line) >= shortest {
				quoted := strconv.Quote(line)
				for _, form := range []string{line, quoted[1 : len(quoted)-1]} {
					text = strings.ReplaceAll(text, form, "(sensitive value)")
				}
			}
		}
	}
	return text
}
