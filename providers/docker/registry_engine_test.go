//go:build engine

package docker

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/docker/cli/cli/config/types"

	"github.com/gapool/gapool/providers"
)

// upstream has one image for several platforms under any name, as a registry
// that an engine on this machine may ask without TLS.
type upstream struct {
	*testing.T
	host string

	mu    sync.Mutex
	blobs map[string][]byte // by digest
	types map[string]string // of manifests
	list  string            // digest of what the tag means
	user  string            // who may ask, with the password "secret"; "" for everybody
}

const (
	typeList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeManifest = "application/vnd.docker.distribution.manifest.v2+json"
)

func newUpstream(t *testing.T, content string, architectures ...string) *upstream {
	r := &upstream{T: t, blobs: map[string][]byte{}, types: map[string]string{}}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	r.host = strings.TrimPrefix(srv.URL, "http://")
	r.push(content, architectures...)
	return r
}

func (r *upstream) put(mediaType string, content []byte) map[string]any {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	r.blobs[digest], r.types[digest] = content, mediaType
	return map[string]any{"mediaType": mediaType, "digest": digest, "size": len(content)}
}

func (r *upstream) json(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		r.Fatal(err)
	}
	return b
}

// push makes the tag mean another image.
func (r *upstream) push(content string, architectures ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var manifests []map[string]any
	for _, arch := range architectures {
		var layer, zipped bytes.Buffer
		w := tar.NewWriter(&layer)
		text := content + " for " + arch
		if err := w.WriteHeader(&tar.Header{Name: "content", Mode: 0o644, Size: int64(len(text))}); err != nil {
			r.Fatal(err)
		}
		_, _ = w.Write([]byte(text))
		_ = w.Close() // a buffer takes everything
		z := gzip.NewWriter(&zipped)
		_, _ = z.Write(layer.Bytes())
		_ = z.Close()
		config := r.put("application/vnd.docker.container.image.v1+json", r.json(map[string]any{
			"architecture": arch, "os": "linux", "config": map[string]any{"Cmd": []string{"/content"}},
			"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer.Bytes()))}},
		}))
		m := r.put(typeManifest, r.json(map[string]any{
			"schemaVersion": 2, "mediaType": typeManifest, "config": config,
			"layers": []any{r.put("application/vnd.docker.image.rootfs.diff.tar.gzip", zipped.Bytes())},
		}))
		m["platform"] = map[string]string{"architecture": arch, "os": "linux"}
		manifests = append(manifests, m)
	}
	r.list = r.put(typeList, r.json(map[string]any{"schemaVersion": 2, "mediaType": typeList, "manifests": manifests}))["digest"].(string)
}

func (r *upstream) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if user, password, _ := req.BasicAuth(); r.user != "" && (user != r.user || password != "secret") {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		http.Error(w, `{"errors": [{"code": "UNAUTHORIZED"}]}`, http.StatusUnauthorized)
		return
	}
	if req.URL.Path == "/v2/" {
		return
	}
	word := req.URL.Path[strings.LastIndex(req.URL.Path, "/")+1:]
	if !strings.HasPrefix(word, "sha256:") {
		word = r.list
	}
	content, ok := r.blobs[word]
	if !ok {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("Content-Type", r.types[word])
	w.Header().Set("Docker-Content-Digest", word)
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	if req.Method != http.MethodHead {
		_, _ = w.Write(content)
	}
}

// A pull for another platform, or for another trigger, makes the name mean what
// the registry has for it now.
func TestImagePullAnew(t *testing.T) {
	l := newLab(t)
	r := newUpstream(t, "one", "amd64", "arm64")
	name := r.host + "/" + l.name("i") + ":1"
	pulled := map[string]bool{}
	t.Cleanup(func() {
		for id := range pulled {
			l.docker("rmi", "-f", id)
		}
	})
	pull := func(settings string) *providers.Object {
		t.Helper()
		req := l.request(Image, l.want(Image, "name = \""+name+"\"\n"+settings))
		o, err := images{l.Engine}.Create(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		pulled[o.ID] = true
		return o
	}
	first := pull(`platform = "linux/amd64"`)
	if got := text(first.Attrs, "repo_digest"); got != r.host+"/"+l.name("i")+"@"+r.list {
		t.Errorf("pulled %q", got)
	}
	other := pull(`platform = "linux/arm64"`)
	if first.ID == other.ID || l.docker("image", "inspect", "-f", "{{.Architecture}}", name) != "arm64" {
		t.Errorf("%s was pulled for another platform and is still %s", name, other.ID)
	}
	r.push("two", "amd64", "arm64")
	if o := l.find(other); o.ID != other.ID {
		t.Errorf("a push upstream changed %s to %s", other.ID, o.ID)
	}
	if o := pull("platform = \"linux/arm64\"\npull_triggers = [\"2\"]"); o.ID == other.ID {
		t.Errorf("a trigger did not pull what was pushed")
	}
}

func TestImagePullLogsIn(t *testing.T) {
	l := newLab(t)
	r := newUpstream(t, "private", "amd64", "arm64")
	r.user = "ada"
	req := l.request(Image, l.want(Image, `name = "`+r.host+"/"+l.name("i")+`:1"`))
	if o, err := (images{l.Engine}).Create(t.Context(), req); err == nil {
		t.Errorf("without a login it pulled %s", o.ID)
	}
	l.config.AuthConfigs = map[string]types.AuthConfig{r.host: {Username: "ada", Password: "secret"}}
	o, err := images{l.Engine}.Create(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	l.docker("rmi", o.Name)
}
