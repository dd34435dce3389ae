package hooks

import (
	"bytes"
	"fmt"
	"strings"
)

const (
	// maxOutput is how much of what a hook writes is passed on. A program that
	// went wild must fill neither a log nor memory.
	maxOutput = 1 << 20
	// maxLine is where a long line is cut.
	maxLine = 4 << 10
)

// lines is a writer that passes on what comes in lines, up to a limit.
type lines struct {
	line    func(string)
	part    []byte // of a line
	passed  int
	dropped int64
}

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	take := p[:min(n, maxOutput-l.passed)]
	l.passed += len(take)
	l.dropped += int64(n - len(take))
	for len(take) > 0 {
		room := take[:min(len(take), maxLine-len(l.part))]
		end := bytes.IndexByte(room, '\n')
		if end < 0 {
			l.part = append(l.part, room...)
			take = take[len(room):]
			if len(l.part) == maxLine {
				l.flush()
			}
			continue
		}
		l.part = append(l.part, room[:end]...)
		take = take[end+1:]
		l.flush()
	}
	return n, nil
}

func (l *lines) flush() {
	l.line(strings.TrimSuffix(string(l.part), "\r"))
	l.part = l.part[:0]
}

// end passes on a last line without an end, and says what was left out.
func (l *lines) end() {
	if len(l.part) > 0 {
		l.flush()
	}
	if l.dropped > 0 {
		l.line(fmt.Sprintf("(%d more bytes are left out)", l.dropped))
	}
}
