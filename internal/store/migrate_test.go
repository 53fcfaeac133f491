package store

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func TestLoadMigrations(t *testing.T) {
	list, err := loadMigrations(fstest.MapFS{
		"0010_b_later.sql": file("-- store version: 3\nSELECT 1;"),
		"0002_a_first.sql": file("SELECT 1; -- store version: 9"),
	})
	if err != nil || len(list) != 2 || list[0].number != 2 || list[0].version != 1 ||
		list[1].name != "b_later" || list[1].version != 3 {
		t.Errorf("got %+v, %v", list, err)
	}
	for name, files := range map[string]fstest.MapFS{
		"number twice":  {"0001_a.sql": file(""), "0001_b.sql": file("")},
		"no number":     {"a.sql": file("")},
		"short number":  {"001_a.sql": file("")},
		"upper case":    {"0001_A.sql": file("")},
		"deferrable":    {"0001_a.sql": file("CREATE TABLE a (b TEXT REFERENCES c (d) deferrable)")},
		"version of 10": {"0001_a.sql": file("-- store version: 99999999999\n")},
	} {
		if list, err := loadMigrations(files); name == "version of 10" {
			// Ten digits are no version: the line is an ordinary comment.
			if err != nil || list[0].version != 1 {
				t.Errorf("%s: %+v, %v", name, list, err)
			}
		} else if err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestMigrationsOverTime(t *testing.T) {
	engines(t, func(t *testing.T, _ opener) {
		config := Config{Dir: t.TempDir()}
		if strings.HasSuffix(t.Name(), PostgreSQL) {
			config = Config{URL: newDatabase(t)}
		}
		attempt := func(extra map[string]string) error {
			t.Helper()
			files := testMigrations(t)
			for name, text := range extra {
				files[name] = file(text)
			}
			db, err := open(t.Context(), config, files)
			if err != nil {
				return err
			}
			return db.Close()
		}
		must := func(name string, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		added := map[string]string{"0009_test_more.sql": "ALTER TABLE things ADD COLUMN more TEXT; CREATE INDEX things_more ON things (more);"}
		must("first", attempt(nil))
		must("again", attempt(nil))
		must("one more", attempt(added))
		must("older release, addition only", attempt(nil))
		added["0005_test_between.sql"] = "CREATE TABLE between_them (a TEXT NOT NULL);"
		must("a number in between", attempt(added))

		err := attempt(map[string]string{"0010_test_broken.sql": "CREATE TABLE half (a TEXT); CREATE TABLE half (a TEXT);"})
		if err == nil || !strings.Contains(err.Error(), "0010_test_broken") {
			t.Errorf("broken migration: %v", err)
		}
		must("the half was rolled back", attempt(map[string]string{"0010_test_mended.sql": "CREATE TABLE half (a TEXT);"}))

		if err := attempt(map[string]string{"0010_test_other.sql": "SELECT 1;"}); err == nil {
			t.Error("two migrations of one number")
		}

		contracted := map[string]string{"0011_test_drop.sql": "-- store version: 2\nDROP TABLE half;"}
		must("contraction", attempt(contracted))
		must("contraction again", attempt(contracted))
		err = attempt(added)
		var hint interface{ Hint() string }
		if !errors.Is(err, ErrNewer) || !errors.As(err, &hint) {
			t.Errorf("older release after a contraction: %v", err)
		}
	})
}

func TestCollate(t *testing.T) {
	for in, want := range map[string]string{
		"a TEXT NOT NULL, b text":            `a TEXT COLLATE "C" NOT NULL, b text COLLATE "C"`,
		"TEXT":                               `TEXT COLLATE "C"`,
		"context TEXTUAL pretext text_2":     "context TEXTUAL pretext text_2",
		"-- TEXT\na TEXT":                    "-- TEXT\na TEXT COLLATE \"C\"",
		"/* TEXT\n*/ a TEXT":                 "/* TEXT\n*/ a TEXT COLLATE \"C\"",
		"a TEXT DEFAULT 'it''s TEXT' TEXT":   `a TEXT COLLATE "C" DEFAULT 'it''s TEXT' TEXT COLLATE "C"`,
		`"TEXT" TEXT`:                        `"TEXT" TEXT COLLATE "C"`,
		"CAST(a AS TEXT), CAST(b as\n text)": "CAST(a AS TEXT), CAST(b as\n text)",
		"'open TEXT":                         "'open TEXT",
		"/* open TEXT":                       "/* open TEXT",
		"":                                   "",
	} {
		if got := collate(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// FuzzCollate checks the law that nothing is changed but by insertion.
func FuzzCollate(f *testing.F) {
	for _, seed := range []string{things, "a TEXT--", "'", "/*/ TEXT */", "\"", "TEXT'TEXT'TEXT", "é TEXT"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, ` COLLATE "C"`) {
			t.Skip("already there")
		}
		if got := strings.ReplaceAll(collate(text), ` COLLATE "C"`, ""); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	})
}

func TestAllTextColumnsAreCollated(t *testing.T) {
	db := newOpener(t, PostgreSQL)(t)
	var n int64
	err := db.Get(t.Context(), `SELECT COUNT(*) FROM information_schema.columns
		WHERE table_schema = 'public' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'`).Scan(&n)
	if err != nil || n != 0 {
		t.Errorf("%d columns sort by the server's rules, %v", n, err)
	}
}
