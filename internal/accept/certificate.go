package accept

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha1" // certificates of older clusters are signed with it
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

const (
	// soon is how long before its end a certificate is warned of.
	soon = 180 * 24 * time.Hour
	// weakBits is the length of an RSA key that distros refuse by now
	// (DEFAULT of crypto-policies(7) on EL 9 wants 2048).
	weakBits = 2047
)

// certificate looks at the certificate xcatd shows to nodes and clients.
func (t *tester) certificate(context.Context) Probe {
	p := t.probes()
	mend := "put the files of /etc/xcat/ca and /etc/xcat/cert there from the snapshot; xcatconfig -c makes all certificates anew, and nodes and users need theirs again"
	cert, err := t.readCertificate(p.Certificate)
	if err != nil {
		return fail(mend, "the server's certificate cannot be read: %s", short(err))
	}
	ca, err := t.readCertificate(p.CA)
	if err != nil {
		return fail(mend, "the certificate of the CA cannot be read: %s", short(err))
	}
	all := []Probe{pass("%s is signed by the cluster's CA, has its key, and holds until %s", cert.Subject.CommonName, day(cert.NotAfter))}
	if err := t.belongs(cert, p.Key); err != nil {
		all = append(all, fail(mend, "%s", short(err)))
	}
	if err := signed(cert, ca); err != nil {
		all = append(all, fail(mend, "%s is not signed by %s: %s", p.Certificate, p.CA, short(err)))
	}
	for _, c := range []struct {
		*x509.Certificate
		what string
	}{{cert, "the server's certificate"}, {ca, "the certificate of the CA"}} {
		all = append(all, t.age(c.Certificate, c.what), strength(c.Certificate, c.what))
	}
	return join(all)
}

// age says whether the certificate is valid now, and for how long.
func (t *tester) age(c *x509.Certificate, what string) Probe {
	mend := "xcatconfig -c makes all certificates anew; nodes and users need theirs again"
	switch {
	case t.Now.Before(c.NotBefore):
		return fail("see that the clock of this host is right: date", "%s is valid from %s only", what, day(c.NotBefore))
	case t.Now.After(c.NotAfter):
		return fail(mend, "%s was valid until %s", what, day(c.NotAfter))
	case t.Now.Add(soon).After(c.NotAfter):
		return warn(mend, "%s is valid until %s only", what, day(c.NotAfter))
	}
	return skip("")
}

func day(at time.Time) string { return at.UTC().Format(time.DateOnly) }

// strength warns of what TLS libraries of newer distros refuse.
func strength(c *x509.Certificate, what string) Probe {
	const mend = "plan xcatconfig -c, which makes all certificates anew; until then an older crypto policy may be needed"
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() <= weakBits {
		return warn(mend, "%s has an RSA key of %d bits only", what, key.N.BitLen())
	}
	// What signed a certificate that stands for itself does not matter.
	self := c.CheckSignatureFrom(c) == nil || c.Subject.String() == c.Issuer.String()
	if weak(c.SignatureAlgorithm) && !self {
		return warn(mend, "%s is signed with %s", what, c.SignatureAlgorithm)
	}
	return skip("")
}

func weak(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.MD5WithRSA, x509.MD2WithRSA:
		return true
	default:
		return false
	}
}

// signed reports why ca did not sign c. Dates are not looked at.
func signed(c, ca *x509.Certificate) error {
	var insecure x509.InsecureAlgorithmError
	err := c.CheckSignatureFrom(ca)
	if !errors.As(err, &insecure) {
		return err
	}
	// crypto/x509 does not look at SHA-1 any more, while OpenSSL of older distros
	// does, and with it xcatd.
	digest := crypto.SHA1.New()
	_, _ = digest.Write(c.RawTBSCertificate) // a hash.Hash never fails
	switch key := ca.PublicKey.(type) {
	case *rsa.PublicKey:
		if c.SignatureAlgorithm == x509.SHA1WithRSA {
			return rsa.VerifyPKCS1v15(key, crypto.SHA1, digest.Sum(nil), c.Signature)
		}
	case *ecdsa.PublicKey:
		if c.SignatureAlgorithm == x509.ECDSAWithSHA1 && ecdsa.VerifyASN1(key, digest.Sum(nil), c.Signature) {
			return nil
		}
	}
	return err
}

// belongs reports why the private key in file p is not that of c. Nothing of the
// key is in the error.
func (t *tester) belongs(c *x509.Certificate, p string) error {
	b, err := t.Root.ReadFile(p, 1<<20)
	if err != nil {
		return fmt.Errorf("the server's key cannot be read: %w", err)
	}
	key, err := parseKey(b)
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(c.PublicKey) {
		return fmt.Errorf("%s is not the key of the certificate", p)
	}
	return nil
}

// parseKey reads the first private key of PEM text. Errors of the parsers are not
// handed on: they may tell of what they read.
func parseKey(b []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if signer, ok := key.(crypto.Signer); ok {
				return signer, nil
			}
		}
	}
	return nil, errors.New("holds no private key that can be read")
}

// readCertificate reads the first certificate of file p. openssl ca writes text for
// people before it.
func (t *tester) readCertificate(p string) (*x509.Certificate, error) {
	b, err := t.Root.ReadFile(p, 1<<20)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		return c, nil
	}
	return nil, fmt.Errorf("%s: no certificate in it", p)
}
