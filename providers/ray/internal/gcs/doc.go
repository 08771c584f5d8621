// Package gcs asks a Ray cluster about itself: which nodes live, what they
// hold, what waits for a place, which jobs run; and it drains a node.
//
// The words are few: a [Client] reaches the cluster, a [Cluster] is what it
// says of itself, a [Node] and a [Job] are parts of that, and [Exec] is the
// only way in. Everything goes through a process in the head's container, so
// no port has to be published and it works alike over a socket, TCP and SSH.
//
// The messages of Ray's autoscaler.proto are read and written by hand: six of
// them are needed, and of those a dozen fields.
package gcs
