package database

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Schema is what has to be known of a table beside its rows, in words of no
// engine but for the optional SQLite part.
type Schema struct {
	Table   string   `json:"table"`
	Columns []Column `json:"columns"` // in schema order, which is that of the CSV
	// Sequence is the last number an Auto column was given, nil if none was.
	Sequence *int64 `json:"sequence,omitempty"`
	// Collation is that of the table in MariaDB, "" elsewhere.
	Collation string `json:"collation,omitempty"`
	// SQLite is nil where the table came from another engine.
	SQLite *SQLiteFacts `json:"sqlite,omitempty"`
	// Classes lists the values that are exceptions to their column's type.
	// Dump fills it in, because only the rows show them.
	Classes []ClassRun `json:"classes,omitempty"`
}

// Column is one column of a table.
type Column struct {
	Name    string `json:"name"`
	Type    string `json:"type"` // as declared: "VARCHAR(128)", "TEXT"
	NotNull bool   `json:"not_null,omitempty"`
	Key     int    `json:"key,omitempty"`  // 1-based place in the primary key, 0 for none
	Auto    bool   `json:"auto,omitempty"` // numbered by the engine
}

// SQLiteFacts is what it takes to build a table's SQLite file again. Journal
// mode is not among it: files are built in xCAT's, which is DELETE.
type SQLiteFacts struct {
	// SQL is the CREATE TABLE statement as sqlite_schema has it.
	SQL string `json:"sql"`
	// Indexes are the CREATE INDEX statements, in the order they were made.
	Indexes []string `json:"indexes,omitempty"`
	// The pragmas of these names; a zero value stands for SQLite's default.
	Encoding      string `json:"encoding,omitempty"`  // default UTF-8
	PageSize      int    `json:"page_size,omitempty"` // default 4096
	AutoVacuum    int    `json:"auto_vacuum,omitempty"`
	UserVersion   int32  `json:"user_version,omitempty"`
	ApplicationID int32  `json:"application_id,omitempty"`
}

// ClassRun says that a column's values in rows First to Last, counted from 1 in
// the order of the CSV, are of one class.
type ClassRun struct {
	Column int   `json:"column"` // index into Schema.Columns
	Class  Class `json:"class"`
	First  int64 `json:"first"`
	Last   int64 `json:"last"`
}

// Limits of what is read and written; xCAT's widest table has 23 columns.
const (
	maxColumns    = 2000    // SQLite's default, SQLITE_MAX_COLUMN
	maxName       = 255     // bytes of a table or column name
	maxSQL        = 1 << 20 // bytes of one statement
	maxClassRuns  = 1 << 16
	defaultPage   = 4096
	defaultCoding = "UTF-8"
)

// schemaFile is the JSON document that lies beside the CSV files.
type schemaFile struct {
	Format  int      `json:"format"`
	Schemas []Schema `json:"tables"`
}

const schemaFormat = 1

// EncodeSchemas writes the JSON document that goes beside the CSV files. The
// same schemas give the same bytes.
func EncodeSchemas(schemas []Schema) ([]byte, error) {
	b, err := json.MarshalIndent(schemaFile{schemaFormat, schemas}, "", " ")
	if err != nil {
		return nil, fmt.Errorf("schema facts: %w", err)
	}
	return append(b, '\n'), nil
}

// ParseSchemas reads what EncodeSchemas writes, and checks it as one does what
// comes from a stranger.
func ParseSchemas(b []byte) ([]Schema, error) {
	var f schemaFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("schema facts: %w", err)
	}
	if f.Format != schemaFormat {
		return nil, fmt.Errorf("schema facts: format %d, this program reads %d", f.Format, schemaFormat)
	}
	seen := map[string]bool{}
	for _, s := range f.Schemas {
		if err := s.Validate(); err != nil {
			return nil, fmt.Errorf("schema facts: %w", err)
		}
		if seen[s.Table] {
			return nil, fmt.Errorf("schema facts: table %q: listed twice", s.Table)
		}
		seen[s.Table] = true
	}
	return f.Schemas, nil
}

// Validate checks what every reader of a schema relies on: among it that the
// SQL is one harmless statement about this table.
func (s Schema) Validate() error {
	if err := s.validate(); err != nil {
		return fmt.Errorf("table %q: %w", s.Table, err)
	}
	return nil
}

func (s Schema) validate() error {
	if err := checkTableName(s.Table); err != nil {
		return err
	}
	if err := checkColumnNames(s.names()); err != nil {
		return err
	}
	var keys []int
	for _, c := range s.Columns {
		if !utf8.ValidString(c.Name) || !utf8.ValidString(c.Type) || len(c.Type) > maxName {
			return fmt.Errorf("column %q: name or type is not short UTF-8 text", c.Name)
		}
		if c.Key != 0 {
			keys = append(keys, c.Key)
		}
	}
	slices.Sort(keys)
	for i, k := range keys {
		if k != i+1 {
			return fmt.Errorf("key: no column is number %d in it", i+1)
		}
	}
	if err := s.validateClasses(); err != nil || s.SQLite == nil {
		return err
	}
	return s.SQLite.validate(s.Table)
}

func (s Schema) validateClasses() error {
	if len(s.Classes) > maxClassRuns {
		return fmt.Errorf("%d runs of values of another class, at most %d", len(s.Classes), maxClassRuns)
	}
	last := make([]int64, len(s.Columns))
	for _, r := range s.Classes {
		if r.Column < 0 || r.Column >= len(last) || r.First <= last[r.Column] || r.Last < r.First {
			return fmt.Errorf("run of values of another class: column %d, rows %d to %d: out of range", r.Column, r.First, r.Last)
		}
		if !slices.Contains([]Class{ClassBlob, ClassInteger, ClassReal, ClassUnicode}, r.Class) {
			return fmt.Errorf("run of values of another class: class %q: unknown", r.Class)
		}
		last[r.Column] = r.Last
	}
	return nil
}

func (f SQLiteFacts) validate(table string) error {
	if err := checkCreateTable(f.SQL, table); err != nil {
		return fmt.Errorf("create statement: %w", err)
	}
	for i, sql := range f.Indexes {
		if err := checkCreateIndex(sql, table); err != nil {
			return fmt.Errorf("index statement %d: %w", i+1, err)
		}
	}
	switch {
	case !slices.Contains([]string{"", defaultCoding, "UTF-16le", "UTF-16be"}, f.Encoding):
		return fmt.Errorf("encoding %q: unknown", f.Encoding)
	case f.PageSize != 0 && (f.PageSize < 512 || f.PageSize > 65536 || f.PageSize&(f.PageSize-1) != 0):
		return fmt.Errorf("page size %d: not a power of two from 512 to 65536", f.PageSize)
	case f.AutoVacuum < 0 || f.AutoVacuum > 2:
		return fmt.Errorf("auto_vacuum %d: not 0, 1 or 2", f.AutoVacuum)
	}
	return nil
}

// names lists the column names.
func (s Schema) names() []string {
	names := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		names[i] = c.Name
	}
	return names
}

// order lists the columns, as indexes, in the order rows are sorted by: those
// of the key in key order, then the others.
func (s Schema) order() []int {
	var keys, others []int
	for i, c := range s.Columns {
		if c.Key > 0 {
			keys = append(keys, i)
		} else {
			others = append(others, i)
		}
	}
	slices.SortFunc(keys, func(a, b int) int { return s.Columns[a].Key - s.Columns[b].Key })
	return append(keys, others...)
}

// checkTableName refuses names that could not be a file name in a layer.
func checkTableName(name string) error {
	ok := func(r rune) bool {
		return r == '_' || r == '-' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	if name == "" || len(name) > maxName-len(fileSuffix) || name[0] == '.' || name[0] == '-' {
		return fmt.Errorf("name is empty, too long or begins with %q or %q", ".", "-")
	}
	if strings.IndexFunc(name, func(r rune) bool { return !ok(r) }) >= 0 {
		return fmt.Errorf("name has other characters than letters, digits, %q, %q and %q", "_", "-", ".")
	}
	if strings.HasPrefix(strings.ToLower(name), "sqlite_") {
		return fmt.Errorf("name is reserved by SQLite")
	}
	return nil
}

// checkColumnNames refuses what the header line of a CSV cannot carry: xCAT
// writes it unquoted, strips quotes and trailing blanks when it reads, and
// takes the first character for a mark.
func checkColumnNames(names []string) error {
	if len(names) == 0 || len(names) > maxColumns {
		return fmt.Errorf("%d columns, from 1 to %d are possible", len(names), maxColumns)
	}
	seen := map[string]bool{}
	for _, n := range names {
		if n == "" || len(n) > maxName || strings.ContainsAny(n, "\",#\r\n\x00") || strings.TrimSpace(n) != n {
			return fmt.Errorf("column %.60q: not a name a CSV header can carry", n)
		}
		folded := strings.ToLower(n) // engines do not tell case apart
		if seen[folded] {
			return fmt.Errorf("column %q: there twice", n)
		}
		seen[folded] = true
	}
	return nil
}
