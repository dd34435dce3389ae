package dbserver

import (
	"errors"
	"strings"
)

// What is ours in a file of the server stands between two comments. Both servers'
// files take "#" for the begin of one.
const (
	blockBegin = "# xcrate: begin"
	blockEnd   = "# xcrate: end"
)

// errBlock is the cause where somebody has edited the comments themselves.
var errBlock = errors.New("the comments \"" + blockBegin + "\" and \"" + blockEnd + "\" are no pair")

// makeBlock returns lines as a block.
func makeBlock(lines []string) string {
	return blockBegin + "\n" + strings.Join(lines, "\n") + "\n" + blockEnd + "\n"
}

// cutBlock takes the block out of text, byte for byte; at is where it stood, -1 if
// there is none.
func cutBlock(text string) (rest, block string, at int, err error) {
	begin, end := -1, -1
	offset := 0
	for line := range strings.Lines(text) {
		switch strings.TrimRight(line, "\r\n") {
		case blockBegin:
			if begin >= 0 {
				return "", "", 0, errBlock
			}
			begin = offset
		case blockEnd:
			if begin < 0 || end >= 0 {
				return "", "", 0, errBlock
			}
			end = offset + len(line)
		}
		offset += len(line)
	}
	switch {
	case begin < 0:
		return text, "", -1, nil
	case end < 0:
		return "", "", 0, errBlock
	}
	// A block at the end of a file that had no newline there brought one along, and
	// has none of its own: see insertBlock.
	if !strings.HasSuffix(text[begin:end], "\n") && begin > 0 {
		begin--
	}
	return text[:begin] + text[end:], text[begin:end], begin, nil
}

// insertBlock puts a block at an offset of text that holds none, so that cutBlock
// gives back the same text.
func insertBlock(text, block string, at int) string {
	if at == len(text) && text != "" && !strings.HasSuffix(text, "\n") {
		return text + "\n" + strings.Trim(block, "\n")
	}
	return text[:at] + block + text[at:]
}
