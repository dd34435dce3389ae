package restore

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
)

// maxSpare is what a filesystem should have left after an import, a twentieth
// of it if it is small.
const maxSpare = 64 << 20

func (p *planner) checkSpace() error {
	p.plan.Space = []Space{}
	for _, s := range p.need {
		d, err := p.Root.OpenDir(strings.TrimPrefix(s.Mount, strings.TrimSuffix(p.Root.Dir(), "/")))
		if err != nil {
			return err
		}
		free, total, err := d.Space()
		_ = d.Close()
		if err != nil {
			return err
		}
		s.Free = free
		p.plan.Space = append(p.plan.Space, *s)
		if spare := min(maxSpare, total/20); s.Need+spare > s.Free {
			p.find(CodeSpace, Block, "free "+size(s.Need+spare-s.Free)+" there",
				"%s has %s free, the import needs %s and %s to spare", s.Mount, size(s.Free), size(s.Need), size(spare))
		}
	}
	slices.SortFunc(p.plan.Space, func(a, b Space) int { return strings.Compare(a.Mount, b.Mount) })
	return nil
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// rollbackSpace counts what lies beside the journal while an import runs: the
// trees that package scripts change, the snapshot's tables, and what a server held.
// Files that are replaced keep their blocks under a second name, so they need none.
func (p *planner) rollbackSpace(ctx context.Context) error {
	if p.plan.Empty() {
		return nil
	}
	if len(p.plan.Packages.Install)+len(p.plan.Packages.Names) > 0 && p.manager != nil {
		n, err := p.savedSize(ctx)
		if err != nil {
			return err
		}
		if err := p.addNeed(path.Join(StateDir, "x"), n); err != nil {
			return err
		}
	}
	if p.goal == nil {
		return nil
	}
	tables, _ := p.snapshot.Config.Kind(artifact.KindDatabase)
	var need int64
	if len(p.plan.Database.Restore) == 0 { // else they are counted with what is made of them
		need = tables.Bytes
	}
	if p.goal.to.Engine != database.EngineSQLite {
		need += p.dumpSize(tables.Bytes)
	}
	return p.addNeed(path.Join(StateDir, "x"), need)
}

// perRow is what a row of a dump takes, about, where nothing tells.
const perRow = 256

// dumpSize is what a dump of the server's tables takes, about: its rows are as long
// as those of the snapshot, whose dump has size bytes.
func (p *planner) dumpSize(size int64) int64 {
	var here, rows int64
	for _, n := range p.checked.hostTables {
		here += n
	}
	for _, t := range p.snapshot.Config.Database.Tables {
		rows += t.Rows
	}
	each := int64(perRow)
	if rows > 0 {
		each = max(each, size/rows)
	}
	return here * each
}

// savedSize is the size of saved.tar, about: a header for each entry, and contents
// in blocks of 512 bytes.
func (p *planner) savedSize(ctx context.Context) (n int64, err error) {
	seen := map[host.Inode]bool{}
	for _, tree := range p.Stack.Scripts.Change {
		at, err := p.Root.Resolve(tree)
		if err == nil {
			var st host.Stat
			if st, err = p.Root.Lstat(at); err == nil && st.IsDir() {
				err = p.treeSize(ctx, at, st.Dev, seen, &n)
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return n, err
		}
	}
	return n, nil
}

// treeSize adds what tar makes of dir and all below it on filesystem dev.
func (p *planner) treeSize(ctx context.Context, dir string, dev uint64, seen map[host.Inode]bool, n *int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d, err := p.Root.OpenDir(dir)
	if err != nil {
		return err
	}
	names, err := d.Names()
	var below []string
	for _, name := range names {
		st, statErr := d.Lstat(name)
		if errors.Is(statErr, fs.ErrNotExist) {
			continue
		}
		if statErr != nil {
			err = errors.Join(err, statErr)
			break
		}
		const block = 512
		*n += 3 * block // attributes have a header of their own
		switch {
		case st.IsDir() && st.Dev == dev:
			below = append(below, path.Join(dir, name))
		case st.IsRegular() && !seen[st.Inode()]:
			*n += (st.Size + block - 1) / block * block
		}
		if st.Nlink > 1 && !st.IsDir() {
			seen[st.Inode()] = true
		}
	}
	if err := errors.Join(err, d.Close()); err != nil {
		return err
	}
	for _, b := range below {
		if err := p.treeSize(ctx, b, dev, seen, n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
