package secretsmanager

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

func show(l labels) map[string][]string {
	out := maps.Clone(l.byVersion())
	for _, s := range out {
		slices.Sort(s)
	}
	return out
}

// TestLabelMovements walks the recorded examples of spec secretsmanager.md 3.2
// and 16.
func TestLabelMovements(t *testing.T) {
	type m = map[string][]string
	var none labels
	v1 := none.withNewVersion("V1", nil)
	pending2 := v1.withNewVersion("V2", []string{stagePending})
	finished2 := pending2.promote("V2")
	for _, c := range []struct {
		name string
		got  labels
		want m
	}{
		{"first value", v1, m{"V1": {stageCurrent}}},
		{"first value asked for as pending only", none.withNewVersion("V1", []string{stagePending}), m{"V1": {stageCurrent, stagePending}}},
		{"second value", v1.withNewVersion("V2", nil), m{"V1": {stagePrevious}, "V2": {stageCurrent}}},
		{"third value leaves the first deprecated", v1.withNewVersion("V2", nil).withNewVersion("V3", nil), m{"V2": {stagePrevious}, "V3": {stageCurrent}}},
		{"pending does not touch current", pending2, m{"V1": {stageCurrent}, "V2": {stagePending}}},
		{"promotion keeps pending", finished2, m{"V1": {stagePrevious}, "V2": {stageCurrent, stagePending}}},
		{"next pending leaves the current one", finished2.withNewVersion("V3", []string{stagePending}), m{"V1": {stagePrevious}, "V2": {stageCurrent}, "V3": {stagePending}}},
		{"example 9 ends", finished2.withNewVersion("V3", []string{stagePending}).promote("V3"), m{"V2": {stagePrevious}, "V3": {stageCurrent, stagePending}}},
		{"new value after a rotation drops its pending", finished2.withNewVersion("V3", nil), m{"V2": {stagePrevious}, "V3": {stageCurrent}}},
		{"new value abandons a rotation in progress", pending2.withNewVersion("V3", nil), m{"V1": {stagePrevious}, "V3": {stageCurrent}}},
		{"custom labels stay behind", v1.attach("X", "V1").withNewVersion("V2", nil), m{"V1": {stagePrevious, "X"}, "V2": {stageCurrent}}},
		{"custom labels asked for move", v1.attach("X", "V1").withNewVersion("V2", []string{stageCurrent, "X"}), m{"V1": {stagePrevious}, "V2": {stageCurrent, "X"}}},
		{"current with pending asked for", v1.withNewVersion("V2", []string{stageCurrent, stagePending}), m{"V1": {stagePrevious}, "V2": {stageCurrent, stagePending}}},
		{"promoting the current one changes nothing", finished2.promote("V2"), show(finished2)},
	} {
		if got := show(c.got); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// TestLabelLaws: whatever happens, a label is on one version only, and once
// there is a current version there always is one.
func TestLabelLaws(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	stages := []string{stageCurrent, stagePrevious, stagePending, "X", "Y"}
	versions := []string{"V1", "V2", "V3", "V4"}
	for range 2000 {
		var l labels
		for step := range 20 {
			before := slices.Clone(l)
			had := l.versionOf(stageCurrent) != ""
			old := slices.Clone(l)
			switch r.IntN(3) {
			case 0:
				n := r.IntN(3)
				var ask []string
				for range n {
					ask = append(ask, stages[r.IntN(len(stages))])
				}
				l = l.withNewVersion(versions[r.IntN(4)], ask)
				had = true
			case 1:
				l = l.promote(versions[r.IntN(4)])
				had = true
			case 2:
				l = l.detach(stages[1+r.IntN(4)])
			}
			if !slices.Equal(before, old) {
				t.Fatal("a method changed its receiver")
			}
			seen := map[string]bool{}
			for _, x := range l {
				if seen[x.Stage] {
					t.Fatalf("step %d: %s twice in %v", step, x.Stage, l)
				}
				seen[x.Stage] = true
			}
			if had && l.versionOf(stageCurrent) == "" {
				t.Fatalf("step %d: no current version in %v, before %v", step, l, before)
			}
		}
	}
}

func TestLabelText(t *testing.T) {
	for _, l := range []labels{
		{}, {{"AWSCURRENT", "v1"}}, {{"AWSCURRENT", "v1"}, {"AWSPREVIOUS", "v2"}, {"a,b]['", "v3"}},
		{{`quo"te`, `back\slash`}, {"<&>", "é\u2028"}}, {{"x", `"`}},
	} {
		got, err := decodeLabels(encodeLabels(l))
		if err != nil || !slices.Equal(got, l) {
			t.Errorf("%q: %v, %v", encodeLabels(l), got, err)
		}
	}
	if _, err := decodeLabels(`[["a\`); err == nil {
		t.Error("damaged labels were read")
	}
}
