package restore

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
)

// copies are what imports left beside files of the host, with their content.
func copies(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for p, n := range treeOf(t, root) {
		if n.Type == "file" && strings.HasSuffix(p, BeforeSuffix) {
			b, err := os.ReadFile(filepath.Join(root, p))
			check(t, err)
			all[p] = string(b)
		}
	}
	return all
}

// TestConflicts imports over a file that the administrator changed, and then over
// what came with that import.
func TestConflicts(t *testing.T) {
	f, root := filesFixture(t, sharedFiles("first")), sharedRoot(t)
	var was, is unix.Stat_t
	check(t, unix.Stat(filepath.Join(root, "etc/svc/conf"), &was))
	imports := func(f fixture, want ...Conflict) {
		t.Helper()
		result, err := Apply(t.Context(), f.m, f.s, f.options(t, root), yes)
		check(t, err)
		if !slices.Equal(result.Plan.Conflicts, want) {
			t.Errorf("conflicts %+v, want %+v", result.Plan.Conflicts, want)
		}
	}
	conf, rotate := Conflict{Path: "/etc/svc/conf", KeptAs: "/etc/svc/conf.before-xcrate"}, Conflict{Path: "/etc/logrotate.d/xcat"}
	imports(f, rotate, conf)
	check(t, unix.Stat(filepath.Join(root, "etc/svc/conf.before-xcrate"), &is))
	if is.Uid != was.Uid || is.Gid != was.Gid || is.Mode != was.Mode || is.Mtim != was.Mtim || is.Nlink != 1 {
		t.Errorf("the copy is %+v, it was %+v", is, was)
	}
	kept := map[string]string{"etc/svc/conf.before-xcrate": "admin's"}
	if got := copies(t, root); fmt.Sprint(got) != fmt.Sprint(kept) {
		t.Errorf("copies %q", got)
	}
	// A newer snapshot replaces what came with the older one, and nobody's changes.
	imports(filesFixture(t, sharedFiles("second")))
	// What is changed after an import is somebody's again. The older copy stays.
	time.Sleep(20 * time.Millisecond) // the clock of a filesystem may tick no more often than each hundredth of a second
	check(t, os.WriteFile(filepath.Join(root, "etc/svc/conf"), []byte("admin's again"), 0o600))
	imports(filesFixture(t, sharedFiles("third")), Conflict{Path: "/etc/svc/conf"})
	if got := copies(t, root); fmt.Sprint(got) != fmt.Sprint(kept) {
		t.Errorf("copies after all %q", got)
	}
	assertFiles(t, root, map[string]string{"etc/svc/conf": "third", "install/conf": "third", "etc/logrotate.d/xcat": "rotate third"})
}

func md5Of(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// TestNoConflict has files that are as a package had them.
func TestNoConflict(t *testing.T) {
	f, root := filesFixture(t, sharedFiles("first")), sharedRoot(t)
	for p, content := range map[string]string{
		"status": "Package: svc\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nConffiles:\n /etc/svc/conf " + md5Of("admin's") +
			"\n /etc/logrotate.d/xcat " + md5Of("of the package") + "\n",
		"info/svc.list": "/etc/svc/conf\n/etc/logrotate.d/xcat\n",
	} {
		p = filepath.Join(root, "var/lib/dpkg", p)
		check(t, os.MkdirAll(filepath.Dir(p), 0o755))
		check(t, os.WriteFile(p, []byte(content), 0o644))
	}
	plan, err := NewPlan(t.Context(), f.m, f.s, f.options(t, root))
	check(t, err)
	if want := []Conflict{{Path: "/etc/logrotate.d/xcat"}}; !slices.Equal(plan.Conflicts, want) {
		t.Errorf("conflicts %+v, want %+v", plan.Conflicts, want)
	}
}

// TestConflictGone loses the file between the plan and the copy: there is nothing
// to keep.
func TestConflictGone(t *testing.T) {
	f, root := filesFixture(t, sharedFiles("first")), sharedRoot(t)
	_, err := Apply(t.Context(), f.m, f.s, f.options(t, root), func(*Plan) (bool, error) {
		return true, os.Remove(filepath.Join(root, "etc/svc/conf"))
	})
	check(t, err)
	if got := copies(t, root); len(got) > 0 {
		t.Errorf("copies %q", got)
	}
}

// TestAccountCollisions has accounts here that are others than those of the
// snapshot, and numbers that are somebody's.
func TestAccountCollisions(t *testing.T) {
	user := func(name string, id int, home, shell string) artifact.Account {
		return artifact.Account{Type: "user", Name: name, ID: id, Group: name, Home: home, Shell: shell}
	}
	group := func(name string, id int) artifact.Account { return artifact.Account{Type: "group", Name: name, ID: id} }
	f := filesFixture(t, sharedFiles("first"), group("named", 25), group("xcat", 900), group("alike", 50),
		user("named", 25, "/var/named", "/sbin/nologin"), user("xcat", 900, "/home/xcat", "/bin/bash"), user("alike", 50, "/srv/alike/", "/bin/false"),
		artifact.Account{Type: "user", Name: "root", Group: "root", Home: "/root", Shell: "/bin/bash"})
	root := sharedRoot(t)
	check(t, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0::/root:/bin/sh\nnamed:x:11:100::/home/named:/bin/bash\n"+
		"other:x:900:100::/:/bin/sh\nalike:x:12:51::/srv/alike:/sbin/nologin\n"), 0o644))
	check(t, os.WriteFile(filepath.Join(root, "etc/group"), []byte("root:x:0:\nusers:x:100:\nalike:x:51:\nprint:x:25:\n"), 0o644))
	plan, err := NewPlan(t.Context(), f.m, f.s, f.options(t, root))
	check(t, err)
	var said []string
	for _, f := range plan.Findings {
		if f.Code == "accounts" {
			said = append(said, f.Message)
		}
	}
	want := "accounts of the snapshot are here already and differ: named (home /home/named here, /var/named there, shell /bin/bash here, /sbin/nologin there, " +
		"group users here, named there)"
	if len(said) != 1 || said[0] != want {
		t.Errorf("findings %q\nwant %q", said, want)
	}
	var made []string
	for _, a := range plan.Accounts {
		made = append(made, fmt.Sprintf("%s %s %d %s", a.Type, a.Name, a.ID, a.TakenBy))
	}
	if got := strings.Join(made, ", "); got != "group named 999 print, group xcat 900 , user xcat 999 other" {
		t.Errorf("made: %s", got)
	}
}
