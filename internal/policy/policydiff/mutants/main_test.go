package main

import (
	"strings"
	"testing"
)

// Running the faults takes minutes; that each still has its place in the engine
// is known at once.
func TestFaultsApply(t *testing.T) {
	t.Chdir("../../../..")
	chosen, texts, err := prepare("")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for i, f := range chosen {
		if f.breaks == "" || seen[f.breaks] {
			t.Errorf("fault %d: description %q missing or used twice", i, f.breaks)
		}
		seen[f.breaks] = true
		if f.new != "" && !strings.Contains(string(texts[i]), f.new) {
			t.Errorf("fault %q was not applied", f.breaks)
		}
	}
	if _, _, err := prepare("no such words"); err == nil {
		t.Error("no fault chosen, and no error")
	}
}

func TestReportFailsOnSurvivors(t *testing.T) {
	chosen := []fault{{breaks: "a"}, {breaks: "b"}, {breaks: "c"}}
	var out strings.Builder
	if err := report(&out, chosen, []outcome{{vectors: true}, {differential: true}, {vectors: true, differential: true}}, 0); err != nil {
		t.Error(err)
	}
	if err := report(&out, chosen, []outcome{{vectors: true}, {unit: true}, {differential: true}}, 0); err == nil {
		t.Error("a fault that only unit tests catch passed")
	}
}
