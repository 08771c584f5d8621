package engine_test

import (
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// Numbers of every kind come back from the state as they were.
func TestARecordKeepsItsNumbers(t *testing.T) {
	ty := &schema.Type{Name: "docker_container", Attrs: []schema.Attr{{Name: "n", Type: cty.Number}}}
	for _, text := range []string{"0", "64", "-1", "0.5", "9223372036854775807", "9223372036854775808", "1e30", "0.1"} {
		n := cty.MustParseNumberVal(text)
		rec := engine.RecordOf(&engine.Change{Type: ty}, nil, cty.ObjectVal(map[string]cty.Value{"n": n}), "", state.Ready)
		if got := engine.StoredValue(ty, rec)["n"]; got == cty.NilVal || !got.RawEquals(n) {
			t.Errorf("%s is stored as %s and read as %#v", text, rec.Attrs, got)
		}
	}
}
