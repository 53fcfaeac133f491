// Package endpoint is the private endpoints: named listeners that know which VPC
// they belong to, whom they let in, and which policy what passes them must meet.
// It is what an interface VPC endpoint is on AWS (spec network-metering.md A).
//
// Its one invariant: the listener decides, never what a client says. Which
// endpoint a call came through, and from which address, follows from the socket
// that accepted it and, where a load balancer is trusted by its address, from the
// PROXY header that it must send. No HTTP header is ever looked at.
//
// A connection is looked at before the first byte of TLS, and again at each of its
// requests: a configuration that was read anew is in force for the next request
// on a connection as well.
package endpoint
