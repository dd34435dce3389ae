package layers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/progress"
	"github.com/xcrate/xcrate/internal/stack"
)

// Sink takes blobs. layout's Writer is one. Its methods may be called several
// times at once.
type Sink interface {
	// PutBlobLike stores what write writes and returns its descriptor. An error
	// of write is returned and nothing is stored. The blob may well be like, an
	// earlier one.
	PutBlobLike(ctx context.Context, mediaType string, like ocispec.Descriptor, write func(io.Writer) error) (ocispec.Descriptor, error)
	// Has reports whether the blob of desc is there, going by name and size.
	Has(desc ocispec.Descriptor) bool
	// Push stores what r holds as the blob of desc.
	Push(ctx context.Context, desc ocispec.Descriptor, r io.Reader) error
}

// Options say what to capture and how. Root and Stack are required.
type Options struct {
	Root  *host.Root
	Stack stack.Stack
	// Packages are places of package files, as pkgmgr.OpenSource takes them. With
	// none given, or with Auto, those that the stack and the host's package
	// managers know come after them.
	Packages []string
	Auto     bool
	// AllPackages takes all that the stack's own places offer, not only what is
	// installed.
	AllPackages bool
	// Repository is the directory of the host in which an import left packages.
	Repository string
	// CAFile and Proxy say how servers of packages are reached: see
	// pkgmgr.SourceOptions.
	CAFile string
	Proxy  func(*http.Request) (*url.URL, error)
	// NoPackages captures no packages at all.
	NoPackages bool
	// AllowMissing goes on without packages that are installed and found nowhere.
	AllowMissing bool
	Runner       host.Runner
	// XCATCFG is the environment variable of this name, which tells xCAT where its
	// database is before anything else does.
	XCATCFG string
	// DatabaseServer is where the host's database server answers, HOST[:PORT] or
	// the path of its socket, if it is not where the host's own files say.
	DatabaseServer string
	// WithLogs takes the tables too that the stack leaves out.
	WithLogs bool
	// Access lists who the database server lets in besides the host, and what of
	// that could not be told; nil leaves it out.
	Access func(ctx context.Context, root *host.Root, where database.Location) (access, warnings []string, err error)
	// Skip are directories that are not captured wherever they lie: the
	// destination of the export itself.
	Skip map[host.Inode]bool
	// Mounts are paths of the host below which the walk goes on although another
	// filesystem is mounted there.
	Mounts []string
	// IgnoreUnreadable goes on without what cannot be read, and lists it.
	IgnoreUnreadable bool
	// TempDir is a directory of this machine for private copies of database
	// files that cannot be read in place, and for the catalog until it is whole.
	TempDir string
	Tool    string // name and version, for the config
	Now     time.Time
	// Services tells the state of a unit; nil leaves them out.
	Services    func(ctx context.Context, root *host.Root, roles []stack.Service) ([]artifact.Service, error)
	Progress    progress.Sink // nil for none
	Compression Compression
	// WithoutSecrets captures what somebody may see who must not have the secrets: no
	// kind secrets, and no value or file in which one was found. It restores nothing.
	WithoutSecrets bool
	// Seal says what is sealed; nil seals nothing.
	Seal *Seal
	// Base is where unchanged parts are taken from, nil for nowhere.
	Base *Base
	// Settle is how long a file must have been left alone before Now for its
	// times to be believed.
	Settle time.Duration
	// Like tells which blob part n of kind k may well be, going by an export that did
	// not end, and Written hears of each part that is stored. Both may be nil.
	Like    func(k artifact.Kind, n int) ocispec.Descriptor
	Written func(k artifact.Kind, n int, desc ocispec.Descriptor)
	// Room is asked, before packages and before files are written, whether there is
	// space for about need bytes more in so many blobs; an error ends the capture. nil
	// asks nobody.
	Room func(need int64, blobs int) error
	// Workers is how many parts are written side by side, 0 for one per core.
	// The result does not depend on it.
	Workers int

	limits limits // zero but in tests
}

// Captured is what Capture wrote.
type Captured struct {
	Config artifact.Config
	Layers []ocispec.Descriptor // ready for artifact.Pack
	Known  Known                // for the next capture of the host
	// Contents are those of the sealed layers, for the next capture.
	Contents Known
	// Places are where packages were found, in the order they were looked into.
	Places []Place
	// Reused counts the layers taken over from the base, and their bytes.
	Reused      int
	ReusedBytes int64
}

// Capture writes all layers of the host to sink, and returns the config and
// the layers' descriptors. On error the sink may hold blobs that nothing refers
// to.
func Capture(ctx context.Context, sink Sink, o Options) (_ *Captured, err error) {
	if o.Progress == nil {
		o.Progress = progress.None()
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.WithoutSecrets {
		o.Base = nil // whose parts have files that are left out here
	}
	if o.limits == (limits{}) {
		o.limits = limits{part: maxPart, piece: pieceSize}
	}
	c := &capture{sink: sink, o: o, parts: map[artifact.Kind][]part{}, credentials: map[string]bool{}}
	c.config = artifact.Config{Format: artifact.FormatVersion, Created: o.Now.UTC(), Tool: o.Tool}
	if c.spool, err = newSpool(o.TempDir); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.spool.close()) }()
	if err := c.run(ctx); err != nil {
		return nil, err
	}
	c.result.Config = c.config
	return &c.result, nil
}

// capture is one run: what the steps hand to each other.
type capture struct {
	sink     Sink
	o        Options
	bound    *stack.Bound
	accounts *host.Accounts
	// credentials are the paths, as entries have them, where accounts keep theirs.
	credentials map[string]bool
	config      artifact.Config
	result      Captured
	parts       map[artifact.Kind][]part // written, for the catalog
	spool       *spool
	hider       *hider     // nil unless secrets are left out
	mu          sync.Mutex // guards result.Contents, as parts are written side by side
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
	c.sortLeftOut()
	if c.o.Services != nil {
		roles := slices.Concat(c.o.Stack.Services, c.o.Stack.Scripts.Guards)
		if c.config.Services, err = c.o.Services(ctx, c.o.Root, roles); err != nil {
			return fmt.Errorf("services: %w", err)
		}
	}
	return c.catalog(ctx)
}

func (c *capture) sortLeftOut() {
	slices.SortFunc(c.config.LeftOut, func(a, b artifact.LeftOut) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.What, b.What))
	})
	// Of a file in pieces, each may have been unreadable.
	c.config.LeftOut = slices.CompactFunc(c.config.LeftOut, func(a, b artifact.LeftOut) bool {
		return a.Path == b.Path && a.What == whatUnreadable && b.What == whatUnreadable
	})
	for _, l := range c.config.LeftOut {
		if l.What == whatUnreadable {
			c.config.Unreadable = append(c.config.Unreadable, l.Path)
		}
	}
}

func (c *capture) readFacts() (err error) {
	if c.config.Host, err = host.ReadFacts(c.o.Root); err != nil {
		return err
	}
	if c.config.Host.Distro.ID == host.UnknownDistro {
		c.warn("%s has no os-release: the distro is unknown, and an import cannot check it", c.o.Root.Dir())
	}
	if c.accounts, err = host.ReadAccounts(c.o.Root); err != nil || c.o.Stack.Credentials == "" {
		return err
	}
	for _, u := range c.accounts.Users() {
		c.credentials[c.credentialsOf(u)] = true
	}
	return nil
}

func (c *capture) warn(format string, args ...any) {
	c.config.Warnings = append(c.config.Warnings, fmt.Sprintf(format, args...))
}

func (c *capture) leaveOut(l artifact.LeftOut) {
	c.config.LeftOut = append(c.config.LeftOut, l)
}

// layer writes kind k as one layer: fill adds the entries.
func (c *capture) layer(ctx context.Context, k artifact.Kind, fill func(*partWriter) error) error {
	p, err := c.write(ctx, k, 1, artifact.TypeTarZstd, fill)
	if err != nil {
		return err
	}
	c.keep(k, []part{p})
	return nil
}

// keep takes the parts of kind k into manifest, catalog and config.
func (c *capture) keep(k artifact.Kind, parts []part) {
	sum := artifact.KindSum{Kind: k, Parts: len(parts)}
	for i, p := range parts {
		c.result.Layers = append(c.result.Layers, artifact.LayerDescriptor(p.desc, k, i+1, len(parts)))
		c.config.Changed = append(c.config.Changed, p.changed...)
		c.config.LeftOut = append(c.config.LeftOut, p.left...)
		sum.Entries += p.sum.Entries
		sum.Files += p.sum.Files
		sum.Bytes += p.sum.Bytes
		sum.Stored += p.desc.Size
		if p.reused {
			c.result.Reused++
			c.result.ReusedBytes += p.desc.Size
		}
	}
	c.config.Changed = slices.Compact(c.config.Changed) // a file in pieces may be in several
	c.config.Kinds = append(c.config.Kinds, sum)
	c.parts[k] = parts
}

// catalog writes the catalog layer: all records in manifest order.
func (c *capture) catalog(ctx context.Context) error {
	slices.SortFunc(c.config.Kinds, func(a, b artifact.KindSum) int {
		return slices.Index(artifact.Kinds(), a.Kind) - slices.Index(artifact.Kinds(), b.Kind)
	})
	desc, err := c.sink.PutBlobLike(ctx, artifact.TypeCatalog, ocispec.Descriptor{}, func(w io.Writer) error {
		for _, k := range artifact.Kinds() {
			for _, p := range c.parts[k] {
				if err := c.spool.copy(w, p.records); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	c.result.Layers = append(c.result.Layers, artifact.LayerDescriptor(desc, artifact.KindCatalog, 1, 1))
	return nil
}

// listAccounts writes down the accounts that own entries, and those whose
// credentials were taken, so that an import finds or makes them by name.
func (c *capture) listAccounts() {
	users, groups, homes := map[string]int{}, map[string]int{}, map[string]bool{}
	for _, parts := range c.parts {
		for _, p := range parts {
			maps.Copy(users, p.users)
			maps.Copy(groups, p.groups)
			maps.Copy(homes, p.homes)
		}
	}
	for _, u := range c.accounts.Users() {
		if homes[c.credentialsOf(u)] {
			users[u.Name] = u.UID
		}
	}
	for name := range users {
		if u, ok := c.accounts.LookupUser(name); ok {
			if g := c.accounts.Group(u.GID); g != "" {
				groups[g] = u.GID
			}
		}
	}
	c.config.Accounts = accountList(c.accounts, users, groups)
}

// credentialsOf is where account u keeps its credentials, as an entry has it.
func (c *capture) credentialsOf(u host.User) string {
	return path.Join(rel(u.Home), c.o.Stack.Credentials)
}
