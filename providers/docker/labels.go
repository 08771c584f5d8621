package docker

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/gapool/gapool/providers"
	"github.com/gapool/gapool/schema"
)

// Our labels. They go into the call that makes an object, since Docker cannot
// change labels and a label that came later would come too late.
const (
	labelPrefix    = "gapool."
	labelStack     = labelPrefix + "stack"
	labelWorkspace = labelPrefix + "workspace"
	labelLineage   = labelPrefix + "lineage"
	labelUID       = labelPrefix + "uid"
	labelAddress   = labelPrefix + "address"
	labelDeps      = labelPrefix + "deps"
	// labelInputs is on images that we built: the hash of what they were built
	// from.
	labelInputs = labelPrefix + "inputs"
	// labelNetworkMode keeps network_mode as it was written: of
	// container:NAME the engine keeps an ID.
	labelNetworkMode = labelPrefix + "network_mode"
	// labelUploads lists the uploaded files, so that they can be read back.
	labelUploads = labelPrefix + "uploads"
	// labelGiven lists what was configured of the settings that the engine
	// fills in by itself, so that one that is taken out of the configuration
	// is told from one that was never there. Values are not in it.
	labelGiven = labelPrefix + "given"
)

// ownerLabels are the labels that say whose an object is.
func ownerLabels(o providers.Owner) map[string]string {
	labels := map[string]string{
		labelStack: o.Stack, labelWorkspace: o.Workspace, labelLineage: o.Lineage,
		labelUID: o.UID, labelAddress: o.Address,
	}
	if len(o.Deps) > 0 {
		// A list of strings is always JSON.
		deps, _ := json.Marshal(o.Deps)
		labels[labelDeps] = string(deps)
	}
	return labels
}

// ownerOf reads them back. It is zero for what is not ours, such as a container
// that has its uid from its image, where `docker commit` has put it.
func ownerOf(labels, image map[string]string) providers.Owner {
	uid := labels[labelUID]
	if uid == "" || labels[labelStack] == "" || uid == image[labelUID] {
		return providers.Owner{}
	}
	o := providers.Owner{
		Stack: labels[labelStack], Workspace: labels[labelWorkspace], Lineage: labels[labelLineage],
		UID: uid, Address: labels[labelAddress],
	}
	var deps []schema.Addr
	if json.Unmarshal([]byte(labels[labelDeps]), &deps) == nil {
		o.Deps = deps
	}
	return o
}

// whose says in a few words who made an object.
func whose(o providers.Owner) string {
	if o.UID == "" {
		return "not made by gapool"
	}
	return o.Address + " of stack " + o.Stack + ", workspace " + o.Workspace
}

// givenLabel lists which of some attributes a wanted value sets, and of maps
// which keys; empty for none.
func givenLabel(want cty.Value, attrs ...string) string {
	var list []string
	for _, a := range attrs {
		switch v := want.GetAttr(a); {
		case v.IsNull():
		case v.Type().IsMapType():
			for _, k := range sortedKeys(textMap(want, a)) {
				list = append(list, a+"."+k)
			}
		case !v.CanIterateElements() || v.LengthInt() > 0:
			list = append(list, a)
		}
	}
	if want.Type().HasAttribute("security_opts") && slices.Contains(texts(want, "security_opts"), noSELinux) {
		list = append(list, givenNoSELinux)
	}
	if list == nil {
		return ""
	}
	b, _ := json.Marshal(list) // strings are always JSON
	return string(b)
}

// given is the list that givenLabel made. What is not our label is no list.
func given(labels map[string]string) map[string]bool {
	var list []string
	if json.Unmarshal([]byte(labels[labelGiven]), &list) != nil {
		return nil
	}
	out := map[string]bool{}
	for _, name := range list {
		out[name] = true
	}
	return out
}

// engineEntries are the entries of the map attr that the engine has put there:
// all but those that were configured.
func engineEntries(attr string, live map[string]string, given map[string]bool) cty.Value {
	out := maps.Clone(live)
	maps.DeleteFunc(out, func(k, _ string) bool { return given[attr+"."+k] })
	return stringMap(out)
}

// userLabels are the labels less our own.
func userLabels(labels map[string]string) map[string]string {
	out := maps.Clone(labels)
	maps.DeleteFunc(out, func(k, _ string) bool { return strings.HasPrefix(k, labelPrefix) })
	return out
}

// givenLabels are those of an object that nobody configured: its image's, and
// what Docker's own tools add. They lie under the configured ones.
func givenLabels(labels, image map[string]string) map[string]string {
	out := userLabels(image)
	if out == nil {
		out = map[string]string{}
	}
	for k, v := range labels {
		if strings.HasPrefix(k, "com.docker.") {
			out[k] = v
		}
	}
	return out
}

// mergeLabels lays the owner's labels over the configured ones.
func mergeLabels(user map[string]string, o providers.Owner) map[string]string {
	out := ownerLabels(o)
	for k, v := range user {
		if !strings.HasPrefix(k, labelPrefix) {
			out[k] = v
		}
	}
	return out
}
