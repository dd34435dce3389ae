package artifact

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"
)

// recordReader reads records of a catalog. It remembers what neighbours have in
// common, so that they share it.
type recordReader struct {
	kind, user, group string
	attr, value       string // of the last extended attribute
	raw               []byte
}

// read reads one record, as Entry.UnmarshalJSON does.
func (r *recordReader) read(line []byte) (Entry, error) {
	var e Entry
	if r.scan(line, &e) {
		return e, nil
	}
	e = Entry{}
	err := e.UnmarshalJSON(line)
	return e, err
}

// scan reads a record as appendRecord writes it into the zero entry *e: members
// in that order and nowhere a space, strings without escapes, no bytes in
// base64 and no piece. It returns false for any other line, good or bad, and
// then *e is of no use.
func (r *recordReader) scan(line []byte, e *Entry) bool {
	s := scanner{rest: line, ok: true}
	s.want(`{"kind":`)
	e.Kind = Kind(again(&r.kind, s.text()))
	s.want(`,"part":`)
	e.Part = s.int()
	s.want(`,"path":`)
	e.Path = string(s.text())
	s.want(`,"type":`)
	e.Type = knownType(s.text())
	s.want(`,"mode":`)
	e.Mode = s.mode()
	s.want(`,"uid":`)
	e.UID = s.int()
	s.want(`,"gid":`)
	e.GID = s.int()
	if s.has(`,"user":`) {
		e.User = again(&r.user, s.text())
	}
	if s.has(`,"group":`) {
		e.Group = again(&r.group, s.text())
	}
	s.want(`,"mtime":`)
	e.MTime = s.time()
	if s.has(`,"size":`) {
		e.Size = s.number()
	}
	if s.has(`,"digest":`) {
		e.Digest = string(s.text())
	}
	if s.has(`,"link":`) {
		e.Link = string(s.text())
	}
	if s.has(`,"xattrs":{`) {
		e.Xattrs = r.xattrs(&s)
	}
	e.Sparse = s.has(`,"sparse":true`)
	s.want(`}`)
	return s.ok && len(s.rest) == 0 && e.Type != ""
}

func (r *recordReader) xattrs(s *scanner) map[string]string {
	all := map[string]string{}
	for s.ok {
		name := again(&r.attr, s.text())
		s.want(`:`)
		var err error
		if r.raw, err = base64.StdEncoding.AppendDecode(r.raw[:0], s.text()); err != nil {
			s.ok = false
		}
		all[name] = again(&r.value, r.raw)
		if !s.has(`,`) {
			break
		}
	}
	s.want(`}`)
	return all
}

// again returns b as a string: last, if it is that, which costs nothing.
func again(last *string, b []byte) string {
	if *last != string(b) {
		*last = string(b)
	}
	return *last
}

// knownType returns the type named b, "" if it is none.
func knownType(b []byte) Type {
	for _, t := range []Type{TypeFile, TypeDir, TypeSymlink, TypeHardlink, TypeFIFO} {
		if string(b) == string(t) {
			return t
		}
	}
	return ""
}

// scanner takes a line apart. Once something is not as asked for, ok is false
// and stays so.
type scanner struct {
	rest []byte
	ok   bool
}

// has takes token if it comes next.
func (s *scanner) has(token string) bool {
	if len(s.rest) < len(token) || string(s.rest[:len(token)]) != token {
		return false
	}
	s.rest = s.rest[len(token):]
	return true
}

// want takes token, which must come next.
func (s *scanner) want(token string) { s.ok = s.has(token) && s.ok }

// text takes a string in which every character stands for itself.
func (s *scanner) text() []byte {
	s.want(`"`)
	end := bytes.IndexByte(s.rest, '"')
	if !s.ok || end < 0 {
		s.ok = false
		return nil
	}
	b := s.rest[:end]
	s.rest = s.rest[end+1:]
	ascii := true
	for _, c := range b {
		if !plain(c) && c < utf8.RuneSelf {
			s.ok = false
			return nil
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	s.ok = ascii || utf8.Valid(b)
	return b
}

// maxDigits is how many digits any int64 can have without looking.
const maxDigits = 18

// digits takes decimal digits, at most that many, and returns how many.
func (s *scanner) digits(most int) (n int64, count int) {
	for count < len(s.rest) && count < most && '0' <= s.rest[count] && s.rest[count] <= '9' {
		n = n*10 + int64(s.rest[count]-'0')
		count++
	}
	s.rest = s.rest[count:]
	return n, count
}

// number takes a number as JSON has it: no sign, and no zero in front.
func (s *scanner) number() int64 {
	zero := len(s.rest) > 0 && s.rest[0] == '0'
	n, count := s.digits(maxDigits)
	s.ok = s.ok && count > 0 && (!zero || count == 1)
	return n
}

// int takes a number that is an int.
func (s *scanner) int() int {
	n := s.number()
	s.ok = s.ok && int64(int(n)) == n
	return int(n)
}

// mode takes four octal digits as a string.
func (s *scanner) mode() uint32 {
	b := s.text()
	if len(b) != 4 {
		s.ok = false
		return 0
	}
	var mode uint32
	for _, c := range b {
		s.ok = s.ok && '0' <= c && c <= '7'
		mode = mode<<3 | uint32(c-'0')
	}
	return mode
}

// time takes a time not before 1970 as a string.
func (s *scanner) time() Time {
	s.want(`"`)
	sec, count := s.digits(maxDigits)
	s.ok = s.ok && count > 0
	t := Time{Sec: sec}
	if s.has(`.`) {
		nsec, count := s.digits(9)
		s.ok = s.ok && count > 0
		for range 9 - count {
			nsec *= 10
		}
		t.Nsec = nsec
	}
	s.want(`"`)
	return t
}
