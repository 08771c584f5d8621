package state

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The cost of a hash: two passes over 19 MiB in one thread, OWASP's least for
// argon2id, some 20 ms of one core. A guessed password falls to whoever holds
// the state and has patience; a random token does not.
const (
	hashMemory  = 19 * 1024 // KiB
	hashTime    = 2
	hashThreads = 1
	hashSalt    = 16 // bytes
	hashLen     = 32 // bytes
)

// HashSecret returns a salted argon2id hash of the value as a PHC string
// ("$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH"). Two hashes of one value differ;
// compare with VerifySecret.
func HashSecret(value []byte) (string, error) {
	salt := make([]byte, hashSalt)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("no randomness for a salt: %w", err)
	}
	key := argon2.IDKey(value, salt, hashTime, hashMemory, hashThreads, hashLen)
	return hashPrefix() + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(key), nil
}

// VerifySecret reports whether hash is that of the value. A hash that
// HashSecret cannot have made, one of another cost included, is that of no
// value: what it stands for counts as changed.
func VerifySecret(hash string, value []byte) bool {
	rest, ok := strings.CutPrefix(hash, hashPrefix())
	if !ok {
		return false
	}
	text, keyText, ok := strings.Cut(rest, "$")
	if !ok {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(salt) != hashSalt {
		return false
	}
	key, err := base64.RawStdEncoding.DecodeString(keyText)
	if err != nil || len(key) != hashLen {
		return false
	}
	return subtle.ConstantTimeCompare(key, argon2.IDKey(value, salt, hashTime, hashMemory, hashThreads, hashLen)) == 1
}

func hashPrefix() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, hashMemory, hashTime, hashThreads)
}
