package cli

import (
	"github.com/spf13/cobra"
)

func newPolicy(env *Env) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "policy",
		Short: "Check, test and explain policies, without a server",
		Long: `Test and explain policies with the engine of the server, without a server.

Both commands know this format: an object, for "test" a list of them, of

  {"name": "app reads its own",
   "identity": [POLICY, …], "resource": POLICY or null,
   "boundary": POLICY or null, "session": [POLICY, …] or null,
   "request": {
     "principal": {"type": "User", "account": "111122223333",
                   "arn": "arn:aws:iam::111122223333:user/app",
                   "userid": "AIDAEXAMPLE", "username": "app"},
     "action": "secretsmanager:GetSecretValue",
     "resource": "arn:aws:secretsmanager:us-east-1:111122223333:secret:app/db-AbCdEf",
     "context": {"aws:SourceIp": "10.0.0.1"}},
   "expect": "allow", "explicitDeny" or "implicitDeny"}

Types of principals are User, AssumedRole (with roleArn), FederatedUser (with
userArn), Root, Service (with service) and Anonymous.`,
	})
	c.AddCommand(newPolicyCheck(env), newPolicyTest(env), newPolicyExplain(env))
	return c
}
