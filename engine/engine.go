// Package engine holds the words between planning and applying: a Graph of the
// configuration, an Evaluator of its expressions, and a Plan, which is Changes
// for people and Steps with edges for the scheduler.
//
// The flow has no way back:
//
//	configuration → engine/plan (refresh, lower, diff) → Plan → engine/apply → state
//
// engine/plan decides and changes nothing; engine/apply changes and decides
// nothing: it does not import engine/plan.
package engine

import (
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
	"github.com/gapool/gapool/state"
)

// Action is what happens to one address.
type Action string

const (
	NoOp   Action = "no-op"
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
	// Replace deletes the old object, then creates the new one.
	Replace Action = "replace"
	// ReplaceFirst creates the new object, then deletes the old one.
	ReplaceFirst Action = "create-before-destroy"
	// Forget drops the record of an object that is gone or is kept.
	Forget Action = "forget"
)

// Replaces reports whether the action makes a new object for an old one.
func (a Action) Replaces() bool { return a == Replace || a == ReplaceFirst }

// Symbol is the action's sign in the text of a plan.
func (a Action) Symbol() string {
	switch a {
	case Create:
		return "+"
	case Update:
		return "~"
	case Delete:
		return "-"
	case Replace:
		return "-/+"
	case ReplaceFirst:
		return "+/-"
	case Forget:
		return "."
	default:
		return " "
	}
}

// Cause is why something is replaced or deleted, in the words that Terraform's
// JSON of plans has.
type Cause string

const (
	CannotUpdate  Cause = "replace_because_cannot_update"
	ByRequest     Cause = "replace_by_request"
	ByTriggers    Cause = "replace_by_triggers"
	Unfit         Cause = "replace_because_tainted" // broken, or left unfinished
	NotConfigured Cause = "delete_because_no_resource_config"
	NoSuchIndex   Cause = "delete_because_count_index"
	NoSuchKey     Cause = "delete_because_each_key"
	OtherKeys     Cause = "delete_because_wrong_repetition" // count, for_each or neither, and another of these before
)

// Change is what the plan says of one address: an instance of a resource, a
// cluster, or a cluster's member.
type Change struct {
	Addr     schema.Addr
	Type     *schema.Type
	Provider string // key of the provider configuration: "docker"
	Action   Action
	// Reason says why, in words that follow the address: "is not in the
	// configuration", "must be replaced, since docker_network.pool is".
	// Empty where the differences speak for themselves.
	Reason string
	// Cause is the reason in one of Terraform's words, for programs.
	Cause Cause
	// Differences are the attributes that lead to the action, in table order.
	Differences []schema.Difference
	// OnlyIf names the references whose values decide, during the apply,
	// whether there is anything to do: the plan says "only if … changes".
	OnlyIf []string
	// Follows are the changes, conditional too, that this one goes along with:
	// it is needed if one of them is, whatever its own values prove to be. Sorted.
	Follows []schema.Addr
	// Before is the live value, null for a Create; After the planned one, which
	// may hold unknown values, null for a Delete. Both are in normal form, and
	// sensitive parts carry schema.SensitiveMark.
	Before, After cty.Value
	// Object is the live object, nil where there is none.
	Object *providers.Object
	// Record is what the state knew; nil for what it did not.
	Record *state.Record
	// Prev is the address that the object was recorded under until now; zero
	// where it stays.
	Prev schema.Addr
	// Adopted says that the object was found by its labels and not by the
	// state.
	Adopted bool
	// Tainted says that a Record step writes the object down as one to be
	// replaced: it is there, and its create or its delete did not come to an end.
	Tainted bool
	// Orphan marks a Delete of an object that neither the state nor the
	// configuration knows; it is shown apart.
	Orphan bool
	// Deps are the blocks that the address depends on, sorted.
	Deps []schema.Addr
	// Protect is what prevent_destroy will be recorded as.
	Protect bool
}

// Renamed reports whether an update is to give the object another name, which
// is a step of its own.
func (c *Change) Renamed() bool {
	return c.Action == Update && c.Type.Renames &&
		slices.ContainsFunc(c.Differences, func(d schema.Difference) bool { return d.Attr == "name" })
}

// Status is what a Record step writes down of the object.
func (c *Change) Status() state.Status {
	if c.Tainted {
		return state.Tainted
	}
	return state.Ready
}

// Verb is what one step does.
type Verb string

const (
	DoCreate Verb = "create"
	DoUpdate Verb = "update"
	DoDelete Verb = "delete"
	// DoRename gives an object its name: a candidate its final one.
	DoRename Verb = "rename"
	// DoRecord writes what was found into the state; it asks no engine.
	DoRecord Verb = "record"
	// DoForget drops a record; it asks no engine.
	DoForget Verb = "forget"
	// DoKeep stands in a Plan's Undo for a step that cannot be undone.
	DoKeep Verb = "keep"
	// Join waits for others and does nothing itself, so that n steps before m
	// others need n+m edges. It is shown nowhere.
	Join Verb = "join"
)

// Step is one action of the scheduler.
type Step struct {
	ID     int // its index in Plan.Steps
	Verb   Verb
	Addr   schema.Addr
	Change *Change // nil for a Join
	// Target is the object of an update, a delete or a rename; for a rename of
	// a candidate that this plan makes it is nil.
	Target *providers.Object
	// Name is the engine's name for a create or rename; empty where it is not
	// known before the apply, then it is the wanted value's.
	Name string
	// Candidate says that a create makes its object under a temporary name.
	Candidate bool
	// Extra marks the delete of an object that an address has beside its
	// current one.
	Extra bool
	// Prev is, for a create or update of an image, the ID that its tag named
	// before; "" for nothing.
	Prev *string
	// Needs are the IDs of the steps that must have succeeded before, sorted.
	Needs []int
	// Undoes is, in a Plan's Undo, the step that this one takes back; nil
	// elsewhere.
	Undoes *Step
	// Why says, for a DoKeep, why the step cannot be undone, in words of their
	// own.
	Why string
}

// OutputChange is what happens to an output.
type OutputChange struct {
	Name          string
	Action        Action // Create, Update, Delete, NoOp
	Sensitive     bool
	Before, After cty.Value // After may be unknown; null where there is none
}

// Drift is a difference between what the state recorded and what is there.
type Drift struct {
	Addr schema.Addr
	Type *schema.Type
	// What in words that follow the address: "was removed outside of gapool".
	What        string
	Differences []schema.Difference // Want is what was recorded
	Provider    string
	// Before is what was recorded, After what is there, null where nothing is.
	// What may be a secret is in neither.
	Before, After cty.Value
}

// Mode is what the plan is for.
type Mode string

const (
	Normal      Mode = "normal"
	Destroy     Mode = "destroy"
	RefreshOnly Mode = "refresh-only"
)

// OnFailure is what an apply does when a step fails.
type OnFailure string

const (
	// Continue skips what depends on the failed step and goes on with the rest.
	Continue OnFailure = "continue"
	// Rollback starts nothing more and takes back what was done.
	Rollback OnFailure = "rollback"
)

// Plan is a decision, whole: every view prints it and the apply follows it.
type Plan struct {
	Mode             Mode
	Stack, Workspace string
	// Changes are sorted by address, no-ops included.
	Changes []*Change
	// Steps are sorted so that each comes after what it needs.
	Steps   []*Step
	Outputs []OutputChange // sorted by name, no-ops included
	Drift   []Drift        // sorted by address
	// Kept are objects of ours that no configuration names: listed, not
	// touched.
	Kept []*providers.Object
	// Checks are what the conditions in the configuration came to, in no
	// particular order. One that is not met is an error and there is no plan.
	Checks []Check
	// Notes are sentences for the reader: an open port, a rebuilt state.
	Notes []string
	// Targeted says that -target left something out.
	Targeted bool
	// DataLoss are the addresses of what holds data and is deleted, sorted.
	DataLoss []schema.Addr
	// Ends are the addresses that are deleted or replaced while work runs in
	// them, sorted.
	Ends []schema.Addr
	// Approved are those of DataLoss and Ends that were allowed by name.
	Approved map[schema.Addr]bool
	// Unapproved is an error message where the plan cannot be applied without
	// a permission that was not given; it names the flag.
	Unapproved string
	// Force allows what running work speaks against, also such work as is
	// found only at the step.
	Force bool
	// OnFailure is what an apply does when a step fails.
	OnFailure OnFailure
	// Undo are, with Rollback, the inverse steps: Undo[len(Steps)-1-i] takes
	// back Steps[i], and comes after the inverse of whatever needs that. Nil
	// without.
	Undo []*Step

	// Machines are those of the engines that were asked, by provider key.
	Machines map[string]Machine

	// Recovered is what the calls came to that an earlier run left in doubt;
	// the apply writes it down before its first change.
	Recovered []Recovered
	// Named is what the words mean by which changes name objects that are not
	// among the plan's own, each word once, in the order of the changes.
	Named []Named
	// Live are the objects that each cluster was lowered with.
	Live map[schema.Addr][]*providers.Object

	// What the apply needs besides.
	Evaluator *Evaluator
	Engines   *Engines
	Lineage   string
}

// What has conditions, in the words of Terraform's JSON of plans.
const (
	CheckVariable = "var"
	CheckResource = "resource"
	CheckOutput   = "output_value"
)

// Check is something that has conditions, of which none failed.
type Check struct {
	Kind    string
	Name    string      // of a variable or an output
	Addr    schema.Addr // of an instance of a resource
	Unknown bool        // one of the conditions is known after the apply only
}

// Named is what a word means on an engine.
type Named struct {
	By       schema.Addr // the first that names it
	Provider string
	Kind     string // a resource type
	Name     string
	ID       string // empty where nothing has that name
}

// Recovered is what is known of an address after the call N of an earlier run.
type Recovered struct {
	N      uint64
	Addr   schema.Addr
	Record *state.Record // nil where nothing is left
}

// Summary counts the plan's changes as its last line prints them.
type Summary struct{ Add, Change, Destroy, Forget int }

// Summary counts what will happen.
func (p *Plan) Summary() Summary {
	var s Summary
	for _, c := range p.Changes {
		switch c.Action {
		case Create:
			s.Add++
		case Update:
			s.Change++
		case Delete:
			s.Destroy++
		case Replace, ReplaceFirst:
			s.Add++
			s.Destroy++
		case Forget:
			s.Forget++
		}
	}
	for _, st := range p.Steps {
		if st.Extra {
			s.Destroy++
		}
	}
	return s
}

// Empty reports whether an apply would change no object and no output: the
// plan reads "No changes.".
func (p *Plan) Empty() bool {
	if p.Summary() != (Summary{}) {
		return false
	}
	for _, o := range p.Outputs {
		if o.Action != NoOp {
			return false
		}
	}
	return true
}

// WouldChange reports whether an apply would change an object, an output or the
// recorded addresses: what -detailed-exitcode asks. Drift alone is a change only
// where the plan is for recording it.
func (p *Plan) WouldChange() bool {
	moved := slices.ContainsFunc(p.Changes, func(c *Change) bool { return !c.Prev.IsZero() })
	return !p.Empty() || moved || p.Mode == RefreshOnly && len(p.Drift) > 0
}

// EventKind is what happened to a step during an apply.
type EventKind int

const (
	Started EventKind = iota
	Progressed
	Done
	Failed
	Skipped // something that it needs failed
	Dropped // the value that it was planned for proved equal
	// RollingBack says, once, that what was done is taken back from here on, as
	// the step has failed. The steps of later events have Undoes.
	RollingBack
)

// Event is news of an apply, for whoever shows it. Events of one step come in
// order; those of several are interleaved.
type Event struct {
	Kind     EventKind
	Step     *Step
	Progress providers.Progress // of Progressed
	Object   *providers.Object  // of Done, where there is one
	Err      error              // of Failed; of Skipped why a step is not undone
	Because  *Step              // of Skipped; nil where it was not for another step
}
