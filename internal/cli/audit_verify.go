package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/audit"
)

func newAuditVerify(env *Env) *cobra.Command {
	var data string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify",
		Short: "Prove that no audit record was changed, removed or added",
		Long: `Read every byte of the audit record, on a running or a stopped server, and prove
that nothing was changed, removed, reordered or added since it was signed. The
first record that breaks the proof is named, and the status is then 1.

Signed heads are taken from the database and from beside the segments. Where the
database cannot be read the proof rests on the latter alone, and says so: who can
replace all files of the directory can replace those too.

With several nodes each chain is proven: this node's from its files and from the
database, the others' from the database, to which they ship it within a second.`,
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			proof, err := prove(c.Context(), env, data)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(env.Stdout, proof.verdict())
			} else {
				err = proof.print(env)
			}
			if err == nil && !proof.ok() {
				return errSilent
			}
			return err
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	return c
}

// witness says where the heads come from that a proof rests on.
type witness string

const (
	byServer   witness = "database"
	byDatabase witness = "database, stopped"
	byFiles    witness = "files"
)

// proof is what was found of all chains.
type proof struct {
	witness witness
	// own is this node's chain from its files, copies are the chains in the
	// database, this node's first.
	own    *audit.Report
	copies []*audit.Report
	dir    string
}

// prove verifies the audit record of a data directory.
func prove(ctx context.Context, env *Env, data string) (p *proof, err error) {
	r, err := openRecord(ctx, env, data, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	p = &proof{witness: r.witness, dir: r.own.Dir}
	if p.own, err = audit.Verify(ctx, r.own); err != nil {
		return nil, fmt.Errorf("cannot read the audit record: %w", err)
	}
	copies := r.others
	if r.own.Copies != nil {
		own := r.own
		own.Dir = ""
		copies = append([]audit.Source{own}, copies...)
	}
	for _, s := range copies {
		report, err := audit.Verify(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("cannot read the audit record of %s: %w", s.Node, err)
		}
		p.copies = append(p.copies, report)
	}
	return p, nil
}

func (p *proof) ok() bool {
	return p.own.OK() && !slices.ContainsFunc(p.copies, func(r *audit.Report) bool { return !r.OK() })
}

func (p *proof) verdict() recordVerdict {
	out := recordVerdict{verdict: newVerdict(p.own, p.witness), Copies: []verdict{}}
	for _, r := range p.copies {
		out.Copies = append(out.Copies, newVerdict(r, p.witness))
	}
	out.OK = p.ok()
	return out
}

func (p *proof) print(env *Env) error {
	if err := printReport(env, p.own.Node+" in "+p.dir, p.own, p.witness); err != nil {
		return err
	}
	for _, r := range p.copies {
		fmt.Fprintln(env.Stdout)
		if err := printReport(env, r.Node+" in the database", r, p.witness); err != nil {
			return err
		}
	}
	return nil
}

func (w witness) String() string {
	switch w {
	case byServer:
		return "the running server's database"
	case byDatabase:
		return "the database"
	}
	return "the files beside the segments alone"
}

// printReport says what was proven, and what was not.
func printReport(env *Env, chain string, r *audit.Report, w witness) error {
	fields := [][2]string{{"Chain", chain}}
	if r.Records > 0 {
		fields = append(fields, [2]string{"Records", fmt.Sprintf("%d to %d, %s in %s", r.First, r.Last, count(r.Records, "record"), count(r.Segments, "segment"))})
	} else {
		fields = append(fields, [2]string{"Records", "none"})
	}
	if r.Dropped > 0 {
		fields = append(fields, [2]string{"Dropped", fmt.Sprintf("the bodies of %s; their hashes are there", count(r.Dropped, "record"))})
	}
	if r.Head != nil {
		signed := fmt.Sprintf("record %d, signed %s, from %s", r.Head.Seq, moment(&r.Head.Time), w)
		if r.Last > r.Head.Seq && r.Broken == nil {
			signed += fmt.Sprintf("; the %s after it hold together, but nothing is signed yet that would miss them", count(r.Last-r.Head.Seq, "record"))
		}
		fields = append(fields, [2]string{"Head", signed})
	} else {
		fields = append(fields, [2]string{"Head", "none, so a removed end could not be noticed"})
	}
	if r.Torn > 0 {
		fields = append(fields, [2]string{"Torn", count(uint64(r.Torn), "byte") + " behind the last record: a write in progress, or what a crash left"})
	}
	for _, g := range r.Gaps {
		fields = append(fields, [2]string{"Gap", fmt.Sprintf("records %d to %d were lost; the server found and signed that on %s (%s)", g.From, g.To, moment(&g.Found), g.Break.Error())})
	}
	for _, l := range r.Windows {
		fields = append(fields, [2]string{"Window", fmt.Sprintf("the node lost its disk: what it recorded from %s until %s, behind record %d, may be missing, except changes",
			moment(&l.From), moment(&l.To), l.After)})
	}
	switch {
	case r.Broken != nil:
		fields = append(fields, [2]string{"Verdict", "BROKEN at record " + fmt.Sprint(r.Broken.Seq)}, [2]string{"Broken", r.Broken.Error()})
	case !r.OK():
		fields = append(fields, [2]string{"Verdict", "INCOMPLETE: what is there is unaltered, but signed records are lost"})
	default:
		fields = append(fields, [2]string{"Verdict", "proven: everything that was signed is there and unaltered"})
	}
	return printFields(env.Stdout, fields)
}

// recordVerdict is a proof as JSON: this node's chain, and beside it the copies.
type recordVerdict struct {
	verdict
	Copies []verdict `json:"copies"`
}

// verdict is a report as JSON.
type verdict struct {
	OK       bool         `json:"ok"`
	Node     string       `json:"node"`
	Segments int          `json:"segments"`
	Records  uint64       `json:"records"`
	Dropped  uint64       `json:"dropped"`
	First    uint64       `json:"first"`
	Last     uint64       `json:"last"`
	Chain    string       `json:"chain"`
	Witness  witness      `json:"headsFrom"`
	Head     *verdictHead `json:"head"`
	Torn     int64        `json:"tornBytes"`
	Gaps     []verdictGap `json:"gaps"`
	Broken   *verdictHole `json:"broken"`
	// Windows tell of lost disks.
	Windows []verdictWindow `json:"windows"`
}

type verdictWindow struct {
	After uint64    `json:"after"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
}

type verdictHead struct {
	Seq  uint64    `json:"record"`
	Time time.Time `json:"time"`
}

type verdictGap struct {
	From  uint64      `json:"from"`
	To    uint64      `json:"to"`
	Found time.Time   `json:"found"`
	Break verdictHole `json:"break"`
}

type verdictHole struct {
	Kind    audit.Kind `json:"kind"`
	Record  uint64     `json:"record"`
	Segment string     `json:"segment"`
	Offset  int64      `json:"offset"`
	Detail  string     `json:"detail,omitempty"`
}

func newVerdict(r *audit.Report, w witness) verdict {
	hole := func(b audit.Break) verdictHole { return verdictHole{b.Kind, b.Seq, b.Segment, b.Offset, b.Detail} }
	v := verdict{OK: r.OK(), Node: r.Node, Segments: r.Segments, Records: r.Records, Dropped: r.Dropped, First: r.First, Last: r.Last,
		Chain: r.Chain.String(), Witness: w, Torn: r.Torn, Gaps: []verdictGap{}, Windows: []verdictWindow{}}
	for _, l := range r.Windows {
		v.Windows = append(v.Windows, verdictWindow{l.After, l.From, l.To})
	}
	if r.Head != nil {
		v.Head = &verdictHead{r.Head.Seq, r.Head.Time}
	}
	for _, g := range r.Gaps {
		v.Gaps = append(v.Gaps, verdictGap{g.From, g.To, g.Found, hole(g.Break)})
	}
	if r.Broken != nil {
		b := hole(*r.Broken)
		v.Broken = &b
	}
	return v
}
