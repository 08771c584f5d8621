package apply

import (
	"slices"
	"testing"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// TestTwoTagsOfOneImage replaces a tag by another one of the same image: the
// records tell them apart by their names.
func TestTwoTagsOfOneImage(t *testing.T) {
	image := &schema.Type{Name: "docker_image", ByName: true}
	addr := schema.Addr{Type: "docker_image", Name: "app"}
	old := &providers.Object{Kind: image.Name, ID: "sha256:1", Name: "app:old"}
	next := &providers.Object{Kind: image.Name, ID: "sha256:1", Name: "app:new"}
	recorded := func(o *providers.Object) state.Object {
		return state.Object{ID: o.ID, Name: o.Name, Status: state.Ready}
	}
	was, is := recorded(old), recorded(next)
	r := &runner{
		live: map[string]bool{old.ID: true}, records: map[schema.Addr]*state.Record{},
		untags: map[tag]bool{{"", image.Name, old.Name}: true}, // by the plan
	}

	rec := &state.Record{Addr: addr, Kind: image.Name, Current: &was}
	if got := r.others(rec, image, next); !slices.Equal(got, []state.Object{was}) {
		t.Errorf("beside the new tag is %v", got)
	}
	r.records[addr] = &state.Record{Addr: addr, Kind: image.Name, Current: &is, Others: []state.Object{was}}
	step := &engine.Step{Verb: engine.DoDelete, Addr: addr, Change: &engine.Change{Addr: addr, Type: image}, Target: old}
	if got := r.without(step); got == nil || got.Current == nil || *got.Current != is || len(got.Others) > 0 {
		t.Errorf("without the old tag there is %+v", got)
	}
}
