package pkgmgr

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
)

// Namespaces of rpm-md metadata (as createrepo_c writes them).
const (
	nsRepo   = "http://linux.duke.edu/metadata/repo"
	nsRPM    = "http://linux.duke.edu/metadata/rpm"
	nsCommon = "http://linux.duke.edu/metadata/common"
	nsFiles  = "http://linux.duke.edu/metadata/filelists"
	nsOther  = "http://linux.duke.edu/metadata/other"
)

// metadata is one of the three lists of a repository.
type metadata struct {
	kind    string // as repomd.xml names it
	root    string // element
	ns      string
	element func(x *xmlWriter, p Package, d Details)
}

func allMetadata(needed neededFiles) []metadata {
	return []metadata{
		{"primary", "metadata", nsCommon, needed.writePrimary},
		{"filelists", "filelists", nsFiles, writeFilelists},
		{"other", "otherdata", nsOther, writeOther},
	}
}

// WriteRepodata writes the metadata of a repository that holds pkgs, which
// Find returned, each at its File relative to the repository's directory.
// create is called with the name of each file there ("repodata/...") and what
// writes its content; repomd.xml comes last.
//
// The bytes depend on the packages alone: what asks for a time gets the newest
// build time. The lists are gzip, which every dnf, yum and zypper reads. One
// package's header is in memory at a time; each is read seven times: once for what
// it needs, and twice for every list, because a list's name holds the digest of its
// content.
func WriteRepodata(pkgs []Package, create func(name string, write func(io.Writer) error) error) error {
	pkgs = slices.Clone(pkgs)
	slices.SortFunc(pkgs, func(a, b Package) int { return cmp.Compare(a.File, b.File) })
	var newest int64
	for i, p := range pkgs {
		if i > 0 && p.File == pkgs[i-1].File {
			return fmt.Errorf("repository: %s and %s would both be %s", pkgs[i-1].From, p.From, p.File)
		}
		newest = max(newest, p.BuildTime)
	}
	needed, err := filesNeeded(pkgs)
	if err != nil {
		return fmt.Errorf("repository: %w", err)
	}
	var sums []listSum
	for _, m := range allMetadata(needed) {
		sum, err := m.write(pkgs, io.Discard)
		if err != nil {
			return fmt.Errorf("repository: %s: %w", m.kind, err)
		}
		sums = append(sums, sum)
		err = create("repodata/"+sum.file(), func(w io.Writer) error {
			again, err := m.write(pkgs, w)
			if err == nil && again != sum {
				err = fmt.Errorf("digest %s, it was %s: a package changed", again.digest, sum.digest)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("repository: %s: %w", sum.file(), err)
		}
	}
	err = create("repodata/repomd.xml", func(w io.Writer) error { return writeRepomd(w, newest, sums) })
	if err != nil {
		return fmt.Errorf("repository: repomd.xml: %w", err)
	}
	return nil
}

// listSum is what repomd.xml says of a list.
type listSum struct {
	kind             string
	digest, open     string // sha256 in hex, of the file and of what it unpacks to
	size, openLength int64
}

func (s listSum) file() string { return s.digest + "-" + s.kind + ".xml.gz" }

// write writes the list of pkgs to w.
func (m metadata) write(pkgs []Package, w io.Writer) (listSum, error) {
	packed, plain := newTally(w), newTally(nil)
	zw := gzip.NewWriter(packed)
	plain.w = zw
	buf := bufio.NewWriterSize(plain, 1<<16)
	x := &xmlWriter{w: buf}
	x.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
	x.open(m.root, "xmlns", m.ns, "xmlns:rpm", nsRPM, "packages", fmt.Sprint(len(pkgs)))
	x.raw("\n")
	for _, p := range pkgs {
		d, err := p.details()
		if err != nil {
			return listSum{}, err
		}
		m.element(x, p, d)
	}
	x.end(m.root)
	if x.err != nil {
		return listSum{}, x.err
	}
	if err := buf.Flush(); err != nil {
		return listSum{}, err
	}
	if err := zw.Close(); err != nil {
		return listSum{}, err
	}
	return listSum{m.kind, packed.hex(), plain.hex(), packed.n, plain.n}, nil
}

// writeRepomd writes the index of the lists.
func writeRepomd(w io.Writer, newest int64, sums []listSum) error {
	buf := bufio.NewWriter(w)
	x := &xmlWriter{w: buf}
	x.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
	x.open("repomd", "xmlns", nsRepo, "xmlns:rpm", nsRPM)
	x.raw("\n")
	x.text("revision", fmt.Sprint(newest))
	for _, s := range sums {
		x.open("data", "type", s.kind)
		x.text("checksum", s.digest, "type", "sha256")
		x.text("open-checksum", s.open, "type", "sha256")
		x.empty("location", "href", "repodata/"+s.file())
		x.text("timestamp", fmt.Sprint(newest))
		x.text("size", fmt.Sprint(s.size))
		x.text("open-size", fmt.Sprint(s.openLength))
		x.end("data")
	}
	x.end("repomd")
	if x.err != nil {
		return x.err
	}
	return buf.Flush()
}

// tally counts and digests what passes through it.
type tally struct {
	w   io.Writer
	sum interface {
		io.Writer
		Sum([]byte) []byte
	}
	n int64
}

func newTally(w io.Writer) *tally { return &tally{w: w, sum: sha256.New()} }

func (t *tally) Write(b []byte) (int, error) {
	n, err := t.w.Write(b)
	_, _ = t.sum.Write(b[:n])
	t.n += int64(n)
	return n, err
}

func (t *tally) hex() string { return hex.EncodeToString(t.sum.Sum(nil)) }
