package topologies

import (
	"net"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/topologies/kinds"
)

// advice tells of what works and is likely not meant, and of what fails only
// once events come.
func (v *validator) advice(a *Agent) {
	for i := range a.Sources {
		c := &a.Sources[i]
		if c.Kind == nil || c.Kind.Support == kinds.Missing {
			continue
		}
		v.lossy(c)
		v.listener(c)
		who := title(kinds.Source, c.Name)
		switch c.Kind.Name {
		case "exec":
			v.add("SL0333", Note, c.place("command"), 0, "%s runs a command, which serve allows only with --allow-exec", who)
		case "taildir":
			for _, group := range c.Settings.List("filegroups") {
				if value, ok := c.Settings.Value("filegroups." + group); ok {
					v.filegroup(who, "filegroups."+group, value)
				}
			}
		}
	}
	v.ports(a)
	for i := range a.Sinks {
		if c := &a.Sinks[i]; c.Kind != nil && c.Kind.Name == "hdfs" {
			v.hdfs(a, c)
		}
	}
}

// pushed are the sources that cannot read again what was lost.
var pushed = []string{"exec", "netcat", "http", "syslogtcp", "syslogudp"}

// lossy warns of channels that lose what cannot be read again.
func (v *validator) lossy(c *Component) {
	if !slices.Contains(pushed, c.Kind.Name) {
		return
	}
	for _, name := range c.Channels {
		channel, ok := v.a.Channel(name)
		if !ok || channel.Kind == nil || channel.Kind.Name != "memory" {
			continue
		}
		f := v.add("SL0331", Warning, channel.place("type"), 0, "a crash loses what channel %q holds, since source %q cannot read it again", name, c.Name)
		f.Hint, f.Flume = "use type file to keep it", "lose it too"
	}
}

// address is where a source listens: network, host and port.
func address(c *Component) (network, host, port string, ok bool) {
	network = "tcp"
	switch c.Kind.Name {
	case "netcat", "http":
		host = c.Settings.String("bind")
	case "syslogtcp":
		host = c.Settings.String("host")
	case "syslogudp":
		network, host = "udp", c.Settings.String("host")
	default:
		return "", "", "", false
	}
	return network, strings.TrimSpace(host), strings.TrimSpace(c.Settings.String("port")), true
}

// listener warns of a source that takes events from everywhere.
func (v *validator) listener(c *Component) {
	_, host, port, ok := address(c)
	if !ok || host == "localhost" {
		return
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return
	}
	property := "bind"
	if strings.HasPrefix(c.Kind.Name, "syslog") {
		property = "host"
	}
	where := "all addresses"
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		where = host
	}
	v.add("SL0337", Note, c.place(property), 0, "source %q listens on %s, port %s, and takes events from whoever reaches it", c.Name, where, port).
		Hint = "set " + property + " to 127.0.0.1, or let a firewall decide who may send"
}

// ports refuses two sources of an agent on one port.
func (v *validator) ports(a *Agent) {
	type taken struct {
		host string
		by   *Component
	}
	seen := map[string][]taken{}
	for i := range a.Sources {
		c := &a.Sources[i]
		if c.Kind == nil {
			continue
		}
		network, host, port, ok := address(c)
		if !ok || port == "" || port == "0" {
			continue
		}
		for _, other := range seen[network+port] {
			if other.host == host || everywhere(other.host) || everywhere(host) {
				f := v.add("SL0338", Error, c.place("port"), len(port), "source %q wants %s port %s, which source %q has", c.Name, network, port, other.by.Name)
				f.Related = []Related{{Pos: other.by.place("port"), Text: "taken here"}}
				f.Flume = "try again every three seconds for ever"
				break
			}
		}
		seen[network+port] = append(seen[network+port], taken{host, c})
	}
}

func everywhere(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// timeEscape matches an escape of a path that stands for a part of a time.
var timeEscape = regexp.MustCompile(`%[aAbBcdeDHIjklmnMpsStyYz]`)

// hdfs looks at what the sink would refuse or fail at later.
func (v *validator) hdfs(a *Agent, c *Component) {
	who := title(kinds.Sink, c.Name)
	v.smallFiles(c, who)
	target := strings.TrimSpace(c.Settings.String("hdfs.path"))
	if u, err := url.Parse(target); err == nil && strings.Contains(target, "://") && u.Scheme != "file" {
		v.add("SL0334", Error, c.place("hdfs.path"), 0, "%s: sluice cannot write to %s:// yet", who, u.Scheme).
			Hint = "use file:///… or an absolute path, such as a mounted file system"
	}
	fileType, codec := c.Settings.String("hdfs.fileType"), c.Settings.String("hdfs.codeC")
	switch {
	case strings.EqualFold(fileType, "DataStream") && codec != "":
		f := v.add("SL0335", Error, c.place("hdfs.codeC"), 0, "%s: a DataStream is not compressed, and hdfs.codeC says %s", who, codec)
		f.Hint, f.Flume = "use hdfs.fileType CompressedStream, or remove hdfs.codeC", "drop this sink"
	case strings.EqualFold(fileType, "CompressedStream") && codec == "":
		f := v.add("SL0335", Error, c.place("hdfs.fileType"), 0, "%s: a CompressedStream needs hdfs.codeC", who)
		f.Hint, f.Flume = "add hdfs.codeC, such as gzip", "drop this sink"
	}
	escapes := target + c.Settings.String("hdfs.filePrefix")
	if timeEscape.MatchString(strings.ReplaceAll(escapes, "%%", "")) && !c.Settings.Bool("hdfs.useLocalTimeStamp") && !stamped(a, c) {
		f := v.add("SL0336", Warning, c.place("hdfs.path"), 0, "%s: the path needs the header timestamp, which nothing here sets", who)
		f.Hint, f.Flume = "add a timestamp interceptor to the source, or hdfs.useLocalTimeStamp", "stop for ever at the first event without it"
	}
}

// smallFiles warns of the defaults that begin a file every ten events.
func (v *validator) smallFiles(c *Component, who string) {
	var unset []string
	for _, name := range []string{"hdfs.rollCount", "hdfs.rollSize", "hdfs.rollInterval"} {
		if !c.Settings.Has(name) {
			unset = append(unset, name+" "+c.Settings.String(name))
		}
	}
	if !c.Settings.Has("hdfs.rollCount") || !c.Settings.Has("hdfs.rollSize") {
		f := v.add("SL0330", Warning, c.place("type"), 0, "%s makes many small files: by default %s", who, strings.Join(unset, ", "))
		f.Hint, f.Flume = "set hdfs.rollCount and hdfs.rollSize (0 is never)", "make them too"
	}
}

// stamped says whether every source of the sink's channel sets the header
// timestamp, or may do so by itself.
func stamped(a *Agent, sink *Component) bool {
	for i := range a.Sources {
		s := &a.Sources[i]
		if s.Kind == nil || len(sink.Channels) == 0 || !slices.Contains(s.Channels, sink.Channels[0]) {
			continue
		}
		if !stamps(s) {
			return false
		}
	}
	return true
}

func stamps(s *Component) bool {
	if s.Kind.Name == "syslogtcp" || s.Kind.Name == "syslogudp" || s.Kind.Name == "http" {
		return true // from the message or its sender
	}
	for _, part := range Parts(s.Kind, s.Settings.Values()) {
		if part.Kind == nil {
			continue
		}
		switch part.Kind.Name {
		case "timestamp", "regex_extractor", "static":
			return true
		}
	}
	return false
}

// sharedFolders warns of components that meet in a folder or a file.
func (v *validator) sharedFolders(t *Topology) {
	type user struct {
		agent string
		c     *Component
	}
	seen := map[string]user{}
	for i := range t.Agents {
		a := &t.Agents[i]
		v.a = a
		note := func(c *Component, property, what, hint string) {
			place := folder(c, property)
			if place == "" {
				return
			}
			other, ok := seen[what+place]
			seen[what+place] = user{a.Name, c}
			if !ok {
				return
			}
			severity := Warning
			if other.agent != a.Name {
				severity = Note // agents of one file often run on several machines
			}
			f := v.add("SL0332", severity, c.place(property), 0, "%q and %q %s %s", other.c.Name, c.Name, what, place)
			f.Hint = hint
			f.Related = []Related{{Pos: other.c.place(property), Text: "the other one"}}
		}
		for i := range a.Sources {
			note(&a.Sources[i], "spoolDir", "take files out of", "give each its own folder")
			note(&a.Sources[i], "positionFile", "keep positions in", "give each its own positionFile")
		}
		for i := range a.Sinks {
			c := &a.Sinks[i]
			note(c, "sink.directory", "write files into", "give each its own folder, or another sink.pathManager.prefix")
			note(c, "hdfs.path", "write files into", "give each its own hdfs.filePrefix")
		}
	}
	v.a = nil
}

// folder is the place that a property names, with what keeps two users of it
// apart; "" where there is none.
func folder(c *Component, property string) string {
	if c.Kind == nil {
		return ""
	}
	if _, ok := c.Kind.Property(property); !ok {
		return ""
	}
	place := c.Settings.Path(property)
	if place == "" {
		return ""
	}
	if !strings.Contains(place, "://") {
		place = filepath.ToSlash(path.Clean(place))
	}
	if prefix := c.Settings.String("sink.pathManager.prefix") + c.Settings.String("hdfs.filePrefix"); prefix != "" && prefix != "FlumeData" {
		place += " as " + prefix
	}
	return place
}
