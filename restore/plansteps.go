package restore

import (
	"fmt"
	"slices"

	"github.com/xcrate/xcrate/artifact"
)

// PlanStep is a step of an import that has something to do.
type PlanStep struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	// Count is how many there are of what Title names, Bytes their contents.
	Count int64 `json:"count,omitempty"`
	Bytes int64 `json:"bytes,omitempty"`
	// Items name them where they are few: units, paths, packages.
	Items []string `json:"items,omitempty"`
}

// stepWork says, by the id of a step, how much it has to do, and whether anything.
func stepWork() map[string]func(*Plan) (PlanStep, bool) {
	return map[string]func(*Plan) (PlanStep, bool){
		"stage":       (*Plan).workStage,
		"keep":        (*Plan).workKeep,
		"remember":    anyWork,
		"repository":  (*Plan).workRepository,
		"packages":    (*Plan).workPackages,
		"settings":    func(p *Plan) (PlanStep, bool) { return PlanStep{}, p.installs() },
		"stop":        (*Plan).workStop,
		"compare":     func(p *Plan) (PlanStep, bool) { return PlanStep{}, p.installs() || p.Database.Engine != "" },
		"accounts":    (*Plan).workAccounts,
		"remove":      func(p *Plan) (PlanStep, bool) { return named(p.Remove) },
		"files":       (*Plan).workFiles,
		"merge":       (*Plan).workMerge,
		"server":      func(p *Plan) (PlanStep, bool) { return named(p.Database.SetUp) },
		"database":    (*Plan).workDatabase,
		"cfgloc":      func(p *Plan) (PlanStep, bool) { return PlanStep{}, p.Database.Cfgloc != "" },
		"enable":      (*Plan).workEnable,
		"directories": (*Plan).workDirectories,
		"read-back":   (*Plan).workReadBack,
		"relabel":     (*Plan).workDirectories, // where SELinux is on, which the step itself sees
		"start":       func(p *Plan) (PlanStep, bool) { return named(p.Start) },
		"commands":    (*Plan).workCommands,
		"accept":      anyWork,
	}
}

// steps lists the steps that have something to do, in the order of the import.
func (p *Plan) steps() []PlanStep {
	all := []PlanStep{}
	if p.Empty() {
		return all
	}
	before, after := Steps()
	work := stepWork()
	for _, s := range slices.Concat(before, after) {
		of := work[s.ID]
		if of == nil {
			of = anyWork
		}
		if one, ok := of(p); ok {
			one.ID, one.Title = s.ID, s.Title
			all = append(all, one)
		}
	}
	return all
}

func anyWork(*Plan) (PlanStep, bool) { return PlanStep{}, true }

// named is a step that is about items.
func named(items []string) (PlanStep, bool) {
	return PlanStep{Count: int64(len(items)), Items: items}, len(items) > 0
}

func (p *Plan) installs() bool {
	return p.Packages.Manager != "" && len(p.Packages.Install)+len(p.Packages.Names) > 0
}

// count sums up the entries to be placed of the kinds for which of is true.
func (p *Plan) count(of func(artifact.Kind) bool) (s PlanStep) {
	for _, f := range p.Files {
		if of(f.Kind) {
			s.Count += int64(f.New + f.Changed)
			s.Bytes += f.Bytes
		}
	}
	return s
}

func (p *Plan) workStage() (PlanStep, bool) {
	s := p.count(func(artifact.Kind) bool { return true })
	return s, s.Count > 0 || p.Database.Engine != ""
}

func (p *Plan) workRepository() (PlanStep, bool) {
	s := p.count(func(k artifact.Kind) bool { return k == artifact.KindPackages })
	if p.Packages.Definition != "" {
		s.Items = []string{p.Packages.Definition}
	}
	return s, s.Count > 0 || p.Packages.Definition != ""
}

func (p *Plan) workPackages() (PlanStep, bool) {
	var items []string
	for _, pkg := range p.Packages.Install {
		items = append(items, pkg.NEVRA())
	}
	s, _ := named(append(items, p.Packages.Names...))
	return s, p.installs()
}

// workStop: packages may start more than runs now.
func (p *Plan) workStop() (PlanStep, bool) {
	s, some := named(p.Services)
	return s, some || p.installs()
}

func (p *Plan) workAccounts() (PlanStep, bool) {
	var items []string
	for _, a := range p.Accounts {
		items = append(items, fmt.Sprintf("%s %s (%d)", a.Type, a.Name, a.ID))
	}
	return named(items)
}

// workKeep counts the copies that are made; of some files the original is kept alone.
func (p *Plan) workKeep() (PlanStep, bool) {
	var items []string
	for _, c := range p.Conflicts {
		if c.KeptAs != "" {
			items = append(items, c.KeptAs)
		}
	}
	return named(items)
}

func (p *Plan) workMerge() (PlanStep, bool) {
	var items []string
	for _, m := range p.Merges {
		items = append(items, m.Path)
	}
	return named(items)
}

func (p *Plan) trees() PlanStep {
	return p.count(func(k artifact.Kind) bool { return k != artifact.KindPackages })
}

func (p *Plan) workFiles() (PlanStep, bool) {
	s := p.trees()
	return s, s.Count > 0
}

func (p *Plan) workDirectories() (PlanStep, bool) {
	return PlanStep{}, p.trees().Count > 0 || len(p.Remove) > 0
}

func (p *Plan) workDatabase() (PlanStep, bool) {
	var items []string
	for _, t := range p.Database.Restore {
		items = append(items, t.Name)
	}
	return named(slices.Concat(items, p.Database.Remove, p.Database.Stale))
}

func (p *Plan) workEnable() (PlanStep, bool) {
	var items []string
	for _, u := range p.Enable {
		items = append(items, u.Unit+": "+u.To)
	}
	return named(items)
}

func (p *Plan) workReadBack() (PlanStep, bool) {
	return PlanStep{Count: int64(len(p.Database.Restore) + p.Database.Same)}, p.Database.Engine != ""
}

func (p *Plan) workCommands() (PlanStep, bool) {
	var items []string
	for _, c := range p.Commands {
		if !c.Advice {
			items = append(items, c.Command)
		}
	}
	return named(items)
}
