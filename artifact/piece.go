package artifact

import (
	"fmt"
	"path"
	"strings"
)

// Piece says which bytes of a file an entry holds. A file that is larger than
// one part may be is stored as several entries, one after the other, each in a
// part of its own: each with the file's Path and attributes, and Size and Digest
// of its own bytes. The zero Piece is a whole file.
type Piece struct {
	Number int   // 1-based, 0 for a whole file
	Count  int   // of the file's pieces
	Offset int64 // of the first byte
	Total  int64 // bytes of the file
	// Stored is the path the piece has in its layer, so that tar unpacks pieces
	// side by side and cat joins them.
	Stored string
}

// StoredPath is the name of the entry in its tar stream.
func (e Entry) StoredPath() string {
	if e.Piece.Number > 0 {
		return e.Piece.Stored
	}
	return e.Path
}

// FileSize is the size of the file the entry is of, or is a piece of.
func (e Entry) FileSize() int64 {
	if e.Piece.Number > 0 {
		return e.Piece.Total
	}
	return e.Size
}

// IsFirst reports whether the entry is whole or the first piece: each file has
// one such entry.
func (e Entry) IsFirst() bool { return e.Piece.Number <= 1 }

// pieceSuffix ends the stored name of a piece.
const pieceSuffix = ".xcrate-part-%04d"

// PieceName is the name under which piece number of file name is stored beside
// it. try tells names apart: one that is taken by another file is followed by
// the next.
func PieceName(name string, number, try int) string {
	suffix := strings.Repeat("~", try) + fmt.Sprintf(pieceSuffix, number)
	return name[:min(len(name), maxName-len(suffix))] + suffix
}

// validate checks the piece of e by itself.
func (p Piece) validate(e Entry) error {
	if p == (Piece{}) {
		return nil
	}
	bad := e.Type != TypeFile || p.Number < 1 || p.Number > p.Count || p.Count < 2 ||
		p.Offset < 0 || p.Total < 0 || e.Size > p.Total || p.Offset > p.Total-e.Size ||
		(p.Number == 1) != (p.Offset == 0) || (p.Number == p.Count) != (p.Offset+e.Size == p.Total) ||
		e.Size == 0 || path.Dir(p.Stored) != path.Dir(e.Path)
	if bad {
		return fmt.Errorf("entry %q: piece %d of %d, %d bytes at %d of %d, stored as %q", e.Path, p.Number, p.Count, e.Size, p.Offset, p.Total, p.Stored)
	}
	return CheckPath(p.Stored)
}

// follows checks that e begins where last ended: pieces come in turn, with the
// same attributes, and none is left out.
func (e Entry) follows(last Entry) error {
	p, l := e.Piece, last.Piece
	if p.Number <= 1 {
		if l.Number < l.Count {
			return fmt.Errorf("entry %q: piece %d of %d is missing", last.Path, l.Number+1, l.Count)
		}
		return nil
	}
	a, b := e, last
	a.Size, a.Sparse, a.Piece = b.Size, b.Sparse, Piece{}
	b.Piece = Piece{}
	if p.Number != l.Number+1 || p.Count != l.Count || p.Total != l.Total || p.Offset != l.Offset+last.Size ||
		e.Part <= last.Part || e.Kind != last.Kind || SameEntry(a, b) != nil {
		return fmt.Errorf("entry %q: piece %d of %d does not follow piece %d of %q", e.Path, p.Number, p.Count, l.Number, last.Path)
	}
	return nil
}
