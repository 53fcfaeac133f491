package matrix

import "testing"

// pairwise returns rows of choices, one for each factor of the given sizes, among
// which each pair of choices of two factors stands at least once. It is greedy: a
// row begins with a pair that is still missing and takes for every other factor
// the choice that covers most of what is missing.
func pairwise(sizes []int) (rows [][]int) {
	type pair struct{ f, a, g, b int } // f < g
	var order []pair
	missing := map[pair]bool{}
	for f := range sizes {
		for g := f + 1; g < len(sizes); g++ {
			for a := range sizes[f] {
				for b := range sizes[g] {
					p := pair{f, a, g, b}
					order, missing[p] = append(order, p), true
				}
			}
		}
	}
	has := func(row []int, f, a int) (n int) {
		for g, b := range row {
			p := pair{f, a, g, b}
			if g < f {
				p = pair{g, b, f, a}
			}
			if b >= 0 && g != f && missing[p] {
				n++
			}
		}
		return n
	}
	for _, p := range order {
		if !missing[p] {
			continue
		}
		row := make([]int, len(sizes))
		for f := range row {
			row[f] = -1
		}
		row[p.f], row[p.g] = p.a, p.b
		for f, size := range sizes {
			if row[f] >= 0 {
				continue
			}
			best, most := 0, -1
			for i := range size {
				a := (i + len(rows)) % size // Spread where nothing is missing.
				if n := has(row, f, a); n > most {
					best, most = a, n
				}
			}
			row[f] = best
		}
		for f := range row {
			for g := f + 1; g < len(row); g++ {
				delete(missing, pair{f, row[f], g, row[g]})
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// product returns every row.
func product(sizes []int) (rows [][]int) {
	rows = [][]int{nil}
	for _, size := range sizes {
		var longer [][]int
		for _, row := range rows {
			for a := range size {
				longer = append(longer, append(row[:len(row):len(row)], a))
			}
		}
		rows = longer
	}
	return rows
}

func TestPairwise(t *testing.T) {
	sizes := []int{3, 4, 1, 5, 2}
	rows := pairwise(sizes)
	seen := map[[4]int]bool{}
	for _, row := range rows {
		for f := range row {
			for g := f + 1; g < len(row); g++ {
				seen[[4]int{f, row[f], g, row[g]}] = true
			}
		}
	}
	want := 0
	for f := range sizes {
		for g := f + 1; g < len(sizes); g++ {
			want += sizes[f] * sizes[g]
		}
	}
	if len(seen) != want || len(rows) >= len(product(sizes)) {
		t.Errorf("%d rows cover %d pairs, want %d", len(rows), len(seen), want)
	}
}
