package state

import (
	"strings"
	"testing"
)

func TestSecrets(t *testing.T) {
	const secret = "correct horse"
	a := got[string](t)(HashSecret([]byte(secret)))
	b := got[string](t)(HashSecret([]byte(secret)))
	if a == b {
		t.Error("two hashes share their salt")
	}
	if !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(a, secret) {
		t.Errorf("the hash is %q", a)
	}
	if !VerifySecret(a, []byte(secret)) || !VerifySecret(b, []byte(secret)) {
		t.Error("a hash is not that of its value")
	}
	if VerifySecret(a, []byte(secret+" ")) || VerifySecret(a, nil) {
		t.Error("a hash is that of another value")
	}
	for _, hash := range []string{
		"", "$", secret, a[:len(a)-1], a + "x", strings.Replace(a, "t=2", "t=1", 1),
		strings.Replace(a, "m=19456", "m=4294967295", 1), strings.Replace(a, "$", "", 1), hashPrefix(), hashPrefix() + "$",
	} {
		if VerifySecret(hash, []byte(secret)) {
			t.Errorf("%q was taken for a hash", hash)
		}
	}
}
