// Package catalog knows what policies can say about the services built here and
// their neighbours: every action, the resource types it works on with the form of
// their ARNs, and the condition keys that a request for it can carry, with their
// types. It holds the rows of AWS's Service Authorization Reference as constant
// data, and the look-ups over it.
//
// The evaluation of policies needs none of this: IAM stores and evaluates policies
// about services that it has never heard of. The catalog is for those who look at a
// policy before it is used (the linter, the simulator) and for tests.
//
// The one invariant: nothing is built when the process starts, and looking up
// allocates nothing.
package catalog
