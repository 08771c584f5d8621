package engine

import "fmt"

// Lasting is a step that is not undone, as far as the plan can tell.
type Lasting struct {
	Step *Step
	Why  string // a clause of its own: "what it holds is lost"
}

// Lasting lists, in the order of the plan, what Rollback does not take back:
// what has no inverse, and what cannot go back once something of that kind was
// done, since that needs it.
func (p *Plan) Lasting() []Lasting {
	if len(p.Undo) == 0 {
		return nil
	}
	stuck := make([]*Step, len(p.Undo)) // by the undo step, what keeps it from being done
	for i, u := range p.Undo {
		for _, n := range u.Needs {
			on := p.Undo[n]
			if on.Verb != DoKeep {
				on = stuck[n]
			}
			if on != nil {
				stuck[i] = on
				break
			}
		}
	}
	var out []Lasting
	for i, s := range p.Steps {
		at := len(p.Undo) - 1 - i
		u := p.Undo[at]
		switch on := stuck[at]; {
		case u.Verb == DoKeep:
			out = append(out, Lasting{s, u.Why})
		case on != nil && u.Verb != Join && u.Verb != DoRecord:
			out = append(out, Lasting{s, fmt.Sprintf("not once %s is %s", on.Addr, on.Undoes.Verb.Past())})
		}
	}
	return out
}

// Past is the word for a step that was done: "created".
func (v Verb) Past() string {
	switch v {
	case DoDelete:
		return "destroyed"
	case DoForget:
		return "forgotten"
	case DoRecord:
		return "recorded"
	default:
		return string(v) + "d"
	}
}
