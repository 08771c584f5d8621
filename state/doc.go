// Package state keeps what is known of a stack on disk.
package state
