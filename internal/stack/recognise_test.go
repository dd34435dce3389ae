package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// dirView is a DirView on a real directory.
type dirView string

func (d dirView) Names() []string {
	all, err := os.ReadDir(string(d))
	if err != nil {
		return nil
	}
	var set []string
	for _, e := range all {
		set = append(set, e.Name())
	}
	return set
}

func (d dirView) ReadFile(name string, limit int64) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(string(d), name))
	if err == nil && int64(len(b)) > limit {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("more than %d bytes", limit)}
	}
	return b, err
}

func (d dirView) IsDir(name string) bool {
	st, err := os.Stat(filepath.Join(string(d), name))
	return err == nil && st.IsDir()
}

// tree makes a directory of files: "NAME" or "NAME=CONTENT", a name that ends
// in / is a directory.
func tree(t *testing.T, files ...string) dirView {
	t.Helper()
	top := t.TempDir()
	for _, f := range files {
		name, content, ok := strings.Cut(f, "=")
		if !ok {
			content = "x"
		}
		full := filepath.Join(top, name)
		dir := filepath.Dir(full)
		if strings.HasSuffix(name, "/") {
			dir = full
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if dir == full {
			continue
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dirView(top)
}

// imageTables are the rows that name media and images in these tests.
func imageTables() Tables {
	return Tables{
		"osdistro": {
			{"osdistroname": "rocky9.6-x86_64", "basename": "rocky", "majorversion": "9", "minorversion": "6", "arch": "x86_64", "dirpaths": "/data/a,/data/rocky/"},
			{"osdistroname": "own", "basename": "alma", "majorversion": "9", "minorversion": "4", "arch": "aarch64", "dirpaths": "/data/alma"},
		},
		"osimage": {
			{"imagename": "rocky9.6-x86_64-netboot-compute", "osvers": "rocky9.6", "osarch": "x86_64", "profile": "compute", "provmethod": "netboot"},
			{"imagename": "lite", "osvers": "rocky9.6", "osarch": "x86_64", "profile": "compute", "provmethod": "statelite"},
			{"imagename": "elsewhere", "osvers": "rocky9.6", "osarch": "x86_64", "profile": "x", "provmethod": "netboot"},
			{"imagename": "odd name", "provmethod": "statelite", "disable": "1"},
			{"imagename": "full", "osvers": "rhels8.10", "osarch": "ppc64le", "profile": "x", "provmethod": "install"},
		},
		"linuximage": {
			{"imagename": "elsewhere", "rootimgdir": "/data/img/"},
			{"imagename": "odd name", "rootimgdir": "/data/odd dir"},
			{"imagename": "full", "pkgdir": "/data/rhel,/data/updates"},
		},
	}
}

const rocky = "1700000000.1\nRocky Linux 9.6\nx86_64\n1\n"

func TestRecogniseMedia(t *testing.T) {
	big := "sources/install.wim=" + strings.Repeat("x", maxInfo+1)
	for _, c := range []struct {
		name, dir     string
		files         []string
		what, restore string
	}{
		{
			"rocky", "/install/rocky9.6/x86_64",
			[]string{".discinfo=" + rocky, ".treeinfo", "BaseOS/", "AppStream/"},
			"distro media rocky9.6-x86_64", "copycds -o -n rocky9.6 -p /install/rocky9.6/x86_64 ISO",
		},
		{
			"any-name", "/install/my/very/own",
			[]string{".discinfo=" + rocky, "Packages/"},
			"distro media rocky9.6", "copycds -o -n rocky9.6 -p /install/my/very/own ISO",
		},
		{
			"table-wins", "/data/rocky",
			[]string{".discinfo=1\nCentOS Linux 7\nx86_64\n", "Packages/"},
			"distro media rocky9.6-x86_64", "copycds -o -n rocky9.6 -p /data/rocky ISO",
		},
		{
			"odd-distroname", "/data/alma",
			[]string{".treeinfo", "BaseOS/"},
			"distro media alma9.4-aarch64", "copycds -o -n alma9.4 -p /data/alma ISO",
		},
		{
			"pkgdir", "/data/rhel",
			[]string{".treeinfo", "BaseOS/"},
			"distro media rhels8.10-ppc64le", "copycds -o -n rhels8.10 -p /data/rhel ISO",
		},
		{
			"treeinfo", "/install/x",
			[]string{".treeinfo=[general]\nfamily = CentOS Stream\nversion = 9\n", "BaseOS/"},
			"distro media centos-stream9", "copycds -o -n centos-stream9 -p /install/x ISO",
		},
		{
			"bare-version", "/install/x",
			[]string{".discinfo=1\n9.4\nx86_64\n", ".treeinfo=[general]\nfamily = AlmaLinux\nversion = 9.4\n", "BaseOS/"},
			"distro media alma9.4", "copycds -o -n alma9.4 -p /install/x ISO",
		},
		{
			"rhel", "/install/x",
			[]string{".discinfo=1\nRed Hat Enterprise Linux 9.4\nx86_64\n", "BaseOS/"},
			"distro media rhels9.4", "copycds -o -n rhels9.4 -p /install/x ISO",
		},
		{
			"oracle", "/install/x",
			[]string{".discinfo=1\nOracle Linux 9.4\nx86_64\n", "BaseOS/"},
			"distro media ol9.4", "copycds -o -n ol9.4 -p /install/x ISO",
		},
		{
			"fedora", "/install/x",
			[]string{".discinfo=1\nFedora 40\nx86_64\n", "Packages/"},
			"distro media fedora40", "copycds -o -n fedora40 -p /install/x ISO",
		},
		{
			"unknown-placed", "/install/pkvm3/ppc64",
			[]string{".treeinfo", "Packages/"},
			"distro media pkvm3-ppc64", "copycds -o -n pkvm3 -p /install/pkvm3/ppc64 ISO",
		},
		{
			"unknown", "/install/what is it",
			[]string{".treeinfo", "Packages/"},
			"distro media", "copycds -o -p '/install/what is it' ISO",
		},
		{
			"sles12", "/install/x",
			[]string{"1/media.1/media=SUSE\n2\n1\n", "1/media.1/products=/ SLES 12.5-0\n", "1/content", "2/media.2/media", "sdk1/media.1/media"},
			"distro media sles12.5", "copycds -o -n sles12.5 -p /install/x ISO",
		},
		{
			"sle15", "/install/x",
			[]string{"1/media.1/media=SUSE - SLE-15-SP5-Installer-x86_64-Build1\n", "1/media.1/products"},
			"distro media sle15.5", "copycds -o -n sle15.5 -p /install/x ISO",
		},
		{
			"sle15-one-disc", "/install/x",
			[]string{"media.1/media=SUSE - SLE-15-Installer-x86_64\n", "media.1/products"},
			"distro media sle15", "copycds -o -n sle15 -p /install/x ISO",
		},
		{
			"leap", "/install/x",
			[]string{"1/media.1/media=openSUSE - openSUSE-Leap-15.6-DVD-x86_64\n", "1/media.1/products"},
			"distro media leap15.6", "copycds -o -n leap15.6 -p /install/x ISO",
		},
		{
			"leap-treeinfo", "/install/x",
			[]string{".treeinfo=[general]\nfamily = openSUSE Leap\nversion = 15.6\n", "repodata/"},
			"distro media leap15.6", "copycds -o -n leap15.6 -p /install/x ISO",
		},
		{
			"ubuntu", "/install/x",
			[]string{".disk/info=Ubuntu-Server 22.04.3 LTS \"Jammy\" - Release amd64 (1)\n", "README.diskdefines", "dists/", "pool/"},
			"distro media ubuntu22.04.3", "copycds -o -n ubuntu22.04.3 ISO",
		},
		{
			"debian", "/install/x",
			[]string{".disk/info=Debian GNU/Linux 12.1.0 \"Bookworm\" - Official amd64 DVD\n", "dists/", "pool/"},
			"distro media debian12.1.0", "copycds -o -n debian12.1.0 ISO",
		},
		{
			"esxi", "/install/x",
			[]string{"upgrade/metadata.xml=<a><esxVersion>7.0.0</esxVersion></a>", "boot.cfg"},
			"distro media esxi7", "copycds -o -n esxi7 -p /install/x ISO",
		},
		{
			"esxi-old", "/install/esxi4.1/x86_64",
			[]string{"vmkernel.gz", "isolinux.cfg"},
			"distro media esxi4.1-x86_64", "copycds -o -n esxi4.1 -p /install/esxi4.1/x86_64 ISO",
		},
		{
			"windows", "/install/win2022/x86_64",
			[]string{big, "sources/idwbinfo.txt"},
			"distro media win2022-x86_64", "copycds -o -n win2022 -p /install/win2022/x86_64 ISO",
		},
		{
			"fingerprint", "/install/x",
			[]string{".fingerprint=abc", "stuff/a"},
			"distro media", "copycds -o -p /install/x ISO",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := bind(t, XCAT(), imageTables()).Recognise(c.dir, tree(t, c.files...))
			if !ok || got.What != c.what || got.Restore != c.restore || len(got.Items) != 0 || got.Reason == "" {
				t.Errorf("%v, %+v, want %q and %q", ok, got, c.what, c.restore)
			}
		})
	}
}

func TestRecogniseImages(t *testing.T) {
	const compute = "/install/netboot/rocky9.6/x86_64/compute"
	const netboot = "genimage rocky9.6-x86_64-netboot-compute && packimage rocky9.6-x86_64-netboot-compute"
	for _, c := range []struct {
		name, dir             string
		files                 []string
		what, restore, leaves string
	}{
		{
			"packed", "/data/img",
			[]string{"rootimg/etc/passwd", "rootimg.cpio.gz", "kernel", "initrd-stateless.gz", "initrd-statelite.gz", "rootimg.metainfo", "notes.txt"},
			"diskless image elsewhere", "genimage elsewhere && packimage elsewhere", "initrd-stateless.gz initrd-statelite.gz kernel rootimg rootimg.cpio.gz",
		},
		{
			"default-place", compute,
			[]string{"rootimg.tar.xz", "kernel", "initrd-stateless.gz"},
			"diskless image rocky9.6-x86_64-netboot-compute", netboot, "initrd-stateless.gz kernel rootimg.tar.xz",
		},
		{
			"statelite-built", compute,
			[]string{"rootimg/etc/passwd", "rootimg-statelite.gz", "kernel", "initrd-statelite.gz"},
			"diskless image lite", "genimage lite && liteimg lite", "initrd-statelite.gz kernel rootimg rootimg-statelite.gz",
		},
		{
			"both-built", compute,
			[]string{"rootimg.sfs", "rootimg-statelite.gz"},
			"diskless image lite, rocky9.6-x86_64-netboot-compute", "genimage lite && liteimg lite && " + netboot, "rootimg-statelite.gz rootimg.sfs",
		},
		{
			"neither-packed", compute,
			[]string{"rootimg/etc/passwd"},
			"diskless image lite, rocky9.6-x86_64-netboot-compute", "genimage lite && liteimg lite && " + netboot, "rootimg",
		},
		{
			"only-kernel-where-a-row-says", "/data/img",
			[]string{"kernel", "initrd.gz", "readme"},
			"diskless image elsewhere", "genimage elsewhere && packimage elsewhere", "initrd.gz kernel",
		},
		{
			"odd-name", "/data/odd dir",
			[]string{"rootimg.gz", ".statelite/litefile.save"},
			"diskless image odd name", "genimage 'odd name' && liteimg 'odd name'", "rootimg.gz",
		},
		{
			"no-row", "/install/netboot/a/b/c",
			[]string{"rootimg.tar.gz", "a.metainfo"},
			"diskless image", "genimage IMAGE && packimage IMAGE", "rootimg.tar.gz",
		},
		{
			"genesis", "/tftpboot/xcat",
			[]string{"genesis.kernel.x86_64", "genesis.fs.x86_64.gz", "genesis.fs.x86_64.lzma", "genesis.kernel.ppc64", "xnba.kpxe"},
			"discovery image ppc64, x86_64", "mknb ppc64 && mknb x86_64", "genesis.fs.x86_64.gz genesis.fs.x86_64.lzma genesis.kernel.ppc64 genesis.kernel.x86_64",
		},
		{
			"genesis-old", "/tftpboot/xcat",
			[]string{"nbk.x86_64", "nbfs.x86_64.gz"},
			"discovery image x86_64", "mknb x86_64", "nbfs.x86_64.gz nbk.x86_64",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := bind(t, XCAT(), imageTables()).Recognise(c.dir, tree(t, c.files...))
			if leaves := strings.Join(got.Items, " "); !ok || got.What != c.what || got.Restore != c.restore || leaves != c.leaves || got.Reason == "" {
				t.Errorf("%v, %+v\nwant %q\n%q\n%q", ok, got, c.what, c.restore, c.leaves)
			}
		})
	}
}

func TestRecogniseLeavesOthersAlone(t *testing.T) {
	b := bind(t, XCAT(), imageTables())
	for name, files := range map[string][]string{
		"empty":          nil,
		"own-repository": {"repodata/repomd.xml", "a.rpm"},
		"memtest":        {"vmlinuz", "initrd.img", "kernel"},
		"kernels":        {"kernel", "initrd.gz"},
		"lone-treeinfo":  {".treeinfo", "notes"},
		"lone-info":      {".disk/info"},
		"media-dir":      {"1/readme", "media.1/readme"},
		"custom":         {"compute.tmpl", "compute.pkglist"},
		"install-top":    {"custom/", "postscripts/", "netboot/", "rocky9.6/x86_64/.treeinfo"},
		"sources":        {"sources/install.wim"},
		"deb-repository": {"dists/", "pool/"},
		"esx-upgrade":    {"upgrade=file"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := b.Recognise("/install/x/y", tree(t, files...)); ok {
				t.Errorf("recognised as %+v", got)
			}
		})
	}
	// A row that names a directory does not make everything in it an image.
	if got, ok := b.Recognise("/data/img", tree(t, "notes.txt")); ok {
		t.Errorf("recognised as %+v", got)
	}
}

func TestRecogniseReadsNoLargeFile(t *testing.T) {
	v := &countingView{DirView: tree(t, "sources/install.wim", "sources/idwbinfo.txt", ".discinfo="+rocky, "BaseOS/")}
	if _, ok := bind(t, XCAT(), nil).Recognise("/install/x", v); !ok {
		t.Fatal("not recognised")
	}
	if v.most > maxInfo {
		t.Errorf("read up to %d bytes", v.most)
	}
}

type countingView struct {
	DirView
	most int64
}

func (v *countingView) ReadFile(name string, limit int64) ([]byte, error) {
	v.most = max(v.most, limit)
	return v.DirView.ReadFile(name, limit)
}

func TestExistsAnswersByError(t *testing.T) {
	v := tree(t, "file", "dir/")
	for name, want := range map[string]bool{"file": true, "dir": true, "none": false, "file/below": false} {
		if got := exists(name, v); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if _, err := v.ReadFile("file/below", 0); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("file/below: %v, expected the kernel's ENOTDIR", err)
	}
}
