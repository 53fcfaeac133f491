package iam

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
)

// reportLife is how long a credential report is good for: as long, no other is made
// (API Reference, GenerateCredentialReport).
const reportLife = 4 * time.Hour

// report is a row of iam_credential_reports.
type report struct {
	// RequestedAt is zero once the report that was asked for is made.
	RequestedAt time.Time
	// GeneratedAt is zero while there is none.
	GeneratedAt time.Time
	Content     string
}

// fresh reports whether it is good. One of a time that has not come was made while the
// clock was ahead.
func (r *report) fresh(now time.Time) bool {
	age := now.Sub(r.GeneratedAt)
	return age >= 0 && age < reportLife
}

// GenerateCredentialReport asks for a report, which a job makes, unless there is
// one that is good.
func (s *Service) GenerateCredentialReport(ctx context.Context, _ *GenerateCredentialReportInput) (*GenerateCredentialReportOutput, error) {
	account, err := s.authorizeAccount(ctx, "GenerateCredentialReport")
	if err != nil {
		return nil, err
	}
	var out *GenerateCredentialReportOutput
	// Not Write: it is a read, by its access level and in CloudTrail's records. What
	// is written follows from what is there.
	err = s.db.Maintain(ctx, func(tx store.Tx) error {
		out = &GenerateCredentialReportOutput{}
		r, err := getReport(tx, account)
		none := errors.Is(err, store.ErrNoRows)
		switch {
		case err != nil && !none:
			return err
		case !none && !r.RequestedAt.IsZero():
			out.State = new(ReportStateInprogress)
			return nil
		case !none && r.fresh(tx.Now()):
			out.State = new(ReportStateComplete)
			return nil
		case none:
			out.Description = new("No report exists. Starting a new report generation task")
		}
		out.State = new(ReportStateStarted)
		r.RequestedAt = tx.Now()
		return saveReport(tx, account, r)
	})
	return out, err
}

// GetCredentialReport returns the latest report.
func (s *Service) GetCredentialReport(ctx context.Context, _ *GetCredentialReportInput) (*GetCredentialReportOutput, error) {
	account, err := s.authorizeAccount(ctx, "GetCredentialReport")
	if err != nil {
		return nil, err
	}
	var r report
	var now time.Time
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		now = tx.Now()
		r, err = getReport(tx, account)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNoRows):
		return nil, ErrCredentialReportNotPresent()
	case err != nil:
		return nil, err
	case !r.RequestedAt.IsZero():
		return nil, ErrCredentialReportNotReady()
	case !r.fresh(now):
		return nil, ErrCredentialReportExpired()
	}
	return &GetCredentialReportOutput{Content: []byte(r.Content), ReportFormat: new(ReportFormatTextCsv), GeneratedTime: wireTime(r.GeneratedAt)}, nil
}

// MakeReports makes the credential reports that were asked for; a job calls it on
// every node: looking costs a read, a lease would cost a write, and a report that
// two nodes make is the same. One that cannot be made does not keep the others back.
func (s *Service) MakeReports(ctx context.Context) error {
	var accounts []string
	err := s.db.Read(ctx, func(tx store.Tx) (err error) {
		accounts, err = collect(tx, scanText, `SELECT account FROM iam_credential_reports WHERE requested_at <> 0 ORDER BY requested_at`)
		return err
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, account := range accounts {
		if err := s.makeReport(ctx, account); err != nil {
			errs = append(errs, fmt.Errorf("report of account %s: %w", account, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Service) makeReport(ctx context.Context, account string) error {
	var r report
	err := s.db.Read(ctx, func(tx store.Tx) (err error) {
		r = report{GeneratedAt: tx.Now()}
		r.Content, err = credentialReport(tx, account)
		return err
	})
	if err != nil {
		return err
	}
	return s.db.Maintain(ctx, func(tx store.Tx) error { return saveReport(tx, account, r) })
}

// reportColumns are AWS's (IAM User Guide, "Understanding the report format").
var reportColumns = []string{
	"user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed", "password_next_rotation", "mfa_active",
	"access_key_1_active", "access_key_1_last_rotated", "access_key_1_last_used_date", "access_key_1_last_used_region", "access_key_1_last_used_service",
	"access_key_2_active", "access_key_2_last_rotated", "access_key_2_last_used_date", "access_key_2_last_used_region", "access_key_2_last_used_service",
	"cert_1_active", "cert_1_last_rotated", "cert_2_active", "cert_2_last_rotated",
}

// What stands where there is nothing to say, nothing that is known, and nothing
// that could be.
const (
	reportNone        = "N/A"
	reportUnknown     = "no_information"
	reportUnsupported = "not_supported"
)

// credentialReport describes root and every user of an account, in name order. The
// form has room for two keys: where the quota lets users have more, the oldest two
// are shown.
func credentialReport(tx store.Tx, account string) (string, error) {
	f := facts{keys: map[string][]accessKey{}, logins: map[string]loginProfile{}, devices: map[string]bool{}}
	if err := f.read(tx, account); err != nil {
		return "", err
	}
	var created int64
	if err := tx.QueryRow(`SELECT created_at FROM accounts WHERE account = $1`, account).Scan(&created); err != nil {
		return "", err
	}
	users, err := collect(tx, scanUser, `SELECT `+userColumns+` FROM iam_users WHERE account = $1 ORDER BY name_fold`, account)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{reportColumns, f.row("<root_account>", aws.RootARN(account), aws.Micros(created), "",
		[]string{reportUnsupported, reportUnknown, reportUnsupported, reportUnsupported})}
	for _, u := range users {
		rows = append(rows, f.row(u.Name, u.arn(), u.CreatedAt, u.ID, f.password(u.ID)))
	}
	err = w.WriteAll(rows)
	return b.String(), err
}

// facts are what an account's report is made from, by unique ids of users, "" for
// root.
type facts struct {
	keys    map[string][]accessKey
	logins  map[string]loginProfile
	devices map[string]bool
	policy  passwordPolicy
}

func (f *facts) read(tx store.Tx, account string) error {
	keys, err := collect(tx, scanAccessKey, `SELECT `+accessKeyColumns+` FROM iam_access_keys WHERE account = $1`, account)
	if err != nil {
		return err
	}
	for _, k := range keys {
		// Root's keys end by themselves.
		if k.ExpiresAt.IsZero() || tx.Now().Before(k.ExpiresAt) {
			f.keys[k.UserID] = append(f.keys[k.UserID], k)
		}
	}
	logins, err := collect(tx, scanLoginProfile, `SELECT `+loginColumns+` FROM iam_login_profiles WHERE account = $1`, account)
	if err != nil {
		return err
	}
	for _, p := range logins {
		f.logins[p.UserID] = p
	}
	holders, err := collect(tx, scanText, `SELECT DISTINCT user_id FROM iam_mfa_devices WHERE account = $1 AND user_id <> ''`, account)
	if err != nil {
		return err
	}
	for _, id := range holders {
		f.devices[id] = true
	}
	f.policy, err = passwordPolicyOf(tx, account)
	return err
}

// password are the columns about a user's password. Nothing signs in with one yet,
// so none was used.
func (f *facts) password(userID string) []string {
	p, ok := f.logins[userID]
	if !ok {
		return []string{"false", reportNone, reportNone, reportNone}
	}
	next := reportNone
	if at := f.policy.expires(p.ChangedAt); !at.IsZero() {
		next = reportTime(at)
	}
	return []string{"true", reportUnknown, reportTime(p.ChangedAt), next}
}

func (f *facts) row(name, arn string, created time.Time, userID string, password []string) []string {
	row := append([]string{name, arn, reportTime(created)}, password...)
	row = append(row, strconv.FormatBool(f.devices[userID]))
	keys := f.keys[userID]
	slices.SortFunc(keys, func(a, b accessKey) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.KeyID, b.KeyID))
	})
	for i := range 2 {
		if i >= len(keys) {
			row = append(row, "false", reportNone, reportNone, reportNone, reportNone)
			continue
		}
		k := keys[i]
		row = append(row, strconv.FormatBool(k.Active), reportTime(k.CreatedAt))
		if k.Used.at == 0 {
			row = append(row, reportNone, reportNone, reportNone)
		} else {
			row = append(row, reportTime(aws.Micros(k.Used.at)), k.Used.region, k.Used.service)
		}
	}
	return append(row, "false", reportNone, "false", reportNone) // nobody has signing certificates
}

// reportTime is how the report spells times.
func reportTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05-07:00") }

func getReport(tx store.Tx, account string) (r report, err error) {
	var requested, generated int64
	err = tx.QueryRow(`SELECT requested_at, generated_at, content FROM iam_credential_reports WHERE account = $1`, account).Scan(&requested, &generated, &r.Content)
	r.RequestedAt, r.GeneratedAt = microsOrZero(requested), microsOrZero(generated)
	return r, err
}

func saveReport(tx store.Tx, account string, r report) error {
	_, err := tx.Exec(`INSERT INTO iam_credential_reports (account, requested_at, generated_at, content) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account) DO UPDATE SET requested_at = $2, generated_at = $3, content = $4`,
		account, zeroOrMicros(r.RequestedAt), zeroOrMicros(r.GeneratedAt), r.Content)
	return err
}
