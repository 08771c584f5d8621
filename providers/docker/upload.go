package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/docker/docker/api/types/container"
	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// An upload's content may be a secret, so nothing of it is kept, not even a
// hash. A label lists which files were uploaded, and their content is read back
// from the container, running or not.

func uploadBlock() *schema.Block {
	return &schema.Block{Nesting: schema.List, Key: []string{"file"}, Attrs: []schema.Attr{
		{Name: "file", Type: cty.String, Required: true, Normal: cleanPath, Check: checkAbsolute, Doc: "Path in the container. Missing folders are made."},
		{Name: "content", Type: cty.String, Sensitive: true, Doc: "What the file holds, as text."},
		{Name: "content_base64", Type: cty.String, Sensitive: true, Normal: normalBase64, Check: checkBase64, Doc: "What the file holds, in base64."},
		{Name: "source", Type: cty.String, Doc: "A file with what it holds."},
		{Name: "source_hash", Type: cty.String, Doc: "Accepted and without effect; with `source` it is always the SHA-256 of that file, so that its change is seen."},
		{Name: "permissions", Type: cty.String, Computed: true, Change: schema.Replace, Normal: normalMode, Check: checkMode, Doc: "Permissions in octal. `0644`, or `0744` with `executable`, if not set."},
		{Name: "executable", Type: cty.Bool, Doc: "Whether its owner may execute it."},
	}}
}

func normalBase64(v cty.Value) cty.Value {
	b, err := base64.StdEncoding.DecodeString(v.AsString())
	if err != nil {
		return v
	}
	return cty.StringVal(base64.StdEncoding.EncodeToString(b))
}

func checkBase64(v cty.Value) error {
	if _, err := base64.StdEncoding.DecodeString(v.AsString()); err != nil {
		return errors.New("it is not base64")
	}
	return nil
}

func normalMode(v cty.Value) cty.Value {
	mode, err := strconv.ParseUint(v.AsString(), 8, 12)
	if err != nil {
		return v
	}
	return cty.StringVal(octal(int64(mode)))
}

func checkMode(v cty.Value) error {
	if _, err := strconv.ParseUint(v.AsString(), 8, 12); err != nil {
		return fmt.Errorf("%q is not a permission in octal, such as 0644", v.AsString())
	}
	return nil
}

func octal(mode int64) string { return fmt.Sprintf("%04o", mode&0o7777) }

// deriveUploads fills in the permissions, and the hashes of source files.
func deriveUploads(dir string, v cty.Value) (cty.Value, error) {
	uploads := v.GetAttr("upload")
	if !uploads.IsKnown() || uploads.IsNull() {
		return v, nil
	}
	list := uploads.AsValueSlice()
	for i, u := range list {
		set := map[string]cty.Value{}
		if p, x := u.GetAttr("permissions"), u.GetAttr("executable"); p.IsKnown() && p.IsNull() {
			switch {
			case !x.IsKnown():
				set["permissions"] = cty.UnknownVal(cty.String)
			case truth(u, "executable"):
				set["permissions"] = cty.StringVal("0744")
			default:
				set["permissions"] = cty.StringVal("0644")
			}
		}
		switch s := u.GetAttr("source"); {
		case !s.IsKnown():
			set["source_hash"] = cty.UnknownVal(cty.String)
		case s.IsNull():
			set["source_hash"] = cty.NullVal(cty.String) // no hash of a content is kept, not even one that is given
		default:
			b, err := os.ReadFile(from(dir, s.AsString()))
			if err != nil {
				return cty.NilVal, fmt.Errorf("upload of %s: %w", text(u, "file"), err)
			}
			set["source_hash"] = cty.StringVal(hashOf(b))
		}
		list[i] = schema.With(u, set)
	}
	return schema.With(v, map[string]cty.Value{"upload": cty.ListVal(list)}), nil
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// uploaded is what the label keeps of a file: what its content does not tell.
type uploaded struct {
	File       string `json:"file"`
	Source     string `json:"source,omitempty"`
	Executable *bool  `json:"executable,omitempty"`
}

// uploadLabel lists the wanted uploads; empty for none.
func uploadLabel(want cty.Value) string {
	var list []uploaded
	for _, u := range blocks(want, "upload") {
		l := uploaded{File: text(u, "file"), Source: text(u, "source")}
		if set(u, "executable") {
			x := truth(u, "executable")
			l.Executable = &x
		}
		list = append(list, l)
	}
	if list == nil {
		return ""
	}
	b, _ := json.Marshal(list) // strings and booleans are always JSON
	return string(b)
}

// File is a file to put into a container.
type File struct {
	Path     string // absolute; missing folders are made, and belong to root
	Content  []byte
	Mode     int64 // permissions, such as 0o644
	UID, GID int   // its owner
}

// uploadFiles are the wanted uploads with their content.
func uploadFiles(dir string, want cty.Value) ([]File, error) {
	var files []File
	for _, u := range blocks(want, "upload") {
		f := File{Path: text(u, "file"), Mode: 0o644, Content: []byte(text(u, "content"))}
		var err error
		switch {
		case set(u, "content_base64"):
			// Beside a source it is what another container had of that file: a
			// rollback makes it anew with it.
			f.Content, err = base64.StdEncoding.DecodeString(text(u, "content_base64"))
		case set(u, "source"):
			f.Content, err = os.ReadFile(from(dir, text(u, "source")))
			if err == nil && set(u, "source_hash") && hashOf(f.Content) != text(u, "source_hash") {
				err = fmt.Errorf("%s has changed since the plan; plan again", text(u, "source"))
			}
		}
		if err == nil && !set(u, "source") && len(f.Content) > fileLimit {
			err = fmt.Errorf("it has more than %d bytes; put it into a file and give that as source", fileLimit)
		}
		if err == nil && set(u, "permissions") {
			f.Mode, err = strconv.ParseInt(text(u, "permissions"), 8, 64)
		}
		if err != nil {
			return nil, fmt.Errorf("upload of %s: %w", f.Path, err)
		}
		files = append(files, f)
	}
	return files, nil
}

// Upload puts files into a container, running or not. On a container that was
// not started yet it must not go below a path that will be mounted over.
func (e *Engine) Upload(ctx context.Context, id string, files ...File) error {
	if len(files) == 0 {
		return nil
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	folders := map[string]bool{}
	for _, f := range files {
		name := strings.TrimPrefix(path.Clean(f.Path), "/")
		for i, c := range name {
			if folder := name[:i]; c == '/' && !folders[folder] {
				folders[folder] = true
				has, err := e.hasPath(ctx, id, "/"+folder)
				if err != nil {
					return fmt.Errorf("upload %s to container %.12s: %w", f.Path, id, err)
				}
				if has {
					continue // its owner and permissions stay as they are
				}
				if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755, ModTime: time.Now()}); err != nil {
					return err
				}
			}
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: f.Mode, Size: int64(len(f.Content)), Uid: f.UID, Gid: f.GID, ModTime: time.Now()}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := w.Write(f.Content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	// Not CopyUIDGID, which gives all files to the container's user, and looks
	// that one up among the users of the engine's machine.
	if err := e.api.CopyToContainer(ctx, id, "/", &b, container.CopyToContainerOptions{}); err != nil {
		return fmt.Errorf("upload to container %.12s: %w", id, err)
	}
	return nil
}

func (e *Engine) hasPath(ctx context.Context, id, path string) (bool, error) {
	_, err := e.api.ContainerStatPath(ctx, id, path)
	return exists(err)
}

// fileLimit is the size in bytes up to which the content of a file is held in
// memory. Of a larger one only the hash is.
const fileLimit = 32 << 20

// ReadFile returns what a file in a container holds, running or not. It is
// ErrNotFound where the container or the file is missing. A file of more than
// 32 MiB is an error.
func (e *Engine) ReadFile(ctx context.Context, id, path string) ([]byte, error) {
	f, err := e.readFile(ctx, id, path)
	if err == nil && f.content == nil {
		err = fmt.Errorf("%s in container %.12s is larger than %d bytes", path, id, fileLimit)
	}
	return f.content, err
}

// liveFile is a file as it is in a container.
type liveFile struct {
	content []byte // nil for one that is too large
	hash    string
	mode    int64
}

func (e *Engine) readFile(ctx context.Context, id, path string) (f liveFile, err error) {
	what := fmt.Sprintf("%s in container %.12s", path, id)
	body, _, err := e.api.CopyFromContainer(ctx, id, path)
	if err != nil {
		return f, notFound(what, err)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	r := tar.NewReader(body)
	h, err := r.Next()
	if err != nil {
		return f, fmt.Errorf("%s: %w", what, err)
	}
	if h.Typeflag != tar.TypeReg {
		return f, fmt.Errorf("%s is not a file: %w", what, providers.ErrNotFound)
	}
	f.mode = h.Mode
	sum := sha256.New()
	if h.Size > fileLimit {
		_, err = io.Copy(sum, r)
	} else if f.content, err = io.ReadAll(r); err == nil {
		sum.Write(f.content)
	}
	if err != nil {
		return f, fmt.Errorf("%s: %w", what, err)
	}
	f.hash = hex.EncodeToString(sum.Sum(nil))
	return f, nil
}

// liveUploads reads back the files that the label lists. One that is gone reads
// as no upload at all.
func (e *Engine) liveUploads(ctx context.Context, id, label string) ([]cty.Value, error) {
	if label == "" {
		return nil, nil
	}
	var list []uploaded
	if err := json.Unmarshal([]byte(label), &list); err != nil {
		return nil, nil // not our label: what differs shows it
	}
	block := e.tables.container.Attr("upload").Block
	var out []cty.Value
	for _, l := range list {
		f, err := e.readFile(ctx, id, l.File)
		if errors.Is(err, providers.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		set := map[string]cty.Value{
			"file":        cty.StringVal(l.File),
			"source":      stringOrNull(l.Source),
			"source_hash": cty.StringVal(f.hash),
			"permissions": cty.StringVal(octal(f.mode)),
		}
		if f.content != nil {
			set["content_base64"] = cty.StringVal(base64.StdEncoding.EncodeToString(f.content))
		}
		if f.content != nil && utf8.Valid(f.content) {
			set["content"] = cty.StringVal(string(f.content))
		}
		if l.Executable != nil {
			set["executable"] = cty.BoolVal(*l.Executable)
		}
		out = append(out, block.Build(set))
	}
	return out, nil
}
