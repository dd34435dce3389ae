package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/pkgmgr"
)

// BeforeSuffix ends the names of copies of the host's own files that lie beside
// those that replaced them.
const BeforeSuffix = ".before-xcrate"

// Conflict is a file of the host that somebody changed, and that the import
// replaces.
type Conflict struct {
	Path string `json:"path"`
	// KeptAs is the copy beside it. "" means that there is none, as a file of any
	// name would count there or an older copy stays: the original is kept with what
	// else the import replaces.
	KeptAs string `json:"kept_as,omitempty"`
}

// contender is a file of the host below /etc that is to be replaced.
type contender struct {
	path  string
	comes artifact.Entry
}

// contend notes e, which has state s, if somebody may want the host's file back.
func (p *planner) contend(e artifact.Entry, s state) {
	at := p.target(e)
	if s != isChanged || e.Kind != artifact.KindConfig && e.Kind != artifact.KindSecrets || !strings.HasPrefix(at, "/etc/") {
		return
	}
	for tree := range p.mirrored.roots {
		if strings.HasPrefix(at, tree+"/") {
			return // an identity is replaced as a whole, or not at all
		}
	}
	p.contenders = append(p.contenders, contender{path: at, comes: e})
}

// conflicts are the files among the contenders that are no package's, or not as
// their package had them. An import that replaces what the last one placed, night
// by night, must not leave a copy each time: only what was changed since counts.
// What scripts of packages make during the import is nobody's, so this is asked
// once, before.
func (p *planner) conflicts(ctx context.Context) error {
	p.plan.Conflicts = []Conflict{}
	if open, err := Unfinished(p.Root); err != nil || open != nil {
		return err // that import has kept them when it began; scripts have changed files since
	}
	last, err := lastImport(p.Root)
	if err != nil {
		return err
	}
	var changed []string
	for _, c := range p.contenders {
		is, err := p.changedSince(c, last)
		if err != nil {
			return fmt.Errorf("file %s: %w", p.Root.Path(c.path), err)
		}
		if is {
			changed = append(changed, c.path)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	same, err := pkgmgr.Pristine(ctx, p.Root, p.TempDir, changed)
	if err != nil && !errors.Is(err, pkgmgr.ErrNone) {
		return fmt.Errorf("changed files: %w", err)
	}
	for _, at := range changed {
		if same[at] {
			continue
		}
		c := Conflict{Path: at, KeptAs: at + BeforeSuffix}
		if p.Stack.CountsEveryFile(at) || p.Root.Exists(c.KeptAs) {
			c.KeptAs = ""
		}
		p.plan.Conflicts = append(p.plan.Conflicts, c)
	}
	return nil
}

// changedSince reports whether the host's file holds something that would be lost,
// and was changed after last, in what nobody can set back: its change time.
func (p *planner) changedSince(c contender, last time.Time) (bool, error) {
	d, name, err := p.Root.OpenParent(c.path)
	if err != nil {
		return false, err
	}
	defer func() { _ = d.Close() }()
	st, err := d.Lstat(name)
	if err != nil || !st.IsRegular() || st.Size == 0 || !time.Unix(st.Ctim.Unix()).After(last) {
		return false, err
	}
	if st.Size != c.comes.FileSize() || c.comes.Digest == "" {
		return true, nil
	}
	f, err := d.Open(name)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	sum := artifact.NewDigester()
	_, err = io.Copy(sum, f)
	return !p.snapshot.Key.Matches(c.comes, sum.Sum()), err
}

// lastImport is when the last import into root had come to its end, the zero time if
// there was none, as the filesystem has it, which has change times as well.
func lastImport(root *host.Root) (last time.Time, err error) {
	ids, err := importIDs(root)
	if err != nil {
		return last, err
	}
	for _, id := range ids {
		t, err := endOf(root, id)
		if err != nil {
			return last, fmt.Errorf("import %s: %w", id, err)
		}
		if t.After(last) {
			last = t
		}
	}
	return last, nil
}

// endOf is when import id had come to its end, or everything was in place, the rest
// being for the first boot; the zero time if it has not come that far.
func endOf(root *host.Root, id string) (t time.Time, err error) {
	state, err := openImport(root, id)
	if err != nil {
		return t, err
	}
	defer func() { _ = state.Close() }()
	if t, err = ended(state); err != nil || !t.IsZero() {
		return t, err
	}
	phase, err := phaseOf(state)
	if err != nil || phase != PhaseWaiting && phase != PhaseStarting {
		return t, err
	}
	st, err := state.Lstat(journalFile)
	return time.Unix(st.Mtim.Unix()), err
}

// keepConflicts copies files that somebody changed beside themselves, before
// scripts of packages may change them again. A copy, as another name would follow
// whoever writes to the file in its place.
func (a *applier) keepConflicts(ctx context.Context) error {
	for _, c := range a.plan.Conflicts {
		if c.KeptAs == "" {
			continue
		}
		if err := errors.Join(ctx.Err(), a.keepBeside(ctx, c)); err != nil {
			return fmt.Errorf("file %s: %w", a.Root.Path(c.Path), err)
		}
	}
	return nil
}

func (a *applier) keepBeside(ctx context.Context, c Conflict) (err error) {
	d, name, err := a.Root.OpenParent(c.Path)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	e, _, f, err := archive.Open(d, name, c.Path[1:], noNames{})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since the plan: nothing is lost
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w, err := a.work.beside(c.KeptAs)
	if err != nil {
		return err
	}
	ch := change{entry: e, path: c.KeptAs, slot: a.work.slot()}
	lost, err := new(archive.Maker).Create(w.Dir, ch.slot, e, archive.Owner{UID: e.UID, GID: e.GID, AsIs: !isRoot()}, f)
	if err != nil {
		return err
	}
	a.lost.add(c.KeptAs, lost)
	if err := w.SyncFS(); err != nil {
		return err
	}
	return a.commit.commit(ctx, ch)
}
