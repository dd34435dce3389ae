package hosttest

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/google/rpmpack"
	"golang.org/x/sys/unix"
)

const (
	xcatVersion = "2.17.0"
	xcatRelease = "snap202411131023"
	coreDir     = "install/post/otherpkgs/rocky9.6/x86_64/xcat/xcat-core/"
	depDir      = "install/post/otherpkgs/rocky9.6/x86_64/xcat/xcat-dep/rh9/x86_64/"
)

// rpmSpec says what one package of the sample is like. Files are taken from the
// tree, so that an installed package and the tree agree.
type rpmSpec struct {
	name, version, release, arch string
	epoch                        uint32 // rpmpack.NoEpoch where it has none
	requires, conflicts          []string
	files                        []string
	postin                       string
}

// core returns a package of xCAT itself: all share version and release.
func core(name, arch string, epoch uint32, files ...string) rpmSpec {
	return rpmSpec{name: name, version: xcatVersion, release: xcatRelease, arch: arch, epoch: epoch, files: files}
}

// dep returns a package of xcat-dep. None has an epoch.
func dep(name, version, release, arch string, files ...string) rpmSpec {
	return rpmSpec{name: name, version: version, release: release, arch: arch, epoch: rpmpack.NoEpoch, files: files}
}

func (p rpmSpec) need(requires ...string) rpmSpec {
	p.requires = append(p.requires, requires...)
	return p
}

// exactly returns a requirement on another of xCAT's packages at its own
// version, as xCAT.spec has them; epoch is "" or ends in a colon.
func exactly(name, epoch string) string {
	return name + "=" + epoch + xcatVersion + "-" + xcatRelease
}

// corePackages are the rpms of xcat-core. What they require of each other is as
// in xCAT's spec files; what they require of the distro is left out, so that
// they install in a bare root.
func corePackages() []rpmSpec {
	client := core("xCAT-client", "noarch", 4, "opt/xcat/bin/lsdef", "opt/xcat/sbin/tabdump").need(exactly("perl-xCAT", "4:"))
	client.postin = "mkdir -p /etc/profile.d\ncat >/etc/profile.d/xcat.sh <<'EOF'\nXCATROOT=/opt/xcat\n" +
		"PATH=$XCATROOT/bin:$XCATROOT/sbin:$XCATROOT/share/xcat/tools:$PATH\nMANPATH=$XCATROOT/share/man:$MANPATH\n" +
		"export XCATROOT PATH MANPATH\nexport PERL_BADLANG=0\nEOF\nchmod 755 /etc/profile.d/xcat.sh\n"
	sn := core("xCATsn", "x86_64", 4).need(exactly("xCAT-client", "4:"), exactly("xCAT-server", "4:"), exactly("xCAT-probe", "4:"),
		exactly("xCAT-genesis-scripts-x86_64", "1:"), "goconserver>=0.3.3")
	sn.conflicts = []string{"xCAT"}
	return []rpmSpec{
		core("xCAT", "x86_64", rpmpack.NoEpoch, "etc/xCATMN", "etc/httpd/conf.d/xcat.conf", "install/postscripts/syslog", "install/postscripts/otherpkgs",
			"install/postscripts/confignetwork", "install/prescripts/example_prescript", "etc/logrotate.d/xcat").need(
			exactly("xCAT-client", "4:"), exactly("xCAT-server", "4:"), exactly("xCAT-probe", "4:"), exactly("xCAT-buildkit", "4:"),
			exactly("xCAT-genesis-scripts-x86_64", "1:"), "perl-IO-Stty>=0.04-5", "goconserver>=0.3.3-snap202011021058",
			"xnba-undi>=1.21.1-1", "syslinux-xcat>=6.03-1", "ipmitool-xcat>=1.8.18-4"),
		core("perl-xCAT", "noarch", 4, "opt/xcat/lib/perl/xCAT/Version.pm", "opt/xcat/lib/perl/xCAT/Table.pm"),
		client,
		core("xCAT-server", "noarch", 4, "opt/xcat/sbin/xcatd", "usr/sbin/xcatd", "usr/lib/systemd/system/xcatd.service",
			"opt/xcat/share/xcat/install/rocky/compute.rocky9.tmpl", "opt/xcat/share/xcat/install/rocky/compute.rocky9.pkglist",
			"opt/xcat/share/xcat/netboot/rocky/compute.rocky9.x86_64.exlist", "opt/xcat/share/xcat/netboot/rocky/compute.rocky9.x86_64.postinstall",
			"opt/xcat/share/xcat/mypostscript/mypostscript.tmpl").need(exactly("perl-xCAT", "4:"), exactly("xCAT-client", "4:"),
			"grub2-xcat>=2.02-0.76.el7.1.snap201905160255", "perl-Net-HTTPS-NB>=0.14-3", "perl-HTTP-Async>=0.30-3"),
		core("xCAT-probe", "noarch", 4, "opt/xcat/bin/xcatprobe").need(exactly("xCAT-client", "4:")),
		core("xCAT-buildkit", "noarch", 4, "opt/xcat/bin/buildkit"),
		sn,
		core("xCAT-genesis-scripts-x86_64", "noarch", 1, "opt/xcat/share/xcat/netboot/genesis/x86_64/fs/usr/bin/doxcat").need("xCAT-genesis-base-x86_64>=2:2.14.5"),
	}
}

// depPackages are the rpms of xcat-dep for EL 9.
func depPackages() []rpmSpec {
	base := dep("xCAT-genesis-base-x86_64", "2.16.5", "snap202210140439", "noarch", "opt/xcat/share/xcat/netboot/genesis/x86_64/fs/etc/hostname",
		"opt/xcat/share/xcat/netboot/genesis/x86_64/kernel")
	base.epoch = 2
	return []rpmSpec{
		base,
		dep("goconserver", "0.3.3", "snap202011021058", "x86_64", "usr/bin/goconserver", "usr/lib/systemd/system/goconserver.service"),
		dep("ipmitool-xcat", "1.8.18", "4", "x86_64", "opt/xcat/bin/ipmitool-xcat"),
		dep("xnba-undi", "1.21.1", "1", "noarch", "tftpboot/xcat/xnba.kpxe", "tftpboot/xcat/xnba.efi"),
		dep("syslinux-xcat", "6.03", "1", "noarch", "opt/xcat/share/xcat/netboot/syslinux/pxelinux.0"),
		dep("grub2-xcat", "2.02", "0.76.el7.1.snap201905160255", "noarch", "tftpboot/boot/grub2/grub2.ppc"),
		dep("elilo-xcat", "3.14", "4", "noarch", "tftpboot/xcat/elilo-x64.efi"),
		dep("perl-HTTP-Async", "0.30", "3", "noarch", "usr/share/perl5/vendor_perl/HTTP/Async.pm").need("perl-Net-HTTPS-NB"),
		dep("perl-Net-HTTPS-NB", "0.14", "3", "noarch", "usr/share/perl5/vendor_perl/Net/HTTPS/NB.pm"),
		dep("perl-IO-Stty", "0.04", "5", "noarch", "usr/share/perl5/vendor_perl/IO/Stty.pm"),
	}
}

// packageFiles returns the paths some package owns.
func packageFiles() map[string]bool {
	owned := map[string]bool{}
	for _, p := range append(corePackages(), depPackages()...) {
		for _, f := range p.files {
			owned[f] = true
		}
	}
	return owned
}

// packages writes the rpms below /install/post/otherpkgs, where administrators
// unpack xcat-core and xcat-dep for service nodes.
func (s *sample) packages() {
	for dir, set := range map[string][]rpmSpec{coreDir: corePackages(), depDir: depPackages()} {
		for _, p := range set {
			if s.err != nil {
				return
			}
			file := dir + p.name + "-" + p.version + "-" + p.release + "." + p.arch + ".rpm"
			var b bytes.Buffer
			s.fail(file, s.rpm(p, &b))
			s.file(file, 0o644, "root:root", b.Bytes())
		}
	}
}

// rpm writes package p to w.
func (s *sample) rpm(p rpmSpec, w *bytes.Buffer) error {
	r, err := p.pack()
	if err != nil {
		return err
	}
	if p.postin != "" {
		r.AddPostin(p.postin)
	}
	for _, f := range p.files {
		if err := s.rpmFile(r, f); err != nil {
			return err
		}
	}
	return r.Write(w)
}

// pack begins package p: what it is called and its relations.
func (p rpmSpec) pack() (*rpmpack.RPM, error) {
	m := rpmpack.RPMMetaData{
		Name: p.name, Summary: "Sample of " + p.name, Description: "A stand-in for " + p.name + ", for tests.",
		Version: p.version, Release: p.release, Arch: p.arch, Epoch: p.epoch, Vendor: "xCAT project (sample)",
		Licence: "EPL", BuildHost: "build.example", BuildTime: buildTime(), Compressor: "gzip",
	}
	r, err := rpmpack.NewRPM(m)
	if err != nil {
		return nil, err
	}
	evr := p.version + "-" + p.release
	if p.epoch != rpmpack.NoEpoch {
		evr = fmt.Sprintf("%d:%s", p.epoch, evr)
	}
	r.Provides = nil // what NewRPM put there lacks the epoch
	for _, rel := range []struct {
		to   *rpmpack.Relations
		list []string
	}{{&r.Provides, []string{p.name + "=" + evr}}, {&r.Requires, append([]string{"/bin/sh"}, p.requires...)}, {&r.Conflicts, p.conflicts}} {
		for _, v := range rel.list {
			if err := rel.to.Set(v); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// rpmFile adds file p of the tree to r.
func (s *sample) rpmFile(r *rpmpack.RPM, p string) error {
	st, err := os.Lstat(s.path(p))
	if err != nil {
		return err
	}
	f := rpmpack.RPMFile{Name: "/" + p, Mode: uint(st.Mode().Perm()), Owner: "root", Group: "root", MTime: uint32(st.ModTime().Unix())}
	if st.Mode()&os.ModeSymlink != 0 {
		target, err := os.Readlink(s.path(p))
		f.Mode, f.Body = unix.S_IFLNK|0o777, []byte(target)
		if err != nil {
			return err
		}
	} else if f.Body, err = os.ReadFile(s.path(p)); err != nil {
		return err
	}
	if strings.HasPrefix(p, "etc/") && p != "etc/xCATMN" {
		f.Type = rpmpack.ConfigFile
	}
	r.AddFile(f)
	return nil
}
