package stack

import (
	"regexp"
	"strings"
)

// maxInfo is how much is read of the small files that describe a medium.
const maxInfo = 1 << 20

// osvers returns the name copycds gives to the medium v shows ("rocky9.6"), ""
// where its files do not say. The rules are those of the plugins anaconda,
// sles, debian and esx of xCAT-server.
func osvers(family Family, v DirView) string {
	switch family {
	case FamilyAnaconda:
		return osversAnaconda(v)
	case FamilySUSE:
		return osversSUSE(v)
	case FamilyDebian:
		return osversDebian(v)
	case FamilyESXi:
		if m := regexp.MustCompile(`esxVersion>([0-9.]+)<`).FindSubmatch(read("upgrade/metadata.xml", v)); m != nil {
			version := string(m[1])
			for strings.HasSuffix(version, ".0") {
				version = strings.TrimSuffix(version, ".0")
			}
			return "esxi" + version
		}
	case FamilyOther, FamilyImage, FamilyGenesis: // have no file that says
	}
	return ""
}

func read(name string, v DirView) []byte {
	b, err := v.ReadFile(name, maxInfo)
	if err != nil {
		return nil // a medium that cannot be read is one that does not say
	}
	return b
}

// osversAnaconda reads the second line of .discinfo, which is a name with a
// version or a version alone; the name is then the family in .treeinfo.
func osversAnaconda(v DirView) string {
	var text string
	if lines := strings.Split(string(read(".discinfo", v)), "\n"); len(lines) > 1 {
		text = strings.TrimSpace(lines[1])
	}
	if strings.Trim(text, "0123456789.") == "" {
		info := string(read(".treeinfo", v))
		version := text
		if version == "" {
			version = treeinfo(info, "version")
		}
		text = treeinfo(info, "family") + " " + version
	}
	version := regexp.MustCompile(`\d+(?:\.\d+)*`).FindString(text)
	if version == "" {
		return ""
	}
	for _, d := range []struct{ title, name string }{
		{"CentOS Stream", "centos-stream"},
		{"CentOS", "centos"},
		{"Rocky", "rocky"},
		{"AlmaLinux", "alma"},
		{"Red Hat Enterprise Linux", "rhels"},
		{"Oracle Linux", "ol"},
		{"Fedora", "fedora"},
		{"IBM_PowerKVM", "pkvm"},
		{"openSUSE Leap", "leap"},
	} {
		if strings.Contains(text, d.title) {
			return d.name + version
		}
	}
	return ""
}

// treeinfo returns the first value of key in .treeinfo, an INI file.
func treeinfo(info, key string) string {
	for line := range strings.Lines(info) {
		if k, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// osversSUSE reads media.1 of the first disc.
func osversSUSE(v DirView) string {
	for _, disc := range []string{"", "1/", "2/", "sdk1/"} {
		media, products := string(read(disc+"media.1/media", v)), string(read(disc+"media.1/products", v))
		if m := regexp.MustCompile(`SLE-15(?:-SP(\d))?`).FindStringSubmatch(media); m != nil {
			return strings.TrimSuffix("sle15."+m[1], ".")
		}
		if m := regexp.MustCompile(`openSUSE-Leap[- ](\d+\.\d+)`).FindStringSubmatch(media + products); m != nil {
			return "leap" + m[1]
		}
		if m := regexp.MustCompile(`(?:SLES|SUSE-Linux-Enterprise)\S* (\d+(?:\.\d+)*)-`).FindStringSubmatch(products); m != nil {
			return "sles" + m[1]
		}
	}
	return ""
}

// osversDebian reads .disk/info: `Ubuntu-Server 22.04.3 LTS "..." - ...` or
// `Debian GNU/Linux 12.1.0 "Bookworm" - ...`.
func osversDebian(v DirView) string {
	words := strings.Fields(string(read(".disk/info", v)))
	switch {
	case len(words) > 2 && words[0] == "Debian":
		return "debian" + words[2]
	case len(words) > 1 && (words[0] == "Ubuntu" || words[0] == "Ubuntu-Server"):
		return "ubuntu" + words[1]
	}
	return ""
}
