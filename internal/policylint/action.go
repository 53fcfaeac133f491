package policylint

import (
	"strings"

	"github.com/strongroom/strongroom/internal/catalog"
	"github.com/strongroom/strongroom/internal/policy"
)

// actions reports actions that do not exist and says whether the catalog knows all
// that the statement can be about.
func (c *checker) actions(st policy.Statement, actions []string) (known bool) {
	known = true
	for _, action := range actions {
		prefix, name, found := strings.Cut(action, ":")
		switch {
		case !found || strings.ContainsAny(prefix, "*?"):
			known = false // "*" is about services that are not in the catalog too
		case !catalog.Known(prefix):
			known = false
			if near := nearService(prefix); near != "" {
				c.report(st, action, Warning, CodeUnknownService, "there is no service %s here; did you mean %s?", prefix, near)
			}
		case !matchesAny(action):
			hint := ""
			if near := nearAction(prefix, name); near != "" {
				hint = "; did you mean " + near + "?"
			}
			c.report(st, action, Error, CodeInvalidAction, "there is no action %s%s", action, hint)
		}
	}
	return known
}

func matchesAny(pattern string) bool {
	for range catalog.Match(pattern) {
		return true
	}
	return false
}

// passRole: whoever may pass every role to a service may become every role.
func (c *checker) passRole(st policy.Statement, actions, resources []string) {
	for _, action := range actions {
		if covers(strings.ToLower(action), "iam:passrole") {
			for _, resource := range resources {
				if resource == "*" && action != "*" && len(st.Conditions()) == 0 {
					c.report(st, action, SecurityWarning, CodePassRoleWithStar, "%s on every role lets the caller gain the rights of any role; name the roles", action)
					return
				}
			}
		}
	}
}

// resources reports actions that none of the statement's resources can belong to, and
// resources that none of its actions works on.
func (c *checker) resources(st policy.Statement, actions, resources []string, known bool) {
	useful := make([]bool, len(resources))
	for _, pattern := range actions {
		exists, fits, limited := false, false, false
		for action := range catalog.Match(pattern) {
			exists = true
			limited = limited || action.HasResources()
			for i, resource := range resources {
				if action.CanMatch(resource) {
					fits, useful[i] = true, true
				}
			}
		}
		switch {
		case !exists || fits || !c.onlyCatalog(pattern):
		case limited:
			c.report(st, pattern, Warning, CodeResourceMismatch, "%s works on none of the resources of the statement, which are not of its kinds: %s", pattern, kinds(pattern))
		default:
			c.report(st, pattern, Warning, CodeResourceMismatch, `%s works on no resource and matches with Resource "*" only`, pattern)
		}
	}
	if !known {
		return
	}
	for i, resource := range resources {
		if !useful[i] && len(resources) > 1 {
			c.report(st, resource, Warning, CodeResourceMismatch, "no action of the statement works on %s", resource)
		}
	}
}

// onlyCatalog reports whether a pattern matches actions of known services only.
func (c *checker) onlyCatalog(pattern string) bool {
	prefix, _, found := strings.Cut(pattern, ":")
	return found && catalog.Known(prefix)
}

// kinds lists the forms of the resources that the actions of a pattern work on.
func kinds(pattern string) string {
	var forms []string
	seen := map[string]bool{}
	for action := range catalog.Match(pattern) {
		for t := range action.ResourceTypes() {
			if !seen[t.ARN()] {
				seen[t.ARN()] = true
				forms = append(forms, t.ARN())
			}
		}
	}
	const most = 3
	if len(forms) > most {
		forms = append(forms[:most], "…")
	}
	return strings.Join(forms, ", ")
}

// nearService returns the known service that a prefix is a slip of the pen away from.
// Short prefixes are left alone: sqs is no slip for sns.
func nearService(prefix string) string {
	for known := range catalog.Services() {
		if len(known) >= 6 && distance(strings.ToLower(prefix), known) <= 2 {
			return known
		}
	}
	return ""
}

// nearAction returns the action whose name is nearest to one that does not exist, if
// any is near.
func nearAction(prefix, name string) string {
	best, nearest := "", 4
	for action := range catalog.Match(prefix + ":*") {
		if d := distance(strings.ToLower(name), strings.ToLower(action.Operation())); d < nearest {
			best, nearest = action.Name(), d
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace. Texts of very different
// lengths are not compared: the result is at least the difference.
func distance(a, b string) int {
	if d := len(a) - len(b); d > 4 || d < -4 {
		return max(d, -d)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
