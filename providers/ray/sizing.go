package ray

import (
	"fmt"
	"math"
)

const (
	mib = 1 << 20

	// overheadMiB is what Ray's own processes take of a member's memory.
	overheadMiB = 512

	// maxMiB keeps every computed number of bytes far inside an int64.
	maxMiB = 1 << 40
)

// Memory is how the memory of one member is divided, in bytes. What lies in
// shared memory counts against the limit.
type Memory struct {
	Limit       int64 // of the container
	ObjectStore int64 // Ray's --object-store-memory: 0.3 of the limit
	Shm         int64 // the container's /dev/shm: 1.1 of the object store
	Heap        int64 // Ray's --memory: what is left to tasks and actors
}

// DivideMemory divides a container's memory limit, in MiB. All parts but the
// limit itself are whole MiB, so that they can be written as the attributes of
// a container. It fails where nothing would be left to tasks and actors.
func DivideMemory(limitMiB float64) (Memory, error) {
	if !(limitMiB > 0 && limitMiB <= maxMiB) {
		return Memory{}, fmt.Errorf("memory of %v MiB is not a size; Ray needs a limit of %d MiB or more", limitMiB, minMemoryMiB)
	}
	whole := int64(math.Floor(limitMiB))
	store := whole * 3 / 10
	heap := whole - store - overheadMiB
	if heap <= 0 {
		return Memory{}, fmt.Errorf("memory of %v MiB is too little for a Ray node: %d MiB go to the object store and %d MiB to Ray itself; give it %d MiB or more",
			limitMiB, store, overheadMiB, minMemoryMiB)
	}
	return Memory{
		Limit:       int64(limitMiB * mib),
		ObjectStore: store * mib,
		Shm:         (store*11 + 9) / 10 * mib, // rounded up: Ray warns when the store does not fit
		Heap:        heap * mib,
	}, nil
}

// minMemoryMiB is the least limit that leaves a MiB to tasks and actors.
const minMemoryMiB = 732
