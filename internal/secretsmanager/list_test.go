package secretsmanager_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/internal/servertest"
)

// filter makes a filter; a value is one, however many words it has.
func filter(key string, values ...string) types.Filter {
	return types.Filter{Key: types.FilterNameStringType(key), Values: values}
}

// names lists the names of what a search finds, page by page.
func (w *world) names(t testing.TB, in sm.ListSecretsInput) []string {
	t.Helper()
	out := []string{}
	for range 1000 {
		page := call(t, w.c.ListSecrets, &in)
		if in.MaxResults != nil && len(page.SecretList) > int(*in.MaxResults) {
			t.Fatalf("page of %d, asked for %d", len(page.SecretList), *in.MaxResults)
		}
		for _, s := range page.SecretList {
			out = append(out, *s.Name)
		}
		if page.NextToken == nil {
			return out
		}
		in.NextToken = page.NextToken
	}
	t.Fatal("paging does not end")
	return nil
}

// TestListOrder is spec 8.2: every order, both ways, in pages of every size.
func TestListOrder(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		// Bytewise order of names differs from that of a language.
		created := []string{"b", "B", "a/1", "a-1", "Z", "_x", "a"}
		for _, n := range created {
			w.create(t, n, "v")
			w.move(time.Second)
		}
		for _, n := range []string{"Z", "b", "_x"} {
			call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: &n, Description: new("d")})
			w.move(time.Second)
		}
		for _, n := range []string{"a", "B"} {
			w.get(t, n)
			w.jobs()
			w.move(24 * time.Hour)
		}
		byName := []string{"B", "Z", "_x", "a", "a-1", "a/1", "b"}
		changed := []string{"B", "a/1", "a-1", "a", "Z", "b", "_x"}
		for _, page := range []int32{1, 2, 3, 6, 7, 100} {
			for name, c := range map[string]struct {
				by    types.SortByType
				order types.SortOrderType
				want  []string
			}{
				"default":         {"", "", created},
				"ascending":       {"", types.SortOrderTypeAsc, created},
				"descending":      {"", types.SortOrderTypeDesc, reversed(created)},
				"created":         {types.SortByTypeCreatedDate, types.SortOrderTypeAsc, created},
				"created, desc":   {types.SortByTypeCreatedDate, types.SortOrderTypeDesc, reversed(created)},
				"changed":         {types.SortByTypeLastChangedDate, "", changed},
				"changed, desc":   {types.SortByTypeLastChangedDate, types.SortOrderTypeDesc, reversed(changed)},
				"name":            {types.SortByTypeName, "", byName},
				"name, ascending": {types.SortByTypeName, types.SortOrderTypeAsc, byName},
				"name, desc":      {types.SortByTypeName, types.SortOrderTypeDesc, reversed(byName)},
			} {
				if got := w.names(t, sm.ListSecretsInput{SortBy: c.by, SortOrder: c.order, MaxResults: &page}); !slices.Equal(got, c.want) {
					t.Errorf("%s in pages of %d: %v, want %v", name, page, got, c.want)
				}
			}
			// Those never read come first, in an order of their own.
			got := w.names(t, sm.ListSecretsInput{SortBy: types.SortByTypeLastAccessedDate, MaxResults: &page})
			if len(got) != 7 || !slices.Equal(got[5:], []string{"a", "B"}) {
				t.Errorf("by access in pages of %d: %v", page, got)
			}
			got = w.names(t, sm.ListSecretsInput{SortBy: types.SortByTypeLastAccessedDate, SortOrder: types.SortOrderTypeDesc, MaxResults: &page})
			if len(got) != 7 || !slices.Equal(got[:2], []string{"B", "a"}) {
				t.Errorf("by access, descending, in pages of %d: %v", page, got)
			}
		}
		for _, garbage := range badTokens {
			fails(t, w.c.ListSecrets, &sm.ListSecretsInput{NextToken: &garbage}, badToken, msgBadPage)
			fails(t, w.c.BatchGetSecretValue, &sm.BatchGetSecretValueInput{Filters: []types.Filter{filter("name", "a")}, NextToken: &garbage}, badToken, msgBadPage)
		}
	})
}

func reversed(list []string) []string {
	out := slices.Clone(list)
	slices.Reverse(out)
	return out
}

// TestListWhileChanging: what is there all the time comes exactly once, whatever
// is made and deleted between the pages.
func TestListWhileChanging(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 10 {
		w.create(t, fmt.Sprintf("stays%d", i), "v")
		w.create(t, fmt.Sprintf("goes%d", i), "v")
	}
	seen := map[string]int{}
	in := &sm.ListSecretsInput{MaxResults: new(int32(3)), SortBy: types.SortByTypeName}
	for i := 0; ; i++ {
		out := call(t, w.c.ListSecrets, in)
		for _, s := range out.SecretList {
			seen[*s.Name]++
		}
		if out.NextToken == nil {
			break
		}
		in.NextToken = out.NextToken
		call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: new(fmt.Sprintf("goes%d", i)), ForceDeleteWithoutRecovery: new(true)})
		w.create(t, fmt.Sprintf("new%d", i), "v")
	}
	for i := range 10 {
		if n := seen[fmt.Sprintf("stays%d", i)]; n != 1 {
			t.Errorf("stays%d came %d times", i, n)
		}
	}
}

// TestListLimits: the constraints of the model, and 100 secrets a page.
func TestListLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 101 {
		call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new(fmt.Sprintf("s%03d", i))})
	}
	out := call(t, w.c.ListSecrets, &sm.ListSecretsInput{})
	if len(out.SecretList) != 100 || out.NextToken == nil {
		t.Errorf("default page of %d, next %v", len(out.SecretList), out.NextToken)
	}
	// A search that finds little reads much, and still ends; the last page is one.
	if got := w.names(t, sm.ListSecretsInput{MaxResults: new(int32(1)), Filters: []types.Filter{filter("name", "s100")}}); !slices.Equal(got, []string{"s100"}) {
		t.Errorf("found %v", got)
	}
	eleven := make([]types.Filter, 11)
	for i := range eleven {
		eleven[i] = filter("name", "s")
	}
	const head = "1 validation error detected: Value "
	for name, c := range map[string]struct{ body, message string }{
		"page of none":    {`{"MaxResults":0}`, head + `'0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1`},
		"page too large":  {`{"MaxResults":101}`, head + `'101' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 100`},
		"empty token":     {`{"NextToken":""}`, head + `'' at 'nextToken' failed to satisfy constraint: Member must have length greater than or equal to 1`},
		"unknown order":   {`{"SortOrder":"up"}`, head + `'up' at 'sortOrder' failed to satisfy constraint: Member must satisfy enum value set: [asc, desc]`},
		"unknown key":     {`{"Filters":[{"Key":"x","Values":["a"]}]}`, head + `'x' at 'filters.1.member.key' failed to satisfy constraint: Member must satisfy enum value set: [description, name, tag-key, tag-value, primary-region, owning-service, all]`},
		"no values":       {`{"Filters":[{"Key":"name","Values":[]}]}`, head + `'[]' at 'filters.1.member.values' failed to satisfy constraint: Member must have length greater than or equal to 1`},
		"odd value":       {`{"Filters":[{"Key":"name","Values":["a*"]}]}`, head + `'a*' at 'filters.1.member.values.1.member' failed to satisfy constraint: Member must satisfy regular expression pattern: ^\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*$`},
		"batch too large": {`{"MaxResults":21,"Filters":[{"Key":"name","Values":["a"]}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.message == "" {
				w.rawFails(t, "BatchGetSecretValue", c.body, validation, head+`'21' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 20`)
				return
			}
			w.rawFails(t, "ListSecrets", c.body, validation, c.message)
		})
	}
	_, err := w.c.ListSecrets(t.Context(), &sm.ListSecretsInput{Filters: eleven})
	if err == nil {
		t.Error("eleven filters are accepted")
	}
	call(t, w.c.ListSecrets, &sm.ListSecretsInput{Filters: eleven[:10]})
}

// TestListDenied: listing is one permission, and a filter's batch needs it too
// (spec 10.2).
func TestListDenied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "s", "v")
	ann := w.as(w.User(t, "ann", servertest.Allow("*", "secretsmanager:BatchGetSecretValue", "secretsmanager:GetSecretValue")))
	call(t, ann.BatchGetSecretValue, &sm.BatchGetSecretValueInput{SecretIdList: []string{"s"}})
	fails(t, ann.BatchGetSecretValue, &sm.BatchGetSecretValueInput{Filters: []types.Filter{filter("name", "s")}}, denied,
		notAllowed("arn:aws:iam::111122223333:user/ann", "ListSecrets", "", noIdentity))
}

// TestFilters is spec 8.1 with each of its examples.
func TestFilters(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		for _, s := range []struct {
			name, description string
			tags              []types.Tag
		}{
			{"prod/myDb", "alphabet soup for the Team", tags("Env=prod", "cost center=HTTPServer 42")},
			{"Prod/other", "thealpha is no prefix", tags("env=test", "empty=")},
			{"test+a=b.c@d-e", "well-known DB1", tags("Stage=Alpha Beta")},
			{"bare", "", nil},
		} {
			in := &sm.CreateSecretInput{Name: &s.name, SecretString: new("v"), Tags: s.tags}
			if s.description != "" {
				in.Description = &s.description
			}
			call(t, w.c.CreateSecret, in)
			w.move(time.Millisecond * 10)
		}
		call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("copied"), AddReplicaRegions: []types.ReplicaRegionType{{Region: new("eu-west-1")}}})
		my, other, odd, bare, copied := "prod/myDb", "Prod/other", "test+a=b.c@d-e", "bare", "copied"
		for _, c := range []struct {
			filters []types.Filter
			want    []string
		}{
			{[]types.Filter{filter("name", "prod")}, []string{my}},
			{[]types.Filter{filter("name", "Prod")}, []string{other}},
			{[]types.Filter{filter("name", "myDb")}, nil},
			{[]types.Filter{filter("name", "")}, []string{my, other, odd, bare, copied}},
			{[]types.Filter{filter("name", "prod/myDb")}, []string{my}},
			{[]types.Filter{filter("name", "test+a=b.c@d-")}, []string{odd}},
			{[]types.Filter{filter("name", "prod", "Prod")}, []string{my, other}},
			{[]types.Filter{filter("name", "prod"), filter("name", "Prod")}, nil},
			{[]types.Filter{filter("name", "prod"), filter("name", "prod/my")}, []string{my}},
			{[]types.Filter{filter("name", "prod"), filter("tag-key", "Env")}, []string{my}},
			{[]types.Filter{filter("name", "!prod")}, []string{other, odd, bare, copied}},
			{[]types.Filter{filter("name", "!prod"), filter("name", "!Prod")}, []string{odd, bare, copied}},
			{[]types.Filter{filter("name", "!prod", "!Prod")}, []string{my, other, odd, bare, copied}},
			{[]types.Filter{filter("name", "bare", "!Prod")}, []string{my, odd, bare, copied}},
			{[]types.Filter{filter("tag-key", "env")}, []string{other}},
			{[]types.Filter{filter("tag-key", "En")}, []string{my}},
			{[]types.Filter{filter("tag-key", "cost cen")}, []string{my}},
			{[]types.Filter{filter("tag-key", "center")}, nil},
			{[]types.Filter{filter("tag-key", "!Env")}, []string{other, odd, bare, copied}},
			{[]types.Filter{filter("tag-value", "Alpha B")}, []string{odd}},
			{[]types.Filter{filter("tag-value", "Beta")}, nil},
			{[]types.Filter{filter("tag-value", "alpha")}, nil},
			{[]types.Filter{filter("tag-value", "!Alpha")}, []string{my, other, bare, copied}},
			{[]types.Filter{filter("primary-region", "us-")}, []string{copied}},
			{[]types.Filter{filter("primary-region", "eu-")}, nil},
			{[]types.Filter{filter("primary-region", "!us-east-1")}, []string{my, other, odd, bare}},
			{[]types.Filter{filter("owning-service", "rds")}, nil},
			{[]types.Filter{filter("description", "alpha")}, []string{my}},
			{[]types.Filter{filter("description", "SOUP alphabet")}, []string{my}},
			{[]types.Filter{filter("description", "alphabet nothing")}, nil},
			{[]types.Filter{filter("description", "!alpha")}, []string{other, odd, bare, copied}},
			{[]types.Filter{filter("description", "known")}, []string{odd}},
			{[]types.Filter{filter("description", "well-known")}, []string{odd}},
			{[]types.Filter{filter("description", "db1")}, []string{odd}},
			{[]types.Filter{filter("description", "-")}, nil},
			{[]types.Filter{filter("all", "my")}, []string{my}},
			{[]types.Filter{filter("all", "MY")}, []string{my}},
			{[]types.Filter{filter("all", "db")}, []string{my, odd}},
			{[]types.Filter{filter("all", "prod")}, []string{my, other}},
			{[]types.Filter{filter("all", "prod soup")}, []string{my}},
			{[]types.Filter{filter("all", "server")}, []string{my}},
			{[]types.Filter{filter("all", "http")}, []string{my}},
			{[]types.Filter{filter("all", "erver")}, nil},
			{[]types.Filter{filter("all", "42")}, []string{my}},
			{[]types.Filter{filter("all", "beta")}, []string{odd}},
			{[]types.Filter{filter("all", "stage")}, []string{odd}},
			{[]types.Filter{filter("all", "/")}, nil},
			{[]types.Filter{filter("all", "@./")}, nil},
			{[]types.Filter{filter("all", "")}, nil},
			{[]types.Filter{filter("all", "!prod")}, []string{odd, bare, copied}},
			{[]types.Filter{filter("all", "prod/other")}, []string{other}},
		} {
			shown := ""
			for _, f := range c.filters {
				shown += fmt.Sprintf(" %s %q", f.Key, f.Values)
			}
			for _, page := range []int32{1, 2, 100} {
				if got := w.names(t, sm.ListSecretsInput{Filters: c.filters, MaxResults: &page}); !slices.Equal(got, c.want) && len(got)+len(c.want) > 0 {
					t.Errorf("filters%s in pages of %d: %q, want %q", shown, page, got, c.want)
				}
			}
		}
	})
}
