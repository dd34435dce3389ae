package database

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func conformClearAndDrop(t *testing.T, e testEngine) {
	d := nodes(t, "old")
	db := e.newDatabase(t)
	db.fill(t, d)
	change := func() Target {
		tgt := db.target(t)
		if _, err := tgt.Prepare(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(tgt.Clear(t.Context(), "hosts"), tgt.Drop(t.Context(), "mac")); err != nil {
			t.Fatal(err)
		}
		return tgt
	}
	if err := change().Close(); err != nil {
		t.Fatal(err)
	}
	db.holds(t, d)
	tgt := change()
	if err := errors.Join(tgt.Commit(t.Context()), tgt.Close()); err != nil {
		t.Fatal(err)
	}
	for i, s := range d.Schemas {
		if s.Table == "hosts" {
			d.Tables[i] = newDigester(s.names()).table(s.Table)
			d.files["hosts.csv"] = []byte("#node,ip,disable\n")
		}
	}
	d.Tables = append(d.Tables[:3:3], d.Tables[4:]...) // without mac
	delete(d.files, "mac.csv")
	db.holds(t, d)
}

// conformColumnsBesides restores into tables of a newer xCAT.
func conformColumnsBesides(t *testing.T, e testEngine) {
	d := nodes(t, "old")
	db := e.newDatabase(t)
	db.fill(t, d)
	db.run(t, "hosts", "ALTER TABLE hosts ADD COLUMN newer VARCHAR(128)")
	db.run(t, "hosts", "UPDATE hosts SET newer = 'x'")
	db.fill(t, d)
	want := d
	if !e.ownSchema {
		_, rows, err := readCSV("hosts", d.files["hosts.csv"])
		if err != nil {
			t.Fatal(err)
		}
		s := d.Schemas[1]
		s.Columns = append(s.Columns[:3:3], Column{Name: "newer", Type: "VARCHAR(128)"})
		for i := range rows {
			rows[i] = append(rows[i], null)
		}
		hosts := dumpOf(t, map[*Schema][][]Value{&s: rows})
		want.Tables[1], want.files["hosts.csv"] = hosts.Tables[0], hosts.files["hosts.csv"]
	}
	db.holds(t, want)
}

// conformColumnsLacking restores into a table of an older xCAT.
func conformColumnsLacking(t *testing.T, e testEngine) {
	d := nodes(t, "old")
	db := e.newDatabase(t)
	db.fill(t, d)
	db.run(t, "hosts", "ALTER TABLE hosts DROP COLUMN ip")
	if e.ownSchema {
		db.fill(t, d)
		db.holds(t, d)
		return
	}
	was := db.dump(t)
	tgt := db.target(t)
	_, err := tgt.Prepare(t.Context(), nodes(t, "new").surveyed(t))
	wantError(t, err, `table "hosts"`, `"ip"`)
	if err := tgt.Close(); err != nil {
		t.Error(err)
	}
	db.holds(t, was)
}

// conformUncommitted gives up at different moments: the old rows are all there.
func conformUncommitted(t *testing.T, e testEngine) {
	was, now := nodes(t, "old"), nodes(t, "new")
	db := e.newDatabase(t)
	db.fill(t, was)
	for _, puts := range []int{0, 1, len(now.Schemas)} {
		tgt, _ := db.open(t, now)
		for _, s := range now.Schemas[:puts] {
			if _, err := tgt.Put(t.Context(), s, bytes.NewReader(now.files[FileName(s.Table)])); err != nil {
				t.Fatal(err)
			}
		}
		if err := tgt.Close(); err != nil {
			t.Error(err)
		}
		db.holds(t, was)
	}
}

// conformWrongCSV edits the last of six tables by hand: nothing of the five
// before stays, and the error says where it is.
func conformWrongCSV(t *testing.T, e testEngine) {
	secret := "s3cret"
	was, now := nodes(t, "old"), nodes(t, "new")
	db := e.newDatabase(t)
	db.fill(t, was)
	for name, tc := range map[string]struct {
		csv  string
		says []string
	}{
		"empty":         {"", []string{"header"}},
		"no_mark":       {"node,ip,disable\n", []string{"header"}},
		"other_order":   {"#ip,node,disable\n", []string{"header"}},
		"other_column":  {"#node,ip,mac\n", []string{"header"}},
		"column_less":   {"#node,ip\n\"n1\",\n", []string{"header"}},
		"column_more":   {"#node,ip,disable,x\n", []string{"header"}},
		"bom":           {"\ufeff#node,ip,disable\n", []string{"header", "byte order mark"}},
		"crlf":          {"#node,ip,disable\nn1,x,y\r\n", []string{"row 1", "CRLF"}},
		"field_more":    {"#node,ip,disable\nn1,x,y\nn2," + secret + ",y,z\n", []string{"row 2", "more than 3 fields"}},
		"blank_line":    {"#node,ip,disable\nn1,x,y\n\nn2,x,y\n", []string{"row 2", "blank line"}},
		"quote_open":    {"#node,ip,disable\nn1,x,y\nn2,\"" + secret + "\n", []string{"row 2", `"ip"`, "not closed"}},
		"quote_within":  {"#node,ip,disable\nn1," + secret + "\"x,y\n", []string{"row 1", `"ip"`}},
		"cut":           {"#node,ip,disable\nn1,x,y\nn2," + secret, []string{"row 2", "ends"}},
		"same_key":      {"#node,ip,disable\nn1,x,y\n" + secret + ",a,y\nn3,,y\n" + secret + ",b,y\n", []string{"row 4"}},
		"null_not_null": {"#node,ip,disable\nn1,x,y\n" + secret + ",x,\n", []string{"row 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			tgt, _ := db.open(t, now)
			for _, s := range now.Schemas[:5] {
				if _, err := tgt.Put(t.Context(), s, bytes.NewReader(now.files[FileName(s.Table)])); err != nil {
					t.Fatal(err)
				}
			}
			_, err := tgt.Put(t.Context(), now.Schemas[5], strings.NewReader(tc.csv))
			wantError(t, err, append(tc.says, `table "vpd"`)...)
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("a value is in %q", err)
			}
			if err := tgt.Close(); err != nil {
				t.Error(err)
			}
			db.holds(t, was)
		})
	}
}

// conformNoNumber puts a text where the engine numbers rows.
func conformNoNumber(t *testing.T, e testEngine) {
	s := &Schema{Table: "auditlog", Columns: []Column{{Name: "recid", Type: "INTEGER", Key: 1, Auto: true}, {Name: "args", Type: "TEXT"}}}
	was := dumpOf(t, map[*Schema][][]Value{s: {{text("3"), text("old")}}})
	db := e.newDatabase(t)
	db.fill(t, was)
	tgt, _ := db.open(t, was)
	_, err := tgt.Put(t.Context(), was.Schemas[0], strings.NewReader("#recid,args\n4,new\ns3cret,new\n"))
	if wantError(t, err, `table "auditlog"`, "row 2"); err != nil && strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a value is in %q", err)
	}
	if err := tgt.Close(); err != nil {
		t.Error(err)
	}
	db.holds(t, was)
}

// conformCancelled stops in the middle of a table.
func conformCancelled(t *testing.T, e testEngine) {
	was, now := nodes(t, "old"), nodes(t, "new")
	db := e.newDatabase(t)
	db.fill(t, was)
	tgt, _ := db.open(t, now)
	ctx, cancel := context.WithCancel(t.Context())
	var rows strings.Builder
	for i := range 50_000 { // more than any buffer holds
		fmt.Fprintf(&rows, "\"n%05d\",,\"\"\n", i)
	}
	csv := io.MultiReader(strings.NewReader("#node,ip,disable\n"+rows.String()), cancelReader(cancel), strings.NewReader("\"last\",,\"\"\n"))
	_, err := tgt.Put(ctx, now.Schemas[1], csv)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := tgt.Close(); err != nil {
		t.Error(err)
	}
	db.holds(t, was)
}
