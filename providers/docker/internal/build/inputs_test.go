package build

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tree writes files, by path, below a new directory and returns it. A path that ends in a slash is a directory, content that begins with "-> " a symbolic link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		switch target, link := strings.CutPrefix(content, "-> "); {
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(path, 0o755))
		case link:
			must(t, os.Symlink(target, path))
		default:
			must(t, os.WriteFile(path, []byte(content), 0o644))
		}
	}
	// The modes above pass through the umask.
	must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		switch {
		case err != nil || e.Type()&os.ModeSymlink != 0:
			return err
		case e.IsDir():
			return os.Chmod(path, 0o755)
		}
		return os.Chmod(path, 0o644)
	}))
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func inputs(t *testing.T, o Options) string {
	t.Helper()
	files, err := Files(t.Context(), o)
	must(t, err)
	digest, err := o.Inputs(files)
	must(t, err)
	return digest
}

func sample() map[string]string {
	return map[string]string{
		"Dockerfile":    "FROM scratch\nCOPY . /\n",
		".dockerignore": "*.log\nsecret/\n!keep.log\n",
		"main.py":       "print(1)\n",
		"lib/a.py":      "a = 1\n",
		"lib/b.py":      "-> a.py",
		"lib/c.py":      "a = 1\n",
		"empty/":        "",
		"out.log":       "noise",
		"keep.log":      "signal",
		"secret/key":    "k",
	}
}

// A digest is written into the labels of images: another value for the same tree rebuilds everyone's images.
func TestInputsIsStable(t *testing.T) {
	const want = "sha256:55abf298e4721a1788ebbc2e6543452dbf7d7d0024276ce20be2d08b92f9f5e5"
	if got := inputs(t, Options{Context: tree(t, sample())}); got != want {
		t.Errorf("Inputs = %s, want %s: if the meaning of the hash changed on purpose, raise Format", got, want)
	}
}

func TestInputsPassesOver(t *testing.T) {
	want := inputs(t, Options{Context: tree(t, sample())})
	for name, change := range map[string]func(t *testing.T, o *Options){
		"nothing": func(*testing.T, *Options) {},
		"times": func(t *testing.T, o *Options) {
			must(t, os.Chtimes(filepath.Join(o.Context, "main.py"), time.Unix(1, 0), time.Unix(1, 0)))
		},
		"owner": func(t *testing.T, o *Options) {
			if os.Geteuid() == 0 {
				must(t, os.Chown(filepath.Join(o.Context, "main.py"), 1234, 1234))
			}
		},
		"an ignored file":             write("new.log", "x"),
		"a file of an ignored folder": write("secret/key", "other"),
		"a hard link instead of a copy": func(t *testing.T, o *Options) {
			a, c := filepath.Join(o.Context, "lib/a.py"), filepath.Join(o.Context, "lib/c.py")
			must(t, os.Remove(c))
			must(t, os.Link(a, c))
		},
		"a checkout with another umask": func(t *testing.T, o *Options) {
			must(t, filepath.WalkDir(o.Context, func(path string, e os.DirEntry, err error) error {
				switch {
				case err != nil || e.Type()&os.ModeSymlink != 0:
					return err
				case e.IsDir():
					return os.Chmod(path, 0o777|os.ModeSetgid) // as below a folder that a group shares
				}
				return os.Chmod(path, 0o666)
			}))
		},
		"one that nobody else may read": func(t *testing.T, o *Options) {
			must(t, os.Chmod(filepath.Join(o.Context, "main.py"), 0o600))
			must(t, os.Chmod(filepath.Join(o.Context, "lib"), 0o700))
		},
		"a trailing slash":       func(_ *testing.T, o *Options) { o.Context += "/" },
		"the default Dockerfile": func(_ *testing.T, o *Options) { o.Dockerfile = "./Dockerfile" },
		"an absolute Dockerfile": func(_ *testing.T, o *Options) { o.Dockerfile = filepath.Join(o.Context, "Dockerfile") },
		"the default network":    func(_ *testing.T, o *Options) { o.NetworkMode = "default" },
		"our own labels":         func(_ *testing.T, o *Options) { o.Labels = map[string]string{"gapool.inputs": "sha256:1"} },
		"how to build it":        func(_ *testing.T, o *Options) { o.NoCache, o.Pull, o.CacheFrom = true, true, []string{"x"} },
		"tags":                   func(_ *testing.T, o *Options) { o.Tags = []string{"a:1"} },
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Context: tree(t, sample())}
			change(t, &o)
			if got := inputs(t, o); got != want {
				t.Error("the digest changed")
			}
		})
	}
}

func TestInputsNotices(t *testing.T) {
	before := map[string]string{inputs(t, Options{Context: tree(t, sample())}): "nothing"}
	for name, change := range map[string]func(t *testing.T, o *Options){
		"content":        write("main.py", "print(2)\n"),
		"a new file":     write("new", "x"),
		"an empty file":  write("new", ""),
		"an exception":   write("keep.log", "other"),
		"the Dockerfile": write("Dockerfile", "FROM scratch\n"),
		"a file's mode": func(t *testing.T, o *Options) {
			must(t, os.Chmod(filepath.Join(o.Context, "main.py"), 0o755))
		},
		"a folder's mode": func(t *testing.T, o *Options) {
			must(t, os.Chmod(filepath.Join(o.Context, "empty"), 0o555))
		},
		"who it runs as": func(t *testing.T, o *Options) {
			must(t, os.Chmod(filepath.Join(o.Context, "main.py"), 0o644|os.ModeSetuid))
		},
		"a link's target": func(t *testing.T, o *Options) {
			link := filepath.Join(o.Context, "lib/b.py")
			must(t, os.Remove(link))
			must(t, os.Symlink("../main.py", link))
		},
		"a name":                    rename("main.py", "Main.py"),
		"a folder gone":             func(t *testing.T, o *Options) { must(t, os.Remove(filepath.Join(o.Context, "empty"))) },
		"the ignore file's comment": write(".dockerignore", "# why\n*.log\nsecret/\n!keep.log\n"),
		"the Dockerfile's name": func(t *testing.T, o *Options) {
			rename("Dockerfile", "Containerfile")(t, o)
			o.Dockerfile = "Containerfile"
		},
		"an argument":        func(_ *testing.T, o *Options) { o.Args = map[string]string{"A": "1"} },
		"its value":          func(_ *testing.T, o *Options) { o.Args = map[string]string{"A": "2"} },
		"a label":            func(_ *testing.T, o *Options) { o.Labels = map[string]string{"A": "1"} },
		"target":             func(_ *testing.T, o *Options) { o.Target = "x" },
		"platform":           func(_ *testing.T, o *Options) { o.Platform = "linux/arm64" },
		"network":            func(_ *testing.T, o *Options) { o.NetworkMode = "none" },
		"hosts":              func(_ *testing.T, o *Options) { o.ExtraHosts = []string{"a:10.0.0.1"} },
		"the id of a secret": func(_ *testing.T, o *Options) { o.Secrets = []Secret{{ID: "a"}} },
	} {
		o := Options{Context: tree(t, sample())}
		change(t, &o)
		digest := inputs(t, o)
		if other, same := before[digest]; same {
			t.Errorf("%s: same digest as with %s", name, other)
		}
		before[digest] = name
	}
}

func TestInputsHoldsNoSecret(t *testing.T) {
	dir := tree(t, sample())
	one := inputs(t, Options{Context: dir, Secrets: []Secret{{ID: "a", Value: []byte("1")}, {ID: "b", Env: "B"}}})
	two := inputs(t, Options{Context: dir, Secrets: []Secret{{ID: "b", File: "/none"}, {ID: "a", Value: []byte("2")}}})
	if one != two {
		t.Error("the digest depends on more of a secret than its id")
	}
}

func TestInputsCountsIgnoredBuildFiles(t *testing.T) {
	files := func(dockerfile, ignore string) Options {
		return Options{Context: tree(t, map[string]string{"Dockerfile": dockerfile, ".dockerignore": ignore})}
	}
	plain := inputs(t, files("FROM a\n", "**\n"))
	if plain == inputs(t, files("FROM b\n", "**\n")) {
		t.Error("an ignored Dockerfile does not count")
	}
	if plain == inputs(t, files("FROM a\n", "*\n")) {
		t.Error("an ignored ignore file does not count")
	}
}

func TestInputsIgnoreFileOfTheDockerfileWins(t *testing.T) {
	o := Options{Dockerfile: "gpu.Dockerfile", Context: tree(t, map[string]string{
		"gpu.Dockerfile":              "FROM scratch\n",
		"gpu.Dockerfile.dockerignore": "b\n",
		".dockerignore":               "a\n",
		"a":                           "1", "b": "1",
	})}
	first := inputs(t, o)
	write("b", "2")(t, &o)
	if inputs(t, o) != first {
		t.Error("b counts, though gpu.Dockerfile.dockerignore excludes it")
	}
	write("a", "2")(t, &o)
	if inputs(t, o) == first {
		t.Error("a does not count: .dockerignore was read, though gpu.Dockerfile.dockerignore is there")
	}
}

func TestInputsDockerfileOutside(t *testing.T) {
	project := func() Options {
		dir := tree(t, map[string]string{"deploy/Dockerfile": "FROM scratch\n", "deploy/Dockerfile.dockerignore": "junk\n", "app/main.py": "", "app/junk": "x"})
		return Options{Context: filepath.Join(dir, "app"), Dockerfile: filepath.Join(dir, "deploy/Dockerfile")}
	}
	one, two := project(), project()
	write("junk", "other")(t, &two)
	if inputs(t, one) != inputs(t, two) {
		t.Error("the same project in another directory has another digest")
	}
}

func TestInputsTakesAnyFile(t *testing.T) {
	o := Options{Context: tree(t, map[string]string{"Dockerfile": "FROM scratch\n", "a\nb \xff": "x", "dangling": "-> /nowhere"})}
	must(t, syscall.Mkfifo(filepath.Join(o.Context, "fifo"), 0o600))
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	t.Cleanup(func() {
		if err := unix.Close(socket); err != nil {
			t.Error(err)
		}
	})
	must(t, unix.Bind(socket, &unix.SockaddrUnix{Name: filepath.Join(o.Context, "s")}))
	first := inputs(t, o)
	rename("a\nb \xff", "a\nb \xfe")(t, &o)
	if inputs(t, o) == first {
		t.Error("two names that are no UTF-8 count as one")
	}
}

func TestInputsErrors(t *testing.T) {
	dir := tree(t, map[string]string{"dockerfile": "", "gpu/x": "", "bad/Dockerfile": "", "bad/.dockerignore": "[\n"})
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"relative context":       {Options{Context: "image"}, `build context "image": the path must be absolute`},
		"no context":             {Options{Context: dir + "/none"}, "build context DIR/none: there is no such directory; check build.context"},
		"a file as context":      {Options{Context: dir + "/dockerfile"}, "build context DIR/dockerfile: it is a file; build.context names the directory that holds what the Dockerfile copies"},
		"Dockerfile's case":      {Options{Context: dir}, "Dockerfile DIR/Dockerfile: there is no such file; did you mean dockerfile?"},
		"no Dockerfile":          {Options{Context: dir + "/gpu"}, "Dockerfile DIR/gpu/Dockerfile: there is no such file; check build.dockerfile"},
		"a folder as Dockerfile": {Options{Context: dir, Dockerfile: "gpu"}, "Dockerfile DIR/gpu: it is a directory; build.dockerfile names a file"},
		"pattern of ignore file": {Options{Context: dir + "/bad"}, "ignore file DIR/bad/.dockerignore: syntax error in pattern"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Files(t.Context(), c.o)
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != c.want {
				t.Errorf("error\n  %s\nwant\n  %s", got, c.want)
			}
		})
	}
}

func TestInputsPermissions(t *testing.T) {
	files := map[string]string{"Dockerfile": "FROM scratch\n", ".dockerignore": "data\n", "data/big": "x", "lib/main.py": "x"}
	good, bad := Options{Context: tree(t, files)}, Options{Context: tree(t, files)}
	must(t, os.Chmod(filepath.Dir(good.Context), 0o755))
	must(t, os.Chmod(filepath.Join(good.Context, "data"), 0))
	must(t, os.Chmod(filepath.Join(bad.Context, "lib/main.py"), 0))
	asNobody(t)

	inputs(t, good) // an ignored folder is not opened
	_, err := Files(t.Context(), bad)
	if want := filepath.Join(bad.Context, "lib/main.py") + ": permission denied"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
}

// asNobody takes root's right to open everything from the rest of the test.
func asNobody(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	runtime.LockOSThread()
	must(t, unix.Setfsuid(65534))
	t.Cleanup(func() {
		must(t, unix.Setfsuid(0))
		runtime.UnlockOSThread()
	})
}

func TestInputsEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Files(ctx, Options{Context: tree(t, sample())}); err == nil {
		t.Error("no error from a context that is over")
	}
}

func write(name, content string) func(*testing.T, *Options) {
	return func(t *testing.T, o *Options) {
		t.Helper()
		must(t, os.WriteFile(filepath.Join(o.Context, name), []byte(content), 0o644))
	}
}

func rename(from, to string) func(*testing.T, *Options) {
	return func(t *testing.T, o *Options) {
		t.Helper()
		must(t, os.Rename(filepath.Join(o.Context, from), filepath.Join(o.Context, to)))
	}
}

// A digest that lies open does not give a short secret away: what is tried against it has to be hashed slowly, with a
// salt that other inputs have changed.
func TestInputsOfValuesAreSlowAndReproducible(t *testing.T) {
	plain := inputs(t, Options{Context: tree(t, sample())})
	for name, with := range map[string]func(value string) Options{
		"an argument": func(v string) Options { return Options{Args: map[string]string{"PIN": v}} },
		"a label":     func(v string) Options { return Options{Labels: map[string]string{"pin": v}} },
		"a trigger":   func(v string) Options { return Options{Triggers: map[string]string{"pin": v}} },
	} {
		at := func(value, main string) string {
			o := with(value)
			files := sample()
			files["main.py"] = main
			o.Context = tree(t, files)
			return inputs(t, o)
		}
		digest := at("1234", "print(1)\n")
		if !strings.HasPrefix(digest, "argon2id:") || digest == plain {
			t.Errorf("%s: %s", name, digest)
		}
		if again := at("1234", "print(1)\n"); again != digest {
			t.Errorf("%s: %s and then %s", name, digest, again)
		}
		if at("1235", "print(1)\n") == digest || at("1234", "print(2)\n") == digest {
			t.Errorf("%s: another value, or another file, and the same digest", name)
		}
	}
	if !strings.HasPrefix(plain, "sha256:") {
		t.Errorf("without values %s", plain)
	}
	// A value is told from another place's, and secrets are not read at all.
	same := map[string]string{"a": "b"}
	seen := map[string]bool{}
	for _, o := range []Options{{Args: same}, {Labels: same}, {Triggers: same}} {
		o.Context = tree(t, sample())
		seen[inputs(t, o)] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d digests for three inputs", len(seen))
	}
	secret := func(value string) string {
		return inputs(t, Options{Context: tree(t, sample()), Secrets: []Secret{{ID: "pin", Value: []byte(value)}}})
	}
	if secret("1234") != secret("1235") {
		t.Error("the value of a build secret is in the digest")
	}
}
