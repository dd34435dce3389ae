package restore

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
)

// What is written down when an import ends, so that a rollback, days later, takes
// back what the import did and leaves alone what others did since.
const (
	changedFile   = "changed"             // paths of the saved trees that are not as they were, a JSON string a line
	packagesAfter = "packages-after.json" // what was installed once the packages were
)

// noteChanges writes changedFile. It is the last act of an import: services and
// commands write to those trees as well.
func (a *applier) noteChanges(ctx context.Context, state *host.Dir) error {
	return replaceFile(state, changedFile, func(w io.Writer) error {
		if _, err := state.Lstat(savedFile); err != nil {
			return ignoreMissing(err)
		}
		enc := json.NewEncoder(w)
		return a.work.changed(ctx, state, a.savedTrees(), func(p string) error { return enc.Encode(rawPath(p)) })
	})
}

// readChanges returns what noteChanges wrote, and when, or nil if the import did not
// come that far: then whatever differs is its work.
func readChanges(state *host.Dir) (map[string]bool, unix.Timespec, error) {
	f, err := state.Open(changedFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, unix.Timespec{}, nil
	}
	if err != nil {
		return nil, unix.Timespec{}, err
	}
	defer func() { _ = f.Close() }() // it was only read
	st, err := state.Lstat(changedFile)
	if err != nil {
		return nil, unix.Timespec{}, err
	}
	all := map[string]bool{}
	for dec := json.NewDecoder(f); ; {
		var p rawPath
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all, st.Ctim, nil
		}
		if err != nil {
			return nil, unix.Timespec{}, err
		}
		all[string(p)] = true
	}
}

// changed calls fn for what is not as savedFile has it: paths that are other, gone,
// or new below trees.
func (w *work) changed(ctx context.Context, state *host.Dir, trees []string, fn func(p string) error) error {
	at := near{root: w.root}
	defer at.close()
	b := backer{work: w}
	err := eachSaved(ctx, state, func(e artifact.Entry, r io.Reader) error {
		same, err := b.isSame(&at, e, r)
		if err != nil || same {
			return err
		}
		return fn("/" + e.Path)
	})
	if err != nil {
		return err
	}
	return w.eachNew(ctx, state, trees, func(_ *host.Dir, _, p string) (bool, error) { return true, fn(p) })
}

// isSame reports whether the host has e as it was saved.
func (b *backer) isSame(at *near, e artifact.Entry, r io.Reader) (bool, error) {
	p := "/" + e.Path
	d, name, err := at.parent(p)
	if isGone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	have, st, err := archive.Stat(d, name, e.Path, noNames{})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, archive.ErrSocket) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if e.Type == artifact.TypeHardlink {
		to, err := b.work.root.Lstat("/" + e.Link)
		return err == nil && to.Inode() == st.Inode(), ignoreMissing(err)
	}
	if !looksSame(e, have) {
		return false, nil
	}
	differs, err := b.otherContent(d, name, e, r)
	return !differs, err
}

// savedTrees are those that savedFile holds, as the journal has them.
func (a *applier) savedTrees() (trees []string) {
	for _, p := range a.Stack.Scripts.Change {
		if at, err := a.Root.Resolve(p); err == nil && a.Root.Exists(at) {
			trees = append(trees, at)
		}
	}
	return trees
}

// later reports whether what st describes was changed after an import ended.
func later(st host.Stat, ended unix.Timespec) bool {
	return st.Ctim.Sec > ended.Sec || st.Ctim.Sec == ended.Sec && st.Ctim.Nsec > ended.Nsec
}

// removeMade removes name in d, which packages made at p, with what is in it but for
// files that are somebody's: they stay, and kept names them.
func removeMade(d *host.Dir, name, p string, stays func(p string, st host.Stat) bool) (kept []string, err error) {
	st, err := d.Lstat(name)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	if !st.IsDir() {
		if stays(p, st) {
			return []string{p}, nil
		}
		return nil, d.Remove(name)
	}
	sub, err := d.OpenDir(name)
	if err != nil {
		return nil, err
	}
	names, err := sub.Names()
	for _, n := range names {
		if err != nil {
			break
		}
		var more []string
		more, err = removeMade(sub, n, path.Join(p, n), stays)
		kept = append(kept, more...)
	}
	if err = errors.Join(err, sub.Close()); err != nil || len(kept) > 0 {
		return kept, err
	}
	return nil, d.Remove(name)
}

// wasInstalled returns what is to be installed after a rollback: what was before, but
// for what others removed or replaced since, and what came since from others.
func wasInstalled(state *host.Dir, before, now []artifact.Package) ([]artifact.Package, error) {
	var after []artifact.Package
	if err := readJSON(state, packagesAfter, &after); err != nil {
		return before, ignoreMissing(err)
	}
	ours, was, is := fullNames(after), fullNames(before), fullNames(now)
	want, others := []artifact.Package{}, map[string]bool{}
	for _, p := range now {
		if !ours[p.NEVRA()] && !was[p.NEVRA()] {
			want = append(want, p)
			others[p.Name+"."+p.Arch] = true
		}
	}
	for _, p := range before {
		removed := ours[p.NEVRA()] && !is[p.NEVRA()]
		if !removed && !others[p.Name+"."+p.Arch] {
			want = append(want, p)
		}
	}
	return want, nil
}

func fullNames(all []artifact.Package) map[string]bool {
	names := map[string]bool{}
	for _, p := range all {
		names[p.NEVRA()] = true
	}
	return names
}

// isBelow reports whether p is dir or lies below it.
func isBelow(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }
