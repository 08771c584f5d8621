package docker

import (
	"context"
	"strconv"
	"strings"

	"github.com/gapool/gapool/providers"
)

// putSecrets puts a request's files into a container that was not started yet.
func (e *Engine) putSecrets(ctx context.Context, id string, list []providers.File) error {
	if len(list) == 0 {
		return nil
	}
	c, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return err
	}
	uid, gid, mode := secretOwner(c.Config.User)
	files := make([]File, len(list))
	for i, f := range list {
		files[i] = File{Path: f.Path, Content: f.Content, Mode: mode, UID: uid, GID: gid}
	}
	return e.Upload(ctx, id, files...)
}

// secretOwner says who owns a secret file of a container with that user, and
// the permissions that let the user read it. What the number of a name is only
// the image knows, so such a user's file can be read by all in the container.
func secretOwner(user string) (uid, gid int, mode int64) {
	name, group, _ := strings.Cut(user, ":")
	if name == "" || name == "root" {
		return 0, 0, 0o400
	}
	uid, err := strconv.Atoi(name)
	if err != nil {
		return 0, 0, 0o444
	}
	if gid, err = strconv.Atoi(group); err != nil {
		gid = 0 // the file's mode does not look at it
	}
	return uid, gid, 0o400
}
