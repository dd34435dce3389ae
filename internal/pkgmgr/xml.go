package pkgmgr

import (
	"encoding/xml"
	"io"
	"strings"
	"unicode/utf8"
)

// xmlWriter writes elements one after the other and keeps the first error.
type xmlWriter struct {
	w   io.Writer
	err error
}

func (x *xmlWriter) raw(s string) {
	if x.err == nil {
		_, x.err = io.WriteString(x.w, s)
	}
}

func (x *xmlWriter) escaped(s string) {
	if x.err == nil {
		x.err = xml.EscapeText(x.w, []byte(clean(s)))
	}
}

// tag writes <name a="b"CLOSE, attrs being names and values in turn.
func (x *xmlWriter) tag(name, closing string, attrs []string) {
	x.raw("<" + name)
	for i := 0; i+1 < len(attrs); i += 2 {
		x.raw(" " + attrs[i] + `="`)
		x.escaped(attrs[i+1])
		x.raw(`"`)
	}
	x.raw(closing)
}

func (x *xmlWriter) open(name string, attrs ...string)  { x.tag(name, ">", attrs) }
func (x *xmlWriter) empty(name string, attrs ...string) { x.tag(name, "/>\n", attrs) }
func (x *xmlWriter) end(name string)                    { x.raw("</" + name + ">\n") }

// text writes an element that holds text.
func (x *xmlWriter) text(name, text string, attrs ...string) {
	x.open(name, attrs...)
	x.escaped(text)
	x.end(name)
}

// clean makes s text that XML can hold. What is not UTF-8 is taken for Latin-1,
// as old packages are; control characters go, as with createrepo_c.
func clean(s string) string {
	if !utf8.ValidString(s) {
		var b strings.Builder
		for i := range len(s) {
			b.WriteRune(rune(s[i]))
		}
		s = b.String()
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' {
			return -1
		}
		return r
	}, s)
}
