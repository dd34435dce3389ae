package hosttest

import (
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"os"
)

// bulkWeights are the sizes of 32 files of the bulk in proportion to each other:
// 31 of text, many small and few large as in a directory people work in, then
// an rpm that weighs half of what they do together.
func bulkWeights() [32]uint64 {
	return [32]uint64{
		1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 5, 5, 6,
		7, 8, 9, 10, 12, 14, 16, 19, 22, 27, 34, 45, 64, 110, 222, 332,
	}
}

// bulk makes the extra files the options ask for. What is in memory does not
// grow with their number or size.
func (s *sample) bulk() {
	n := s.opts.InstallFiles
	if n == 0 && s.opts.InstallBytes > 0 {
		n = 1
	}
	weights := bulkWeights()
	var total, sum uint64
	for i := range n {
		total += weights[i%len(weights)]
	}
	words := vocabulary()
	begin := uint64(0)
	for i := range n {
		sum += weights[i%len(weights)]
		end := share(uint64(s.opts.InstallBytes), sum, total)
		size := int64(end - begin)
		begin = end
		p := fmt.Sprintf("install/custom/bulk/files/%03d/file%07d", i/1000, i)
		content := io.Reader(&text{words: words, from: s.random(p)})
		if i%len(weights) == len(weights)-1 {
			p = fmt.Sprintf("install/custom/bulk/rpms/%03d/pkg%07d-1.0-1.el9.noarch.rpm", i/10_000, i)
			content = s.random(p)
		}
		s.stream(p, 0o644, "root:root", io.LimitReader(content, size))
	}
}

// share is n*part/whole; the product may take 128 bits.
func share(n, part, whole uint64) uint64 {
	hi, lo := bits.Mul64(n, part)
	quotient, _ := bits.Div64(hi, lo, whole)
	return quotient
}

// stream makes file p with what r holds.
func (w *writer) stream(p string, mode uint32, owner string, r io.Reader) {
	w.parents(p)
	if w.err != nil {
		return
	}
	f, err := os.OpenFile(w.path(p), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		w.fail(p, err)
		return
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, r, w.buf) // an *os.File would allocate a buffer of its own
	w.fail(p, err)
	w.fail(p, f.Close())
	w.own(p, mode, owner)
	w.touch(p)
}

// vocabulary is 1,024 words as scripts and configuration have them, the same
// for every seed.
func vocabulary() []string {
	letters := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 1024)
	for i := range words {
		word := make([]byte, 2+letters.IntN(8))
		for j := range word {
			word[j] = "etaoinshrdlucmfwypvbgkjqxz_-/.=$"[letters.IntN(32)]
		}
		sep := " "
		if i%10 == 0 {
			sep = "\n"
		}
		words[i] = string(word) + sep
	}
	return words
}

// text is an endless text of random words: it shrinks to about a third, and no
// two files have a block in common.
type text struct {
	words []string
	from  *rand.ChaCha8
	rest  string // of a word that did not fit
}

// Read implements io.Reader.
func (t *text) Read(p []byte) (int, error) {
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	for n < len(p) {
		r := t.from.Uint64()
		for range 6 {
			word := t.words[r%1024]
			r /= 1024
			m := copy(p[n:], word)
			n += m
			if m < len(word) {
				t.rest = word[m:]
				break
			}
		}
	}
	return n, nil
}
