package hosttest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	imageDir = "install/netboot/rocky9.6/x86_64/compute/"
	mediaDir = "install/rocky9.6/x86_64/"
)

// images makes the binary half of the diskless image: genimage's root with its
// device nodes, and what packimage makes of it.
func (s *sample) images() {
	root := imageDir + "rootimg/"
	for _, d := range []struct {
		name         string
		kind         uint32
		major, minor uint32
	}{{"null", unix.S_IFCHR, 1, 3}, {"console", unix.S_IFCHR, 5, 1}, {"zero", unix.S_IFCHR, 1, 5}, {"ram0", unix.S_IFBLK, 1, 0}} {
		s.dir(root+"dev/", 0o755, "root:root")
		s.node(root+"dev/"+d.name, d.kind, 0o660, d.major, d.minor)
	}
	s.file(root+"usr/bin/ping", 0o755, "root:root", elfHeader())
	s.xattr(root+"usr/bin/ping", "security.capability", netRaw)
	s.file(root+"usr/bin/su", 0o4755, "root:root", elfHeader())
	s.file(root+"usr/lib/libbig.so.1", 0o755, "root:root", s.noise("libbig", 256<<10))
	s.hardlink(root+"usr/lib/libbig.so", root+"usr/lib/libbig.so.1")

	s.file(imageDir+"kernel", 0o644, "root:root", s.noise("image kernel", 300<<10))
	s.file(imageDir+"initrd-stateless.gz", 0o644, "root:root", s.gzip("initrd-stateless", 400<<10))
	s.file(imageDir+"initrd-statelite.gz", 0o644, "root:root", s.gzip("initrd-statelite", 100<<10))
	s.file(imageDir+"rootimg.cpio.gz", 0o644, "root:root", s.gzip("rootimg.cpio", 1<<20))
}

// netRaw is the value of security.capability for cap_net_raw+ep: struct
// vfs_cap_data, revision 2 with the effective flag (linux/capability.h).
const netRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// media makes the tree copycds leaves of a distro's disc: packages by name, of
// random content.
func (s *sample) media() {
	for i := range 24 {
		repo := "BaseOS"
		if i%2 == 1 {
			repo = "AppStream"
		}
		p := fmt.Sprintf("%s%s/Packages/p/pkg%02d-1.0-%d.el9.x86_64.rpm", mediaDir, repo, i, i)
		s.file(p, 0o644, "root:root", s.noise(p, 96<<10))
	}
	s.file(mediaDir+"images/pxeboot/vmlinuz", 0o644, "root:root", s.noise("media vmlinuz", 200<<10))
	s.file(mediaDir+"images/pxeboot/initrd.img", 0o644, "root:root", s.noise("media initrd", 300<<10))
}

// bootFiles makes the loaders, the discovery image and the images' kernels
// below /tftpboot, and named's journal.
func (s *sample) bootFiles() {
	for p, size := range map[string]int{
		"tftpboot/xcat/genesis.kernel.x86_64": 200 << 10, "tftpboot/xcat/xnba.kpxe": 40 << 10, "tftpboot/xcat/xnba.efi": 60 << 10,
		"tftpboot/xcat/elilo-x64.efi": 30 << 10, "tftpboot/boot/grub2/grub2.ppc": 50 << 10, "tftpboot/pxelinux.0": 30 << 10,
		"opt/xcat/share/xcat/netboot/syslinux/pxelinux.0":                           30 << 10,
		"opt/xcat/share/xcat/netboot/genesis/x86_64/kernel":                         200 << 10,
		"tftpboot/xcat/osimage/rocky9.6-x86_64-install-compute/vmlinuz":             200 << 10,
		"tftpboot/xcat/osimage/rocky9.6-x86_64-install-compute/initrd.img":          300 << 10,
		"tftpboot/xcat/osimage/rocky9.6-x86_64-netboot-compute/kernel":              300 << 10,
		"tftpboot/xcat/osimage/rocky9.6-x86_64-netboot-compute/initrd-stateless.gz": 400 << 10,
	} {
		s.file(p, 0o644, "root:root", s.noise(p, size))
	}
	s.file("tftpboot/xcat/genesis.fs.x86_64.gz", 0o644, "root:root", s.gzip("genesis.fs", 500<<10))
	s.file("var/named/db.cluster.lab.jnl", 0o644, "named:named", append([]byte(";BIND LOG V9\n"), s.noise("jnl", 2000)...))
}

// gzip returns size bytes, half of them random, compressed.
func (s *sample) gzip(purpose string, size int) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(s.mixed(purpose, size))
	s.fail(purpose, err)
	s.fail(purpose, z.Close())
	return b.Bytes()
}

// mixed returns size bytes: noise, then text.
func (s *sample) mixed(purpose string, size int) []byte {
	b := s.noise(purpose, size/2)
	line := "# " + purpose + ": a line of text that says the same again and again\n"
	return append(b, strings.Repeat(line, 1+size/len(line))[:size-size/2]...)
}
