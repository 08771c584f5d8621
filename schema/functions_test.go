package schema

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// testContext has a value of each sort: u is unknown, s a sensitive "hush".
func testContext(t *testing.T, dir string) *hcl.EvalContext {
	t.Helper()
	return &hcl.EvalContext{Functions: Functions(dir, nil), Variables: map[string]cty.Value{
		"u":    cty.UnknownVal(cty.String),
		"un":   cty.UnknownVal(cty.Number),
		"ub":   cty.UnknownVal(cty.Bool),
		"ul":   cty.UnknownVal(cty.List(cty.String)),
		"dyn":  cty.DynamicVal,
		"s":    cty.StringVal("hush").Mark(SensitiveMark),
		"su":   cty.UnknownVal(cty.String).Mark(SensitiveMark),
		"sl":   cty.ListVal([]cty.Value{cty.StringVal("a"), cty.StringVal("hush")}).Mark(SensitiveMark),
		"part": cty.MapVal(map[string]cty.Value{"open": cty.StringVal("x"), "shut": cty.StringVal("hush").Mark(SensitiveMark)}),
	}}
}

func evaluate(t *testing.T, ctx *hcl.EvalContext, text string) (cty.Value, hcl.Diagnostics) {
	t.Helper()
	expr, diags := hclsyntax.ParseExpression([]byte(text), "test.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%s: %s", text, diags)
	}
	return expr.Value(ctx)
}

// Each expression must be equal to the one beside it, in value and in type.
func TestFunctions(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFiles(t, map[string]string{
		"conf/hello.txt":      "hello",
		"conf/sub/b.txt":      "b",
		"conf/sub/c.md":       "c",
		"conf/greet.tmpl":     "Hi ${name}%{ for x in more } ${x}%{ endfor }!",
		"conf/list.tmpl":      "${more}",
		"conf/recursive.tmpl": `${templatefile("recursive.tmpl", {})}`,
		"conf/outer.tmpl":     `<${templatefile("greet.tmpl", { name = n, more = [] })}>`,
		"conf/binary":         "\xff\xfe",
	})
	ctx := testContext(t, "conf")
	for text, want := range map[string]string{
		// Strings
		`upper("a")`: `"A"`, `lower("A")`: `"a"`, `title("a b")`: `"A B"`, `strrev("abc")`: `"cba"`,
		`chomp("a\n\n")`: `"a"`, `indent(2, "a\nb")`: `"a\n  b"`, `substr("hello", 1, 3)`: `"ell"`, `substr("hello", -2, -1)`: `"lo"`,
		`trim("?!a?!", "!?")`: `"a"`, `trimprefix("aab", "a")`: `"ab"`, `trimsuffix("baa", "a")`: `"ba"`, `trimspace(" a ")`: `"a"`,
		`split(",", "a,b")`: `tolist(["a", "b"])`, `join("-", ["a"], ["b", "c"])`: `"a-b-c"`,
		`replace("a.b.c", ".", "-")`: `"a-b-c"`, `replace("abc", "/[ab]/", "x")`: `"xxc"`, `replace("ab", "/(a)(b)/", "$2$1")`: `"ba"`, `replace("a/b", "/", "-")`: `"a-b"`,
		`regex("[a-z]+", "12ab")`: `"ab"`, `regexall("[a-z]", "a1b")`: `tolist(["a", "b"])`,
		`startswith("abc", "ab")`: `true`, `endswith("abc", "ab")`: `false`, `strcontains("abc", "b")`: `true`,
		`format("%s-%03d", "a", 7)`: `"a-007"`, `formatlist("%s!", ["a", "b"])`: `tolist(["a!", "b!"])`,
		`urlencode("a b&c")`: `"a+b%26c"`, `base64encode("hi")`: `"aGk="`, `base64decode("aGk=")`: `"hi"`,
		`md5("a")`:                                      `"0cc175b9c0f1b6a831c399e269772661"`,
		`sha1("a")`:                                     `"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"`,
		`sha256("a")`:                                   `"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"`,
		`substr(sha512("a"), 0, 8)`:                     `"1f40fc92"`,
		`base64sha256("a")`:                             `"ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs="`,
		`basename("a/b.txt")`:                           `"b.txt"`,
		`dirname("a/b.txt")`:                            `"a"`,
		`jsonencode({ a = [1, "x", null] })`:            `"{\"a\":[1,\"x\",null]}"`,
		`jsondecode("{\"a\":[1,true]}")`:                `{ a = [1, true] }`,
		`yamldecode("a: [1, x]")`:                       `{ a = [1, "x"] }`,
		`yamlencode({ a = "b" })`:                       `"\"a\": \"b\"\n"`,
		`csvdecode("a,b\n1,2\n")`:                       `tolist([{ a = "1", b = "2" }])`,
		`parseint("ff", 16)`:                            `255`,
		`formatdate("YYYY-MM", "2026-02-03T04:05:06Z")`: `"2026-02"`,
		`timeadd("2026-01-01T00:00:00Z", "1h")`:         `"2026-01-01T01:00:00Z"`,
		`timecmp("2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00")`: `0`,

		// Numbers
		`abs(-1)`: `1`, `ceil(1.2)`: `2`, `floor(-1.2)`: `-2`, `max(1, 3, 2)`: `3`, `min(2, 1)`: `1`, `pow(2, 10)`: `1024`,
		`log(8, 2)`: `3`, `signum(-3)`: `-1`, `sum([1, 2, "3"])`: `6`, `sum(toset([1, 2]))`: `3`, `range(3)`: `tolist([0, 1, 2])`, `range(1, 7, 3)`: `tolist([1, 4])`,

		// Collections
		`length("héllo")`: `5`, `length([1, 2])`: `2`, `length({ a = 1 })`: `1`, `length(toset(["a", "a"]))`: `1`, `length("")`: `0`,
		`element(["a", "b"], 3)`: `"b"`, `index(["a", "b"], "b")`: `1`, `contains(["a"], "a")`: `true`,
		`lookup({ a = 1 }, "a", 2)`: `1`, `lookup({ a = 1 }, "b", 2)`: `2`, `lookup(tomap({ a = "1" }), "a")`: `"1"`, `lookup(tomap({ a = "1" }), "b", 2)`: `"2"`,
		`lookup({ a = "x" }, "b", null)`:         `null`,
		`merge({ a = 1 }, { b = 2 }, { a = 3 })`: `{ a = 3, b = 2 }`, `flatten([["a"], [["b"], []]])`: `["a", "b"]`,
		`keys({ b = 1, a = 2 })`: `["a", "b"]`, `values({ b = 1, a = 2 })`: `[2, 1]`, `zipmap(["a", "b"], [1, 2])`: `{ a = 1, b = 2 }`,
		`coalesce("", null, "x", "y")`: `"x"`, `coalesce(null, 1, "x")`: `"1"`, `coalescelist([], ["a"])`: `["a"]`, `compact(["a", "", "b"])`: `tolist(["a", "b"])`,
		`concat(["a"], ["b"])`: `["a", "b"]`, `distinct(["a", "b", "a"])`: `tolist(["a", "b"])`, `reverse(["a", "b"])`: `["b", "a"]`,
		`slice(["a", "b", "c"], 1, 3)`: `["b", "c"]`, `sort(["b", "a"])`: `tolist(["a", "b"])`, `chunklist(["a", "b", "c"], 2)`: `tolist([tolist(["a", "b"]), tolist(["c"])])`,
		`setunion(["a"], ["b"])`: `toset(["a", "b"])`, `setintersection(["a", "b"], ["b"])`: `toset(["b"])`, `setsubtract(["a", "b"], ["b"])`: `toset(["a"])`,
		`length(setproduct(["a", "b"], ["c", "d"]))`:            `4`,
		`matchkeys(["i1", "i2", "i3"], ["a", "b", "a"], ["a"])`: `tolist(["i1", "i3"])`,
		`transpose({ a = ["1", "2"], b = ["2"] })`:              `tomap({ "1" = tolist(["a"]), "2" = tolist(["a", "b"]) })`,
		`one([])`: `null`, `one(["a"])`: `"a"`, `one(toset(["a"]))`: `"a"`,
		`alltrue([])`: `true`, `alltrue(["true", false])`: `false`, `alltrue([true, null])`: `false`, `anytrue([])`: `false`, `anytrue([false, null, true])`: `true`,

		// Conversions
		`tostring(1)`: `"1"`, `tonumber("1.5")`: `1.5`, `tobool("true")`: `true`, `tolist(["a", 1])`: `tolist(["a", "1"])`, `toset(["a", "a"])`: `toset(["a"])`,
		`tomap({ a = 1 }).a`: `1`, `tonumber(null)`: `tonumber(null)`, `type([1])`: `"tuple([number])"`,
		`try(tonumber("x"), 5)`: `5`, `can(tonumber("x"))`: `false`, `can(tonumber("1"))`: `true`,

		// Networks
		`cidrsubnet("172.16.0.0/12", 4, 2)`: `"172.18.0.0/16"`, `cidrsubnet("fd00::/48", 16, 162)`: `"fd00:0:0:a2::/64"`,
		`cidrhost("10.0.0.0/24", 5)`: `"10.0.0.5"`, `cidrhost("10.0.0.0/24", -2)`: `"10.0.0.254"`, `cidrnetmask("10.0.0.0/20")`: `"255.255.240.0"`,
		`cidrsubnets("10.1.0.0/16", 4, 4, 8)`: `tolist(["10.1.0.0/20", "10.1.16.0/20", "10.1.32.0/24"])`,

		// Files, from the directory of the configuration
		`file("hello.txt")`: `"hello"`, `file("./sub/../hello.txt")`: `"hello"`, `fileexists("hello.txt")`: `true`, `fileexists("no.txt")`: `false`,
		`fileset(".", "**/*.txt")`: `toset(["hello.txt", "sub/b.txt"])`, `fileset("sub", "*")`: `toset(["b.txt", "c.md"])`, `fileset("none", "*")`: `toset(tolist(split("", "")))`,
		`filesha256("hello.txt")`: `sha256("hello")`, `filemd5("hello.txt")`: `md5("hello")`, `filesha1("hello.txt")`: `sha1("hello")`, `filebase64("binary")`: `"//4="`,
		`filebase64sha256("hello.txt")`:                                      `base64sha256("hello")`,
		`templatefile("greet.tmpl", { name = "Ann", more = ["and", "Bo"] })`: `"Hi Ann and Bo!"`,
		`templatefile("list.tmpl", { more = ["a"] })`:                        `["a"]`,
		`templatefile("outer.tmpl", { n = "Cy" })`:                           `"<Hi Cy!>"`,
		`basename(abspath("hello.txt"))`:                                     `"hello.txt"`, `basename(dirname(abspath("hello.txt")))`: `"conf"`,
		`pathexpand("a/~")`: `"a/~"`,

		// Unknown
		`upper(u)`: `u`, `length([u])`: `1`, `length(toset([u]))`: `1`, `coalesce("a", u)`: `"a"`, `coalesce(u, "a") == null`: `false`,
		`alltrue([ub, false])`: `false`, `anytrue([ub, true])`: `true`, `lookup({ a = "x", b = u }, "a", "")`: `"x"`,
		`try(u, "a")`: `dyn`, `type(u)`: `"string"`, `merge({ a = u }, { b = 1 }).b`: `1`, `keys({ a = u })`: `["a"]`,
		`templatefile("list.tmpl", { more = u })`: `u`, `issensitive(u)`: `ub`, `element(["a", u], 0)`: `"a"`,

		// Sensitive: what is made of a secret is secret, what is not is not
		`upper(s)`: `sensitive("HUSH")`, `length(s)`: `sensitive(4)`, `length(part)`: `2`, `length(sl)`: `sensitive(2)`,
		`join(",", sl)`: `sensitive("a,hush")`, `nonsensitive(s)`: `"hush"`, `nonsensitive("a")`: `"a"`, `issensitive(s)`: `true`, `issensitive("a")`: `false`, `issensitive(su)`: `true`,
		`sensitive(s)`: `s`, `tostring(s)`: `s`, `tolist([s, "a"])[1]`: `"a"`, `tomap(part).open`: `"x"`, `lookup(part, "open")`: `"x"`, `lookup(part, "shut")`: `s`, `lookup(part, "none", s)`: `s`,
		`merge(part, { open = "y" }).open`: `"y"`, `upper(su)`: `su`, `coalesce("a", s)`: `sensitive("a")`, `jsonencode(part)`: `sensitive("{\"open\":\"x\",\"shut\":\"hush\"}")`,
		`sha256(s)`: `sensitive(sha256("hush"))`, `file(sensitive("hello.txt"))`: `sensitive("hello")`, `fileexists(sensitive("no.txt"))`: `sensitive(false)`,
		`templatefile("greet.tmpl", { name = s, more = [] })`: `sensitive("Hi hush!")`, `templatefile("greet.tmpl", sensitive({ name = "a", more = [] }))`: `sensitive("Hi a!")`,
		`sum([1, sensitive(2)])`: `sensitive(3)`, `one([s])`: `s`, `base64encode(s)`: `sensitive("aHVzaA==")`, `replace("a", "a", s)`: `s`, `cidrhost("10.0.0.0/8", sensitive(1))`: `sensitive("10.0.0.1")`,
	} {
		wantVal, diags := evaluate(t, ctx, want)
		if diags.HasErrors() {
			t.Errorf("%s: %s", want, diags)
			continue
		}
		got, diags := evaluate(t, ctx, text)
		if diags.HasErrors() {
			t.Errorf("%s: %s", text, diags)
			continue
		}
		if !sameValue(got, wantVal) {
			t.Errorf("%s = %#v, want %#v", text, got, wantVal)
		}
	}
}

// sameValue compares value, type and marks; of unknown values not the
// refinements, which say more than the test does.
func sameValue(a, b cty.Value) bool {
	if a.IsKnown() || b.IsKnown() {
		return a.RawEquals(b)
	}
	return a.Type().Equals(b.Type()) && a.HasSameMarks(b)
}

func TestFunctionsWithUnknownGiveUnknown(t *testing.T) {
	ctx := testContext(t, ".")
	for _, text := range []string{
		`sum([1, un])`, `one(ul)`, `index([u, "a"], "a")`, `alltrue([ub, true])`, `anytrue([ub, false])`, `replace("a", u, "b")`, `length(ul)`, `length(dyn)`,
		`file(u)`, `fileset(".", u)`, `templatefile(u, {})`, `templatefile("x", dyn)`, `cidrsubnet("10.0.0.0/8", 8, un)`, `transpose({ a = [u] })`,
		`matchkeys(["a"], [u], ["b"])`, `jsonencode([u])`, `sensitive(u)`, `tostring(dyn)`, `tolist(dyn)`, `type(dyn)`, `lookup({ a = 1 }, u, 2)`, `sum(toset([1, un]))`,
	} {
		got, diags := evaluate(t, ctx, text)
		if diags.HasErrors() {
			t.Errorf("%s: %s", text, diags)
		} else if got.IsKnown() {
			t.Errorf("%s = %#v, want an unknown value", text, got)
		}
	}
}

func TestFunctionErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFiles(t, map[string]string{"recursive.tmpl": `${templatefile("recursive.tmpl", {})}`, "x.tmpl": "${nmae}", "binary": "\xff"})
	ctx := testContext(t, ".")
	for text, want := range map[string]string{
		`file("no.txt")`:                        "there is no file no.txt",
		`file("binary")`:                        "not UTF-8",
		`templatefile("recursive.tmpl", {})`:    "more than 32 deep",
		`templatefile("x.tmpl", { name = 1 })`:  `Did you mean "name"?`,
		`templatefile("x.tmpl", { "a b" = 1 })`: "cannot be the name",
		`templatefile("x.tmpl", [])`:            "map or an object",
		`fileset(".", "../*")`:                  "stays below",
		`cidrsubnet("10.0.0.0", 8, 1)`:          "address range",
		`cidrsubnet("10.0.0.0/8", 1.5, 1)`:      "whole number",
		`cidrsubnet("10.0.0.0/8", 2, 5)`:        "does not accommodate",
		`cidrsubnets("10.0.0.0/30", 1, 1, 1)`:   "no room",
		`sum([])`:                               "no sum",
		`sum(["a"])`:                            "must be a number",
		`one(["a", "b"])`:                       "has 2",
		`length(5)`:                             "collection or a string",
		`index(["a"], "b")`:                     "not in the list",
		`lookup({ a = 1 }, "b")`:                `no attribute "b"`,
		`lookup(tomap({ a = 1 }), "b")`:         `no key "b"`,
		`lookup({}, "a", 1, 2)`:                 "a map, a key and a default",
		`coalesce(null, "")`:                    "null or an empty string",
		`coalesce("a", [])`:                     "same type",
		`tonumber("abc")`:                       "number",
		`tobool(1)`:                             "cannot convert",
		`base64decode("///")`:                   "not base64",
		`base64decode("/w==")`:                  "not UTF-8",
		`replace("a", "/(/", "")`:               "missing closing",
		`timecmp("now", "now")`:                 "RFC 3339",
		`upper(null)`:                           "must not be null",
		`matchkeys(["a"], ["b", "c"], [])`:      "same length",
		`missing("a")`:                          "no function named",
		`cidrnetmask("fd00::/8")`:               "IPv4",
	} {
		_, diags := evaluate(t, ctx, text)
		if !diags.HasErrors() || !strings.Contains(diags.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", text, diags, want)
		}
	}
}

func TestErrorsDoNotQuoteSecrets(t *testing.T) {
	ctx := testContext(t, t.TempDir())
	for _, text := range []string{
		`tonumber(s)`, `parseint(s, 10)`, `jsondecode(s)`, `cidrhost(s, 1)`, `file(s)`, `regex(s, "a")`, `lookup({}, s)`, `formatdate("YYYY", s)`,
		`timeadd(s, "1h")`, `element([], length(s))`, `format("%d", s)`, `templatefile(s, {})`, `fileset(".", "../${s}")`, `base64decode(s)`, `try(tonumber(s))`,
		`yamldecode("{${s}")`,
	} {
		_, diags := evaluate(t, ctx, text)
		if !diags.HasErrors() {
			t.Errorf("%s: no error", text)
			continue
		}
		var b strings.Builder
		if err := WriteDiagnostics(&b, map[string][]byte{"test.hcl": []byte(text)}, diags, 0, false); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "hush") {
			t.Errorf("%s shows the secret:\n%s", text, &b)
		}
	}
}

// The lists of parameters must survive the wrapping, since the messages about
// arguments come from them.
func TestFunctionsKeepTheirParameters(t *testing.T) {
	for name, f := range Functions(".", nil) {
		if name == "try" || name == "can" {
			continue
		}
		_, err := f.Call(nil)
		if variadic := len(f.Params()) == 0; err == nil && !variadic {
			t.Errorf("%s() without arguments is no error", name)
		}
	}
	if got := Functions(".", nil)["replace"].Params(); len(got) != 3 || got[1].Name != "substr" {
		t.Errorf("replace has the parameters %v", got)
	}
}
