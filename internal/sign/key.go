// Package sign proves where a snapshot comes from: ECDSA with P-256 and SHA-256 over its
// manifest, which names all the rest by digest, as a Sigstore bundle that cosign reads
// and as a bare signature that openssl reads.
package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/youmark/pkcs8"
	"golang.org/x/crypto/nacl/secretbox"
	"golang.org/x/crypto/scrypt"
)

// Types of PEM blocks (RFC 7468; those of Sigstore are cosign's own).
const (
	pemPKCS8     = "PRIVATE KEY"
	pemEncrypted = "ENCRYPTED PRIVATE KEY"
	pemSEC1      = "EC PRIVATE KEY"
	pemSigstore  = "ENCRYPTED SIGSTORE PRIVATE KEY"
	pemCosign    = "ENCRYPTED COSIGN PRIVATE KEY" // before cosign 2
	pemPublic    = "PUBLIC KEY"
)

// ErrWrongPassphrase is wrapped when a passphrase does not open a private key.
var ErrWrongPassphrase = errors.New("wrong passphrase")

// ErrKeyType is wrapped by errors about keys that cannot sign or verify here.
var ErrKeyType = errors.New("not an ECDSA key on the curve P-256")

// NewKey makes a key pair.
func NewKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// iterations make a guess of a passphrase cost some tenths of a second (PBKDF2 with
// HMAC-SHA256, as NIST SP 800-132 and openssl have it).
const iterations = 600_000

// MarshalPrivate writes a key as PKCS#8 in PEM (RFC 5958), encrypted with AES-256 (PBES2,
// RFC 8018) if there is a passphrase.
func MarshalPrivate(key *ecdsa.PrivateKey, passphrase string) ([]byte, error) {
	if passphrase == "" {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return pem.EncodeToMemory(&pem.Block{Type: pemPKCS8, Bytes: der}), err
	}
	der, err := pkcs8.MarshalPrivateKey(key, []byte(passphrase), &pkcs8.Opts{
		Cipher:  pkcs8.AES256CBC,
		KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 16, IterationCount: iterations, HMACHash: crypto.SHA256},
	})
	return pem.EncodeToMemory(&pem.Block{Type: pemEncrypted, Bytes: der}), err
}

// MarshalPublic writes a public key in PEM (RFC 5280, SubjectPublicKeyInfo), as openssl
// and cosign read it.
func MarshalPublic(key *ecdsa.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}), err
}

// ParsePrivate reads a private key in PEM: PKCS#8, encrypted or not, SEC 1, or a key file
// of cosign. ask is called for a passphrase if there has to be one. Errors show nothing
// of the content.
func ParsePrivate(content []byte, ask func() (string, error)) (*ecdsa.PrivateKey, error) {
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case pemPKCS8, pemEncrypted, pemSEC1, pemSigstore, pemCosign:
			return parsePrivate(block, ask)
		case pemPublic:
			return nil, errors.New("a public key: signing takes the private one")
		}
	}
	return nil, errors.New("no private key in PEM in it")
}

func parsePrivate(block *pem.Block, ask func() (string, error)) (*ecdsa.PrivateKey, error) {
	if block.Headers["DEK-Info"] != "" {
		return nil, errors.New("encrypted as openssl did before PKCS#8: openssl pkcs8 -topk8 -in FILE -out NEW writes it anew")
	}
	var key any
	var err error
	switch block.Type {
	case pemSEC1:
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case pemPKCS8:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		var passphrase string
		if passphrase, err = ask(); err != nil {
			return nil, err
		}
		if block.Type == pemEncrypted {
			key, err = decryptPKCS8(block.Bytes, passphrase)
		} else {
			key, err = decryptSigstore(block.Bytes, passphrase)
		}
		if err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, errors.New("private key in PEM: cannot be read")
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, ErrKeyType
	}
	return private, nil
}

func decryptPKCS8(der []byte, passphrase string) (any, error) {
	key, _, err := pkcs8.ParsePrivateKey(der, []byte(passphrase))
	if err != nil {
		return nil, ErrWrongPassphrase // or damaged, which looks the same
	}
	return key, nil
}

// sigstoreKey is the content of a key file of cosign: JSON of go-securesystemslib
// (encrypted package), PKCS#8 in a NaCl secretbox with a key that scrypt makes.
type sigstoreKey struct {
	KDF struct {
		Name   string `json:"name"`
		Params struct {
			N, R, P int
		} `json:"params"`
		Salt []byte `json:"salt"`
	} `json:"kdf"`
	Cipher struct {
		Name  string `json:"name"`
		Nonce []byte `json:"nonce"`
	} `json:"cipher"`
	Ciphertext []byte `json:"ciphertext"`
}

// maxScrypt bounds the memory that a key file can ask for: 128 * N * r bytes.
const maxScrypt = 1 << 21

func decryptSigstore(content []byte, passphrase string) (any, error) {
	var f sigstoreKey
	if json.Unmarshal(content, &f) != nil || f.KDF.Name != "scrypt" || f.Cipher.Name != "nacl/secretbox" {
		return nil, errors.New("key file of cosign: not of a form that is known")
	}
	p := f.KDF.Params
	if p.N <= 0 || p.R <= 0 || p.P <= 0 || p.N > maxScrypt || p.R > maxScrypt/p.N || p.P > 16 || len(f.Cipher.Nonce) != 24 {
		return nil, errors.New("key file of cosign: parameters out of bounds")
	}
	derived, err := scrypt.Key([]byte(passphrase), f.KDF.Salt, p.N, p.R, p.P, 32)
	if err != nil {
		return nil, fmt.Errorf("key file of cosign: %w", err)
	}
	der, ok := secretbox.Open(nil, f.Ciphertext, (*[24]byte)(f.Cipher.Nonce), (*[32]byte)(derived))
	if !ok {
		return nil, ErrWrongPassphrase
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("key file of cosign: no PKCS#8 key in it")
	}
	return key, nil
}

// ParsePublic reads the public keys in PEM that a file holds; there must be one.
func ParsePublic(content []byte) ([]*ecdsa.PublicKey, error) {
	var keys []*ecdsa.PublicKey
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != pemPublic {
			return nil, fmt.Errorf("a %s: trust takes public keys (PUBLIC KEY)", block.Type)
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, errors.New("public key in PEM: cannot be read")
		}
		public, ok := key.(*ecdsa.PublicKey)
		if !ok || public.Curve != elliptic.P256() {
			return nil, ErrKeyType
		}
		keys = append(keys, public)
	}
	if len(keys) == 0 {
		return nil, errors.New("no public key in PEM in it")
	}
	return keys, nil
}

// Fingerprint names a public key, for people to compare: "SHA256:" and the digest of its
// SubjectPublicKeyInfo in base64.
func Fingerprint(key *ecdsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "SHA256:unknown" // of no key that was parsed here
	}
	sum := sha256.Sum256(der)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}
