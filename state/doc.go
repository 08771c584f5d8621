// Package state keeps what is known of a stack on disk, so that a process that
// dies at any instant loses nothing and leaves nothing in the way of the next.
//
// There are few types. A State maps addresses to Records; a Record has the
// Objects of one address. A Store is the folder of one stack in one workspace.
// A Lock keeps others out of it, Load reads it without changing it, and a
// Journal writes it. Began is the one line that is on disk before the call that
// it announces is made.
//
// The folder holds
//
//	state.json           the snapshot, with the number of its generation
//	state.json.1 … .3    the snapshots before it, newest first
//	journal.jsonl        what happened since the snapshot
//	lock                 held by flock(2); its text is for messages only
//
// # The journal
//
// Every line is a JSON object. Its last member, sum, is the CRC-32C in hex of
// all bytes of the line before the comma that precedes "sum", started from the
// sum of the line before (from 0 in the first line). So a line that was changed,
// moved, doubled or taken out shows, wherever it stood. The first line names the
// snapshot that the journal continues; the others are
//
//	began    a call is about to be made
//	outcome  what is now known of its address, whole, or null for nothing
//	failed   the call is known to have had no effect
//	set      facts that took no call: adoption, forgetting, moves; all of one line or none
//	outputs  all outputs
//
// Since outcomes and sets are whole records, replaying a line twice is replaying
// it once. A began without an outcome is in doubt, and Load reports it.
//
// # The order of syncs
//
// Began returns after an fsync: were the call made first, a power cut could keep
// the object and lose the line that says whose it is. Outcomes are written at
// once, which outlives the process, and synced with the next began or at the
// end, since one that is lost merely reads as in doubt. Callers that begin at
// the same time share an fsync.
//
// A fold writes the snapshot to a temporary file, syncs it, renames it and syncs
// the folder, and only then does the same with a new journal. A crash between
// leaves the old journal beside the new snapshot; its base is then lower than
// the snapshot's generation, and it is ignored. In the other order a new journal
// could stand beside the old snapshot, and everything between would be gone; so
// a base above the generation is an error. While anything is in doubt there is
// no fold, as a snapshot has no place for a began.
//
// A last line without its newline is a write that was cut short. Nothing can
// rest on it, since the fsync after it never returned; Load leaves it out, and a
// Journal cuts it before its first append. All other damage is an error, and
// nothing is written over it.
package state
