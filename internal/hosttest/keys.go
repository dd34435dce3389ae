package hosttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"io"
	"math/big"
	"strings"
	"time"
)

// keys makes the cluster's CA, the certificates it signed, the host keys given
// to nodes and the ssh keys: real ones, from the seed.
func (s *sample) keys() {
	ca := s.edKey("ca")
	caCert := s.cert("xCAT CA", 0, ca, ca)
	s.file("etc/xcat/ca/private/ca-key.pem", 0o600, "root:root", s.privatePEM("ca-key", ca))
	for _, p := range []string{
		"etc/xcat/ca/ca-cert.pem", "etc/xcat/cert/ca.pem", "root/.xcat/ca.pem", "home/conserver/.xcat/ca.pem",
		"home/alice/.xcat/ca.pem", "install/postscripts/ca/ca-cert.pem", "install/postscripts/_xcat/ca.pem",
	} {
		s.file(p, 0o644, ownerOfHome(p), caCert)
	}
	server := s.edKey("server")
	s.credentials("etc/xcat/cert/server-", "mgmt01", 1, server, ca)
	s.credentials("root/.xcat/client-", "root", 2, s.edKey("root"), ca)
	s.credentials("home/conserver/.xcat/client-", "conserver", 3, s.edKey("conserver"), ca)
	s.credentials("home/alice/.xcat/client-", "alice", 4, s.edKey("alice"), ca)
	s.sshKeys()
}

// ownerOfHome says whose file p is.
func ownerOfHome(p string) string {
	for _, user := range []string{"conserver", "alice"} {
		if strings.HasPrefix(p, "home/"+user+"/") {
			return user + ":" + user
		}
	}
	return "root:root"
}

// credentials writes key, certificate and both in one file, as xCAT's
// setup-server-cert.sh and setup-local-client.sh leave them.
func (s *sample) credentials(prefix, cn string, serial int64, key, ca ed25519.PrivateKey) {
	owner := ownerOfHome(prefix)
	cert, private := s.cert(cn, serial, key, ca), s.privatePEM("key-"+cn, key)
	s.file(prefix+"key.pem", 0o600, owner, private)
	s.file(prefix+"cert.pem", 0o644, owner, cert)
	s.file(prefix+"cred.pem", 0o600, owner, append(append([]byte{}, cert...), private...))
	req, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{Subject: pkix.Name{CommonName: cn}}, key)
	s.fail(prefix+"req.pem", err)
	s.file(prefix+"req.pem", 0o644, owner, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: req}))
	if serial > 0 {
		s.file("etc/xcat/ca/certs/0"+big.NewInt(serial).String()+".pem", 0o644, "root:root", cert)
	}
}

func (s *sample) edKey(purpose string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(s.noise("key "+purpose, ed25519.SeedSize))
}

// ecKey makes a P-256 key from the seed.
func (s *sample) ecKey(purpose string) *ecdsa.PrivateKey {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), s.noise("ec "+purpose, 32))
	s.fail("key "+purpose, err)
	return key
}

// cert returns a certificate for cn as PEM. Ed25519 signatures use no
// randomness, so the same seed gives the same certificate.
func (s *sample) cert(cn string, serial int64, key, signer ed25519.PrivateKey) []byte {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: cn},
		NotBefore: epoch(), NotAfter: epoch().Add(80 * 365 * 24 * time.Hour),
		IsCA: serial == 0, BasicConstraintsValid: true,
	}
	if serial == 1 {
		template.DNSNames = []string{"mgmt01.cluster.lab", "mgmt01"}
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: "xCAT CA"}, SerialNumber: big.NewInt(0)}
	der, err := x509.CreateCertificate(nil, template, parent, key.Public(), signer)
	s.fail("certificate "+cn, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// privatePEM returns key as PKCS #8. The line before it is a comment to every
// reader of PEM (RFC 7468, section 2) and carries the canary.
func (s *sample) privatePEM(name string, key crypto.PrivateKey) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	s.fail(name, err)
	return append([]byte("# "+s.canary(name)+"\n"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
}

// sshKeys makes the host keys all nodes share, root's cluster key and the key of
// zone secure.
func (s *sample) sshKeys() {
	rsaKey, ed, ec := s.rsaKey("ssh"), s.edKey("ssh"), s.ecKey("ssh")
	point, err := ec.PublicKey.Bytes()
	s.fail("ssh ecdsa", err)
	pub := map[string]string{
		"rsa":     sshPublic("ssh-rsa", mpint(big.NewInt(int64(rsaKey.E))), mpint(rsaKey.N)),
		"ed25519": sshPublic("ssh-ed25519", ed.Public().(ed25519.PublicKey)),
		"ecdsa":   sshPublic("ecdsa-sha2-nistp256", []byte("nistp256"), point),
	}
	for kind, key := range map[string]crypto.PrivateKey{"rsa": rsaKey, "ed25519": ed, "ecdsa": ec} {
		name, public := "ssh_host_"+kind+"_key", []byte(pub[kind]+" root@mgmt01\n")
		s.file("etc/xcat/hostkeys/"+name, 0o640, "root:ssh_keys", s.privatePEM("nodes-hostkey-"+kind, key))
		s.file("etc/ssh/"+name, 0o640, "root:ssh_keys", s.privatePEM("mn-hostkey-"+kind, key))
		for _, dir := range []string{"etc/xcat/hostkeys/", "etc/ssh/", "install/postscripts/hostkeys/"} {
			s.file(dir+name+".pub", 0o644, "root:root", public)
		}
	}
	s.file("root/.ssh/id_rsa", 0o600, "root:root", s.privatePEM("root-id-rsa", rsaKey))
	s.file("root/.ssh/id_rsa.pub", 0o644, "root:root", []byte(pub["rsa"]+" root@mgmt01\n"))
	for _, p := range []string{"root/.ssh/authorized_keys", "install/postscripts/_ssh/authorized_keys"} {
		s.file(p, 0o600, "root:root", []byte(pub["rsa"]+" root@mgmt01\n"))
	}
	s.file("etc/xcat/sshkeys/secure/.ssh/id_rsa", 0o600, "root:root", s.privatePEM("zone-id-rsa", rsaKey))
	s.file("etc/xcat/sshkeys/secure/.ssh/id_rsa.pub", 0o644, "root:root", []byte(pub["rsa"]+" root@mgmt01\n"))
}

// rsaKey makes an RSA key from the seed: rsa.GenerateKey takes no source of
// randomness any more. 1024 bits are quick and enough for a sample.
func (s *sample) rsaKey(purpose string) *rsa.PrivateKey {
	r := s.random("rsa " + purpose)
	e := big.NewInt(65537)
	p, q := prime(r, e), prime(r, e)
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(e.Int64())},
		D:         new(big.Int).ModInverse(e, phi), Primes: []*big.Int{p, q},
	}
	key.Precompute()
	return key
}

// prime returns a 512-bit prime p whose p-1 is coprime to e, from r.
func prime(r io.Reader, e *big.Int) *big.Int {
	b, one := make([]byte, 64), big.NewInt(1)
	for {
		_, _ = io.ReadFull(r, b) // the stream has no end
		b[0] |= 0xc0             // the product of two such has 1024 bits
		b[63] |= 1
		p := new(big.Int).SetBytes(b)
		if p.ProbablyPrime(20) && new(big.Int).GCD(nil, nil, e, new(big.Int).Sub(p, one)).Cmp(one) == 0 {
			return p
		}
	}
}

// sshPublic returns a public key as authorized_keys(5) has it: the type, and in
// base64 the type and the fields, each behind its length (RFC 4253, section 6.6).
func sshPublic(kind string, fields ...[]byte) string {
	var blob []byte
	for _, f := range append([][]byte{[]byte(kind)}, fields...) {
		blob = binary.BigEndian.AppendUint32(blob, uint32(len(f)))
		blob = append(blob, f...)
	}
	return kind + " " + base64.StdEncoding.EncodeToString(blob)
}

// mpint is a positive number as RFC 4251, section 5, writes it.
func mpint(n *big.Int) []byte {
	b := n.Bytes()
	if len(b) > 0 && b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return b
}
