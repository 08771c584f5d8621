// Package view shows what the engine decided and does, and decides nothing
// itself. Its few types: a Style colours words, a Node is one part of the
// comparison of two values, and a Progress follows an apply. Every view of a
// plan is made from one engine.Plan; the comparison of an object before and
// after is one tree of Nodes, which the views only walk.
package view
