package layers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/progress"
	"github.com/xcrate/xcrate/internal/stack"
)

// Sink takes blobs. layout's Writer is one.
type Sink interface {
	// PutBlob stores what write writes and returns its descriptor. An error of
	// write is returned and nothing is stored. It may be called several times
	// at once.
	PutBlob(ctx context.Context, mediaType string, write func(io.Writer) error) (ocispec.Descriptor, error)
}

// Options say what to capture and how. Root and Stack are required.
type Options struct {
	Root  *host.Root
	Stack stack.Stack
	// Packages are directories of this machine searched for package files. With
	// none given, the places the stack knows are searched on the host.
	Packages []string
	// NoPackages captures no packages at all.
	NoPackages bool
	Runner     host.Runner
	// Skip are directories that are not captured wherever they lie: the
	// destination of the export itself.
	Skip map[host.Inode]bool
	// TempDir is a directory of this machine for private copies of database
	// files that cannot be read in place.
	TempDir string
	Tool    string // name and version, for the config
	Now     time.Time
	// Services tells the state of a unit; nil leaves them out.
	Services func(ctx context.Context, root *host.Root, roles []stack.Service) ([]artifact.Service, error)
	Progress progress.Sink // nil for none
	// Workers is how many parts are written side by side, 0 for one per core.
	// The result does not depend on it.
	Workers int
}

// ErrNoPackages is wrapped when no package that an import would install was
// found anywhere.
var ErrNoPackages = errors.New("no packages of the stack found")

// Capture writes all layers of the host to sink, and returns the config and
// the layers' descriptors, ready for artifact.Pack. On error the sink may hold
// blobs that nothing refers to.
func Capture(ctx context.Context, sink Sink, o Options) (artifact.Config, []ocispec.Descriptor, error) {
	if o.Progress == nil {
		o.Progress = progress.None()
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	c := &capture{sink: sink, o: o, entries: map[artifact.Kind][]artifact.Entry{}}
	c.config = artifact.Config{Format: artifact.FormatVersion, Created: o.Now.UTC(), Tool: o.Tool}
	if err := c.run(ctx); err != nil {
		return artifact.Config{}, nil, err
	}
	return c.config, c.layers, nil
}

// capture is one run: what the steps hand to each other.
type capture struct {
	sink     Sink
	o        Options
	bound    *stack.Bound
	accounts *host.Accounts
	config   artifact.Config
	layers   []ocispec.Descriptor
	entries  map[artifact.Kind][]artifact.Entry // written, for the catalog
}

func (c *capture) run(ctx context.Context) error {
	if err := c.o.Stack.CheckMarkers(c.o.Root.Exists); err != nil {
		return fmt.Errorf("root %s: %w", c.o.Root.Dir(), err)
	}
	if err := c.readFacts(); err != nil {
		return err
	}
	if err := c.database(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if err := c.packages(ctx); err != nil {
		return fmt.Errorf("packages: %w", err)
	}
	found, err := c.scan(ctx)
	if err != nil {
		return err
	}
	if err := c.trees(ctx, found); err != nil {
		return err
	}
	c.listAccounts()
	if c.o.Services != nil {
		if c.config.Services, err = c.o.Services(ctx, c.o.Root, c.o.Stack.Services); err != nil {
			return fmt.Errorf("services: %w", err)
		}
	}
	return c.catalog(ctx)
}

func (c *capture) readFacts() (err error) {
	if c.config.Host, err = host.ReadFacts(c.o.Root); err != nil {
		return err
	}
	if c.config.Host.Distro.ID == host.UnknownDistro {
		c.warn("%s has no os-release: the distro is unknown, and an import cannot check it", c.o.Root.Dir())
	}
	c.accounts, err = host.ReadAccounts(c.o.Root)
	return err
}

func (c *capture) warn(format string, args ...any) {
	c.config.Warnings = append(c.config.Warnings, fmt.Sprintf(format, args...))
}

func (c *capture) leaveOut(l artifact.LeftOut) {
	c.config.LeftOut = append(c.config.LeftOut, l)
}

// layer writes kind k as one layer: fill adds the entries.
func (c *capture) layer(ctx context.Context, k artifact.Kind, mediaType string, fill func(*layerWriter) error) error {
	p, err := c.write(ctx, k, 1, mediaType, fill)
	if err != nil {
		return err
	}
	c.keep(k, []part{p})
	return nil
}

// part is a layer that was written.
type part struct {
	desc    ocispec.Descriptor
	entries []artifact.Entry
	changed []string // files that were not the same before and after they were read
}

// write writes part number n of kind k. It touches nothing the parts share, so
// several may be written side by side.
func (c *capture) write(ctx context.Context, k artifact.Kind, n int, mediaType string, fill func(*layerWriter) error) (p part, err error) {
	p.desc, err = c.sink.PutBlob(ctx, mediaType, func(w io.Writer) (err error) {
		if mediaType == artifact.TypeTarZstd {
			z, zerr := artifact.NewZstdWriter(w)
			if zerr != nil {
				return zerr
			}
			defer func() {
				if cerr := z.Close(); err == nil { // after an error it only says the same again
					err = cerr
				}
			}()
			w = z
		}
		lw := &layerWriter{ctx: ctx, tar: archive.NewWriter(w), kind: k, part: n, progress: c.o.Progress}
		if err := fill(lw); err != nil {
			return err
		}
		p.entries, p.changed = lw.entries, lw.changed
		return lw.tar.Close()
	})
	return p, err
}

// keep takes the parts of kind k into manifest, catalog and config.
func (c *capture) keep(k artifact.Kind, parts []part) {
	sum := artifact.KindSum{Kind: k, Parts: len(parts)}
	for i, p := range parts {
		c.layers = append(c.layers, artifact.LayerDescriptor(p.desc, k, i+1, len(parts)))
		c.entries[k] = append(c.entries[k], p.entries...)
		c.config.Changed = append(c.config.Changed, p.changed...)
		sum.Stored += p.desc.Size
	}
	for _, e := range c.entries[k] {
		sum.Entries++
		sum.Bytes += e.Size
		if e.Type == artifact.TypeFile {
			sum.Files++
		}
	}
	c.config.Kinds = append(c.config.Kinds, sum)
}

// layerWriter adds entries to one layer and remembers them.
type layerWriter struct {
	ctx      context.Context
	tar      *archive.Writer
	kind     artifact.Kind
	part     int
	entries  []artifact.Entry
	changed  []string
	progress progress.Sink
}

func (w *layerWriter) done(e artifact.Entry) {
	e.Kind, e.Part = w.kind, w.part
	w.entries = append(w.entries, e)
	w.progress.Add(e.Size)
}

// add writes an entry that is not a file of the host.
func (w *layerWriter) add(e artifact.Entry, r io.Reader) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	e, err := w.tar.Add(e, r)
	if err != nil {
		return err
	}
	w.done(e)
	return nil
}

// made returns the entry of a file that the snapshot itself brings: owned by
// root, with a time that says nothing of the clock.
func made(path string, size int64, mode uint32, mtime artifact.Time) artifact.Entry {
	return artifact.Entry{
		Path: path, Type: artifact.TypeFile, Mode: mode, Size: size,
		User: "root", Group: "root", MTime: mtime,
	}
}

// catalog writes the catalog layer: all entries in manifest order.
func (c *capture) catalog(ctx context.Context) error {
	slices.SortFunc(c.config.Kinds, func(a, b artifact.KindSum) int {
		return slices.Index(artifact.Kinds(), a.Kind) - slices.Index(artifact.Kinds(), b.Kind)
	})
	desc, err := c.sink.PutBlob(ctx, artifact.TypeCatalog, func(w io.Writer) error {
		cat, err := artifact.NewCatalogWriter(w)
		if err != nil {
			return err
		}
		for _, k := range artifact.Kinds() {
			for _, e := range c.entries[k] {
				if err := cat.Write(e); err != nil {
					return err
				}
			}
		}
		return cat.Close()
	})
	if err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	c.layers = append(c.layers, artifact.LayerDescriptor(desc, artifact.KindCatalog, 1, 1))
	return nil
}

// addBytes writes content as file path.
func (w *layerWriter) addBytes(path string, content []byte, mode uint32, mtime artifact.Time) error {
	return w.add(made(path, int64(len(content)), mode, mtime), bytes.NewReader(content))
}
