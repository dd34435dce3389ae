// Command restorexcatdb stands in for the program of the same name with which
// xCAT restores its tables, in tests: it reads every CSV of a directory by the
// rules of tabrestore and makes SQLite files of them. The file mode beside it
// says what it is to do wrong:
//
//	right      nothing
//	errors     says that table site could not be restored, shows the row, exits 0
//	lose       leaves out the last row of table ipmi
//	change     writes another value into a cell of table site
//	empty      makes a table of its own without a row
//	stranger   makes a table of its own, then is as errors
//	half       restores one table, leaves a journal and a file begun, exits 1
//	hang       has a child write for ever, and waits for it
//
// What it was called with goes to /var/seen.json, for the test to look at.
package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the driver of the tables it makes
)

// Seen is what the program was called with.
type Seen struct {
	Args      []string
	Env       []string
	Directory string
	Stdin     int64             // bytes to be had there
	Modes     map[string]string // of the directory with the tables, and its files
}

const databaseDir = "/etc/xcat"

func main() {
	if err := run(os.Args); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	syscall.Umask(0o077)
	if len(args) > 1 && args[1] == "child" {
		return writeForEver()
	}
	if len(args) < 3 || args[len(args)-2] != "-p" {
		return errors.New("path to database files is required")
	}
	dir := args[len(args)-1]
	if err := look(args, dir); err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(args[0]), "mode"))
	if err != nil {
		return err
	}
	mode := strings.TrimSpace(string(b))
	if mode == "hang" {
		child := exec.Command(args[0], "child", "tabrestore", dir)
		child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr // where it runs there is no /dev/null
		return child.Run()
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := restore(filepath.Join(dir, f.Name()), mode); err != nil {
			p := filepath.Join(dir, f.Name()) // all of it twice, and on one stream, as xCAT does
			fmt.Printf("Command failed: tabrestore %s 2>&1. Error message: Error: %v.\n\nError running tabrestore %s, Error: %v\n\n", p, err, p, err)
			if mode == "half" {
				return err
			}
		}
	}
	fmt.Println("Restore of Database Complete.")
	return nil
}

// look writes down what the program was called with.
func look(args []string, dir string) error {
	s := Seen{Args: args, Env: os.Environ(), Modes: map[string]string{}}
	var err error
	if s.Directory, err = os.Getwd(); err != nil {
		return err
	}
	if s.Stdin, err = io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	err = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, p)
		s.Modes[name] = st.Mode().String()
		return err
	})
	if err != nil {
		return err
	}
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile("/var/seen.json", b, 0o600)
}

// writeForEver makes two tables again and again, one of its own.
func writeForEver() error {
	for ; ; time.Sleep(5 * time.Millisecond) {
		for _, table := range []string{"site", "hung"} {
			if err := os.WriteFile(filepath.Join(databaseDir, table+".sqlite"), []byte("begun"), 0o600); err != nil {
				return err
			}
		}
	}
}

// restore is tabrestore.
func restore(file, mode string) error {
	table, _, _ := strings.Cut(filepath.Base(file), ".")
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("unable to open %s for reading", file)
	}
	columns, rows, err := parse(string(b))
	if err != nil {
		return err
	}
	switch {
	case mode == "lose" && table == "ipmi":
		rows = rows[:len(rows)-1]
	case mode == "change" && table == "site":
		rows[len(rows)-1][1] = "another value"
	case mode == "empty" && table == "site":
		if err := fill("stranger", columns, nil); err != nil {
			return err
		}
	case mode == "stranger" && table == "site":
		if err := fill("stranger", columns, rows); err != nil {
			return err
		}
		fallthrough
	case mode == "errors" && table == "site":
		return fmt.Errorf("as xCAT says it: DB error UNIQUE constraint failed: site.key with line 3: \"snmpc\",\"%v\",,", rows[0][1])
	case mode == "half" && table == "site":
		for _, suffix := range []string{"", "-journal"} {
			if err := os.WriteFile(filepath.Join(databaseDir, table+".sqlite"+suffix), []byte("begun"), 0o600); err != nil {
				return err
			}
		}
		return fmt.Errorf("DB error disk I/O error with line 1: \"snmpc\",\"%v\",,", rows[0][1])
	}
	return fill(table, columns, rows)
}

const blanks = " \t\n\r\f\v"

// parse reads a CSV as tabrestore does: line by line, each cut on its right.
func parse(text string) (columns []string, rows [][]any, err error) {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 || lines[0][0] != '#' {
		return nil, nil, errors.New("no header: Data missing header line starting with #")
	}
	columns = strings.Split(strings.TrimRight(strings.ReplaceAll(lines[0][1:], `"`, ""), blanks), ",")
	for at := 1; at < len(lines); at++ {
		rest, row := strings.TrimRight(lines[at], blanks), []any{}
		for range columns {
			var v any
			if v, rest, err = field(rest, lines, &at); err != nil {
				return nil, nil, err
			}
			row = append(row, v)
		}
		if rest != "" || !slices.ContainsFunc(row, func(v any) bool { return v != nil }) {
			return nil, nil, fmt.Errorf("row: Too many fields, or none, on line %d", at)
		}
		rows = append(rows, row)
	}
	return columns, rows, nil
}

// field takes one off the left of rest, which goes on in lines after at.
func field(rest string, lines []string, at *int) (v any, left string, err error) {
	if rest == "" || rest[0] == ',' {
		return nil, strings.TrimPrefix(rest, ","), nil
	}
	if rest[0] != '"' {
		v, left, _ := strings.Cut(rest, ",")
		return v, left, nil
	}
	for from := 1; ; {
		end := strings.IndexByte(rest[from:], '"')
		if end < 0 {
			if *at++; *at >= len(lines) {
				return nil, "", fmt.Errorf("CSV unmatched \" in record on line %d", *at)
			}
			from = len(rest)
			rest = strings.TrimRight(rest+"\n"+lines[*at], blanks)
			from = min(from, len(rest))
			continue
		}
		end += from
		if end+1 < len(rest) && rest[end+1] == '"' {
			from = end + 2
			continue
		}
		return strings.ReplaceAll(rest[1:end], `""`, `"`), strings.TrimPrefix(rest[end+1:], ","), nil
	}
}

// fill makes the file of a table, the first column of which is its key.
func fill(table string, columns []string, rows [][]any) (err error) {
	db, err := sql.Open("sqlite", filepath.Join(databaseDir, table+".sqlite"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a Commit it does nothing
	if _, err := tx.Exec(`CREATE TABLE IF NOT EXISTS "` + table + `" ("` + strings.Join(columns, `" TEXT, "`) + `" TEXT)`); err != nil {
		return err
	}
	marks := strings.TrimSuffix(strings.Repeat("?,", len(columns)), ",")
	for _, row := range rows {
		if _, err := tx.Exec(`INSERT INTO "`+table+`" VALUES (`+marks+`)`, row...); err != nil {
			return err
		}
	}
	return tx.Commit()
}
