package restore

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
)

// TestPlanIsDocumented: docs/plan.md has a table for each object of a plan, and each
// says of which fields it is, of what type, and which may be absent.
func TestPlanIsDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/plan.md")
	check(t, err)
	sections := map[string][]string{}
	heading := ""
	for line := range strings.Lines(string(b)) {
		if h, ok := strings.CutPrefix(strings.TrimSpace(line), "### "); ok {
			heading = strings.Trim(h, "`")
		}
		cells := strings.Split(line, "|")
		if len(cells) == 5 && strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			if strings.TrimSpace(cells[3]) == "" {
				t.Errorf("%s: %s says nothing", heading, cells[1])
			}
			sections[heading] = append(sections[heading], strings.Trim(strings.TrimSpace(cells[1]), "`")+" "+strings.TrimSpace(cells[2]))
		}
	}
	for _, object := range []struct {
		heading string
		of      any
	}{
		{"document", planDocument{}},
		{"plan", Plan{}},
		{"plan.options", PlanOptions{}},
		{"plan.steps", PlanStep{}},
		{"plan.checks", Finding{}},
		{"plan.packages", PackagePlan{}},
		{"plan.packages.install", artifact.Package{}},
		{"plan.packages.replace", Replacement{}},
		{"plan.files", FilePlan{}},
		{"plan.merges", MergePlan{}},
		{"plan.conflicts", Conflict{}},
		{"plan.accounts", Account{}},
		{"plan.database", DatabasePlan{}},
		{"plan.database.restore", artifact.Table{}},
		{"plan.enable", UnitChange{}},
		{"plan.commands", StackCommand{}},
		{"plan.space", Space{}},
		{"plan.to_do", artifact.LeftOut{}},
		{"facts", Fact{}},
	} {
		want := documented(reflect.TypeOf(object.of))
		if got := sections[object.heading]; !slices.Equal(got, want) {
			t.Errorf("docs/plan.md, %s, is not what the program writes:\n%s", object.heading, lineDiff(strings.Join(want, "\n"), strings.Join(got, "\n")))
		}
		delete(sections, object.heading)
	}
	for heading := range sections {
		t.Errorf("docs/plan.md documents %q, which a plan does not have", heading)
	}
}

// documented lists the fields of a JSON object as the tables have them.
func documented(of reflect.Type) (rows []string) {
	for i := range of.NumField() {
		f := of.Field(i)
		name, omit, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			rows = append(rows, documented(f.Type)...)
		case name != "" && name != "-":
			row := name + " " + jsonType(f.Type)
			if omit == "omitempty" {
				row += "?"
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func jsonType(of reflect.Type) string {
	if of.String() == "time.Time" {
		return "time"
	}
	switch of.Kind() { //nolint:exhaustive // a plan has no others
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64:
		return "number"
	case reflect.Slice:
		return "list of " + jsonType(of.Elem()) + "s"
	case reflect.Pointer:
		return jsonType(of.Elem())
	}
	return "object"
}

// TestPlanOptionsAreComplete: whatever option decides what is done is in the plan,
// so that it needs no flag beside it.
func TestPlanOptionsAreComplete(t *testing.T) {
	others := []string{"Root", "Runner", "Stack", "Now", "Source", "Program", "TempDir", "Progress", "Workers"}
	var want []string
	for f := range fields(reflect.TypeFor[Options]()) {
		if f.IsExported() && !slices.Contains(others, f.Name) {
			want = append(want, f.Name)
		}
	}
	var got []string
	for f := range fields(reflect.TypeFor[PlanOptions]()) {
		got = append(got, f.Name)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Fatalf("PlanOptions has %v, Options %v: add it to PlanOptions, optionsOf, Set, docs/plan.md, and planFlags of the command", got, want)
	}
	po := PlanOptions{
		Choices: Choices{
			Only: []artifact.Kind{"config"}, Skip: []artifact.Kind{"opt"}, Standby: true, WithDatabase: true, NoStart: true,
			KeepRepository: true, Engine: "sqlite", ByStack: true, RemoteDatabase: true,
		},
		Allow: []string{"arch"},
	}
	for f := range fields(reflect.TypeFor[Choices]()) {
		if reflect.ValueOf(po.Choices).FieldByIndex(f.Index).IsZero() {
			t.Errorf("the test does not set %s", f.Name)
		}
	}
	var o Options
	po.Set(&o)
	if back := optionsOf(o); !reflect.DeepEqual(back, po) {
		t.Errorf("%+v came back as %+v", po, back)
	}
}

func fields(of reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range of.NumField() {
			if !yield(of.Field(i)) {
				return
			}
		}
	}
}

// TestPlanFileIsRefused: a document that is no plan, is of another format, or is not
// as it was written.
func TestPlanFileIsRefused(t *testing.T) {
	p := &Plan{Format: PlanFormat, Title: "a plan", Root: "/", facts: []Fact{{Item: "file /etc/hosts"}}}
	b, err := p.Encode()
	check(t, err)
	if _, err := DecodePlan(b); err != nil {
		t.Error(err)
	}
	compact := strings.ReplaceAll(string(b), "\n", " ") // says nothing else
	if _, err := DecodePlan([]byte(compact)); err != nil {
		t.Error(err)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"edited":        {strings.Replace(string(b), "a plan", "another", 1), "plan: not as it was written: its digest is another"},
		"a new field":   {strings.Replace(string(b), `"title"`, `"root2": "/", "title"`, 1), "plan: not as it was written: its digest is another"},
		"a later one":   {strings.Replace(string(b), `"format": 1`, `"format": 2`, 1), "plan: format 2, this program reads 1"},
		"a bare plan":   {`{"format": 1, "snapshot": ""}`, "plan: no plan of an import"},
		"text":          {"hello", "plan: no plan of an import"},
		"two documents": {string(b) + string(b), "plan: no plan of an import"},
		"nothing":       {"", "plan: no plan of an import"},
	} {
		if _, err := DecodePlan([]byte(tt.text)); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

// TestKeptIsExplained: --show-files says why an entry stays the host's.
func TestKeptIsExplained(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	p, err := NewPlan(t.Context(), f.m, f.s, f.options(t, root))
	check(t, err)
	var kept []Change
	check(t, p.Changes(t.Context(), func(c Change) error {
		if c.State == "kept" {
			kept = append(kept, c)
		}
		return nil
	}))
	if want := []Change{{State: "kept", Path: "/install", Reason: "a link to a directory here, which is filled"}}; !slices.Equal(kept, want) {
		t.Errorf("kept %+v, want %+v", kept, want)
	}
}

// TestStepsOfPlans: a plan knows of every step of an import what it has to do, and
// docs/plan.md lists them in order.
func TestStepsOfPlans(t *testing.T) {
	before, after := Steps()
	var ids []string
	for _, s := range slices.Concat(before, after) {
		ids = append(ids, s.ID)
		if stepWork()[s.ID] == nil {
			t.Errorf("stepWork does not know the step %s", s.ID)
		}
	}
	if len(stepWork()) != len(ids) {
		t.Errorf("stepWork knows %d steps, an import has %d", len(stepWork()), len(ids))
	}
	b, err := os.ReadFile("../docs/plan.md")
	check(t, err)
	if want := "`" + strings.Join(ids, "`, `") + "`."; !strings.Contains(strings.Join(strings.Fields(string(b)), " "), want) {
		t.Errorf("docs/plan.md does not list the steps in order: %s", want)
	}
}
