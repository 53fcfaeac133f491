package policy

import "strings"

// Rename returns a policy with each AWS principal replaced by what principal
// returns for it, and every other byte as it was. IAM keeps documents as they were
// given, so what stands in for a principal goes into the text at its very place;
// [Render] is for the services that print policies anew.
func Rename(text string, principal func(PrincipalRef) (string, error)) (string, error) {
	root, failure := scan(text)
	if failure != nil {
		return "", failure
	}
	r := renamer{text: text, principal: principal}
	if m := root.member("Statement"); m != nil {
		if err := each(&m.value, r.statement); err != nil {
			return "", err
		}
	}
	r.out.WriteString(text[r.done:])
	return r.out.String(), nil
}

type renamer struct {
	text string
	// done is how much of text has been written.
	done      int
	out       strings.Builder
	principal func(PrincipalRef) (string, error)
}

// each calls fn for a value, or for every item of a list.
func each(n *node, fn func(*node) error) error {
	if n.kind != nodeArray {
		return fn(n)
	}
	for i := range n.items {
		if err := fn(&n.items[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *renamer) statement(st *node) error {
	for i := range st.members {
		if m := &st.members[i]; m.name == "Principal" || m.name == "NotPrincipal" {
			if aws := m.value.member("AWS"); aws != nil {
				if err := each(&aws.value, r.rename); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *renamer) rename(n *node) error {
	if n.kind != nodeString {
		return nil
	}
	name, err := r.principal(parsePrincipal("AWS", n.text))
	if err != nil || name == n.text {
		return err
	}
	r.out.WriteString(r.text[r.done:n.pos])
	r.out.WriteString(quote(name))
	r.done = n.end
	return nil
}
