package engine

import "slices"

// SortSteps puts steps into an order in which each comes after what it needs,
// and gives them new IDs that are their places. Where there is none it returns
// a cycle instead, each step needing the next and the last the first.
func SortSteps(steps []*Step) (sorted, cycle []*Step) {
	for _, s := range steps {
		slices.Sort(s.Needs)
		s.Needs = slices.Compact(s.Needs)
	}
	ids, loop := order(len(steps), func(i int) []int { return steps[i].Needs })
	if loop != nil {
		for _, i := range loop {
			cycle = append(cycle, steps[i])
		}
		return nil, cycle
	}
	place := make([]int, len(steps))
	sorted = make([]*Step, len(steps))
	for at, id := range ids {
		place[id], sorted[at] = at, steps[id]
	}
	for at, s := range sorted {
		s.ID = at
		for i, n := range s.Needs {
			s.Needs[i] = place[n]
		}
		slices.Sort(s.Needs)
	}
	return sorted, nil
}
