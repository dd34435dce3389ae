package house

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// topLevel is what a visitor finds in the repository, and no more: where a thing goes is settled in
// docs/development.md, and a new folder is a decision to write down there.
func topLevel() (required, allowed []string) {
	required = []string{
		".ci", ".gitignore", ".golangci.yml", "CHANGELOG.md", "SECURITY.md", "LICENSE", "Makefile", "README.md", "artifact", "cmd",
		"docs", "go.mod", "go.sum", "internal", "layers", "layout", "restore", "testdata",
	}
	// The last three are the version control's own and what make writes.
	return required, append(slices.Clone(required), ".editorconfig", ".gitattributes", ".git", "bin", "demo")
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(moduleRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	required, allowed := topLevel()
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		if !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s at the top level: move it into the folder it belongs to (docs/development.md), or agree on it in topLevel()", e.Name())
		}
	}
	for _, name := range required {
		if !slices.Contains(names, name) {
			t.Errorf("%s is missing at the top level: write it", name)
		}
	}
}

// texts calls f with every file people wrote: source, scripts, documents, configuration. Fixtures taken from real
// hosts and golden layouts are left out: their bytes are given.
func texts(t *testing.T, f func(name, text string)) {
	t.Helper()
	root := moduleRoot(t)
	given := []string{".git", "bin", "demo", "testdata/real-mn", "testdata/artifacts"}
	wanted := []string{".go", ".md", ".sh", ".yml", ".txt", ".txtar", ".mod"}
	seen := 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if d.IsDir() && slices.Contains(given, name) {
			return filepath.SkipDir
		}
		script := path.Dir(name) == ".ci" || name == "Makefile" || path.Dir(name) == "testdata/lab"
		if !d.Type().IsRegular() || !script && !slices.Contains(wanted, path.Ext(name)) {
			return nil
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		seen++
		f(name, string(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 20 {
		t.Fatalf("%d text files below %s, the repository has more", seen, root)
	}
}

// TestNothingIsLeftForLater finds notes to oneself and paths of one person's machine. The words are put together here
// so that this file is not found.
func TestNothingIsLeftForLater(t *testing.T) {
	for _, rule := range []struct{ pattern, do string }{
		{`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`, "do it now, or file an issue and remove the note"},
		{`(^|[\s"'=:(` + "`" + `])(/wo` + `rk/|/home/[a-z]+/src/|/Users/)`, "use a path relative to the repository, or a parameter"},
	} {
		pattern := regexp.MustCompile(rule.pattern)
		texts(t, func(name, text string) {
			for i, line := range strings.Split(text, "\n") {
				if found := pattern.FindString(line); found != "" {
					t.Errorf("%s:%d: %q: %s", name, i+1, strings.TrimSpace(found), rule.do)
				}
			}
		})
	}
}

// link is a Markdown link or image: [text](target "title").
var link = regexp.MustCompile(`\]\(<?([^)\s>]+)[^)]*\)`)

// TestDocumentLinksLead follows the relative links of all documents, so that none points to a file that was moved.
func TestDocumentLinksLead(t *testing.T) {
	root := moduleRoot(t)
	texts(t, func(name, text string) {
		if path.Ext(name) != ".md" || strings.HasPrefix(name, "testdata/") {
			return
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, ":") {
				continue // within the page, or a URL
			}
			at := filepath.Join(root, filepath.FromSlash(path.Join(path.Dir(name), target)))
			if strings.HasPrefix(target, "/") {
				t.Errorf("%s: link to %s: make it relative to the document", name, m[1])
			} else if _, err := os.Stat(at); err != nil {
				t.Errorf("%s: link to %s leads nowhere: mend the link or write the page", name, m[1])
			}
		}
	})
}
