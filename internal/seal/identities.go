package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"
	"golang.org/x/crypto/ssh"
)

// Identities are the keys at hand to open a snapshot with.
type Identities struct {
	all []age.Identity
	// Passphrase is asked for when no key opens it and a passphrase may; "" is none.
	// nil asks nobody.
	Passphrase func() (string, error)
}

// Ask asks for the passphrase of what is named.
type Ask func(what string) (string, error)

// AddFile adds the private keys in a file, which is called name in questions: of age,
// one a line, protected by a passphrase or not; or of ssh, in its own format or in PEM.
// A key of ssh that is protected is asked for when it may fit. Errors show nothing of
// the content.
func (i *Identities) AddFile(name string, content []byte, ask Ask) error {
	switch {
	case bytes.Contains(content, []byte("-----BEGIN AGE ENCRYPTED FILE-----")):
		return i.addProtected(name, armor.NewReader(bytes.NewReader(content)), ask)
	case bytes.HasPrefix(content, []byte("age-encryption.org/")):
		return i.addProtected(name, bytes.NewReader(content), ask)
	case bytes.Contains(content, []byte("PRIVATE KEY-----")):
		return i.addSSH(name, content, ask)
	}
	ids, err := age.ParseIdentities(bytes.NewReader(content))
	if err != nil {
		return errors.New("no private key of age or ssh in it")
	}
	i.all = append(i.all, ids...)
	return nil
}

func (i *Identities) addProtected(name string, r io.Reader, ask Ask) error {
	text, err := ask(name)
	if err != nil {
		return err
	}
	id, err := age.NewScryptIdentity(text)
	if err != nil {
		return ErrWrongPassphrase
	}
	plain, err := age.Decrypt(r, id)
	if err != nil {
		var none *age.NoIdentityMatchError
		if errors.As(err, &none) {
			return ErrWrongPassphrase
		}
		return err
	}
	ids, err := age.ParseIdentities(io.LimitReader(plain, maxSmall))
	if err != nil {
		return errors.New("no private key of age in it")
	}
	i.all = append(i.all, ids...)
	return nil
}

func (i *Identities) addSSH(name string, content []byte, ask Ask) error {
	id, err := agessh.ParseIdentity(content)
	var missing *ssh.PassphraseMissingError
	if errors.As(err, &missing) {
		if missing.PublicKey == nil {
			return errors.New("a protected key of ssh in PEM does not say whose it is: ssh-keygen -p -f FILE writes it in the newer format")
		}
		id, err = agessh.NewEncryptedSSHIdentity(missing.PublicKey, content, func() ([]byte, error) {
			text, err := ask(name)
			return []byte(text), err
		})
	}
	if err != nil {
		return fmt.Errorf("key of ssh: %w", err)
	}
	i.all = append(i.all, id)
	return nil
}
