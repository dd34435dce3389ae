package pkgmgr

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
)

// headerMagic is what a header in a file begins with and one in the database
// does not.
const headerMagic = "\x8e\xad\xe8\x01\x00\x00\x00\x00"

// storedHeader reads a header as the database has it: what the rpm file had,
// then what rpm added when it installed it, the digest of the former with it.
func storedHeader(blob []byte) (section, error) {
	r := bytes.NewReader(blob)
	s, err := readSection(io.MultiReader(strings.NewReader(headerMagic), r))
	if err != nil {
		return section{}, err
	}
	if r.Len() > 0 {
		return section{}, fmt.Errorf("%w: %d bytes after its end", errDamaged, r.Len())
	}
	return s, verifyStored(s)
}

// verifyStored compares the part of s that came from the rpm file with the
// digest rpm kept of it. Headers without one are those of keys and of packages
// older than rpm 4.
func verifyStored(s section) error {
	for _, d := range []struct {
		tag uint32
		sum hash.Hash
	}{{sigSHA256, sha256.New()}, {sigSHA1, sha1.New()}} {
		want, err := s.text(d.tag)
		if err != nil {
			return err
		}
		if want == "" || !s.has(tagImmutable) {
			continue
		}
		if err := s.writeImmutable(d.sum); err != nil {
			return err
		}
		if got := hex.EncodeToString(d.sum.Sum(nil)); !strings.EqualFold(got, want) {
			name, _ := s.text(tagName)
			return fmt.Errorf("%w: package %.100q: digest %s, the database says %.128q", errDamaged, name, got, want)
		}
		return nil
	}
	return nil
}

// writeImmutable writes to w the header as the rpm file had it. The first tag
// marks that region: its value is the region's last line, which says in bytes
// below zero how long the region's index is ("RPM V4 Package Format",
// "Immutable regions").
func (s section) writeImmutable(w io.Writer) error {
	e := s.index[tagImmutable]
	end := int64(e.offset) + sectionEntry
	if e.typ != typeBin || e.count != sectionEntry || end > int64(len(s.store)) {
		return fmt.Errorf("%w: no immutable region", errDamaged)
	}
	length := -int64(int32(binary.BigEndian.Uint32(s.store[e.offset+8:])))
	if length < sectionEntry || length%sectionEntry != 0 || length > int64(len(s.raw)-len(s.store)-sectionIntro) {
		return fmt.Errorf("%w: immutable region of %d bytes", errDamaged, length)
	}
	intro := binary.BigEndian.AppendUint32([]byte(headerMagic), uint32(length/sectionEntry))
	intro = binary.BigEndian.AppendUint32(intro, uint32(end))
	for _, b := range [][]byte{intro, s.raw[sectionIntro : sectionIntro+length], s.store[:end]} {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}
