package mem

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/gapool/gapool/schema"
)

// String writes the world for comparing and for reading: what is configured of
// each object, sorted, without anything that another run to the same end might
// have chosen differently. It leaves out IDs, uids, lineages, times and
// computed values; an ID among the attributes is written as the object that it
// means.
//
//	docker_container web (docker_container.web in lab/default, running)
//	  image = <docker_image nginx:latest>
//	  name = "web"
func (w *World) String() string {
	var b strings.Builder
	w.must(func() error {
		for _, k := range sortedKeys(w.names) {
			w.write(&b, w.names[k])
		}
		return nil
	})
	return b.String()
}

func (w *World) write(b *strings.Builder, o *object) {
	owner := "not ours"
	if o.owner.Stack != "" {
		owner = fmt.Sprintf("%s in %s/%s", o.owner.Address, o.owner.Stack, o.owner.Workspace)
	}
	life := ""
	switch {
	case demand(o.t) == "":
	case !o.started:
		life = ", never started"
	case o.running:
		life = ", running"
	default:
		life = ", stopped"
	}
	if o.broken != "" {
		life += ", broken since " + o.broken
	}
	fmt.Fprintf(b, "%s %s (%s%s)\n", o.t.Name, o.name, owner, life)
	for i := range o.t.Attrs {
		a := &o.t.Attrs[i]
		v := o.want.GetAttr(a.Name)
		empty := a.Block != nil && a.Block.Nesting != schema.Single && !v.IsNull() && v.LengthInt() == 0
		if v.IsNull() || empty || a.Volatile || a.Name == "name" || a.Change == schema.None && !a.Computed && a.Block == nil {
			continue
		}
		fmt.Fprintf(b, "  %s = %s\n", a.Name, w.nameIDs(text(v)))
	}
}

// text is a value as JSON without what is null in it.
func text(v cty.Value) string {
	data, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		panic("mem: " + err.Error())
	}
	var x any
	if err := json.Unmarshal(data, &x); err != nil {
		panic("mem: " + err.Error())
	}
	data, err = json.Marshal(lean(x))
	if err != nil {
		panic("mem: " + err.Error())
	}
	return string(data)
}

func lean(x any) any {
	switch x := x.(type) {
	case map[string]any:
		maps.DeleteFunc(x, func(_ string, v any) bool { return v == nil })
		for k, v := range x {
			x[k] = lean(v)
		}
	case []any:
		for i, v := range x {
			x[i] = lean(v)
		}
	}
	return x
}

var idPattern = regexp.MustCompile(`"?(sha256:)?[0-9a-f]{64}"?`)

func (w *World) nameIDs(s string) string {
	return idPattern.ReplaceAllStringFunc(s, func(id string) string {
		for _, t := range w.types {
			if o := w.ids[key{t.Name, strings.Trim(id, `"`)}]; o != nil {
				return "<" + t.Name + " " + o.name + ">"
			}
		}
		return id
	})
}

func sortedKeys[V any](m map[key]V) []key {
	return slices.SortedFunc(maps.Keys(m), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.word, b.word))
	})
}
