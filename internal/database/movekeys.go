package database

import (
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
)

// Collision is two rows whose keys are one in another engine.
type Collision struct {
	Table string
	// First and Second are the keys' columns and values, as "node=n1". A value
	// that may be secret is left out.
	First, Second []string
}

// String is the collision as one line.
func (c Collision) String() string {
	return "table " + strconv.Quote(c.Table) + ": rows " + strings.Join(c.First, " ") + " and " +
		strings.Join(c.Second, " ") + ": the same key in MariaDB, which ignores case, accents and trailing blanks"
}

// shownCollisions is how many a KeyCheck keeps of a table.
const shownCollisions = 20

// KeyCheck finds the rows of a table whose keys collide in MariaDB. All rows are
// handed to Row, as SurveyCSV does; where Again then says so, once more, because
// only then is known which keys to keep. It holds 16 bytes a row, up to three
// times that while its list grows: 10 to 30 MB for the 600,000 rows of a large
// cluster, if they were one table. Beside them it holds shownCollisions keys.
type KeyCheck struct {
	order  rowOrder
	folder folder
	seeds  [2]maphash.Seed
	// digests has one for each key until Again, then those that came twice.
	digests [][2]uint64
	again   bool
	first   map[[2]uint64][]string // by digest, of keys that collide
	found   []Collision
	total   int64
}

// NewKeyCheck checks the rows of s for a table of a collation, "" for the one
// that new tables have: utf8mb4_general_ci.
func NewKeyCheck(s Schema, collation string) *KeyCheck {
	return &KeyCheck{
		order: newRowOrder(s), folder: newFolder(collation), seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		first: map[[2]uint64][]string{},
	}
}

// Row takes the next row. A key with a NULL in it collides with none: see
// CheckMove for those.
func (k *KeyCheck) Row(row []Value) {
	if len(k.order.keys) == 0 {
		return
	}
	for _, i := range k.order.keys {
		if row[i].Null {
			return
		}
	}
	d := k.digest(row)
	if !k.again {
		k.digests = append(k.digests, d)
		return
	}
	if _, twice := slices.BinarySearchFunc(k.digests, d, compareDigests); twice {
		k.collide(d, k.order.difference(row, "").Key)
	}
}

func (k *KeyCheck) collide(d [2]uint64, key []string) {
	first, seen := k.first[d]
	switch {
	case len(k.found) == shownCollisions:
	case !seen:
		k.first[d] = key
	default:
		k.found = append(k.found, Collision{Table: k.order.schema.Table, First: first, Second: key})
	}
}

// Again ends the first pass over the rows and reports whether keys collide: then
// all rows are wanted again, for Collisions to name them.
func (k *KeyCheck) Again() bool {
	k.again = true
	slices.SortFunc(k.digests, compareDigests)
	twice := k.digests[:0]
	for i, d := range k.digests {
		if i == 0 || d != k.digests[i-1] {
			continue
		}
		k.total++
		twice = append(twice, d)
	}
	k.digests = slices.Compact(twice)
	return k.total > 0
}

// Collisions returns the first of them, and how many there are: rows whose key
// is one that another row before has.
func (k *KeyCheck) Collisions() (shown []Collision, total int64) { return k.found, k.total }

// digest is of the key as the collation sees it, a length before each column.
// Two seeds that nobody knows make a false alarm as good as impossible, also for
// keys that were made to give one.
func (k *KeyCheck) digest(row []Value) (d [2]uint64) {
	var b strings.Builder
	for _, i := range k.order.keys {
		text := row[i].Text
		if !k.order.numeric[i] {
			text = k.folder.fold(text)
		}
		b.WriteString(strconv.Itoa(len(text)) + ":" + text)
	}
	for i, seed := range k.seeds {
		d[i] = maphash.String(seed, b.String())
	}
	return d
}

func compareDigests(a, b [2]uint64) int { return slices.Compare(a[:], b[:]) }
