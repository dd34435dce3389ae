package restore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// PlanFormat is the format of plans. It changes when a field gets another meaning
// or goes; a field that is added does not change it.
const PlanFormat = 1

// ErrPlan is wrapped when a plan from a file is not what would be done now, or is
// not as it was written.
var ErrPlan = errors.New("plan")

// PlanOptions are the options that decide what is done.
type PlanOptions struct {
	Choices
	Allow []string `json:"allow,omitempty"`
}

// optionsOf takes from o what decides the plan, in one order.
func optionsOf(o Options) PlanOptions {
	po := PlanOptions{Choices: o.Choices, Allow: allowed(o.Allow)}
	po.Only, po.Skip = slices.Sorted(slices.Values(o.Only)), slices.Sorted(slices.Values(o.Skip))
	return po
}

// Set puts the options of a plan into o.
func (po PlanOptions) Set(o *Options) { o.Choices, o.Allow = po.Choices, allowing(po.Allow) }

// planDocument is a plan as a file holds it: with what it rests on, one by one, and
// a digest over all of it.
type planDocument struct {
	Format int           `json:"format"`
	Digest digest.Digest `json:"digest"`
	Plan   *Plan         `json:"plan"`
	Facts  []Fact        `json:"facts"`
}

// Encode returns the plan as a document that DecodePlan reads. It names files,
// packages and tables, and holds no content of any.
func (p *Plan) Encode() ([]byte, error) {
	doc := planDocument{Format: PlanFormat, Plan: p, Facts: p.facts}
	b, err := encodePlan(doc)
	if err != nil {
		return nil, err
	}
	if doc.Digest, err = digestPlan(b); err != nil {
		return nil, err
	}
	return encodePlan(doc)
}

func encodePlan(doc planDocument) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	err := enc.Encode(doc)
	return b.Bytes(), err
}

// digestPlan is the digest of a document without its own digest: as JSON with
// sorted names and no blanks, so that it says nothing of how it is laid out.
func digestPlan(b []byte) (digest.Digest, error) {
	var doc map[string]any
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return "", err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return "", errors.New("more than one document")
	}
	delete(doc, "digest")
	canonical, err := json.Marshal(doc)
	return digest.FromBytes(canonical), err
}

// DecodePlan reads what Encode wrote. The error wraps ErrPlan if it is no plan, of
// another format, or was edited. What it returns can be compared; it knows no files.
func DecodePlan(b []byte) (*Plan, error) {
	sum, err := digestPlan(b)
	if err != nil {
		return nil, fmt.Errorf("%w: no plan of an import: %w", ErrPlan, err)
	}
	var head struct {
		Format int           `json:"format"`
		Digest digest.Digest `json:"digest"`
	}
	if err := json.Unmarshal(b, &head); err != nil || head.Digest == "" {
		return nil, fmt.Errorf("%w: no plan of an import", ErrPlan)
	}
	if head.Format != PlanFormat {
		return nil, fmt.Errorf("%w: format %d, this program reads %d", ErrPlan, head.Format, PlanFormat)
	}
	if head.Digest != sum {
		return nil, fmt.Errorf("%w: not as it was written: its digest is another", ErrPlan)
	}
	var doc planDocument
	if err := json.Unmarshal(b, &doc); err != nil || doc.Plan == nil {
		return nil, errors.Join(fmt.Errorf("%w: no plan of an import", ErrPlan), err)
	}
	doc.Plan.facts = doc.Facts
	return doc.Plan, nil
}

// Differs returns an error that wraps ErrPlan and names what differs if now, made
// of the same snapshot with the same options, is not what p says. Free space does
// not count.
func (p *Plan) Differs(now *Plan) error {
	if p.Snapshot != now.Snapshot {
		return fmt.Errorf("%w: made of snapshot %s, this one is %s", ErrPlan, p.Snapshot, now.Snapshot)
	}
	var says []string
	if p.Root != now.Root {
		says = append(says, fmt.Sprintf("root: %s in the plan, %s now", p.Root, now.Root))
	}
	for _, item := range changedFacts(p.facts, now.facts) {
		says = append(says, item+": changed since")
	}
	says = append(says, changedVerdicts(p.Findings, now.Findings)...)
	if len(says) == 0 { // else this is what comes of it
		for _, part := range changedParts(p, now) {
			says = append(says, part+": not what the plan says")
		}
	}
	if len(says) == 0 && p.Host != now.Host {
		says = append(says, "host: changed since")
	}
	if len(says) == 0 {
		return nil
	}
	shown := slices.Clone(says[:min(len(says), maxShown)])
	if n := len(says) - len(shown); n > 0 {
		shown = append(shown, fmt.Sprintf("%d more", n))
	}
	return fmt.Errorf("%w: %s", ErrPlan, strings.Join(shown, "\nplan: "))
}

// changedFacts names what is in one of two lists only, or otherwise in the other.
func changedFacts(was, now []Fact) (items []string) {
	old := map[string]digest.Digest{}
	for _, f := range was {
		old[f.Item] = f.Digest
	}
	for _, f := range now {
		if d, ok := old[f.Item]; !ok || d != f.Digest {
			items = append(items, f.Item)
		}
		delete(old, f.Item)
	}
	items = append(items, slices.Sorted(maps.Keys(old))...)
	if slices.ContainsFunc(items, func(s string) bool { return strings.HasPrefix(s, "file ") }) { // one of them says it better
		items = slices.DeleteFunc(items, func(s string) bool { return s == stateItem })
	}
	return items
}

// changedVerdicts says which checks have another verdict. That of the space depends
// on what is free.
func changedVerdicts(was, now []Finding) (lines []string) {
	before, after := verdicts(was), verdicts(now)
	for _, c := range slices.Sorted(maps.Keys(after)) {
		if old := before[c]; old != after[c] && c != CodeSpace {
			if old == "" {
				old = "nothing"
			}
			lines = append(lines, fmt.Sprintf("check %s: %s in the plan, %s now", c, old, after[c]))
		}
		delete(before, c)
	}
	for _, c := range slices.Sorted(maps.Keys(before)) {
		lines = append(lines, fmt.Sprintf("check %s: %s in the plan, nothing now", c, before[c]))
	}
	return lines
}

// verdicts are the gravest of each check.
func verdicts(all []Finding) map[string]string {
	grave := []Level{Skip, Pass, Warn, Block}
	worst := map[string]string{}
	for _, f := range all {
		if old, ok := worst[f.Code]; !ok || slices.Index(grave, Level(old)) < slices.Index(grave, f.Level) {
			worst[f.Code] = string(f.Level)
		}
	}
	return worst
}

// changedParts names the parts of a plan that are others now.
func changedParts(was, now *Plan) (names []string) {
	for _, part := range []struct {
		name     string
		was, now any
	}{
		{"options", was.Options, now.Options},
		{"packages", was.Packages, now.Packages},
		{"files", was.Files, now.Files},
		{"files to remove", was.Remove, now.Remove},
		{"merges", was.Merges, now.Merges},
		{"files changed here", was.Conflicts, now.Conflicts},
		{"accounts", was.Accounts, now.Accounts},
		{"database", was.Database, now.Database},
		{"services", [][]string{was.Services, was.Start}, [][]string{now.Services, now.Start}},
		{"services at boot", was.Enable, now.Enable},
		{"commands", was.Commands, now.Commands},
		{"steps", was.Steps, now.Steps},
	} {
		a, err := json.Marshal(part.was)
		b, err2 := json.Marshal(part.now)
		if err != nil || err2 != nil || !bytes.Equal(a, b) {
			names = append(names, part.name)
		}
	}
	return names
}
