package database

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/artifact"
)

// digester takes the digest of a table's rows. It is part of the snapshot
// format: sha256 over
//
//	count of columns, then each column's name as length and bytes;
//	per row, per column, one byte: 0 NULL, 1 text, 2 blob, 3 integer, 4 real,
//	5 unicode (the last four where Class says so); for all but NULL length and
//	bytes.
//
// Counts and lengths are unsigned varints (encoding/binary). Every row has as
// many values as there are columns, so no two tables share an encoding.
type digester struct {
	hash hash.Hash
	buf  []byte
	rows int64
}

func newDigester(columns []string) *digester {
	d := &digester{hash: sha256.New()}
	d.buf = binary.AppendUvarint(d.buf, uint64(len(columns)))
	for _, c := range columns {
		d.text(c)
	}
	return d
}

func (d *digester) text(s string) {
	d.buf = binary.AppendUvarint(d.buf, uint64(len(s)))
	d.buf = append(d.buf, s...)
	if len(d.buf) > 16<<10 {
		d.flush()
	}
}

func (d *digester) flush() {
	_, _ = d.hash.Write(d.buf) // a hash.Hash never returns an error
	d.buf = d.buf[:0]
	if cap(d.buf) > 1<<20 { // one giant value must not stay in memory for good
		d.buf = nil
	}
}

func (d *digester) row(values []Value) {
	d.rows++
	for _, v := range values {
		if v.Null {
			d.buf = append(d.buf, 0)
			continue
		}
		tag := byte(1)
		switch v.Class {
		case ClassBlob:
			tag = 2
		case ClassInteger:
			tag = 3
		case ClassReal:
			tag = 4
		case ClassUnicode:
			tag = 5
		}
		d.buf = append(d.buf, tag)
		d.text(v.Text)
	}
}

// table is the sum of what was added.
func (d *digester) table(name string) artifact.Table {
	d.flush()
	return artifact.Table{Name: name, Rows: d.rows, Digest: digest.NewDigest(digest.SHA256, d.hash)}
}
