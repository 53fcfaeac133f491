package iam

// boundaryType is how AWS spells the only type of boundary in answers; its model
// has another word, PermissionsBoundaryPolicy (IAM User Guide, CLI examples).
const boundaryType = "Policy"

func wireBoundary(arn string) *AttachedPermissionsBoundary {
	if arn == "" {
		return nil
	}
	return &AttachedPermissionsBoundary{PermissionsBoundaryType: new(boundaryType), PermissionsBoundaryArn: &arn}
}
