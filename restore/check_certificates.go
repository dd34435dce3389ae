package restore

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/stack"
)

// soon is how long before its end a certificate is worth a word: time to plan a new
// CA, which every service node and user has to get.
const soon = 180 * 24 * time.Hour

// leastRSA is the size that current crypto policies and OpenSSL take.
const leastRSA = 2048

// certificates are the files of those that the stack does not work without.
func certificates(s stack.Stack) []string { return []string{s.Probes.CA, s.Probes.Certificate} }

// checkCertificates looks at the certificates of the snapshot. They come as they
// are, so it never stops an import.
func (p *planner) checkCertificates(ctx context.Context) error {
	var found []artifact.Entry
	for _, file := range certificates(p.Stack) {
		if e := p.checked.watched.of(file); e != nil && p.Wants(e.Kind) && e.Size <= maxSmall {
			found = append(found, *e)
		}
	}
	if len(found) == 0 {
		p.checked.certified = "no certificate of the stack is restored"
		return nil
	}
	contents, err := p.readEntries(ctx, maxSmall, found...)
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	for _, e := range found {
		if says := faults(contents[e.Path], p.Now); len(says) > 0 {
			p.find(codeCertificates, Warn, "after the import make new ones: xcatconfig -c; then updatenode SERVICENODES -P servicenode",
				"/%s %s", e.Path, strings.Join(says, ", "))
		}
	}
	return nil
}

// faults says what is wrong with the first certificate in text, as of now.
func faults(text []byte, now time.Time) (says []string) {
	var block *pem.Block
	for block, text = pem.Decode(text); block != nil && block.Type != "CERTIFICATE"; {
		block, text = pem.Decode(text)
	}
	if block == nil {
		return []string{"holds no certificate"}
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return []string{"cannot be read: " + err.Error()}
	}
	until := c.NotAfter.UTC().Format("2006-01-02")
	switch {
	case now.After(c.NotAfter):
		says = append(says, "expired on "+until)
	case now.Add(soon).After(c.NotAfter):
		says = append(says, "expires on "+until)
	case now.Before(c.NotBefore):
		says = append(says, "is valid from "+c.NotBefore.UTC().Format("2006-01-02")+" only")
	}
	switch c.SignatureAlgorithm { //nolint:exhaustive // all others are good
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		says = append(says, "is signed with "+c.SignatureAlgorithm.String()+", which current crypto policies refuse")
	}
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < leastRSA {
		says = append(says, fmt.Sprintf("has a key of %d bits, which current crypto policies refuse", key.N.BitLen()))
	}
	return says
}
