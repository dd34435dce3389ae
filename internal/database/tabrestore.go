package database

import "strings"

// TabrestoreLoses reports whether xCAT's tabrestore would store another value
// than v when it reads it from a file that Writer wrote. It cuts the white space
// off the right end of each line, and does so again with the next line put to
// it: what stands before a line break inside a value is lost, be it blanks, a
// carriage return or empty lines (tabutils.pm, tabrestore; measured with xCAT
// 2.19). All other values come through: the writer's quotes stand around them.
//
// It speaks of values, not of rows: tabrestore also makes an empty text of a NULL in a key
// column, numbers rows anew where the engine does, and refuses a row of NULLs
// alone.
func TabrestoreLoses(v Value) bool {
	if v.Null {
		return false
	}
	for at := 0; ; at++ {
		next := strings.IndexByte(v.Text[at:], '\n')
		if next < 0 {
			return false
		}
		at += next
		if at > 0 && strings.IndexByte(perlBlanks, v.Text[at-1]) >= 0 {
			return true
		}
	}
}

// perlBlanks are the bytes that \s matches in Perl, in a text of bytes. The
// vertical tab is one of them since Perl 5.18.
const perlBlanks = " \t\n\r\f\v"
