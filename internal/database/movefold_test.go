package database

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// weights asks a server what each character of U+0000 to U+FFFF weighs in a
// collation, as the bytes of its weights.
func weights(t *testing.T, collation string) map[rune]string {
	t.Helper()
	server := hosttest.MariaDB(t)
	name := server.NewDatabase(t, "utf8mb4").Name
	var sql strings.Builder
	fmt.Fprintf(&sql, "SET sql_mode = ''; CREATE TABLE c (c INT, k VARCHAR(4) CHARACTER SET utf8mb4 COLLATE %s)", collation)
	for r := rune(0); r <= 0xFFFF; r++ {
		sep := ","
		if r%4096 == 0 {
			sep = ";\nINSERT INTO c VALUES "
		}
		if utf8.ValidRune(r) {
			fmt.Fprintf(&sql, "%s(%d, _utf8mb4 X'%x')", sep, r, string(r))
		}
	}
	server.Load(t, name, strings.NewReader(strings.ReplaceAll(sql.String(), "VALUES ,", "VALUES ")))
	all := map[rune]string{}
	for line := range strings.Lines(server.Admin(t, "SELECT c, HEX(WEIGHT_STRING(k)) FROM "+name+".c")) {
		number, weight, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		r, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		all[rune(r)] = weight
	}
	if len(all) != 0x10000-0x800 {
		t.Fatalf("%d characters", len(all))
	}
	return all
}

// TestGeneralFold compares with the server: two characters are folded to one if
// and only if they weigh the same.
func TestGeneralFold(t *testing.T) {
	f := newFolder("")
	for r, weight := range weights(t, "utf8mb4_general_ci") {
		want := ""
		if n, err := strconv.ParseUint(weight, 16, 16); err != nil {
			t.Fatal(err)
		} else if n != ' ' { // a trailing blank
			want = string(rune(n)) // a weight is the character that stands for all of its class
		}
		if got := f.fold(string(r)); got != want {
			t.Errorf("%U: folded to %q, weighs %s", r, got, weight)
		}
	}
	for _, r := range []rune{0x10000, 0x1F600, utf8.MaxRune} {
		if got := f.fold(string(r)); got != "\ufffd" {
			t.Errorf("%U: folded to %q", r, got)
		}
	}
}

// TestSwedishFold compares with the server: what a character is folded to
// follows from its weights, each by itself, so that whatever weighs the same is
// folded to the same, in any company.
func TestSwedishFold(t *testing.T) {
	f := newFolder("utf8mb4_swedish_ci")
	all := weights(t, "utf8mb4_swedish_ci")
	ascii := map[string]string{} // by weight
	for r := range rune(utf8.RuneSelf) {
		switch weight := all[r]; {
		case len(weight) == 4:
			ascii[weight] = strings.ToLower(string(r))
		case weight != "":
			t.Errorf("%U: weighs %s", r, weight)
		}
	}
	for r, weight := range all {
		want := ""
		for i := 0; i+4 <= len(weight); i += 4 {
			want += ascii[weight[i:i+4]]
		}
		if got := f.fold("." + string(r) + "."); got != "."+want+"." {
			t.Errorf("%U: folded to %q, want %q: weighs %s", r, got, want, weight)
		}
	}
}

// TestFoldOfTexts compares whole keys, for what a table of characters cannot
// show: trailing blanks, characters of several weights, those above U+FFFF.
func TestFoldOfTexts(t *testing.T) {
	seed := rand.Uint64()
	g := rand.New(rand.NewPCG(seed, 0))
	pieces := []string{"a", "A", "\u00e4", "\u00c4", "\u00e5", "\u00df", "s", "ss", " ", "  ", "\u00a0", "\t", "\x00", "\x01", "\u0301", "\u00e6", "ae", "\u0153", "oe", "\U0001F600", "\U00010400", "\ufffd", "\u2603", "\u6771", "1", "\u00bd", "12", "\ufb01", "fi", "-", "_"}
	word := func() (s string) {
		for range g.IntN(4) {
			s += pieces[g.IntN(len(pieces))]
		}
		return s
	}
	server := hosttest.MariaDB(t)
	for _, collation := range []string{"utf8mb4_general_ci", "utf8mb4_swedish_ci", "utf8mb4_bin"} {
		var sql strings.Builder
		var pairs [][2]string
		for range 4000 {
			p := [2]string{word(), word()}
			if g.IntN(2) == 0 {
				p[1] = strings.ToUpper(p[0]) + word()
			}
			sep := " UNION ALL "
			if len(pairs) == 0 {
				sep = ""
			}
			fmt.Fprintf(&sql, "%sSELECT _utf8mb4 X'%s' COLLATE %s = _utf8mb4 X'%s'", sep, hex.EncodeToString([]byte(p[0])), collation, hex.EncodeToString([]byte(p[1])))
			pairs = append(pairs, p)
		}
		lines := strings.Split(strings.TrimSpace(server.Admin(t, sql.String())), "\n")
		if len(lines) != len(pairs) {
			t.Fatalf("%d answers to %d questions", len(lines), len(pairs))
		}
		f, equal, alarms := newFolder(collation), 0, 0
		for i, p := range pairs {
			folded := f.fold(p[0]) == f.fold(p[1])
			switch same := lines[i] == "1"; {
			case same && folded:
				equal++
			case same != folded && (same || !f.onlyListed):
				t.Errorf("seed %d: %s: %q and %q: the server says %t", seed, collation, p[0], p[1], same)
			case folded:
				alarms++
			}
		}
		t.Logf("%s: %d of %d pairs equal, %d false alarms", collation, equal, len(pairs), alarms)
		if equal < 100 {
			t.Errorf("%s: %d pairs are equal: they test nothing", collation, equal)
		}
	}
}
