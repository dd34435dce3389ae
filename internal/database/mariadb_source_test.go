package database

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// mariaWriter is another program's connection.
func mariaWriter(t testing.TB, l hosttest.MariaDBLogin) *mariaConn {
	t.Helper()
	c, err := connectMaria(t.Context(), mariaLocation(l))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// whileRunning calls work again and again beside test.
func whileRunning(t *testing.T, work func(i int) error, test func()) {
	t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := work(i); err != nil {
				t.Errorf("writer: %v", err)
				return
			}
		}
	})
	test()
	close(stop)
	wg.Wait()
}

// TestMariaOneMoment dumps while a program keeps two tables in step.
func TestMariaOneMoment(t *testing.T) {
	for engine, begin := range map[string]string{"InnoDB": "START TRANSACTION", "MyISAM": "LOCK TABLES a WRITE, b WRITE", "Aria": "LOCK TABLES a WRITE, b WRITE"} {
		t.Run(engine, func(t *testing.T) {
			var statements []string
			for _, table := range []string{"a", "b"} {
				statements = append(statements, "CREATE TABLE "+table+" (k INT PRIMARY KEY, v TEXT) ENGINE="+engine,
					"INSERT INTO "+table+" SELECT seq, '0' FROM seq_1_to_500")
			}
			_, l := newMaria(t, "latin1", statements...)
			w := mariaWriter(t, l)
			work := func(i int) error {
				for _, s := range []string{begin, fmt.Sprintf("UPDATE a SET v = %d", i), fmt.Sprintf("UPDATE b SET v = %d", i), "COMMIT", "UNLOCK TABLES"} {
					if err := w.run(t.Context(), s); err != nil {
						return err
					}
				}
				return nil
			}
			seen := map[string]bool{}
			whileRunning(t, work, func() {
				for range 20 {
					d := dumpMaria(t, l)
					a, b := d.files["a.csv"], d.files["b.csv"]
					if string(a) != string(b) {
						t.Fatal("a and b are of different moments")
					}
					seen[string(a)] = true
				}
			})
			if len(seen) < 3 {
				t.Errorf("%d states seen: the writer did not write", len(seen))
			}
		})
	}
}

// TestMariaAltered opens and dumps while tables are made, altered and dropped.
func TestMariaAltered(t *testing.T) {
	_, l := newMaria(t, "latin1", "CREATE TABLE a (k INT PRIMARY KEY, v TEXT)", "INSERT INTO a SELECT seq, 'x' FROM seq_1_to_50")
	w := mariaWriter(t, l)
	work := func(int) error {
		for _, s := range []string{
			"CREATE TABLE b (k INT PRIMARY KEY, v TEXT)", "INSERT INTO b VALUES (1, 'b')", "COMMIT", "ALTER TABLE a ADD COLUMN w TEXT, ALGORITHM=COPY", "TRUNCATE b",
			"INSERT INTO b VALUES (2, 'b')", "ALTER TABLE a DROP COLUMN w, ALGORITHM=COPY", "DROP TABLE b",
		} {
			if err := w.run(t.Context(), s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	}
	opened := 0
	whileRunning(t, work, func() {
		for range 20 {
			m, err := OpenMariaDB(t.Context(), mariaLocation(l))
			if err != nil {
				wantError(t, err, "are being altered")
				continue
			}
			opened++
			d := dumpAll(t, m)
			s, err := m.Schema(t.Context(), "a")
			if err != nil || d.Tables[0].Rows != 50 || !reflect.DeepEqual(d.Schemas[0].names(), s.names()) {
				t.Errorf("table a: %v, %v", d.Tables[0], err)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	if opened == 0 {
		t.Error("no moment was found")
	}
}

// TestMariaDamaged does not take a table for altered whose definition is lost.
func TestMariaDamaged(t *testing.T) {
	server, l := newMaria(t, "latin1", "CREATE TABLE a (k INT PRIMARY KEY, v TEXT)", "CREATE TABLE b (k INT PRIMARY KEY)")
	if err := os.Truncate(filepath.Join(strings.TrimSpace(server.Admin(t, "SELECT @@datadir")), l.Name, "b.frm"), 10); err != nil {
		t.Fatal(err)
	}
	server.Load(t, l.Name, strings.NewReader("FLUSH TABLES"))
	_, err := OpenMariaDB(t.Context(), mariaLocation(l))
	wantError(t, err, `table "b": the server cannot open it`)
}

// TestMariaTypes dumps and restores a table of every type.
func TestMariaTypes(t *testing.T) {
	_, l := newMaria(t, "latin1", `CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, u BIGINT UNSIGNED, tiny TINYINT, z INT(5) ZEROFILL, dec_ DECIMAL(30,10),
		f FLOAT, d DOUBLE, bits BIT(12), y YEAR, da DATE, ti TIME(3), dt DATETIME(6), ts TIMESTAMP NULL, c CHAR(5), v VARCHAR(20), tt TINYTEXT,
		bin BINARY(4), vb VARBINARY(9), bl BLOB, en ENUM('x','10','9'), se SET('a','b'), js JSON, ucs VARCHAR(20) CHARACTER SET ucs2)`,
		`INSERT INTO t VALUES (7, 18446744073709551615, -128, 42, 12345678901234567890.0123456789, 0.1, 0.1, 5, 1999, '0000-00-00', '-837:59:59.999',
		'2024-02-29 12:00:00.000001', '2024-10-27 00:30:00', 'c ', 'v ', '', X'00FF0A20', X'FF00', X'E28200', '10', 'a,b', '{"a": [1, "ü"]}', 'ü☃')`,
		"INSERT INTO t (id) VALUES (9)", "INSERT INTO t (id, d, f) VALUES (10, 1e300, 3.4e38), (11, -1e-300, 1e-38), (12, 1/3, 1/3)")
	first := dumpMaria(t, l)
	if s := first.Schemas[0]; s.Sequence == nil || *s.Sequence != 12 || !s.Columns[0].Auto || s.Collation != "latin1_swedish_ci" {
		t.Errorf("schema %+v", s)
	}
	_, rows, err := readCSV("t", first.files["t.csv"])
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	want := texts("7", "18446744073709551615", "-128", "42", "12345678901234567890.0123456789", "0.10000000149011612", "0.1", "5", "1999", "0000-00-00",
		"-837:59:59.999", "2024-02-29 12:00:00.000001", "2024-10-27 00:30:00", "c", "v ", "", "\x00\xff\n ", "\xff\x00", "\xe2\x82\x00", "10", "a,b",
		`{"a": [1, "ü"]}`, "ü☃")
	if !slices.Equal(rows[0], want) {
		t.Errorf("row\n%+v\nwant\n%+v", rows[0], want)
	}
	for name, make := range map[string]string{
		"new": "SELECT 1",
		"existing": `CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, u BIGINT UNSIGNED, tiny TINYINT, z INT(5) ZEROFILL, dec_ DECIMAL(30,10),
		f FLOAT, d DOUBLE, bits BIT(12), y YEAR, da DATE, ti TIME(3), dt DATETIME(6), ts TIMESTAMP NULL, c CHAR(5), v VARCHAR(20), tt TINYTEXT,
		bin BINARY(4), vb VARBINARY(9), bl BLOB, en ENUM('x','10','9'), se SET('a','b'), js JSON, ucs VARCHAR(20) CHARACTER SET ucs2)`,
	} {
		t.Run(name, func(t *testing.T) {
			server, to := newMaria(t, "latin1", make)
			did, err := first.restoreMaria(t, to)
			if len(did) > 0 && name == "new" {
				t.Errorf("did %q", did)
			}
			if err != nil {
				t.Fatal(err)
			}
			if next := strings.TrimSpace(server.Admin(t, "SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = '"+to.Name+"'")); next != "13" {
				t.Errorf("AUTO_INCREMENT %s, want 13", next)
			}
		})
	}
}

// TestMariaOrder lets Compare check the order of tables that a collation, or
// padding, would sort otherwise.
func TestMariaOrder(t *testing.T) {
	long := strings.Repeat("x", 3000)
	_, l := newMaria(t, "utf8mb4",
		"CREATE TABLE keyed (k VARCHAR(100) COLLATE utf8mb4_nopad_bin PRIMARY KEY, v TEXT)",
		"INSERT INTO keyed VALUES ('b',1),('B',1),('a ',1),('a\t',1),('a',1),('ä',1),('☃',1),('😀',1),('',1),('a!',1),('10',1),('9',1)",
		"CREATE TABLE latin (k VARCHAR(100), v TEXT) CHARACTER SET latin1",
		"INSERT INTO latin VALUES ('b',1),('B',1),('a ',1),('a',NULL),(NULL,1),('ä',1),('z',1),('é',1),('',1),('10',1),('9',1),('a','2'),('a','10')",
		"CREATE TABLE numbers (i INT, d DOUBLE, e ENUM('x','10','9',''), v VARBINARY(10), de DECIMAL(10,2))",
		"INSERT INTO numbers VALUES (10,1,'x','10',1),(9,10,'9','9',1),(NULL,1,'10','a',2),(-1,1,'',X'FF',-1),(9,9,'10',X'00',10),(9,9,'9','1e1',9),(9,9,'9','-2',9)",
		"CREATE TABLE tall (v LONGTEXT, w INT)",
		"INSERT INTO tall VALUES ('"+long+"b',1),('"+long+"a',2),('"+long+"',3),('"+long+"c',0)",
		"CREATE TABLE huge (v LONGTEXT)",
		"INSERT INTO huge VALUES (CONCAT(REPEAT('x', 9000000),'b')), (CONCAT(REPEAT('x', 9000000),'a')), (REPEAT('x', 9000000))")
	a, b := openMaria(t, l), openMaria(t, l)
	if diff, err := Compare(t.Context(), a, b, 10); err != nil || len(diff) > 0 {
		t.Errorf("differences %v, %v", diff, err)
	}
	var keys []string
	if err := a.Rows(t.Context(), "keyed", func(row []Value) error { keys = append(keys, row[0].Text); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(keys) || len(keys) != 12 {
		t.Errorf("keys %q", keys)
	}
}

func TestMariaLeftOut(t *testing.T) {
	_, l := newMaria(t, "latin1",
		"CREATE TABLE a (k INT PRIMARY KEY, v VARCHAR(10) DEFAULT 'x', g INT AS (k + 1) STORED, INDEX byv (v), CONSTRAINT positive CHECK (k > 0))",
		"INSERT INTO a (k) VALUES (1), (2)",
		"CREATE TABLE b (k INT PRIMARY KEY, CONSTRAINT toa FOREIGN KEY (k) REFERENCES a (k)) WITH SYSTEM VERSIONING",
		"INSERT INTO b VALUES (1)", "UPDATE b SET k = 2",
		"CREATE VIEW seen AS SELECT k FROM a", "CREATE SEQUENCE counter", "CREATE TRIGGER ring AFTER INSERT ON a FOR EACH ROW SET @x = 1",
		"CREATE PROCEDURE act() SELECT 1", "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO SELECT 1")
	m := openMaria(t, l)
	var got []string
	for _, o := range m.LeftOut() {
		if o.Reason == "" || o.Path != l.Name {
			t.Errorf("%+v", o)
		}
		got = append(got, o.What)
	}
	want := []string{
		"default value of column v of table a", "computed column g of table a", "history of table b", "view seen", "sequence counter", "index byv of table a",
		"trigger ring of table a", "routine act", "event nightly", "foreign key toa of table b", "check positive of table a",
	}
	if !slices.Equal(got, want) {
		t.Errorf("left out\n%q\nwant\n%q", got, want)
	}
	if s, err := m.Schema(t.Context(), "a"); err != nil || strings.Join(s.names(), ",") != "k,v" {
		t.Errorf("columns %q, %v", s.names(), err)
	}
	d := dumpAll(t, m)
	if got, want := string(d.files["a.csv"])+string(d.files["b.csv"]), "#k,v\n\"1\",\"x\"\n\"2\",\"x\"\n#k\n\"2\"\n"; len(d.Tables) != 2 || got != want {
		t.Errorf("tables %v\n%q, want\n%q", d.Tables, got, want)
	}
}

// TestMariaCharsets reads what is in other charsets, unless it is lost on the
// way to UTF-8.
func TestMariaCharsets(t *testing.T) {
	_, l := newMaria(t, "latin1", "CREATE TABLE a (k INT PRIMARY KEY, g TEXT CHARACTER SET greek, j TEXT CHARACTER SET sjis)",
		"INSERT INTO a VALUES (1, 'α', 'ア')")
	if d := dumpMaria(t, l); string(d.files["a.csv"]) != "#k,g,j\n\"1\",\"α\",\"ア\"\n" {
		t.Errorf("%q", d.files["a.csv"])
	}
	_, l = newMaria(t, "latin1", "CREATE TABLE a (k INT PRIMARY KEY, g TEXT CHARACTER SET greek)", "INSERT INTO a VALUES (1, 'α'), (2, _greek X'FFD2')")
	_, err := OpenMariaDB(t.Context(), mariaLocation(l))
	wantError(t, err, `table "a": column "g"`, "1 rows", "greek")
}

func TestMariaOpenErrors(t *testing.T) {
	server, l := newMaria(t, "latin1", "CREATE TABLE a (k INT PRIMARY KEY)", "CREATE TABLE b (k INT PRIMARY KEY)")
	location := mariaLocation(l)
	change := func(f func(*Location)) Location {
		other := location
		f(&other)
		return other
	}
	for name, tc := range map[string]struct {
		l    Location
		want error
		text string
	}{
		"password":  {change(func(l *Location) { l.Password = NewSecret("geheim") }), ErrDenied, "xcatadmin"},
		"user":      {change(func(l *Location) { l.User = "nobody" }), ErrDenied, "nobody"},
		"database":  {change(func(l *Location) { l.Name = l.Name + "x" }), ErrDenied, l.Name + "x"}, // the server does not tell a stranger
		"no socket": {change(func(l *Location) { l.Host += "x" }), ErrUnreachable, l.Socket + "x"},
		"no port":   {change(func(l *Location) { l.Host, l.Port = "127.0.0.1", "1" }), ErrUnreachable, "127.0.0.1:1"},
		"no host":   {change(func(l *Location) { l.Host = "no.such.host.invalid" }), ErrUnreachable, "no.such.host.invalid:3306"},
		"tcp":       {change(func(lo *Location) { lo.Host, lo.Port = "127.0.0.1", l.Port }), nil, ""},
		"root":      {change(func(l *Location) { l.User, l.Password, l.Name = "root", NewSecret(""), "nothing" }), ErrNoDatabase, "nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := OpenMariaDB(t.Context(), tc.l)
			if tc.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				_ = m.Close()
				return
			}
			if !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			wantError(t, err, tc.text)
			if strings.Contains(fmt.Sprint(err), "geheim") || strings.Contains(fmt.Sprint(err), l.Password) {
				t.Errorf("password in %q", err)
			}
			if _, err := OpenMariaDBTarget(t.Context(), tc.l); !errors.Is(err, tc.want) {
				t.Errorf("target: %v, want %v", err, tc.want)
			}
		})
	}
	grant := func(what string) Location {
		server.Admin(t, "CREATE OR REPLACE USER some@'%' IDENTIFIED BY 'p'; "+what)
		return change(func(l *Location) { l.User, l.Password = "some", NewSecret("p") })
	}
	_, err := OpenMariaDB(t.Context(), grant("GRANT SELECT ON "+l.Name+".a TO some@'%'; GRANT INSERT ON "+l.Name+".b TO some@'%'"))
	wantError(t, err, `table "b"`, "SELECT command denied")
	_, err = OpenMariaDB(t.Context(), grant("GRANT SELECT ON "+l.Name+".a TO some@'%'"))
	wantError(t, err, "cannot see whether there are others")
	m, err := OpenMariaDB(t.Context(), grant("GRANT SELECT ON "+l.Name+".* TO some@'%'"))
	if err != nil {
		t.Fatal(err)
	}
	_ = m.Close()
}

// TestMariaSeesNoHalfTransaction holds that reading waits for no writer.
func TestMariaSeesNoHalfTransaction(t *testing.T) {
	_, l := newMaria(t, "latin1", "CREATE TABLE a (k INT PRIMARY KEY)")
	db := mariaWriter(t, l)
	tx, err := db.BeginTx(t.Context(), &sql.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("INSERT INTO a VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	if d := dumpMaria(t, l); d.Tables[0].Rows != 0 {
		t.Errorf("%d rows of a transaction that was not committed", d.Tables[0].Rows)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}
