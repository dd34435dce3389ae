package pkgmgr

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// rpmSignature is one OpenPGP signature of a package, read and not yet checked.
type rpmSignature struct {
	payload bool                 // it covers header and payload, not the header alone
	typ     packet.SignatureType // what it must be; 0 is of a file as it is
	keyID   string               // 16 hexadecimal digits, "" where it names no key
	created time.Time
	hash    crypto.Hash
	sum     hash.Hash // of what is signed
	v4      *packet.Signature
	v3      *signatureV3
	err     error // why it cannot be checked
}

// signatureTag is a tag that holds signatures.
type signatureTag struct {
	tag     uint32
	payload bool
}

// fileSignatures are the tags of the signature header of a file ("RPM V4
// Package Format", "Signature"): for RSA and EdDSA, for DSA and ECDSA, rpm 6's
// for any number of any sort.
func fileSignatures() []signatureTag {
	return []signatureTag{{sigRSA, false}, {sigDSA, false}, {sigOpenPGP, false}, {sigPGP, true}, {sigGPG, true}}
}

// storedSignatures are the tags under which the rpm database keeps the same.
func storedSignatures() []signatureTag {
	return []signatureTag{{sigRSA, false}, {sigDSA, false}, {sigOpenPGP, false}, {tagSigPGP, true}, {tagSigGPG, true}}
}

// signaturesOf reads the signatures that section s has under tags.
func signaturesOf(s section, tags []signatureTag) ([]rpmSignature, error) {
	var all []rpmSignature
	for _, t := range tags {
		if !s.has(t.tag) {
			continue
		}
		var values [][]byte
		if t.tag == sigOpenPGP {
			texts, err := s.strings(t.tag)
			if err != nil {
				return nil, err
			}
			for _, text := range texts {
				b, err := base64.StdEncoding.DecodeString(text)
				if err != nil {
					return nil, fmt.Errorf("%w: signature: %w", errDamaged, err)
				}
				values = append(values, b)
			}
		} else {
			b, err := s.bytes(t.tag)
			if err != nil {
				return nil, err
			}
			values = append(values, b)
		}
		for _, b := range values {
			sig := rpmSignature{payload: t.payload}
			if sig.err = sig.parse(b); sig.err == nil && !sig.hash.Available() {
				sig.err = fmt.Errorf("signature of digest %s", sig.hash)
			}
			all = append(all, sig)
		}
	}
	return all, nil
}

// parse reads the one packet b must be.
func (s *rpmSignature) parse(b []byte) error {
	r := packet.NewOpaqueReader(bytes.NewReader(b))
	p, err := r.Next()
	if err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	const tagSignature = 2 // RFC 9580, 5
	if p.Tag != tagSignature || len(p.Contents) == 0 {
		return fmt.Errorf("signature: packet %d of %d bytes", p.Tag, len(p.Contents))
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		return errors.New("signature: more than one packet")
	}
	if p.Contents[0] == 3 {
		return s.parseV3(p.Contents)
	}
	parsed, err := p.Parse()
	if err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	sig, ok := parsed.(*packet.Signature)
	if !ok {
		return fmt.Errorf("signature: packet %T", parsed)
	}
	s.v4, s.created, s.hash = sig, sig.CreationTime, sig.Hash
	if sig.IssuerKeyId == nil {
		return errors.New("signature: it names no key")
	}
	s.keyID = keyID(*sig.IssuerKeyId)
	if sig.SigLifetimeSecs != nil && *sig.SigLifetimeSecs > 0 {
		return errors.New("signature: it has an end, which nothing signed by a distro has")
	}
	s.sum, err = sig.PrepareVerify()
	return err
}

func keyID(id uint64) string { return fmt.Sprintf("%016x", id) }

// hashName is "" where the signature could not be read.
func (s *rpmSignature) hashName() string {
	if s.hash == 0 {
		return ""
	}
	return s.hash.String()
}

// signatureV3 is a signature of version 3 (RFC 4880, 5.2.2), which rpmsign made
// until EL 8 and the OpenPGP library does not know.
type signatureV3 struct {
	typ       byte
	algorithm packet.PublicKeyAlgorithm
	suffix    []byte // hashed after the data: type and time
	rsa       []byte // number, without leading zeros
}

func (s *rpmSignature) parseV3(b []byte) error {
	const fixed = 19
	if len(b) < fixed || b[1] != 5 {
		return errors.New("signature of version 3: truncated")
	}
	v3 := &signatureV3{typ: b[2], algorithm: packet.PublicKeyAlgorithm(b[15]), suffix: b[2:7]}
	s.v3 = v3
	s.created = time.Unix(int64(binary.BigEndian.Uint32(b[3:])), 0)
	s.keyID = keyID(binary.BigEndian.Uint64(b[7:]))
	// By their OpenPGP numbers (RFC 9580, 9.5).
	s.hash = map[byte]crypto.Hash{1: crypto.MD5, 2: crypto.SHA1, 8: crypto.SHA256, 9: crypto.SHA384, 10: crypto.SHA512, 11: crypto.SHA224}[b[16]]
	if s.hash == 0 || s.hash == crypto.MD5 {
		return fmt.Errorf("signature of version 3 of digest %d", b[16])
	}
	if v3.algorithm != packet.PubKeyAlgoRSA && v3.algorithm != packet.PubKeyAlgoRSASignOnly {
		return fmt.Errorf("signature of version 3 of algorithm %d", v3.algorithm)
	}
	number := b[fixed:]
	if len(number) < 2 || len(number) != 2+(int(binary.BigEndian.Uint16(number))+7)/8 {
		return errors.New("signature of version 3: truncated")
	}
	v3.rsa, s.sum = number[2:], s.hash.New()
	return nil
}
