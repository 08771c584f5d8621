package planfile

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// In a block it is said what differs, which a cut off block would not show.
func TestWhatOfABlockDiffers(t *testing.T) {
	was := raw(`{"build":{"build_args":{"TOKEN":{"$sensitive":0},"VERSION":"1"},"context":"./image","context_hash":"sha256:1"},"env":{"$sensitive":1},"list":["a"],"note":null}`)
	is := raw(`{"build":{"build_args":{"TOKEN":{"$sensitive":0},"VERSION":"2"},"context":"./image","context_hash":"sha256:2"},"env":{"$sensitive":0},"list":["b"],"note":{"a":1}}`)
	want := []string{
		`build.build_args.VERSION was "1" and is "2"`, `build.context_hash was "sha256:1" and is "sha256:2"`,
		`env was {"$sensitive":1} and is {"$sensitive":0}`, `list was ["a"] and is ["b"]`, `note was null and is {"a":1}`,
	}
	if diff := cmp.Diff(want, (&File{}).otherAttrs(was, is, nil, false)); diff != "" {
		t.Error(diff)
	}
}
