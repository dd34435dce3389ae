package layers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/xcrate/xcrate/internal/pkgmgr"
)

// pending is an offer that may be taken, and who makes it.
type pending struct {
	offer  pkgmgr.Offer
	source pkgmgr.Source
	place  *place
}

// together is how many servers are asked at once.
const together = 4

// gather goes through the places in order, until all that is installed was found.
func (c *capture) gather(ctx context.Context, s *selection) error {
	places, err := c.places(s)
	if err != nil {
		return err
	}
	for _, pl := range places {
		s.names = append(s.names, pl.name)
	}
	for len(places) > 0 {
		n := 1
		for places[0].remote && n < min(together, len(places)) && places[n].remote && places[n].first == places[0].first {
			n++
		}
		batch := places[:n]
		places = places[n:]
		if !s.ask(batch[0]) {
			continue
		}
		if err := c.ask(ctx, s, batch); err != nil {
			return err
		}
	}
	if s.wanted == nil {
		return s.chooseNewest(ctx, c)
	}
	return nil
}

// ask reports whether there is a reason to look into a place. The stack's own
// are always looked into: they say what else belongs to it. Nobody goes to the
// network for what the target can get where this host got it.
func (s *selection) ask(pl *place) bool {
	switch pl.kind {
	case placeGiven, placeTree, placeStaged:
		return true
	case placeRepository:
		if pl.remote {
			return s.missing(required) || (s.all && pl.first)
		}
		return pl.first || s.wanted == nil || s.missing(optional)
	case placeCache:
		return s.missing(optional)
	}
	return false
}

// answer is what a place has.
type answer struct {
	source  pkgmgr.Source
	listing pkgmgr.Listing
	err     error
}

// ask lists places, several at once, and takes from them in order.
func (c *capture) ask(ctx context.Context, s *selection, places []*place) error {
	c.o.Progress.Phase("looking for packages", 0)
	answers := make([]answer, len(places))
	err := c.each(ctx, len(places), func(ctx context.Context, i int) error {
		answers[i] = c.listOf(ctx, s, places[i])
		if places[i].strict() {
			return answers[i].err
		}
		return ctx.Err()
	})
	for _, a := range answers {
		if a.source != nil {
			s.sources = append(s.sources, a.source)
		}
	}
	if err != nil {
		return err
	}
	for i, a := range answers {
		if a.err != nil {
			s.problem(places[i], a.err)
			continue
		}
		s.asked = append(s.asked, places[i].name)
		if err := s.choose(ctx, c, places[i], a); err != nil {
			return err
		}
	}
	return nil
}

func (c *capture) listOf(ctx context.Context, s *selection, pl *place) answer {
	o := c.sourceOptions(s)
	o.Want = s.wants(pl)
	source, err := pl.open(ctx, o)
	if err != nil {
		return answer{err: err}
	}
	listing, err := source.List(ctx)
	return answer{source, listing, err}
}

// problem notes why a place that is no reason to stop could not be used.
func (s *selection) problem(pl *place, err error) {
	if !strings.HasPrefix(err.Error(), pl.name) {
		err = fmt.Errorf("%s: %w", pl.name, err)
	}
	s.problems = append(s.problems, err)
}

// choose takes of a place what belongs to the set.
func (s *selection) choose(ctx context.Context, c *capture, pl *place, a answer) error {
	for _, err := range a.listing.Damaged {
		s.problem(pl, err)
	}
	if pl.strict() {
		for _, l := range a.listing.LeftOut {
			if !slices.Contains(s.names, l.Path) { // a symlink that is a place by itself
				c.leaveOut(l)
			}
		}
	}
	for _, offer := range a.listing.Offers {
		s.see(pl, offer.Name) // not every source asks what is wanted
	}
	var chosen []pending
	for _, offer := range a.listing.Offers {
		if s.takes(pl, offer.Package) {
			chosen = append(chosen, pending{offer, a.source, pl})
		}
	}
	for _, signing := range a.listing.Signing {
		switch found := signing.Found; {
		case len(chosen) == 0 || !signing.Metadata || found.State == pkgmgr.Verified:
		case found.State == "":
			c.warn("repository %s wants its metadata signed: that was not checked, the packages' own signatures were", signing.Repo)
		default: // debs have no signature of their own
			c.warn("repository %s: signature of its Release file: %s %s", signing.Repo, found.State, found.KeyID)
		}
	}
	if s.wanted == nil {
		s.pending = append(s.pending, chosen...)
		return nil
	}
	if len(chosen) > 0 {
		c.o.Progress.Phase("fetching packages", 0)
	}
	return s.fetch(ctx, c, chosen)
}

// fetch takes offers, a few files at a time.
func (s *selection) fetch(ctx context.Context, c *capture, all []pending) error {
	fetched, failed := make([]pkgmgr.Package, len(all)), make([]error, len(all))
	err := c.each(ctx, len(all), func(ctx context.Context, i int) error {
		fetched[i], failed[i] = all[i].source.Fetch(ctx, all[i].offer)
		if all[i].place.strict() {
			return failed[i]
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	for i, p := range all {
		if failed[i] != nil {
			s.problem(p.place, failed[i])
			continue
		}
		if err := s.add(p.place, foundPackage{fetched[i], p.offer.Where, p.place.name}); err != nil {
			return err
		}
	}
	return nil
}

// each calls fn for 0 to n-1, a few at once, until one fails.
func (c *capture) each(ctx context.Context, n int, fn func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(c.o.Workers, together))
	for i := range n {
		g.Go(func() error { return fn(ctx, i) })
	}
	return g.Wait()
}
