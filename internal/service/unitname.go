package service

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// unitTypes are the kinds of units (systemd.unit(5)).
func unitTypes() []string {
	return []string{
		".service", ".socket", ".target", ".timer", ".path", ".mount", ".automount", ".swap", ".slice", ".scope", ".device",
	}
}

// unitChars are those a name may have.
const unitChars = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:-_.\\@"

// isUnit reports whether name can be one of a unit.
func isUnit(name string) bool {
	suffix := path.Ext(name)
	return slices.Contains(unitTypes(), suffix) && len(name) > len(suffix) && len(name) <= 255 && strings.Trim(name, unitChars) == ""
}

// templateOf returns the template name belongs to, itself if it is one, "" if it is
// no instance of any: "a@.service" of "a@b.service".
func templateOf(name string) string {
	prefix, _, ok := strings.Cut(name, "@")
	if !ok {
		return ""
	}
	return prefix + "@" + path.Ext(name)
}

// instanceOf returns what stands behind the @ in name, "b" of "a@b.service".
func instanceOf(name string) string {
	_, rest, _ := strings.Cut(name, "@")
	return strings.TrimSuffix(rest, path.Ext(name))
}

// isTemplate reports whether name stands for instances only.
func isTemplate(name string) bool { return templateOf(name) == name }

// withInstance makes an instance of template.
func withInstance(template, instance string) string {
	prefix, _, _ := strings.Cut(template, "@")
	return prefix + "@" + instance + path.Ext(template)
}

// expand puts in place of the specifiers in s what they say of unit
// (systemd.unit(5), "Specifiers"). Those of the machine are refused: no unit that
// is known to us is enabled under one.
func expand(s, unit string) (string, error) {
	suffix := path.Ext(unit)
	prefix, _, _ := strings.Cut(strings.TrimSuffix(unit, suffix), "@")
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+1 == len(s) {
			out.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			out.WriteString(unit)
		case 'N':
			out.WriteString(strings.TrimSuffix(unit, suffix))
		case 'p':
			out.WriteString(prefix)
		case 'j':
			out.WriteString(prefix[strings.LastIndexByte(prefix, '-')+1:])
		case 'i':
			out.WriteString(instanceOf(unit))
		case '%':
			out.WriteByte('%')
		default:
			return "", fmt.Errorf("unit %s: specifier %%%c in the section Install is not known", unit, s[i])
		}
	}
	return out.String(), nil
}
