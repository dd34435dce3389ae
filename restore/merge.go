package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/merge"
	"github.com/xcrate/xcrate/internal/stack"
)

// MergePlan is a file that is to hold lines of the host and of the snapshot.
type MergePlan struct {
	Path string    `json:"path"`
	How  stack.How `json:"how"`
	// Notes say what is added, kept and replaced, in sentences: names and addresses,
	// never a key.
	Notes []string `json:"notes"`
}

// merging is a file that the host and the snapshot have, with other content.
type merging struct {
	path   string // on the host
	how    stack.How
	number int // of the record in the catalog
	entry  artifact.Entry
	theirs []byte // what the snapshot has
}

// maxMerged bounds what is held in memory of a file: hosts of a large cluster have
// some megabytes. A larger one is replaced as any other.
const maxMerged = 16 << 20

// merges is the state of e, which has state s, where the two files become one.
func (p *planner) merges(e artifact.Entry, s state) (state, error) {
	row, ok := p.Stack.MergeOf(p.target(e), p.isHome)
	m := merging{path: p.target(e), how: row.How, number: len(p.plan.files.states) - 1, entry: e}
	switch {
	case !ok || e.Type != artifact.TypeFile || e.FileSize() > maxMerged:
		return s, nil
	case s == isSame && p.stagedBytes == nil && len(p.plan.Packages.Install)+len(p.plan.Packages.Names) > 0:
		p.mayDiffer = append(p.mayDiffer, m) // once packages are there, and the medium is not
		return s, nil
	case !s.missing():
		return s, nil
	case row.StaysOnStandby && p.Standby:
		return isKept, nil
	case s == isNew:
		return s, nil
	}
	if ours, err := p.hostBytes(m.path); err != nil || ours == nil {
		return s, err
	}
	p.merging = append(p.merging, m)
	return isMerged, nil
}

// isHome reports whether dir is the home of root. Those of others are no place to
// merge in: whoever owns one can have its paths lead elsewhere.
func (p *planner) isHome(dir string) bool {
	root, ok := p.owners.accounts.LookupUser(p.owners.accounts.User(0))
	return dir == "/root" || ok && dir == root.Home
}

// planMerges says what becomes of the files that are merged.
func (p *planner) planMerges(ctx context.Context, sums map[artifact.Kind]*FilePlan) error {
	p.plan.Merges = []MergePlan{}
	if err := errors.Join(p.readTheirs(ctx, p.merging), p.readTheirs(ctx, p.mayDiffer)); err != nil || len(p.merging) == 0 {
		return err
	}
	self, err := p.self()
	if err != nil {
		return err
	}
	for _, m := range p.merging {
		ours, err := p.hostBytes(m.path)
		if err != nil {
			return err
		}
		got := m.merge(ours, self)
		done, err := p.isMerged(m, got.Content)
		if err != nil {
			return err
		}
		if done {
			p.plan.files.states[m.number] = isSame
			sums[m.entry.Kind].Same++
			continue
		}
		sums[m.entry.Kind].Merged++
		if len(got.Notes) == 0 {
			got.Notes = []string{"comments, the order of lines, or the time of the file"}
		}
		p.plan.Merges = append(p.plan.Merges, MergePlan{Path: m.path, How: m.how, Notes: got.Notes})
		if err := p.addNeed(m.path, int64(len(got.Content))); err != nil {
			return err
		}
	}
	return nil
}

// hostBytes is what the host has of a file that is merged, nil if it has no file there,
// or a large one. Once packages are installed that is what it had before: what scripts
// add to keys and exports is theirs, not the host's.
func (p *planner) hostBytes(at string) ([]byte, error) {
	if p.own == nil && p.saved != nil {
		if err := p.readOwn(); err != nil {
			return nil, err
		}
	}
	if p.own != nil {
		return p.own[at], nil
	}
	return readSmall(p.Root, at)
}

// readSmall returns the content of the regular file at p of at most maxMerged bytes,
// nil for anything else.
func readSmall(root *host.Root, p string) ([]byte, error) {
	st, err := root.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!st.IsRegular() || st.Size > maxMerged) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := root.ReadFile(p, maxMerged)
	if err == nil && b == nil {
		b = []byte{}
	}
	return b, err
}

// readOwn reads the files that are merged from savedFile.
func (p *planner) readOwn() error {
	p.own = map[string][]byte{}
	return eachSaved(context.Background(), p.saved, func(e artifact.Entry, r io.Reader) error {
		at := "/" + e.Path
		if _, ok := p.Stack.MergeOf(at, p.isHome); !ok || e.Size > maxMerged {
			return nil
		}
		switch e.Type {
		case artifact.TypeFile:
			b, err := io.ReadAll(r)
			p.own[at] = append([]byte{}, b...)
			return err
		case artifact.TypeHardlink: // its content stands elsewhere in the file
			b, err := readSmall(p.Root, at)
			p.own[at] = b
			return err
		default:
			return nil
		}
	})
}

// isMerged reports whether the host has content already, and if that is the
// snapshot's the time of it too.
func (p *planner) isMerged(m merging, content []byte) (bool, error) {
	have, err := readSmall(p.Root, m.path)
	if err != nil || have == nil || !bytes.Equal(have, content) {
		return false, err
	}
	st, err := p.Root.Lstat(m.path)
	if err != nil || !bytes.Equal(content, m.theirs) {
		return err == nil, err
	}
	return st.Mtim.Sec == m.entry.MTime.Sec && st.Mtim.Nsec == m.entry.MTime.Nsec, nil
}

// self says who the host is. On a standby its addresses count for nothing: it gets
// the cluster's address when it takes over.
func (p *planner) self() (merge.Self, error) {
	facts, err := host.ReadFacts(p.Root)
	if err != nil {
		return merge.Self{}, err
	}
	self := merge.Self{Names: []string{facts.Name, facts.FQDN}}
	if !p.Standby {
		self.Addresses = facts.Addresses
	}
	return self, nil
}

func (m merging) merge(ours []byte, self merge.Self) merge.Result {
	switch m.how {
	case stack.MergeHosts:
		return merge.Hosts(ours, m.theirs, self)
	case stack.MergeAuthorizedKeys:
		return merge.AuthorizedKeys(ours, m.theirs)
	case stack.MergeKnownHosts:
		return merge.KnownHosts(ours, m.theirs)
	case stack.MergeExports:
		return merge.Exports(ours, m.theirs)
	default:
		return merge.Result{Content: m.theirs}
	}
}

// readTheirs fills in what the snapshot has: what was read or staged before, else
// from its layers, each part of which is read once.
func (p *planner) readTheirs(ctx context.Context, all []merging) error {
	var missing []artifact.Entry
	for i := range all {
		m := &all[i]
		if _, ok := p.theirs[m.path]; !ok && p.stagedBytes != nil {
			content, err := p.stagedBytes(m.number, m.entry)
			switch {
			case err == nil:
				p.theirs[m.path] = content
			case !errors.Is(err, fs.ErrNotExist):
				return err
			}
		}
		if _, ok := p.theirs[m.path]; !ok {
			missing = append(missing, m.entry)
		}
	}
	read, err := p.readEntries(ctx, maxMerged, missing...)
	if err != nil {
		return err
	}
	for i := range all {
		m := &all[i]
		if content, ok := read[m.entry.Path]; ok {
			p.theirs[m.path] = content
		}
		m.theirs = p.theirs[m.path]
	}
	return nil
}

// readStaged returns what is staged for e, record number n.
func (a *applier) readStaged(n int, e artifact.Entry) ([]byte, error) {
	if !a.plan.files.states[n].missing() {
		return nil, fs.ErrNotExist
	}
	w, err := a.work.beside(a.target(e))
	if err != nil {
		return nil, err
	}
	f, err := w.Open(stagedSlot(n, e))
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxMerged))
	return b, errors.Join(err, f.Close())
}

// mergeFiles merges what the host had with what the snapshot has. The files keep owner and mode, for sshd is strict about them.
func (a *applier) mergeFiles(ctx context.Context) error {
	if len(a.merging) == 0 {
		return nil
	}
	self, err := a.self()
	if err != nil {
		return err
	}
	for _, m := range a.merging {
		if err := errors.Join(ctx.Err(), a.mergeFile(m, self)); err != nil {
			return fmt.Errorf("file %s: %w", a.Root.Path(m.path), err)
		}
	}
	return nil
}

func (a *applier) mergeFile(m merging, self merge.Self) error {
	st, err := a.Root.Lstat(m.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !st.IsRegular() {
		return a.putBytes(m.path, m.entry, m.theirs)
	}
	if err != nil {
		return err
	}
	ours, err := a.hostBytes(m.path)
	if err != nil {
		return err
	}
	got := m.merge(ours, self)
	if done, err := a.isMerged(m, got.Content); err != nil || done {
		return err
	}
	e, err := a.describe(m.path)
	if err != nil {
		return err
	}
	e.MTime = artifact.Time{Sec: a.Now.Unix(), Nsec: int64(a.Now.Nanosecond())}
	if bytes.Equal(got.Content, m.theirs) {
		e.MTime = m.entry.MTime
	}
	return a.putBytes(m.path, e, got.Content)
}
