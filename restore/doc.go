// Package restore puts a snapshot back on a host.
//
// NewPlan compares the snapshot's catalog with the host and says what would
// change; it changes nothing. Apply carries a plan out: it stages every file
// beside its target while the layers are verified, and only then renames them
// into place, writing down beforehand how to undo each step. What it replaced
// stays under the work directory of the import.
package restore
