package database

import "testing"

// TestCompareValues orders each value before all that follow it.
func TestCompareValues(t *testing.T) {
	text := func(s string) Value { return Value{Text: s} }
	unicode := func(s string) Value { return Value{Text: s, Class: ClassUnicode} }
	for name, tc := range map[string]struct {
		numeric bool
		sorted  []Value
	}{
		"text": {false, []Value{
			{Null: true},
			{Text: "9", Class: ClassInteger},
			{Text: "10", Class: ClassReal},
			text(""), text("10"), text("9"), text("A"), text("a"),
			unicode("a☃"), text("b"), text("\xe9"), unicode("é☃"), text("\xff"), text("\xff\xff"), unicode("ÿ☃"), unicode("☃"), unicode("☃a"), unicode("☃☃"),
			unicode("\U0001F600"),
			{Text: "", Class: ClassBlob},
			{Text: "a", Class: ClassBlob},
		}},
		"numbers": {true, []Value{
			{Null: true},
			text("-Infinity"), text("-1e300"), text("-9007199254740993"), text("-9007199254740992"), text("-1.5"), text("0"), text("9"),
			text("10"), text("12345678901234567890.12"), text("12345678901234567890.13"), text("1e300"), text("Infinity"), text("NaN"), text(""), text("x"),
		}},
	} {
		for i, a := range tc.sorted {
			for j, b := range tc.sorted {
				want := 0
				if i < j {
					want = -1
				} else if i > j {
					want = 1
				}
				if got := compareValues(a, b, tc.numeric); min(1, max(-1, got)) != want {
					t.Errorf("%s: %+v and %+v: %d, want %d", name, a, b, got, want)
				}
			}
		}
	}
	for _, same := range [][2]string{{"1", "1.0"}, {"0", "-0.0"}, {"1e3", "1000"}, {"NaN", "NaN"}} {
		if got := compareValues(text(same[0]), text(same[1]), true); got != 0 {
			t.Errorf("%s and %s: %d", same[0], same[1], got)
		}
	}
}

// TestUnicodeHasADigest keeps a text apart from the bytes of its UTF-8.
func TestUnicodeHasADigest(t *testing.T) {
	sum := func(c Class) string {
		d := newDigester([]string{"a"})
		d.row([]Value{{Text: "☃", Class: c}})
		return d.table("t").Digest.String()
	}
	const want = "sha256:fa5113f40e625512819983d97d82f1029a0eaca7e22abc9dec9e796c7ce58f0b"
	if got := sum(ClassUnicode); got != want || got == sum("") || got == sum(ClassBlob) {
		t.Errorf("digest %s, want %s and that of no other class", got, want)
	}
	if err := (Schema{Table: "t", Columns: []Column{{Name: "a"}}, Classes: []ClassRun{{Class: ClassUnicode, First: 1, Last: 1}}}).Validate(); err != nil {
		t.Error(err)
	}
}
