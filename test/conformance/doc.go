// Package conformance holds the tests that drive the built program from outside, with the clients that people use: AWS's
// command line and boto3. It is a module of its own, so that what only tests need stays out of the product's dependencies.
//
// Its one invariant: nothing here links server code. A test knows the program's command line and AWS's API, no more, so
// a test that passes says something about any client.
//
// The environment names what to test; `make test` sets all of it:
//
//   - STRONGROOM_BINARY: the program; built from the working tree when unset.
//   - STRONGROOM_CLIENTS: folders with "aws" and "python3", joined by colons, as `tools/deps/clients` prints them. The
//     clients on the PATH are used as well. When it is set, a test that finds no fit client fails; when it is unset, such
//     a test is skipped.
package conformance
