package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
	"golang.org/x/crypto/argon2"
)

// LabelPrefix begins the labels that are gapool's own. Inputs passes over them, so that the label which
// carries the digest of an image's inputs is not an input itself.
const LabelPrefix = "gapool."

// The cost of hashing values that may be secrets: that of the hashes in the state, some 20 ms.
const (
	slowMemory  = 19 * 1024 // KiB
	slowTime    = 2
	slowThreads = 1
)

// Files returns a digest of the files that a build is made from: those of the context that no ignore file excludes (path,
// what its owner may do with it, content, target of a symbolic link), the Dockerfile (content, path seen from the context)
// and the ignore file. It is the same for the same tree in another directory, whoever owns it, however old it is and with
// which umask it was checked out: what group and others may do is sent with the files, but no reason to build.
func Files(ctx context.Context, o Options) (digest string, err error) {
	src, err := o.locate()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if err := hashDockerfile(h, src); err != nil {
		return "", err
	}
	if err := hashTree(ctx, h, src.files); err != nil {
		return "", fmt.Errorf("build context %s: %w", src.context, err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// Inputs returns a digest of all that a build is made from and that its caller can decide: its files, as Files says them,
// args, labels, triggers, target, platform, network, extra hosts and the ids of the secrets.
// What lies on the engine or in a registry, such as the base image that a tag means today, is not in it.
//
// The digest is on the image, in plans and in the state, and args, labels and triggers may be short secrets: where there
// are any they enter together by argon2id, so that trying values takes its time. Its salt is the digest of all else: it
// must come out the same wherever the image is looked at, with a state or without.
func (o Options) Inputs(files string) (digest string, err error) {
	h := sha256.New()
	if err := o.hashSettings(h, files); err != nil {
		return "", err
	}
	open := h.Sum(nil)
	values, err := o.values()
	if err != nil || values == nil {
		return "sha256:" + hex.EncodeToString(open), err
	}
	return "argon2id:" + hex.EncodeToString(argon2.IDKey(values, open, slowTime, slowMemory, slowThreads, sha256.Size)), nil
}

// values are args, labels and triggers as they go into a hash, nil where there are none.
func (o Options) values() ([]byte, error) {
	labels := maps.Clone(o.Labels)
	maps.DeleteFunc(labels, func(name, _ string) bool { return strings.HasPrefix(name, LabelPrefix) })
	if len(o.Args)+len(labels)+len(o.Triggers) == 0 {
		return nil, nil
	}
	return json.Marshal(struct{ Args, Labels, Triggers map[string]string }{o.Args, labels, o.Triggers})
}

// hashDockerfile writes the files that decide what is done with the others.
func hashDockerfile(h hash.Hash, src source) error {
	place, err := filepath.Rel(src.context, src.dockerfile)
	if err != nil {
		return fmt.Errorf("build %s: %w", src.dockerfile, err)
	}
	dockerfile, err := os.ReadFile(src.dockerfile)
	if err != nil {
		return fmt.Errorf("build: read the Dockerfile: %w", err)
	}
	return json.NewEncoder(h).Encode(struct {
		Path               string
		Dockerfile, Ignore []byte
	}{filepath.ToSlash(place), dockerfile, src.ignore})
}

// hashSettings writes everything but the values that may be secrets.
func (o Options) hashSettings(h hash.Hash, files string) error {
	secrets := make([]string, 0, len(o.Secrets))
	for _, s := range o.Secrets {
		secrets = append(secrets, s.ID)
	}
	sort.Strings(secrets)
	network := o.NetworkMode
	if network == "" {
		network = "default"
	}
	// json sorts the keys of maps, and every string in here is text.
	return json.NewEncoder(h).Encode(struct {
		Format                           int // raise it when what is hashed changes its meaning
		Files, Target, Platform, Network string
		Secrets, ExtraHosts              []string `json:",omitempty"`
	}{2, files, o.Target, o.Platform, network, secrets, o.ExtraHosts})
}

// hashTree writes one line for each entry of files. Paths are quoted, since a name may be any bytes, also a line's end.
func hashTree(ctx context.Context, h hash.Hash, files fsutil.FS) error {
	var failed error
	err := files.Walk(ctx, "", func(path string, entry fs.DirEntry, err error) error {
		var line string
		if err == nil {
			line, err = hashEntry(path, entry, files)
		}
		if err != nil {
			// Kept aside: Walk takes an error about a missing file as leave to pass over the rest of the directory.
			failed = err
			return fs.SkipAll
		}
		_, err = io.WriteString(h, line)
		return err
	})
	return errors.Join(err, failed)
}

// hashEntry returns the line of one entry.
func hashEntry(path string, entry fs.DirEntry, files fsutil.FS) (string, error) {
	info, err := entry.Info()
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*types.Stat)
	if !ok {
		return "", fmt.Errorf("%s: no file status", path)
	}
	target, content := "", sha256.New()
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		target = stat.Linkname
	case mode.IsRegular() && stat.Size > 0:
		// What is empty is not opened: a socket looks like an empty file here. A second name of a file (a hard
		// link) has a link name too, which does not count: it is a file like any other.
		f, err := files.Open(path)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(content, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%q %o %q %x\n", filepath.ToSlash(path), ownMode(fs.FileMode(stat.Mode)), target, content.Sum(nil)), nil
}

// ownMode is a mode without what comes from the umask and, of a folder, from the one above it.
func ownMode(mode fs.FileMode) fs.FileMode {
	if mode.IsDir() {
		mode &^= fs.ModeSetgid
	}
	return mode &^ 0o077
}

// source is where a build's files are, checked to be there.
type source struct {
	context    string    // absolute directory
	dockerfile string    // absolute file
	ignore     []byte    // content of the ignore file that holds; nil without one
	files      fsutil.FS // the context less what is ignored, owned by root
}

// locate finds what o names.
func (o Options) locate() (source, error) {
	if !filepath.IsAbs(o.Context) {
		return source{}, fmt.Errorf("build context %q: the path must be absolute", o.Context)
	}
	src := source{context: filepath.Clean(o.Context), dockerfile: o.Dockerfile}
	switch info, err := os.Stat(src.context); {
	case errors.Is(err, fs.ErrNotExist):
		return source{}, fmt.Errorf("build context %s: there is no such directory; check build.context", src.context)
	case err != nil:
		return source{}, fmt.Errorf("build context %s: %w", src.context, err)
	case !info.IsDir():
		return source{}, fmt.Errorf("build context %s: it is a file; build.context names the directory that holds what the Dockerfile copies", src.context)
	}
	if src.dockerfile == "" {
		src.dockerfile = "Dockerfile"
	}
	if !filepath.IsAbs(src.dockerfile) {
		src.dockerfile = filepath.Join(src.context, src.dockerfile)
	}
	switch info, err := os.Stat(src.dockerfile); {
	case errors.Is(err, fs.ErrNotExist):
		return source{}, fmt.Errorf("Dockerfile %s: there is no such file; %s", src.dockerfile, suggestion(src.dockerfile))
	case err != nil:
		return source{}, fmt.Errorf("Dockerfile: %w", err)
	case info.IsDir():
		return source{}, fmt.Errorf("Dockerfile %s: it is a directory; build.dockerfile names a file", src.dockerfile)
	}
	return src.filter()
}

// suggestion says what to do about a Dockerfile that is missing: a wrong case is the usual reason.
func suggestion(missing string) string {
	// A directory that cannot be listed gives no better advice, and the missing file is the error already.
	entries, _ := os.ReadDir(filepath.Dir(missing))
	for _, e := range entries {
		if !e.IsDir() && strings.EqualFold(e.Name(), filepath.Base(missing)) {
			return fmt.Sprintf("did you mean %s?", e.Name())
		}
	}
	return "check build.dockerfile"
}

// filter reads the ignore file, <Dockerfile>.dockerignore before .dockerignore, and opens the context through it.
func (src source) filter() (source, error) {
	var patterns []string
	for _, name := range []string{src.dockerfile + ".dockerignore", filepath.Join(src.context, ".dockerignore")} {
		content, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			patterns, err = ignorefile.ReadAll(bytes.NewReader(content))
		}
		if err == nil {
			_, err = patternmatcher.New(patterns) // tried here, where the file's name is known
		}
		if err != nil {
			return source{}, fmt.Errorf("ignore file %s: %w", name, err)
		}
		src.ignore = content
		break
	}
	files, err := fsutil.NewFS(src.context)
	if err == nil {
		src.files, err = fsutil.NewFilterFS(files, &fsutil.FilterOpt{ExcludePatterns: patterns, Map: ownedByRoot})
	}
	if err != nil {
		return source{}, fmt.Errorf("build context %s: %w", src.context, err)
	}
	return src, nil
}

// ownedByRoot makes what COPY writes independent of who runs the build.
func ownedByRoot(_ string, stat *types.Stat) fsutil.MapResult {
	stat.Uid, stat.Gid = 0, 0
	return fsutil.MapResultKeep
}
