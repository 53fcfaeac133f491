package conformance

import "testing"

// TestREADME runs the blocks of the README. The Go block runs in internal/servertest.
func TestREADME(t *testing.T) {
	printed(t, walk(t, "README.md"), "world\n", "hello\n", `{"username":"app","password":"s3cret"}`, "from a pipe")
}

// newestCommandLine returns the last command line that honours AWS_ENDPOINT_URL.
func newestCommandLine(t *testing.T) program {
	t.Helper()
	var found program
	for _, cli := range commandLines() {
		if honoursEndpoint(cli.version) {
			found = cli
		}
	}
	if found.path == "" {
		missing(t, "AWS command line from 1.29 or 2.13 on")
	}
	return found
}
