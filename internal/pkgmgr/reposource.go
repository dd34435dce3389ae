package pkgmgr

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// maxRPM is the largest package that is brought where the metadata says no size.
const maxRPM = 16 << 30

// repositories is a source of one or several repositories.
type repositories struct {
	all    []*repository
	root   *host.Root // of the files that were brought
	disk   *host.Root // where those lie that are there
	remove func() error
	closed func() error // disk
	next   atomic.Int64 // number of a file
}

// repository is one of them.
type repository struct {
	repoSection
	web *web
	o   SourceOptions

	mu sync.Mutex
	at *mirrorList // once it is known
}

func openRepositories(sections []repoSection, o SourceOptions) (Source, error) {
	r := &repositories{}
	for _, s := range sections {
		own := o
		if s.caFile != "" {
			own.CAFile, own.caRoot = s.caFile, o.Root
		}
		w, err := newWeb(own)
		if err != nil {
			return nil, fmt.Errorf("repository %s: %w", s.name, err)
		}
		r.all = append(r.all, &repository{repoSection: s, web: w, o: o})
	}
	dir, remove, err := host.TempDirIn(o.TempDir)
	if err != nil {
		return nil, err
	}
	r.remove = remove
	if r.root, err = host.OpenRoot(dir); err != nil {
		return nil, errors.Join(err, remove())
	}
	if r.disk, r.closed = o.Root, func() error { return nil }; r.disk != nil {
		return r, nil
	}
	if r.disk, err = host.OpenRoot("/"); err != nil {
		return nil, errors.Join(err, r.root.Close(), remove())
	}
	r.closed = r.disk.Close
	return r, nil
}

// Close implements Source.
func (r *repositories) Close() error {
	return errors.Join(r.root.Close(), r.closed(), r.remove())
}

// List implements Source.
func (r *repositories) List(ctx context.Context) (Listing, error) {
	var l Listing
	for _, repo := range r.all {
		if err := repo.list(ctx, r.root.Dir(), &l); err != nil {
			return Listing{}, fmt.Errorf("repository %s: %w", repo.name, err)
		}
		if repo.signing != nil {
			l.Signing = append(l.Signing, *repo.signing)
		}
	}
	sortOffers(l.Offers)
	return l, nil
}

// list adds what the repository offers. temp is for its metadata.
func (r *repository) list(ctx context.Context, temp string, l *Listing) error {
	if r.apt != nil {
		return r.listApt(ctx, *r.apt, temp, l)
	}
	at, err := r.mirrors(ctx)
	if err != nil {
		return err
	}
	var primary remoteFile
	err = r.get(ctx, "repodata/repomd.xml", func(in io.Reader) error {
		b, err := readAtMost(in, maxRepomd)
		if err != nil {
			return err
		}
		if err := at.checkRepomd(b); err != nil {
			return err
		}
		primary, err = parseRepomd(b)
		return err
	})
	if r.guess && isAbsent(err) {
		return r.listGuessed(ctx, err, temp, l)
	}
	if err != nil {
		return err
	}
	f, err := r.scratch(ctx, temp, primary)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	err = parsePrimary(&cancelReader{ctx, f}, func(p primaryPackage) error { return r.add(at, p, l) })
	if err != nil {
		return fmt.Errorf("%s: %w", primary.location, err)
	}
	return nil
}

// scratch brings a list of the repository into a file of no name in directory
// temp, at whose begin it stands.
func (r *repository) scratch(ctx context.Context, temp string, list remoteFile) (_ *os.File, err error) {
	f, err := host.ScratchFile(temp)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	err = r.get(ctx, list.location, func(in io.Reader) error {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := f.Truncate(0); err != nil {
			return err
		}
		return list.digest.copy(f, in, list.size, maxPrimary)
	})
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return f, err
}

// add takes in a package of the primary list.
func (r *repository) add(at mirrorList, p primaryPackage, l *Listing) error {
	leave := func(what, reason string) {
		l.LeftOut = append(l.LeftOut, artifact.LeftOut{
			Path: shown(at.mirrors[0]) + ": " + fmt.Sprintf("%.200q", p.Location.Href), What: what, Reason: reason, Size: max(p.Size.Package, 0),
		})
	}
	switch {
	case p.Type != "rpm":
		leave(fmt.Sprintf("package of type %.40q", p.Type), "only rpms are known")
		return nil
	case p.Arch == "src" || p.Arch == "nosrc":
		leave("source rpm", "an import installs no sources")
		return nil
	case p.Location.Base != "":
		leave("package of another place", "its metadata is not from there")
		return nil
	}
	o, err := p.offer()
	if err != nil {
		return err
	}
	if r.o.Want != nil && !r.o.Want(o.Package) {
		return nil
	}
	o.repo, o.Where = r, shown(under(at.mirrors[0], o.file.location))
	l.Offers = append(l.Offers, o)
	return nil
}

// mirrors returns where the repository lies, from its lists the first time.
func (r *repository) mirrors(ctx context.Context) (mirrorList, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at != nil {
		return *r.at, nil
	}
	at := mirrorList{mirrors: r.baseurl}
	for _, u := range r.lists {
		err := r.web.get(ctx, u, func(in io.Reader) error {
			b, err := readAtMost(in, maxList)
			if err != nil {
				return err
			}
			l, err := parseMirrors(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), func(v string) (string, error) { return expandVars(v, r.o.Vars) })
			for _, m := range l.mirrors {
				at.mirrors = append(at.mirrors, r.login(u, m))
			}
			at.digests = append(at.digests, l.digests...)
			return err
		})
		if err != nil {
			return mirrorList{}, err
		}
	}
	r.at = &at
	return at, nil
}

// login gives a mirror the credentials of its list, if it is the same server:
// the others were not meant.
func (r *repository) login(list, mirror *url.URL) *url.URL {
	if list.User != nil && mirror.User == nil && list.Host == mirror.Host && list.Scheme == mirror.Scheme {
		mirror.User = list.User
	}
	return mirror
}

// get has use read file loc from the first mirror that has it as use wants it.
// What fails for another reason than that the file is not there is tried once
// more.
func (r *repository) get(ctx context.Context, loc string, use func(io.Reader) error) error {
	at, err := r.mirrors(ctx)
	if err != nil {
		return err
	}
	todo := at.mirrors
	if r.o.Once {
		todo = todo[:min(len(todo), onceMirrors)]
	}
	var final mirrorsError
	for round := 0; ; round++ {
		var again []*url.URL
		errs := slices.Clone(final)
		for _, m := range todo {
			err := r.web.get(ctx, under(m, loc), use)
			if err == nil {
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			errs = append(errs, err)
			if lasting(err) {
				final = append(final, err)
			} else {
				again = append(again, m)
			}
		}
		if r.o.Once || round > 0 || len(again) == 0 {
			return errs
		}
		todo = again
	}
}

// Fetch implements Source.
func (r *repositories) Fetch(ctx context.Context, o Offer) (Package, error) {
	p, err := r.fetch(ctx, o)
	if err == nil && p.NEVRA() != o.NEVRA() {
		err = fmt.Errorf("%s: the file holds %s: stale metadata", o.Where, p.NEVRA())
	}
	if err == nil && o.Digest != "" && p.Digest != o.Digest {
		err = fmt.Errorf("%s: it changed while it was read", o.Where)
	}
	if err != nil {
		return Package{}, fmt.Errorf("package %s: %w", o.NEVRA(), err)
	}
	return p, nil
}

func (r *repositories) fetch(ctx context.Context, o Offer) (p Package, err error) {
	if o.repo == nil {
		return Package{}, fmt.Errorf("%s is no offer of this source", o.Where)
	}
	at, err := o.repo.mirrors(ctx)
	if err != nil {
		return Package{}, err
	}
	if first := at.mirrors[0]; len(at.mirrors) == 1 && first.Scheme == "file" {
		file := under(first, o.file.location).Path
		err := o.repo.get(ctx, o.file.location, func(in io.Reader) error { return o.file.digest.copy(io.Discard, in, o.Size, maxRPM) })
		if err != nil {
			return Package{}, err
		}
		return readAt(ctx, r.disk, file, o.Where)
	}
	name := fmt.Sprintf("%06d.%s", r.next.Add(1), FormatOf(o.Package))
	err = o.repo.get(ctx, o.file.location, func(in io.Reader) error { return r.save(name, in, o) })
	if err != nil {
		return Package{}, err
	}
	return readAt(ctx, r.root, "/"+name, o.Where)
}

// save writes a file that is brought; one that failed is not kept.
func (r *repositories) save(name string, in io.Reader, o Offer) (err error) {
	d, err := r.root.OpenDir("/")
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	err = errors.Join(o.file.digest.copy(f, in, o.Size, maxRPM), f.Close())
	if err != nil {
		return errors.Join(err, d.Remove(name))
	}
	return nil
}

// readAt reads the package at p of root, as Find does; where is for messages.
func readAt(ctx context.Context, root *host.Root, p, where string) (Package, error) {
	f, err := openFile(root, p)
	if err != nil {
		return Package{}, err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return Package{}, err
	}
	pkg, err := readPackage(where, &cancelReader{ctx, f}, st.Size())
	if err != nil {
		return Package{}, err
	}
	if pkg.From, err = root.Resolve(path.Clean(p)); err != nil {
		return Package{}, err
	}
	pkg.root = root
	return pkg, nil
}
