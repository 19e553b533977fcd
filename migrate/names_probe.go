package migrate

import (
	"context"

	"imapferry/internal/backend"
)

// FolderNames is how a server names the folders of a user.
type FolderNames struct {
	Prefix, Separator string   // of the user's own; a flat server has no separator
	Others            []string // prefixes of the namespaces of other users and of the public
}

// ProbeNames enters the account of user, which must need no secret of the user's, and asks how folders are named.
func ProbeNames(ctx context.Context, b *backend.Backend, user string) (FolderNames, error) {
	c, err := open(ctx, b, user, nil)
	if err != nil {
		return FolderNames{}, err
	}
	defer c.close()
	a, err := c.layout()
	if err != nil {
		return FolderNames{}, err
	}
	return FolderNames{Prefix: a.prefix(), Separator: a.naming().separator(), Others: a.others}, nil
}
