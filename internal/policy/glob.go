package policy

import "unicode/utf8"

// glob matches an encoded pattern against a text. '?' is one character, not one
// byte.
//
// It tries with two pointers and one way back: only the last run of anything is ever
// stretched, which is enough because an earlier, shorter match of it leaves at least
// as much text for the rest. Patterns as people write them take about as many steps
// as the text has bytes. One that is built to be slow ("*aaaab" on a text of a's) takes
// the product of the lengths, so after a few times the usual number of steps the
// question goes to [globBits], which is slower to start and does 64 steps at once.
func glob[P string | []byte, S string | []byte](p P, s S) bool {
	matched, decided := globSteps(p, s, globPatience*(len(p)+len(s)))
	if !decided {
		return globBits(string(p), string(s))
	}
	return matched
}

// globPatience is how many times the usual number of steps are taken before giving
// up. What starts globBits costs some ten times as much as a step for each byte.
const globPatience = 16

// globSteps is glob in a number of steps; without an answer by then decided is false.
func globSteps[P string | []byte, S string | []byte](p P, s S, steps int) (matched, decided bool) {
	pi, si := 0, 0
	resumeP, resumeS := -1, 0
	for si < len(s) {
		if steps--; steps < 0 {
			return false, false
		}
		if pi < len(p) {
			switch c := p[pi]; {
			case c == anyRun:
				pi++
				if pi == len(p) {
					return true, true
				}
				resumeP, resumeS = pi, si
				continue
			case c == anyChar:
				pi++
				si += width(s, si)
				continue
			case c == s[si]:
				pi++
				si++
				continue
			}
		}
		if resumeP < 0 {
			return false, true
		}
		resumeS += width(s, resumeS)
		pi, si = resumeP, resumeS
	}
	for pi < len(p) && p[pi] == anyRun {
		pi++
	}
	return pi == len(p), true
}

// globBits matches by following all ways through the pattern at once, one bit each:
// bit i says that the first i characters are matched. A character of the text moves
// every bit whose next character it is by one, and leaves where it is every bit that
// stands at a run of anything. So it takes, for each character of the text, one step
// for every 64 characters of the pattern, whatever they are.
func globBits(p, s string) bool {
	g := newBitPattern(p)
	words := g.length/64 + 1
	now, next := make([]uint64, words), make([]uint64, words)
	now[0] = 1
	for i := 0; i < len(s); {
		c, size := character(s[i:])
		i += size
		if !g.step(next, now, c) {
			return false
		}
		now, next = next, now
	}
	return now[g.length/64]>>(g.length%64)&1 == 1
}

// bitPattern is a pattern as sets of places. A place is the number of characters
// before it, runs of anything not counted.
type bitPattern struct {
	length int
	runs   []uint64 // places at which a run stands
	chars  []uint64 // places before a '?'
	// Characters at many places have a set, the others a list, which is never longer
	// than a set has words. So there are less than 64 sets, and memory stays linear.
	sets  map[rune][]uint64
	lists map[rune][]int32
}

func newBitPattern(p string) *bitPattern {
	g := &bitPattern{sets: map[rune][]uint64{}, lists: map[rune][]int32{}}
	words := len(p)/64 + 1
	g.runs, g.chars = make([]uint64, words), make([]uint64, words)
	for i := 0; i < len(p); {
		switch p[i] {
		case anyRun:
			g.runs[g.length/64] |= 1 << (g.length % 64)
			i++
			continue
		case anyChar:
			g.chars[g.length/64] |= 1 << (g.length % 64)
			i++
		default:
			c, size := character(p[i:])
			g.lists[c] = append(g.lists[c], int32(g.length))
			i += size
		}
		g.length++
	}
	for c, places := range g.lists {
		if len(places) <= words {
			continue
		}
		set := make([]uint64, words)
		for _, place := range places {
			set[place/64] |= 1 << (place % 64)
		}
		g.sets[c] = set
		delete(g.lists, c)
	}
	return g
}

// step computes the places that are reached after one more character, and whether
// there are any.
func (g *bitPattern) step(next, now []uint64, c rune) bool {
	set := g.sets[c]
	carry, left := uint64(0), uint64(0)
	for w := range now {
		moving := now[w] & g.chars[w]
		if set != nil {
			moving |= now[w] & set[w]
		}
		next[w] = now[w]&g.runs[w] | moving<<1 | carry
		carry = moving >> 63
		left |= next[w]
	}
	for _, place := range g.lists[c] {
		if now[place/64]>>(place%64)&1 == 1 {
			next[(place+1)/64] |= 1 << ((place + 1) % 64)
			left = 1
		}
	}
	return left != 0
}

// character reads one character. A byte that is not part of valid UTF-8 is one of its
// own, which no pattern holds.
func character(s string) (c rune, size int) {
	c, size = utf8.DecodeRuneInString(s)
	if c == utf8.RuneError && size == 1 {
		return -1 - rune(s[0]), 1
	}
	return c, size
}

// width is the length in bytes of the character at i. A byte that is not part
// of valid UTF-8 counts as one.
func width[S string | []byte](s S, i int) int {
	if s[i] < utf8.RuneSelf {
		return 1
	}
	var b [utf8.UTFMax]byte
	n := copy(b[:], s[i:])
	_, size := utf8.DecodeRune(b[:n])
	return size
}
