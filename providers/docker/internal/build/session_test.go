package build

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/build"
)

// broken is an engine on which no session can be opened.
type broken struct {
	build func(ctx context.Context) error
	dial  func(ctx context.Context) error
}

func (b broken) ImageBuild(ctx context.Context, _ io.Reader, _ build.ImageBuildOptions) (build.ImageBuildResponse, error) {
	return build.ImageBuildResponse{}, b.build(ctx)
}

func (b broken) DialHijack(ctx context.Context, _, _ string, _ map[string][]string) (net.Conn, error) {
	return nil, b.dial(ctx)
}

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestBuildSaysWhyThereIsNoSession(t *testing.T) {
	api := broken{build: untilDone, dial: func(context.Context) error { return errors.New("refused by proxy") }}
	_, err := Build(t.Context(), api, Options{Context: tree(t, sample())}, nil)
	if err == nil || !strings.Contains(err.Error(), "open a BuildKit session on the engine") || !strings.Contains(err.Error(), "refused by proxy") {
		t.Errorf("error %v", err)
	}
}

func TestBuildDoesNotWaitForAnEngineThatIsSilent(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	silent := func(context.Context) error { <-end; return errors.New("late") }

	dialling := make(chan struct{})
	api := broken{
		build: func(context.Context) error { <-dialling; return errors.New("no space left on device") },
		dial:  func(ctx context.Context) error { close(dialling); return silent(ctx) },
	}
	_, err := Build(t.Context(), api, Options{Context: tree(t, sample())}, nil)
	if err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("error %v, want the build's", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	api = broken{build: untilDone, dial: func(ctx context.Context) error { cancel(); return silent(ctx) }}
	if _, err := Build(ctx, api, Options{Context: tree(t, sample())}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestSecretNeedsOneSource(t *testing.T) {
	t.Setenv("GAPOOL_TEST_EMPTY", "")
	if value, err := (Secret{ID: "a", Env: "GAPOOL_TEST_EMPTY"}).read(); err != nil || len(value) != 0 {
		t.Errorf("an empty variable: %q, %v", value, err)
	}
	for want, s := range map[string]Secret{
		"it has no id":                          {Value: []byte("x")},
		`"none": give it either a file`:         {ID: "none"},
		`"two": give it either a file`:          {ID: "two", File: "x", Env: "X"},
		`"f": open /nowhere/secret: no such`:    {ID: "f", File: "/nowhere/secret"},
		`"v": it has 600000 bytes, BuildKit ta`: {ID: "v", Value: make([]byte, 600000)},
	} {
		if _, err := readSecrets([]Secret{s}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestRedactor(t *testing.T) {
	redact := redactor(map[string][]byte{"key": []byte("-----BEGIN-----\n  MIIEvQ\n\nok\n"), "longer": []byte("MIIEvQIBADAN")}, []string{"arg-1"})
	for in, want := range map[string]string{
		"a MIIEvQ b":     "a (sensitive value) b",
		"MIIEvQIBADAN":   "(sensitive value)",
		"arg-1 arg-2 ok": "(sensitive value) arg-2 ok", // "ok" is too short to be told from other words
	} {
		if got := redact(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
