package interceptor_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/actors/source/interceptor"
)

func TestDatePatternsReadAndWriteLikeJava(t *testing.T) {
	const joda, simple = interceptor.Joda, interceptor.SimpleDate
	for _, c := range []struct {
		dialect       interceptor.Dialect
		pattern, text string
		want          string // RFC 3339; "" when it cannot be read
		back          string // as it is written again; "" is text
	}{
		{joda, "yyyy-MM-dd HH:mm:ss,SSS", "2012-10-17 15:34:44,336", "2012-10-17T15:34:44.336Z", ""},
		{joda, "yyyy-MM-dd'T'HH:mm:ss.SSSZ", "2012-10-17T15:34:44.336+0200", "2012-10-17T13:34:44.336Z", "2012-10-17T13:34:44.336+0000"},
		{joda, "yyyy-MM-dd'T'HH:mm:ssZZ", "2012-10-17T15:34:44-07:30", "2012-10-17T23:04:44Z", "2012-10-17T23:04:44+00:00"},
		{joda, "dd/MMM/yyyy:HH:mm:ss Z", "01/feb/2024:23:59:59 +0000", "2024-02-01T23:59:59Z", "01/Feb/2024:23:59:59 +0000"},
		{joda, "EEEE, d MMMM yy h:mm a", "Thursday, 1 February 24 12:05 am", "2024-02-01T00:05:00Z", "Thursday, 1 February 24 12:05 AM"},
		{joda, "yyyyMMddHHmmss", "20240229120000", "2024-02-29T12:00:00Z", ""},
		{joda, "yyyy.DDD", "2024.366", "2024-12-31T00:00:00Z", ""},
		{joda, "''yyyy'y''y'", "'2024y'y", "2024-01-01T00:00:00Z", ""},
		{joda, "MM-dd", "02-29", "2000-02-29T00:00:00Z", ""},
		{joda, "HH:mm", "07:30", "1970-01-01T07:30:00Z", ""},
		{joda, "ss.S", "05.25", "1970-01-01T00:00:05.25Z", "05.2"},
		{joda, "yyyy-MM-dd", "2023-02-29", "", ""},
		{joda, "yyyy-MM-dd", "2023-02-28 ", "", ""},
		{joda, "yyyy-MM-dd", "", "", ""},
		{joda, "HH:mm", "24:00", "", ""},
		{joda, "HH z", "07 UTC", "1970-01-01T07:00:00Z", ""},
		{simple, "ss.S", "05.25", "1970-01-01T00:00:05.025Z", ""},
		{simple, "HH:mm", "25:00", "1970-01-02T01:00:00Z", "01:00"},
		{simple, "yyyy-MM-dd", "2023-02-29 and more", "2023-03-01T00:00:00Z", "2023-03-01"},
		{simple, "yyyy-MM-dd'T'HH:mmXXX", "2023-02-28T10:00+01:00", "2023-02-28T09:00:00Z", "2023-02-28T09:00Z"},
		{simple, "kk:mm KK", "24:05 03", "1970-01-01T03:05:00Z", "03:05 03"},
	} {
		f, err := interceptor.ParseDateFormat(c.pattern, c.dialect, time.UTC)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		got, err := f.Parse(c.text)
		if c.want == "" {
			if err == nil {
				t.Errorf("%s reads %q: got %v, want an error", c.pattern, c.text, got)
			}
			continue
		}
		if want, _ := time.Parse(time.RFC3339Nano, c.want); err != nil || !got.Equal(want) {
			t.Errorf("%s reads %q: got %v, %v, want %v", c.pattern, c.text, got, err, c.want)
			continue
		}
		if c.back == "" {
			c.back = c.text
		}
		if again := string(f.Append(nil, got)); again != c.back {
			t.Errorf("%s writes %v: got %q, want %q", c.pattern, c.want, again, c.back)
		}
	}
}

func TestADatePatternIsRefusedWithItsPlace(t *testing.T) {
	for _, pattern := range []string{"yyyy-jj", "'T", "yyyy'"} {
		if _, err := interceptor.ParseDateFormat(pattern, interceptor.Joda, time.UTC); err == nil {
			t.Errorf("%s: got no error", pattern)
		}
	}
}

// No pattern and no text makes it crash, and what a full pattern writes it
// reads as the same instant.
func FuzzDateFormat(f *testing.F) {
	f.Add("yyyy-MM-dd HH:mm:ss,SSS", "2012-10-17 15:34:44,336", int64(1350487084336), "-")
	f.Add("EEEE d MMM yy hh a", "Thursday 1 Feb 24 12 am", int64(0), "'")
	f.Add("yyyy-MM-dd'T'HH:mm:ssZZ", "2012-10-17T15:34:44-07:30", int64(-1), "")
	f.Fuzz(func(t *testing.T, pattern, text string, ms int64, between string) {
		at := time.UnixMilli(ms % 9e13).UTC()
		for _, d := range []interceptor.Dialect{interceptor.Joda, interceptor.SimpleDate} {
			if format, err := interceptor.ParseDateFormat(pattern, d, time.UTC); err == nil && len(pattern) < 1000 {
				_, _ = format.Parse(text)
				format.Append(nil, at)
			}
			full := strings.Join([]string{"yyyy", "MMM", "dd", "HH", "mm", "ss", "SSS", "Z"}, "'|"+strings.ReplaceAll(between, "'", "''")+"'")
			format, err := interceptor.ParseDateFormat(full, d, time.UTC)
			if err != nil {
				t.Fatalf("%q: %v", full, err)
			}
			written := string(format.Append(nil, at))
			if again, err := format.Parse(written); at.Year() >= 0 && (err != nil || !again.Equal(at)) {
				t.Errorf("%q wrote %v as %q and read %v, %v", full, at, written, again, err)
			}
		}
	})
}
