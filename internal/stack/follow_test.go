package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
)

// follow runs Follow on one row with files by path; without any, every file is
// there and empty.
func follow(t *testing.T, table string, row map[string]string, files map[string]string) (refs []Ref, problems []string) {
	t.Helper()
	b := bind(t, XCAT(), Tables{table: {row}})
	return b.Follow(func(p string) ([]byte, error) {
		if s, ok := files[p]; ok || files == nil {
			return []byte(s), nil
		}
		return nil, fmt.Errorf("open %s: %w", p, fs.ErrNotExist)
	})
}

func paths(refs []Ref) string {
	var set []string
	for _, r := range refs {
		set = append(set, r.Path)
	}
	return strings.Join(set, " ")
}

func TestFollowColumns(t *testing.T) {
	for _, c := range []struct {
		name, column, value string
		want                string
		problems            int
	}{
		{"plain", "linuximage.kerneldir", "/srv/k", "/srv/k", 0},
		{"spaces", "linuximage.kerneldir", "  /srv/k/ ", "/srv/k", 0},
		{"empty", "linuximage.kerneldir", "", "", 0},
		{"unclean", "linuximage.kerneldir", "/srv//a/../k", "/srv/k", 0},
		{"root", "linuximage.kerneldir", "/", "", 1},
		{"comma-in-single", "linuximage.kerneldir", "/srv/a,b", "/srv/a,b", 0},
		{"list", "linuximage.pkgdir", "/install/rocky9.6/x86_64, /srv/up ,,http://h/x,https://h/y,", "/install/rocky9.6/x86_64 /srv/up", 0},
		{"twice", "linuximage.pkgdir", "/srv/up,/srv/up/", "/srv/up", 0},
		{"stock", "linuximage.template", "/opt/xcat/share/xcat/install/rocky/compute.tmpl", "", 0},
		{"own-plugin", "linuximage.kerneldir", "/opt/xcat/lib/k", "/opt/xcat/lib/k", 0},
		{"relative", "linuximage.kerneldir", "srv/k", "", 1},
		{"variable", "linuximage.kerneldir", "/srv/$NODE", "", 1},
		{"table-tag", "linuximage.kerneldir", "/srv/#TABLE:nodetype:$NODE:os#", "", 1},
		{"glob-is-a-name", "linuximage.kerneldir", "/srv/k[1]*", `/srv/k\[1]\*`, 0},
		{"postinstall", "linuximage.postinstall", "/srv/a.sh arg /not/this, /srv/b.sh", "/srv/a.sh /srv/b.sh", 0},
		{"partition-script", "linuximage.partitionfile", "s:d:/srv/disk.sh,s:/srv/p.sh,c:/srv/c", "/srv/c /srv/disk.sh /srv/p.sh", 0},
		{"drivers", "linuximage.driverupdatesrc", "dud:/srv/d.img,rpm:/srv/d.rpm,/srv/e.rpm", "/srv/d.img /srv/d.rpm /srv/e.rpm", 0},
		{"dump", "linuximage.dump", "nfs:///srv/dump", "", 0},
		{"postscripts", "osimage.postscripts", "syslog,mine arg, sub/other", "/install/postscripts/mine /install/postscripts/sub/other /install/postscripts/syslog", 0},
		{"postscripts-node", "postscripts.postbootscripts", "otherpkgs", "/install/postscripts/otherpkgs", 0},
		{"prescripts", "prescripts.begin", "install:a,b|netboot:c", "/install/prescripts/a /install/prescripts/b /install/prescripts/c", 0},
		{"prescripts-plain", "prescripts.end", "a", "/install/prescripts/a", 0},
		{"winpe", "winimage.winpepath", "winboot/winpe1", "/tftpboot/winboot/winpe1", 0},
		{"kit-file", "kitcomponent.exlist", "exlist", "", 0},
		{"expression", "firmware.cfgfile", "|node(\\d+)|/srv/fw($1)|", "", 1},
		{"expression-slash", "firmware.cfgfile", "/^n(.*)$/\\/srv\\/$1/", "", 1},
		{"vm-dir", "vm.storage", "dir:///srv/vms", "", 1},
		{"vm-covered", "vm.storage", "dir:///install/vm", "", 0},
		{"vm-pool", "vm.storage", "nfs://h/srv,phy:/dev/sdb,pool", "", 0},
		{"iscsi", "iscsi.file", "/srv/lun1", "", 1},
		{"boottarget", "boottarget.kernel", "mine/vmlinuz", "/tftpboot/mine/vmlinuz", 0},
		{"monitoring-plugin", "notification.filename", "mine.pm", "/opt/xcat/lib/perl/xCAT_monitoring/mine.pm", 0},
		{"utf8", "linuximage.kerneldir", "/srv/größe", "/srv/größe", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, column, _ := strings.Cut(c.column, ".")
			refs, problems := follow(t, table, map[string]string{column: c.value}, nil)
			if got := paths(refs); got != c.want || len(problems) != c.problems {
				t.Errorf("%q: refs %q, want %q; problems %q, want %d", c.value, got, c.want, problems, c.problems)
			}
			for _, p := range problems {
				if !strings.HasPrefix(p, table+` "`) || !strings.Contains(p, column) {
					t.Errorf("problem does not name its column: %s", p)
				}
			}
		})
	}
}

// TestFollowKnowsEveryColumn holds the columns of the reference's section 3.6
// against those that are followed.
func TestFollowKnowsEveryColumn(t *testing.T) {
	known := make(map[string]bool)
	for _, c := range XCAT().Columns {
		known[c.Table+"."+c.Column] = true
	}
	for _, c := range strings.Fields(`osimage.synclists osimage.cfmdir osimage.postscripts osimage.postbootscripts
		linuximage.template linuximage.pkglist linuximage.pkgdir linuximage.otherpkglist linuximage.otherpkgdir
		linuximage.exlist linuximage.postinstall linuximage.rootimgdir linuximage.kerneldir linuximage.partitionfile
		linuximage.driverupdatesrc linuximage.dump winimage.template winimage.partitionfile winimage.winpepath
		kit.kitdir kit.kitdeployparams kitrepo.kitrepodir kitcomponent.exlist firmware.cfgfile zone.sshkeydir
		nodehm.cmdmapping notification.filename iscsi.file osdistro.dirpaths osdistroupdate.dirpath vm.storage
		vm.cfgstore boottarget.kernel boottarget.initrd prescripts.begin prescripts.end postscripts.postscripts
		postscripts.postbootscripts`) {
		if !known[c] {
			t.Errorf("%s: not followed", c)
		}
	}
	if want := XCAT().Wants(); !slices.IsSorted(want) || !slices.Contains(want, "site") || !slices.Contains(want, "osdistro") || slices.Contains(want, "nodelist") {
		t.Errorf("tables read: %q", want)
	}
}

func TestFollowFromAndKind(t *testing.T) {
	refs, _ := follow(t, "zone", map[string]string{"zonename": "z1", "sshkeydir": "/srv/keys"}, nil)
	want := Ref{Path: "/srv/keys", From: `zone "z1": sshkeydir`, Kind: artifact.KindSecrets}
	if len(refs) != 1 || refs[0] != want {
		t.Errorf("%+v, want %+v", refs, want)
	}
}

func TestFollowIncludes(t *testing.T) {
	row := map[string]string{"imagename": "i", "pkglist": "/srv/l/a", "template": "/opt/xcat/share/xcat/t.tmpl"}
	refs, problems := follow(t, "linuximage", row, map[string]string{
		"/srv/l/a":                     "bash\n#INCLUDE:sub/b# \n#INCLUDE:/srv/abs/c#\n#INCLUDE: /srv/l/a #\n#INCLUDE_DEFAULT_PKGLIST#\n",
		"/srv/l/sub/b":                 "#INCLUDE:d#\n#INCLUDE:/opt/xcat/share/xcat/stock.pkglist#\n#INCLUDE:/srv/l/a#\n",
		"/srv/abs/c":                   "#INCLUDE:/srv/l/sub/b#\n#INCLUDE:/srv/$X/e#\n",
		"/srv/l/d":                     "#INCLUDE:/srv/l/d#",
		"/opt/xcat/share/xcat/t.tmpl":  "#INCLUDE_PKGLIST:/srv/fromstock#\n#INCLUDE:#ENV:OSVER#/x#\n#INCLUDE_NOP:../p.sh#",
		"/srv/fromstock":               "",
		"/opt/xcat/share/p.sh":         "",
		"/opt/xcat/share/xcat/unknown": "",
	})
	// Nested relative includes start from the list the column names, so "d" is
	// /srv/l/d though b lies in /srv/l/sub.
	if got, want := paths(refs), "/srv/abs/c /srv/fromstock /srv/l/a /srv/l/d /srv/l/sub/b"; got != want {
		t.Errorf("refs %q, want %q", got, want)
	}
	if len(problems) != 2 || !strings.Contains(problems[0]+problems[1], `"/srv/$X/e"`) || !strings.Contains(problems[0]+problems[1], `"$ENV/x"`) {
		t.Errorf("problems %q", problems)
	}
	for _, r := range refs {
		if r.Path == "/srv/l/sub/b" && r.From != `linuximage "i": pkglist: #INCLUDE in /srv/l/a` {
			t.Errorf("%s: from %q", r.Path, r.From)
		}
	}
}

func TestFollowIncludesWithoutEnd(t *testing.T) {
	depth := 0
	b := bind(t, XCAT(), Tables{"linuximage": {{"imagename": "i", "pkglist": "/srv/0"}}})
	refs, problems := b.Follow(func(string) ([]byte, error) {
		depth++
		return fmt.Appendf(nil, "#INCLUDE:/srv/%d#", depth), nil
	})
	if len(problems) != 1 || !strings.Contains(problems[0], "deep") || len(refs) > maxIncludeDepth+2 {
		t.Errorf("%d refs, problems %q", len(refs), problems)
	}
}

func TestFollowTooManyIncludes(t *testing.T) {
	var wide strings.Builder
	for i := range maxFollowed + 5 {
		fmt.Fprintf(&wide, "/srv/f%d -> /x\n", i)
	}
	refs, problems := follow(t, "osimage", map[string]string{"synclists": "/srv/l"}, map[string]string{"/srv/l": wide.String()})
	if len(refs) != maxFollowed || len(problems) != 6 {
		t.Errorf("%d refs, %d problems", len(refs), len(problems))
	}
}

func TestFollowUnreadable(t *testing.T) {
	b := bind(t, XCAT(), Tables{"linuximage": {{"imagename": "i", "pkglist": "/srv/a,/srv/b"}}})
	_, problems := b.Follow(func(p string) ([]byte, error) {
		if p == "/srv/a" {
			return nil, errors.New("input/output error")
		}
		return nil, fs.ErrNotExist
	})
	if len(problems) != 2 || !strings.Contains(problems[0], "/srv/a: not followed: input/output error") || !strings.Contains(problems[1], "/srv/b: does not exist") {
		t.Errorf("problems %q", problems)
	}
}

func TestFollowSynclist(t *testing.T) {
	const list = `# comment /srv/no -> /etc/no

/srv/a /srv/b* -> /etc/
/srv/dir/ -> (compute, ann-[1-3]) /opt/dir
/srv/x.post -> /srv/run/x.post
/srv/$NODE -> /etc/node
rel/file -> /etc/rel
no arrow here
/srv/[bad -> /etc/bad
/srv/two -> arrows -> /etc/two
MERGE:
/install/custom/passwd -> /etc/passwd
APPEND:
/srv/append -> /etc/append
EXECUTE:
/srv/run/x.post
/etc/b1
/etc/unknown.post
EXECUTEALWAYS:
/srv/always.sh
`
	refs, problems := follow(t, "osimage", map[string]string{"imagename": "i", "synclists": "/srv/list"}, map[string]string{"/srv/list": list})
	var got []string
	for _, r := range refs {
		got = append(got, fmt.Sprintf("%s %s", r.Path, r.Kind))
	}
	want := []string{
		"/etc/unknown.post secrets", "/install/custom/passwd secrets", "/srv/a secrets", "/srv/always.sh secrets",
		"/srv/append secrets", "/srv/b* secrets", "/srv/dir secrets", "/srv/list config", "/srv/two secrets",
		"/srv/x.post secrets",
	}
	if !slices.Equal(got, want) {
		t.Errorf("refs\n%q, want\n%q", got, want)
	}
	all := strings.Join(problems, "\n")
	for _, part := range []string{`"/srv/$NODE"`, `"rel/file"`, `"no arrow here"`, `"/srv/[bad"`, `"->"`, `"arrows"`} {
		if !strings.Contains(all, part) {
			t.Errorf("no problem names %s:\n%s", part, all)
		}
	}
	if len(problems) != 6 {
		t.Errorf("%d problems:\n%s", len(problems), all)
	}
}
