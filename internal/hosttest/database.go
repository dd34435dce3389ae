package hosttest

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // the pure Go driver: no cgo

	"github.com/xcrate/xcrate/testdata"
)

// row is one row of a table: column to value. A column that is not in it is
// NULL, which xCAT tells apart from ”.
type row map[string]string

// column is one column of a table, as schema.txt has it.
type column struct {
	name         string
	key, notNull bool
	kind         string // SQL type
}

// table is one table and its columns in the schema's order.
type table struct {
	name    string
	columns []column
}

// schema reads testdata/samplemn/schema.txt.
func schema() ([]table, error) {
	text, err := testdata.SampleMN.ReadFile("samplemn/schema.txt")
	if err != nil {
		return nil, err
	}
	var all []table
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, columns, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("schema line %q: no colon", line)
		}
		t := table{name: name}
		for f := range strings.FieldsSeq(columns) {
			t.columns = append(t.columns, parseColumn(f))
		}
		all = append(all, t)
	}
	return all, nil
}

func parseColumn(s string) column {
	c := column{kind: "TEXT"}
	if s, c.key = strings.CutPrefix(s, "*"); c.key {
		c.kind = "VARCHAR(128)"
	}
	if name, width, ok := strings.Cut(s, "("); ok {
		s, c.kind = name, "VARCHAR("+width
	}
	if name, ok := strings.CutSuffix(s, "#"); ok {
		s, c.kind = name, "INTEGER PRIMARY KEY AUTOINCREMENT"
	}
	c.name, c.notNull = strings.CutSuffix(s, "!")
	return c
}

// create returns the CREATE statement xCAT writes, to the byte: perl-xCAT's
// Table.pm leaves a blank between a key's type and its constraint even where
// there is none.
func (t table) create() string {
	var lines, keys []string
	for _, c := range t.columns {
		def := c.name + " " + c.kind
		if c.key && strings.HasPrefix(c.kind, "VARCHAR") {
			def += " "
			keys = append(keys, c.name)
		}
		if c.notNull {
			def += " NOT NULL"
		}
		lines = append(lines, "  "+def)
	}
	if len(keys) > 0 {
		lines = append(lines, "  PRIMARY KEY ("+strings.Join(keys, ",")+")")
	}
	return "CREATE TABLE " + t.name + " (\n" + strings.Join(lines, ",\n") + "\n)"
}

// database writes one SQLite file per table into /etc/xcat.
func (s *sample) database() {
	tables, err := schema()
	if err != nil {
		s.fail("etc/xcat", err)
		return
	}
	rows, err := s.rows()
	if err != nil {
		s.fail("etc/xcat", err)
		return
	}
	for _, t := range tables {
		if s.err != nil {
			return
		}
		p := "etc/xcat/" + t.name + ".sqlite"
		s.parents(p)
		s.fail(p, writeTable(s.path(p), t, rows[t.name]))
		s.own(p, 0o600, "root:root")
		s.touch(p)
		delete(rows, t.name)
	}
	if len(rows) > 0 {
		s.fail("etc/xcat", fmt.Errorf("rows for tables that are not in the schema: %v", slices.Collect(maps.Keys(rows))))
	}
}

// rows returns the rows of tables.json, and those of every managed node.
func (s *sample) rows() (map[string][]row, error) {
	text, err := render("tables.json", s.funcs, nil)
	if err != nil {
		return nil, err
	}
	var rows map[string][]row
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		return nil, fmt.Errorf("fixture tables.json: %w", err)
	}
	add := func(table string, r row) { rows[table] = append(rows[table], r) }
	add("nodelist", row{"node": "mgmt01", "groups": "__mgmtnode"})
	for i, n := range s.facts.Nodes {
		groups := fmt.Sprintf("all,compute,rack%02d", n.Rack)
		if i < 2 {
			groups = "all,login"
			add("hosts", row{"node": n.Name, "ip": n.IP, "hostnames": n.Name + "-alias", "otherinterfaces": n.Name + "-ib:10.30.1." + fmt.Sprint(i+1)})
		}
		add("nodelist", awkwardNode(i, row{"node": n.Name, "groups": groups, "status": "booted", "statustime": "03-01-2025 10:00:00", "updatestatus": "synced"}))
		add("mac", row{"node": n.Name, "interface": "eth0", "mac": n.MAC + "|" + strings.Replace(n.MAC, "52:54", "02:54", 1) + "!" + n.Name + "-ib"})
		add("nodetype", row{"node": n.Name, "os": "rocky9.6", "arch": "x86_64", "profile": "compute", "provmethod": "rocky9.6-x86_64-netboot-compute"})
		add("ipmi", row{"node": n.Name, "bmc": n.BMC, "username": "ADMIN", "password": s.canary("ipmi-" + n.Name)})
		add("vpd", row{"node": n.Name, "serial": fmt.Sprintf("SN%06d", i), "mtm": "8335-GTB"})
		add("nodepos", row{"node": n.Name, "rack": fmt.Sprint(n.Rack), "u": fmt.Sprint(1 + i%40)})
		add("chain", row{"node": n.Name, "currstate": "netboot rocky9.6-x86_64-compute", "currchain": "boot"})
	}
	return rows, nil
}

// awkwardNode gives some nodes the values administrators really type.
func awkwardNode(i int, r row) row {
	switch i {
	case 2:
		r["comments"] = `board swapped, "again"; see \\share\logs`
	case 3:
		r["comments"], r["appstatus"] = "", ""
	case 4:
		r["comments"] = "first line\nsecond, with \"quotes\"\n\nlast  "
	case 5:
		r["comments"] = "Knoten für Jürgen, 東京 ☃"
	case 6:
		r["disable"] = "1"
	case 7:
		r["disable"] = ""
	case 8:
		r["hidden"], r["comments"] = "1", "   "
	}
	return r
}

// writeTable makes one SQLite file. It is not synced: nobody needs the sample
// after a crash.
func writeTable(file string, t table, rows []row) (err error) {
	uri := url.URL{Scheme: "file", Path: filepath.ToSlash(file), RawQuery: "_pragma=synchronous(off)&_pragma=journal_mode(memory)"}
	db, err := sql.Open("sqlite", uri.String())
	if err != nil {
		return err
	}
	defer func() {
		if cerr := db.Close(); err == nil {
			err = cerr
		}
	}()
	db.SetMaxOpenConns(1)
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if _, err := tx.Exec(t.create()); err != nil {
		return err
	}
	if err := insertRows(tx, t, rows); err != nil {
		return err
	}
	return tx.Commit()
}

func insertRows(tx *sql.Tx, t table, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	st, err := tx.Prepare("INSERT INTO " + t.name + " VALUES (?" + strings.Repeat(",?", len(t.columns)-1) + ")")
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	for i, r := range rows {
		values, used := make([]any, len(t.columns)), 0
		for j, c := range t.columns {
			if v, ok := r[c.name]; ok {
				values[j] = v
				used++
			}
		}
		if used != len(r) {
			return fmt.Errorf("table %q: row %d: a column that is not in the schema", t.name, i)
		}
		if _, err := st.Exec(values...); err != nil {
			return fmt.Errorf("table %q: row %d: %w", t.name, i, err)
		}
	}
	return nil
}
