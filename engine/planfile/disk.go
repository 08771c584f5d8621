package planfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// format and version are what a plan file begins with, so that nobody takes
// another file for one.
const (
	format  = "gapool-plan"
	version = 1
)

// maxFile is the most that is read, in bytes: a corrupt file cannot ask for
// memory without bound.
const maxFile = 512 << 20

// envelope is a plan file.
type envelope struct {
	Format  string          `json:"format"`
	Version int             `json:"version"`
	Sum     string          `json:"sha256"` // of Plan
	Plan    json.RawMessage `json:"plan"`
}

var errNoAttribute = errors.New("a difference is of no attribute that the table has")

func damaged(what any, err error) error {
	return fmt.Errorf("the plan file is damaged at %v: %w; plan again", what, err)
}

// Bytes is what is written: equal plans are equal bytes.
func (f *File) Bytes() ([]byte, error) {
	plan, err := encode(f)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(plan)
	return encode(envelope{format, version, hex.EncodeToString(sum[:]), plan})
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Write puts the plan into a file that only its user reads. A file that is
// there and is no plan is left alone.
func (f *File) Write(path string) error {
	if err := replaceable(path); err != nil {
		return err
	}
	data, err := f.Bytes()
	if err != nil {
		return fmt.Errorf("cannot write the plan: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return fmt.Errorf("cannot write the plan: %w", err)
	}
	_, err = temp.Write(append(data, '\n'))
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("cannot write the plan: %w", errors.Join(err, os.Remove(temp.Name())))
	}
	return nil
}

// replaceable keeps a slip of the fingers from costing somebody a file.
func replaceable(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot write the plan: %w", err)
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 64)
	n, err := io.ReadFull(f, head)
	if n == 0 && errors.Is(err, io.EOF) || bytes.HasPrefix(head[:n], []byte(`{"format":"`+format+`"`)) {
		return nil
	}
	return fmt.Errorf("%s is there already and is no plan of gapool: it is left alone; choose another name", path)
}

// Read reads a plan file.
func Read(path string) (*File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no plan file %s; gapool plan -out=%s makes one", path, path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the plan: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read the plan: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file; give the plan file that gapool plan -out=FILE wrote (a configuration elsewhere is named by -chdir=DIR)", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the plan: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes: it is no plan of gapool", path, maxFile)
	}
	plan, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return plan, nil
}

// Parse reads what Bytes wrote.
func Parse(data []byte) (*File, error) {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil || e.Format != format {
		return nil, errors.New("it is no plan of gapool, or only a part of one")
	}
	if e.Version != version {
		return nil, fmt.Errorf("it is a plan of version %d, this gapool reads version %d: use the gapool that made it, or plan again", e.Version, version)
	}
	if sum := sha256.Sum256(e.Plan); hex.EncodeToString(sum[:]) != e.Sum {
		return nil, errors.New("the plan file is damaged: its checksum is wrong; plan again")
	}
	f := &File{}
	d := json.NewDecoder(bytes.NewReader(e.Plan))
	d.DisallowUnknownFields()
	if err := d.Decode(f); err != nil {
		return nil, fmt.Errorf("the plan file is damaged: %w; plan again", err)
	}
	for i, s := range f.Steps {
		for _, n := range s.Needs {
			if n < 0 || n >= i {
				return nil, fmt.Errorf("the plan file is damaged: step %d needs step %d; plan again", i, n)
			}
		}
	}
	return f, nil
}
