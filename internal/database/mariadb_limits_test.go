package database

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// TestMariaPacket stores rows up to what a small server takes, and names the one
// behind that.
func TestMariaPacket(t *testing.T) {
	_, l := newMaria(t, "latin1")
	s := nodelistSchema()
	d := handMade(t, s, texts("a", strings.Repeat("x", 60_000), ""), texts("b", strings.Repeat("x", 60_000), ""), texts("c", strings.Repeat("x", 70_000), ""))
	m := openMariaTarget(t, l)
	if _, err := m.Prepare(t.Context(), d.shapes(t)); err != nil {
		t.Fatal(err)
	}
	m.packet = 1 << 16
	_, err := m.Put(t.Context(), s, bytes.NewReader(d.files["nodelist.csv"]))
	wantError(t, err, `table "nodelist": row 3: takes 7`, "max_allowed_packet", "65536")
}

// TestMariaUnprepared puts into tables that nobody looked at.
func TestMariaUnprepared(t *testing.T) {
	_, l := newMaria(t, "latin1", "CREATE TABLE nodelist (node VARCHAR(128) PRIMARY KEY, `groups` TEXT, comments TEXT)")
	s := nodelistSchema()
	d := handMade(t, s, texts("a", "b", "c"))
	m := openMariaTarget(t, l)
	_, err := m.Put(t.Context(), s, bytes.NewReader(d.files["nodelist.csv"]))
	wantError(t, err, `table "nodelist"`, "not prepared")
	m = openMariaTarget(t, l)
	if _, err := m.Prepare(t.Context(), []Shape{{Schema: Schema{Table: "other", Columns: s.Columns}}}); err != nil {
		t.Fatal(err)
	}
	_, err = m.Put(t.Context(), s, bytes.NewReader(d.files["nodelist.csv"]))
	wantError(t, err, `table "nodelist"`, "not prepared")
	m = openMariaTarget(t, l)
	_, err = m.Prepare(t.Context(), []Shape{{Schema: s, Survey: Survey{Columns: make([]ColumnSurvey, 2)}}})
	wantError(t, err, `table "nodelist"`, "survey of 2 columns")
}

// TestMariaSilentServer connects to what accepts and never speaks.
func TestMariaSilentServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond) // shorter than ours, to save time
	defer cancel()
	_, err = OpenMariaDB(ctx, Location{Host: "127.0.0.1", Port: port, Name: "xcatdb", User: "u", Password: NewSecret("geheim")})
	if !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v, want %v", err, ErrUnreachable)
	}
}

// TestMariaCancelled ends a dump from outside.
func TestMariaCancelled(t *testing.T) {
	_, l := newMaria(t, "latin1", "CREATE TABLE a (k INT PRIMARY KEY, v TEXT) AS SELECT seq k, REPEAT('x', 1000) v FROM seq_1_to_20000")
	m := openMaria(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	rows := 0
	err := m.Rows(ctx, "a", func([]Value) error {
		if rows++; rows == 10 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
}

// TestMariaTLS logs in over TCP to a server that lets nobody in without TLS.
func TestMariaTLS(t *testing.T) {
	cert, key := selfSigned(t)
	server := hosttest.PrivateMariaDB(t, "--ssl-cert="+cert, "--ssl-key="+key, "--require-secure-transport=ON")
	l := server.NewDatabase(t, "latin1")
	location := mariaLocation(l)
	location.Host, location.Port = "127.0.0.1", l.Port
	m, err := OpenMariaDB(t.Context(), location)
	if err != nil {
		t.Fatal(err)
	}
	var name, cipher string
	if err := m.conn.QueryRowContext(t.Context(), "SHOW STATUS LIKE 'Ssl_cipher'").Scan(&name, &cipher); err != nil || cipher == "" {
		t.Errorf("cipher %q, %v", cipher, err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// selfSigned makes a certificate and its key, which the server's user can read.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(&block), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestMariaMemoryIsFlat reads a table that is larger than what may be held.
func TestMariaMemoryIsFlat(t *testing.T) {
	_, l := newMaria(t, "latin1", "CREATE TABLE a (k INT PRIMARY KEY, v TEXT) AS SELECT seq k, REPEAT('x', 2000) v FROM seq_1_to_100000")
	m := openMaria(t, l)
	before, most := alive(), int64(0)
	rows := 0
	if err := m.Rows(t.Context(), "a", func([]Value) error {
		if rows++; rows%10_000 == 0 {
			most = max(most, alive()-before)
		}
		return nil
	}); err != nil || rows != 100_000 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	if most > 32<<20 {
		t.Errorf("%d MiB for a table of 200", most>>20)
	}
}

// TestMariaRandomRows makes SQLite and MariaDB from the same random rows: the
// two must not differ, in order, values or digests.
func TestMariaRandomRows(t *testing.T) {
	random := mathrand.New(mathrand.NewPCG(1, 2))
	parts := []string{"", " ", "  ", "\n", "\n\n", "\r\n", "\t", `"`, `""`, `'`, `\`, `\'`, "$x", "%", "_", "ü", "☃", "😀", "\x00", "\x01", "\x1a", "\x7f", "\u0085", "NULL", ",", "#", "-- ", ";", "1", "x"}
	text := func() Value {
		if random.IntN(5) == 0 {
			return Value{Null: true}
		}
		var b strings.Builder
		for range random.IntN(12) {
			b.WriteString(parts[random.IntN(len(parts))])
		}
		return Value{Text: b.String()}
	}
	var rows [][]Value
	for i := range 500 {
		// Keys end in what no collation takes for another, and begin with anything.
		rows = append(rows, []Value{{Text: text().Text + fmt.Sprintf("%04d", i)}, text(), text()})
	}
	slices.SortFunc(rows, func(a, b []Value) int { return strings.Compare(a[0].Text, b[0].Text) })
	d := handMade(t, nodelistSchema(), rows...)
	dir := t.TempDir()
	if built, err := d.build(t.Context(), dir); err != nil || !slices.Equal(built, d.Tables) {
		t.Fatalf("SQLite has %v of %v, %v", built, d.Tables, err)
	}
	_, l := newMaria(t, "latin1")
	if _, err := d.restoreMaria(t, l); err != nil {
		t.Fatal(err)
	}
	if diff, err := Compare(t.Context(), open(t, dir), openMaria(t, l), 10); err != nil || len(diff) > 0 {
		t.Errorf("differences %v, %v", diff, err)
	}
}

// TestMariaConfig holds where a connection goes.
func TestMariaConfig(t *testing.T) {
	for host, want := range map[string]string{
		"10.0.0.1": "tcp 10.0.0.1:3306 preferred", "::1": "tcp [::1]:3306 preferred", "db.cluster": "tcp db.cluster:3306 preferred",
		"/run/x.sock": "unix /run/x.sock ",
	} {
		cfg, err := mariaConfig(Location{Host: host, Name: "xcatdb"})
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.Net + " " + cfg.Addr + " " + cfg.TLSConfig; got != want {
			t.Errorf("host %q: %s, want %s", host, got, want)
		}
	}
}

// TestMariaWideTables makes tables whose recorded types are too wide together in
// utf8mb4.
func TestMariaWideTables(t *testing.T) {
	_, l := newMaria(t, "latin1")
	s := Schema{Table: "t", Collation: "latin1_swedish_ci", Columns: []Column{
		{Name: "k", Type: "varchar(1000)", NotNull: true, Key: 1}, {Name: "a", Type: "varchar(16000)"}, {Name: "b", Type: "varchar(16000)"}, {Name: "c", Type: "text"},
	}}
	d := handMade(t, s, texts("k", strings.Repeat("☃", 16000), strings.Repeat("☃", 16000), strings.Repeat("☃", 30000)))
	if did, err := d.restoreMaria(t, l); err != nil || len(did) > 0 {
		t.Fatalf("did %q, %v", did, err)
	}
	s.Columns[0].Key, s.Columns[1].Key, s.Table = 2, 1, "u"
	_, err := handMade(t, s, d.rows(t)...).restoreMaria(t, l)
	wantError(t, err, `table "u": key: `, "MariaDB takes 3072")
}

// rows are those of the first table.
func (d dump) rows(t testing.TB) [][]Value {
	t.Helper()
	table := d.Tables[0].Name
	_, rows, err := readCSV(table, d.files[FileName(table)])
	if err != nil {
		t.Fatal(err)
	}
	return rows
}
