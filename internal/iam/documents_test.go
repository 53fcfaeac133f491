package iam

import (
	"fmt"
	"strings"
	"testing"
)

// Policies that one caller puts after the other, each the largest in memory that its
// length allows, do not fill the memory.
func TestDocumentsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	var d documents
	last := ""
	for i := range 400 {
		last = fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"a:%d","Resource":["*"`, i) + strings.Repeat(`,"*:*"`, 1000) + `]}]}`
		if _, err := d.compile(last); err != nil {
			t.Fatal(err)
		}
	}
	held := 0
	for _, doc := range d.held {
		held += doc.Memory()
	}
	if held != d.memory || held > documentMemory || held < documentMemory/2 {
		t.Errorf("%d policies hold %d MB, counted as %d MB", len(d.held), held>>20, d.memory>>20)
	}
	if d.held[last] == nil {
		t.Error("the latest is not kept")
	}
}
