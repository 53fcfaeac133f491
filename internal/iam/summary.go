package iam

import (
	"context"

	"github.com/strongroom/strongroom/internal/store"
)

// GetAccountSummary counts what the account has, beside what it may have. Of what
// does not exist here, such as server certificates, it has none and may have none.
func (s *Service) GetAccountSummary(ctx context.Context, _ *GetAccountSummaryInput) (*GetAccountSummaryOutput, error) {
	account, err := s.authorizeAccount(ctx, "GetAccountSummary")
	if err != nil {
		return nil, err
	}
	counts := map[string]string{
		SummaryKeyUsers:               `SELECT COUNT(*) FROM iam_users WHERE account = $1`,
		SummaryKeyGroups:              `SELECT COUNT(*) FROM iam_groups WHERE account = $1`,
		SummaryKeyRoles:               `SELECT COUNT(*) FROM iam_roles WHERE account = $1`,
		SummaryKeyPolicies:            `SELECT COUNT(*) FROM iam_policies WHERE account = $1`,
		SummaryKeyPolicyVersionsInUse: `SELECT COUNT(*) FROM iam_policy_versions WHERE account = $1`,
		SummaryKeyProviders:           `SELECT COUNT(*) FROM iam_oidc_providers WHERE account = $1`,
		SummaryKeyMFADevices:          `SELECT COUNT(*) FROM iam_mfa_devices WHERE account = $1`,
		SummaryKeyMFADevicesInUse:     `SELECT COUNT(*) FROM iam_mfa_devices WHERE account = $1 AND user_id <> ''`,
	}
	out := map[string]int32{
		SummaryKeyUsersQuota:                    int32(s.quotas.UsersPerAccount),
		SummaryKeyGroupsQuota:                   int32(s.quotas.GroupsPerAccount),
		SummaryKeyRolesQuota:                    int32(s.quotas.RolesPerAccount),
		SummaryKeyPoliciesQuota:                 int32(s.quotas.PoliciesPerAccount),
		SummaryKeyPolicyVersionsInUseQuota:      int32(s.quotas.PoliciesPerAccount * maxVersions),
		SummaryKeyVersionsPerPolicyQuota:        maxVersions,
		SummaryKeyPolicySizeQuota:               maxManagedPolicy,
		SummaryKeyAssumeRolePolicySizeQuota:     maxTrustPolicy,
		SummaryKeyUserPolicySizeQuota:           int32(inlineSize(userKind)),
		SummaryKeyGroupPolicySizeQuota:          int32(inlineSize(groupKind)),
		SummaryKeyRolePolicySizeQuota:           int32(inlineSize(roleKind)),
		SummaryKeyAttachedPoliciesPerUserQuota:  int32(s.quotas.PoliciesPerEntity),
		SummaryKeyAttachedPoliciesPerGroupQuota: int32(s.quotas.PoliciesPerEntity),
		SummaryKeyAttachedPoliciesPerRoleQuota:  int32(s.quotas.PoliciesPerEntity),
		SummaryKeyGroupsPerUserQuota:            int32(s.quotas.GroupsPerUser),
		SummaryKeyAccessKeysPerUserQuota:        int32(s.quotas.AccessKeysPerUser),
		// Session tokens are good in every region, which AWS's are from version 2 on.
		SummaryKeyGlobalEndpointTokenVersion: 2,
		// Root has no password, no device and no certificate.
		SummaryKeyAccountPasswordPresent: 0, SummaryKeyAccountMFAEnabled: 0, SummaryKeyAccountSigningCertificatesPresent: 0,
		SummaryKeySigningCertificatesPerUserQuota: 0,
		SummaryKeyServerCertificates:              0, SummaryKeyServerCertificatesQuota: 0,
		SummaryKeyInstanceProfiles: 0, SummaryKeyInstanceProfilesQuota: 0,
	}
	err = s.db.Read(ctx, func(tx store.Tx) error {
		for key, query := range counts {
			n, err := count(tx, query, account)
			if err != nil {
				return err
			}
			out[key] = int32(n)
		}
		n, err := count(tx, `SELECT COUNT(*) FROM iam_access_keys WHERE account = $1 AND user_id = '' AND expires_at > $2`, account, tx.Now().UnixMicro())
		out[SummaryKeyAccountAccessKeysPresent] = int32(n)
		return err
	})
	return &GetAccountSummaryOutput{SummaryMap: out}, err
}
