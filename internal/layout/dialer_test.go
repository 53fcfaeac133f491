package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// dialers are the names of the standard library that connect or look up a name,
// or are made for it. internal/egress is the only place for them.
var dialers = map[string][]string{
	"net": {"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialUnix", "DialIP", "Dialer", "Resolver", "DefaultResolver", "LookupAddr",
		"LookupCNAME", "LookupHost", "LookupIP", "LookupMX", "LookupNS", "LookupPort", "LookupSRV", "LookupTXT",
		"ResolveIPAddr", "ResolveTCPAddr", "ResolveUDPAddr"},
	"net/http":              {"Client", "DefaultClient", "DefaultTransport", "Transport", "Get", "Head", "Post", "PostForm"},
	"net/http/httputil":     {"ReverseProxy", "NewSingleHostReverseProxy"},
	"crypto/tls":            {"Dial", "DialWithDialer", "Dialer"},
	"net/smtp":              {"Dial", "SendMail"},
	"net/textproto":         {"Dial"},
	"net/rpc":               {"Dial", "DialHTTP", "DialHTTPPath"},
	"net/rpc/jsonrpc":       {"Dial"},
	"log/syslog":            {"Dial", "New", "NewLogger"},
	"syscall":               {"Connect", "Socket"},
	"golang.org/x/sys/unix": {"Connect", "Socket"},
}

// connecting are modules that connect by themselves.
var connecting = []string{"github.com/jackc/pgx", "github.com/aws/aws-sdk-go-v2", "golang.org/x/net", "google.golang.org/grpc"}

// mayDial are the exceptions: a place, what it uses, and why it may.
var mayDial = []struct{ place, uses, why string }{
	{"internal/cli/operator.go", "net.Dialer", "the operator's command asks its own server over a Unix socket"},
	{"internal/cli/operator.go", "net/http.Transport", "the same"},
	{"internal/cli/operator.go", "net/http.Client", "the same"},
	{"internal/cli/secret.go", "net/http.Transport", "a setting of the SDK's client, which connects where its user says"},
	{"internal/cli", "github.com/aws/aws-sdk-go-v2", "the same"},
	{"internal/endpoint/gate.go", "net.DialTimeout", "asks whether a Unix socket that stands in its place is still listened on"},
	{"internal/store", "github.com/jackc/pgx", "the deployment's own database, named by the operator"},
}

// TestOneWayOut: nothing but internal/egress opens a connection. Code that does
// would be the way around its checks.
func TestOneWayOut(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for path, file := range product(t, root) {
		for _, use := range waysOut(file) {
			i := slices.IndexFunc(mayDial, func(m struct{ place, uses, why string }) bool {
				return m.uses == use && (path == m.place || under(filepath.Dir(path), []string{m.place}) != "")
			})
			if i < 0 {
				t.Errorf("%s uses %s: connect through internal/egress", path, use)
				continue
			}
			used[mayDial[i].place+" "+mayDial[i].uses] = true
		}
	}
	for _, m := range mayDial {
		if !used[m.place+" "+m.uses] {
			t.Errorf("%s no longer uses %s: take the exception off the list", m.place, m.uses)
		}
	}
}

// TestWaysOutAreSeen: the search finds what it is for, under every name.
func TestWaysOutAreSeen(t *testing.T) {
	for text, want := range map[string]string{
		`import "net"; var _, _ = net.Dial("tcp", "")`:                                    "net.Dial",
		`import "net"; var d = &net.Dialer{}`:                                             "net.Dialer",
		`import "net"; var d = new(net.Dialer)`:                                           "net.Dialer",
		`import n "net"; var f = n.DialTimeout`:                                           "net.DialTimeout",
		`import . "net"; var f = DialTimeout`:                                             "net, imported without a name",
		`import "net/http"; var c http.Client`:                                            "net/http.Client",
		`import "net/http"; type c struct{ *http.Transport }`:                             "net/http.Transport",
		`import web "net/http"; func f() { web.Get("") }`:                                 "net/http.Get",
		`import "crypto/tls"; var f = tls.DialWithDialer`:                                 "crypto/tls.DialWithDialer",
		`import "github.com/jackc/pgx/v5/pgxpool"`:                                        "github.com/jackc/pgx",
		`import "net"; var _, _ = net.Listen("tcp", "")`:                                  "",
		`import "net/http"; var s http.Server; func f(http.ResponseWriter) {}`:            "",
		`type net struct{ Dial int }; func f(n net) int { var net net; return net.Dial }`: "",
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\n"+text, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(waysOut(f), " "); got != want {
			t.Errorf("%s: found %q, want %q", text, got, want)
		}
	}
}

// waysOut returns what a file uses of dialers and connecting, each once.
func waysOut(f *ast.File) []string {
	var found []string
	note := func(use string) {
		if !slices.Contains(found, use) {
			found = append(found, use)
		}
	}
	names := map[string]string{} // what the file calls a package → its path
	for _, spec := range f.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		if m := under(path, connecting); m != "" {
			note(m)
		}
		if dialers[path] == nil {
			continue
		}
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if name == "." {
			note(path + ", imported without a name")
		}
		names[name] = path
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && slices.Contains(dialers[names[x.Name]], s.Sel.Name) {
				note(names[x.Name] + "." + s.Sel.Name)
			}
		}
		return true
	})
	return found
}

// product maps the files of the product, tests apart and without internal/egress,
// to their syntax.
func product(t *testing.T, root string) map[string]*ast.File {
	files := map[string]*ast.File{}
	for pkg := range packages(t, root) {
		if under(pkg, append([]string{"internal/egress"}, outside...)) != "" {
			continue
		}
		paths, err := filepath.Glob(filepath.Join(root, pkg, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files[filepath.Join(pkg, filepath.Base(path))] = f
		}
	}
	return files
}
