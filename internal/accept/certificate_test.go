package accept

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// issue is what the certificates of a node are like.
type issue struct {
	until      time.Time
	from       time.Time
	key        func() crypto.Signer // of the server
	otherKey   bool                 // the file has another one
	otherCA    bool                 // another one signed
	textBefore bool
}

func ec() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func ofNow(i *issue) { i.textBefore = true }

// certificates makes a CA and what it signed, as xCAT's scripts do: from long ago,
// and with text for people before the certificate.
func (n *node) certificates(with ...func(*issue)) {
	n.Helper()
	i := issue{from: time.Date(1960, 1, 1, 1, 1, 1, 0, time.UTC), until: now().AddDate(10, 0, 0), key: ec}
	for _, f := range with {
		f(&i)
	}
	caKey, otherKey := ec(), ec()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "xCAT CA"}, NotBefore: time.Unix(0, 0), NotAfter: now().AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "mgmt01"}, NotBefore: i.from, NotAfter: i.until,
		BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	sign := func(c, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) string {
		der, err := x509.CreateCertificate(rand.Reader, c, parent, public, key)
		if err != nil {
			n.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	signer, key := caKey, i.key()
	if i.otherCA {
		signer = otherKey
	}
	text := ""
	if i.textBefore {
		text = "Certificate:\n    Data:\n        Version: 3 (0x2)\n"
	}
	n.write("/etc/xcat/ca/ca-cert.pem", 0o644, sign(ca, ca, caKey.Public(), caKey))
	n.write("/etc/xcat/cert/server-cert.pem", 0o644, text+sign(server, ca, key.Public(), signer))
	if i.otherKey {
		key = otherKey
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		n.Fatal(err)
	}
	n.write("/etc/xcat/cert/server-key.pem", 0o600, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func TestCertificate(t *testing.T) {
	short := func() crypto.Signer {
		key, err := rsa.GenerateKey(rand.Reader, 1024)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	for name, tc := range map[string]struct {
		with  func(*issue)
		want  Verdict
		words []string
	}{
		"good":      {ofNow, Pass, []string{"mgmt01", "2036-11-26"}},
		"other_ca":  {func(i *issue) { i.otherCA = true }, Fail, []string{"not signed by /etc/xcat/ca/ca-cert.pem"}},
		"other_key": {func(i *issue) { i.otherKey = true }, Fail, []string{"server-key.pem is not the key"}},
		"expired":   {func(i *issue) { i.until = now().AddDate(0, 0, -1) }, Fail, []string{"was valid until 2026-11-25", "xcatconfig -c"}},
		"future":    {func(i *issue) { i.from = now().AddDate(0, 0, 1) }, Fail, []string{"valid from 2026-11-27 only", "date"}},
		"soon":      {func(i *issue) { i.until = now().AddDate(0, 0, 179) }, Warn, []string{"valid until 2027-05-24 only"}},
		"not_soon":  {func(i *issue) { i.until = now().AddDate(0, 0, 181) }, Pass, nil},
		"rsa_1024":  {func(i *issue) { i.key = short }, Warn, []string{"1024 bits"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.certificates(tc.with)
			n.want("certificate", tc.want, tc.words...)
		})
	}
	n := newNode(t)
	n.want("certificate", Fail, "server-cert.pem")
	n.certificates()
	// Key and certificate may lie in one file, whichever comes first.
	key, err := n.Root.ReadFile("/etc/xcat/cert/server-key.pem", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := n.Root.ReadFile("/etc/xcat/cert/server-cert.pem", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	n.write("/etc/xcat/cert/server-cert.pem", 0o600, string(key)+string(cert))
	n.write("/etc/xcat/cert/server-key.pem", 0o600, string(cert)+string(key))
	n.want("certificate", Pass)
	n.write("/etc/xcat/cert/server-key.pem", 0o600, "-----BEGIN PRIVATE KEY-----\nTk9UIEEgS0VZ\n-----END PRIVATE KEY-----\n")
	n.want("certificate", Fail, "holds no private key")
}

// TestCertificateOfOpenSSL has openssl make what setup-xcat-ca.sh and
// setup-server-cert.sh of older xCAT make: signed with SHA-1.
func TestCertificateOfOpenSSL(t *testing.T) {
	n := newNode(t)
	n.write("/etc/xcat/ca/ext.cnf", 0o644, "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyAgreement,keyEncipherment\nextendedKeyUsage=clientAuth\n")
	n.write("/etc/xcat/cert/x", 0o644, "")
	script := `set -e
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca/ca-key.pem -out ca/ca-cert.pem -days 7305 -sha1 -subj "/CN=xCAT CA"
openssl req -new -newkey rsa:2048 -nodes -keyout cert/server-key.pem -out cert/req.pem -subj /CN=mgmt01
openssl x509 -req -in cert/req.pem -CA ca/ca-cert.pem -CAkey ca/ca-key.pem -CAcreateserial -days 7300 "$1" -extfile ca/ext.cnf -text -out cert/server-cert.pem
`
	run := func(digest string) {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", script, "sh", digest)
		cmd.Dir = filepath.Join(n.dir, "etc/xcat")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl: %v\n%s", err, out)
		}
	}
	n.Now = time.Now().Add(time.Hour)
	run("-sha1")
	n.want("certificate", Warn, "signed with SHA1-RSA")
	// A signature of SHA-1 is looked at, not believed.
	old, err := n.Root.ReadFile("/etc/xcat/ca/ca-cert.pem", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	run("-sha1")
	n.write("/etc/xcat/ca/ca-cert.pem", 0o644, string(old))
	n.want("certificate", Fail, "not signed by", "verification error")
	run("-sha256")
	n.want("certificate", Pass, "mgmt01")
}
