package mem

import (
	"errors"
	"fmt"
)

// Op is a call that a connection makes. A verb may take several: creating a
// container is Create, Start, Ready; deleting one that runs is Stop, Delete.
type Op string

// The calls. Read and Refresh change nothing.
const (
	Create  Op = "create"
	Start   Op = "start"
	Ready   Op = "ready"
	Update  Op = "update"
	Rename  Op = "rename"
	Stop    Op = "stop"
	Delete  Op = "delete"
	Read    Op = "read"
	Refresh Op = "refresh"
)

// When is a side of a call.
type When string

// A fault before a call keeps it from having an effect, one after it does not.
const (
	Before When = "before"
	After  When = "after"
)

// Call is a moment at which a fault may strike. Kind and Name are empty for a
// Refresh.
type Call struct {
	Op         Op
	Kind, Name string
	When       When
}

// String is "before start docker_container web".
func (c Call) String() string {
	if c.Kind == "" {
		return fmt.Sprintf("%s %s", c.When, c.Op)
	}
	return fmt.Sprintf("%s %s %s %s", c.When, c.Op, c.Kind, c.Name)
}

// Fault is asked before and after each call and makes it fail by returning an
// error. It is called by many goroutines, and may use the World's methods.
//
// After an error that is ErrCrash the connection is dead. Any other error is
// what the caller sees, as it is: one that is to promise that nothing happened
// has to be wrapped by providers.NoEffect.
type Fault func(Call) error

// ErrCrash says that the process died: all later calls of the same connection
// fail with it, and the world keeps what happened until then.
var ErrCrash = errors.New("the process died")

// SetFault replaces the fault; nil is none.
func (w *World) SetFault(f Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
}

// Kill is the death of every process that is connected: from now on all their
// calls fail with ErrCrash.
func (w *World) Kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lives++
}
