package secretsmanager

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// listScan bounds how many rows one page looks at. A page may hold fewer secrets
// than asked for, even none, and still have a next one (spec 8.2).
const listScan = 1000

// listChunk is how many rows a search reads at least at a time.
const listChunk = 64

// ordering is a way to sort secrets: an expression that is unique together with
// the uid, so that a page can go on exactly behind its predecessor.
type ordering struct {
	column string
	text   bool // the column is text, else a number
	value  func(*secret) (string, int64)
}

var orderings = map[string]ordering{
	"created-date":       {"created_at", false, func(s *secret) (string, int64) { return "", s.CreatedAt.UnixMicro() }},
	"last-changed-date":  {"changed_at", false, func(s *secret) (string, int64) { return "", s.ChangedAt.UnixMicro() }},
	"last-accessed-date": {"accessed_at", false, func(s *secret) (string, int64) { return "", zeroOrMicros(s.AccessedAt) }},
	"name":               {"name", true, func(s *secret) (string, int64) { return s.Name, 0 }},
}

const defaultOrder = "created-date"

// listCursor is the last row a page looked at, and the order it was found in.
type listCursor struct {
	Order  string `json:"o"`
	Desc   bool   `json:"d,omitzero"`
	Text   string `json:"t,omitzero"`
	Number int64  `json:"n,omitzero"`
	UID    string `json:"u"`
}

// listQuery is what ListSecrets and BatchGetSecretValue search for.
type listQuery struct {
	at      place
	filters []Filter
	marked  bool // with those marked for deletion
	limit   int
	order   string
	desc    bool
	token   *string
}

// search returns a page of matching secrets and the token of the next page.
func (s *Service) search(ctx context.Context, q listQuery) (found []*secret, next *string, err error) {
	cursor := listCursor{Order: q.order, Desc: q.desc}
	if q.token != nil {
		cursor = listCursor{}
		if err := decodeToken(*q.token, &cursor); err != nil {
			return nil, nil, err
		}
		// The texts go to the database, which knows no U+0000.
		if _, known := orderings[cursor.Order]; !known || cursor.UID == "" || strings.ContainsRune(cursor.Text+cursor.UID, 0) {
			return nil, nil, errBadToken()
		}
	}
	// One row more than the page tells whether there is another; with filters a
	// small page must not read its way through many rows by twos.
	scanned, chunk := 0, q.limit+1
	if len(q.filters) > 0 || !q.marked {
		chunk = max(chunk, listChunk)
	}
	for {
		rows, err := s.scanPage(ctx, q.at, cursor, chunk)
		if err != nil {
			return nil, nil, err
		}
		for _, sec := range rows {
			if len(found) == q.limit || scanned >= listScan {
				return found, new(encodeToken(cursor)), nil
			}
			scanned++
			cursor.UID = sec.UID
			cursor.Text, cursor.Number = orderings[cursor.Order].value(sec)
			if (q.marked || sec.DeletedAt.IsZero()) && matches(sec, q.filters) {
				found = append(found, sec)
			}
		}
		if len(rows) < chunk {
			return found, nil, nil
		}
	}
}

// scanPage reads the rows behind a cursor, in its order.
func (s *Service) scanPage(ctx context.Context, at place, c listCursor, limit int) (out []*secret, err error) {
	o := orderings[c.Order]
	compare, direction := ">", "ASC"
	if c.Desc {
		compare, direction = "<", "DESC"
	}
	query := `SELECT ` + secretColumns + ` FROM secrets s WHERE s.account = $1 AND s.region = $2`
	args := []any{at.Account, at.Region, int64(limit)}
	if c.UID != "" {
		query += fmt.Sprintf(` AND (s.%s, s.uid) %s ($4, $5)`, o.column, compare)
		var key any = c.Number
		if o.text {
			key = c.Text
		}
		args = append(args, key, c.UID)
	}
	query += fmt.Sprintf(` ORDER BY s.%s %s, s.uid %s LIMIT $3`, o.column, direction, direction)
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		out, err = scanSecrets(tx.Query(query, args...))
		return err
	})
	return out, err
}

// ListSecrets lists the secrets of the caller's account in the region.
func (s *Service) ListSecrets(ctx context.Context, in *ListSecretsInput) (*ListSecretsOutput, error) {
	if err := s.auth.Authorize(ctx, &auth.Request{Action: "secretsmanager:ListSecrets", Resource: "*"}); err != nil {
		return nil, err
	}
	q := listQuery{at: here(ctx), filters: in.Filters, marked: deref(in.IncludePlannedDeletion), limit: defaultPage,
		order: defaultOrder, desc: deref(in.SortOrder) == "desc", token: in.NextToken}
	if in.MaxResults != nil {
		q.limit = int(*in.MaxResults)
	}
	if in.SortBy != nil {
		q.order = *in.SortBy
	}
	found, next, err := s.search(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &ListSecretsOutput{SecretList: []SecretListEntry{}, NextToken: next}
	for _, sec := range found {
		s.accesses.show(sec, nil)
		out.SecretList = append(out.SecretList, SecretListEntry{
			ARN: new(sec.arn()), Name: &sec.Name, Description: optional(sec.Description), KmsKeyId: shownKey(sec), Type: optional(sec.Type),
			OwningService: optional(sec.OwningService), PrimaryRegion: optional(sec.PrimaryRegion),
			CreatedDate: wireTime(sec.CreatedAt), LastChangedDate: wireTime(sec.ChangedAt),
			LastAccessedDate: wireTime(sec.AccessedAt), DeletedDate: wireTime(sec.DeletedAt),
			Tags: wireTags(sec.Tags), SecretVersionsToStages: sec.Labels.byVersion(),
		})
	}
	return out, nil
}

// defaultBatch is the page size of BatchGetSecretValue (spec 2.7, our choice).
const defaultBatch = 20

// BatchGetSecretValue opens the current values of several secrets. Each is a
// call of its own, with its own decision and record; its failure is an entry of
// Errors and fails nothing else.
func (s *Service) BatchGetSecretValue(ctx context.Context, in *BatchGetSecretValueInput) (*BatchGetSecretValueOutput, error) {
	if (len(in.SecretIdList) > 0) == (len(in.Filters) > 0) {
		return nil, wire.Invalid(ErrInvalidParameter("Either 'SecretIdList' or 'Filters' must be provided, but not both."))
	}
	if in.MaxResults != nil && len(in.Filters) == 0 {
		return nil, wire.Invalid(ErrInvalidParameter("'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided."))
	}
	if err := s.auth.Authorize(ctx, &auth.Request{Action: "secretsmanager:BatchGetSecretValue", Resource: "*"}); err != nil {
		return nil, err
	}
	out := &BatchGetSecretValueOutput{SecretValues: []SecretValueEntry{}, Errors: []APIErrorType{}}
	ids := in.SecretIdList
	if len(in.Filters) > 0 {
		if err := s.auth.Authorize(ctx, &auth.Request{Action: "secretsmanager:ListSecrets", Resource: "*"}); err != nil {
			return nil, err
		}
		q := listQuery{at: here(ctx), filters: in.Filters, limit: defaultBatch, order: defaultOrder, token: in.NextToken}
		if in.MaxResults != nil {
			q.limit = int(*in.MaxResults)
		}
		found, next, err := s.search(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, sec := range found {
			ids = append(ids, sec.arn())
		}
		out.NextToken = next
	}
	for _, id := range ids {
		one := &GetSecretValueInput{SecretId: &id}
		var got *GetSecretValueOutput
		err := s.registry.Nested(ctx, API.Name, "GetSecretValue", "", one, func(ctx context.Context) (err error) {
			got, err = s.GetSecretValue(ctx, one)
			return err
		})
		if err != nil {
			out.Errors = append(out.Errors, s.batchError(ctx, id, err))
			continue
		}
		out.SecretValues = append(out.SecretValues, SecretValueEntry{ARN: got.ARN, Name: got.Name, VersionId: got.VersionId,
			SecretString: got.SecretString, SecretBinary: got.SecretBinary, VersionStages: got.VersionStages, CreatedDate: got.CreatedDate})
	}
	return out, nil
}

// batchError is a failure as an entry; what is not for the caller's eyes is
// logged and becomes the service's internal error.
func (s *Service) batchError(ctx context.Context, id string, err error) APIErrorType {
	var e *aws.Error
	if !errors.As(err, &e) {
		s.log.ErrorContext(ctx, "cannot read secret in batch", "error", err)
		e = ErrInternalServiceError("An internal service error occurred.")
	}
	return APIErrorType{SecretId: &id, ErrorCode: &e.Code, Message: &e.Message}
}
