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
	"path"
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
	// .repo file and each suite of apt.
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

// Signing is what a section of a .repo file, or a source of apt, says of
// signatures, and what was found of them. Those of packages are not checked here,
// nor those of a yum repository's metadata.
type Signing struct {
	Repo string // the section; of apt the URL, without credentials, and the suite
	// Keys are those of gpgkey, URLs without credentials, or of signed-by, files
	// and fingerprints.
	Keys []string
	// Packages and Metadata say what is to be signed: gpgcheck and repo_gpgcheck.
	// apt wants metadata signed where the source does not say otherwise.
	Packages, Metadata bool
	// Found is the signature of a suite's Release file, which vouches for its
	// packages. It is never Bad: that is an error. State is Unchecked where no
	// keys were given, and "" for a yum repository.
	Found Signature
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
	// "releasever", "basearch", "arch"; and "debarch" and "codename", what dpkg and
	// apt call the host's architecture and release: "amd64", "jammy". Without a
	// debarch packages of all are offered.
	Vars map[string]string
	// Keys are those the signatures of apt repositories are checked with. With nil
	// they are not checked, and the Listing says so.
	Keys *Keyring
	// Now is the time by which a Release file may have expired; with the zero value
	// none has.
	Now time.Time
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
//   - a directory with rpms or debs at any depth;
//   - a tarball with them, plain or packed by gzip, bzip2, xz or zstd;
//   - a .repo file, or its URL, which ends in ".repo";
//   - a source of apt in one line, "deb [OPTION=VALUE...] URL SUITE
//     COMPONENT..." or "deb URL DIRECTORY/";
//   - a file of such sources in one of its two forms, or its URL, which ends in
//     ".list" or ".sources";
//   - the URL of a repository (http, https, file): of yum, above its "repodata"; of
//     apt, flat or above its "dists", of which component main of the host's
//     release is taken;
//   - the URL of a mirror list or metalink, which has a query or the word
//     "mirrorlist" or "metalink" in its last component.
//
// Files are recognised by their content. Errors name the place without
// credentials.
func OpenSource(ctx context.Context, where string, o SourceOptions) (Source, error) {
	if o.Stall == 0 {
		o.Stall = defaultStall
	}
	if isAptLine(where) {
		return openApt([]string{where}, o)
	}
	if strings.Contains(where, "://") {
		return openURL(ctx, where, o)
	}
	return openLocal(ctx, where, o)
}

// Shown is where, a place as OpenSource takes it, for people: without the
// credentials that a URL may hold.
func Shown(where string) string {
	switch {
	case isAptLine(where):
		return aptBare(where)
	case strings.Contains(where, "://"):
		if u, err := parseURL(where); err == nil {
			return shown(u)
		}
		return "URL that cannot be used"
	}
	return where
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
	if looksLikeAptSources(where, head[:n]) {
		return openAptFile(where, f, o)
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
	openAs := map[string]func(string, io.Reader, SourceOptions) (Source, error){
		".repo": openRepoFile, ".list": openAptFile, ".sources": openAptFile,
	}[path.Ext(last)]
	if openAs != nil {
		var b []byte
		err := w.get(ctx, u, func(r io.Reader) error { b, err = readAtMost(r, maxRepoFile); return err })
		if err != nil {
			return nil, err
		}
		return openAs(shown(u), bytes.NewReader(b), o)
	}
	section := repoSection{name: shown(u), baseurl: []*url.URL{u}, guess: true}
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
