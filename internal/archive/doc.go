// Package archive moves single entries between a host's filesystem and a tar
// stream: Stat and Writer one way, Restore the other, side by side because
// each undoes the other.
package archive
