package database

import (
	"errors"
	"io"
	"strconv"
	"unicode/utf8"
)

// SurveyCSV reads a table's CSV once and says what its rows demand of the
// columns of s, which the CSV has in their order. Whoever else wants to see the
// rows on the way, such as a KeyCheck, is in watch: a row is valid during the
// call only. It holds one row in memory.
func SurveyCSV(csv io.Reader, s Schema, watch ...func(row []Value)) (Survey, error) {
	r, err := newSchemaReader(csv, s)
	if err != nil {
		return Survey{}, err
	}
	v := Survey{Columns: make([]ColumnSurvey, len(s.Columns))}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return v, nil
		}
		if err != nil {
			return Survey{}, err
		}
		v.Rows++
		for i, value := range row {
			v.Columns[i].add(v.Rows, value)
		}
		for _, fn := range watch {
			fn(row)
		}
	}
}

func (c *ColumnSurvey) add(row int64, v Value) {
	if v.Null {
		first(&c.Null, row)
		return
	}
	c.Longest = max(c.Longest, len(v.Text))
	if c.Wide == 0 || c.NotUTF8 == 0 || c.Zero == 0 { // once all is seen there is nothing to look for
		wide, zero := false, false
		for i := range len(v.Text) {
			wide = wide || v.Text[i] >= utf8.RuneSelf
			zero = zero || v.Text[i] == 0
		}
		if wide {
			first(&c.Wide, row)
			if !utf8.ValidString(v.Text) {
				first(&c.NotUTF8, row)
			}
		}
		if zero {
			first(&c.Zero, row)
		}
	}
	if c.NotInteger == 0 {
		if n, err := strconv.ParseInt(v.Text, 10, 64); err != nil || strconv.FormatInt(n, 10) != v.Text {
			c.NotInteger = row
		}
	}
}

// first notes row unless an earlier one is noted.
func first(at *int64, row int64) {
	if *at == 0 {
		*at = row
	}
}
