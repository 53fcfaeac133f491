package cli

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/ship"
)

func newStatus(env *Env) *cobra.Command {
	var data string
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Tell what runs, and warn of what weakens it",
		Long: `Tell what runs on a data directory, and warn of what weakens it. The status is 1
when nothing runs.`,
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			var st server.Status
			err := operator(c.Context(), data, http.MethodGet, "/v1/status", nil, &st)
			if asJSON && (err == nil || errors.Is(err, errNotRunning)) {
				// Whoever reads JSON reads "running"; the exit code says it as well.
				out := struct {
					Running bool `json:"running"`
					*server.Status
				}{Running: err == nil}
				if err == nil {
					out.Status = &st
					return printJSON(env.Stdout, out)
				}
				return errors.Join(printJSON(env.Stdout, out), err)
			}
			if err != nil {
				return err
			}
			return printStatus(env, data, &st)
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	return c
}

// privateEndpoints says how many there are, and whether there is anything else.
func privateEndpoints(n *server.NetworkStatus) string {
	switch {
	case n.Endpoints == 0:
		return "none"
	case len(n.Public) == 0:
		return strconv.Itoa(n.Endpoints) + ", and no public listener"
	}
	return strconv.Itoa(n.Endpoints)
}

// shipped says how the copy to a target goes.
func shipped(s *ship.Status) string {
	switch {
	case s == nil:
		return "no"
	case s.Until.IsZero():
		return "to " + s.Target + ", no whole copy of the database yet"
	}
	return fmt.Sprintf("to %s, restorable from %s to %s, %.0f s behind, stream %s", s.Target, s.Since.Format(time.RFC3339), s.Until.Format(time.RFC3339), s.Lag, s.Stream)
}

func printStatus(env *Env, data string, st *server.Status) error {
	err := printFields(env.Stdout, [][2]string{
		{"Running", "yes"},
		{"Endpoint", st.Listen},
		{"Data", data},
		{"Database", st.Engine},
		{"Account", st.Account},
		{"Private endpoints", privateEndpoints(&st.Network)},
		{"Regions", strings.Join(st.Regions, ", ")},
		{"Memory", st.Memory.String()},
		{"Audit", st.Audit.Durability + ", node " + st.Node},
		{"Shipped", shipped(st.Ship)},
	})
	if err != nil || len(st.Warnings) == 0 {
		return err
	}
	fmt.Fprintln(env.Stdout, "Warnings:")
	for _, w := range st.Warnings {
		fmt.Fprintln(env.Stdout, "  - "+plain(w))
	}
	return nil
}
