package restore

import (
	"bytes"
	"context"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
)

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
	if err := archive.Create(d.Dir, c.slot, e, bytes.NewReader(content)); err != nil {
		return err
	}
	if err := d.SyncFS(); err != nil {
		return err
	}
	return a.commit.commit(context.Background(), []change{c})
}
