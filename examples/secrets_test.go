//go:build engine

package examples_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const secretive = `
gapool {
  stack = "NAME"
}

variable "base" {
  type = string
}

variable "token" {
  type      = string
  sensitive = true
}

variable "ending" {
  type    = string
  default = "true"
}

resource "docker_image" "app" {
  name = "NAME"
  build {
    context = "."
    build_args = {
      BASE   = var.base
      ENDING = var.ending
      ARG    = "arg-${var.token}"
    }
    secrets {
      id  = "file"
      src = "secret.txt"
    }
    secrets {
      id  = "env"
      env = "BUILD_SECRET"
    }
  }
}

resource "docker_container" "app" {
  name    = "NAME-app"
  image   = docker_image.app.image_id
  command = ["sh", "-c", "cat /etc/token; echo $TOKEN; if test -e /etc/fail; then exit 3; fi; sleep 1000000"]
  init    = true
  restart = "no"
  env     = { TOKEN = "env-${var.token}" }

  labels {
    label = "token"
    value = "label-${var.token}"
  }

  upload {
    file    = "/etc/token"
    content = "upload-${var.token}\n"
  }

  dynamic "upload" {
    for_each = var.ending == "true" ? [] : ["fail"]
    content {
      file    = "/etc/fail"
      content = var.token
    }
  }

  healthcheck {
    test     = ["CMD-SHELL", "test ${var.token} = x || true"]
    interval = "1s"
  }
  wait = true
}

output "token" {
  value     = docker_container.app.env
  sensitive = true
}
`

const secretDockerfile = `ARG BASE
FROM ${BASE}
ARG ARG
ARG ENDING
RUN --mount=type=secret,id=file --mount=type=secret,id=env \
  echo "build: $ARG" && cat /run/secrets/file /run/secrets/env && test "$ENDING" != build
`

// Docker gets the secrets, and nothing else does: not what gapool prints,
// whatever fails, nor what it writes.
func TestSecretsOnARealEngine(t *testing.T) {
	s := newStack(t)
	const secret = "hush-4711"
	s.env = []string{
		"GAPOOL_VAR_base=" + tinyImage(t), "GAPOOL_VAR_token=" + secret, "BUILD_SECRET=hush-environment", "GAPOOL_LOG=trace",
		"XDG_STATE_HOME=" + filepath.Join(s.dir, ".home"),
	}
	s.write("main.gapool.hcl", secretive)
	s.write("Dockerfile", secretDockerfile)
	s.write(".dockerignore", "*\n")
	s.write("secret.txt", "hush-file\n")
	quiet := func(code int, args ...string) {
		t.Helper()
		r := s.must(code, args...)
		for _, line := range strings.Split(r.stdout+r.stderr, "\n") {
			if strings.Contains(line, "hush-") {
				t.Errorf("%s tells a secret: %s", r.command, line)
			}
		}
		if err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Name() == "secret.txt" {
				return err
			}
			data, err := os.ReadFile(path)
			if strings.Contains(string(data), "hush-") {
				t.Errorf("%s writes a secret into %s", r.command, path)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	quiet(1, "apply", "-auto-approve", "-var=ending=build") // the build fails
	quiet(0, "plan", "-out=kept")
	quiet(0, "show", "kept")
	quiet(0, "apply", "kept")
	if got := s.inspect("container", s.name+"-app", "json .Config"); strings.Count(got, secret) < 3 {
		t.Errorf("Docker has not got the secrets: %s", got)
	}
	for _, args := range [][]string{
		{"plan", "-detailed-exitcode"}, {"show"}, {"output"}, {"output", "-json"}, {"status"}, {"graph"}, {"validate", "-json"},
		{"state", "show", "docker_container.app"}, {"state", "show", "docker_image.app"},
	} {
		quiet(0, args...)
	}
	quiet(1, "apply", "-auto-approve", "-var=ending=run") // the container does
	s.withoutState(func() { quiet(0, "plan") })
	quiet(0, "destroy", "-auto-approve")
	s.nothingLeft()
}
