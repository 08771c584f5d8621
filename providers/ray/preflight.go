package ray

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Versions are what all members of a cluster must have in common, the patch
// level too: a worker with another one exits at once.
type Versions struct {
	Ray    string `json:"ray"`
	Python string `json:"python"`
}

// Preflight is what an image says of itself before a member is made from it.
type Preflight struct {
	Versions
	Dashboard  bool  `json:"dashboard"`   // Ray's dashboard and agents can run
	NofileSoft int64 `json:"nofile_soft"` // open files, as the engine gives them; -1 is no limit
	NofileHard int64 `json:"nofile_hard"`
}

const preflightMark = "gapool-preflight "

// preflightScript asks the package's metadata, since an import of Ray takes a
// second. aiohttp comes with ray[default] and not with ray.
const preflightScript = `import importlib.metadata, importlib.util, json, platform, resource
try:
    ray = importlib.metadata.version("ray")
except importlib.metadata.PackageNotFoundError:
    ray = ""
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
print("` + preflightMark + `" + json.dumps({
    "ray": ray,
    "python": platform.python_version(),
    "dashboard": importlib.util.find_spec("aiohttp") is not None,
    "nofile_soft": soft,
    "nofile_hard": hard,
}))
`

// PreflightCommand is the command, in exec form and instead of the image's
// entrypoint, whose standard output ParsePreflight reads.
func PreflightCommand() []string {
	return []string{"python3", "-c", preflightScript}
}

// ParsePreflight reads what PreflightCommand printed, and fails with what to do
// where the image cannot be a member of a cluster. Lines that the image adds are
// passed over.
func ParsePreflight(out []byte) (Preflight, error) {
	var text []byte
	for line := range bytes.Lines(out) {
		if found, ok := bytes.CutPrefix(line, []byte(preflightMark)); ok {
			text = found
		}
	}
	if text == nil {
		return Preflight{}, fmt.Errorf("the image did not say its versions but %.200q; is its python3 the one with Ray?", bytes.TrimSpace(out))
	}
	var p Preflight
	if err := json.Unmarshal(text, &p); err != nil {
		return Preflight{}, fmt.Errorf("the image's versions %.200q cannot be read: %w", text, err)
	}
	if p.Ray == "" {
		return Preflight{}, errors.New("the image's python3 has no Ray; install ray[default] for it")
	}
	var major, minor int
	if _, err := fmt.Sscanf(p.Ray, "%d.%d", &major, &minor); err != nil {
		return Preflight{}, fmt.Errorf("the image's Ray calls itself %q, which is not a version", p.Ray)
	}
	if major < 2 || major == 2 && minor < 54 {
		return Preflight{}, fmt.Errorf("the image has Ray %s; 2.54.0 is the oldest that gapool runs", p.Ray)
	}
	if !p.Dashboard {
		return Preflight{}, errors.New("the image has Ray without its dashboard, which health checks and jobs need; install ray[default] instead of ray")
	}
	return p, nil
}
