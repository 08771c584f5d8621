package schema

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// maxTemplateDepth bounds how deep templates may call templatefile, so that one
// that calls itself ends in an error.
const maxTemplateDepth = 32

// fileFunctions are those that take paths. A relative path starts from the
// folder, wherever the process runs.
func fileFunctions(d folder, depth int) map[string]function.Function {
	content := func(f func([]byte) (string, error)) function.Function {
		return stringFunc("path", func(path string) (string, error) {
			data, err := d.read(path)
			if err != nil {
				return "", err
			}
			return f(data)
		})
	}
	hashed := func(algorithm func() hash.Hash, encode func([]byte) string) function.Function {
		return content(func(data []byte) (string, error) { return digest(algorithm, data, encode), nil })
	}
	return map[string]function.Function{
		"abspath": stringFunc("path", func(path string) (string, error) {
			abs, err := filepath.Abs(d.resolve(path))
			return filepath.ToSlash(abs), err
		}),
		"file": content(func(data []byte) (string, error) {
			if !utf8.Valid(data) {
				return "", errors.New("the file is not UTF-8 text; filebase64 reads any file")
			}
			return string(data), nil
		}),
		"filebase64":       content(func(data []byte) (string, error) { return base64.StdEncoding.EncodeToString(data), nil }),
		"filebase64sha256": hashed(sha256.New, base64.StdEncoding.EncodeToString),
		"filebase64sha512": hashed(sha512.New, base64.StdEncoding.EncodeToString),
		"fileexists":       d.existsFunc(),
		"filemd5":          hashed(md5.New, hex.EncodeToString),
		"fileset":          d.setFunc(),
		"filesha1":         hashed(sha1.New, hex.EncodeToString),
		"filesha256":       hashed(sha256.New, hex.EncodeToString),
		"filesha512":       hashed(sha512.New, hex.EncodeToString),
		"pathexpand":       stringFunc("path", expandHome),
		"templatefile":     d.templateFunc(depth),
	}
}

type folder struct {
	dir  string
	told func(path string, content []byte)
}

func (d folder) resolve(path string) string {
	path, err := expandHome(path)
	if err != nil || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.dir, path)
}

func (d folder) read(path string) ([]byte, error) {
	data, err := os.ReadFile(d.resolve(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s; paths start from the directory of the configuration", path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	d.told(path, data)
	return data, nil
}

// expandHome replaces a leading ~ by the user's home directory.
func expandHome(path string) (string, error) {
	if path != "~" && !strings.HasPrefix(path, "~/") {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cannot expand ~: %w", err)
	}
	return filepath.Join(home, path[1:]), nil
}

func (d folder) existsFunc() function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "path", Type: cty.String}},
		Type:         function.StaticReturnType(cty.Bool),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			path := args[0].AsString()
			info, err := os.Stat(d.resolve(path))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return cty.False, nil
			case err != nil:
				return cty.NilVal, function.NewArgErrorf(0, "cannot look at %s: %s", path, err)
			case !info.Mode().IsRegular():
				return cty.NilVal, function.NewArgErrorf(0, "%s is not a regular file", path)
			}
			return cty.True, nil
		},
	})
}

// setFunc finds the files below a directory that match a pattern, as paths
// relative to it. A directory that does not exist has none.
func (d folder) setFunc() function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "path", Type: cty.String}, {Name: "pattern", Type: cty.String}},
		Type:         function.StaticReturnType(cty.Set(cty.String)),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			pattern := filepath.ToSlash(filepath.Clean(args[1].AsString()))
			if pattern == ".." || strings.HasPrefix(pattern, "../") || strings.HasPrefix(pattern, "/") {
				return cty.NilVal, function.NewArgErrorf(1, "a pattern stays below the directory in the first argument")
			}
			names, err := doublestar.Glob(os.DirFS(d.resolve(args[0].AsString())), pattern, doublestar.WithFilesOnly())
			if err != nil {
				return cty.NilVal, function.NewArgErrorf(1, "%q is not a file pattern: %s", args[1].AsString(), err)
			}
			d.told(args[0].AsString()+"/"+pattern, []byte(strings.Join(names, "\x00")))
			if len(names) == 0 {
				return cty.SetValEmpty(cty.String), nil
			}
			vals := make([]cty.Value, len(names))
			for i, name := range names {
				vals[i] = cty.StringVal(name)
			}
			return cty.SetVal(vals), nil
		},
	})
}

// templateFunc renders a file as a template. The result is text, or any value
// where the whole template is one interpolation.
func (d folder) templateFunc(depth int) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{
			{Name: "path", Type: cty.String},
			{Name: "vars", Type: cty.DynamicPseudoType, AllowMarked: true},
		},
		Type: function.StaticReturnType(cty.DynamicPseudoType),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if depth >= maxTemplateDepth {
				return cty.NilVal, fmt.Errorf("templates call each other more than %d deep", maxTemplateDepth)
			}
			vars, marks := args[1].Unmark()
			if ty := vars.Type(); !ty.IsObjectType() && !ty.IsMapType() {
				return cty.NilVal, function.NewArgErrorf(1, "the template's variables must be a map or an object")
			}
			v, err := d.render(args[0].AsString(), vars.AsValueMap(), depth)
			return v.WithMarks(marks), err
		},
	})
}

func (d folder) render(path string, vars map[string]cty.Value, depth int) (cty.Value, error) {
	for _, name := range sortedKeys(vars) {
		if !hclsyntax.ValidIdentifier(name) {
			return cty.DynamicVal, function.NewArgErrorf(1, "%q cannot be the name of a variable in a template", name)
		}
	}
	src, err := d.read(path)
	if err != nil {
		return cty.DynamicVal, function.NewArgError(0, err)
	}
	expr, diags := hclsyntax.ParseTemplate(src, path, hcl.InitialPos)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	for _, t := range expr.Variables() {
		if _, ok := vars[t.RootName()]; !ok {
			rng := t[0].SourceRange()
			return cty.DynamicVal, function.NewArgErrorf(1, "%s line %d uses the variable %q, which is not given.%s",
				path, rng.Start.Line, t.RootName(), didYouMean(t.RootName(), sortedKeys(vars)))
		}
	}
	v, diags := expr.Value(&hcl.EvalContext{Variables: vars, Functions: functionsAt(d, depth+1)})
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	return v, nil
}
