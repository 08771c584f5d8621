package schema

import (
	"math/big"
	"net"

	"github.com/apparentlymart/go-cidr/cidr"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// cidrFunc makes a function of an address range and whole numbers. Errors of f
// are about the numbers.
func cidrFunc(numbers []string, f func(*net.IPNet, []*big.Int) (string, error)) function.Function {
	params := []function.Parameter{{Name: "prefix", Type: cty.String}}
	for _, name := range numbers {
		params = append(params, function.Parameter{Name: name, Type: cty.Number})
	}
	return function.New(&function.Spec{
		Params:       params,
		Type:         function.StaticReturnType(cty.String),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			network, err := parseCIDR(args[0])
			if err != nil {
				return cty.NilVal, err
			}
			nums := make([]*big.Int, len(numbers))
			for i := range nums {
				if nums[i], err = wholeNumber(args, i+1); err != nil {
					return cty.NilVal, err
				}
			}
			s, err := f(network, nums)
			if err != nil {
				return cty.NilVal, err
			}
			return cty.StringVal(s), nil
		},
	})
}

func parseCIDR(v cty.Value) (*net.IPNet, error) {
	_, network, err := net.ParseCIDR(v.AsString())
	if err != nil {
		return nil, function.NewArgErrorf(0, "%q is not an address range such as 10.0.0.0/16", v.AsString())
	}
	return network, nil
}

func wholeNumber(args []cty.Value, i int) (*big.Int, error) {
	n, acc := args[i].AsBigFloat().Int(nil)
	if n == nil || acc != big.Exact {
		return nil, function.NewArgErrorf(i, "it must be a whole number")
	}
	return n, nil
}

// bits returns a number of additional prefix bits.
func bits(n *big.Int, i int) (int, error) {
	if n.Sign() < 0 || n.Cmp(big.NewInt(128)) > 0 {
		return 0, function.NewArgErrorf(i, "a prefix is extended by 0 to 128 bits")
	}
	return int(n.Int64()), nil
}

var cidrSubnetFunc = cidrFunc([]string{"newbits", "netnum"}, func(network *net.IPNet, n []*big.Int) (string, error) {
	extra, err := bits(n[0], 1)
	if err != nil {
		return "", err
	}
	sub, err := cidr.SubnetBig(network, extra, n[1])
	if err != nil {
		return "", err
	}
	return sub.String(), nil
})

var cidrHostFunc = cidrFunc([]string{"hostnum"}, func(network *net.IPNet, n []*big.Int) (string, error) {
	ip, err := cidr.HostBig(network, n[0])
	if err != nil {
		return "", err
	}
	return ip.String(), nil
})

var cidrNetmaskFunc = cidrFunc(nil, func(network *net.IPNet, _ []*big.Int) (string, error) {
	if network.IP.To4() == nil {
		return "", function.NewArgErrorf(0, "only IPv4 has netmasks")
	}
	return net.IP(network.Mask).String(), nil
})

var cidrSubnetsFunc = function.New(&function.Spec{
	Params:       []function.Parameter{{Name: "prefix", Type: cty.String}},
	VarParam:     &function.Parameter{Name: "newbits", Type: cty.Number},
	Type:         function.StaticReturnType(cty.List(cty.String)),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		network, err := parseCIDR(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		if len(args) == 1 {
			return cty.ListValEmpty(cty.String), nil
		}
		base, size := network.Mask.Size()
		out := make([]cty.Value, 0, len(args)-1)
		var current *net.IPNet
		for i := 1; i < len(args); i++ {
			n, err := wholeNumber(args, i)
			if err != nil {
				return cty.NilVal, err
			}
			extra, err := bits(n, i)
			if err != nil {
				return cty.NilVal, err
			}
			length := base + extra
			if length > size {
				return cty.NilVal, function.NewArgErrorf(i, "a prefix of %d bits is longer than the address", length)
			}
			if current == nil {
				current = &net.IPNet{IP: network.IP, Mask: net.CIDRMask(length, size)}
			} else {
				next, overflow := cidr.NextSubnet(current, length)
				if overflow || !network.Contains(next.IP) {
					return cty.NilVal, function.NewArgErrorf(i, "no room is left in %s for a prefix of %d bits", network, length)
				}
				current = next
			}
			out = append(out, cty.StringVal(current.String()))
		}
		return cty.ListVal(out), nil
	},
})
