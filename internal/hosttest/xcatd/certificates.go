package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"time"
)

// pair is a key and its certificate.
type pair struct {
	key       *ecdsa.PrivateKey
	cert      *x509.Certificate
	keyPEM    []byte
	certPEM   []byte
	authority *pair
}

// newPair makes a certificate that by signs, or signs itself. EC keys are made
// in no time, xCAT's are RSA.
func newPair(name string, serial int64, by *pair, names ...string) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: names,
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(20, 0, 0), BasicConstraintsValid: true, IsCA: by == nil,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	p := &pair{key: key, authority: by}
	signer, parent := key, template
	if by != nil {
		signer, parent = by.key, by.cert
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	private, err := x509.MarshalECPrivateKey(key)
	p.keyPEM = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})
	p.certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return p, err
}

// certificates makes the CA, the daemon's certificate, and those of root and
// conserver, where there is no CA yet.
func certificates() error {
	if _, err := os.Stat("/etc/xcat/ca"); err == nil {
		return nil
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	ca, err := newPair("xCAT CA", 1, nil)
	if err != nil {
		return err
	}
	server, err := newPair(name, 2, ca, name)
	if err != nil {
		return err
	}
	for file, content := range map[string][]byte{
		"ca/ca-cert.pem": ca.certPEM, "ca/serial": []byte("05\n"), "ca/index": []byte("V\t2041\t\t02\tunknown\t/CN=" + name + "\n"),
		"ca/certs/02.pem": server.certPEM, "cert/server-cert.pem": server.certPEM, "cert/ca.pem": ca.certPEM,
	} {
		if err := write("/etc/xcat/"+file, 0o644, content); err != nil {
			return err
		}
	}
	for file, content := range map[string][]byte{
		"ca/private/ca-key.pem": ca.keyPEM, "cert/server-key.pem": server.keyPEM, "cert/server-cred.pem": append(server.certPEM, server.keyPEM...),
	} {
		if err := write("/etc/xcat/"+file, 0o600, content); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Chmod("/etc/xcat/ca/private", 0o700), os.Chmod("/etc/xcat/cert", 0o700)); err != nil {
		return err
	}
	if _, err := user.Lookup("conserver"); err != nil {
		if out, err := exec.Command("useradd", "-r", "-m", "-d", "/home/conserver", "conserver").CombinedOutput(); err != nil {
			return errors.Join(errors.New(string(out)), err)
		}
	}
	return errors.Join(credentials(ca, "root", 3), credentials(ca, "conserver", 4))
}

// credentials gives a user a certificate of the CA.
func credentials(ca *pair, name string, serial int64) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	p, err := newPair(name, serial, ca)
	if err != nil {
		return err
	}
	dir := filepath.Join(u.HomeDir, ".xcat")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for file, content := range map[string][]byte{
		"client-key.pem": p.keyPEM, "client-cert.pem": p.certPEM, "client-cred.pem": append(p.certPEM, p.keyPEM...), "ca.pem": ca.certPEM,
	} {
		mode := os.FileMode(0o600)
		if file == "ca.pem" {
			mode = 0o644
		}
		if err := errors.Join(write(filepath.Join(dir, file), mode, content), owned(filepath.Join(dir, file), name, name, mode)); err != nil {
			return err
		}
	}
	return owned(dir, name, name, 0o700)
}

// sshKey makes a key and what stands for its public half: no test logs in.
func sshKey(file string) error {
	p, err := newPair("ssh", 1, nil)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&p.key.PublicKey)
	if err != nil {
		return err
	}
	line := "ssh-rsa " + base64.StdEncoding.EncodeToString(public) + " root@" + p.cert.Subject.CommonName + "\n"
	return errors.Join(write(file, 0o600, p.keyPEM), write(file+".pub", 0o644, []byte(line)))
}
