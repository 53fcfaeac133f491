package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/audit"
)

func newAuditTail(env *Env) *cobra.Command {
	var data, node string
	var last int
	var from uint64
	var once, asJSON bool
	c := &cobra.Command{
		Use:   "tail",
		Short: "Print audit records, and wait for more",
		Long: `Print the last audit records and then each new one until interrupted, one a line:
number, time, service and operation, who, and what came of it. With --json a
line is the record itself. Nothing is proven by reading; "verify" does that.

With several nodes the records of all are shown by their time, each with its
node, and numbers are the node's own: --from 7 begins with record 7 of each.
Those of other nodes come about a second late, by way of the database.`,
		Example: `  strongroom audit tail
  strongroom audit tail --node node-7f3k2q9a -n 100 --no-follow
  strongroom audit tail --from 1 --no-follow --json | jq -r .eventName`,
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			if last < 0 {
				return usageError{errors.New("-n is not negative")}
			}
			ctx := c.Context()
			r, err := openRecord(ctx, env, data, false)
			if err != nil {
				return err
			}
			defer func() { _ = r.close() }() // Nothing was written.
			sources := r.nodes()
			if node != "" {
				sources = slices.DeleteFunc(sources, func(s audit.Source) bool { return s.Node != node })
				if len(sources) == 0 {
					return withHint(fmt.Errorf("there is no node %s whose records can be read here", plain(node)), `"strongroom node list" shows them`)
				}
			}
			p := recordPrinter{env: env, asJSON: asJSON, nodes: len(r.others) > 0}
			begin := func(string) uint64 { return from }
			if !c.Flags().Changed("from") {
				next, err := lastRecords(ctx, sources, last, p.print)
				if err != nil {
					return fmt.Errorf("cannot read the audit record: %w", err)
				}
				begin = func(node string) uint64 { return next[node] }
			}
			read := audit.Follow
			if once {
				read = audit.Merge
			}
			err = read(ctx, sources, begin, p.print)
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("cannot read the audit record: %w", err)
			}
			return nil
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	c.Flags().IntVarP(&last, "last", "n", 10, "begin with the last `N` records")
	c.Flags().Uint64Var(&from, "from", 0, "begin with record `N`")
	c.Flags().StringVar(&node, "node", "", "only the records of the node `NAME`")
	c.Flags().BoolVar(&once, "no-follow", false, "end with the last record")
	exclude(c, "last", "from")
	return c
}

// lastRecords passes on the last n records and returns the numbers to go on with.
func lastRecords(ctx context.Context, sources []audit.Source, n int, fn func(audit.Entry) error) (map[string]uint64, error) {
	next := make(map[string]uint64)
	var all []audit.Entry
	for _, s := range sources {
		// Without a head the chain is read from its beginning.
		start := uint64(1)
		if s.Heads != nil {
			heads, err := s.Heads(ctx)
			if err != nil {
				return nil, err
			}
			if len(heads) > 0 && heads[len(heads)-1].Seq > uint64(n) {
				start = heads[len(heads)-1].Seq - uint64(n) + 1
			}
		}
		next[s.Node] = start
		var kept []audit.Entry
		err := s.Scan(ctx, start, func(e audit.Entry) error {
			next[s.Node] = e.Seq + 1
			if n == 0 {
				return nil
			}
			if len(kept) == n {
				kept = slices.Delete(kept, 0, 1)
			}
			e.Body = bytes.Clone(e.Body)
			kept = append(kept, e)
			return nil
		})
		if err != nil {
			return nil, err
		}
		all = append(all, kept...)
	}
	if len(sources) > 1 {
		slices.SortStableFunc(all, func(a, b audit.Entry) int { return a.Time().Compare(b.Time()) })
	}
	for _, e := range all[max(0, len(all)-n):] {
		if err := fn(e); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// recordPrinter prints records one a line.
type recordPrinter struct {
	env    *Env
	asJSON bool
	nodes  bool // say of which node each is
}

func (p recordPrinter) print(e audit.Entry) error {
	if p.asJSON {
		if e.Body == nil {
			return nil
		}
		_, err := fmt.Fprintf(p.env.Stdout, "%s\n", e.Body)
		return err
	}
	line := recordLine(e)
	if p.nodes {
		line = e.Node + "  " + line
	}
	_, err := fmt.Fprintln(p.env.Stdout, line)
	return err
}

// recordLine is a record for people.
func recordLine(e audit.Entry) string {
	if e.Body == nil {
		return fmt.Sprintf("%d  (body dropped)", e.Seq)
	}
	var r struct {
		EventTime, EventSource, EventName, EventType string
		ErrorCode, ErrorMessage                      string
		SourceIPAddress, RequestID                   string
		UserIdentity                                 struct{ Type, ARN, AccountID, InvokedBy string }
		Resources                                    []struct{ ARN string }
		RequestParameters                            map[string]any
	}
	if err := json.Unmarshal(e.Body, &r); err != nil {
		return fmt.Sprintf("%d  (not a record: %v)", e.Seq, err)
	}
	service := strings.TrimSuffix(r.EventSource, ".amazonaws.com")
	var who []string
	if id := r.UserIdentity; id.ARN != "" {
		who = append(who, id.ARN)
	} else if id.Type != "" {
		who = append(who, id.Type)
	}
	if r.UserIdentity.InvokedBy != "" {
		who = append(who, "via "+r.UserIdentity.InvokedBy)
	}
	line := fmt.Sprintf("%d  %s  %s:%s  %s", e.Seq, r.EventTime, service, r.EventName, strings.Join(who, " "))
	for _, resource := range r.Resources {
		line += "  " + resource.ARN
	}
	if r.ErrorCode != "" {
		line += "  " + r.ErrorCode
	}
	return plain(line)
}
