// Package ray keeps Ray clusters on a Docker engine: it adds the type
// ray_cluster to a provider of containers.
//
//	table.go    the attributes of a cluster
//	lower.go    a cluster as its head and workers, each a container; pure
//	start.go    how Ray is started in one; sizing.go, probe.go: with what memory and checks
//	refresh.go  what Ray says of the members that Docker shows
//	member.go   a head is up when its GCS answers, a worker when that lists it;
//	            a worker drains before it goes
//	cluster.go  a cluster is ready when Ray shows exactly what is wanted
//
// How a member is started is pure: a [Member] gives a command, an environment,
// a [Probe] and a division of its [Memory]; an image is asked for its
// [Versions]. What is asked of Ray goes through a process in the head's container (see
// internal/gcs), so nothing has to be published for it.
package ray
