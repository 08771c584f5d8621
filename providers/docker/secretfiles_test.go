package docker

import "testing"

func TestWhoOwnsASecretFile(t *testing.T) {
	type owner struct {
		uid, gid int
		mode     int64
	}
	for user, want := range map[string]owner{
		"":            {0, 0, 0o400},
		"root":        {0, 0, 0o400},
		"0:0":         {0, 0, 0o400},
		"10001":       {10001, 0, 0o400},
		"10001:10002": {10001, 10002, 0o400},
		"10001:ray":   {10001, 0, 0o400},
		"ray":         {0, 0, 0o444},
		"ray:10002":   {0, 0, 0o444},
	} {
		uid, gid, mode := secretOwner(user)
		if got := (owner{uid, gid, mode}); got != want {
			t.Errorf("user %q: %+v, want %+v", user, got, want)
		}
	}
}
