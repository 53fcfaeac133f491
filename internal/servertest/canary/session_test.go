package canary_test

import (
	"net/http"
	"net/url"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// sessionScenario makes temporary credentials of every kind and uses them, and
// sends ID tokens, good and bad.
func (w *world) sessionScenario() {
	const all = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	do := func(operation string, members m) m { w.Helper(); return w.ok(iamService, operation, members) }
	made := func(operation string, members m) {
		w.Helper()
		answer := w.ok(stsService, operation, members)
		key := server.Credentials{AccessKeyID: w.element(answer, "AccessKeyId"), SecretAccessKey: w.element(answer, "SecretAccessKey"), SessionToken: w.element(answer, "SessionToken")}
		w.add(kindKey+" of "+operation, []byte(key.SecretAccessKey))
		// All tokens begin with the name of the storage key.
		w.add(kindToken+" of "+operation, []byte(key.SessionToken[24:]))
		use := servertest.Raw{Service: "sts", Key: key, At: w.now(), Form: url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}}}
		if a := w.server.Send(w.T, use); a.Status != http.StatusOK {
			w.Errorf("a session of %s: %s", operation, a.Body)
		}
		// Altered, so that it is refused with all that was sent.
		first := "x"
		if key.SecretAccessKey[0] == first[0] {
			first = "y"
		}
		use.Key.SecretAccessKey = first + key.SecretAccessKey[1:]
		if a := w.server.Send(w.T, use); a.Status == http.StatusOK {
			w.Errorf("a session of %s with another secret", operation)
		}
	}
	const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + servertest.Account + `"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`
	do("CreateRole", m{"RoleName": "taken", "AssumeRolePolicyDocument": trust})
	role := "arn:aws:iam::" + servertest.Account + ":role/taken"
	made("AssumeRole", m{"RoleArn": role, "RoleSessionName": "job", "Policy": all, "Tags.member.1.Key": "team", "Tags.member.1.Value": "a"})
	made("GetSessionToken", nil)
	made("GetFederationToken", m{"Name": "guest", "Policy": all})
	w.ok(stsService, "GetAccessKeyInfo", m{"AccessKeyId": w.server.Admin.AccessKeyID})

	issuer := servertest.NewIssuer(w)
	created := do("CreateOpenIDConnectProvider", m{"Url": issuer.URL, "ClientIDList.member.1": "sts.amazonaws.com"})
	provider := m{"OpenIDConnectProviderArn": w.element(created, "OpenIDConnectProviderArn")}
	arn := provider["OpenIDConnectProviderArn"].(string)
	with := func(key, value string) m { return m{"OpenIDConnectProviderArn": arn, key: value} }
	do("AddClientIDToOpenIDConnectProvider", with("ClientID", "other"))
	do("RemoveClientIDFromOpenIDConnectProvider", with("ClientID", "other"))
	do("UpdateOpenIDConnectProviderThumbprint", with("ThumbprintList.member.1", "9e99a48a9960b14926bb7f3b02e22da2b0ab7280"))
	do("GetOpenIDConnectProvider", provider)
	do("ListOpenIDConnectProviders", nil)
	if a := w.server.Operator(w.T, http.MethodPost, "/v1/oidc/keys", map[string]string{"provider": arn, "jwks": string(issuer.JWKS())}); a.Status != http.StatusOK {
		w.Fatalf("set keys: %s", a.Body)
	}
	do("UpdateAssumeRolePolicy", m{"RoleName": "taken", "PolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + arn + `"},"Action":"sts:AssumeRoleWithWebIdentity"}]}`})
	token := issuer.Token(w, w.now(), nil)
	w.add(kindIdentity, []byte(token))
	made("AssumeRoleWithWebIdentity", m{"RoleArn": role, "RoleSessionName": "pod", "WebIdentityToken": token})
	late := issuer.Token(w, w.now(), map[string]any{"exp": 1})
	w.add(kindIdentity+", expired", []byte(late))
	w.no("ExpiredTokenException", stsService, "AssumeRoleWithWebIdentity", m{"RoleArn": role, "RoleSessionName": "pod", "WebIdentityToken": late})
	w.no("AccessDenied", stsService, "AssumeRoleWithWebIdentity", m{"RoleArn": role + "2", "RoleSessionName": "pod", "WebIdentityToken": token})
	if a := w.server.Operator(w.T, http.MethodPost, "/v1/sessions/revoke", map[string]string{"account": servertest.Account, "kind": "role", "name": "taken"}); a.Status != http.StatusOK {
		w.Errorf("revoke: %s", a.Body)
	}
	do("DeleteOpenIDConnectProvider", provider)
	do("DeleteRole", m{"RoleName": "taken"})
}
