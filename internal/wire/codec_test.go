package wire

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"
	"unicode/utf8"

	"github.com/strongroom/strongroom/internal/aws"
)

func TestDecodeJSON(t *testing.T) {
	var in toyInput
	body := ` {"Id":null,"secret":"x","Secret":"hunter2","SecretBlob":"AAEC","Blob":"","Count":-0,"Big":9007199254740993,"Flag":false,
		"When":1712813867.1239,"Names":[],"Tags":[{"Key":"k","nested":{"deep":[1,2,{}]}}],"Context":{},"Rules":{},"Unknown":[null]} `
	if err := decodeJSON([]byte(body), &in, defaultBounds); err != nil {
		t.Fatal(err, err.Cause)
	}
	want := toyInput{Secret: new(aws.SensitiveString("hunter2")), SecretBlob: aws.SensitiveBytes{0, 1, 2}, Blob: []byte{}, Count: new(int32(0)),
		Big: new(int64(9007199254740993)), Flag: new(false), When: aws.NewTime(time.UnixMilli(1712813867124).UTC()), Names: []string{},
		Tags: []toyTag{{Key: new("k")}}, Context: map[string]string{}, Rules: &toyRules{}}
	if !reflect.DeepEqual(in, want) {
		t.Errorf("got  %s\nwant %s", spill(in), spill(want))
	}
}

func TestDecodeQuery(t *testing.T) {
	f := make(form)
	err := f.add("Action=Get&Id=a%20b+c&Secret=hunter2&SecretBlob=AAEC&Count=-1&Big=9007199254740993&Flag=true&When=2024-04-11T05:37:47Z"+
		"&Names.member.2=second&Names.member.1000000000=last&Names.member.1=first&Tags.member.1.Key=k&Tags.member.1.Value=v&Tags.member.1.Unknown=x"+
		"&Context.entry.1.key=a&Context.entry.1.value=1&Rules.Days=7&Rules.Tags.member.1.Key=r&Unknown.member.1=x&&", 100)
	if err != nil {
		t.Fatal(err)
	}
	var in toyInput
	if err := decodeQuery(f, &in, defaultElements); err != nil {
		t.Fatal(err, err.Cause)
	}
	want := toyInput{Id: new("a b c"), Secret: new(aws.SensitiveString("hunter2")), SecretBlob: aws.SensitiveBytes{0, 1, 2}, Count: new(int32(-1)),
		Big: new(int64(9007199254740993)), Flag: new(true), When: aws.NewTime(time.Unix(1712813867, 0).UTC()), Names: []string{"first", "second", "last"},
		Tags: []toyTag{{Key: new("k"), Value: new(aws.SensitiveString("v"))}}, Context: map[string]string{"a": "1"},
		Rules: &toyRules{Days: new(int64(7)), Tags: []toyTag{{Key: new("r")}}}}
	if !reflect.DeepEqual(in, want) {
		t.Errorf("got  %s\nwant %s", spill(in), spill(want))
	}

	empty := form{"Id": "", "Names": "", "Tags": ""}
	in = toyInput{}
	if err := decodeQuery(empty, &in, defaultElements); err != nil || in.Names == nil || in.Tags == nil || in.Id == nil {
		t.Errorf("%+v, %v", in, err)
	}
}

// spill shows an input with its sensitive values, for failing tests only.
func spill(v any) string {
	var b bytes.Buffer
	if err := encodeJSON(&b, v); err != nil {
		return err.Error()
	}
	return b.String()
}

// FuzzDecodeJSON holds the decoder to a law: what was decoded, encoded and
// decoded again is the same. It must not panic, and must not take more than it
// was given times a constant.
func FuzzDecodeJSON(f *testing.F) {
	for _, s := range []string{``, `{}`, `{"Id":"a"}`, `{"Secret":"\ud83d\ude00","Blob":"AAEC"}`, `{"When":-0.0015,"Count":1e2}`, `{"When":253402300799}`,
		`{"Names":["a",null],"Tags":[null,{"Key":null}],"Context":{"a":null}}`, `{"Rules":{"Tags":[{"Value":"x"}]}}`, `[`, `{"a":{"b":{"c":[[[]]]}}}`,
		`{"Id":"\\\""}`, `{"\u0049d":"a"}`, "{\"Id\":\"\xc0\"}", `{"Id":"a","Id":"b"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var in, again toyInput
		if err := decodeJSON(body, &in, bounds{16, 10_000, 1000}); err != nil {
			if err.HTTPStatus() != 400 {
				t.Fatalf("status %d", err.HTTPStatus())
			}
			return
		}
		var first, second bytes.Buffer
		if err := encodeJSON(&first, &in); err != nil {
			t.Fatalf("decoded but not encoded: %v", err)
		}
		if err := decodeJSON(first.Bytes(), &again, bounds{16, 10_000, 1000}); err != nil {
			t.Fatalf("%s: %v", first.Bytes(), err.Cause)
		}
		if err := encodeJSON(&second, &again); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("%v\n%s\n%s", err, first.Bytes(), second.Bytes())
		}
		v := Validation{echo: true}
		in.Validate(&v)
		if e := v.Err(&Service{}); e != nil && !utf8.ValidString(e.Message) {
			t.Fatal("sentence is not UTF-8")
		}
		(&Call{Input: &in}).RequestParameters()
	})
}

// FuzzDecodeQuery holds the form decoder to the same law.
func FuzzDecodeQuery(f *testing.F) {
	for _, s := range []string{"", "Id=a", "Names.member.1=a&Names.member.3=b", "Names.member.1000000000=x", "Tags.member.1.Key=k&Tags.member.2.Value=v",
		"Context.entry.1.key=a&Context.entry.1.value=b", "Rules.Days=1&Rules.Tags.member.1.Key=x", "Names=", "Id=%41+%zz", "Id=a&Id=b", "Blob=AAEC&Secret=%00",
		"When=2020-01-01T00:00:00Z", "When=2020-01-01T00:00:00.5%2b01:00", "....=1", "Names.member=x", "Tags.member.1.&Tags.member.2.Value", "Id.=x", "Flag=true&Count=07"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parse := func(text string) (*toyInput, bool) {
			p, in := make(form), new(toyInput)
			if err := p.add(text, 1000); err != nil {
				return nil, false
			}
			if err := decodeQuery(p, in, defaultElements); err != nil {
				return nil, false
			}
			return in, true
		}
		in, ok := parse(text)
		if !ok {
			return
		}
		first := strings.Join(flatten("", reflect.ValueOf(*in)), "&")
		again, ok := parse(first)
		if !ok {
			t.Fatalf("%q became %q, which does not parse", text, first)
		}
		if second := strings.Join(flatten("", reflect.ValueOf(*again)), "&"); first != second {
			t.Fatalf("%q\n%q", first, second)
		}
		(&Call{Input: in}).RequestParameters()
	})
}

// flatten is the client's half of the form codec.
func flatten(name string, v reflect.Value) (pairs []string) {
	sub := func(part string, v reflect.Value) {
		pairs = append(pairs, flatten(strings.TrimPrefix(name+"."+part, "."), v)...)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return flatten(name, v.Elem())
	case reflect.Struct:
		if v.Type() == timeType {
			break
		}
		for i := range v.NumField() {
			sub(v.Type().Field(i).Name, v.Field(i))
		}
		return pairs
	case reflect.Slice:
		if v.IsNil() {
			return nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return []string{name + "=" + url.QueryEscape(base64.StdEncoding.EncodeToString(v.Bytes()))}
		}
		for i, n := 0, 1; i < v.Len(); i++ {
			// An empty structure leaves no trace in this protocol, nor a number.
			before := len(pairs)
			sub(fmt.Sprintf("member.%d", n), v.Index(i))
			if len(pairs) > before {
				n++
			}
		}
		if len(pairs) == 0 {
			return []string{name + "="}
		}
		return pairs
	case reflect.Map:
		keys := v.MapKeys()
		for i, k := range keys {
			sub(fmt.Sprintf("entry.%d.key", i+1), k)
			sub(fmt.Sprintf("entry.%d.value", i+1), v.MapIndex(k))
		}
		return pairs
	}
	text, _ := appendScalar(nil, v)
	return []string{name + "=" + url.QueryEscape(string(text))}
}

// TestSparseListAllocatesLittle asks for a list of a billion items by naming one.
func TestSparseListAllocatesLittle(t *testing.T) {
	f := form{"Names.member.1000000000": "x", "Tags.member.2147483647.Key": "k"}
	bytes := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			if err := decodeQuery(f, new(toyInput), defaultElements); err != nil {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if bytes > 16<<10 {
		t.Errorf("%d bytes", bytes)
	}
}

func TestNesting(t *testing.T) {
	for s, want := range map[string]int{`{}`: 1, `{"a":[{}]}`: 3, `{"a":"[[[["}`: 1, `{"a":"\"[[[["}`: 1, `{"a":"\\","b":[]}`: 2, `{"a":[],"b":[]}`: 2, `{"a`: 1, ``: 0, `{"\`: 1} {
		if most := (bounds{want, 10, 10}); most.exceeded([]byte(s)) != "" {
			t.Errorf("%s is more than %d deep", s, want)
		}
		if most := (bounds{want - 1, 10, 10}); want > 0 && most.exceeded([]byte(s)) != "body is nested too deeply" {
			t.Errorf("%s is not %d deep", s, want)
		}
	}
}

// TestMembersAndElements: members count over all objects, elements in each list;
// what stands in strings is neither.
func TestMembersAndElements(t *testing.T) {
	for s, want := range map[string][2]int{
		`{}`: {0, 0}, `{"a":1}`: {1, 0}, `{"a":{"b":1,"c":2},"d":":::"}`: {4, 0}, `{"a":[1,2,3]}`: {1, 3}, `{"a":[[1,2],[3,4,5,6]]}`: {1, 4},
		`{"a":[{"b":1,"c":2,"d":3},{"b":1}]}`: {5, 2}, `{"a":[",,,,",2]}`: {1, 2}, `]]],,,`: {0, 0}, `{"a":[1],"b":[1,2],"c":3,"d":4}`: {4, 2},
	} {
		members, elements := want[0], max(want[1], 1)
		if why := (bounds{8, members, elements}).exceeded([]byte(s)); why != "" {
			t.Errorf("%s with %v: %s", s, want, why)
		}
		if why := (bounds{8, members - 1, elements}).exceeded([]byte(s)); members > 0 && why != "body has too many members" {
			t.Errorf("%s with a member less: %q", s, why)
		}
		if why := (bounds{8, members, want[1] - 1}).exceeded([]byte(s)); want[1] > 1 && why != "body has too long a list" {
			t.Errorf("%s with an element less: %q", s, why)
		}
	}
}

func TestTimesSurvive(t *testing.T) {
	if err := quick.Check(func(ms int64) bool {
		ms = min(max(ms%(maxTime*1000), minTime*1000+1), maxTime*1000) // The very first instant is Go's zero time, and left out.
		in := toyInput{When: aws.NewTime(time.UnixMilli(ms).UTC())}
		var b bytes.Buffer
		var out toyInput
		return encodeJSON(&b, &in) == nil && decodeJSON(b.Bytes(), &out, defaultBounds) == nil && out.When.Equal(in.When.Time)
	}, nil); err != nil {
		t.Error(err)
	}
}

func TestPercentEncode(t *testing.T) {
	if err := quick.Check(func(s string) bool {
		e := PercentEncode(s)
		d, err := url.PathUnescape(e)
		return err == nil && d == s && !strings.ContainsAny(e, " +/{}\"*")
	}, nil); err != nil {
		t.Error(err)
	}
	if got := PercentEncode(`{"Az09-._~":"*"} é`); got != "%7B%22Az09-._~%22%3A%22%2A%22%7D%20%C3%A9" {
		t.Error(got)
	}
}

// TestBuffersAreWiped pins that what the pool hands out again holds nothing of
// the call before.
func TestBuffersAreWiped(t *testing.T) {
	b := getBuffer()
	b.WriteString("hunter2")
	seen := b.Bytes()
	putBuffer(b)
	if bytes.Contains(seen[:cap(seen)], []byte("hunter2")) {
		t.Error("value is still there")
	}
}

func TestIDs(t *testing.T) {
	seen := make(map[string]bool)
	for range 2000 {
		for _, id := range func() []string { a, b := newIDs(); return []string{a, b} }() {
			if !uuid4.MatchString(id) || seen[id] {
				t.Fatalf("id %q, seen %v", id, seen[id])
			}
			seen[id] = true
		}
	}
}

// TestAllocations guards the hot path: decode, check and encode of a read.
func TestAllocations(t *testing.T) {
	body := []byte(`{"Id":"abc","Count":7,"Names":["x"]}`)
	out := &toyOutput{ARN: new("arn:toy"), Secret: new(aws.SensitiveString("hunter2")), Blob: aws.SensitiveBytes("hunter2"),
		Stages: []string{"AWSCURRENT"}, Created: aws.NewTime(time.UnixMilli(1712813867123))}
	allocations := testing.AllocsPerRun(1000, func() {
		in, v, b := new(toyInput), new(Validation), getBuffer()
		if decodeJSON(body, in, defaultBounds) != nil || encodeJSON(b, out) != nil {
			t.Fatal("codec failed")
		}
		in.Validate(v)
		putBuffer(b)
	})
	if allocations > 10 {
		t.Errorf("%v allocations", allocations)
	}
}

func BenchmarkCodec(b *testing.B) {
	body := []byte(`{"Id":"abc","Count":7,"Names":["x"]}`)
	out := &toyOutput{ARN: new("arn:toy"), Secret: new(aws.SensitiveString(strings.Repeat("x", 1024))), Stages: []string{"AWSCURRENT"},
		Created: aws.NewTime(time.UnixMilli(1712813867123))}
	b.ReportAllocs()
	for b.Loop() {
		in, v, buf := new(toyInput), new(Validation), getBuffer()
		if decodeJSON(body, in, defaultBounds) != nil || encodeJSON(buf, out) != nil {
			b.Fatal("codec failed")
		}
		in.Validate(v)
		putBuffer(buf)
	}
}

func BenchmarkRequestParameters(b *testing.B) {
	c := &Call{Input: &toyInput{Id: new("db/app"), Secret: new(aws.SensitiveString("hunter2")), Names: []string{"a"}}}
	b.ReportAllocs()
	for b.Loop() {
		c.RequestParameters()
	}
}
