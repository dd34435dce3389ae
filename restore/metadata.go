package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// metadataDirs are the directories of the repository that a package manager
// needs to say whether it could install from it.
var metadataDirs = []string{"repodata", "keys"}

func isMetadata(p string) bool {
	for _, dir := range metadataDirs {
		if path.Dir(p) == dir {
			return true
		}
	}
	return false
}

// metadata unpacks the repository's metadata into a private directory for
// temporary files in the root, where the root's own package manager sees it. dir
// is its path in the root.
func (p *planner) metadata(ctx context.Context) (dir string, remove func() error, err error) {
	parts, err := p.metadataParts(ctx)
	if err != nil {
		return "", nil, err
	}
	top := "/tmp"
	if p.Root.Exists("/var/tmp") {
		top = "/var/tmp"
	}
	if top, err = p.Root.Resolve(top); err != nil {
		return "", nil, err
	}
	made, remove, err := host.TempDirIn(p.Root.Path(top))
	if err != nil {
		return "", nil, err
	}
	dir = path.Join(top, path.Base(made))
	for _, name := range metadataDirs {
		err = errors.Join(err, p.Root.MkdirAll(path.Join(dir, name), 0o700))
	}
	for _, part := range parts {
		if err == nil {
			err = p.unpackMetadata(ctx, part, dir)
		}
	}
	if err != nil {
		return "", nil, errors.Join(err, remove())
	}
	return dir, remove, nil
}

// metadataParts are the numbers of the parts that hold metadata.
func (p *planner) metadataParts(ctx context.Context) (parts []int, err error) {
	err = p.snapshot.Catalog(ctx, p.fetcher, func(e artifact.Entry) error {
		if e.Kind == artifact.KindPackages && isMetadata(e.Path) && (len(parts) == 0 || parts[len(parts)-1] != e.Part) {
			parts = append(parts, e.Part)
		}
		return nil
	})
	return parts, err
}

func (p *planner) unpackMetadata(ctx context.Context, part int, dir string) (err error) {
	layers := p.snapshot.Layers(artifact.KindPackages)
	if part < 1 || part > len(layers) {
		return fmt.Errorf("part %d: in the catalog, not in the manifest, which lists %d", part, len(layers))
	}
	l, err := artifact.OpenLayer(ctx, p.fetcher, layers[part-1])
	if err != nil {
		return err
	}
	defer l.End(ctx, &err)
	for {
		e, r, err := l.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if e.Type != artifact.TypeFile || !isMetadata(e.Path) || strings.HasPrefix(path.Base(e.Path), ".") {
			continue
		}
		if err := p.writeMetadata(path.Join(dir, e.Path), r); err != nil {
			return err
		}
	}
}

func (p *planner) writeMetadata(at string, r io.Reader) (err error) {
	d, name, err := p.Root.OpenParent(at)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
