package apply

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gapool/gapool/providers"
)

func TestHide(t *testing.T) {
	cause := providers.NoEffect(fmt.Errorf("exit code 1: token=hunter22 first line\n  second line; a 1: %w", providers.ErrConflict))
	err := hide(cause, []string{"first line\nsecond line\n", "hunter22", "hunter2", "1"})
	if want := "exit code 1: token=(sensitive value) (sensitive value)\n  (sensitive value); a 1: conflict"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if !errors.Is(err, providers.ErrConflict) || !providers.HadNoEffect(err) {
		t.Error("what kind of error it is was lost")
	}
	err = hide(errors.New(`invalid env "TOKEN=hunt\"er"; it is hunt"er`), []string{`hunt"er`})
	if want := `invalid env "TOKEN=(sensitive value)"; it is (sensitive value)`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if plain := errors.New("plain"); hide(plain, []string{"secret"}) != plain {
		t.Error("an error without secrets was changed")
	}
}
