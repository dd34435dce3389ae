package database

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// TestMariaDies kills the server in the middle of a dump.
func TestMariaDies(t *testing.T) {
	server := hosttest.PrivateMariaDB(t)
	l := server.NewDatabase(t, "latin1")
	server.Load(t, l.Name, strings.NewReader("CREATE TABLE a (k INT PRIMARY KEY, v TEXT) AS SELECT seq k, REPEAT('x', 1000) v FROM seq_1_to_50000"))
	m, err := OpenMariaDB(t.Context(), mariaLocation(l))
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	err = m.Rows(t.Context(), "a", func([]Value) error {
		if rows++; rows == 10 {
			server.Kill()
		}
		return nil
	})
	wantError(t, err, `table "a"`, "connection")
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// TestMariaKeepsOldRows kills the server at several points of a Put.
func TestMariaKeepsOldRows(t *testing.T) {
	server := hosttest.PrivateMariaDB(t)
	l := server.NewDatabase(t, "latin1")
	server.Load(t, l.Name, strings.NewReader("CREATE TABLE nodelist (node VARCHAR(128) PRIMARY KEY, `groups` TEXT, comments TEXT);"+
		"INSERT INTO nodelist SELECT seq, 'old', 'old' FROM seq_1_to_1000"))
	before := content(t, l)
	var rows [][]Value
	for i := range 20_000 {
		rows = append(rows, texts(fmt.Sprintf("n%05d", i), strings.Repeat("g", 100), strings.Repeat("c", 100)))
	}
	d := handMade(t, nodelistSchema(), rows...)
	for _, part := range []int{1, 2, 3} {
		l.Socket, l.Port = server.Socket, server.Port
		m := openMariaTarget(t, l)
		if _, err := m.Prepare(t.Context(), d.shapes(t)); err != nil {
			t.Fatal(err)
		}
		csv := d.files["nodelist.csv"]
		dying := &dyingReader{Reader: bytes.NewReader(csv), left: len(csv) * part / 4, die: server.Kill}
		_, err := m.Put(t.Context(), d.Schemas[0], dying)
		wantError(t, err, `table "nodelist"`, "connection")
		server.Restart(t)
		if after := content(t, l); after != before {
			t.Errorf("killed after %d quarters: the old rows are not whole", part)
		}
	}
}

// dyingReader calls die when so many bytes were read.
type dyingReader struct {
	*bytes.Reader
	left int
	die  func()
}

func (r *dyingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.left -= n; r.left <= 0 && r.die != nil {
		r.die()
		r.die = nil
	}
	return n, err
}
