package gcs

import (
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a message: bytes or number holds its value, as typ says.
type field struct {
	num    protowire.Number
	typ    protowire.Type
	bytes  []byte
	number uint64
}

// eachField calls visit for the fields of a message in their order. Groups,
// which Ray does not use, are passed over.
func eachField(message []byte, visit func(field) error) error {
	for len(message) > 0 {
		num, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return fmt.Errorf("a field's tag is broken: %w", protowire.ParseError(n))
		}
		message = message[n:]
		f := field{num: num, typ: typ}
		switch typ {
		case protowire.VarintType:
			f.number, n = protowire.ConsumeVarint(message)
		case protowire.Fixed64Type:
			f.number, n = protowire.ConsumeFixed64(message)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(num, typ, message)
		}
		if n < 0 {
			return fmt.Errorf("field %d is broken: %w", num, protowire.ParseError(n))
		}
		message = message[n:]
		if typ == protowire.StartGroupType {
			continue
		}
		if err := visit(f); err != nil {
			return fmt.Errorf("field %d: %w", num, err)
		}
	}
	return nil
}

// want fails when the field is not of the type that Ray's definition gives it:
// its meaning has changed, and a guess could remove the wrong node.
func (f field) want(typ protowire.Type) error {
	if f.typ != typ {
		return fmt.Errorf("wire type %d where Ray's definition has %d", f.typ, typ)
	}
	return nil
}

func (f field) toBytes(to *[]byte) error {
	*to = f.bytes
	return f.want(protowire.BytesType)
}

func (f field) toString(to *string) error {
	*to = string(f.bytes)
	return f.want(protowire.BytesType)
}

func (f field) toInt(to *int64) error {
	*to = int64(f.number)
	return f.want(protowire.VarintType)
}

func (f field) toDouble(to *float64) error {
	*to = math.Float64frombits(f.number)
	return f.want(protowire.Fixed64Type)
}

// toDoubles adds one entry of a map<string, double>.
func (f field) toDoubles(to map[string]float64) error {
	var key string
	var value float64
	err := f.toEntry(&key, func(v field) error { return v.toDouble(&value) })
	to[key] = value
	return err
}

// toStrings adds one entry of a map<string, string>.
func (f field) toStrings(to map[string]string) error {
	var key, value string
	err := f.toEntry(&key, func(v field) error { return v.toString(&value) })
	to[key] = value
	return err
}

func (f field) toEntry(key *string, value func(field) error) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	return eachField(f.bytes, func(e field) error {
		switch e.num {
		case 1:
			return e.toString(key)
		case 2:
			return value(e)
		}
		return nil
	})
}

// message reads the field as a message of its own.
func (f field) message(visit func(field) error) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	return eachField(f.bytes, visit)
}

// milliseconds is a duration that stays in bounds, whatever was sent.
func milliseconds(ms int64) time.Duration {
	return time.Duration(min(max(ms, 0), int64(math.MaxInt64/time.Millisecond))) * time.Millisecond
}
