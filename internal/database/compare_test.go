package database

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	both := func(table, create string, inA, inB []string) {
		t.Helper()
		makeTable(t, a, table, append([]string{create}, inA...)...)
		makeTable(t, b, table, append([]string{create}, inB...)...)
	}
	makeTable(t, a, "deps", "CREATE TABLE deps (a TEXT)")
	makeTable(t, b, "zone", "CREATE TABLE zone (a TEXT)")
	makeTable(t, a, "mac", "CREATE TABLE mac (a TEXT)")
	makeTable(t, b, "mac", "CREATE TABLE mac (a TEXT, b TEXT)")
	both("passwd", "CREATE TABLE passwd (key VARCHAR(128), username VARCHAR(128), password TEXT, disable TEXT, PRIMARY KEY (key, username))",
		[]string{"INSERT INTO passwd VALUES ('ipmi', 'admin', 's3cret', NULL), ('a', 'x', '', ''), ('same', 'u', 's3cret', '1')"},
		[]string{"INSERT INTO passwd VALUES ('ipmi', 'admin', 's3cret2', ''), ('z', NULL, '', ''), ('same', 'u', 's3cret', '1')"})
	both("token", "CREATE TABLE token (tokenid VARCHAR(128), username TEXT, PRIMARY KEY (tokenid))",
		[]string{"INSERT INTO token VALUES ('s3cret', 'u')"}, nil)
	both("auditlog", "CREATE TABLE auditlog (recid INTEGER PRIMARY KEY, args TEXT)",
		[]string{"INSERT INTO auditlog VALUES (9, 'x'), (10, 'y'), (100, 'z')"}, []string{"INSERT INTO auditlog VALUES (9, 'x'), (100, 'z')"})
	both("nokey", "CREATE TABLE nokey (a TEXT, b)",
		[]string{"INSERT INTO nokey VALUES ('x', 1), ('x', 1), ('x', '1'), ('x', x'31'), (NULL, 2.5)"}, []string{"INSERT INTO nokey VALUES ('x', 1), ('x', x'31'), ('x', x'31'), (NULL, 2.5)"})

	want := []string{
		`table "auditlog": row recid="10": row only in the first`,
		`table "deps": table only in the first`,
		`table "mac": columns or key differ`,
		`table "nokey": row only in the first`,
		`table "nokey": row only in the first`,
		`table "nokey": row only in the second`,
		`table "passwd": row key="a" username="x": row only in the first`,
		`table "passwd": row key="ipmi" username="admin": column "password": value differs`,
		`table "passwd": row key="ipmi" username="admin": column "disable": value differs`,
		`table "passwd": row key="z" username=NULL: row only in the second`,
		`table "token": row tokenid: row only in the first`,
		`table "zone": table only in the second`,
	}
	for _, limit := range []int{1, 4, len(want), 100} {
		t.Run(fmt.Sprintf("limit_%d", limit), func(t *testing.T) {
			found, err := Compare(t.Context(), open(t, a), open(t, b), limit)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range found {
				got = append(got, d.String())
			}
			if w := want[:min(limit, len(want))]; !reflect.DeepEqual(got, w) {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(w, "\n"))
			}
			if strings.Contains(strings.Join(got, " "), "s3cret") {
				t.Error("a secret is shown")
			}
		})
	}
}

func TestCompareEqual(t *testing.T) {
	dir := copyReal(t)
	found, err := Compare(t.Context(), open(t, dir), open(t, copyReal(t)), 10)
	if err != nil || len(found) > 0 {
		t.Errorf("the same twice: %v, %v", found, err)
	}
}
