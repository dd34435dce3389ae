package pkgmgr

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// Source is a place packages come from. It is safe for concurrent use.
type Source interface {
	// List returns what the place offers. Files are read only where no metadata
	// describes them.
	List(ctx context.Context) (Listing, error)
	// Fetch brings the file of an offer that List made, verified against the
	// digest of the metadata and those within. The package can be opened until
	// Close.
	Fetch(ctx context.Context, o Offer) (Package, error)
	// Close removes what was brought.
	Close() error
}

// Listing is what a source offers.
type Listing struct {
	// Offers are sorted by name and arch, then from the oldest to the newest.
	Offers []Offer
	// LeftOut names what looked like packages and is not offered.
	LeftOut []artifact.LeftOut
	// Damaged says of each file that was passed over what is wrong with it.
	Damaged []error
	// Signing says who is to have signed the offers, one for each section of a
	// .repo file.
	Signing []Signing
}

// Offer is a package a source can bring.
type Offer struct {
	// Package has name, epoch, version, release, arch, and File as Package has
	// it. Size is 0 where the metadata does not say; Digest is "" where the
	// metadata has another algorithm than a snapshot.
	artifact.Package
	// Where is the place of the file, for people: it holds no credentials.
	Where string

	found Package     // where there is a file already
	repo  *repository // where there is none
	file  remoteFile
}

// Signing is what a section of a .repo file says of signatures. They are not
// checked here.
type Signing struct {
	Repo               string   // the section
	Keys               []string // gpgkey: URLs, without credentials
	Packages, Metadata bool     // gpgcheck and repo_gpgcheck
}

// SourceOptions are where OpenSource works and how it reaches others. Only
// TempDir is needed.
type SourceOptions struct {
	// TempDir is a directory of this machine for what is unpacked or brought.
	TempDir string
	// CAFile holds the certificates in PEM that servers are trusted by, "" for
	// the system's.
	CAFile string
	// Proxy is that of http.Transport, nil for none.
	Proxy func(*http.Request) (*url.URL, error)
	// Stall is how long a server may send nothing, 0 for 30 seconds. Connect is
	// how long it may take to reach one, name and TLS included, 0 for Stall.
	Stall, Connect time.Duration
	// Once asks each server once, and three mirrors of a list. Otherwise what may
	// have been an accident is tried again.
	Once bool
	// Root is where file URLs lie, and the certificates that .repo files name;
	// nil for this machine. It must stay open as long as the source is.
	Root *host.Root
	// Want says which packages are offered, nil for all. It is asked by one
	// goroutine at a time, and before a file is read whole.
	Want func(artifact.Package) bool
	// Lenient passes over damaged files of a directory, see FindOptions.
	Lenient bool
	// Vars are the variables of .repo files and mirror lists by name:
	// "releasever", "basearch", "arch".
	Vars map[string]string
	// Narrow is the directory of xcat-dep that is for the host: "rh9/x86_64".
	// Where a directory or tarball has it, the rest, which holds other builds
	// of the same packages, is not offered. "" takes all.
	Narrow string

	caRoot *host.Root // of CAFile, nil for this machine
}

const defaultStall = 30 * time.Second

// onceMirrors is how many mirrors of a list are asked where each is asked once:
// behind a firewall that lets nothing but the list through all are silent.
const onceMirrors = 3

// OpenSource opens the place where, which is one of
//
//   - a directory with rpms at any depth;
//   - a tarball with rpms, plain or packed by gzip, bzip2, xz or zstd;
//   - a .repo file, or its URL, which ends in ".repo";
//   - the URL of a repository (http, https, file), above its "repodata";
//   - the URL of a mirror list or metalink, which has a query or the word
//     "mirrorlist" or "metalink" in its last component.
//
// Files are recognised by their content. Errors name the place without
// credentials.
func OpenSource(ctx context.Context, where string, o SourceOptions) (Source, error) {
	if o.Stall == 0 {
		o.Stall = defaultStall
	}
	if strings.Contains(where, "://") {
		return openURL(ctx, where, o)
	}
	return openLocal(ctx, where, o)
}

func openLocal(ctx context.Context, where string, o SourceOptions) (Source, error) {
	abs, err := filepath.Abs(where)
	if err != nil {
		return nil, fmt.Errorf("packages in %s: %w", where, err)
	}
	root, err := host.OpenRoot("/")
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	st, err := root.Stat(abs)
	switch {
	case err != nil:
		return nil, fmt.Errorf("packages in %s: %w", where, err)
	case st.IsDir():
		return openDirectory(abs, o)
	}
	f, err := openFile(root, abs)
	if err != nil {
		return nil, fmt.Errorf("packages in %s: %w", where, err)
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, maxIntro)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("packages in %s: %w", where, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("packages in %s: %w", where, err)
	}
	if looksLikeRepoFile(head[:n]) {
		return openRepoFile(where, f, o)
	}
	return openTarball(ctx, where, f, o)
}

// maxIntro is how much of a file is looked at to tell what it is.
const maxIntro = 8 << 10

// looksLikeRepoFile reports whether the first line that says something begins a
// section.
func looksLikeRepoFile(b []byte) bool {
	for line := range bytes.Lines(b) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && line[0] != ';' {
			return line[0] == '['
		}
	}
	return false
}

func openURL(ctx context.Context, where string, o SourceOptions) (Source, error) {
	u, err := parseURL(where)
	if err != nil {
		return nil, err
	}
	w, err := newWeb(o)
	if err != nil {
		return nil, err
	}
	last := u.Path[strings.LastIndexByte(u.Path, '/')+1:]
	if strings.HasSuffix(last, ".repo") {
		var b []byte
		err := w.get(ctx, u, func(r io.Reader) error { b, err = readAtMost(r, maxRepoFile); return err })
		if err != nil {
			return nil, err
		}
		return openRepoFile(shown(u), bytes.NewReader(b), o)
	}
	section := repoSection{name: shown(u), baseurl: []*url.URL{u}}
	if u.RawQuery != "" || strings.Contains(last, "mirrorlist") || strings.Contains(last, "metalink") {
		section = repoSection{name: shown(u), lists: []*url.URL{u}}
	}
	return openRepositories([]repoSection{section}, o)
}

// sortOffers sorts as Listing has it.
func sortOffers(all []Offer) {
	slices.SortStableFunc(all, func(a, b Offer) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Arch, b.Arch), CompareEVR(a.Package, b.Package))
	})
}

// readAtMost reads r to its end, which must come within limit bytes.
func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = tooLarge(limit)
	}
	return b, err
}

func tooLarge(limit int64) error { return fmt.Errorf("more than %d bytes", limit) }
