package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// value is the 1-KB secret of the comparison with other servers.
var value = strings.Repeat("0123456789abcdef", 64)

func name(i int) string { return fmt.Sprintf("bench/secret-%06d", i) }

func getRequest(secrets int) request {
	return func(int, int) (string, string) {
		return "secretsmanager.GetSecretValue", `{"SecretId":"` + name(rand.IntN(secrets)) + `"}`
	}
}

func putRequest(secrets int) request {
	return func(int, int) (string, string) {
		token := fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
		return "secretsmanager.PutSecretValue", `{"SecretId":"` + name(rand.IntN(secrets)) + `","ClientRequestToken":"` + token + `","SecretString":"` + value + `"}`
	}
}

func createRequest(i int) (string, string) {
	token := fmt.Sprintf("%032x", i)
	return "secretsmanager.CreateSecret", `{"Name":"` + name(i) + `","ClientRequestToken":"` + token + `","SecretString":"` + value + `"}`
}

func readRequest(i int) (string, string) {
	return "secretsmanager.GetSecretValue", `{"SecretId":"` + name(i) + `"}`
}

func listRequest(int, int) (string, string) {
	return "secretsmanager.ListSecrets", `{"MaxResults":100}`
}
