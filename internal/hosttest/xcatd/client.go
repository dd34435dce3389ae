package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// ask has the daemon do a command, or with XCATBYPASS this process.
func ask(r request) ([]string, error) {
	if os.Getenv("XCATBYPASS") != "" {
		t, err := open()
		if err != nil {
			return nil, err
		}
		return work(context.Background(), t, r)
	}
	home := os.Getenv("HOME")
	own, err := tls.LoadX509KeyPair(filepath.Join(home, ".xcat/client-cred.pem"), filepath.Join(home, ".xcat/client-cred.pem"))
	if err != nil {
		return nil, err
	}
	pool, err := authority(filepath.Join(home, ".xcat/ca.pem"))
	if err != nil {
		return nil, err
	}
	c, err := tls.Dial("tcp", "localhost:3001", &tls.Config{
		Certificates:       []tls.Certificate{own},
		InsecureSkipVerify: true, // of the name, as the real client: the CA is looked at
		VerifyConnection: func(s tls.ConnectionState) error {
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool})
			return err
		},
	})
	if err != nil {
		return nil, fmt.Errorf("Unable to open socket connection to xcatd daemon on localhost:3001: %w", err) //nolint:staticcheck // xCAT's own words
	}
	defer func() { _ = c.Close() }()
	if err := xml.NewEncoder(c).Encode(r); err != nil {
		return nil, err
	}
	var answer response
	if err := xml.NewDecoder(c).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Error != "" {
		return answer.Data, errors.New(answer.Error)
	}
	return answer.Data, nil
}

var version = regexp.MustCompile(`Version [0-9][^'"\n]*`)

// work is what a command does.
func work(ctx context.Context, t *tables, r request) ([]string, error) {
	switch r.Command {
	case "lsxcatd":
		b, err := os.ReadFile("/opt/xcat/lib/perl/xCAT/Version.pm")
		return append([]string{version.FindString(string(b)), "This is a Management Node"}, t.facts...), err
	case "tabdump":
		if len(r.Args) == 0 {
			return t.names(ctx)
		}
		return t.dump(ctx, r.Args[len(r.Args)-1])
	case "nodels":
		return t.column(ctx, "nodelist", "node")
	case "mknb":
		if len(r.Args) != 1 {
			return nil, errors.New("Need to specify architecture (x86, x86_64 or ppc64)") //nolint:staticcheck // xCAT's own words
		}
		dir := "/tftpboot/xcat"
		err := os.MkdirAll(dir, 0o755)
		for _, name := range []string{"genesis.kernel.", "genesis.fs."} {
			err = errors.Join(err, os.WriteFile(filepath.Join(dir, name+r.Args[0]), []byte("discovery image"), 0o644))
		}
		return []string{"Creating genesis.fs." + r.Args[0] + ".gz in " + dir}, err
	}
	if !strings.HasPrefix(r.Command, "make") {
		return nil, fmt.Errorf("Unsupported command: %s", r.Command) //nolint:staticcheck // xCAT's own words
	}
	return nil, nil
}
