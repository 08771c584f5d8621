package engine_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gapool/gapool/engine"
)

// What -target leaves out keeps its secrets: those of the configuration, and
// those that only the record knows of.
func TestWhatTargetLeavesOutKeepsItsSecrets(t *testing.T) {
	const config = `
variable "token" {
  default   = "hunter2"
  sensitive = true
}
resource "docker_container" "db" {
  name   = "db"
  image  = "x"
  env    = { TOKEN = var.token }
}
resource "docker_container" "web" {
  name   = "web"
  image  = "x"
  memory = 64
}
output "token" { value = docker_container.db.env }
`
	secret := strings.Replace(config, "value = docker_container.db.env }", "\n  value     = docker_container.db.env\n  sensitive = true\n}", 1)
	tests := map[string]string{
		"configured": config,
		"recorded":   strings.Replace(config, "var.token", `"hunter2"`, 1),
	}
	for name, config := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.write(secret)
			l.apply()
			l.write(strings.Replace(config, "64", "128", 1))
			flags(l, []string{"-target=docker_container.web"})
			if _, err := l.run(false); err == nil || !strings.Contains(explain(err).Error(), "Output would show a secret") {
				t.Errorf("the output shows what is secret: %v", err)
			}
		})
	}
	l := newLab(t)
	l.write(secret)
	l.apply()
	l.write(strings.Replace(secret, "64", "128", 1))
	flags(l, []string{"-target=docker_container.web"})
	if p := l.apply(); p.Outputs[0].Action != engine.NoOp {
		t.Errorf("the output is %+v", p.Outputs[0])
	}
	loaded, err := l.store().Load()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := json.Marshal(loaded.State); err != nil || strings.Contains(string(b), "hunter2") {
		t.Errorf("the state shows it: %s %v", b, err)
	}
}
