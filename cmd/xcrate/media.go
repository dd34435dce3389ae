package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"github.com/xcrate/xcrate/layout"
)

// mediaOptions say on what a snapshot goes.
type mediaOptions struct {
	media string // "" for one place, however large
	iso   bool
}

func (o *mediaOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.media, "media", "", "spread over volumes of `SIZE`: dvd, dvd-dl, bd,\nor bytes (700MB, 16GiB)")
	f.BoolVar(&o.iso, "iso", false, "write ISO 9660 images, as DEST.iso does")
}

// capacities are the bytes of a disc as it is sold. Of the two kinds of DVD the plus
// has less (ECMA-349: 2,295,104 sectors); a blank BD-R loses what its spare areas take
// when a drive formats it, which most do unasked.
func capacities() map[string]int64 {
	return map[string]int64{
		"dvd":    2_295_104 * 2048,
		"dvd-dl": 4_171_712 * 2048,
		"bd":     11_826_176 * 2048,
	}
}

// capacity is how many bytes a volume has, 0 for as many as it takes.
func (o mediaOptions) capacity() (int64, error) {
	if o.media == "" {
		return 0, nil
	}
	if n := capacities()[strings.ToLower(o.media)]; n > 0 {
		return n, nil
	}
	n, err := humanize.ParseBytes(o.media)
	if err != nil || n == 0 || n > 1<<50 {
		return 0, usage(fmt.Errorf("--media %q: not a size", o.media), "give dvd, dvd-dl, bd, or bytes, such as 700MB or 16GiB")
	}
	return int64(n), nil
}

// image reports whether destination p is one image, or several.
func (o mediaOptions) image(p place) bool {
	return p.remote == nil && (o.iso || strings.HasSuffix(strings.ToLower(p.Path), ".iso"))
}

// packed reports whether a snapshot goes to p as images or as volumes.
func (o mediaOptions) packed(p place) bool {
	return o.image(p) || p.remote == nil && o.media != ""
}

// check settles that p and o fit, and adds to p the ending of an image.
func (o mediaOptions) check(p *place) error {
	if p.remote != nil && (o.iso || o.media != "") {
		return usage(fmt.Errorf("%s: --media and --iso with a registry", p), "leave them out: a registry takes any size")
	}
	if o.image(*p) && !strings.HasSuffix(strings.ToLower(p.Path), ".iso") {
		p.Path += ".iso"
	}
	_, err := o.capacity()
	return err
}

// hintMedia adds to an error of layout.Pack what to do.
func hintMedia(err error) error {
	var small interface{ Need() int64 }
	if errors.As(err, &small) && errors.Is(err, layout.ErrTooSmall) {
		return hint(err, "give larger volumes: --media %d or more", small.Need())
	}
	return err
}
