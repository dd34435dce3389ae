// Package layers turns a host into the layers of a snapshot: it reads the
// database in one consistent moment, walks the trees the stack lists, gathers
// the packages, and writes one tar stream per kind to a Sink.
//
// Everything that is not captured is written down with its reason.
package layers
