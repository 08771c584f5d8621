package examples_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

const (
	githubRecipe = "ci/github/gapool.yml"
	gitlabRecipe = "ci/gitlab/gapool.gitlab-ci.yml"
)

func recipe(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The services say what their files may have in JSON schemas.
func TestRecipesFollowTheirSchema(t *testing.T) {
	for file, schema := range map[string]string{
		githubRecipe: "github-workflow.schema.json",
		gitlabRecipe: "gitlab-ci.schema.json",
	} {
		t.Run(file, func(t *testing.T) {
			compiled, err := jsonschema.NewCompiler().Compile(filepath.Join("ci", "testdata", schema))
			if err != nil {
				t.Fatal(err)
			}
			text := recipe(t, file)
			follows := func(text string) error {
				t.Helper()
				var doc any
				if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
					t.Fatal(err)
				}
				return compiled.Validate(doc)
			}
			if err := follows(text); err != nil {
				t.Error(err)
			}
			for _, slip := range [][2]string{{"permissions:", "permission:"}, {"interruptible: true", "interruptible: sometimes"}} {
				if wrong := strings.Replace(text, slip[0], slip[1], 1); wrong != text && follows(wrong) == nil {
					t.Errorf("%q instead of %q passes", slip[1], slip[0])
				}
			}
		})
	}
}

// What a person writes, a title or a branch's name, is put into no script: what
// stands in it would be run. Scripts get it in their environment.
func TestNothingIsWrittenIntoScripts(t *testing.T) {
	for _, job := range parseWorkflow(t).Jobs {
		for _, step := range job.Steps {
			if strings.Contains(step.Run, "${{") {
				t.Errorf("an expression is put into the script:\n%s", step.Run)
			}
			for name, value := range step.With {
				if strings.Contains(value, "${{") {
					t.Errorf("%s: an expression is given to %s", name, step.Uses)
				}
			}
		}
	}
}

// A token may do what its job needs and no more, and actions come from their
// makers and are a commit: a tag can be moved.
func TestWorkflowIsGivenLittle(t *testing.T) {
	w := parseWorkflow(t)
	if len(w.Permissions) > 0 {
		t.Errorf("every job has %v", w.Permissions)
	}
	may := map[string]map[string]string{
		"check": {"contents": "read"},
		"plan":  {"contents": "read", "pull-requests": "write"},
		"apply": {"contents": "read", "pull-requests": "read"},
	}
	pinned := regexp.MustCompile(`^actions/[a-z-]+@[0-9a-f]{40}$`)
	for name, job := range w.Jobs {
		if len(job.Permissions) != len(may[name]) {
			t.Errorf("%s has %v", name, job.Permissions)
		}
		for what, level := range job.Permissions {
			if may[name][what] != level {
				t.Errorf("%s has %s: %s", name, what, level)
			}
		}
		for _, step := range job.Steps {
			if step.Uses != "" && !pinned.MatchString(step.Uses) {
				t.Errorf("%s uses %s", name, step.Uses)
			}
		}
	}
}

// workflow is a workflow of GitHub Actions, as far as ours has it.
type workflow struct {
	Name        string
	On          map[string]any
	Permissions map[string]string
	Concurrency map[string]string
	Defaults    struct{ Run struct{ Shell string } }
	Env         map[string]string
	Jobs        map[string]workflowJob
}

type workflowJob struct {
	If          string
	RunsOn      string `yaml:"runs-on"`
	Environment string
	Permissions map[string]string
	Steps       []workflowStep
}

type workflowStep struct {
	ID, Name, If, Uses, Run string
	With, Env               map[string]string
}

func parseWorkflow(t *testing.T) *workflow {
	t.Helper()
	var w workflow
	parseStrictly(t, githubRecipe, &w)
	return &w
}

// parseStrictly reads YAML whose every key has its place in out.
func parseStrictly(t *testing.T, file string, out any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader([]byte(recipe(t, file))))
	d.KnownFields(true)
	if err := d.Decode(out); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
