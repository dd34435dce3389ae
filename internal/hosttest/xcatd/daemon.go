package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// request and response are what goes over the wire, in the shape of xCAT's.
type request struct {
	XMLName xml.Name `xml:"xcatrequest"`
	Command string   `xml:"command"`
	Args    []string `xml:"arg"`
}

type response struct {
	XMLName xml.Name `xml:"xcatresponse"`
	Data    []string `xml:"data>contents"`
	Error   string   `xml:"error,omitempty"`
	Done    string   `xml:"serverdone"`
}

const (
	pidFile     = "/run/xcatd.pid"
	databaseFor = 60 * time.Second // it waits for its database
	inBack      = "XCATD_IN_BACKGROUND"
)

// daemon starts the daemon in the background, and returns when it listens. The
// real one ignores its arguments too.
func daemon() error {
	if os.Getenv(inBack) != "" {
		return serve()
	}
	ready, w, err := os.Pipe()
	if err != nil {
		return err
	}
	child := exec.Command("/proc/self/exe")
	child.Args = []string{"xcatd"}
	child.Env = append(os.Environ(), inBack+"=yes")
	child.ExtraFiles = []*os.File{w}
	child.Stderr = os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		return err
	}
	_ = w.Close()
	if b, err := io.ReadAll(ready); err != nil || string(b) != "ready" {
		return errors.New("xcatd did not start")
	}
	return nil
}

func serve() error {
	const readyFile = 3
	syscall.CloseOnExec(readyFile) // or TFTP would hold it
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	t, err := waitForDatabase(ctx)
	if err != nil {
		return err
	}
	clients, err := listenTLS()
	if err != nil {
		return err
	}
	installs, err := net.Listen("tcp", ":3002")
	if err != nil {
		return err
	}
	if err := os.WriteFile("/etc/tftpmapfile4xcat.conf", []byte("r g \\\\ /\n"), 0o644); err != nil { // in tftpd's own language
		return err
	}
	tftp := exec.Command("/usr/sbin/in.tftpd", "-L", "-s", "/tftpboot", "-m", "/etc/tftpmapfile4xcat.conf")
	if err := tftp.Start(); err != nil {
		return err
	}
	go func() { _ = tftp.Wait() }()
	const mine = "'montbhandler.pm'"
	_ = t.exec(ctx, "notification", "DELETE FROM notification WHERE filename = "+mine) // of a crash
	if err := t.exec(ctx, "notification", "INSERT INTO notification (filename, tables, tableops) VALUES ("+mine+", 'monitoring', 'a,u,d')"); err != nil {
		return err
	}
	if err := os.WriteFile(pidFile, fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
		return err
	}
	go accept(clients, func(c net.Conn) { answerClient(ctx, t, c) })
	go accept(installs, func(c net.Conn) { _, _ = io.WriteString(c, "ready\n") })
	ready := os.NewFile(readyFile, "ready")
	_, err = ready.WriteString("ready")
	if err := errors.Join(err, ready.Close()); err != nil {
		return err
	}
	<-ctx.Done()
	_ = tftp.Process.Kill()
	_ = os.Remove(pidFile)
	return t.exec(context.WithoutCancel(ctx), "notification", "DELETE FROM notification WHERE filename = "+mine)
}

// waitForDatabase tries until table site can be read. A fresh SQLite database is
// made, as the real one makes the tables it misses.
func waitForDatabase(ctx context.Context) (*tables, error) {
	t, err := open()
	if err != nil {
		return nil, err
	}
	if t.db == nil {
		if err := makeTables(ctx, t); err != nil {
			return nil, err
		}
	}
	for end := time.Now().Add(databaseFor); ; time.Sleep(200 * time.Millisecond) {
		_, err := t.column(ctx, "site", "key")
		if err == nil {
			return t, nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return nil, fmt.Errorf("database: %w", err)
		}
	}
}

func listenTLS() (net.Listener, error) {
	own, err := tls.LoadX509KeyPair("/etc/xcat/cert/server-cred.pem", "/etc/xcat/cert/server-cred.pem")
	if err != nil {
		return nil, err
	}
	pool, err := authority("/etc/xcat/cert/ca.pem")
	if err != nil {
		return nil, err
	}
	return tls.Listen("tcp", ":3001", &tls.Config{Certificates: []tls.Certificate{own}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert})
}

func authority(file string) (*x509.CertPool, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s: no certificate", file)
	}
	return pool, nil
}

func accept(l net.Listener, fn func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			fn(c)
		}()
	}
}

// consoles listens on the ports of goconserver, and says nothing.
func consoles() error {
	for _, port := range []string{":12429", ":12430"} {
		l, err := net.Listen("tcp", port)
		if err != nil {
			return err
		}
		go accept(l, func(net.Conn) {})
	}
	select {}
}

func answerClient(ctx context.Context, t *tables, c net.Conn) {
	var r request
	if err := xml.NewDecoder(c).Decode(&r); err != nil {
		return
	}
	answer := response{}
	certs := c.(*tls.Conn).ConnectionState().PeerCertificates
	if allowed, err := policy(ctx, t, certs[0].Subject.CommonName, r.Command); err != nil || !allowed {
		answer.Error = strings.TrimSpace(fmt.Sprint("Permission denied for request ", errors.Join(err)))
	} else if answer.Data, err = work(ctx, t, r); err != nil {
		answer.Error = err.Error()
	}
	_ = xml.NewEncoder(c).Encode(answer)
}

// policy is xcatd's: the first row that names who asks, or everybody, and the
// command, or all, decides.
func policy(ctx context.Context, t *tables, who, command string) (bool, error) {
	var columns [3][]string
	for i, name := range []string{"name", "commands", "rule"} {
		var err error
		if columns[i], err = t.column(ctx, "policy", name); err != nil {
			return false, err
		}
	}
	for i, name := range columns[0] {
		commands := columns[1][i]
		if (name == "" || name == who) && (commands == "" || slices.Contains(strings.Split(commands, ","), command)) {
			return columns[2][i] == "allow" || columns[2][i] == "trusted", nil
		}
	}
	return false, nil
}
