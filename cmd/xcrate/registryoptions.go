package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/xcrate/xcrate/internal/cache"
	"github.com/xcrate/xcrate/internal/progress"
	"github.com/xcrate/xcrate/internal/registry"
)

// registryOptions say how registries are reached. Each way of trusting one is a flag of
// its own, and holds for the requests for tokens too.
type registryOptions struct {
	username      string
	passwordStdin bool
	caFile        string
	caForOthers   bool // and caFile is for other servers too, which may speak TLS
	clientCert    string
	clientKey     string
	skipVerify    bool
	plainHTTP     bool
	retryFor      time.Duration
	parallel      int
}

// registryFlags is the annotation that holds the help of the flags for registries,
// which has a place of its own: who has a stick need not read it.
const registryFlags = "registry"

func (o *registryOptions) flags(c *cobra.Command) {
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.caForOthers = c.Flags().Lookup("ca-file") != nil
	o.define(f)
	c.Annotations = map[string]string{registryFlags: f.FlagUsages()}
	f.VisitAll(func(one *pflag.Flag) { one.Hidden = true })
	c.Flags().AddFlagSet(f)
}

func (o *registryOptions) define(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.username, "username", "", "log in as `NAME`\n(default: what podman or docker login kept)")
	f.BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from standard input")
	if !o.caForOthers {
		f.StringVar(&o.caFile, "ca-file", "", "trust servers by the certificates in\n`FILE` (PEM)")
	}
	f.StringVar(&o.clientCert, "client-cert", "", "this client's certificate is in `FILE` (PEM)")
	f.StringVar(&o.clientKey, "client-key", "", "and its key in `FILE` (PEM)")
	f.BoolVar(&o.skipVerify, "insecure-skip-tls-verify", false, "trust whoever answers")
	f.BoolVar(&o.plainHTTP, "plain-http", false, "speak HTTP, without TLS")
	f.DurationVar(&o.retryFor, "retry-for", registry.DefaultRetryFor, "keep trying for `TIME` when nothing moves\n(2h, 30m; default 5m)")
	f.Lookup("retry-for").DefValue = "0s"
	f.IntVar(&o.parallel, "parallel", registry.DefaultParallel, "send or fetch `N` blobs side by side\n(default: 4)")
	f.Lookup("parallel").DefValue = "0"
}

// check finds what does not fit together.
func (o *registryOptions) check() error {
	switch {
	case o.passwordStdin && o.username == "":
		return usage(errors.New("--password-stdin without --username"), "say whose password it is: --username NAME")
	case (o.clientCert == "") != (o.clientKey == ""):
		return usage(errors.New("--client-cert and --client-key: only one of them"), "a client proves itself with both")
	case o.plainHTTP && (o.caFile != "" && !o.caForOthers || o.clientCert != "" || o.skipVerify):
		return usage(errors.New("--plain-http with a flag of TLS"), "without TLS nothing is trusted or proved: leave one out")
	case o.parallel < 1:
		return usage(fmt.Errorf("--parallel %d: at least 1", o.parallel), "the default is 4")
	case o.retryFor < 0:
		return usage(fmt.Errorf("--retry-for %v: before now", o.retryFor), "give 0 to try once")
	}
	return nil
}

// open returns the repository of ref. p hears of what is sent to it.
func (o *registryOptions) open(ctx context.Context, a *app, ref registry.Reference, p progress.Sink) (*registry.Repository, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	t, err := o.tls()
	if err != nil {
		return nil, err
	}
	if o.plainHTTP {
		t = registry.TLS{}
	}
	password, err := o.password(ctx, a, ref.Host)
	if err != nil {
		return nil, err
	}
	return registry.Open(ref, registry.Options{
		PlainHTTP: o.plainHTTP, TLS: t, Username: o.username, Password: password,
		Env: a.env, UserID: os.Geteuid(),
		RetryFor: o.retryFor, StallAfter: registry.DefaultStallAfter, Parallel: o.parallel, Chunk: registry.DefaultChunk,
		UserAgent: "xcrate/" + version, Sessions: cache.Sessions(a.cache),
		Now: a.now, Wait: wait, Note: a.note, Progress: p,
	})
}

func (o *registryOptions) tls() (registry.TLS, error) {
	t := registry.TLS{SkipVerify: o.skipVerify}
	for _, one := range []struct {
		name string
		to   *[]byte
	}{{o.caFile, &t.CA}, {o.clientCert, &t.Certificate}, {o.clientKey, &t.Key}} {
		if one.name == "" {
			continue
		}
		b, err := readFile(one.name, maxPEM)
		if err != nil {
			return t, err
		}
		*one.to = b
	}
	return t, nil
}

// maxPEM is how large a file of certificates may be, in bytes.
const maxPEM = 16 << 20

// password asks for the password of the given user, once.
func (o *registryOptions) password(ctx context.Context, a *app, host string) (string, error) {
	switch {
	case o.username == "" || a.password != "":
	case o.passwordStdin:
		b, err := io.ReadAll(io.LimitReader(a.in, maxPassphrase))
		if err != nil {
			return "", fmt.Errorf("password: %w", err)
		}
		a.password = string(bytes.TrimRight(b, "\r\n"))
		if a.password == "" {
			return "", usage(errors.New("--password-stdin: nothing on standard input"), "give it there: xcrate ... --password-stdin < FILE")
		}
	case !a.canAsk():
		return "", usage(errors.New("--username without a password"), "give it on standard input: --password-stdin")
	default:
		text, err := a.askSecret(ctx, fmt.Sprintf("Password of %s at %s: ", o.username, host))
		if err != nil {
			return "", fmt.Errorf("password: %w", err)
		}
		a.password = text
	}
	return a.password, nil
}

// wait waits for d, or until ctx is done.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
