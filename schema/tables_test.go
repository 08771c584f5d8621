package schema

import "github.com/zclconf/go-cty/cty"

// Small tables in the shape of the real ones.
func testTypes() []*Type {
	labels := Attr{Name: "labels", Type: cty.Map(cty.String), Pairs: &Pairs{Key: "label", Value: "value"}, Change: Replace}
	return []*Type{
		{Name: "docker_network", Attrs: []Attr{
			{Name: "name", Type: cty.String, Required: true},
			{Name: "driver", Type: cty.String, Default: cty.StringVal("bridge")},
			{Name: "id", Type: cty.String, Computed: true},
			labels,
		}},
		{Name: "docker_container", Attrs: []Attr{
			{Name: "name", Type: cty.String, Required: true},
			{Name: "image", Type: cty.String, Required: true},
			{Name: "env", Type: cty.List(cty.String)},
			{Name: "memory", Type: cty.Number},
			{Name: "id", Type: cty.String, Computed: true},
			{Name: "ports", Block: &Block{Nesting: List, Attrs: []Attr{
				{Name: "internal", Type: cty.Number, Required: true},
				{Name: "external", Type: cty.Number},
			}}},
			labels,
		}},
		{Name: "ray_cluster", Attrs: []Attr{
			{Name: "name", Type: cty.String, Required: true},
			{Name: "dashboard_url", Type: cty.String, Computed: true},
			{Name: "head", Required: true, Block: &Block{Nesting: Single, Attrs: []Attr{
				{Name: "memory", Type: cty.Number},
			}}},
			{Name: "worker_group", Block: &Block{Nesting: Map, Label: "name", Attrs: []Attr{
				{Name: "replicas", Type: cty.Number, Required: true},
			}}},
		}},
	}
}

func testProviders() map[string]*Type {
	return map[string]*Type{"docker": {Name: "docker", Attrs: []Attr{
		{Name: "host", Type: cty.String},
		{Name: "context", Type: cty.String},
	}}}
}
