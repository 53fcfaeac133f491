package iam

import "github.com/strongroom/strongroom/internal/aws"

// Unique id prefixes (spec iam-sts.md 2).
const userIDPrefix = "AIDA"

// userARN is the ARN of a user; path begins and ends with a slash.
func userARN(account, path, name string) string {
	return "arn:" + aws.Partition + ":iam::" + account + ":user" + path + name
}
