package state

import "github.com/gapool/gapool/schema"

// Began says which call is about to be made. It is on disk before the call is.
type Began struct {
	N        uint64      `json:"n"` // assigned by Journal.Began, from 1 up in each journal
	Addr     schema.Addr `json:"address,omitzero"`
	Action   string      `json:"action"`
	Kind     string      `json:"kind"`
	Provider string      `json:"provider,omitempty"`
	Engine   string      `json:"engine,omitempty"`
	UID      string      `json:"uid,omitempty"`       // of a create: the label of this attempt
	TargetID string      `json:"target_id,omitempty"` // of all else: the object's ID
	Name     string      `json:"name,omitempty"`      // the name wanted, or that of the target
	Prev     *string     `json:"prev,omitempty"`      // of an image: the ID its tag named before, "" for nothing
	Timeout  int         `json:"timeout,omitempty"`   // seconds; how much later than other calls this one may take effect, a stop's grace
}
