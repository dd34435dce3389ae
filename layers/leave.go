package layers

import (
	"errors"
	"io/fs"
	"path"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// leave records name in d, which the host calls p, as left out under out.Path,
// with all that is below it; several names of one directory add up.
func (s *scanner) leave(d *host.Dir, name, p string, out artifact.LeftOut) error {
	key := out.Path + "\x00" + out.What
	l := s.out[key]
	if l == nil {
		l = &out
		s.out[key] = l
	}
	return s.measure(d, name, p, l, 0)
}

func (s *scanner) leaveDir(d *host.Dir, p string, out artifact.LeftOut) error {
	names, err := d.Names()
	if err != nil {
		return s.c.unreadable(p, err)
	}
	l := &out
	s.out[p+"\x00"+out.What] = l
	l.Entries++
	for _, name := range names {
		if err := s.measure(d, name, p+"/"+name, l, 0); err != nil {
			return err
		}
	}
	return nil
}

// measure adds size and number of what name holds to l, but for what a rule of
// its own takes after all.
func (s *scanner) measure(d *host.Dir, name, p string, l *artifact.LeftOut, depth int) (err error) {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if p != l.Path && s.c.bound.Decide(p).Take != "" && s.c.bound.Decide(path.Dir(p)).Take == "" {
		return nil
	}
	st, err := d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	l.Entries++
	if st.IsRegular() {
		l.Size += st.Size
	}
	if !st.IsDir() {
		return nil
	}
	sub, err := d.OpenDir(name)
	if err != nil {
		return s.c.unreadable(p, err)
	}
	defer func() { err = errors.Join(err, sub.Close()) }()
	if own, err := sub.Self(); err != nil || own.Dev != st.Dev {
		return err
	}
	names, err := sub.Names()
	if err != nil {
		return s.c.unreadable(p, err)
	}
	if depth > maxOpen {
		if err := d.Release(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.Regain(sub)) }()
	}
	for _, n := range names {
		if err := s.measure(sub, n, p+"/"+n, l, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// unreadable says what to do about p, which err keeps from being read: nil if
// the capture goes on without it, which is then listed.
func (c *capture) unreadable(p string, err error) error {
	l, err := c.withoutFile(p, err)
	if err == nil {
		c.leaveOut(l)
	}
	return err
}

// withoutFile returns p as left out because of err, or err if that is not what
// the caller wants. It touches nothing that parts share.
func (c *capture) withoutFile(p string, err error) (artifact.LeftOut, error) {
	var cause *fs.PathError
	switch {
	case !errors.As(err, &cause):
		return artifact.LeftOut{}, err
	case !c.o.IgnoreUnreadable:
		return artifact.LeftOut{}, &readError{err}
	}
	return artifact.LeftOut{Path: p, What: whatUnreadable, Reason: cause.Op + ": " + cause.Err.Error(), Restore: "copy it by hand, if it can be read at all"}, nil
}

// ErrUnreadable is what errors about files of the host are that could be left
// out with IgnoreUnreadable.
var ErrUnreadable = errors.New("cannot be read")

// readError marks an error of the host, before anything of the file was written.
type readError struct{ error }

func (e *readError) Unwrap() error        { return e.error }
func (e *readError) Is(target error) bool { return target == ErrUnreadable }

// whatUnreadable is what is said of a file that could not be read.
const whatUnreadable = "could not be read"
