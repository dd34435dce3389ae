package restore

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
)

// makeAccounts adds a line for every account the host lacks to its own files.
func (a *applier) makeAccounts() error {
	added := map[string]string{}
	for _, acc := range a.plan.Accounts {
		gid, _ := a.owners.accounts.LookupGroup(acc.Group)
		for file, line := range accountLines(acc, gid) {
			added[file] += line
		}
	}
	// Who has a line in passwd is there, for an import that goes on: it comes last.
	for _, file := range accountFiles() {
		if added[file] == "" {
			continue
		}
		if err := a.appendTo(file, added[file]); err != nil {
			return err
		}
	}
	return nil
}

// appendTo replaces file by one with more lines, through the journal.
func (a *applier) appendTo(file, lines string) error {
	e := artifact.Entry{Path: strings.TrimPrefix(file, "/"), Type: artifact.TypeFile, Mode: 0o644}
	old, err := a.Root.ReadFile(file, 64<<20)
	shadow := strings.Contains(file, "shadow")
	switch {
	case errors.Is(err, fs.ErrNotExist) && shadow:
		return nil
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if e, err = a.describe(file); err != nil {
			return err
		}
		if lines = unknownLines(old, lines); lines == "" {
			return nil
		}
		if len(old) > 0 && old[len(old)-1] != '\n' {
			lines = "\n" + lines
		}
	}
	now := a.Now
	e.MTime = artifact.Time{Sec: now.Unix(), Nsec: int64(now.Nanosecond())}
	return a.putBytes(file, e, append(old, lines...))
}

// unknownLines returns those of lines whose name, up to the first colon, has none in
// old.
func unknownLines(old []byte, lines string) (unknown string) {
	for line := range strings.Lines(lines) {
		name, _, _ := strings.Cut(line, ":")
		if !bytes.HasPrefix(old, []byte(name+":")) && !bytes.Contains(old, []byte("\n"+name+":")) {
			unknown += line
		}
	}
	return unknown
}

// describe returns an existing file of the host as an entry with its own ids.
func (a *applier) describe(p string) (artifact.Entry, error) {
	d, name, err := a.Root.OpenParent(p)
	if err != nil {
		return artifact.Entry{}, err
	}
	defer func() { _ = d.Close() }()
	e, _, err := archive.Stat(d, name, p[1:], noNames{})
	return e, err
}

// putBytes makes content the file p with the attributes of e.
func (a *applier) putBytes(p string, e artifact.Entry, content []byte) error {
	d, err := a.work.beside(p)
	if err != nil {
		return err
	}
	e.Size, e.Digest = int64(len(content)), ""
	c := change{entry: e, path: p, slot: a.work.slot()}
	lost, err := new(archive.Maker).Create(d.Dir, c.slot, e, a.owners.of(e), bytes.NewReader(content))
	if err != nil {
		return err
	}
	a.lost.add(p, lost)
	if err := d.SyncFS(); err != nil {
		return err
	}
	return a.commit.commit(context.Background(), c)
}

// putLink makes p a symlink as e has it.
func (a *applier) putLink(ctx context.Context, p string, e artifact.Entry) error {
	d, err := a.work.beside(p)
	if err != nil {
		return err
	}
	e.Path = strings.TrimPrefix(p, "/")
	c := change{entry: e, path: p, slot: a.work.slot()}
	if _, err := new(archive.Maker).Create(d.Dir, c.slot, e, a.owners.of(e), nil); err != nil {
		return err
	}
	return a.commit.commit(ctx, c)
}
