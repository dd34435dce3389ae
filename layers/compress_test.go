package layers

import "testing"

func TestWorthwhile(t *testing.T) {
	for _, c := range []struct {
		name             string
		content, entries int64
		ratio            float64
		want             bool
	}{
		{"rpms", 64 << 20, 100, 1, false},
		{"text", 64 << 20, 1000, 0.3, true},
		{"a little", 64 << 20, 10, 0.95, false},
		{"loaders among many boot files", 300 << 10, 2400, 1, true},
		{"one image", 1 << 30, 1, 0.99, false},
		{"nothing", 0, 1, 1, true},
	} {
		if got := worthwhile(c.content, c.entries, c.ratio); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestParseCompression(t *testing.T) {
	for _, good := range []string{"auto", "none", "zstd", "zstd:1", "zstd:4"} {
		if c, err := ParseCompression(good); err != nil || c.String() != good {
			t.Errorf("%q: %q, %v", good, c, err)
		}
	}
	for _, bad := range []string{"", "zstd:", "zstd:0", "zstd:5", "none:1", "auto:1", "gzip", "zstd:+1x"} {
		if c, err := ParseCompression(bad); err == nil {
			t.Errorf("%q: %q", bad, c)
		}
	}
}
