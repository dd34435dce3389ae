package pkgmgr

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// An ar archive is its magic and its members, each a header of 60 bytes and its
// content, padded to an even length (ar(5) of BSD; deb(5) says what a deb makes of
// it). The two bytes a header ends with are all that shows damage of one.
const (
	arMagic  = "!<arch>\n"
	arHeader = 60
)

// arReader reads the members of an ar archive in their order.
type arReader struct {
	in   *counter
	left int64 // of the current member
	pad  bool  // a byte of padding follows it
}

// arMember is what the header of a member says. Its time is seconds since 1970,
// 0 where it says none.
type arMember struct {
	name       string
	size, time int64
}

// newAr reads the magic.
func newAr(in io.Reader) (*arReader, error) {
	a := &arReader{in: &counter{r: in}}
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(a.in, magic); err != nil {
		return nil, truncated(err)
	}
	if string(magic) != arMagic {
		return nil, errors.New("not a deb file")
	}
	return a, nil
}

// next goes on to the next member, over what of the current one was not read. It
// returns io.EOF after the last.
func (a *arReader) next() (arMember, error) {
	if _, err := io.Copy(io.Discard, a); err != nil {
		return arMember{}, err
	}
	if a.pad {
		// Of the last member it may be missing: dpkg does not ask for it either.
		if _, err := io.CopyN(io.Discard, a.in, 1); err != nil {
			return arMember{}, err
		}
		a.pad = false
	}
	raw := make([]byte, arHeader)
	if n, err := io.ReadFull(a.in, raw); n == 0 && errors.Is(err, io.EOF) {
		return arMember{}, io.EOF
	} else if err != nil {
		return arMember{}, truncated(err)
	}
	field := func(from, to int) string { return strings.TrimRight(string(raw[from:to]), " ") }
	m := arMember{name: strings.TrimSuffix(field(0, 16), "/")} // the slash is GNU's
	size, err := strconv.ParseUint(field(48, 58), 10, 63)
	if err != nil || string(raw[58:]) != "`\n" {
		return arMember{}, fmt.Errorf("%w: member %q before byte %d", errDamaged, m.name, a.in.n)
	}
	m.size = int64(size)
	if seconds, err := strconv.ParseUint(field(16, 28), 10, 63); err == nil {
		m.time = int64(seconds)
	}
	a.left, a.pad = m.size, m.size%2 == 1
	return m, nil
}

// Read reads the current member.
func (a *arReader) Read(b []byte) (int, error) {
	if a.left == 0 {
		return 0, io.EOF
	}
	n, err := a.in.Read(b[:min(int64(len(b)), a.left)])
	a.left -= int64(n)
	if errors.Is(err, io.EOF) && a.left > 0 {
		err = truncated(err)
	}
	return n, err
}
