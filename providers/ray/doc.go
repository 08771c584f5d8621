// Package ray lowers a Ray cluster into its head and workers, starts them, and
// knows when Ray has taken them in.
//
// How a member is started is pure: a [Member] gives a command, an environment,
// a [Probe] and a division of its [Memory]; an image is asked once for its
// [Versions].
package ray
