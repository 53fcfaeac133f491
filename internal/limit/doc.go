// Package limit bounds what clients may take: connections in all and from one
// address, and requests in a second.
//
// Its one invariant: what it keeps is bounded itself. Whoever is refused makes it
// remember no more than whoever is let in.
package limit
