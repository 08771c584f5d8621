package schema

// Needs is what one object takes of the engine's machine.
type Needs struct {
	CPUs      Amount // in thousandths of a processor
	Memory    Amount // bytes
	SharedMem Amount // bytes
	GPUs      Amount
	Ports     []string // published, as they are told apart: "0.0.0.0:8080/tcp"
	FreePorts int      // published where the engine finds a place
	Volumes   []string // by name
}

// Amount is a sum of known limits beside those that are no number.
type Amount struct {
	N       int64
	Open    int // objects without a limit, or that take all there is
	Unknown int // objects whose limit is not known yet, or is a secret
}

// Add returns the sum of two amounts.
func (a Amount) Add(b Amount) Amount {
	return Amount{N: a.N + b.N, Open: a.Open + b.Open, Unknown: a.Unknown + b.Unknown}
}

// Max returns the least amount that neither of the two exceeds.
func (a Amount) Max(b Amount) Amount {
	return Amount{N: max(a.N, b.N), Open: max(a.Open, b.Open), Unknown: max(a.Unknown, b.Unknown)}
}
