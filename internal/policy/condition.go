package policy

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"strings"
)

// operator is what a condition compares, without its negation and prefixes.
type operator uint8

const (
	opStringEquals operator = iota
	opStringFold
	opStringLike
	opNumericEquals
	opNumericLess
	opNumericLessEq
	opNumericGreater
	opNumericGreaterEq
	opDateEquals
	opDateLess
	opDateLessEq
	opDateGreater
	opDateGreaterEq
	opBool
	opBinary
	opIP
	opARN
	opNull
)

type quantifier uint8

const (
	noQuantifier quantifier = iota
	forAll
	forAny
)

// test is an operator as written, taken apart.
type test struct {
	op         operator
	negated    bool
	ifExists   bool
	quantifier quantifier
}

// parseTest reads an operator name (spec iam-policy-evaluation.md 5.1). Names
// are case-sensitive like every other element of the language.
func parseTest(name string) (test, bool) {
	var t test
	if rest, ok := strings.CutPrefix(name, "ForAllValues:"); ok {
		t.quantifier, name = forAll, rest
	} else if rest, ok := strings.CutPrefix(name, "ForAnyValue:"); ok {
		t.quantifier, name = forAny, rest
	}
	name, t.ifExists = strings.CutSuffix(name, "IfExists")
	var ok bool
	if t.op, t.negated, ok = parseOperator(name); !ok {
		return test{}, false
	}
	if t.op == opNull && (t.ifExists || t.quantifier != noQuantifier) {
		return test{}, false
	}
	return t, true
}

func parseOperator(name string) (op operator, negated, ok bool) {
	switch name {
	case "StringEquals":
		return opStringEquals, false, true
	case "StringNotEquals":
		return opStringEquals, true, true
	case "StringEqualsIgnoreCase":
		return opStringFold, false, true
	case "StringNotEqualsIgnoreCase":
		return opStringFold, true, true
	case "StringLike":
		return opStringLike, false, true
	case "StringNotLike":
		return opStringLike, true, true
	case "NumericEquals":
		return opNumericEquals, false, true
	case "NumericNotEquals":
		return opNumericEquals, true, true
	case "NumericLessThan":
		return opNumericLess, false, true
	case "NumericLessThanEquals":
		return opNumericLessEq, false, true
	case "NumericGreaterThan":
		return opNumericGreater, false, true
	case "NumericGreaterThanEquals":
		return opNumericGreaterEq, false, true
	case "DateEquals":
		return opDateEquals, false, true
	case "DateNotEquals":
		return opDateEquals, true, true
	case "DateLessThan":
		return opDateLess, false, true
	case "DateLessThanEquals":
		return opDateLessEq, false, true
	case "DateGreaterThan":
		return opDateGreater, false, true
	case "DateGreaterThanEquals":
		return opDateGreaterEq, false, true
	case "Bool":
		return opBool, false, true
	case "BinaryEquals":
		return opBinary, false, true
	case "IpAddress":
		return opIP, false, true
	case "NotIpAddress":
		return opIP, true, true
	case "ArnEquals", "ArnLike":
		return opARN, false, true
	case "ArnNotEquals", "ArnNotLike":
		return opARN, true, true
	case "Null":
		return opNull, false, true
	}
	return 0, false, false
}

func (op operator) isDate() bool { return opDateEquals <= op && op <= opDateGreaterEq }

// takesVariables follows the documentation, operator by operator (spec
// iam-policy-evaluation.md 3).
func (op operator) takesVariables() bool {
	return op <= opStringLike || op == opARN || op == opBool
}

// condition is one key under one operator.
type condition struct {
	test
	name    string // operator as written
	key     string // lower case
	written string // key as written
	values  []operand
}

// operand is one value of a condition, parsed for its operator. Where the text
// does not parse, usable is false and the operand equals nothing.
type operand struct {
	written string
	usable  bool
	text    pattern // strings, ARNs with variables and Booleans with variables
	truth   bool
	number  decimal
	date    instant
	network netip.Prefix
	bytes   []byte
	arn     *arnPattern // ARNs without variables
}

func compileOperand(op operator, written string, variables bool) operand {
	o := operand{written: written, usable: true}
	switch {
	case op == opStringLike:
		o.text = compile(written, true, variables)
	case op == opStringEquals || op == opStringFold:
		o.text = compile(written, false, variables)
	case op == opARN:
		o.text = compile(written, true, variables)
		if o.text.shape != shapeTemplate {
			arn := compileARN(o.text)
			o.arn = &arn
		}
	case op == opBool:
		o.text = compile(written, false, variables)
		if o.text.shape != shapeTemplate {
			o.truth, o.usable = parseBool(o.text.text)
		}
	case op == opNull:
		o.truth, o.usable = parseBool(written)
	case op.isDate():
		o.date, o.usable = parseInstant(written)
	case op == opBinary:
		bytes, err := base64.StdEncoding.DecodeString(written)
		o.bytes, o.usable = bytes, err == nil
	case op == opIP:
		o.network, o.usable = parsePrefix(written)
	default:
		o.number, o.usable = parseDecimal(written)
	}
	return o
}

// holds decides the condition for a request.
func (c *condition) holds(e *evaluation) bool {
	s := e.look(c.key)
	return c.decide(e, &s.value, s.present)
}

// decide is holds for a value that has been looked up (spec
// iam-policy-evaluation.md 5).
// What it needs of v it has read before it looks up variables, which may take v's
// place.
func (c *condition) decide(e *evaluation, v *Value, present bool) bool {
	switch {
	case c.op == opNull:
		for i := range c.values {
			if c.values[i].usable && c.values[i].truth != present {
				return true
			}
		}
		return false
	case !present && c.ifExists:
		return true
	case !present && c.quantifier == forAll:
		return true
	case !present && c.quantifier == forAny:
		return false
	case !present:
		return c.negated
	case !v.Multi:
		return c.quantifier == forAll && v.One == "" || c.accepts(e, v.One)
	}
	quantifier := c.quantifier
	if quantifier == noQuantifier {
		// An authoring error that must mean something: the reading that keeps
		// an Allow narrow.
		quantifier = forAny
		if c.negated {
			quantifier = forAll
		}
	}
	for _, one := range v.Many {
		if quantifier == forAll && one == "" {
			continue
		}
		if c.accepts(e, one) != (quantifier == forAll) {
			return quantifier == forAny
		}
	}
	return quantifier == forAll
}

// accepts applies operator and negation to one value of the request. Several
// values of the policy are alternatives; negated, it must differ from all.
func (c *condition) accepts(e *evaluation, s string) bool {
	return c.meets(e, s) != c.negated
}

func (c *condition) meets(e *evaluation, s string) bool {
	switch {
	case c.op <= opStringLike:
		return c.meetsText(e, s)
	case c.op == opARN:
		return c.meetsARN(e, s)
	case c.op == opBool:
		return c.meetsBool(e, s)
	case c.op == opIP:
		return c.meetsIP(s)
	case c.op == opBinary:
		return c.meetsBinary(s)
	case c.op.isDate():
		return c.meetsDate(s)
	}
	return c.meetsNumber(s)
}

func (c *condition) meetsText(e *evaluation, s string) bool {
	for i := range c.values {
		o := &c.values[i]
		if c.op == opStringFold {
			if o.equalFold(s, e) {
				return true
			}
			continue
		}
		if o.text.matchesIn(s, e) {
			return true
		}
	}
	return false
}

func (o *operand) equalFold(s string, e *evaluation) bool {
	if o.text.shape != shapeTemplate {
		return strings.EqualFold(o.text.text, s)
	}
	var room [expandRoom]byte
	// A letter and its other case can differ in length, by two bytes of three at most.
	text, ok := o.text.expand(room[:0], e, 3*len(s))
	return ok && strings.EqualFold(string(text), s)
}

func (c *condition) meetsARN(e *evaluation, s string) bool {
	arn, ok := splitARN(s)
	if !ok {
		return false
	}
	for i := range c.values {
		o := &c.values[i]
		if o.arn != nil {
			if o.arn.matchesParts(&arn) {
				return true
			}
			continue
		}
		var room [expandRoom]byte
		if text, ok := o.text.expand(room[:0], e, len(s)); ok && matchARN(text, &arn) {
			return true
		}
	}
	return false
}

func (c *condition) meetsBool(e *evaluation, s string) bool {
	truth, ok := parseBool(s)
	if !ok {
		return false
	}
	for i := range c.values {
		o := &c.values[i]
		if o.text.shape != shapeTemplate {
			if o.usable && o.truth == truth {
				return true
			}
			continue
		}
		var room [expandRoom]byte
		if text, ok := o.text.expand(room[:0], e, len(s)); ok {
			if want, ok := parseBool(string(text)); ok && want == truth {
				return true
			}
		}
	}
	return false
}

func (c *condition) meetsIP(s string) bool {
	addr, ok := parseAddr(s)
	if !ok {
		return false
	}
	for i := range c.values {
		if c.values[i].usable && c.values[i].network.Contains(addr) {
			return true
		}
	}
	return false
}

func (c *condition) meetsBinary(s string) bool {
	// Not strict: a request must not slip past a Deny by the unused bits of its
	// last character.
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return false
	}
	for i := range c.values {
		if c.values[i].usable && bytes.Equal(c.values[i].bytes, b) {
			return true
		}
	}
	return false
}

func (c *condition) meetsDate(s string) bool {
	date, ok := parseInstant(s)
	if !ok {
		return false
	}
	for i := range c.values {
		if c.values[i].usable && ordered(c.op-opDateEquals, date.compare(c.values[i].date)) {
			return true
		}
	}
	return false
}

func (c *condition) meetsNumber(s string) bool {
	number, ok := parseDecimal(s)
	if !ok {
		return false
	}
	for i := range c.values {
		if c.values[i].usable && ordered(c.op-opNumericEquals, number.compare(c.values[i].number)) {
			return true
		}
	}
	return false
}

// ordered reads the outcome of a comparison. Numbers and dates list their five
// operators in the same order.
func ordered(which operator, order int) bool {
	switch which {
	case 0:
		return order == 0
	case 1:
		return order < 0
	case 2:
		return order <= 0
	case 3:
		return order > 0
	}
	return order >= 0
}
