package sink

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// hdfsSettings are the properties of an hdfs sink, checked.
type hdfsSettings struct {
	dir          string // absolute: the path up to its first escape
	below        string // the rest of the path, a pattern
	filePrefix   string
	suffix       string // of files, with the codec's extension
	inUsePrefix  string
	inUseSuffix  string
	rollInterval time.Duration
	rollSize     int64 // bytes of bodies
	rollCount    int64 // records
	idleTimeout  time.Duration
	maxOpenFiles int
	files        filesOptions
	escapes      escapeOptions
	codec        *hadoopCodec
	// serializer makes one for another file.
	serializer func(odd func()) (Serializer, error)
}

func readHDFSSettings(s topologies.Settings, env Env) (hdfsSettings, error) {
	h := hdfsSettings{
		filePrefix:   s.String("hdfs.filePrefix"),
		suffix:       s.String("hdfs.fileSuffix"),
		inUsePrefix:  s.String("hdfs.inUsePrefix"),
		inUseSuffix:  s.String("hdfs.inUseSuffix"),
		rollInterval: s.Duration("hdfs.rollInterval"),
		rollSize:     s.Int64("hdfs.rollSize"),
		rollCount:    s.Int64("hdfs.rollCount"),
		idleTimeout:  s.Duration("hdfs.idleTimeout"),
		maxOpenFiles: max(1, s.Int("hdfs.maxOpenFiles")),
		files:        filesOptions{CloseTries: s.Int("hdfs.closeTries"), RetryInterval: s.Duration("hdfs.retryInterval")},
	}
	if s.Bool("hdfs.emptyInUseSuffix") {
		h.inUseSuffix = ""
	}
	if h.files.RetryInterval <= 0 {
		h.files.CloseTries = 1 // Flume does not try again then
	}
	if err := h.readFormat(s); err != nil {
		return h, err
	}
	place, err := localPath(s.String("hdfs.path"))
	if err != nil {
		s.Fail("hdfs.path", err.Error())
		return h, s.Err()
	}
	h.dir, h.below = splitPattern(place)
	location, err := timeZone(s.String("hdfs.timeZone"))
	if err != nil {
		s.Fail("hdfs.timeZone", err.Error())
		return h, s.Err()
	}
	h.escapes = escapeOptions{
		Location: location, Round: s.Bool("hdfs.round"), Unit: s.String("hdfs.roundUnit"), Value: s.Int("hdfs.roundValue"),
		UseLocalTime: s.Bool("hdfs.useLocalTimeStamp"), Compat: env.Compat, Clean: true, AllowSlash: s.Bool("pathHeaderAllowSlash"),
	}
	return h, s.Err()
}

// readFormat reads what the files look like inside.
func (h *hdfsSettings) readFormat(s topologies.Settings) error {
	var err error
	if name := s.String("hdfs.codeC"); name != "" {
		if h.codec, err = lookupCodec(name); err != nil {
			s.Fail("hdfs.codeC", err.Error())
			return s.Err()
		}
		if h.suffix == "" {
			h.suffix = h.codec.extension
		}
	}
	codec, typ := h.codec, s.String("serializer")
	kind, _ := kinds.Lookup(kinds.Serializer, typ)
	inner := func() (Serializer, error) { return newSerializer(typ, s.Sub("serializer.", kind)) }
	switch fileType := s.String("hdfs.fileType"); strings.ToLower(fileType) {
	case "sequencefile":
		return h.readSequenceFormat(s)
	case "datastream":
		if codec != nil {
			s.Fail("hdfs.codeC", "fileType DataStream is not compressed: use CompressedStream, or leave codeC out")
		}
		h.serializer = func(func()) (Serializer, error) { return inner() }
	case "compressedstream":
		if codec == nil {
			s.Fail("hdfs.fileType", "CompressedStream needs hdfs.codeC")
		}
		h.serializer = func(func()) (Serializer, error) {
			made, err := inner()
			return &compressedStream{inner: made, codec: codec}, err
		}
	default:
		s.Fail("hdfs.fileType", fmt.Sprintf("%q is none of SequenceFile, DataStream, CompressedStream", fileType))
	}
	if s.Err() != nil {
		return s.Err()
	}
	_, err = inner()
	return err
}

func (h *hdfsSettings) readSequenceFormat(s topologies.Settings) error {
	text := false
	switch format := s.String("hdfs.writeFormat"); strings.ToLower(format) {
	case "writable":
	case "text":
		text = true
	default:
		s.Fail("hdfs.writeFormat", fmt.Sprintf("%q is none of Writable, Text", format))
	}
	codec := h.codec
	h.serializer = func(odd func()) (Serializer, error) { return &sequenceFile{text: text, codec: codec, odd: odd}, nil }
	return s.Err()
}

var pathScheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*):/`)

// localPath is the absolute local path that an hdfs.path means.
func localPath(place string) (string, error) {
	if place == "" {
		return "", fmt.Errorf("is needed")
	}
	if m := pathScheme.FindStringSubmatch(place); m != nil {
		if !strings.EqualFold(m[1], "file") {
			return "", fmt.Errorf("%s:// is not there yet: this release writes to local file systems only (file:///… or a mount of it)", m[1])
		}
		place = place[len("file:"):]
		if strings.HasPrefix(place, "//") {
			if place = place[2:]; !strings.HasPrefix(place, "/") {
				return "", fmt.Errorf("a file: path names no host: write file:///…")
			}
		}
		return filepath.Clean(place), nil
	}
	if fs, where := defaultFS(); fs != "" && !strings.HasPrefix(strings.ToLower(fs), "file:") {
		return "", fmt.Errorf("without a scheme it lies on fs.defaultFS, which %s sets to %s, and this release writes to local file systems only: write file:///… to mean one", where, fs)
	}
	return filepath.Abs(place)
}

// defaultFS is Hadoop's default file system, where one is configured.
func defaultFS() (fs, where string) {
	dir := os.Getenv("HADOOP_CONF_DIR")
	if dir == "" {
		return "", ""
	}
	where = filepath.Join(dir, "core-site.xml")
	text, err := os.ReadFile(where)
	if err != nil {
		return "", ""
	}
	var site struct {
		Properties []struct {
			Name  string `xml:"name"`
			Value string `xml:"value"`
		} `xml:"property"`
	}
	if err := xml.Unmarshal(text, &site); err != nil {
		return "", ""
	}
	for _, p := range site.Properties {
		if name := strings.TrimSpace(p.Name); name == "fs.defaultFS" || name == "fs.default.name" {
			fs = strings.TrimSpace(p.Value)
		}
	}
	return fs, where
}

// splitPattern cuts an absolute pattern behind the last folder without an
// escape.
func splitPattern(pattern string) (dir, below string) {
	for i := range pattern {
		if escapeAt(pattern[i:]) != "" {
			cut := strings.LastIndexByte(pattern[:i], '/')
			return filepath.Clean(pattern[:cut+1]), pattern[cut+1:]
		}
	}
	return pattern, ""
}

var gmtOffset = regexp.MustCompile(`^(?:GMT|UTC)?([+-])(\d{1,2})(?::?(\d{2}))?$`)

// timeZone reads a time zone as Java writes it; nil is the machine's own.
func timeZone(name string) (*time.Location, error) {
	if name == "" || name == "Local Time" {
		return nil, nil
	}
	if m := gmtOffset.FindStringSubmatch(name); m != nil {
		hours, _ := strconv.Atoi(m[2])
		minutes, _ := strconv.Atoi(m[3])
		offset := hours*hour + minutes*minute
		if m[1] == "-" {
			offset = -offset
		}
		if hours <= 23 && minutes <= 59 {
			return time.FixedZone(name, offset), nil
		}
	}
	if long, ok := javaZones[name]; ok {
		name = long
	}
	location, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("unknown time zone %q: a name such as Europe/Berlin, or GMT+01:00", name)
	}
	return location, nil
}

// javaZones are short names that Java knows and the time zone database does not.
var javaZones = map[string]string{
	"PST": "America/Los_Angeles", "CST": "America/Chicago", "IST": "Asia/Kolkata", "JST": "Asia/Tokyo", "CTT": "Asia/Shanghai",
	"AST": "America/Anchorage", "ECT": "Europe/Paris", "BST": "Asia/Dhaka", "AET": "Australia/Sydney", "ART": "Africa/Cairo",
}
