// Package login finds what docker login has kept for a registry: in the docker
// command's configuration, or with the credential helper that it names.
package login

import (
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/credentials"
	"github.com/docker/cli/cli/config/types"
)

// For returns the credentials for the registry at host, as the name of an image
// begins or as the engine calls it. None is no error: most images are public.
//
// The registry that a name without a host means has several hosts, and docker
// login keeps it under the URL of one that the engine does not ask for.
func For(file *configfile.ConfigFile, host string) (types.AuthConfig, error) {
	found, err := file.GetAuthConfig(host)
	if err != nil || !empty(found) || !usual(host) {
		return found, err
	}
	written := append(slices.Collect(maps.Keys(file.GetAuthConfigs())), slices.Collect(maps.Keys(file.CredentialHelpers))...)
	for _, key := range slices.Sorted(slices.Values(written)) {
		if !usual(credentials.ConvertToHostname(key)) {
			continue
		}
		if found, err := file.GetAuthConfig(key); err != nil || !empty(found) {
			return found, err
		}
	}
	// A helper may know what is not written in the file.
	all, err := file.GetCredentialsStore("").GetAll()
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if usual(credentials.ConvertToHostname(key)) && !empty(all[key]) {
			return all[key], nil
		}
	}
	return types.AuthConfig{}, err
}

// usual reports whether a host is one of the registry that a name without a
// host means. Which that is, the library knows that reads such names.
func usual(host string) bool {
	plain, err := reference.ParseNormalizedNamed("x")
	if err != nil {
		return false // it is a name
	}
	named, err := reference.ParseNormalizedNamed(host + "/x")
	if err != nil || strings.HasPrefix(reference.Path(named), host+"/") {
		return false // no host: a part of a path
	}
	domain := reference.Domain(plain)
	return reference.Domain(named) == domain || strings.HasSuffix(host, "."+domain)
}

func empty(a types.AuthConfig) bool {
	return a.Username == "" && a.Password == "" && a.Auth == "" && a.IdentityToken == "" && a.RegistryToken == ""
}
