package pkgmgr

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
)

// SignatureState is what is known of who made a package file.
type SignatureState string

// States of a signature. Only Verified says that the file is as the owner of a
// known key made it.
const (
	Verified   SignatureState = "verified"
	NotSigned  SignatureState = "no signature"
	UnknownKey SignatureState = "unknown key"
	Unchecked  SignatureState = "not checked" // the signature is of a sort that cannot be checked
	Bad        SignatureState = "BAD"
)

// Signature is what was found out about the signatures of one package file.
type Signature struct {
	State SignatureState
	// KeyID is the signing key's, 16 hexadecimal digits, "" where there is no
	// signature or it names no key.
	KeyID string
	// Signer is the name in the key, KeyFrom where the key was found: a file of
	// the root, or "rpm database". Both are "" where the key is not known.
	Signer, KeyFrom string
	// Hash is the digest that was signed: "SHA-256". SHA-1 is weak, and refused
	// by EL 9.
	Hash string
	// Created is when it was signed, by the signer's word.
	Created time.Time
	// Why says in a phrase what is wrong in states Unchecked and Bad.
	Why string

	packets []byte // of the key that verified it
}

// Check reads the file of p, which Find returned, once more, compares its
// digests and checks its signatures against the keys. A deb has none: who vouches
// for it is in Listing.Signing.
//
// The state is Verified only if header and payload are both covered: by a
// signature over both, or by one over a header that holds the payload's digest.
// Of several signatures one that is Bad decides, then one that is Verified. A
// key that expired is good for what was signed before. A file that is
// damaged, changed since it was found, or cannot be read, is an error.
func (k Keyring) Check(ctx context.Context, p Package) (Signature, error) {
	s, err := k.check(ctx, p)
	if err != nil {
		return Signature{}, fmt.Errorf("%s %s: %w", FormatOf(p.Package), p.From, err)
	}
	return s, nil
}

func (k Keyring) check(ctx context.Context, p Package) (Signature, error) {
	f, err := p.Open()
	if err != nil {
		return Signature{}, err
	}
	defer func() { _ = f.Close() }()
	whole := sha256.New()
	in := &counter{r: io.TeeReader(&cancelReader{ctx, f}, whole)}
	if FormatOf(p.Package) == Deb {
		if _, err := io.Copy(io.Discard, in); err != nil {
			return Signature{}, err
		}
		return Signature{State: NotSigned}, unchanged(whole, p)
	}
	h, err := readHeaders(in)
	if err != nil {
		return Signature{}, err
	}
	all, err := signaturesOf(h.sig, fileSignatures())
	if err != nil {
		return Signature{}, err
	}
	payload := feed(all, h.main.raw)
	if err := h.verify(io.TeeReader(in, payload), p.Size); err != nil {
		return Signature{}, err
	}
	// h.verify compared the digest of the payload, if the header has one.
	return k.judge(all, h.main.has(tagPayloadDigest)), unchanged(whole, p)
}

// unchanged compares the file as it was read now with what p has of it.
func unchanged(whole hash.Hash, p Package) error {
	if digest.NewDigest(digest.SHA256, whole) != p.Digest {
		return fmt.Errorf("digest %x: it changed", whole.Sum(nil))
	}
	return nil
}

// feed gives the header to all signatures, and returns what the payload must
// be written to.
func feed(all []rpmSignature, header []byte) io.Writer {
	sinks := []io.Writer{io.Discard}
	for _, s := range all {
		if s.err != nil {
			continue
		}
		_, _ = s.sum.Write(header)
		if s.payload {
			sinks = append(sinks, s.sum)
		}
	}
	return io.MultiWriter(sinks...)
}

// judge finds the signature that decides about a file. payloadDigest says that
// the header vouches for the payload.
func (k Keyring) judge(all []rpmSignature, payloadDigest bool) Signature {
	rank := map[SignatureState]int{NotSigned: 0, Unchecked: 1, UnknownKey: 2, Verified: 3, Bad: 4}
	best := Signature{State: NotSigned}
	for _, s := range all {
		one := k.verdict(s)
		if one.State == Verified && !s.payload && !payloadDigest {
			one.State, one.Why = Unchecked, "the signature covers the header only"
		}
		if rank[one.State] > rank[best.State] {
			best = one
		}
	}
	return best
}

// verdict checks one signature with every key of its ID. The same key may be
// there twice, in an old form that has expired and a newer one.
func (k Keyring) verdict(s rpmSignature) Signature {
	out := Signature{State: Unchecked, KeyID: s.keyID, Created: s.created, Hash: s.hashName()}
	if s.err != nil {
		out.Why = s.err.Error()
		return out
	}
	out.State = UnknownKey
	for _, key := range k.keys[s.keyID] {
		out.State, out.Signer, out.KeyFrom, out.Why = Verified, key.name, key.from, ""
		if err := key.verify(s); err != nil {
			out.State, out.Why = Bad, err.Error()
		}
		if out.State == Verified {
			out.packets = key.packets
			break
		}
	}
	return out
}
