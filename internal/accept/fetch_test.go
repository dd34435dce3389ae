package accept

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pin/tftp/v3"
)

// serveTFTP serves directory dir where the node's port 69 leads, at once or later.
func (n *node) serveTFTP(dir string, read func(name string) ([]byte, error), after time.Duration) {
	n.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		n.Fatal(err)
	}
	n.ports["127.0.0.1:69"] = conn.LocalAddr().String()
	if read == nil {
		read = func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(n.dir, dir, name)) }
	}
	server := tftp.NewServer(func(name string, to io.ReaderFrom) error {
		b, err := read(name)
		if err != nil {
			return err
		}
		_, err = to.ReadFrom(bytes.NewReader(b))
		return err
	}, nil)
	server.SetTimeout(100 * time.Millisecond) // for who has gone
	server.SetRetries(1)
	timer := time.AfterFunc(after, func() { _ = server.Serve(conn) })
	n.Cleanup(func() {
		if timer.Stop() {
			_ = conn.Close()
		}
		server.Shutdown()
	})
}

func tftpNode(t *testing.T) *node {
	n := newNode(t)
	n.runs("xcatd")
	n.write("/tftpboot/xcat/xnba.kpxe", 0o644, strings.Repeat("loader ", 1000)+"\r\n\x00")
	n.write("/tftpboot/aaa", 0o644, "not this one")
	return n
}

func TestTFTP(t *testing.T) {
	n := newNode(t)
	n.want("tftp", Skip, "xcatd, which serves TFTP, is not to run here")
	n.runs("xcatd")
	n.want("tftp", Skip, "/tftpboot has no small file")

	n = tftpNode(t)
	n.serveTFTP("/tftpboot", nil, 0)
	n.want("tftp", Pass, "TFTP gives xcat/xnba.kpxe of /tftpboot")

	// Another server shows another directory.
	n.serveTFTP("/srv/tftp", nil, 0)
	n.Within = 30 * time.Second // an answer that waiting does not change
	begin := time.Now()
	n.want("tftp", Fail, "TFTP does not give xcat/xnba.kpxe of /tftpboot: code: 1", "systemctl disable --now tftp.socket")
	if time.Since(begin) > 15*time.Second {
		t.Error("waited for a file that is not there")
	}
	for name, content := range map[string]string{"other": strings.Repeat("another ", 875) + "\r\n\x00", "long": strings.Repeat("x", 10000), "short": "x"} {
		n.serveTFTP("", func(string) ([]byte, error) { return []byte(content), nil }, 0)
		want := errOther
		if name == "long" {
			want = errTooLong
		}
		n.want("tftp", Fail, want.Error())
	}
}

// TestTFTPIsWaitedFor has xcatd start its server late, and one that nobody starts.
func TestTFTPIsWaitedFor(t *testing.T) {
	t.Parallel()
	n := tftpNode(t)
	n.serveTFTP("/tftpboot", nil, 1500*time.Millisecond)
	n.Within = time.Minute
	n.want("tftp", Pass)
}

func TestTFTPSilent(t *testing.T) {
	t.Parallel()
	n := tftpNode(t)
	n.serveTFTP("/tftpboot", nil, time.Hour)
	n.want("tftp", Fail, "i/o timeout", "pgrep -a in.tftpd")
}

func TestTFTPSwitchedOff(t *testing.T) {
	n := tftpNode(t)
	n.serveTFTP("/tftpboot", nil, 0)
	n.chtab("servicenode", "INSERT INTO servicenode (node, tftpserver) VALUES ('mgmt01', '0')")
	n.want("tftp", Skip, "table servicenode switches TFTP off")
	n.chtab("servicenode", "UPDATE servicenode SET tftpserver = '1' WHERE node = 'mgmt01'")
	n.want("tftp", Pass)
}

// TestPick looks for a file that a server which is not root can show.
func TestPick(t *testing.T) {
	n := newNode(t)
	n.runs("xcatd")
	n.chtab("site", "UPDATE site SET value = '/data/boot/' WHERE key = 'tftpdir'")
	n.write("/data/boot/mypostscripts/secret", 0o600, "secret")
	n.write("/data/boot/empty", 0o644, "")
	n.write("/data/boot/odd name", 0o644, "x")
	n.write("/data/boot/large", 0o644, strings.Repeat("x", largest+1))
	n.write("/data/boot/pxelinux.0", 0o640, "not for all")
	n.write("/data/boot/closed/x", 0o644, "x")
	if err := os.Chmod(filepath.Join(n.dir, "data/boot/closed"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(n.dir, "data/boot/link")); err != nil {
		t.Fatal(err)
	}
	n.want("tftp", Skip, "/data/boot has no small file")
	n.write("/data/boot/etc/0A0A0101", 0o644, "a node's")
	n.serveTFTP("/data/boot", nil, 0)
	n.want("tftp", Pass, "TFTP gives etc/0A0A0101 of /data/boot")
}

func (n *node) serveHTTP(port string, h http.Handler) {
	n.Helper()
	s := httptest.NewServer(h)
	n.Cleanup(s.Close)
	n.ports["127.0.0.1:"+port] = s.Listener.Addr().String()
}

func TestHTTP(t *testing.T) {
	n := newNode(t)
	n.want("http", Skip, "no web server is to run here")
	n.runs("httpd")
	n.want("http", Skip, "/install/postscripts has no small file")
	n.write("/install/postscripts/aaa", 0o755, "#!/bin/sh\n")
	n.write("/install/postscripts/syslog", 0o755, "#!/bin/sh\n# syslog\n")
	files := http.FileServer(http.Dir(n.dir))
	n.serveHTTP("80", files)
	n.want("http", Pass, "HTTP gives /install/postscripts/syslog")

	n.serveHTTP("80", http.NotFoundHandler())
	n.want("http", Fail, "status 404 Not Found", "curl -v --noproxy '*' -o /dev/null http://127.0.0.1/install/postscripts/syslog")
	n.serveHTTP("80", http.RedirectHandler("https://mgmt01/", http.StatusMovedPermanently))
	n.want("http", Fail, "status 301")
	n.serveHTTP("80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "#!/bin/sh\n# SYSLOG\n") }))
	n.want("http", Fail, errOther.Error())
	n.serveHTTP("80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, strings.Repeat("x", 1<<20)) }))
	n.want("http", Fail, errTooLong.Error())
	n.closed("80")
	n.want("http", Fail, "connection refused")

	n.chtab("site", "INSERT INTO site (key, value) VALUES ('httpport', '8080')")
	n.serveHTTP("8080", files)
	n.want("http", Pass)
}

// TestHTTPIsWaitedFor has a web server that is starting.
func TestHTTPIsWaitedFor(t *testing.T) {
	n := newNode(t)
	n.runs("apache2")
	n.write("/install/postscripts/syslog", 0o755, "#!/bin/sh\n")
	files := http.FileServer(http.Dir(n.dir))
	var asked atomic.Int32
	n.serveHTTP("80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		files.ServeHTTP(w, r)
	}))
	n.Within = 20 * time.Second
	n.want("http", Pass)
	n.serveHTTP("80", http.NotFoundHandler()) // an answer that waiting does not change
	begin := time.Now()
	n.want("http", Fail, "404")
	if time.Since(begin) > 10*time.Second {
		t.Error("waited for a page that is not there")
	}
}

func TestExports(t *testing.T) {
	n := newNode(t)
	n.want("exports", Skip, "no NFS server is to run here")
	n.runs("nfs-server")
	n.want("exports", Skip, "/etc/exports lists nothing")
	n.write("/etc/exports", 0o644, `# /commented *(ro)
/tftpboot *(rw,no_root_squash,sync,no_subtree_check,insecure)
"/data/with space" 10.0.0.0/8(ro) \
    192.168.0.0/16(rw)

/srv/odd\040name	node1(ro)
`)
	n.write("/etc/exports.d/a.exports", 0o644, "/install/ *(rw)\n")
	n.write("/etc/exports.d/a.backup", 0o644, "/not/read *(rw)\n")
	n.want("exports", Warn, "exportfs is not installed")
	// As exportfs of nfs-utils 2.6 prints: a long path stands alone.
	shown := `/data/with space
		10.0.0.0/8(sync,wdelay,hide,ro)
/srv/odd name  	node1(sync,wdelay,hide,ro)
/tftpboot     	<world>(sync,wdelay,hide,rw)
`
	if got, want := exported(shown), []string{"/data/with space", "/srv/odd name", "/tftpboot"}; !slices.Equal(got, want) {
		t.Errorf("exported %q, want %q", got, want)
	}
	n.write("/shown", 0o644, shown)
	n.script("/usr/sbin/exportfs", `[ "$*" = -v ] && cat $ROOT/shown`)
	n.want("exports", Fail, "not exported: /install", "exportfs -ra")
	n.write("/shown", 0o644, shown+"/install      	<world>(sync,rw)\n/more         	<world>(ro)\n")
	n.want("exports", Pass, "exported: /tftpboot, /data/with space, /srv/odd name, /install")
	n.script("/usr/sbin/exportfs", "echo exportfs: no etab >&2; exit 1")
	n.want("exports", Fail, "no etab")
}

func TestFinal(t *testing.T) {
	if final(nil) != nil {
		t.Error("nothing is final")
	}
	if !errors.Is(final(errOther), errOther) {
		t.Error("the cause is lost")
	}
}
