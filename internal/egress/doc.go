// Package egress is the one way out: whatever this product connects to on
// somebody's word (an issuer of identity tokens, a database to rotate, a
// function), it connects to through a [Dialer]. Who may name a host could
// otherwise make the server speak to places that only the server reaches: a
// cloud's metadata service, a neighbour behind the firewall, the server itself.
//
// Its one invariant: a connection goes to an address that was checked. A name is
// resolved once, each of its addresses is checked, and what is dialled is such an
// address and never the name, so an answer of the name server that changes
// between check and use changes nothing.
//
// What went wrong is told as a [Class] and words of our own. Nothing that the peer
// said gets into an error: not a banner, not a body, not a certificate's names.
//
// No environment variable has a say. A proxy would resolve the name again, behind
// the check.
package egress
