package artifact

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// appendRecord appends e as one record of the catalog, byte for byte what
// encoding/json makes of its record: the bytes of a catalog are part of a
// snapshot's digest.
func appendRecord(b []byte, e *Entry) ([]byte, error) {
	a := appender{b: b}
	a.b = append(a.b, `{"kind":`...)
	a.text(string(e.Kind))
	a.number(`,"part":`, int64(e.Part))
	a.bytes(`,"path":`, `,"path64":`, e.Path)
	a.b = append(a.b, `,"type":`...)
	a.text(string(e.Type))
	a.b = append(a.b, `,"mode":"`...)
	a.b = appendMode(a.b, e.Mode)
	a.number(`","uid":`, int64(e.UID))
	a.number(`,"gid":`, int64(e.GID))
	a.field(`,"user":`, e.User)
	a.field(`,"group":`, e.Group)
	a.b = append(a.b, `,"mtime":"`...)
	a.b = e.MTime.append(a.b)
	a.b = append(a.b, '"')
	if e.Size != 0 {
		a.number(`,"size":`, e.Size)
	}
	a.field(`,"digest":`, e.Digest)
	a.bytes(`,"link":`, `,"link64":`, e.Link)
	if len(e.Xattrs) > 0 {
		a.xattrs(e.Xattrs)
	}
	if e.Type == TypeChar || e.Type == TypeBlock {
		a.number(`,"device":"`, int64(e.Major))
		a.number(`:`, int64(e.Minor))
		a.b = append(a.b, '"')
	}
	if e.Sparse {
		a.b = append(a.b, `,"sparse":true`...)
	}
	if e.Piece.Number > 0 {
		a.piece(e.Piece)
	}
	return append(a.b, '}'), a.err
}

// appender appends members of a JSON object. Its first error sticks.
type appender struct {
	b   []byte
	err error
}

func (a *appender) number(name string, n int64) {
	a.b = strconv.AppendInt(append(a.b, name...), n, 10)
}

// field appends a member that is left out where it is empty.
func (a *appender) field(name, s string) {
	if s != "" {
		a.b = append(a.b, name...)
		a.text(s)
	}
}

// bytes appends s, which may be no UTF-8 and then goes by another name.
func (a *appender) bytes(name, name64, s string) {
	if utf8.ValidString(s) {
		a.field(name, s)
		return
	}
	a.b = append(append(a.b, name64...), '"')
	a.b = append(base64.StdEncoding.AppendEncode(a.b, []byte(s)), '"')
}

// text appends a JSON string. What might need escaping is left to who knows how.
func (a *appender) text(s string) {
	for i := range len(s) {
		if !plain(s[i]) || s[i] == '<' || s[i] == '>' || s[i] == '&' {
			a.value(s)
			return
		}
	}
	a.b = append(append(append(a.b, '"'), s...), '"')
}

// plain reports whether c stands for itself in a JSON string, whatever is
// around it.
func plain(c byte) bool { return c >= ' ' && c < 0x7f && c != '"' && c != '\\' }

func (a *appender) value(v any) {
	b, err := json.Marshal(v)
	if a.err == nil {
		a.err = err
	}
	a.b = append(a.b, b...)
}

func (a *appender) xattrs(all map[string]string) {
	a.b = append(a.b, `,"xattrs":`...)
	open := byte('{')
	for _, k := range slices.Sorted(maps.Keys(all)) {
		a.b = append(a.b, open)
		open = ','
		a.text(k)
		a.b = append(a.b, ':', '"')
		a.b = append(base64.StdEncoding.AppendEncode(a.b, []byte(all[k])), '"')
	}
	a.b = append(a.b, '}')
}

func (a *appender) piece(p Piece) {
	r := pieceRecord{Number: p.Number, Count: p.Count, Offset: p.Offset, Total: p.Total}
	r.Stored, r.Stored64 = split64(p.Stored)
	a.b = append(a.b, `,"piece":`...)
	a.value(r)
}

// appendMode appends mode in octal with at least four digits.
func appendMode(b []byte, mode uint32) []byte {
	for limit := uint32(0o1000); limit > 1 && mode < limit; limit /= 8 {
		b = append(b, '0')
	}
	return strconv.AppendUint(b, uint64(mode), 8)
}
