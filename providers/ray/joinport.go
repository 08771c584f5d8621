package ray

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// JoinPortMistake finds a ray start that joins the Ray client port, or a ray://
// address, in a container's command (its entrypoint before it, where that is
// known). Such a worker hangs for 20 s and dies with "Method not found!". It
// looks into the strings that a shell is given, as far as they can be read
// without running them. bad is the address as it was written.
func JoinPortMistake(args []string) (bad string, ok bool) {
	if bad, ok = startMistake(args); ok {
		return bad, true
	}
	for _, arg := range args {
		// A word with a space in it has lost its quotes, so this ends.
		if !strings.ContainsAny(arg, " \t\n") {
			continue
		}
		for _, words := range shellCommands(arg) {
			if bad, ok = JoinPortMistake(words); ok {
				return bad, true
			}
		}
	}
	return "", false
}

// JoinAdvice says what is wrong with a join address that JoinPortMistake found,
// and what to write instead.
func JoinAdvice(bad string) string {
	host := strings.TrimPrefix(unquote(bad), "ray://")
	if i := strings.LastIndex(host, ":"); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return fmt.Sprintf("%s is the address of the Ray client, which serves only drivers; a node joins the GCS: use %s:%d", bad, host, GCSPort)
}

// startMistake looks at one command, word by word.
func startMistake(words []string) (bad string, ok bool) {
	ray := slices.IndexFunc(words, func(w string) bool { return path.Base(w) == "ray" || w == "ray.scripts.scripts" })
	if ray < 0 {
		return "", false
	}
	start := slices.Index(words[ray:], "start")
	if start < 0 {
		return "", false
	}
	flags := words[ray+start+1:]
	for i, w := range flags {
		value, joined := strings.CutPrefix(w, "--address=")
		if !joined && w == "--address" && i+1 < len(flags) {
			value = flags[i+1]
		}
		if isJoinMistake(value) {
			return value, true
		}
	}
	return "", false
}

func isJoinMistake(address string) bool {
	address = unquote(address)
	return strings.HasPrefix(address, "ray://") || strings.HasSuffix(address, fmt.Sprintf(":%d", ClientPort))
}

// unquote takes off quotes that were meant for a shell.
func unquote(s string) string { return strings.Trim(s, `"' `) }

// shellCommands splits a shell's text into commands, and each into its words
// without their quotes. Nothing is expanded.
func shellCommands(text string) [][]string {
	var (
		commands [][]string
		words    []string
		word     strings.Builder
		inWord   bool
		quote    rune
		escaped  bool
		comment  bool
	)
	endWord := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	endCommand := func() {
		endWord()
		if len(words) > 0 {
			commands = append(commands, words)
		}
		words = nil
	}
	for _, r := range text {
		switch {
		case comment:
			comment = r != '\n'
			if !comment {
				endCommand()
			}
		case escaped:
			escaped = false
			if r != '\n' { // a line that goes on
				word.WriteRune(r)
				inWord = true
			}
		case r == '\\' && quote != '\'':
			escaped = true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote = r
			inWord = true
		case r == '#' && !inWord:
			comment = true
		case strings.ContainsRune(";&|()\n", r):
			endCommand()
		case r == ' ' || r == '\t' || r == '\r':
			endWord()
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	endCommand()
	return commands
}
