package pkgmgr

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

// algorithms are the digests a payload may have, by their OpenPGP number (RFC
// 9580, 9.5), which rpm uses.
var algorithms = map[int64]func() hash.Hash{
	2: sha1.New, 8: sha256.New, 9: sha512.New384, 10: sha512.New, 11: sha256.New224,
}

// check is one digest the file says it has, and what was found.
type check struct {
	name string
	want []byte
	got  hash.Hash
}

// verify reads the payload from in, whose file has size bytes, and compares
// every digest the file carries. Header and payload must both be covered by
// one: rpms since 2017 have SHA256 for each, those before an MD5 over both.
func (h headers) verify(in io.Reader, size int64) error {
	checks, err := h.checks()
	if err != nil {
		return err
	}
	sinks := make([]io.Writer, 0, len(checks))
	for _, c := range checks {
		sinks = append(sinks, c.got)
	}
	n, err := io.Copy(io.MultiWriter(sinks...), in)
	if err != nil {
		return err
	}
	if err := h.verifySize(h.end - h.start + n); err != nil {
		return err
	}
	for _, c := range checks {
		if got := c.got.Sum(nil); !bytes.Equal(got, c.want) {
			return fmt.Errorf("%s digest %x, the file says %x (%d bytes)", c.name, got, c.want, size)
		}
	}
	return nil
}

// verifySize compares the length of header and payload with what the signature
// says. It tells a truncated file from a damaged one.
func (h headers) verifySize(got int64) error {
	for _, tag := range []uint32{sigSize, sigLongSize} {
		want, err := h.sig.number(tag)
		if err != nil {
			return err
		}
		if h.sig.has(tag) && got < want {
			return fmt.Errorf("truncated: %d bytes of header and payload, the file says %d: %w", got, want, io.ErrUnexpectedEOF)
		}
	}
	return nil
}

// checks verifies the digests of the header and returns those that the
// payload must be fed to.
func (h headers) checks() ([]check, error) {
	headerSeen, err := h.verifyHeader()
	if err != nil {
		return nil, err
	}
	var checks []check
	md5sum, err := h.sig.bytes(sigMD5)
	if err != nil {
		return nil, err
	}
	if md5sum != nil {
		sum := md5.New() // of header and payload together
		_, _ = sum.Write(h.main.raw)
		checks, headerSeen = append(checks, check{"MD5", md5sum, sum}), true
	}
	payload, err := h.payloadCheck()
	if err != nil {
		return nil, err
	}
	if payload != nil {
		checks = append(checks, *payload)
	}
	if !headerSeen || len(checks) == 0 {
		return nil, errors.New("no digest of header and payload in the file")
	}
	return checks, nil
}

// verifyHeader compares the digests of the main header alone, and reports
// whether there was one.
func (h headers) verifyHeader() (seen bool, err error) {
	for _, d := range []struct {
		name string
		tag  uint32
		sum  hash.Hash
	}{{"header SHA256", sigSHA256, sha256.New()}, {"header SHA1", sigSHA1, sha1.New()}} {
		want, err := h.sig.text(d.tag)
		if err != nil {
			return false, err
		}
		if want == "" {
			continue
		}
		_, _ = d.sum.Write(h.main.raw)
		if got := hex.EncodeToString(d.sum.Sum(nil)); !strings.EqualFold(got, want) {
			return false, fmt.Errorf("%s digest %s, the file says %.128q", d.name, got, want)
		}
		seen = true
	}
	return seen, nil
}

// payloadCheck returns the digest of the payload as it lies in the file, nil
// where the header has none.
func (h headers) payloadCheck() (*check, error) {
	want, err := h.main.text(tagPayloadDigest)
	if err != nil || want == "" {
		return nil, err
	}
	number, err := h.main.number(tagPayloadAlgo)
	if err != nil {
		return nil, err
	}
	algorithm, known := algorithms[number]
	sum, err := hex.DecodeString(want)
	if !known || err != nil {
		return nil, fmt.Errorf("%w: payload digest %.128q of algorithm %d", errDamaged, want, number)
	}
	return &check{"payload", sum, algorithm()}, nil
}
