package docker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

func TestImageIsBuiltForItsPlatform(t *testing.T) {
	p := New()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	image := func(platform, inner string) cty.Value {
		return configured(t, p, Image, "name = \"i\"\n"+platform+"\nbuild {\ncontext = \""+dir+"\"\n"+inner+"\n}")
	}
	for _, c := range []struct{ outer, inner, want string }{
		{`platform = "linux/arm64"`, "", "linux/arm64"},
		{`platform = "linux/arm64"`, `platform = "linux/amd64"`, "linux/amd64"},
		{"", "", ""},
	} {
		if got := buildOptions(dir, image(c.outer, c.inner)).Platform; got != c.want {
			t.Errorf("%s %s: built for %q, wanted %q", c.outer, c.inner, got, c.want)
		}
	}
}
