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

// quoting is a world that says what it is given, in its progress and in an
// error, as an engine may.
type quoting struct{ providers.Provider }

func (q quoting) Connect(ctx context.Context, cfg cty.Value) (providers.Engine, error) {
	e, err := q.Provider.Connect(ctx, cfg)
	return quotingEngine{e}, err
}

type quotingEngine struct{ providers.Engine }

func (e quotingEngine) Resource(addr schema.Addr) providers.Resource {
	return quotingVerbs{e.Engine.Resource(addr)}
}

type quotingVerbs struct{ providers.Resource }

func (v quotingVerbs) Create(_ context.Context, req *providers.Request) (*providers.Object, error) {
	said := "env " + req.Want.GetAttr("env").AsValueMap()["TOKEN"].AsString()
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
	l.options = func(o *plan.Options) { o.Providers = []providers.Provider{quoting{l.world}} }
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

// An apply that was cut off may have changed an object to what is secret and not
// have recorded it. That reads as drift, and is told as a secret all the same.
func TestDriftKeepsTheSecretOfAnApplyThatDied(t *testing.T) {
	const config = `
variable "secret" {
  default   = 12821
  sensitive = true
}
resource "docker_container" "web" {
  name   = "web"
  image  = "x"
  memory = 64
}
`
	l := newLab(t)
	l.write(config)
	l.apply()
	l.world.SetFault(func(c mem.Call) error {
		if c.Op == mem.Update && c.When == mem.After {
			return mem.ErrCrash
		}
		return nil
	})
	l.write(strings.Replace(config, "= 64", "= var.secret", 1))
	if _, err := l.run(true); err == nil {
		t.Fatal("the apply does not die")
	}
	l.world.SetFault(nil)
	p := l.plan()
	if len(p.Drift) != 1 || len(p.Drift[0].Differences) != 1 {
		t.Fatalf("drift: %+v", p.Drift)
	}
	d := p.Drift[0]
	if !schema.IsSensitive(d.Differences[0].Live) || !schema.IsSensitive(d.After.GetAttr("memory")) {
		t.Errorf("it is shown: %#v, %#v", d.Differences[0].Live, d.After.GetAttr("memory"))
	}
}
