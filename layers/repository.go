package layers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/pkgmgr"
)

// repository writes the packages, sorted by path, in parts as trees are cut,
// and keys and metadata as the last: "Packages" comes before "keys" and "repodata".
func (c *capture) repository(ctx context.Context, found []foundPackage, keys []pkgmgr.PublicKey) error {
	for _, k := range keys {
		c.config.PackageKeys = append(c.config.PackageKeys, artifact.PackageKey{ID: k.ID, Name: k.Name, File: publicKeyFile(k)})
	}
	begins := bounds(len(found), maxPart, func(i int) int64 { return found[i].Size }, func(i int) uint64 { return pathNumber([]byte(found[i].File)) })
	parts := make([]part, len(begins)+1)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.o.Workers)
	write := func(i int, fill func(*partWriter) error) {
		g.Go(func() (err error) {
			parts[i], err = c.write(ctx, artifact.KindPackages, i+1, artifact.TypeTar, fill)
			return err
		})
	}
	for i, begin := range begins {
		end := len(found)
		if i+1 < len(begins) {
			end = begins[i+1]
		}
		write(i, func(w *partWriter) error { return addPackages(w, found[begin:end]) })
	}
	write(len(begins), func(w *partWriter) error { return addRepodata(w, found, keys) })
	if err := g.Wait(); err != nil {
		return err
	}
	c.keep(artifact.KindPackages, parts)
	return nil
}

func addPackages(w *partWriter, found []foundPackage) error {
	for _, p := range found {
		if err := addPackage(w, p); err != nil {
			return fmt.Errorf("package %s: %w", p.place, err)
		}
	}
	return nil
}

func addPackage(w *partWriter, p foundPackage) (err error) {
	f, err := p.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return w.add(made(p.File, p.Size, 0o644, artifact.Time{Sec: p.BuildTime}), &checked{r: f, want: p.Digest, sum: p.Digest.Algorithm().Digester()})
}

// publicKeyFile is where a key lies in the repository, sorted by its ID.
func publicKeyFile(k pkgmgr.PublicKey) string { return "keys/RPM-GPG-KEY-" + k.ID }

// addRepodata writes keys and metadata, as old as the newest package.
func addRepodata(w *partWriter, found []foundPackage, keys []pkgmgr.PublicKey) error {
	var newest int64
	all := make([]pkgmgr.Package, 0, len(found))
	for _, p := range found {
		newest = max(newest, p.BuildTime)
		all = append(all, p.Package)
	}
	lists := map[string][]byte{}
	err := pkgmgr.WriteMetadata(all, func(name string, write func(io.Writer) error) error {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			return err
		}
		lists[name] = b.Bytes()
		return nil
	})
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := w.addBytes(publicKeyFile(k), k.Armored, 0o644, artifact.Time{Sec: newest}); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(lists) {
		if err := w.addBytes(name, lists[name], 0o644, artifact.Time{Sec: newest}); err != nil {
			return err
		}
	}
	return nil
}
