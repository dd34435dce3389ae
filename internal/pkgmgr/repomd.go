package pkgmgr

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

const (
	maxRepomd   = 16 << 20
	maxList     = 16 << 20 // a mirror list or metalink
	maxRepoFile = 1 << 20
)

// remoteFile is a file of a repository as its metadata has it.
type remoteFile struct {
	location string // below the repository
	size     int64  // 0 where it is not said
	digest   remoteDigest
}

// parseRepomd returns the primary list of a repository.
func parseRepomd(b []byte) (remoteFile, error) {
	var md struct {
		XMLName xml.Name `xml:"repomd"`
		Data    []struct {
			Type     string `xml:"type,attr"`
			Checksum struct {
				Type  string `xml:"type,attr"`
				Value string `xml:",chardata"`
			} `xml:"checksum"`
			Location struct {
				Href string `xml:"href,attr"`
			} `xml:"location"`
			Size int64 `xml:"size"`
		} `xml:"data"`
	}
	if err := xml.Unmarshal(b, &md); err != nil {
		return remoteFile{}, fmt.Errorf("repository metadata: %w", err)
	}
	for _, d := range md.Data {
		if d.Type != "primary" {
			continue
		}
		loc, err := checkLocation(d.Location.Href)
		if err != nil {
			return remoteFile{}, fmt.Errorf("primary list: %w", err)
		}
		sum, err := newRemoteDigest(d.Checksum.Type, d.Checksum.Value)
		if err != nil {
			return remoteFile{}, fmt.Errorf("primary list: %w", err)
		}
		return remoteFile{loc, max(d.Size, 0), sum}, nil
	}
	return remoteFile{}, errors.New("repository metadata: no primary list")
}

// mirrorList is where a repository lies, and what its repomd.xml is: one of
// digests, unless there are none.
type mirrorList struct {
	mirrors []*url.URL
	digests []remoteDigest
}

// parseMirrors reads a mirror list, one URL a line, or a metalink. URLs of
// other protocols than HTTP are passed over, as by dnf.
func parseMirrors(b []byte, expand func(string) (string, error)) (mirrorList, error) {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("<")) {
		return parseMetalink(b)
	}
	var l mirrorList
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "ftp://") || strings.HasPrefix(line, "rsync://") {
			continue
		}
		line, err := expand(line)
		if err != nil {
			return mirrorList{}, err
		}
		u, err := parseMirror(line)
		if err != nil {
			return mirrorList{}, fmt.Errorf("mirror list: %w", err)
		}
		l.mirrors = append(l.mirrors, u)
	}
	if len(l.mirrors) == 0 {
		return mirrorList{}, errors.New("mirror list: no mirror in it")
	}
	return l, nil
}

// parseMirror is parseURL for what a server says: it names no file of ours.
func parseMirror(s string) (*url.URL, error) {
	u, err := parseURL(s)
	if err == nil && u.Scheme == "file" {
		return nil, fmt.Errorf("URL %s: a mirror that is no server", shown(u))
	}
	return u, err
}

// metalinkDigest is one <hash> of a metalink.
type metalinkDigest struct {
	Type  string `xml:"type,attr"`
	Value string `xml:",chardata"`
}

// parseMetalink reads a metalink of version 3, as mirror managers write it. It
// may have digests of repomd.xml that mirrors had a while ago.
func parseMetalink(b []byte) (mirrorList, error) {
	var m struct {
		XMLName xml.Name `xml:"metalink"`
		Files   []struct {
			Name       string           `xml:"name,attr"`
			Digests    []metalinkDigest `xml:"verification>hash"`
			Alternates []struct {
				Digests []metalinkDigest `xml:"verification>hash"`
			} `xml:"alternates>alternate"`
			URLs []struct {
				Preference int    `xml:"preference,attr"`
				Value      string `xml:",chardata"`
			} `xml:"resources>url"`
		} `xml:"files>file"`
	}
	if err := xml.Unmarshal(b, &m); err != nil {
		return mirrorList{}, fmt.Errorf("metalink: %w", err)
	}
	for _, f := range m.Files {
		if f.Name != "repomd.xml" {
			continue
		}
		sets := [][]metalinkDigest{f.Digests}
		for _, a := range f.Alternates {
			sets = append(sets, a.Digests)
		}
		var l mirrorList
		for _, set := range sets {
			if d, ok := strongest(set); ok {
				l.digests = append(l.digests, d)
			}
		}
		if len(l.digests) == 0 && len(f.Digests) > 0 {
			return mirrorList{}, fmt.Errorf("metalink: no digest of repomd.xml by one of %s", strings.Join(remoteAlgorithms(), ", "))
		}
		slices.SortStableFunc(f.URLs, func(a, b struct {
			Preference int    `xml:"preference,attr"`
			Value      string `xml:",chardata"`
		},
		) int {
			return cmp.Compare(b.Preference, a.Preference)
		})
		for _, v := range f.URLs {
			base, isRepomd := strings.CutSuffix(strings.TrimSpace(v.Value), "repodata/repomd.xml")
			if !isRepomd || !strings.HasPrefix(base, "http") {
				continue
			}
			u, err := parseMirror(base)
			if err != nil {
				return mirrorList{}, fmt.Errorf("metalink: %w", err)
			}
			l.mirrors = append(l.mirrors, u)
		}
		if len(l.mirrors) == 0 {
			return mirrorList{}, errors.New("metalink: no mirror in it that speaks HTTP")
		}
		return l, nil
	}
	return mirrorList{}, errors.New("metalink: no repomd.xml in it")
}

// strongest returns the digest of the best algorithm we know.
func strongest(set []metalinkDigest) (best remoteDigest, ok bool) {
	rank := func(d remoteDigest) int { return slices.Index(remoteAlgorithms(), d.algorithm) }
	for _, s := range set {
		if d, err := newRemoteDigest(s.Type, s.Value); err == nil && (!ok || rank(d) > rank(best)) {
			best, ok = d, true
		}
	}
	return best, ok
}

// checkRepomd compares repomd.xml with what the metalink says of it.
func (l mirrorList) checkRepomd(b []byte) error {
	for _, d := range l.digests {
		h := d.hash()
		_, _ = h.Write(b)
		if hex.EncodeToString(h.Sum(nil)) == d.hex {
			return nil
		}
	}
	if len(l.digests) > 0 {
		return errors.New("its digest is none the metalink has: a stale mirror")
	}
	return nil
}
