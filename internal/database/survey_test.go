package database

import (
	"reflect"
	"strings"
	"testing"
)

func TestSurveyCSV(t *testing.T) {
	s := Schema{Table: "t", Columns: []Column{{Name: "a"}, {Name: "b"}}}
	csv := "#a,b\n\"12\",\n\"-9223372036854775808\",\"012\"\n\"4294967296\",\"\u00fc\"\n\"x\x00\",\"\xff\"\n,\"long enough\"\n,\n\"\",\"\x00\"\n"
	var seen []int
	got, err := SurveyCSV(strings.NewReader(csv), s, func(row []Value) { seen = append(seen, len(row)) })
	if err != nil {
		t.Fatal(err)
	}
	want := Survey{Rows: 7, Columns: []ColumnSurvey{
		{Longest: 20, Null: 5, Zero: 4, NotInteger: 4},
		{Longest: 11, Null: 1, Wide: 3, NotUTF8: 4, Zero: 7, NotInteger: 2},
	}}
	if !reflect.DeepEqual(got, want) || len(seen) != 7 {
		t.Errorf("survey %+v of rows %v, want %+v", got, seen, want)
	}
	for csv, want := range map[string]string{"#b,a\n": "header", "#a,b\n\"1\",\"2": "row 1", "": "header"} {
		_, err := SurveyCSV(strings.NewReader(csv), s)
		wantError(t, err, `table "t"`, want)
	}
}
