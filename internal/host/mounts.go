package host

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Mounts returns the paths of the host at which something is mounted, the root
// itself not among them: bind mounts too, which have the device number of what
// lies around them. See proc(5), "/proc/pid/mountinfo".
func (r *Root) Mounts() (map[string]bool, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no proc: device numbers have to do
	}
	if err != nil {
		return nil, err
	}
	mounts := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			return nil, fmt.Errorf("mount table: line %q", lines.Text())
		}
		rel, err := filepath.Rel(r.dir, unescapeMount(fields[4]))
		if err == nil && rel != "." && rel != ".." && !strings.HasPrefix(rel, "../") {
			mounts["/"+rel] = true
		}
	}
	return mounts, lines.Err()
}

// unescapeMount undoes what the kernel does to blanks and backslashes: \040.
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
