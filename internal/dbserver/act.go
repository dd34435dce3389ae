package dbserver

import (
	"encoding/base64"
	"fmt"
	"io"
)

// Act is one change, and what takes it back. It goes through JSON. Whoever keeps
// it guards it as the database itself, mode 0600: what stood there before may be
// what a server stored of a password.
type Act struct {
	Kind ActKind `json:"kind"`
	// What says it as a person would: `make role "xcatadm"`.
	What string `json:"what"`
	// Name is the file's path on the host, the unit, or the cluster's directory; for
	// SQL the database it runs in, "" for the administrator's.
	Name string `json:"name,omitempty"`
	// Before is what the file held, or the block of ours in it; nil if there was
	// none.
	Before *Kept `json:"before,omitempty"`
	// Undo are the statements that take SQL back. They fail neither if it never
	// came to be, nor if they ran before.
	Undo []Kept `json:"undo,omitempty"`
}

// ActKind says what was changed.
type ActKind string

// The kinds of acts.
const (
	ActCluster ActKind = "cluster" // an empty cluster was initialised
	ActSQL     ActKind = "sql"
	ActBlock   ActKind = "block" // our block of lines in a file of the server
	ActFile    ActKind = "file"  // a file of our own
	ActEnable  ActKind = "enable"
	ActStart   ActKind = "start" // the server did not run
)

// Kept is text that was kept to be put back. It may hold what a server stores of
// a password, so it is never printed, and bytes of any encoding, so that it travels
// in JSON as base64.
type Kept string

// MarshalText implements encoding.TextMarshaler.
func (k Kept) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, []byte(k)), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *Kept) UnmarshalText(text []byte) error {
	b, err := base64.StdEncoding.AppendDecode(nil, text)
	*k = Kept(b)
	return err
}

// Format implements fmt.Formatter: for every verb.
func (Kept) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(kept)") }
