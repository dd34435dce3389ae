package merge

import (
	"strings"
	"testing"
)

func TestExports(t *testing.T) {
	const xcat = "*(rw,no_root_squash,sync,no_subtree_check,insecure)"
	for _, tt := range []struct{ name, host, snapshot, want, note string }{
		{"empty", "", "# xCAT\n/install " + xcat + "\n", "# xCAT\n/install " + xcat + "\n", "added: /install"},
		{"of_the_scripts", "/install " + xcat + "\n", "/install\t" + xcat + " # by hand\n", "/install " + xcat + "\n", ""},
		{
			"by_path", "# ours\n/home 10.0.0.0/8(rw)\n/install *(ro)\n", "/install " + xcat + "\n/tftpboot " + xcat + "\n",
			"# ours\n/home 10.0.0.0/8(rw)\n/install " + xcat + "\n/tftpboot " + xcat + "\n", "those of the snapshot: /install",
		},
		{"continued", "/data a(rw) \\\n  b(ro)\n/end x\n", "/data a(rw) b(ro)\n/more \\\n c(rw)\n", "/data a(rw) \\\n  b(ro)\n/end x\n/more \\\n c(rw)\n", "added: /more"},
		{"several_lines", "/d a\n/e x\n/d b\n", "/d a\n/d c\n", "/d a\n/d c\n/e x\n", "of this host, kept: /e"},
		{"written_otherwise", "\"/my data/\" a\n", "/my\\040data a\n", "\"/my data/\" a\n", ""},
		{"open_end", "/d a \\", "/e b\n", "/d a \\\n\n/e b\n", "added: /e"},
		{"no_exports", "nonsense\n\"/open a\n", "odd\nnonsense\n", "nonsense\n\"/open a\nodd\n", ""},
		{"comment_continued", "# a \\\n/d a\n", "/d b\n", "# a \\\n/d b\n", "/d"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Exports([]byte(tt.host), []byte(tt.snapshot))
			if string(got.Content) != tt.want {
				t.Errorf("merged:\n%s\nwant:\n%s", got.Content, tt.want)
			}
			if notes := strings.Join(got.Notes, "; "); !strings.Contains(notes, tt.note) {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
			if again := Exports(got.Content, []byte(tt.snapshot)); string(again.Content) != tt.want {
				t.Errorf("merged again:\n%s", again.Content)
			}
		})
	}
}
