package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/engine"
	"github.com/gapool/gapool/engine/plan"
	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/providers/mem"
	"github.com/gapool/gapool/schema"
)

// quoting is a world that says what it makes of a secret that it is given, in its
// progress and in an error, as an engine or what runs in it may.
type quoting struct {
	providers.Provider
	says func(token string) string
}

func (q quoting) Connect(ctx context.Context, cfg cty.Value) (providers.Engine, error) {
	e, err := q.Provider.Connect(ctx, cfg)
	return quotingEngine{e, q.says}, err
}

type quotingEngine struct {
	providers.Engine
	says func(string) string
}

func (e quotingEngine) Resource(addr schema.Addr) providers.Resource {
	return quotingVerbs{e.Engine.Resource(addr), e.says}
}

type quotingVerbs struct {
	providers.Resource
	says func(string) string
}

func (v quotingVerbs) Create(_ context.Context, req *providers.Request) (*providers.Object, error) {
	said := v.says(req.Want.GetAttr("env").AsValueMap()["TOKEN"].AsString())
	req.Report(providers.Progress{Stage: "making it with " + said, Line: said})
	return nil, providers.NoEffect(errors.New("invalid " + said))
}

func TestWhatAnEngineQuotesIsHidden(t *testing.T) {
	l := newLab(t)
	l.write(`
resource "docker_container" "web" {
  name  = "web"
  image = "x"
  env   = { TOKEN = sensitive("hunter2") }
}`)
	l.options = func(o *plan.Options) {
		o.Providers = []providers.Provider{quoting{l.world, func(token string) string { return "env " + token }}}
	}
	var told []string
	l.report = func(e engine.Event) {
		if e.Kind == engine.Progressed {
			told = append(told, e.Progress.Stage, e.Progress.Line)
		}
	}
	_, err := l.run(true)
	if err == nil {
		t.Fatal("it was made")
	}
	told = append(told, err.Error())
	if len(told) != 3 {
		t.Errorf("it says %q", told)
	}
	for _, text := range told {
		if strings.Contains(text, "hunter2") || !strings.Contains(text, "env (sensitive value)") {
			t.Errorf("it says %q", text)
		}
	}
}

// A program says its secret alone, which it was given as a part of something.
func TestASecretVariableIsHiddenAlone(t *testing.T) {
	l := newLab(t)
	l.write(`
variable "password" {
  default   = "hunter2"
  sensitive = true
}
resource "docker_container" "web" {
  name  = "web"
  image = "x"
  env   = { TOKEN = "url://me:${var.password}@there" }
}`)
	denies := func(token string) string {
		_, password, _ := strings.Cut(strings.TrimSuffix(token, "@there"), "me:")
		return "denied: " + password
	}
	l.options = func(o *plan.Options) { o.Providers = []providers.Provider{quoting{l.world, denies}} }
	var told []string
	l.report = func(e engine.Event) {
		if e.Kind == engine.Progressed {
			told = append(told, e.Progress.Line)
		}
	}
	_, err := l.run(true)
	if err == nil {
		t.Fatal("it was made")
	}
	for _, text := range append(told, err.Error()) {
		if !strings.Contains(text, "denied: (sensitive value)") {
			t.Errorf("it says %q", text)
		}
	}
	if len(told) != 1 {
		t.Errorf("it tells %q", told)
	}
}

// An apply that was cut off may have changed an object to what is secret and not
// have recorded it. That is told as a secret all the same, also where the
// configuration does not say any more that it is one.
func TestSecretOfAnApplyThatDiedIsHidden(t *testing.T) {
	const variable = "variable \"secret\" {\n  default   = 12821\n  sensitive = true\n}\n"
	const box = "resource \"docker_container\" \"web\" {\n  name   = \"web\"\n  image  = \"x\"\n  memory = 64\n}\n"
	secret := variable + strings.Replace(box, "64", "var.secret", 1)
	for name, c := range map[string]struct {
		call   string // after which it dies
		before string // the configuration that is applied before; empty for none
		then   string // the one that is planned then
	}{
		"updated":             {"after update", box, secret},
		"updated, taken back": {"after update", box, box},
		"updated, removed":    {"after update", box, ""},
		"made, taken back":    {"after create", "", box},
		"made, removed":       {"after create", "", ""},
		"anew, taken back":    {"after create", strings.Replace(box, "\"x\"", "\"y\"", 1), box},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			if c.before != "" {
				l.write(c.before)
				l.apply()
			}
			l.world.SetFault(failing(mem.ErrCrash, c.call))
			l.write(secret)
			if _, err := l.run(true); err == nil {
				t.Fatal("the apply does not die")
			}
			l.world.SetFault(nil)
			l.write(c.then)
			p := l.plan()
			told := func(what string, v cty.Value) {
				if v != cty.NilVal && !v.IsNull() && !schema.IsSensitive(v) && v.RawEquals(cty.NumberIntVal(12821)) {
					t.Errorf("%s shows it", what)
				}
			}
			for _, d := range p.Drift {
				for _, x := range d.Differences {
					told("drift", x.Live)
				}
				if !d.After.IsNull() {
					told("what has drifted", d.After.GetAttr("memory"))
				}
			}
			for _, ch := range p.Changes {
				for _, x := range ch.Differences {
					told("a difference", x.Live)
				}
				if ch.Type.Attr("memory") != nil && !ch.Before.IsNull() {
					told("what is there", ch.Before.GetAttr("memory"))
				}
			}
			l.apply()
			l.settled()
		})
	}
}
