package pkgmgr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// section is one header structure of an rpm file: an index of tags and the
// store their values lie in ("RPM V4 Package Format", "Header Structure").
type section struct {
	raw   []byte // as it lies in the file, without padding
	store []byte
	index map[uint32]entry
}

// entry is one line of the index: count values of a type from offset on.
type entry struct {
	typ, offset, count uint32
}

// Types of values ("RPM V4 Package Format", "Header Tag Data Types").
const (
	typeChar        = 1
	typeInt8        = 2
	typeInt16       = 3
	typeInt32       = 4
	typeInt64       = 5
	typeString      = 6
	typeBin         = 7
	typeStringArray = 8
	typeI18NString  = 9
)

const (
	sectionIntro = 16
	sectionEntry = 16
	// rpm itself takes no more than this (HEADER_TAGS_MAX and HEADER_DATA_MAX of its lib/header.c).
	maxEntries = 65535
	maxStore   = 256 << 20
)

var errDamaged = errors.New("damaged header")

// readSection reads one header structure from r.
func readSection(r io.Reader) (section, error) {
	intro := make([]byte, sectionIntro)
	if _, err := io.ReadFull(r, intro); err != nil {
		return section{}, truncated(err)
	}
	if string(intro[:4]) != "\x8e\xad\xe8\x01" {
		return section{}, fmt.Errorf("%w: no header magic", errDamaged)
	}
	entries, size := binary.BigEndian.Uint32(intro[8:]), binary.BigEndian.Uint32(intro[12:])
	if entries == 0 || entries > maxEntries || size > maxStore {
		return section{}, fmt.Errorf("%w: %d tags, %d bytes", errDamaged, entries, size)
	}
	// ReadAll grows with what really comes: a short file that claims a large
	// header costs no memory.
	want := int64(entries)*sectionEntry + int64(size)
	rest, err := io.ReadAll(io.LimitReader(r, want))
	if err != nil {
		return section{}, err
	}
	if int64(len(rest)) < want {
		return section{}, truncated(io.ErrUnexpectedEOF)
	}
	s := section{raw: append(intro, rest...), index: make(map[uint32]entry, entries)}
	s.store = s.raw[sectionIntro+entries*sectionEntry:]
	for i := range entries {
		line := s.raw[sectionIntro+i*sectionEntry:]
		tag := binary.BigEndian.Uint32(line)
		if _, twice := s.index[tag]; twice {
			return section{}, fmt.Errorf("%w: tag %d twice", errDamaged, tag)
		}
		e := entry{binary.BigEndian.Uint32(line[4:]), binary.BigEndian.Uint32(line[8:]), binary.BigEndian.Uint32(line[12:])}
		if e.offset > size {
			return section{}, fmt.Errorf("%w: tag %d beyond its end", errDamaged, tag)
		}
		s.index[tag] = e
	}
	return s, nil
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("truncated: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// has reports whether the section holds tag.
func (s section) has(tag uint32) bool {
	_, ok := s.index[tag]
	return ok
}

// strings returns the values of a tag of text, nil where it is absent.
func (s section) strings(tag uint32) ([]string, error) {
	e, ok := s.index[tag]
	if !ok {
		return nil, nil
	}
	switch e.typ {
	case typeString, typeStringArray, typeI18NString:
	default:
		return nil, fmt.Errorf("%w: tag %d is no text", errDamaged, tag)
	}
	rest := s.store[e.offset:]
	if int64(e.count) > int64(len(rest)) {
		return nil, fmt.Errorf("%w: tag %d beyond its end", errDamaged, tag)
	}
	all := make([]string, 0, e.count)
	for range e.count {
		end := 0
		for end < len(rest) && rest[end] != 0 {
			end++
		}
		if end == len(rest) {
			return nil, fmt.Errorf("%w: tag %d beyond its end", errDamaged, tag)
		}
		all = append(all, string(rest[:end]))
		rest = rest[end+1:]
	}
	return all, nil
}

// numbers returns the values of a tag of integers, nil where it is absent.
func (s section) numbers(tag uint32) ([]int64, error) {
	e, ok := s.index[tag]
	if !ok {
		return nil, nil
	}
	width := map[uint32]int64{typeChar: 1, typeInt8: 1, typeInt16: 2, typeInt32: 4, typeInt64: 8}[e.typ]
	if width == 0 {
		return nil, fmt.Errorf("%w: tag %d is no number", errDamaged, tag)
	}
	rest := s.store[e.offset:]
	if int64(e.count)*width > int64(len(rest)) {
		return nil, fmt.Errorf("%w: tag %d beyond its end", errDamaged, tag)
	}
	all := make([]int64, 0, e.count)
	for i := int64(0); i < int64(e.count)*width; i += width {
		var n uint64
		for _, b := range rest[i : i+width] {
			n = n<<8 | uint64(b)
		}
		if n > math.MaxInt64 {
			return nil, fmt.Errorf("%w: tag %d is %d", errDamaged, tag, n)
		}
		all = append(all, int64(n))
	}
	return all, nil
}

// bytes returns the value of a binary tag, nil where it is absent.
func (s section) bytes(tag uint32) ([]byte, error) {
	e, ok := s.index[tag]
	if !ok {
		return nil, nil
	}
	rest := s.store[e.offset:]
	if e.typ != typeBin || int64(e.count) > int64(len(rest)) {
		return nil, fmt.Errorf("%w: tag %d is no %d bytes", errDamaged, tag, e.count)
	}
	return rest[:e.count], nil
}

// text returns the first value of a tag of text, "" where it is absent: of
// translated text that is the one of the C locale.
func (s section) text(tag uint32) (string, error) {
	all, err := s.strings(tag)
	if err != nil || len(all) == 0 {
		return "", err
	}
	return all[0], nil
}

// number returns the first value of a tag of integers, 0 where it is absent.
func (s section) number(tag uint32) (int64, error) {
	all, err := s.numbers(tag)
	if err != nil || len(all) == 0 {
		return 0, err
	}
	return all[0], nil
}
