-- Wrong old passwords in a row, and until when none is looked at, as
-- iam_mfa_devices has it for codes.
ALTER TABLE iam_login_profiles ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE iam_login_profiles ADD COLUMN blocked_until BIGINT NOT NULL DEFAULT 0;
