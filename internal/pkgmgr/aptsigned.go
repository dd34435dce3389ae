package pkgmgr

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// maxSigners bounds the signatures of a Release file: Debian's have three.
const maxSigners = 32

// openSigned takes a file with its signature around it (RFC 9580, 7) apart, as
// InRelease is one. What stands outside of that is an error, for nobody signed it;
// so is a signature that is wrong. Without a keyring nothing is checked.
func (k *Keyring) openSigned(b []byte) (text []byte, s Signature, err error) {
	block, rest := clearsign.Decode(b)
	if block == nil || !bytes.HasPrefix(b, []byte("-----BEGIN PGP SIGNED MESSAGE-----")) {
		return nil, Signature{}, errors.New("no signed message")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, Signature{}, errors.New("text after the signed message")
	}
	s, err = k.checkText(block.Bytes, block.ArmoredSignature.Body, packet.SigTypeText)
	return block.Plaintext, s, err
}

// checkDetached checks the signature of text, armored or not. One that is wrong is
// an error.
func (k *Keyring) checkDetached(text, signature []byte) (Signature, error) {
	var in io.Reader = bytes.NewReader(signature)
	if bytes.HasPrefix(signature, []byte("-----BEGIN PGP ")) {
		block, err := armor.Decode(in)
		if err != nil {
			return Signature{}, fmt.Errorf("signature: %w", err)
		}
		in = block.Body
	}
	return k.checkText(text, in, packet.SigTypeBinary)
}

// checkText checks the signatures of type typ that in holds, as Check does those of
// an rpm.
func (k *Keyring) checkText(text []byte, in io.Reader, typ packet.SignatureType) (Signature, error) {
	var all []rpmSignature
	packets := packet.NewOpaqueReader(in)
	for {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Signature{}, fmt.Errorf("signature: %w", err)
		}
		if len(all) == maxSigners {
			return Signature{}, fmt.Errorf("more than %d signatures", maxSigners)
		}
		var raw bytes.Buffer
		if err := p.Serialize(&raw); err != nil {
			return Signature{}, fmt.Errorf("signature: %w", err)
		}
		s := rpmSignature{payload: true, typ: typ}
		switch s.err = s.parse(raw.Bytes()); {
		case s.err != nil:
		case !s.hash.Available() || s.hash == crypto.SHA1:
			s.err = fmt.Errorf("signature of digest %s, which apt takes from nobody", s.hash)
		}
		all = append(all, s)
	}
	if k == nil {
		return unchecked(all), nil
	}
	_ = feed(all, text)
	found := k.judge(all, true)
	if found.State == Bad {
		return Signature{}, fmt.Errorf("signature of key %s: %s", found.KeyID, found.Why)
	}
	return found, nil
}

// unchecked is what is known of signatures without keys.
func unchecked(all []rpmSignature) Signature {
	if len(all) == 0 {
		return Signature{State: NotSigned}
	}
	s := all[0]
	return Signature{State: Unchecked, KeyID: s.keyID, Created: s.created, Hash: s.hashName(), Why: "no keys to check it with"}
}
