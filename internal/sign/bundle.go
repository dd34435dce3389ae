package sign

import (
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// TypeBundle is the media type of a signature: a Sigstore bundle of version 0.3
// (github.com/sigstore/protobuf-specs, sigstore_bundle.proto), in JSON.
const TypeBundle = "application/vnd.dev.sigstore.bundle.v0.3+json"

// MaxBundle is how large a bundle is that is looked at, in bytes. Ours have 400.
const MaxBundle = 64 << 10

// hashName is SHA-256 as bundles name it (sigstore_common.proto, HashAlgorithm).
const hashName = "SHA2_256"

// bundle is what is written and read of a Sigstore bundle. Fields that are not here,
// such as entries of a transparency log, prove nothing to a key.
type bundle struct {
	MediaType            string `json:"mediaType"`
	VerificationMaterial struct {
		PublicKey struct {
			Hint string `json:"hint"`
		} `json:"publicKey"`
	} `json:"verificationMaterial"`
	MessageSignature *messageSignature `json:"messageSignature,omitempty"`
}

type messageSignature struct {
	MessageDigest struct {
		Algorithm string `json:"algorithm"`
		Digest    []byte `json:"digest"`
	} `json:"messageDigest"`
	Signature []byte `json:"signature"`
}

// Sign signs the manifest with this digest, and returns the bundle.
func Sign(key *ecdsa.PrivateKey, manifest digest.Digest) ([]byte, error) {
	sum, err := sumOf(manifest)
	if err != nil {
		return nil, err
	}
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum)
	if err != nil {
		return nil, err
	}
	b := bundle{MediaType: TypeBundle, MessageSignature: &messageSignature{Signature: signature}}
	b.VerificationMaterial.PublicKey.Hint = strings.TrimPrefix(Fingerprint(&key.PublicKey), "SHA256:")
	b.MessageSignature.MessageDigest.Algorithm = hashName
	b.MessageSignature.MessageDigest.Digest = sum
	return json.Marshal(b)
}

// sumOf returns the bytes of a digest: since it is the SHA-256 of the manifest, it is
// just what ECDSA signs.
func sumOf(manifest digest.Digest) ([]byte, error) {
	if err := manifest.Validate(); err != nil || manifest.Algorithm() != digest.SHA256 {
		return nil, fmt.Errorf("digest %q: not of SHA-256", manifest)
	}
	return hex.DecodeString(manifest.Encoded())
}

// Signature is one that was found with a snapshot. Nothing is known of it before a key
// verifies it.
type Signature struct {
	// Hint is which key it says it is of, as a fingerprint; "" if it does not say.
	Hint string
	// Raw is the signature itself in ASN.1, as openssl reads it.
	Raw []byte
	sum []byte
}

// ErrForeign is wrapped by errors about bundles that were not made with a key of ours,
// such as those with a certificate.
var ErrForeign = errors.New("not a signature by a key over the manifest")

// Parse reads a bundle that is said to be over the manifest with this digest.
func Parse(content []byte, manifest digest.Digest) (Signature, error) {
	var b bundle
	if len(content) > MaxBundle {
		return Signature{}, fmt.Errorf("bundle of %d bytes, at most %d", len(content), MaxBundle)
	}
	if err := json.Unmarshal(content, &b); err != nil {
		return Signature{}, fmt.Errorf("bundle: %w", err)
	}
	sum, err := sumOf(manifest)
	if err != nil {
		return Signature{}, err
	}
	if b.MediaType != TypeBundle || b.MessageSignature == nil || len(b.MessageSignature.Signature) == 0 {
		return Signature{}, fmt.Errorf("bundle of type %q: %w", b.MediaType, ErrForeign)
	}
	s := Signature{Raw: b.MessageSignature.Signature, sum: sum}
	if hint := b.VerificationMaterial.PublicKey.Hint; hint != "" {
		s.Hint = "SHA256:" + hint
	}
	return s, nil
}

// By reports whether key made the signature. The digest in the bundle does not count: what
// is verified is the one that the snapshot has.
func (s Signature) By(key *ecdsa.PublicKey) bool { return ecdsa.VerifyASN1(key, s.sum, s.Raw) }

// Trusted is a key that somebody vouches for, and where it is from.
type Trusted struct {
	Key  *ecdsa.PublicKey
	From string // a file, for people
}

// Verify returns the first key that made one of the signatures; false if none did.
func Verify(signatures []Signature, keys []Trusted) (Trusted, bool) {
	for _, k := range keys {
		for _, s := range signatures {
			if s.By(k.Key) {
				return k, true
			}
		}
	}
	return Trusted{}, false
}
