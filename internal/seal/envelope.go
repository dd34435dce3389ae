package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/xcrate/xcrate/artifact"
)

// maxSmall bounds what is read of an envelope or of sealed facts, in bytes: the facts
// have a line for each table.
const maxSmall = 16 << 20

func encrypt(b []byte, to ...age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to...)
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}

func decrypt(b []byte, with ...age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(b), with...)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxSmall))
}

// Envelopes seals k to the recipients.
func (r *Recipients) Envelopes(k *Key) ([]artifact.Envelope, error) {
	var all []artifact.Envelope
	add := func(to string, recipients ...age.Recipient) error {
		b, err := encrypt([]byte(k.Text()+"\n"), recipients...)
		if err != nil {
			return err
		}
		var text strings.Builder
		w := armor.NewWriter(&text)
		if _, err := w.Write(b); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		all = append(all, artifact.Envelope{To: to, Age: text.String()})
		return nil
	}
	if len(r.keys) > 0 {
		if err := add(artifact.EnvelopeKeys, r.keys...); err != nil {
			return nil, err
		}
	}
	if r.passphrase != "" {
		to, err := age.NewScryptRecipient(r.passphrase)
		if err != nil {
			return nil, err
		}
		to.SetWorkFactor(workFactor)
		if err := add(artifact.EnvelopePassphrase, to); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// workFactor makes a guess of a passphrase cost 64 MiB and a fifth of a second (scrypt,
// RFC 7914, N = 2^16, r = 8); maxWorkFactor is what a hostile envelope may ask for.
const (
	workFactor    = 16
	maxWorkFactor = 18
)

// ErrNoKey is wrapped when none of the keys at hand opens a snapshot.
var ErrNoKey = errors.New("no key at hand opens it")

// ErrWrongPassphrase is wrapped when a passphrase does not open a snapshot.
var ErrWrongPassphrase = errors.New("wrong passphrase")

// Open opens one of the envelopes, with keys first, since they ask for nothing.
func (i *Identities) Open(envelopes []artifact.Envelope) (*Key, error) {
	var why error
	for _, e := range envelopes {
		if e.To != artifact.EnvelopeKeys || len(i.all) == 0 {
			continue
		}
		k, err := open(e, i.all...)
		if err == nil {
			return k, nil
		}
		why = err
	}
	for _, e := range envelopes {
		if e.To != artifact.EnvelopePassphrase || i.Passphrase == nil {
			continue
		}
		text, err := i.Passphrase()
		if err != nil {
			return nil, err
		}
		if text == "" {
			continue
		}
		k, err := openWith(e, text)
		if err == nil {
			return k, nil
		}
		why = err
	}
	var none *age.NoIdentityMatchError
	if why == nil || errors.As(why, &none) {
		return nil, ErrNoKey
	}
	return nil, why
}

// openWith opens an envelope to a passphrase.
func openWith(e artifact.Envelope, passphrase string) (*Key, error) {
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, ErrWrongPassphrase
	}
	id.SetMaxWorkFactor(maxWorkFactor)
	k, err := open(e, id)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, ErrWrongPassphrase
	}
	return k, err
}

func open(e artifact.Envelope, with ...age.Identity) (*Key, error) {
	r, err := age.Decrypt(armor.NewReader(strings.NewReader(e.Age)), with...)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, maxSmall))
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	return ParseKey(strings.TrimSpace(string(b)))
}
