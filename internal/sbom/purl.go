package sbom

import (
	"fmt"
	"strings"
)

// packageURL is a package URL (https://github.com/package-url/purl-spec): kind is
// "rpm", "deb" or "golang", the segments are namespace and name, of which the last is
// the name. Qualifiers are given in the order of their keys and left out where they
// are empty.
func packageURL(kind string, segments []string, version string, qualifiers ...[2]string) externalRef {
	var b strings.Builder
	b.WriteString("pkg:" + kind)
	for _, s := range segments {
		b.WriteString("/" + percent(s))
	}
	if version != "" {
		b.WriteString("@" + percent(version))
	}
	between := "?"
	for _, q := range qualifiers {
		if q[1] != "" {
			b.WriteString(between + q[0] + "=" + percent(q[1]))
			between = "&"
		}
	}
	return externalRef{Category: "PACKAGE-MANAGER", Type: "purl", Locator: b.String()}
}

// percent encodes all bytes but those that the specification of package URLs leaves
// as they are, the colon among them: url.PathEscape leaves "+" as well, which a
// reader may take for a blank.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(".-_~:", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
