package restore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
)

// comparer compares entries with a host, in the order of the catalog.
type comparer struct {
	near
	places
	owners *owners
	key    artifact.DigestKey
	absent absent
	// replaced are the files of the host that will be replaced: names of theirs
	// that are hard links must be made again.
	replaced map[host.Inode]bool
	whole    *host.File // the file the pieces that come belong to, nil if it has changed anyhow
	pieces   state      // what is known of it so far
	seen     host.Stat  // what was at the last target looked at, zero for nothing
	buf      []byte
	sum      *artifact.Digester
}

func newComparer(root *host.Root, o *owners, at places) *comparer {
	return &comparer{near: near{root: root}, places: at, owners: o, replaced: map[host.Inode]bool{}}
}

func (c *comparer) close() {
	c.near.close()
	if c.whole != nil {
		_ = c.whole.Close() // it was only read
	}
}

// compare says how e relates to what is at its target. Of a file in pieces that
// is known only with the last of them: done is false before.
func (c *comparer) compare(e artifact.Entry) (s state, done bool, err error) {
	p := c.target(e)
	if e.IsFirst() {
		c.pieces, err = c.look(e, p)
	} else {
		err = c.lookPiece(e, c.whole)
	}
	done = e.Piece.Number == e.Piece.Count
	if c.whole != nil && (done || err != nil || c.pieces != isSame) {
		err = errors.Join(err, c.whole.Close())
		c.whole = nil
	}
	if err != nil {
		return notPlaced, false, fmt.Errorf("file %s: %w", c.root.Path(p), err)
	}
	return c.pieces, done, nil
}

func (c *comparer) look(e artifact.Entry, p string) (state, error) {
	c.seen = host.Stat{}
	if c.absent.holds(path.Dir(p)) {
		return isNew, nil
	}
	d, name, err := c.parent(p)
	if errors.Is(err, fs.ErrNotExist) {
		if c.blocked(path.Dir(p)) {
			return isClash, nil
		}
		c.absent.dir = path.Dir(p)
		return isNew, nil
	}
	if errors.Is(err, unix.ENOTDIR) {
		return isClash, nil
	}
	if err != nil {
		return notPlaced, err
	}
	have, st, err := archive.Stat(d, name, e.Path, c.owners.accounts)
	c.seen = st
	if errors.Is(err, fs.ErrNotExist) {
		return isNew, nil
	}
	s := isChanged
	switch {
	case errors.Is(err, archive.ErrSocket):
	case err != nil:
		return notPlaced, err
	default:
		if s, err = c.lookAt(e, have, st, d, name); err != nil {
			return notPlaced, err
		}
	}
	if s == isChanged && !st.IsDir() {
		c.replaced[st.Inode()] = true
	}
	return s, nil
}

// blocked reports whether directory p, which is not there, cannot be made: a symlink that
// leads nowhere has its name, or that of one above it.
func (c *comparer) blocked(p string) bool {
	for ; p != "/"; p = path.Dir(p) {
		if _, err := c.root.Lstat(p); err == nil {
			to, err := c.root.Stat(p)
			return err != nil || !to.IsDir()
		}
	}
	return false
}

// lookAt compares e with name in d, which have and st describe.
func (c *comparer) lookAt(e, have artifact.Entry, st host.Stat, d *host.Dir, name string) (state, error) {
	if e.Type == artifact.TypeHardlink {
		return c.lookLink(e, have, st)
	}
	if e.Type == artifact.TypeDir && have.Type == artifact.TypeSymlink {
		if to, err := c.root.Stat(c.target(e)); err == nil && to.IsDir() {
			return isKept, nil
		}
	}
	switch {
	case e.Type == artifact.TypeDir && have.Type == e.Type && c.isBeside(e.Kind):
		return isKept, nil // with the attributes it has: it is the host's own
	case (have.Type == artifact.TypeDir) != (e.Type == artifact.TypeDir):
		return isClash, nil
	case e.Type == artifact.TypeDir && have.MTime != e.MTime:
		// Whatever is put into it or goes changes that: alone it is nothing to do.
		have.MTime = e.MTime
		if c.owners.same(e, have) {
			return isSame, nil
		}
		return isChanged, nil
	case !c.owners.same(e, have):
		return isChanged, nil
	case e.Type != artifact.TypeFile:
		return isSame, nil
	}
	f, _, err := d.OpenFile(name)
	if err != nil {
		return notPlaced, err
	}
	c.pieces = isSame
	err = c.lookPiece(e, f)
	if c.pieces == isSame && err == nil && e.Piece.Number < e.Piece.Count {
		c.whole = f
		return isSame, nil
	}
	return c.pieces, errors.Join(err, f.Close())
}

// lookPiece compares the content of e with the bytes it is to be in f.
func (c *comparer) lookPiece(e artifact.Entry, f *host.File) error {
	if c.pieces != isSame {
		return nil
	}
	same, err := c.sameContent(f, e)
	if err != nil || same {
		return err
	}
	c.pieces = isChanged
	st, err := f.Stat()
	c.replaced[st.Inode()] = true
	return err
}

// compareBuffer is large enough for most files to be one read.
const compareBuffer = 256 << 10

// sameContent reports whether f holds at e's offset what e holds.
func (c *comparer) sameContent(f *host.File, e artifact.Entry) (bool, error) {
	if c.buf == nil {
		c.buf, c.sum = make([]byte, compareBuffer), artifact.NewDigester()
	}
	c.sum.Reset()
	_, err := io.CopyBuffer(struct{ io.Writer }{c.sum}, struct{ io.Reader }{io.NewSectionReader(f, e.Piece.Offset, e.Size)}, c.buf)
	return err == nil && c.key.Matches(e, c.sum.Sum()), err
}

// lookLink compares hard link e with the file have, described by st.
func (c *comparer) lookLink(e, have artifact.Entry, st host.Stat) (state, error) {
	if have.Type == artifact.TypeDir {
		return isClash, nil
	}
	first := e
	first.Path = e.Link
	to, err := c.root.Lstat(c.target(first))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return isChanged, nil
	case err != nil:
		return notPlaced, err
	case c.replaced[to.Inode()]:
		return isChanged, nil
	}
	if to.Dev != st.Dev { // no file has names on both: a copy stands for the link
		if to.Size == st.Size && to.Mtim == st.Mtim && to.Mode == st.Mode {
			return isSame, nil
		}
		return isChanged, nil
	}
	if to.Inode() != st.Inode() {
		return isChanged, nil
	}
	return isSame, nil
}
