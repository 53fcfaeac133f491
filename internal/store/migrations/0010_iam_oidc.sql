-- OpenID Connect providers: whose tokens an account takes.
CREATE TABLE iam_oidc_providers (
    account     TEXT   NOT NULL,
    -- The URL without its scheme, as ARNs and condition keys have it.
    url         TEXT   NOT NULL,
    -- JSON lists of texts.
    client_ids  TEXT   NOT NULL,
    thumbprints TEXT   NOT NULL,
    -- JSON list of {"k","v"}, '' when never tagged.
    tags        TEXT   NOT NULL,
    -- A JWKS document that the operator pasted, '' when the keys are fetched.
    jwks        TEXT   NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX iam_oidc_providers_url ON iam_oidc_providers (account, url);
