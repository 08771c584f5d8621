package engine

import (
	"container/heap"
	"slices"
)

// order sorts 0…n-1 so that each number comes after all that needs(i) names;
// among those that are free the smallest comes first, so equal input gives
// equal output. Where that is impossible it returns one cycle, each element
// needing the next and the last the first.
func order(n int, needs func(int) []int) (sorted, cycle []int) {
	open := make([]int, n)
	users := make([][]int, n)
	for i := range n {
		for _, j := range needs(i) {
			open[i]++
			users[j] = append(users[j], i)
		}
	}
	var free intHeap
	for i := range n {
		if open[i] == 0 {
			free = append(free, i)
		}
	}
	heap.Init(&free)
	sorted = make([]int, 0, n)
	for len(free) > 0 {
		i := heap.Pop(&free).(int)
		sorted = append(sorted, i)
		for _, u := range users[i] {
			if open[u]--; open[u] == 0 {
				heap.Push(&free, u)
			}
		}
	}
	if len(sorted) == n {
		return sorted, nil
	}
	return nil, findCycle(n, open, needs)
}

// findCycle walks from the first unsorted number along unsorted needs: each
// has one, so the walk must meet itself.
func findCycle(n int, open []int, needs func(int) []int) []int {
	start := slices.IndexFunc(open, func(k int) bool { return k > 0 })
	at := make(map[int]int, n)
	var path []int
	for i := start; ; {
		if first, seen := at[i]; seen {
			return path[first:]
		}
		at[i] = len(path)
		path = append(path, i)
		next := needs(i)
		i = next[slices.IndexFunc(next, func(j int) bool { return open[j] > 0 })]
	}
}

type intHeap []int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *intHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
