package artifact_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
)

// pieces are the records of a file in three pieces, and of one after it.
func pieces() []artifact.Entry {
	var all []artifact.Entry
	for i := range 3 {
		size := int64(100)
		if i == 2 {
			size = 7
		}
		all = append(all, artifact.Entry{
			Kind: artifact.KindInstall, Part: i + 1, Path: "install/big", Type: artifact.TypeFile, Mode: 0o644, Size: size,
			User: "root", Group: "root", Xattrs: map[string]string{"user.a": "b"},
			Piece: artifact.Piece{Number: i + 1, Count: 3, Offset: int64(i) * 100, Total: 207, Stored: "install/" + artifact.PieceName("big", i+1, 0)},
		})
	}
	return append(all, artifact.Entry{Kind: artifact.KindInstall, Part: 3, Path: "install/small", Type: artifact.TypeFile, Mode: 0o644})
}

func readAll(all []artifact.Entry) error {
	var b bytes.Buffer
	w, err := artifact.NewCatalogWriter(&b)
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := w.Write(e); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	r, err := artifact.NewCatalogReader(&b)
	if err != nil {
		return err
	}
	defer r.Close()
	for i := 0; ; i++ {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(e, all[i]) {
			return fmt.Errorf("wrote %+v, read %+v", all[i], e)
		}
	}
}

// TestPieces writes records of pieces, right and wrong in every field.
func TestPieces(t *testing.T) {
	if err := readAll(pieces()); err != nil {
		t.Fatal(err)
	}
	wrong := map[string]func(all []artifact.Entry) []artifact.Entry{
		"first missing":       func(all []artifact.Entry) []artifact.Entry { return all[1:] },
		"middle missing":      func(all []artifact.Entry) []artifact.Entry { return append(all[:1], all[2:]...) },
		"last missing":        func(all []artifact.Entry) []artifact.Entry { return append(all[:2], all[3]) },
		"last missing at end": func(all []artifact.Entry) []artifact.Entry { return all[:2] },
		"twice":               func(all []artifact.Entry) []artifact.Entry { return append(all[:1], all...) },
		"same part":           func(all []artifact.Entry) []artifact.Entry { all[1].Part = 1; return all },
		"gap":                 func(all []artifact.Entry) []artifact.Entry { all[1].Piece.Offset++; return all },
		"count":               func(all []artifact.Entry) []artifact.Entry { all[1].Piece.Count = 4; return all },
		"total":               func(all []artifact.Entry) []artifact.Entry { all[1].Piece.Total++; return all },
		"other mode":          func(all []artifact.Entry) []artifact.Entry { all[2].Mode = 0o4755; return all },
		"other owner":         func(all []artifact.Entry) []artifact.Entry { all[2].UID = 7; return all },
		"other xattr":         func(all []artifact.Entry) []artifact.Entry { all[2].Xattrs = nil; return all },
		"other directory":     func(all []artifact.Entry) []artifact.Entry { all[1].Piece.Stored = "etc/shadow"; return all },
		"outside":             func(all []artifact.Entry) []artifact.Entry { all[1].Piece.Stored = "install/../x"; return all },
		"empty":               func(all []artifact.Entry) []artifact.Entry { all[1].Size = 0; return all },
		"too long":            func(all []artifact.Entry) []artifact.Entry { all[2].Size = 8; return all },
		"negative":            func(all []artifact.Entry) []artifact.Entry { all[0].Piece.Offset = -1; return all },
		"number":              func(all []artifact.Entry) []artifact.Entry { all[0].Piece.Number = 9; return all },
		"a directory": func(all []artifact.Entry) []artifact.Entry {
			all[0].Type = artifact.TypeDir
			all[0].Size = 0
			return all
		},
	}
	for name, change := range wrong {
		if err := readAll(change(pieces())); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPieceName(t *testing.T) {
	long := strings.Repeat("n", 255)
	for _, c := range []struct {
		name, want  string
		number, try int
	}{
		{"big.iso", "big.iso.xcrate-part-0001", 1, 0},
		{"big.iso", "big.iso~~.xcrate-part-0012", 12, 2},
		{"big.iso", "big.iso.xcrate-part-12345", 12345, 0},
		{long, long[:238] + ".xcrate-part-0001", 1, 0},
	} {
		if got := artifact.PieceName(c.name, c.number, c.try); got != c.want || len(got) > 255 {
			t.Errorf("%q, %d, %d: %q", c.name, c.number, c.try, got)
		}
	}
}
