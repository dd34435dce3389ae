package accept

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pin/tftp/v3"

	"github.com/xcrate/xcrate/internal/stack"
)

const (
	// largest is how long a file may be that is fetched, in bytes: TFTP moves 512 at
	// a time.
	largest = 256 << 10
	// mostDirs is how many directories are looked into for such a file.
	mostDirs = 200
)

var (
	errTooLong = errors.New("what came is longer than the file")
	errOther   = errors.New("what came is not what the file holds")
)

// tftp fetches a boot file as a node's firmware does. xcatd starts the server, and
// none of systemd's units does.
func (t *tester) tftp(context.Context) Probe {
	p := t.probes().TFTP
	daemon := t.units(t.probes().Daemon)
	switch {
	case len(daemon) == 0:
		return skip("%s, which serves TFTP, is not to run here", t.probes().Daemon)
	case t.switchedOff(p):
		return skip("table %s switches TFTP off for this node", p.Table)
	}
	dir := t.path(p.Dir)
	name, want, err := t.pick(dir, p.Prefer)
	if err != nil {
		return skip("%s", short(err))
	}
	mend := fmt.Sprintf("systemctl disable --now tftp.socket tftpd-hpa xinetd; systemctl restart %s, which serves TFTP itself; pgrep -a in.tftpd", daemon[0])
	err = t.until(func() error {
		got := &limitedBuffer{limit: len(want)}
		if err := fetchTFTP(t.address(localhost, t.port(p.Port)), name, got); err != nil {
			return err
		}
		return same(got.Bytes(), want)
	})
	if err != nil {
		return fail(mend, "TFTP does not give %s of %s: %s", name, dir, short(cause(err)))
	}
	return pass("TFTP gives %s of %s", name, dir)
}

// switchedOff reports whether the row of the management node says no.
func (t *tester) switchedOff(p stack.FileProbe) bool {
	for _, row := range t.known.rows.Active(p.Table) {
		node := row["node"]
		// xcatconfig -m keeps the row for the group of the management node.
		if strings.EqualFold(node, t.Name) || strings.EqualFold(node, shortName(t.Name)) || node == "__mgmtnode" {
			if slices.Contains([]string{"0", "no", "n"}, strings.ToLower(row[p.Column])) {
				return true
			}
		}
	}
	return false
}

// fetchTFTP writes to w the file that the server at at has under name.
func fetchTFTP(at, name string, w io.Writer) error {
	client, err := tftp.NewClient(at)
	if err != nil {
		return final(err)
	}
	client.SetTimeout(time.Second)
	client.SetRetries(2)
	client.SetBackoff(func(int) time.Duration { return 0 })
	transfer, err := client.Receive(name, "octet")
	if err == nil {
		_, err = transfer.WriteTo(w)
	}
	var late net.Error
	if err == nil || errors.As(err, &late) {
		return err
	}
	return final(err) // the server's own word
}

// http fetches a postscript as a node that is being installed does.
func (t *tester) http(ctx context.Context) Probe {
	p := t.probes().HTTP
	units := t.units(t.probes().Web...)
	if len(units) == 0 {
		return skip("no web server is to run here")
	}
	dir := t.path(p.Dir)
	name, want, err := t.pick(dir, p.Prefer)
	if err != nil {
		return skip("%s", short(err))
	}
	where := url.URL{Scheme: "http", Host: t.address(localhost, t.port(p.Port)), Path: path.Join(dir, name)}
	err = t.until(func() error {
		got, err := fetchHTTP(ctx, where.String(), len(want))
		if err != nil {
			return err
		}
		return same(got, want)
	})
	if err != nil {
		return fail(fmt.Sprintf("curl -v --noproxy '*' -o /dev/null http://%s%s; systemctl restart %s", localhost, where.Path, units[0]),
			"HTTP does not give %s: %s", where.Path, short(cause(err)))
	}
	return pass("HTTP gives %s", where.Path)
}

// fetchHTTP gets where, without the proxy that the environment may name, and without
// following a redirection: nodes fetch from this server.
func fetchHTTP(ctx context.Context, where string, limit int) (body []byte, err error) {
	limited, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	transport := &http.Transport{Proxy: nil, DisableKeepAlives: true, DisableCompression: true}
	client := http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequestWithContext(limited, http.MethodGet, where, nil)
	if err != nil {
		return nil, final(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		err := fmt.Errorf("status %s", response.Status)
		if response.StatusCode < http.StatusInternalServerError {
			err = final(err)
		}
		return nil, err
	}
	got := &limitedBuffer{limit: limit}
	_, err = io.Copy(got, response.Body)
	return got.Bytes(), err
}

func same(got, want []byte) error {
	if !bytes.Equal(got, want) {
		return final(errOther)
	}
	return nil
}

// limitedBuffer takes limit bytes and no more.
type limitedBuffer struct {
	bytes.Buffer
	limit int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.limit {
		return 0, final(errTooLong)
	}
	return b.Buffer.Write(p)
}

// ReadFrom hides that of bytes.Buffer, which knows no limit.
func (b *limitedBuffer) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{b}, r)
}

// pick returns the name below dir, and the content, of a small file that everybody
// may read: the first of prefer that is there, else the one that is found first.
func (t *tester) pick(dir string, prefer []string) (name string, content []byte, err error) {
	fits := func(name string) bool {
		st, err := t.Root.Lstat(dir + "/" + name)
		return err == nil && st.IsRegular() && st.Perm()&0o004 != 0 && st.Size > 0 && st.Size <= largest && plain(name)
	}
	if i := slices.IndexFunc(prefer, fits); i >= 0 {
		name = prefer[i]
	}
	dirs := []string{"."}
	for n := 0; name == "" && n < len(dirs) && n < mostDirs; n++ {
		names, err := t.Root.Names(dir + "/" + dirs[n])
		if err != nil {
			continue
		}
		for _, base := range names {
			p := path.Join(dirs[n], base)
			if fits(p) {
				name = p
				break
			}
			if st, err := t.Root.Lstat(dir + "/" + p); err == nil && st.IsDir() && st.Perm()&0o001 != 0 {
				dirs = append(dirs, p)
			}
		}
	}
	if name == "" {
		return "", nil, fmt.Errorf("%s has no small file to fetch", dir)
	}
	content, err = t.Root.ReadFile(dir+"/"+name, largest)
	return name, content, err
}

// plain reports whether every server takes name as it is: in.tftpd rewrites some
// characters (/etc/tftpmapfile4xcat.conf).
func plain(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/", r)
	})
}
