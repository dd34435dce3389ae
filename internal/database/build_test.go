package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// hostsSchema is a plain table of xCAT.
func hostsSchema(sql string, indexes ...string) Schema {
	return Schema{
		Table: "hosts", Columns: []Column{{Name: "node", Type: "VARCHAR(128)", Key: 1}, {Name: "ip", Type: "TEXT"}},
		SQLite: &SQLiteFacts{SQL: sql, Indexes: indexes},
	}
}

const (
	hostsSQL = "CREATE TABLE hosts (node VARCHAR(128), ip TEXT, PRIMARY KEY (node))"
	hostsCSV = "#node,ip\n\"n1\",\"10.0.0.1\"\n\"n2\",\n"
)

func TestBuild(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "staged.tmp") // the name need not be the table's
	got, err := BuildSQLite(t.Context(), path, hostsSchema(hostsSQL), strings.NewReader(hostsCSV))
	if err != nil {
		t.Fatal(err)
	}
	d := newDigester([]string{"node", "ip"})
	d.row([]Value{text("n1"), text("10.0.0.1")})
	d.row([]Value{text("n2"), null})
	if want := d.table("hosts"); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if names(t, dir) != "staged.tmp" {
		t.Errorf("beside the file: %s", names(t, dir))
	}
	_, err = BuildSQLite(t.Context(), path, hostsSchema(hostsSQL), strings.NewReader(hostsCSV))
	if !errors.Is(err, os.ErrExist) || names(t, dir) != "staged.tmp" {
		t.Errorf("over an existing file: %v, %s", err, names(t, dir))
	}
	_, err = BuildSQLite(t.Context(), dir+"/none/x", hostsSchema(hostsSQL), strings.NewReader(hostsCSV))
	wantError(t, err, `table "hosts"`, "no such file")
}

// watchMode looks at the file's mode at each read of the rows, while it is
// being built.
type watchMode struct {
	io.Reader
	path string
	seen map[os.FileMode]bool
}

func (w watchMode) Read(p []byte) (int, error) {
	if st, err := os.Stat(w.path); err == nil {
		w.seen[st.Mode().Perm()] = true
	}
	entries, err := os.ReadDir(filepath.Dir(w.path))
	if err != nil || len(entries) != 1 {
		return 0, fmt.Errorf("%d files while building, %w", len(entries), err)
	}
	return w.Reader.Read(p[:min(len(p), 4096)])
}

func TestBuildModeIgnoresUmask(t *testing.T) {
	for _, mask := range []int{0, 0o777} {
		old := syscall.Umask(mask)
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		w := watchMode{strings.NewReader("#node,ip\n" + manyRows(3000)), filepath.Join(dir, "hosts.sqlite"), map[os.FileMode]bool{}}
		_, err := BuildSQLite(t.Context(), w.path, hostsSchema(hostsSQL), w)
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(w.seen, map[os.FileMode]bool{0o600: true}) {
			t.Errorf("umask %o: modes while building %v", mask, w.seen)
		}
		if st, err := os.Stat(w.path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("umask %o: mode %v, %v", mask, st.Mode(), err)
		}
	}
}

func manyRows(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "\"node%06d\",\"10.%d.%d.%d\"\n", i, i>>16, i>>8&255, i&255)
	}
	return b.String()
}

func TestBuildRefuses(t *testing.T) {
	secret := "s3cret"
	for name, tc := range map[string]struct {
		schema Schema
		csv    string
		want   string
	}{
		"second_statement":   {hostsSchema(hostsSQL + "; DROP TABLE hosts"), hostsCSV, "more than one statement"},
		"second_in_comment":  {hostsSchema("CREATE TABLE hosts /* */ (node TEXT) ; --"), hostsCSV, "more than one statement"},
		"attach":             {hostsSchema("ATTACH '/etc/passwd' AS x"), hostsCSV, "CREATE TABLE"},
		"trigger":            {hostsSchema("CREATE TRIGGER hosts AFTER INSERT ON hosts BEGIN SELECT 1"), hostsCSV, "CREATE TABLE"},
		"trigger_as_index":   {hostsSchema(hostsSQL, "CREATE TRIGGER t AFTER INSERT ON hosts BEGIN SELECT 1"), hostsCSV, "index statement 1"},
		"view":               {hostsSchema("CREATE VIEW hosts AS SELECT 1"), hostsCSV, "CREATE TABLE"},
		"virtual":            {hostsSchema("CREATE VIRTUAL TABLE hosts USING fts5(node, ip)"), hostsCSV, "CREATE TABLE"},
		"temp":               {hostsSchema("CREATE TEMP TABLE hosts (node TEXT, ip TEXT)"), hostsCSV, "CREATE TABLE"},
		"as_select":          {hostsSchema("CREATE TABLE hosts AS SELECT 1 AS node, 2 AS ip"), hostsCSV, `"("`},
		"other_schema":       {hostsSchema("CREATE TABLE temp.hosts (node TEXT, ip TEXT)"), hostsCSV, "another table"},
		"other_table":        {hostsSchema("CREATE TABLE hosts2 (node TEXT, ip TEXT)"), hostsCSV, "another table"},
		"other_index":        {hostsSchema(hostsSQL, "CREATE INDEX i ON sqlite_master (name)"), hostsCSV, "another table"},
		"load_extension":     {hostsSchema("CREATE TABLE hosts (node VARCHAR(128) CHECK (load_extension('/tmp/x')), ip TEXT, PRIMARY KEY (node))"), hostsCSV, "not authorized"},
		"huge_value":         {hostsSchema("CREATE TABLE hosts (node VARCHAR(128) CHECK (length(randomblob(1000000000))), ip TEXT, PRIMARY KEY (node))"), hostsCSV, "not authorized"},
		"function_in_index":  {hostsSchema(hostsSQL, "CREATE INDEX i ON hosts (zeroblob(1000000000))"), hostsCSV, "not authorized"},
		"generated":          {hostsSchema("CREATE TABLE hosts (node VARCHAR(128), ip TEXT, x AS (hex(ip)), PRIMARY KEY (node))"), hostsCSV, "not authorized"},
		"other_columns":      {hostsSchema("CREATE TABLE hosts (node VARCHAR(128), mac TEXT, PRIMARY KEY (node))"), hostsCSV, "schema is not what"},
		"other_key":          {hostsSchema("CREATE TABLE hosts (node VARCHAR(128), ip TEXT)"), hostsCSV, "schema is not what"},
		"nul_in_sql":         {hostsSchema(hostsSQL + "\x00"), hostsCSV, "not UTF-8 text"},
		"open_quote":         {hostsSchema("CREATE TABLE hosts (node TEXT, ip TEXT DEFAULT 'x"), hostsCSV, "quote is not closed"},
		"name":               {Schema{Table: "x/../hosts", Columns: []Column{{Name: "a"}}}, "#a\n", "characters"},
		"internal_name":      {Schema{Table: "sqlite_master", Columns: []Column{{Name: "a"}}}, "#a\n", "reserved"},
		"no_columns":         {Schema{Table: "t"}, "#a\n", "0 columns"},
		"too_many_columns":   {Schema{Table: "t", Columns: make([]Column, 2001)}, "#a\n", "2001 columns"},
		"key_gap":            {Schema{Table: "t", Columns: []Column{{Name: "a", Key: 2}}}, "#a\n", "number 1"},
		"page_size":          {Schema{Table: "t", Columns: []Column{{Name: "a"}}, SQLite: &SQLiteFacts{SQL: "CREATE TABLE t (a)", PageSize: 1000}}, "#a\n", "page size"},
		"encoding":           {Schema{Table: "t", Columns: []Column{{Name: "a"}}, SQLite: &SQLiteFacts{SQL: "CREATE TABLE t (a)", Encoding: "x'; --"}}, "#a\n", "encoding"},
		"class_out_of_range": {Schema{Table: "t", Columns: []Column{{Name: "a"}}, Classes: []ClassRun{{Column: 1, Class: ClassBlob, First: 1, Last: 1}}}, "#a\n", "out of range"},
		"class_behind_end":   {Schema{Table: "t", Columns: []Column{{Name: "a"}}, Classes: []ClassRun{{Column: 0, Class: ClassBlob, First: 2, Last: 3}}}, "#a\nx\n", "behind the last"},
		"class_of_null":      {Schema{Table: "t", Columns: []Column{{Name: "a"}}, Classes: []ClassRun{{Column: 0, Class: ClassBlob, First: 1, Last: 1}}}, "#a\n\n", "row 1"},
		"class_no_number":    {Schema{Table: "t", Columns: []Column{{Name: "a"}}, Classes: []ClassRun{{Column: 0, Class: ClassInteger, First: 1, Last: 1}}}, "#a\n" + secret + "\n", "row 1"},
		"csv_other_columns":  {hostsSchema(hostsSQL), "#ip,node\n", "header"},
		"csv_cut":            {hostsSchema(hostsSQL), hostsCSV[:len(hostsCSV)-1], "row 2"},
		"duplicate_key":      {hostsSchema(hostsSQL), "#node,ip\n" + secret + ",1\n" + secret + ",2\n", "row 2"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := BuildSQLite(t.Context(), filepath.Join(dir, "x.sqlite"), tc.schema, strings.NewReader(tc.csv))
			wantError(t, err, "table ", tc.want)
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("a value is in %q", err)
			}
			if n := names(t, dir); n != "" {
				t.Errorf("left behind: %s", n)
			}
		})
	}
}

// TestGuardStandsAlone hands SQLite what the check of the text would refuse.
func TestGuardStandsAlone(t *testing.T) {
	dir := t.TempDir()
	path := makeTable(t, dir, "hosts", hostsSQL)
	c, err := connect(t.Context(), path, "rw", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := errors.Join(c.limit(), c.guard("hosts")); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"ATTACH '" + dir + "/other.sqlite' AS x", "CREATE TRIGGER t AFTER INSERT ON hosts BEGIN SELECT 1; END",
		"CREATE VIEW v AS SELECT 1", "CREATE VIRTUAL TABLE v USING fts5(a)", "CREATE TEMP TABLE x (a)", "CREATE TABLE x (a)",
		"DROP TABLE hosts", "SELECT load_extension('x')", "PRAGMA writable_schema = ON", "PRAGMA journal_mode = WAL",
		"INSERT INTO hosts VALUES (hex(randomblob(1000)), '')", "VACUUM INTO '" + dir + "/copy'",
	} {
		if err := c.run(t.Context(), s); err == nil {
			t.Errorf("%s: went through", s)
		}
	}
	if n := names(t, dir); n != "hosts.sqlite" {
		t.Errorf("made: %s", n)
	}
}

// TestBuildFromAnotherEngine has no SQL to go by.
func TestBuildFromAnotherEngine(t *testing.T) {
	last := int64(9)
	for name, tc := range map[string]struct {
		schema Schema
		csv    string
		want   []Column
	}{
		"postgres": {
			Schema{Table: "switch", Columns: []Column{
				{Name: "node", Type: "character varying(128)", Key: 1, NotNull: true}, {Name: "port", Type: "character varying(128)", Key: 2}, {Name: "vlan", Type: "text", NotNull: true},
			}},
			"#node,port,vlan\n\"n\",\"1\",\"\"\n",
			[]Column{{Name: "node", Type: "VARCHAR(128)", Key: 1, NotNull: true}, {Name: "port", Type: "VARCHAR(128)", Key: 2}, {Name: "vlan", Type: "TEXT", NotNull: true}},
		},
		"auto": {
			Schema{Table: "auditlog", Sequence: &last, Columns: []Column{{Name: "recid", Type: "int(11)", Key: 1, NotNull: true, Auto: true}, {Name: "args", Type: "mediumtext"}}},
			"#recid,args\n\"3\",\"x\"\n",
			[]Column{{Name: "recid", Type: "INTEGER", Key: 1, Auto: true}, {Name: "args", Type: "TEXT"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := BuildSQLite(t.Context(), filepath.Join(dir, tc.schema.Table+fileSuffix), tc.schema, strings.NewReader(tc.csv)); err != nil {
				t.Fatal(err)
			}
			d := dumpDir(t, dir)
			if got := string(d.files[FileName(tc.schema.Table)]); got != tc.csv {
				t.Errorf("dump %q, want %q", got, tc.csv)
			}
			if s := d.Schemas[0]; !reflect.DeepEqual(s.Columns, tc.want) || !reflect.DeepEqual(s.Sequence, tc.schema.Sequence) {
				t.Errorf("columns %+v, want %+v", s.Columns, tc.want)
			}
		})
	}
}

func TestBuildCancelled(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	csv := io.MultiReader(strings.NewReader("#node,ip\n"+manyRows(5000)), cancelReader(cancel), strings.NewReader("\"last\",\"x\"\n"))
	_, err := BuildSQLite(ctx, filepath.Join(dir, "hosts.sqlite"), hostsSchema(hostsSQL), csv)
	if !errors.Is(err, context.Canceled) || names(t, dir) != "" {
		t.Errorf("error %v, left behind: %q", err, names(t, dir))
	}
}

type cancelReader context.CancelFunc

func (c cancelReader) Read([]byte) (int, error) { c(); return 0, io.EOF }

func TestDiskFull(t *testing.T) {
	need(t, os.Getuid() == 0, "needs root, to mount a small tmpfs")
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir).CombinedOutput(); err != nil {
		need(t, false, fmt.Sprintf("mount of a tmpfs: %v: %s", err, out))
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	_, err := BuildSQLite(t.Context(), filepath.Join(dir, "hosts.sqlite"), hostsSchema(hostsSQL), strings.NewReader("#node,ip\n"+manyRows(100_000)))
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("error %v is not %v", err, unix.ENOSPC)
	}
	wantError(t, err, `table "hosts": `, "no space left on device")
	if n := names(t, dir); n != "" {
		t.Errorf("left behind: %s", n)
	}
	// A private copy does not fit either.
	src := t.TempDir()
	makeTable(t, src, "t", "PRAGMA journal_mode = WAL", "CREATE TABLE t (v TEXT)", "INSERT INTO t VALUES (zeroblob(3000000))")
	_, err = OpenSQLite(t.Context(), src, SQLiteOptions{TempDir: dir})
	if wantError(t, err, `table "t"`, "no space left on device"); names(t, dir) != "" {
		t.Errorf("left behind: %s", names(t, dir))
	}
}
