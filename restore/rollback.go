package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
)

// RolledBackDir is where a rollback keeps files that were changed after the import it
// takes back, one tar file per import, mode 0600.
const RolledBackDir = "/var/lib/xcrate/rolled-back"

// ErrNotLatest says that an import cannot be taken back before those after it.
var ErrNotLatest = errors.New("a later import has to be rolled back first")

// ErrCleaned says that what an import replaced is not kept any more.
var ErrCleaned = errors.New("what it replaced is not kept any more")

// Rollback says what taking back an import would do. It is data, as a Plan is.
type Rollback struct {
	Format int    `json:"format"` // 1
	Root   string `json:"root"`
	Import Import `json:"import"`
	// PutBack counts the files that get back what they were, Remove those that came
	// with the import.
	PutBack int `json:"put_back"`
	Remove  int `json:"remove"`
	// Packages says that what was installed changes, Tables that a database server
	// gets back what it held, and Services what is started at the end.
	Packages bool     `json:"packages"`
	Tables   bool     `json:"tables"`
	Services []string `json:"services"`
	// Since are files of the import that were changed after it ended, at most
	// MaxSince of SinceCount. What they are now is kept in Kept.
	Since      []string `json:"changed_since"`
	SinceCount int      `json:"changed_since_count"`
	Kept       string   `json:"kept,omitempty"`
	// Left is what could not be put back, once it was done.
	Left []string `json:"left,omitempty"`
}

// MaxSince is how many changed files a Rollback names.
const MaxSince = 20

// RollBack takes back import id, "" for the latest: files, attributes, packages,
// database, accounts and services are what they were before. It shows confirm what it
// would do, and does it if that returns true. A nil Rollback means that nothing was
// changed. It may be interrupted, and called again. Of o it needs Root, Runner, Stack,
// Progress.
func RollBack(ctx context.Context, o Options, id string, confirm func(*Rollback) (bool, error)) (_ *Rollback, err error) {
	o = o.complete()
	release, err := lock(o.Root)
	if err != nil {
		return nil, err
	}
	defer func() { _ = release() }()
	one, err := toRollBack(o.Root, id)
	if err != nil {
		return nil, err
	}
	b, err := newRollback(ctx, o, one)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", one.ID, err)
	}
	if ok, err := confirm(b); err != nil || !ok {
		return nil, err
	}
	o.Progress.Phase("putting back", 0)
	if err := b.keep(ctx, o.Root); err != nil {
		return nil, fmt.Errorf("keeping what was changed since: %w", err)
	}
	if err := undo(ctx, o, one.ID); err != nil {
		if o.Root.Exists(path.Join(StateDir, one.ID)) {
			return nil, fmt.Errorf("rollback: %w: %w", ErrHalfway, err)
		}
		b.Left = append(b.Left, err.Error())
	}
	return b, nil
}

// toRollBack finds the import to take back.
func toRollBack(root *host.Root, id string) (Import, error) {
	all, err := imports(root)
	if err != nil {
		return Import{}, err
	}
	for _, one := range all { // the newest first
		switch {
		case one.Phase == PhaseCleaned && one.ID == id:
			return one, fmt.Errorf("import %s: %w", id, ErrCleaned)
		case one.Phase == PhaseCleaned:
			continue
		case id != "" && one.ID != id:
			if _, err := readImport(root, id); err != nil {
				return one, err
			}
			return one, fmt.Errorf("import %s: %w: %s", id, ErrNotLatest, one.ID)
		}
		return one, nil
	}
	if id != "" {
		return Import{}, fmt.Errorf("%w: %q", ErrNoImport, id)
	}
	return Import{}, ErrNoImport
}

// newRollback reads the journal of an import.
func newRollback(ctx context.Context, o Options, one Import) (*Rollback, error) {
	b := &Rollback{Format: 1, Root: o.Root.Dir(), Import: one, Services: []string{}, Since: []string{}}
	state, err := openImport(o.Root, one.ID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = state.Close() }()
	err = readBackwards(state, func(r record) error {
		b.count(r)
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	err = eachSince(ctx, o.Root, state, func(p string) error {
		b.SinceCount++
		if len(b.Since) < MaxSince {
			b.Since = append(b.Since, p)
		}
		return nil
	})
	if b.SinceCount > 0 {
		b.Kept = path.Join(RolledBackDir, one.ID+".tar")
	}
	return b, err
}

func (b *Rollback) count(r record) {
	switch r.Op {
	case opCreate, opMkdir:
		b.Remove++
	case opReplace, opRemove:
		b.PutBack++
	case opPackages:
		b.Packages = true
	case opTables:
		b.Tables = true
	case opServices:
		b.Services = b.Services[:0]
		for _, s := range r.Services {
			if isActive(s) {
				b.Services = append(b.Services, s.Unit)
			}
		}
	default: // not counted
	}
}

// eachSince calls fn for each file that the import in state made or changed, and that
// was changed after it ended. Of an import that did not end all changes are its own.
func eachSince(ctx context.Context, root *host.Root, state *host.Dir, fn func(p string) error) error {
	changes, ended, err := readChanges(state)
	if err != nil || changes == nil {
		return err
	}
	at := near{root: root}
	defer at.close()
	look := func(p string) error {
		d, name, err := at.parent(p)
		if isGone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		st, err := d.Lstat(name)
		if err != nil || !st.IsRegular() || !later(st, ended) || slices.Contains(accountFiles(), p) { // those lose nothing
			return ignoreMissing(err)
		}
		return fn(p)
	}
	for _, p := range slices.Sorted(maps.Keys(changes)) {
		if err := errors.Join(ctx.Err(), look(p)); err != nil {
			return err
		}
	}
	return readBackwards(state, func(r record) error {
		if r.Op != opCreate && r.Op != opReplace || changes[string(r.Path)] {
			return ctx.Err()
		}
		return look(string(r.Path))
	})
}

// isGone reports whether err says that something is not there.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) }

// keep writes what was changed since the import into a tar file.
func (b *Rollback) keep(ctx context.Context, root *host.Root) (err error) {
	if b.SinceCount == 0 {
		return nil
	}
	state, err := openImport(root, b.Import.ID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	if err := root.MkdirAll(RolledBackDir, 0o700); err != nil {
		return err
	}
	d, err := root.OpenDir(RolledBackDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	name := path.Base(b.Kept)
	if _, err := d.Lstat(name); err == nil {
		return nil // a rollback that was interrupted has kept them: now they may be half of what they were
	}
	return replaceFile(d, name, func(w io.Writer) error {
		s := saver{ctx: ctx, root: root, out: archive.NewWriter(w), leave: map[string]bool{}, names: map[host.Inode]string{}}
		if err := eachSince(ctx, root, state, s.keepOne); err != nil {
			return err
		}
		return s.out.Close()
	})
}

// keepOne adds the file at p alone.
func (s *saver) keepOne(p string) error {
	parent, base, err := s.root.OpenParent(p)
	if err != nil {
		return err
	}
	_, err = s.one(parent, base, p, 0)
	if err = errors.Join(err, parent.Close()); err != nil {
		return fmt.Errorf("%s: %w", s.root.Path(p), err)
	}
	return nil
}

// ended is when everything was in place, as the filesystem has it.
func ended(state *host.Dir) (time.Time, error) {
	st, err := state.Lstat(changedFile)
	if err != nil {
		return time.Time{}, ignoreMissing(err)
	}
	return time.Unix(st.Ctim.Unix()).UTC(), nil
}
