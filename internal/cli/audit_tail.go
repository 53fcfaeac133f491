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
	var data string
	var last int
	var from uint64
	var once, asJSON bool
	c := &cobra.Command{
		Use:   "tail",
		Short: "Print audit records, and wait for more",
		Long: `Print the last audit records and then each new one until interrupted, one a line:
number, time, service and operation, who, and what came of it. With --json a
line is the record itself. Nothing is proven by reading; "verify" does that.`,
		Example: `  strongroom audit tail
  strongroom audit tail --from 1 --no-follow --json | jq -r .eventName`,
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			if last < 0 {
				return usageError{errors.New("-n is not negative")}
			}
			source, err := chain(data)
			if err != nil {
				return err
			}
			ctx := c.Context()
			p := recordPrinter{env: env, asJSON: asJSON}
			if !c.Flags().Changed("from") {
				if from, err = lastRecords(ctx, data, source, last, p.print); err != nil {
					return fmt.Errorf("cannot read the audit record: %w", err)
				}
			}
			read := audit.Tail
			if once {
				read = audit.Scan
			}
			err = read(ctx, source.Dir, source.Node, from, p.print)
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
	c.Flags().BoolVar(&once, "no-follow", false, "end with the last record")
	exclude(c, "last", "from")
	return c
}

// lastRecords passes on the last n records and returns the number to go on with.
func lastRecords(ctx context.Context, data string, source audit.Source, n int, fn func(audit.Entry) error) (uint64, error) {
	// Without a head of the running server the chain is read from its beginning.
	start := uint64(1)
	if _, heads, err := runningHeads(ctx, data); err == nil && len(heads) > 0 {
		if newest := heads[len(heads)-1].Seq; newest > uint64(n) {
			start = newest - uint64(n) + 1
		}
	}
	next := start
	var kept []audit.Entry
	err := audit.Scan(ctx, source.Dir, source.Node, start, func(e audit.Entry) error {
		next = e.Seq + 1
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
		return 0, err
	}
	for _, e := range kept {
		if err := fn(e); err != nil {
			return 0, err
		}
	}
	return next, nil
}

// recordPrinter prints records one a line.
type recordPrinter struct {
	env    *Env
	asJSON bool
}

func (p recordPrinter) print(e audit.Entry) error {
	if p.asJSON {
		if e.Body == nil {
			return nil
		}
		_, err := fmt.Fprintf(p.env.Stdout, "%s\n", e.Body)
		return err
	}
	_, err := fmt.Fprintln(p.env.Stdout, recordLine(e))
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
