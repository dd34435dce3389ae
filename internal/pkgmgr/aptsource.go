package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/artifact"
)

// maxRelease bounds a Release file: Debian's have less than a megabyte.
const maxRelease = 32 << 20

// listGuessed lists a repository of which nothing but its URL is known, and which
// is none of yum: a flat one of apt, or the host's suite of one.
func (r *repository) listGuessed(ctx context.Context, yum error, temp string, l *Listing) error {
	guesses := []aptSuite{{dir: ".", flat: true}}
	if codename := r.o.Vars["codename"]; codename != "" {
		guesses = append(guesses, aptSuite{dir: codename, components: []string{"main"}})
	}
	for _, s := range guesses {
		release, err := r.release(ctx, s)
		if err == nil {
			err = r.listSuite(ctx, s, release, temp, l)
			if err != nil && !release.assumed {
				return err // what it lists must be there
			}
		}
		if !isAbsent(err) {
			return err
		}
	}
	return fmt.Errorf("%w; and no Release file of apt", yum)
}

// listApt adds what a suite offers.
func (r *repository) listApt(ctx context.Context, s aptSuite, temp string, l *Listing) error {
	release, err := r.release(ctx, s)
	if err != nil {
		return err
	}
	return r.listSuite(ctx, s, release, temp, l)
}

func (r *repository) listSuite(ctx context.Context, s aptSuite, release aptRelease, temp string, l *Listing) error {
	at, err := r.mirrors(ctx)
	if err != nil {
		return err
	}
	list := aptListing{repo: r, at: at, temp: temp, top: s.top(), release: release, l: l, seen: map[string]digest.Digest{}, others: map[string]int{}}
	arches := release.wants(s, r.o.Vars["debarch"])
	if s.arches != nil || r.o.Vars["debarch"] != "" {
		list.arches = arches
	}
	if s.flat {
		err = list.read(ctx, release.index(""))
	} else {
		err = list.readComponents(ctx, s.components, arches)
	}
	if err != nil {
		return err
	}
	list.reportOthers()
	l.Signing = append(l.Signing, Signing{Repo: r.name, Keys: s.signedBy, Metadata: !s.unsigned, Found: release.signature})
	return nil
}

// release brings the Release file of a suite and checks its signature. A flat
// repository need not have one: then its index is assumed, and nothing vouches for
// it.
func (r *repository) release(ctx context.Context, s aptSuite) (aptRelease, error) {
	var text []byte
	var sig Signature
	name := s.top() + "InRelease"
	err := r.get(ctx, name, func(in io.Reader) error {
		b, err := readAtMost(in, maxRelease)
		if err == nil {
			text, sig, err = r.o.Keys.openSigned(b)
		}
		return err
	})
	if isAbsent(err) {
		name = s.top() + "Release"
		text, sig, err = r.detached(ctx, name)
	}
	if isAbsent(err) && s.flat {
		return assumedRelease(), nil
	}
	if err != nil {
		return aptRelease{}, err
	}
	release, err := parseRelease(text)
	if err == nil && !s.forever {
		err = release.expired(r.o.Now)
	}
	if err != nil {
		return aptRelease{}, fmt.Errorf("%s: %w", name, err)
	}
	release.signature = sig
	return release, nil
}

// detached brings a Release file whose signature, if there is one, is another
// file.
func (r *repository) detached(ctx context.Context, name string) (text []byte, sig Signature, err error) {
	read := func(name string) (b []byte, err error) {
		err = r.get(ctx, name, func(in io.Reader) error { b, err = readAtMost(in, maxRelease); return err })
		return b, err
	}
	if text, err = read(name); err != nil {
		return nil, Signature{}, err
	}
	armored, err := read(name + ".gpg")
	if isAbsent(err) {
		return text, Signature{State: NotSigned}, nil
	}
	if err == nil {
		sig, err = r.o.Keys.checkDetached(text, armored)
	}
	if err != nil {
		err = fmt.Errorf("%s.gpg: %w", name, err)
	}
	return text, sig, err
}

// aptListing is a suite while it is read.
type aptListing struct {
	repo    *repository
	at      mirrorList
	temp    string // directory for indexes
	top     string // directory of the Release file
	release aptRelease
	arches  []string // whose packages are wanted, nil for all
	l       *Listing
	seen    map[string]digest.Digest // by NEVRA: "all" packages are in several indexes
	others  map[string]int           // packages of other architectures
}

// readComponents reads the index of each component for each architecture.
func (a *aptListing) readComponents(ctx context.Context, components, arches []string) error {
	found := 0
	for _, component := range components {
		n := found
		for _, arch := range arches {
			forms := a.release.index(component + "/binary-" + arch)
			if len(forms) == 0 || (arch == "all" && a.release.allWithin && len(arches) > 1) {
				continue
			}
			if err := a.read(ctx, forms); err != nil {
				return err
			}
			found++
		}
		if found == n {
			a.l.LeftOut = append(a.l.LeftOut, artifact.LeftOut{
				Path: shown(under(a.at.mirrors[0], a.top+component)), What: "component " + component,
				Reason: "the repository has no index of it for " + strings.Join(arches, ", "),
			})
		}
	}
	if found == 0 {
		return fmt.Errorf("no index of %s for %s", strings.Join(components, ", "), strings.Join(arches, ", "))
	}
	return nil
}

// read reads an index in the first of its forms that is there.
func (a *aptListing) read(ctx context.Context, forms []remoteFile) error {
	err := errors.New("no index")
	for _, form := range forms {
		places := []string{a.top + form.location}
		if a.release.byHash {
			sum := strings.ToUpper(form.digest.algorithm)
			places = []string{a.top + path.Join(path.Dir(form.location), "by-hash", sum, form.digest.hex), a.top + form.location}
		}
		for _, form.location = range places {
			err = a.readForm(ctx, form)
			if !isAbsent(err) {
				return err
			}
		}
	}
	return err
}

func (a *aptListing) readForm(ctx context.Context, form remoteFile) error {
	f, err := a.repo.scratch(ctx, a.temp, form)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := a.parse(&cancelReader{ctx, f}); err != nil {
		return fmt.Errorf("%s: %w", form.location, err)
	}
	return nil
}

// parse takes in the packages of an index, one in memory at a time.
func (a *aptListing) parse(in io.Reader) error {
	plain, done, err := unpack(in)
	if err != nil {
		return err
	}
	defer done()
	list := newParagraphs(newBounded(plain, maxPrimary))
	for n := 1; n <= maxPackages; n++ {
		p, err := list.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = a.add(p)
		}
		if err != nil {
			return fmt.Errorf("package %d: %w", n, err)
		}
	}
	return fmt.Errorf("more than %d packages", maxPackages)
}

// add takes in a package of an index.
func (a *aptListing) add(p Paragraph) error {
	if arch := p.Get("Architecture"); a.arches != nil && !slices.Contains(a.arches, arch) {
		a.others[fmt.Sprintf("%.40q", arch)]++
		return nil
	}
	o, err := aptOffer(p)
	if err != nil {
		return err
	}
	if sum, twice := a.seen[o.NEVRA()]; twice && sum == o.Digest {
		return nil
	}
	a.seen[o.NEVRA()] = o.Digest
	if a.repo.o.Want != nil && !a.repo.o.Want(o.Package) {
		return nil
	}
	o.repo, o.Where = a.repo, shown(under(a.at.mirrors[0], o.file.location))
	a.l.Offers = append(a.l.Offers, o)
	return nil
}

// reportOthers lists what a flat repository has for other architectures.
func (a *aptListing) reportOthers() {
	total := 0
	var names []string
	for name, n := range a.others {
		total += n
		names = append(names, name)
	}
	if total == 0 {
		return
	}
	slices.Sort(names)
	a.l.LeftOut = append(a.l.LeftOut, artifact.LeftOut{
		Path: shown(a.at.mirrors[0]), What: fmt.Sprintf("%d debs for other systems", total),
		Reason: fmt.Sprintf("of architectures %.200s", strings.Join(names, ", ")),
	})
}

// aptOffer is a package of an index as a source offers it.
func aptOffer(p Paragraph) (Offer, error) {
	id, err := debIdentity(p)
	if err != nil {
		return Offer{}, err
	}
	o := Offer{Package: id}
	fail := func(err error) (Offer, error) { return Offer{}, fmt.Errorf("%s: %w", o.NEVRA(), err) }
	size, err := strconv.ParseUint(p.Get("Size"), 10, 63)
	if err != nil {
		return fail(fmt.Errorf("size %.40q: it is none", p.Get("Size")))
	}
	algorithm := "SHA256"
	if p.Get(algorithm) == "" {
		algorithm = "SHA512"
	}
	if p.Get(algorithm) == "" {
		return fail(errors.New("no SHA256 or SHA512 digest"))
	}
	sum, err := newRemoteDigest(algorithm, p.Get(algorithm))
	if err != nil {
		return fail(err)
	}
	// It is a path and no URL: a "%3a" in it is three characters of the file's name.
	loc, err := localPath(p.Get("Filename"))
	if err != nil {
		return fail(err)
	}
	o.Size, o.Digest, o.file = int64(size), sum.recorded(), remoteFile{loc, int64(size), sum}
	return o, nil
}
