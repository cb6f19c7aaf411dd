package topologies

// valueExplanations are the codes of Validate and of topologies/load.
var valueExplanations = map[string]string{
	"SL0100": `
The configuration could not be read at all.

The message says why: no file was given, or a file is not there, is a folder, or
may not be read by this user. Nothing that ran is changed.`,

	"SL0302": `
A property that the component cannot do without is missing.

The message says which. "sluice explain" with the name of the kind lists all of
its properties. Flume drops such a component and runs the rest, so its data does
not flow; sluice stops.`,

	"SL0303": `
A number is out of the range that its property allows.

The message gives the range. A number that means nothing (a port of 70000, a
batch of 0 events) would otherwise show up later as something else.`,

	"SL0304": `
A switch is set to a text that is neither true nor false.

Flume reads "true", in any case, as true and everything else as false: yes, on
and 1 are false. sluice does the same and says so. Write true or false.`,

	"SL0305": `
A property that knows some words only has another one.

The message lists the words; letter case does not count. Flume drops the
component, or fails at the first event.`,

	"SL0306": `
A regular expression cannot be compiled.

Patterns are those of java.util.regex. In a properties file a backslash must be
doubled: \\d+ is the pattern \d+. As a warning this says that the pattern uses a
form which only the component itself can judge.`,

	"SL0307": `
A character set is not known.

sluice reads and writes UTF-8, UTF-16 and UTF-32 in both orders of bytes,
US-ASCII, ISO-8859-1, ISO-8859-15 and windows-1252, under all their Java names.
Convert other texts before they come here, for instance with iconv.`,

	"SL0308": `
The path of a taildir file group does not say what it seems to.

It is an absolute folder, a slash, and then a regular expression that the whole
file name has to match: /var/log/app/.*\.log. The folder itself is no pattern,
and * is no wildcard.`,

	"SL0320": `
A property has no effect in sluice.

It concerns the inside of Flume: threads of its pools, files of its channel. The
line can stay, so that Flume can still run the file.`,

	"SL0321": `
sluice does not have what a property asks for.

Running without it would do something other than what was asked, so sluice stops.
The message says what to use, or when to remove the line.`,

	"SL0322": `
A property works, with a difference from Flume that the message tells.

Nothing has to be done. "sluice explain" with the file lists all such properties.`,

	"SL0330": `
The hdfs sink's defaults make many small files.

Unless told otherwise Flume begins a new file after 10 events, 1024 bytes or 30
seconds, whichever comes first. sluice keeps these defaults, as a file that
relies on them should work the same. Set hdfs.rollCount and hdfs.rollSize to 0
and hdfs.rollInterval to what suits, such as 300.`,

	"SL0331": `
A memory channel behind a source that cannot read again loses events at a crash.

What the channel holds is gone when the process ends suddenly. A taildir or
spooldir source reads it again, as it forgets only what the sinks have committed;
a command, a socket or an HTTP client does not. At most "capacity" events are
lost. Use a channel of type file if that is too many.`,

	"SL0332": `
Two components use the same folder or file.

Two sinks that write into one folder can choose the same file name, two sources
that take files out of one folder get in each other's way, and two taildir
sources with one position file overwrite each other's positions. Give each its
own.`,

	"SL0333": `
An exec source runs a command with the rights of sluice.

Under "sluice agent" that is what its file says, and it runs. Under "sluice
serve", where definitions also come over the network, commands run only with
--allow-exec.`,

	"SL0334": `
The hdfs sink cannot write to this kind of file system yet.

sluice writes to a local one: file:///data/%Y, or an absolute path. That may be a
mount of NFS, CephFS, or HDFS through its NFS gateway.`,

	"SL0335": `
hdfs.fileType and hdfs.codeC contradict each other.

DataStream writes plain bytes and takes no codec; CompressedStream needs one;
SequenceFile may have one. Flume drops the sink.`,

	"SL0336": `
A path with a date needs the header "timestamp", and nothing sets it.

%Y, %m, %d and the like are filled in from the header, in milliseconds. In Flume a
single event without it stops the sink for ever. Add a timestamp interceptor to
the source, or set hdfs.useLocalTimeStamp to take the time of writing.`,

	"SL0337": `
A source listens on an address that other machines can reach.

Flume's listeners know no passwords, so whoever reaches the port can send
events. That is often what is wanted, and the source runs. Otherwise listen on
127.0.0.1, or on the address of an inner network.`,

	"SL0338": `
Two sources of an agent want the same port.

The second cannot start: Flume tries it again every three seconds for ever, and
sluice does not begin. Give it a port of its own. Port 0 takes any free one.`,

	"SL0150": `
A topology in YAML is not built as it should be.

It looks so:

    version: 1
    agents:
      a1:
        sources:
          r1: {type: seq, channels: [c1]}
        channels:
          c1: {type: memory}
        sinks:
          k1: {type: logger, channel: c1}

Unknown words are refused, as they are most often misspelt. "sluice schema"
prints a JSON Schema, with which an editor completes and checks the words.`,

	"SL0151": `
A reference in a YAML value cannot be resolved.

There are ${env:NAME}, ${env:NAME:-default}, ${sys:key} for -Dkey=value, and
${file:/path} for a secret in a file of at most 64 KiB. $${ is a plain ${. Other
than in a properties file, where an unknown reference stays as it is, sluice
stops.`,

	"SL0152": `
A YAML file is larger or deeper than sluice reads: 1 MiB, 64 levels, 100,000
values.

Values that are repeated by aliases count each time. The bounds keep a file that
is made for it from taking all memory.`,

	"SL0153": `
A YAML file cannot be parsed.

The place is where the parser noticed; what is wrong often stands a line or two
before. Look for a tab in the indentation, a missing blank after a colon, or a
quote that is not closed.`,

	"SL0155": `
The kinds of files cannot be mixed, or two files define the same thing.

Several files make one topology when all are YAML and each component stands in
one of them, or when all are in Flume's form, where later files override earlier
ones.`,

	"SL0156": `
Something of a configuration could not be carried over into YAML.

Components that no list names do not run in Flume either and are left out. Of
references YAML has ${env:NAME}, ${sys:key} and ${file:/path}; others stay as
plain text, for you to look at.`,
}
