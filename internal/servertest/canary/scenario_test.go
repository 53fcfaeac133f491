package canary_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	"github.com/strongroom/strongroom/internal/servertest"
)

// scenario performs every operation that is built, with values wherever one may
// stand, and takes down what the server makes up.
func (w *world) scenario() {
	w.iamScenario()
	w.roleScenario()
	w.credentialScenario()
	w.sessionScenario()
	key := w.kmsScenario()
	w.secretsScenario(key)
	w.replicationScenario()
	w.brokenKeyScenario()
	w.ok(stsService, "GetCallerIdentity", nil)
	w.denialScenario()
}

var requestID = regexp.MustCompile(`(?i)x-amzn-requestid:\[?([0-9a-f-]{36})`)

// denialScenario asks why each call was denied that brought a value and had no
// permission: the answers are searched as all are, and in the database their text
// is compressed.
func (w *world) denialScenario() {
	w.Helper()
	asked := 0
	for _, a := range w.answers {
		if a.success || !strings.Contains(string(a.bytes), "is not authorized to perform") {
			continue
		}
		id := requestID.FindStringSubmatch(string(a.bytes))
		if id == nil {
			w.Fatalf("no request id in %s", a.bytes)
		}
		members := m{"EncodedMessage": id[1]}
		if asked++; asked == 1 {
			w.ok(stsService, "DecodeAuthorizationMessage", members)
			continue
		}
		if status, got := w.send(w.request(stsService, "DecodeAuthorizationMessage", w.encode(stsService, "DecodeAuthorizationMessage", members))); status != http.StatusOK {
			w.Errorf("the denial of %s is not explained: %s", a.operation, got)
		}
	}
	if asked < 50 {
		w.Errorf("%d denials were explained", asked)
	}
}

func (w *world) iamScenario() {
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*"}]}`
	do := func(operation string, members m) m { w.Helper(); return w.ok(iamService, operation, members) }
	do("CreateUser", m{"UserName": "alice", "Tags.member.1.Key": "team", "Tags.member.1.Value": "a"})
	made := do("CreateAccessKey", m{"UserName": "alice"})
	w.add(kindKey+" of alice", []byte(w.element(made, "SecretAccessKey")))
	id := w.element(made, "AccessKeyId")
	do("ListAccessKeys", m{"UserName": "alice"})
	do("UpdateAccessKey", m{"UserName": "alice", "AccessKeyId": id, "Status": "Inactive"})
	do("PutUserPolicy", m{"UserName": "alice", "PolicyName": "p", "PolicyDocument": policy})
	do("GetUserPolicy", m{"UserName": "alice", "PolicyName": "p"})
	do("ListUserPolicies", m{"UserName": "alice"})
	do("GetUser", m{"UserName": "alice"})
	do("ListUsers", nil)
	w.no("DeleteConflict", iamService, "DeleteUser", m{"UserName": "alice"})
	do("DeleteUserPolicy", m{"UserName": "alice", "PolicyName": "p"})
	do("DeleteAccessKey", m{"UserName": "alice", "AccessKeyId": id})
	do("DeleteUser", m{"UserName": "alice"})
	w.no("NoSuchEntity", iamService, "CreateAccessKey", m{"UserName": "alice"})
}

func (w *world) roleScenario() {
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*"}]}`
	const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + servertest.Account + `"},"Action":"sts:AssumeRole"}]}`
	do := func(operation string, members m) m { w.Helper(); return w.ok(iamService, operation, members) }
	role := func(more ...string) m {
		all := m{"RoleName": "app"}
		for i := 0; i < len(more); i += 2 {
			all[more[i]] = more[i+1]
		}
		return all
	}
	do("CreateRole", role("AssumeRolePolicyDocument", trust))
	do("GetRole", role())
	do("ListRoles", nil)
	do("UpdateRole", role("MaxSessionDuration", "7200"))
	do("UpdateRoleDescription", role("Description", "d"))
	do("UpdateAssumeRolePolicy", role("PolicyDocument", trust))
	do("TagRole", role("Tags.member.1.Key", "team", "Tags.member.1.Value", "a"))
	do("ListRoleTags", role())
	do("UntagRole", role("TagKeys.member.1", "team"))
	do("PutRolePolicy", role("PolicyName", "p", "PolicyDocument", policy))
	do("GetRolePolicy", role("PolicyName", "p"))
	do("ListRolePolicies", role())
	do("DeleteRolePolicy", role("PolicyName", "p"))

	const arn = "arn:aws:iam::" + servertest.Account + ":policy/managed"
	do("CreatePolicy", m{"PolicyName": "managed", "PolicyDocument": policy})
	do("GetPolicy", m{"PolicyArn": arn})
	do("CreateUser", m{"UserName": "carol"})
	do("CreateGroup", m{"GroupName": "bound"})
	do("PutGroupPolicy", m{"GroupName": "bound", "PolicyName": "p", "PolicyDocument": policy})
	do("GetGroupPolicy", m{"GroupName": "bound", "PolicyName": "p"})
	do("ListGroupPolicies", m{"GroupName": "bound"})
	do("DeleteGroupPolicy", m{"GroupName": "bound", "PolicyName": "p"})
	for _, e := range []string{"User", "Group", "Role"} {
		name := map[string]string{"User": "carol", "Group": "bound", "Role": "app"}[e]
		do("Attach"+e+"Policy", m{e + "Name": name, "PolicyArn": arn})
		do("ListAttached"+e+"Policies", m{e + "Name": name})
		do("Detach"+e+"Policy", m{e + "Name": name, "PolicyArn": arn})
	}
	do("ListPolicies", nil)
	do("GetAccountAuthorizationDetails", nil)
	w.no("InvalidInput", iamService, "CreateServiceLinkedRole", m{"AWSServiceName": "kms.amazonaws.com"})
	w.no("NoSuchEntity", iamService, "DeleteServiceLinkedRole", role())
	do("SimulateCustomPolicy", m{"PolicyInputList.member.1": policy, "ActionNames.member.1": "secretsmanager:GetSecretValue"})
	do("SimulatePrincipalPolicy", m{"PolicySourceArn": "arn:aws:iam::" + servertest.Account + ":user/carol", "ActionNames.member.1": "secretsmanager:GetSecretValue"})
	do("ListEntitiesForPolicy", m{"PolicyArn": arn})
	do("TagPolicy", m{"PolicyArn": arn, "Tags.member.1.Key": "team", "Tags.member.1.Value": "a"})
	do("ListPolicyTags", m{"PolicyArn": arn})
	do("UntagPolicy", m{"PolicyArn": arn, "TagKeys.member.1": "team"})
	do("CreatePolicyVersion", m{"PolicyArn": arn, "PolicyDocument": policy})
	do("GetPolicyVersion", m{"PolicyArn": arn, "VersionId": "v2"})
	do("ListPolicyVersions", m{"PolicyArn": arn})
	do("SetDefaultPolicyVersion", m{"PolicyArn": arn, "VersionId": "v2"})
	do("DeletePolicyVersion", m{"PolicyArn": arn, "VersionId": "v1"})
	do("PutUserPermissionsBoundary", m{"UserName": "carol", "PermissionsBoundary": arn})
	do("PutRolePermissionsBoundary", role("PermissionsBoundary", arn))
	do("DeleteUserPermissionsBoundary", m{"UserName": "carol"})
	do("DeleteRolePermissionsBoundary", role())
	do("DeleteUser", m{"UserName": "carol"})
	do("DeleteGroup", m{"GroupName": "bound"})
	do("DeletePolicy", m{"PolicyArn": arn})
	do("DeleteRole", role())
}

// kmsScenario returns the id of a key that stays.
func (w *world) kmsScenario() string {
	do := func(operation string, members m) m { w.Helper(); return w.ok(kmsService, operation, members) }
	no := func(code, operation string, members m) { w.Helper(); w.no(code, kmsService, operation, members) }
	create := func(description string) string {
		return do("CreateKey", m{"Description": description})["KeyMetadata"].(m)["KeyId"].(string)
	}
	key, other := create("stays"), create("goes")
	do("CreateAlias", m{"AliasName": "alias/canary", "TargetKeyId": key})
	do("DescribeKey", m{"KeyId": "alias/canary"})
	do("ListKeys", nil)
	do("ListAliases", nil)
	do("ListKeyPolicies", m{"KeyId": key})
	policy := do("GetKeyPolicy", m{"KeyId": key})["Policy"]
	do("PutKeyPolicy", m{"KeyId": key, "Policy": policy})

	context := m{"purpose": "test"}
	for _, plain := range [][]byte{w.bytes(kindPlain + ": bytes"), []byte(w.text(kindPlain + ": text")), []byte(w.long(kindPlain+": long", 4096))} {
		blob := do("Encrypt", m{"KeyId": key, "Plaintext": plain, "EncryptionContext": context})["CiphertextBlob"]
		do("Decrypt", m{"CiphertextBlob": blob, "EncryptionContext": context})
		no("DryRunOperationException", "Decrypt", m{"CiphertextBlob": blob, "EncryptionContext": context, "DryRun": true})
		no("DryRunOperationException", "Encrypt", m{"KeyId": key, "Plaintext": plain, "DryRun": true})
		no("InvalidCiphertextException", "Decrypt", m{"CiphertextBlob": blob})
		no("IncorrectKeyException", "Decrypt", m{"CiphertextBlob": blob, "EncryptionContext": context, "KeyId": other})
		no("InvalidGrantTokenException", "Encrypt", m{"KeyId": key, "Plaintext": plain, "GrantTokens": []string{"unknown"}})
		no("NotFoundException", "Encrypt", m{"KeyId": "00000000-0000-0000-0000-000000000000", "Plaintext": plain})
		no("NotFoundException", "Encrypt", m{"KeyId": "alias/none", "Plaintext": plain})
		no("ValidationException", "Encrypt", m{"KeyId": key, "Plaintext": plain, "EncryptionContext": m{"k": strings.Repeat("x", 9000)}})
		no("", "Encrypt", m{"KeyId": key, "Plaintext": plain, "EncryptionAlgorithm": "RSAES_OAEP_SHA_1"})
		no("", "Encrypt", m{"KeyId": strings.Repeat("k", 3000), "Plaintext": plain})
	}
	no("ValidationException", "Encrypt", m{"KeyId": key, "Plaintext": []byte(w.long(kindRefused+": plaintext too long", 4097))})
	// A plaintext that somebody takes for a ciphertext.
	no("InvalidCiphertextException", "Decrypt", m{"CiphertextBlob": w.bytes(kindRefused + ": no ciphertext")})

	for _, ask := range []m{{"KeySpec": "AES_256"}, {"KeySpec": "AES_128"}, {"NumberOfBytes": 1024}} {
		ask["KeyId"] = key
		made := do("GenerateDataKey", ask)
		plain, err := base64.StdEncoding.DecodeString(made["Plaintext"].(string))
		if err != nil {
			w.Fatal(err)
		}
		w.add(kindDataKey+" of GenerateDataKey", plain[:min(len(plain), 64)])
		do("Decrypt", m{"CiphertextBlob": made["CiphertextBlob"]})
	}
	no("ValidationException", "GenerateDataKey", m{"KeyId": key})

	blob := do("Encrypt", m{"KeyId": other, "Plaintext": w.bytes(kindPlain + ": under a key that is disabled")})["CiphertextBlob"]
	do("DisableKey", m{"KeyId": other})
	no("DisabledException", "Encrypt", m{"KeyId": other, "Plaintext": w.bytes(kindRefused + ": for a disabled key")})
	no("DisabledException", "Decrypt", m{"CiphertextBlob": blob})
	do("EnableKey", m{"KeyId": other})
	do("ScheduleKeyDeletion", m{"KeyId": other, "PendingWindowInDays": 7})
	no("KMSInvalidStateException", "Decrypt", m{"CiphertextBlob": blob})
	no("KMSInvalidStateException", "Encrypt", m{"KeyId": other, "Plaintext": w.bytes(kindRefused + ": for a key that goes")})
	do("CancelKeyDeletion", m{"KeyId": other})
	return key
}

func (w *world) secretsScenario(key string) {
	do := func(operation string, members m) m { w.Helper(); return w.ok(secretsService, operation, members) }
	no := func(code, operation string, members m) { w.Helper(); w.no(code, secretsService, operation, members) }

	first := w.text(kindSecret + ": CreateSecret")
	const token = "11111111-2222-3333-4444-555555555555"
	do("CreateSecret", m{"Name": "text", "SecretString": first, "ClientRequestToken": token, "Tags": []m{{"Key": "a", "Value": "b"}}})
	do("CreateSecret", m{"Name": "text", "SecretString": first, "ClientRequestToken": token}) // the same again
	no("ResourceExistsException", "CreateSecret", m{"Name": "text", "SecretString": w.text(kindRefused + ": name taken")})
	no("ResourceExistsException", "CreateSecret", m{"Name": "text", "SecretString": w.text(kindRefused + ": token taken"), "ClientRequestToken": token})
	do("CreateSecret", m{"Name": "binary", "SecretBinary": w.bytes(kindSecret + ": SecretBinary"), "KmsKeyId": key})
	do("CreateSecret", m{"Name": "document", "SecretString": `{"username":"u","password":` + quote(w.text(kindSecret+": inside JSON")) + `}`})
	do("CreateSecret", m{"Name": "long", "SecretString": w.long(kindSecret+": 64 KiB", 65536), "KmsKeyId": "alias/canary"})
	do("CreateSecret", m{"Name": "empty"})
	no("InvalidParameterException", "CreateSecret", m{"Name": "both", "SecretString": w.text(kindRefused + ": both, text"), "SecretBinary": w.bytes(kindRefused + ": both, binary")})
	no("", "CreateSecret", m{"Name": "too-long", "SecretString": w.long(kindRefused+": text too long", 65537)})
	no("", "CreateSecret", m{"Name": "too-long", "SecretBinary": []byte(w.long(kindRefused+": binary too long", 65537))})
	v := w.text(kindRefused + ": CreateSecret")
	no("", "CreateSecret", m{"SecretString": v})
	no("", "CreateSecret", m{"Name": "a name", "SecretString": v})
	no("", "CreateSecret", m{"Name": strings.Repeat("n", 600), "SecretString": v})
	no("", "CreateSecret", m{"Name": "x", "SecretString": v, "ClientRequestToken": "short"})
	no("", "CreateSecret", m{"Name": "x", "SecretString": v, "KmsKeyId": "alias/none"})
	no("", "CreateSecret", m{"Name": "x", "SecretString": v, "AddReplicaRegions": []m{{"Region": servertest.Region}}})
	no("", "CreateSecret", m{"Name": "x", "SecretString": v, "AddReplicaRegions": []m{{"Region": "ap-none-1"}}})
	no("", "CreateSecret", m{"Name": "x", "SecretString": v, "Tags": []m{{"Key": "aws:reserved", "Value": "b"}}})

	v2 := w.text(kindSecret + ": PutSecretValue")
	const token2 = "22222222-2222-3333-4444-555555555555"
	do("PutSecretValue", m{"SecretId": "text", "SecretString": v2, "ClientRequestToken": token2})
	do("PutSecretValue", m{"SecretId": "text", "SecretString": v2, "ClientRequestToken": token2})
	do("PutSecretValue", m{"SecretId": "binary", "SecretBinary": w.bytes(kindSecret + ": PutSecretValue binary"), "VersionStages": []string{"NEXT"}})
	do("PutSecretValue", m{"SecretId": "empty", "SecretString": w.text(kindSecret + ": first version")})
	no("ResourceExistsException", "PutSecretValue", m{"SecretId": "text", "SecretString": w.text(kindRefused + ": conflicting token"), "ClientRequestToken": token2})
	v = w.text(kindRefused + ": PutSecretValue")
	no("ResourceNotFoundException", "PutSecretValue", m{"SecretId": "none", "SecretString": v})
	no("InvalidParameterException", "PutSecretValue", m{"SecretId": "text", "SecretString": v, "SecretBinary": []byte(v)})
	no("", "PutSecretValue", m{"SecretId": "text", "SecretString": w.long(kindRefused+": put too long", 65537)})
	no("", "PutSecretValue", m{"SecretId": "text", "SecretString": v, "VersionStages": []string{""}})
	no("", "PutSecretValue", m{"SecretId": "text"})

	do("UpdateSecret", m{"SecretId": "text", "SecretString": w.text(kindSecret + ": UpdateSecret"), "Description": "d"})
	do("UpdateSecret", m{"SecretId": "text", "SecretBinary": w.bytes(kindSecret + ": UpdateSecret binary")})
	do("UpdateSecret", m{"SecretId": "document", "KmsKeyId": key})
	no("ResourceExistsException", "UpdateSecret", m{"SecretId": "text", "SecretString": w.text(kindRefused + ": UpdateSecret token"), "ClientRequestToken": token2})
	v = w.text(kindRefused + ": UpdateSecret")
	no("ResourceNotFoundException", "UpdateSecret", m{"SecretId": "none", "SecretString": v})
	no("InvalidParameterException", "UpdateSecret", m{"SecretId": "text", "SecretString": v, "SecretBinary": []byte(v)})
	no("", "UpdateSecret", m{"SecretId": "text", "SecretString": v, "KmsKeyId": "alias/none"})

	for _, id := range []string{"text", "binary", "document", "long", "empty"} {
		do("GetSecretValue", m{"SecretId": id})
	}
	do("GetSecretValue", m{"SecretId": "text", "VersionId": token})
	do("GetSecretValue", m{"SecretId": "text", "VersionStage": "AWSPREVIOUS"})
	no("ResourceNotFoundException", "GetSecretValue", m{"SecretId": "text", "VersionStage": "NONE"})
	do("BatchGetSecretValue", m{"SecretIdList": []string{"text", "binary", "document", "none"}})
	do("BatchGetSecretValue", m{"Filters": []m{{"Key": "name", "Values": []string{"t"}}}})

	do("DescribeSecret", m{"SecretId": "text"})
	do("ListSecrets", nil)
	do("ListSecretVersionIds", m{"SecretId": "text", "IncludeDeprecated": true})
	do("UpdateSecretVersionStage", m{"SecretId": "text", "VersionStage": "MINE", "MoveToVersionId": token2})
	do("TagResource", m{"SecretId": "text", "Tags": []m{{"Key": "k", "Value": "v"}}})
	do("UntagResource", m{"SecretId": "text", "TagKeys": []string{"k"}})
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::` + servertest.Account + `:user/nobody"},"Action":"secretsmanager:PutSecretValue","Resource":"*"}]}`
	do("ValidateResourcePolicy", m{"SecretId": "text", "ResourcePolicy": policy})
	do("PutResourcePolicy", m{"SecretId": "text", "ResourcePolicy": policy})
	do("GetResourcePolicy", m{"SecretId": "text"})
	do("DeleteResourcePolicy", m{"SecretId": "text"})

	for _, ask := range []m{nil, {"PasswordLength": 64, "IncludeSpace": true}, {"ExcludePunctuation": true, "PasswordLength": 100}} {
		w.add(kindPassword, []byte(do("GetRandomPassword", ask)["RandomPassword"].(string)))
	}

	do("DeleteSecret", m{"SecretId": "document", "RecoveryWindowInDays": 7})
	v = w.text(kindRefused + ": for a deleted secret")
	no("InvalidRequestException", "PutSecretValue", m{"SecretId": "document", "SecretString": v})
	no("InvalidRequestException", "UpdateSecret", m{"SecretId": "document", "SecretString": v})
	no("InvalidRequestException", "CreateSecret", m{"Name": "document", "SecretString": v})
	no("InvalidRequestException", "GetSecretValue", m{"SecretId": "document"})
	do("RestoreSecret", m{"SecretId": "document"})
	do("DeleteSecret", m{"SecretId": "empty", "ForceDeleteWithoutRecovery": true})
}

// replicationScenario lets the job carry values to another region.
func (w *world) replicationScenario() {
	do := func(region, operation string, members m) m {
		w.Helper()
		return w.okIn(region, secretsService, operation, members)
	}
	do(servertest.Region, "CreateSecret", m{"Name": "copied", "SecretString": w.text(kindSecret + ": replicated"), "AddReplicaRegions": []m{{"Region": servertest.Other}}})
	w.awaitReplica("copied")
	do(servertest.Region, "PutSecretValue", m{"SecretId": "copied", "SecretBinary": w.bytes(kindSecret + ": replicated again")})
	w.awaitReplica("copied")
	do(servertest.Other, "GetSecretValue", m{"SecretId": "copied"})
	do(servertest.Other, "StopReplicationToReplica", m{"SecretId": "copied"})
	w.no("", secretsService, "StopReplicationToReplica", m{"SecretId": "copied"})

	do(servertest.Region, "ReplicateSecretToRegions", m{"SecretId": "text", "AddReplicaRegions": []m{{"Region": servertest.Other}}})
	w.awaitReplica("text")
	do(servertest.Region, "RemoveRegionsFromReplication", m{"SecretId": "text", "RemoveReplicaRegions": []string{servertest.Other}})
}

// awaitReplica waits until the job has caught up.
func (w *world) awaitReplica(name string) {
	w.Helper()
	w.await("the replica of "+name+" is in sync", func() bool {
		_, last := w.send(w.request(secretsService, "DescribeSecret", w.encode(secretsService, "DescribeSecret", m{"SecretId": name})))
		var got struct {
			ReplicationStatus []struct{ Status string }
		}
		if err := json.Unmarshal(last, &got); err != nil {
			w.Fatal(err)
		}
		return len(got.ReplicationStatus) == 1 && got.ReplicationStatus[0].Status == "InSync"
	})
}

// brokenKeyScenario makes sealing and opening fail, with a value in hand.
func (w *world) brokenKeyScenario() {
	key := w.ok(kmsService, "CreateKey", nil)["KeyMetadata"].(m)["KeyId"].(string)
	w.ok(secretsService, "CreateSecret", m{"Name": "locked", "SecretString": w.text(kindSecret + ": key disabled later"), "KmsKeyId": key})
	w.ok(kmsService, "DisableKey", m{"KeyId": key})
	v := w.text(kindRefused + ": key disabled")
	w.no("EncryptionFailure", secretsService, "PutSecretValue", m{"SecretId": "locked", "SecretString": v})
	w.no("EncryptionFailure", secretsService, "UpdateSecret", m{"SecretId": "locked", "SecretString": v})
	w.no("EncryptionFailure", secretsService, "CreateSecret", m{"Name": "locked-too", "SecretString": v, "KmsKeyId": key})
	w.no("DecryptionFailure", secretsService, "GetSecretValue", m{"SecretId": "locked"})
	w.ok(secretsService, "BatchGetSecretValue", m{"SecretIdList": []string{"locked", "binary"}})
}
