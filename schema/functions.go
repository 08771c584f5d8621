package schema

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"maps"
	"net/url"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	ctyyaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// Functions returns what expressions can call: Terraform's functions under
// their names, with their results. Relative paths start from baseDir.
//
// They are pure but for reading files. A result carries the marks of the
// arguments that it was made of, and the error of a call with a sensitive
// argument does not say what the argument was.
//
// read is told of each file that is read, by the path as it is written, and of
// the names that fileset finds; it may be nil.
func Functions(baseDir string, read func(path string, content []byte)) map[string]function.Function {
	if read == nil {
		read = func(string, []byte) {}
	}
	return functionsAt(folder{baseDir, read}, 0)
}

// functionsAt returns the functions for a template that depth calls of
// templatefile have led to.
func functionsAt(d folder, depth int) map[string]function.Function {
	fs := map[string]function.Function{
		"abs":             stdlib.AbsoluteFunc,
		"alltrue":         allTrueFunc,
		"anytrue":         anyTrueFunc,
		"base64decode":    base64DecodeFunc,
		"base64encode":    stringFunc("str", func(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil }),
		"base64sha256":    hashFunc(sha256.New, base64.StdEncoding.EncodeToString),
		"base64sha512":    hashFunc(sha512.New, base64.StdEncoding.EncodeToString),
		"basename":        stringFunc("path", func(s string) (string, error) { return filepath.Base(s), nil }),
		"ceil":            stdlib.CeilFunc,
		"chomp":           stdlib.ChompFunc,
		"chunklist":       stdlib.ChunklistFunc,
		"cidrhost":        cidrHostFunc,
		"cidrnetmask":     cidrNetmaskFunc,
		"cidrsubnet":      cidrSubnetFunc,
		"cidrsubnets":     cidrSubnetsFunc,
		"coalesce":        coalesceFunc,
		"coalescelist":    stdlib.CoalesceListFunc,
		"compact":         stdlib.CompactFunc,
		"concat":          stdlib.ConcatFunc,
		"contains":        stdlib.ContainsFunc,
		"csvdecode":       stdlib.CSVDecodeFunc,
		"dirname":         stringFunc("path", func(s string) (string, error) { return filepath.Dir(s), nil }),
		"distinct":        stdlib.DistinctFunc,
		"element":         stdlib.ElementFunc,
		"endswith":        stringTest("suffix", strings.HasSuffix),
		"flatten":         stdlib.FlattenFunc,
		"floor":           stdlib.FloorFunc,
		"format":          stdlib.FormatFunc,
		"formatdate":      stdlib.FormatDateFunc,
		"formatlist":      stdlib.FormatListFunc,
		"indent":          stdlib.IndentFunc,
		"index":           indexFunc,
		"issensitive":     isSensitiveFunc,
		"join":            stdlib.JoinFunc,
		"jsondecode":      stdlib.JSONDecodeFunc,
		"jsonencode":      stdlib.JSONEncodeFunc,
		"keys":            stdlib.KeysFunc,
		"length":          lengthFunc,
		"log":             stdlib.LogFunc,
		"lookup":          lookupFunc,
		"lower":           stdlib.LowerFunc,
		"matchkeys":       matchKeysFunc,
		"max":             stdlib.MaxFunc,
		"md5":             hashFunc(md5.New, hex.EncodeToString),
		"merge":           stdlib.MergeFunc,
		"min":             stdlib.MinFunc,
		"nonsensitive":    nonsensitiveFunc,
		"one":             oneFunc,
		"parseint":        stdlib.ParseIntFunc,
		"pow":             stdlib.PowFunc,
		"range":           stdlib.RangeFunc,
		"regex":           stdlib.RegexFunc,
		"regexall":        stdlib.RegexAllFunc,
		"replace":         replaceFunc,
		"reverse":         stdlib.ReverseListFunc,
		"sensitive":       sensitiveFunc,
		"setintersection": stdlib.SetIntersectionFunc,
		"setproduct":      stdlib.SetProductFunc,
		"setsubtract":     stdlib.SetSubtractFunc,
		"setunion":        stdlib.SetUnionFunc,
		"sha1":            hashFunc(sha1.New, hex.EncodeToString),
		"sha256":          hashFunc(sha256.New, hex.EncodeToString),
		"sha512":          hashFunc(sha512.New, hex.EncodeToString),
		"signum":          stdlib.SignumFunc,
		"slice":           stdlib.SliceFunc,
		"sort":            stdlib.SortFunc,
		"split":           stdlib.SplitFunc,
		"startswith":      stringTest("prefix", strings.HasPrefix),
		"strcontains":     stringTest("substr", strings.Contains),
		"strrev":          stdlib.ReverseFunc,
		"substr":          stdlib.SubstrFunc,
		"sum":             sumFunc,
		"timeadd":         stdlib.TimeAddFunc,
		"timecmp":         timeCmpFunc,
		"title":           stdlib.TitleFunc,
		"tobool":          toFunc(cty.Bool),
		"tolist":          toFunc(cty.List(cty.DynamicPseudoType)),
		"tomap":           toFunc(cty.Map(cty.DynamicPseudoType)),
		"tonumber":        toFunc(cty.Number),
		"toset":           toFunc(cty.Set(cty.DynamicPseudoType)),
		"tostring":        toFunc(cty.String),
		"transpose":       transposeFunc,
		"trim":            stdlib.TrimFunc,
		"trimprefix":      stdlib.TrimPrefixFunc,
		"trimspace":       stdlib.TrimSpaceFunc,
		"trimsuffix":      stdlib.TrimSuffixFunc,
		"type":            typeFunc,
		"upper":           stdlib.UpperFunc,
		"urlencode":       stringFunc("str", func(s string) (string, error) { return url.QueryEscape(s), nil }),
		"values":          stdlib.ValuesFunc,
		"yamldecode":      ctyyaml.YAMLDecodeFunc,
		"yamlencode":      ctyyaml.YAMLEncodeFunc,
		"zipmap":          stdlib.ZipmapFunc,
	}
	maps.Copy(fs, fileFunctions(d, depth))
	for name, f := range fs {
		fs[name] = discreet(f)
	}
	// These two are given the expressions and not their values, so they say
	// what those said.
	fs["can"], fs["try"] = tryfunc.CanFunc, tryfunc.TryFunc
	return fs
}

// discreet returns a function with f's results whose errors do not quote
// sensitive arguments, as those of most functions do.
func discreet(f function.Function) function.Function {
	open := func(p function.Parameter) function.Parameter {
		p.AllowDynamicType, p.AllowMarked, p.AllowNull, p.AllowUnknown = true, true, true, true
		return p
	}
	spec := &function.Spec{
		Params: f.Params(),
		Type:   function.StaticReturnType(cty.DynamicPseudoType),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v, err := f.Call(args)
			if err == nil {
				return v, nil
			}
			for _, a := range args {
				if !IsSensitive(a) {
					continue
				}
				hidden := errors.New("it failed with a sensitive argument, so the reason is not shown")
				if arg, ok := errors.AsType[function.ArgError](err); ok {
					return cty.NilVal, function.NewArgError(arg.Index, hidden)
				}
				return cty.NilVal, hidden
			}
			return cty.NilVal, err
		},
	}
	for i, p := range spec.Params {
		spec.Params[i] = open(p)
	}
	if p := f.VarParam(); p != nil {
		variadic := open(*p)
		spec.VarParam = &variadic
	}
	return function.New(spec)
}

// stringFunc makes a function of one string that gives a string.
func stringFunc(param string, f func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: param, Type: cty.String}},
		Type:         function.StaticReturnType(cty.String),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s, err := f(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			return cty.StringVal(s), nil
		},
	})
}

// stringTest makes a function that asks something of a string and a second one.
func stringTest(param string, f func(s, arg string) bool) function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "str", Type: cty.String}, {Name: param, Type: cty.String}},
		Type:         function.StaticReturnType(cty.Bool),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(f(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

func notNull(b *cty.RefinementBuilder) *cty.RefinementBuilder { return b.NotNull() }

func hashFunc(algorithm func() hash.Hash, encode func([]byte) string) function.Function {
	return stringFunc("str", func(s string) (string, error) {
		return digest(algorithm, []byte(s), encode), nil
	})
}

func digest(algorithm func() hash.Hash, data []byte, encode func([]byte) string) string {
	h := algorithm()
	h.Write(data) // never fails, by hash.Hash's contract
	return encode(h.Sum(nil))
}

var base64DecodeFunc = stringFunc("str", func(s string) (string, error) {
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", errors.New("it is not base64: " + err.Error())
	}
	if !utf8.Valid(data) {
		return "", errors.New("what it encodes is not UTF-8 text")
	}
	return string(data), nil
})

var timeCmpFunc = function.New(&function.Spec{
	Params:       []function.Parameter{{Name: "timestamp_a", Type: cty.String}, {Name: "timestamp_b", Type: cty.String}},
	Type:         function.StaticReturnType(cty.Number),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		var times [2]time.Time
		for i := range times {
			var err error
			if times[i], err = time.Parse(time.RFC3339, args[i].AsString()); err != nil {
				return cty.NilVal, function.NewArgErrorf(i, "it is not a timestamp as in RFC 3339, such as 2026-01-02T15:04:05Z")
			}
		}
		return cty.NumberIntVal(int64(times[0].Compare(times[1]))), nil
	},
})
