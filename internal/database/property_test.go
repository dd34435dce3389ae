package database

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestRandomTables fills tables of the real schema with random rows of the worst
// kind, on two engines a round, and moves each to itself and two others. Where
// CheckMove and KeyCheck find nothing against it, the dump there is the same to
// the byte; where they do, nothing gets lost in silence all the same.
//
// XCRATE_TEST_SEED runs the one round it names.
func TestRandomTables(t *testing.T) {
	rounds, seed := 30, rand.Uint64()
	if s := os.Getenv("XCRATE_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
		rounds = 1
	}
	if testing.Short() {
		rounds = 5
	}
	schemas := dumpAll(t, open(t, copyReal(t))).Schemas
	pool := databasePool{all: t, made: map[string]testDatabase{}}
	moved, refused := map[string]int{}, map[string]int{}
	for i := range rounds {
		roundSeed := seed + uint64(i)
		t.Run(fmt.Sprint("seed_", roundSeed), func(t *testing.T) {
			g := &generator{Rand: rand.New(rand.NewPCG(roundSeed, 0))}
			engines := testEngines()
			g.Shuffle(len(engines), func(a, b int) { engines[a], engines[b] = engines[b], engines[a] })
			for i, e := range engines[:2] {
				g.engine = e
				from := pool.get(t, e, "from")
				from.fill(t, g.tables(t, schemas))
				d := from.dump(t) // with the schemas of the engine
				for name, b := range d.files {
					checkRandomTabrestore(t, name, b)
				}
				for _, other := range []testEngine{e, engines[i+1], engines[i+2]} {
					pair := e.name() + "-" + other.name()
					if e.engine != other.engine && !d.mayMove(t, e.engine, other.engine) {
						refused[pair]++
						d.loudly(t, pool.get(t, other, "to"))
						continue
					}
					moved[pair]++
					to := pool.get(t, other, "to")
					to.fill(t, d)
					to.holds(t, d)
				}
			}
		})
	}
	t.Logf("seed %d: moved %v, obstacles %v", seed, moved, refused)
	if rounds >= 30 && (len(moved) < 10 || len(refused) < 3) {
		t.Errorf("seed %d: the rows are not of both kinds", seed)
	}
}

// databasePool keeps databases of servers, which take long to be made, for the
// next round.
type databasePool struct {
	all  testing.TB // the test all rounds are part of
	made map[string]testDatabase
}

// get returns a database without tables.
func (p databasePool) get(t testing.TB, e testEngine, role string) testDatabase {
	t.Helper()
	if e.engine == EngineSQLite {
		return e.newDatabase(t)
	}
	db, ok := p.made[e.name()+role]
	if !ok {
		db = e.newDatabase(p.all)
		p.made[e.name()+role] = db
		return db
	}
	src := db.source(t)
	tables, err := src.Tables(t.Context())
	if err := errors.Join(err, src.Close()); err != nil {
		t.Fatal(err)
	}
	tgt := db.target(t)
	_, err = tgt.Prepare(t.Context(), nil)
	for _, table := range tables {
		err = errors.Join(err, tgt.Drop(t.Context(), table))
	}
	if err := errors.Join(err, tgt.Commit(t.Context()), tgt.Close()); err != nil {
		t.Fatal(err)
	}
	return db
}

// loudly moves d to a database against which there are obstacles: it holds all of
// it, or an error or the digest of what it holds says that it does not.
func (d dump) loudly(t testing.TB, db testDatabase) {
	t.Helper()
	tgt := db.target(t)
	defer func() { _ = tgt.Close() }()
	if _, err := tgt.Prepare(t.Context(), d.surveyed(t)); err != nil {
		return
	}
	for i, s := range d.Schemas {
		got, err := tgt.Put(t.Context(), s, bytes.NewReader(d.files[FileName(s.Table)]))
		if err != nil || got != d.Tables[i] {
			return
		}
	}
	if err := tgt.Commit(t.Context()); err == nil {
		db.holds(t, d)
	}
}

// mayMove asks what a plan asks.
func (d dump) mayMove(t testing.TB, from, to Engine) bool {
	t.Helper()
	if CheckMove(from, to, d.surveyed(t)) != nil {
		return false
	}
	for _, s := range d.Schemas {
		_, rows, err := readCSV(s.Table, d.files[FileName(s.Table)])
		if err != nil {
			t.Fatal(err)
		}
		if _, n := checkKeys(s, "", rows); to == EngineMariaDB && n > 0 {
			return false
		}
	}
	return true
}

// checkRandomTabrestore leaves out rows of NULLs alone, which tabrestore takes
// for mistakes, and which no key allows but one of NULLs.
func checkRandomTabrestore(t testing.TB, name string, file []byte) {
	t.Helper()
	table := strings.TrimSuffix(name, ".csv")
	columns, rows, err := readCSV(table, file)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := NewWriter(&b, table, columns)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if !slices.ContainsFunc(row, func(v Value) bool { return !v.Null }) {
			continue
		}
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	checkTabrestore(t, table, b.Bytes())
}

// generator makes rows for an engine.
type generator struct {
	*rand.Rand
	engine testEngine
	tame   bool // no byte but printable ASCII, which every engine takes
}

// tables fills some of the tables of schemas.
func (g *generator) tables(t testing.TB, schemas []Schema) dump {
	t.Helper()
	g.tame = g.IntN(2) == 0
	tables := map[*Schema][][]Value{}
	for range 6 {
		s := schemas[g.IntN(len(schemas))]
		if slices.ContainsFunc(schemasOf(tables), func(name string) bool { return name == s.Table }) {
			continue
		}
		var rows [][]Value
		keys := newFolder("utf8mb4_general_ci")
		seen := map[string]bool{}
		for range g.IntN(40) {
			fold := func(s string) string { return s }
			if g.engine.engine == EngineMariaDB || g.tame {
				fold = keys.fold
			}
			row, key := g.row(s, fold)
			if !seen[key] {
				rows = append(rows, row)
			}
			seen[key] = true
		}
		if s.Sequence != nil || slices.ContainsFunc(s.Columns, func(c Column) bool { return c.Auto }) {
			s.Sequence = new(int64(1 << 20)) // behind all numbers there are
		}
		tables[&s] = rows
	}
	return dumpOf(t, tables)
}

func schemasOf(tables map[*Schema][][]Value) (names []string) {
	for s := range tables {
		names = append(names, s.Table)
	}
	return names
}

// row returns a row and what tells it apart from others, folded column by column.
func (g *generator) row(s Schema, fold func(string) string) (row []Value, key string) {
	for _, c := range s.Columns {
		v := g.value()
		switch {
		case affinityOf(c.Type) == affinityInteger:
			v = text(strconv.Itoa(1 + g.IntN(1<<20)))
		case v.Null && (c.NotNull || c.Key > 0 && (!g.engine.nullKeys || g.tame)):
			v = text("")
		}
		if c.Key > 0 {
			if len(v.Text) > 100 {
				v.Text = "long" // the width of keys has a test of its own
			}
			key += fold(v.Text) + "\x00"
			if v.Null { // two NULLs are not the same
				key += strconv.FormatUint(g.Uint64(), 16)
			}
		}
		row = append(row, v)
	}
	return row, key
}

// value is short as a rule: one in four thousand has a megabyte.
func (g *generator) value() Value {
	switch g.IntN(8) {
	case 0, 1:
		return null
	case 2:
		return text("")
	}
	n := 1 + g.IntN(12)
	if g.IntN(4000) == 0 {
		n = 1 << 18
	}
	var b strings.Builder
	for range n {
		b.WriteString(g.piece())
	}
	s := b.String()
	if g.engine.onlyUTF8 {
		s = strings.ToValidUTF8(s, "?")
	}
	if g.engine.noZero {
		s = strings.ReplaceAll(s, "\x00", "0")
	}
	return text(s)
}

// piece is a character or few.
func (g *generator) piece() string {
	plain := []string{"a", "B", "n", "1", "0", " ", "  ", "\t", "\n", "\n\n", "\r", "\r\n", "\"", "\"\"", ",", "#", "\\", "'", "$", "%", "|", ";", "\\N", "NULL"}
	if g.tame || g.IntN(3) > 0 {
		return plain[g.IntN(len(plain))]
	}
	switch g.IntN(4) {
	case 0:
		return string(rune(g.IntN(0x20))) // control characters
	case 1:
		return string([]byte{byte(0x80 + g.IntN(0x80))}) // a byte of Latin 1
	case 2:
		return string(rune(0x80 + g.IntN(0x280)))
	default:
		r := rune(g.IntN(utf8.MaxRune))
		if !utf8.ValidRune(r) {
			r = 0x2603
		}
		return string(r)
	}
}
