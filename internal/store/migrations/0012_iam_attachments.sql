-- Who a policy is attached to is answered by this index alone. The one before it
-- left SQLite's planner to prefer the index of entities, and walk through all.
DROP INDEX iam_attachments_policy;
CREATE INDEX iam_attachments_policy ON iam_attachments (account, policy_arn, entity_id);
