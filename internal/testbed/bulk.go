package testbed

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
)

// BulkSpec describes an account for benchmarks.
type BulkSpec struct {
	Seed       uint64
	Messages   int     // in all folders together
	Folders    int     // INBOX and "Bulk 01" …; at least 1
	MedianSize int     // default 8 KB; sizes are log-normal
	Missing    float64 // share of UIDs that are expunged, 0 to below 1
	Conns      int     // folders filled at once; default 4
}

// BulkStats tells what Bulk has stored.
type BulkStats struct {
	Messages, Expunged int
	Bytes              int64
}

// Bulk fills an account quickly. What it stores depends on user and Seed alone.
func Bulk(ctx context.Context, addr, user, pass string, spec BulkSpec, opts ...DialOption) (BulkStats, error) {
	spec.Folders = max(spec.Folders, 1)
	if spec.Conns == 0 {
		spec.Conns = 4
	}
	if spec.MedianSize == 0 {
		spec.MedianSize = 8 << 10
	}
	if spec.Missing < 0 || spec.Missing >= 1 {
		return BulkStats{}, fmt.Errorf("bulk: share of missing UIDs is %g, not in 0 to 1", spec.Missing)
	}
	stats := make([]BulkStats, spec.Folders)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(spec.Conns)
	for i := range spec.Folders {
		group.Go(func() error {
			c, err := Login(ctx, addr, user, pass, opts...)
			if err != nil {
				return err
			}
			defer c.Close()
			if stats[i], err = spec.fill(c, user, i); err != nil {
				return fmt.Errorf("folder %d: %w", i, err)
			}
			return c.Logout()
		})
	}
	if err := group.Wait(); err != nil {
		return BulkStats{}, fmt.Errorf("bulk: %w", err)
	}
	var sum BulkStats
	for _, s := range stats {
		sum.Messages += s.Messages
		sum.Expunged += s.Expunged
		sum.Bytes += s.Bytes
	}
	return sum, nil
}

// fill makes folder i. UIDs are made to miss by tiny messages that are expunged
// at the end.
func (spec BulkSpec) fill(c *Client, user string, i int) (BulkStats, error) {
	names, err := c.namespace()
	if err != nil {
		return BulkStats{}, err
	}
	folder := "INBOX"
	if i > 0 {
		folder = names.path(fmt.Sprintf("Bulk %02d", i))
		// Of many that are created at once, Dovecot says now and then that one exists already. It does then.
		if _, err := c.Do("CREATE ", Quote(folder)); err != nil && !strings.Contains(err.Error(), "ALREADYEXISTS") {
			return BulkStats{}, err
		}
	}
	n := spec.Messages / spec.Folders
	if i < spec.Messages%spec.Folders {
		n++
	}
	return spec.pour(c, newWriter(spec.Seed+uint64(i)<<32, user), folder, n)
}

// pour writes n messages, a chunk at a time, so that memory stays bounded.
func (spec BulkSpec) pour(c *Client, w *writer, folder string, n int) (BulkStats, error) {
	const chunk = 2000
	var stats BulkStats
	mails := make([]Mail, 0, chunk)
	for stats.Messages < n {
		if w.rng.Float64() < spec.Missing {
			mails = append(mails, Mail{Flags: `\Deleted`, Body: "\r\n"})
			stats.Expunged++
		} else {
			m := w.mail(w.size(spec.MedianSize))
			mails = append(mails, m)
			stats.Messages++
			stats.Bytes += int64(len(m.Body))
		}
		if len(mails) == chunk || stats.Messages == n {
			if err := c.appendAll(folder, mails); err != nil {
				return stats, err
			}
			mails = mails[:0]
		}
	}
	return stats, c.purge(folder)
}

// purge expunges what is marked as deleted, without a line per message: CLOSE
// says nothing (RFC 3501, 6.4.2).
func (c *Client) purge(folder string) error {
	if _, err := c.Do("SELECT ", Quote(folder)); err != nil {
		return err
	}
	_, err := c.Do("CLOSE")
	return err
}
