package schema

import "github.com/zclconf/go-cty/cty"

type mark string

// SensitiveMark is the cty mark of values that are shown nowhere and stored
// nowhere in clear.
const SensitiveMark = mark("sensitive")

// IsSensitive reports whether v or anything in it is marked sensitive.
func IsSensitive(v cty.Value) bool {
	return v.ContainsMarked()
}
