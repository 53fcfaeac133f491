package secretsmanager_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/internal/servertest"
)

// TestBatchGetSecretValue is spec 2.7: in the order asked for, each failure an
// entry of its own.
func TestBatchGetSecretValue(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		arn := w.createWith(t, "a", tokenA, "va")
		w.put(t, "a", tokenB, "va2")
		call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("b"), SecretBinary: []byte("vb")})
		call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("empty")})
		w.create(t, "marked", "v")
		w.mark(t, "marked")
		hidden := w.create(t, "hidden", "v")
		w.putPolicy(t, "hidden", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`)

		out := call(t, w.c.BatchGetSecretValue, &sm.BatchGetSecretValueInput{SecretIdList: []string{"b", "nope", arn, "empty", "marked", "a b", hidden, "a"}})
		var got []string
		for _, v := range out.SecretValues {
			value := string(v.SecretBinary)
			if v.SecretString != nil {
				value = *v.SecretString
			}
			got = append(got, *v.Name+"="+value)
			wantStages(t, v.VersionStages, "AWSCURRENT")
			if v.ARN == nil || v.CreatedDate == nil || v.VersionId == nil || (v.SecretString == nil) == (v.SecretBinary == nil) {
				t.Errorf("entry %v", *v.Name)
			}
		}
		if !slices.Equal(got, []string{"b=vb", "a=va2", "a=va2"}) || out.NextToken != nil {
			t.Errorf("values %v, next %v", got, out.NextToken)
		}
		w.wantEntry(t, out, 0, "nope", notFound, msgMissing)
		w.wantEntry(t, out, 1, "empty", notFound, "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT")
		w.wantEntry(t, out, 2, "marked", badRequest, msgMarked)
		w.wantEntry(t, out, 3, "a b", validation, msgName)
		w.wantEntry(t, out, 4, hidden, denied, notAllowed("arn:aws:iam::111122223333:user/admin", "GetSecretValue", hidden, resourceDeny))

		// The permission of the batch is not that of its secrets.
		ann := w.as(w.User(t, "ann", servertest.Allow("*", "secretsmanager:BatchGetSecretValue")))
		out = call(t, ann.BatchGetSecretValue, &sm.BatchGetSecretValueInput{SecretIdList: []string{"a", "nope"}})
		for i, id := range []string{"a", "nope"} {
			w.wantEntry(t, out, i, id, denied, notAllowed("arn:aws:iam::111122223333:user/ann", "GetSecretValue", id, noIdentity))
		}
	})
}

func TestBatchByFilters(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		for i := range 25 {
			w.create(t, fmt.Sprintf("s%02d", i), fmt.Sprint(i))
			w.move(time.Millisecond * 10)
		}
		w.create(t, "other", "v")
		w.create(t, "s-marked", "v")
		w.mark(t, "s-marked")
		collect := func(in sm.BatchGetSecretValueInput) (values []string, pages []int) {
			t.Helper()
			in.Filters = []types.Filter{filter("name", "s")}
			for {
				out := call(t, w.c.BatchGetSecretValue, &in)
				pages = append(pages, len(out.SecretValues))
				for _, v := range out.SecretValues {
					values = append(values, *v.SecretString)
				}
				if len(out.Errors) > 0 {
					t.Errorf("errors %v", out.Errors)
				}
				if out.NextToken == nil {
					return values, pages
				}
				in.NextToken = out.NextToken
			}
		}
		var want []string
		for i := range 25 {
			want = append(want, fmt.Sprint(i))
		}
		values, pages := collect(sm.BatchGetSecretValueInput{})
		if !slices.Equal(values, want) || pages[0] != 20 {
			t.Errorf("values %v in pages %v", values, pages)
		}
		if values, _ = collect(sm.BatchGetSecretValueInput{MaxResults: new(int32(7))}); !slices.Equal(values, want) {
			t.Errorf("values %v in pages of 7", values)
		}
	})
}

func TestBatchRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const either = "Either 'SecretIdList' or 'Filters' must be provided, but not both."
	fails(t, w.c.BatchGetSecretValue, &sm.BatchGetSecretValueInput{}, badParameter, either)
	fails(t, w.c.BatchGetSecretValue, &sm.BatchGetSecretValueInput{SecretIdList: []string{"a"}, Filters: []types.Filter{filter("name", "a")}}, badParameter, either)
	fails(t, w.c.BatchGetSecretValue, &sm.BatchGetSecretValueInput{SecretIdList: []string{"a"}, MaxResults: new(int32(1))}, badParameter,
		"'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided.")
	many := strings.Split(strings.Repeat("a ", 21), " ")[:21]
	fails(t, w.c.BatchGetSecretValue, &sm.BatchGetSecretValueInput{SecretIdList: many}, validation,
		"1 validation error detected: Value '["+strings.Join(many, ", ")+"]' at 'secretIdList' failed to satisfy constraint: Member must have length less than or equal to 20")
}
