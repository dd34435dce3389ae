package database

import (
	"bytes"
	"fmt"
	"testing"
)

const benchNodes = 50_000

// benchTable is one table of a large management node. Its schema is of no
// engine, its rows are in the order of a dump.
type benchTable struct {
	schema Schema
	csv    []byte
}

// benchTables are the twelve tables of 50,000 managed nodes that have a row for
// each in practice, 600,000 rows in all, with xCAT's real columns.
func benchTables(t testing.TB) []benchTable {
	t.Helper()
	src := open(t, copyReal(t))
	var all []benchTable
	for _, name := range []string{
		"bootparams", "chain", "hosts", "ipmi", "mac", "nodehm", "nodelist", "nodepos", "noderes", "nodetype", "postscripts", "vpd",
	} {
		s, err := src.Schema(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		s.SQLite = nil
		var csv bytes.Buffer
		w, err := NewWriter(&csv, name, s.names())
		if err != nil {
			t.Fatal(err)
		}
		row := make([]Value, len(s.Columns))
		for node := range benchNodes {
			for i, col := range s.Columns {
				row[i] = benchValue(col, i, node)
			}
			if err := w.Write(row); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		all = append(all, benchTable{s, csv.Bytes()})
	}
	return all
}

// benchValue fills a third of the columns, as is usual, with what differs by node
// or is the same for many.
func benchValue(col Column, column, node int) Value {
	switch {
	case col.Key > 0:
		return Value{Text: fmt.Sprintf("rack%03d-node%05d", node/40, node)}
	case col.Name == "comments" || col.Name == "disable" || column%3 == 0:
		return Value{Null: true}
	case column%3 == 1:
		return Value{Text: fmt.Sprintf("10.%d.%d.%d,compute,all,rack%03d", node>>16, node>>8&255, node&255, node/40)}
	default:
		return Value{Text: "netboot rocky9.4-x86_64-compute"}
	}
}

// benchDump is benchTables as a dump.
func benchDump(t testing.TB) dump {
	t.Helper()
	d := dump{files: map[string][]byte{}}
	for _, table := range benchTables(t) {
		d.Schemas = append(d.Schemas, table.schema)
		d.files[FileName(table.schema.Table)] = table.csv
	}
	return d
}
