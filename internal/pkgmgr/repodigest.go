package pkgmgr

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
)

// remoteDigest is what metadata says of a file's content.
type remoteDigest struct {
	algorithm, hex string
}

// remoteAlgorithms are taken from metadata, the weakest first. SHA-1 is among
// them, as it is for dnf: repositories that EL 5 was to read have nothing else,
// and xCAT's were made so. Of an rpm the digests within are compared as well.
// MD5 is not.
func remoteAlgorithms() []string { return []string{"sha1", "sha224", "sha256", "sha384", "sha512"} }

func newRemoteDigest(algorithm, sum string) (remoteDigest, error) {
	d := remoteDigest{strings.ReplaceAll(strings.ToLower(algorithm), "-", ""), strings.ToLower(strings.TrimSpace(sum))}
	if d.algorithm == "sha" { // old createrepo's name of it
		d.algorithm = "sha1"
	}
	h := d.hash()
	if h == nil {
		return d, fmt.Errorf("digest of algorithm %.40q: none of %s", algorithm, strings.Join(remoteAlgorithms(), ", "))
	}
	if b, err := hex.DecodeString(d.hex); err != nil || len(b) != h.Size() {
		return d, fmt.Errorf("%s digest %.140q: it is none", d.algorithm, sum)
	}
	return d, nil
}

func (d remoteDigest) hash() hash.Hash {
	switch d.algorithm {
	case "sha1":
		return sha1.New()
	case "sha224":
		return sha256.New224()
	case "sha256":
		return sha256.New()
	case "sha384":
		return sha512.New384()
	case "sha512":
		return sha512.New()
	}
	return nil
}

// recorded is the digest as a snapshot records it, "" for another algorithm.
func (d remoteDigest) recorded() digest.Digest {
	if d.algorithm != "sha256" {
		return ""
	}
	return digest.NewDigestFromEncoded(digest.SHA256, d.hex)
}

// copy copies in to out and compares what it was: size bytes, if that is not
// 0, with this digest. No more than limit bytes are taken. The zero value is that
// of a file nothing is known of.
func (d remoteDigest) copy(out io.Writer, in io.Reader, size, limit int64) error {
	if d == (remoteDigest{}) {
		_, err := io.Copy(out, newBounded(in, limit))
		return err
	}
	if size > 0 {
		limit = size
	}
	sum := d.hash()
	n, err := io.Copy(io.MultiWriter(out, sum), io.LimitReader(in, limit+1))
	switch {
	case err != nil:
		return err
	case size > 0 && n != size:
		least := ""
		if n > size {
			least = "more than "
			n = size
		}
		return fmt.Errorf("%s%d bytes, the metadata says %d: stale metadata, or another file", least, n, size)
	case n > limit:
		return tooLarge(limit)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != d.hex {
		return fmt.Errorf("%s digest %s, the metadata says %s: stale metadata, or another file", d.algorithm, got, d.hex)
	}
	return nil
}
