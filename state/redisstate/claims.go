package redisstate

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// scanScript looks at some keys of the server that has the claims. No set holds these: a claim of a user is looked up by its token alone, and
// is listed for an export only.
//
//	KEYS[1] -> a key of the slot   ARGV[1] -> cursor   ARGV[2] -> how many   ARGV[3] -> what a token's key begins with
//
// Returns {cursor, run id, key, user, key, user, …}. A cursor has a meaning to one run of one server alone.
var scanScript = redis.NewScript(`
local page = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[2], 'MATCH', ARGV[3] .. '*')
local out = {page[1], string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')}
for _, k in ipairs(page[2]) do
  out[#out + 1] = k
  out[#out + 1] = redis.call('GET', k)
end
return out
`)

var errOtherServer = errors.New("the server that has the claims was started anew or is another one now: try again")

// eachClaim calls do for each token, some of them twice if Redis grows or shrinks its table meanwhile.
func (s *Store) eachClaim(ctx context.Context, do func(token, user string) error) error {
	cursor, server := "0", ""
	for {
		v, err := s.eval(ctx, scanScript, []string{nothingKey(claimsPrefix)}, cursor, exportKeys, claimsPrefix)
		if err != nil {
			return err
		}
		page, err := texts(v)
		if err != nil || len(page) < 2 {
			return errors.Join(err, ctx.Err())
		}
		if server != "" && page[1] != server {
			return errOtherServer
		}
		cursor, server = page[0], page[1]
		for i := 2; i+1 < len(page); i += 2 {
			if err := do(strings.TrimPrefix(page[i], claimsPrefix), page[i+1]); err != nil {
				return err
			}
		}
		if cursor == "0" {
			return nil
		}
	}
}
