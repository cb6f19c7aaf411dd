package topologies

import (
	"slices"
	"strings"
)

// Explain is the long text on a code ("SL0104", in any case): what it means, why
// it matters, what to do.
func Explain(code string) (string, bool) {
	text, ok := explanations[strings.ToUpper(code)]
	if !ok {
		text, ok = valueExplanations[strings.ToUpper(code)]
	}
	return strings.TrimSpace(text), ok
}

// Codes lists all codes, sorted.
func Codes() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for _, texts := range []map[string]string{explanations, valueExplanations} {
			for code := range texts {
				if !yield(code) {
					return
				}
			}
		}
	})
}

// explanations holds every code in use. SL01xx are about the file, how its
// components are wired and its topics, SL03xx about values. A number is never used again.
var explanations = map[string]string{
	"SL0101": `
The file holds no agent of the name that was asked for.

A Flume file may define several agents. The first word of every key is the
agent's name ("a1" in a1.sources = r1), and -n chooses one of them; letter case
counts. Flume logs a warning and runs on with nothing to do. sluice stops, since
an agent that does nothing looks exactly like one that works.

Use one of the names that the message lists.`,

	"SL0102": `
The configuration is larger than sluice reads: 8 MiB or 100,000
properties, over all files together.

The bound protects the process from files that are no configuration. Look
whether the right file was given. Agents that do not run in the same process can
have files of their own.`,

	"SL0103": `
The file cannot be read as a properties file.

A backslash followed by u begins a Unicode escape and needs exactly four
hexadecimal digits: \u0041. Java, and so Flume, refuses the whole file
otherwise. It happens to Windows paths (C:\users) and to patterns. Double the
backslash: C:\\users. A file with zero bytes is likely
UTF-16, or no text at all.`,

	"SL0104": `
Nothing reads this property.

The kind of the component, or of its part, has no property of this name. Letter
case counts in property names (batchSize, not batchsize), and some need a prefix
(hdfs.batchSize, sink.directory, selector.type). Flume ignores such a line
without a word and uses the default, which is why so many running
configurations do not do what they say. sluice ignores it too, but says so.

Correct the name, or remove the line. "sluice explain" with the name of the kind
lists its properties.`,

	"SL0105": `
The same key stands in one file twice; the later value counts.

Flume does the same without a word. A key that stands in two files is not
reported: there the later file is meant to override the earlier.

Remove the line that does not count.`,

	"SL0106": `
A value ends in what looks like a comment.

Properties files know comments only on lines of their own. Behind a value, # and
the words after it are part of the value: "restart = true # yes" is not true,
"capacity = 100 # few" is no number, and a list gets names that nobody has.
Flume takes them along as well.

Put the comment on the line above.`,

	"SL0107": `
A line that belongs to no agent, or names no property.

Every key begins with the name of an agent and a dot: a1.sources.r1.type. A line
without one is ignored, in Flume too. The exception is a key that values refer
to, such as PORT in ${PORT}.`,

	"SL0108": `
A key has no value.

Flume records an error, ignores the line and uses the default. An empty text
cannot be set in this form of file at all. Remove the line, or give it a value.`,

	"SL0109": `
The second word of a key is none that an agent has, or the key stops at the
name of a component.

After the agent comes sources, channels, sinks, sinkgroups or configfilters, then
the name of a component, then a property: a1.sources.r1.type. Flume ignores other
lines. The usual mistake is the singular: a1.source.r1.type.`,

	"SL0110": `
A list names a component that has no properties.

Flume drops the name and runs the rest of the agent, so part of the data does
not flow. sluice stops and says so; with --lenient it does as Flume does. Correct
the name in the list or in the component's properties: letter case counts.`,

	"SL0111": `
A component, or one of the interceptors of a source, has no type.

Without a type nobody knows what it is. Flume drops the component and runs the
rest. sluice stops; with --lenient it does as Flume does. Add a line that ends
in .type.`,

	"SL0112": `
A source or a sink names a channel that its agent does not have.

Flume takes an unknown channel off the list of a source that has others, and
drops a source or a sink that has none left, with no more than a warning in the
log. Where a component is lost sluice stops; with --lenient it does as Flume
does. Declare the channel in <agent>.channels, or correct the name.`,

	"SL0113": `
A source has no channels, or a sink no channel.

A source says "channels", as it may have several; a sink says "channel", as it
drains exactly one. Confusing the two is the usual reason. Flume drops the
component. sluice stops; with --lenient it does as Flume does.`,

	"SL0114": `
Names in a list stand apart by blanks, and a comma is part of a name.

"k1, k2" are the names "k1," and "k2". Flume does not find the first and drops
it. sluice stops where a component is lost; with --lenient it does as Flume does.
Remove the commas. (File channels are the exception: dataDirs is a list with
commas.)`,

	"SL0115": `
A component has properties and is in no list.

Only what <agent>.sources, .channels, .sinks, .sinkgroups and .configfilters name
is run; Flume ignores the rest without a word. Add the name to its list, or
remove the lines.`,

	"SL0116": `
Nothing is left of an agent that could run.

An agent needs a channel, and a source or a sink that uses it. Flume drops the
agent and keeps an idle process. sluice stops in every mode. Other messages on
the same file say why its components were dropped.`,

	"SL0118": `
The agent has sources and no sinks, or sinks and no sources.

That makes sense only with a channel that others fill or drain. With any other
channel the sources stop as soon as it is full. Flume warns, too.`,

	"SL0119": `
A name stands in a list twice.

The component runs once, in Flume as in sluice. Perhaps another name was meant.`,

	"SL0120": `
A sink group names a sink that is not there, or was dropped.

Flume leaves it out of the group, and sluice does the same. The group may then
have nobody to fail over to. Correct the name: letter case counts.`,

	"SL0121": `
A sink is in two groups.

A sink can have one processor only. The first group in the file keeps it, the
second goes without. In Flume it is the first in no certain order.`,

	"SL0122": `
A sink group has no sink that can run.

Flume drops the group and runs its sinks on their own, if they are usable
otherwise. sluice stops; with --lenient it does as Flume does. The group's sinks
stand in <agent>.sinkgroups.<group>.sinks, separated by blanks.`,

	"SL0123": `
The processor of a sink group does not suit the number of its sinks.

load_balance needs two sinks, default takes one. Flume then loses the group
together with its sinks, as it has already taken them out of those that run on
their own; the channel fills up. sluice runs a single sink on its own, and
stops for several sinks under default. --compat flume does as Flume does.`,

	"SL0124": `
A sink group has no processor.type.

Flume's guide says that the default is "default"; in truth Flume loses the group
together with its sinks, and the channel fills up. sluice runs a single sink on
its own and stops when there are several, since it cannot know whether failover
or load_balance was meant. --compat flume does as Flume does.`,

	"SL0125": `
The type of a component names nothing that sluice or Flume has.

A type is an alias such as netcat, memory or hdfs, or the full name of one of
Flume's classes; letter case does not count. Classes of other makers come in jars
and cannot be loaded, since there is no Java here. Often a kind of sluice's does
the same: exec with a client program, http for whoever can post, file_roll or
hdfs for whoever can read files.

Flume throws the whole configuration away for one unknown class and ends with
exit code 0, as if all were well. sluice ends with 78.`,

	"SL0126": `
sluice knows this kind of Flume's and does not have it.

The message says why, and what to use in its place. It is an error in every mode:
leaving out a source or a sink would lose its data without anybody noticing.`,

	"SL0127": `
A batch of this source or sink does not fit into a transaction of its channel.

The component's batch size, set or by default, must not be above the channel's
transactionCapacity. Flume drops the component, with one line about incompatible
settings in its log. sluice stops; with --lenient it does as Flume does. Raise
transactionCapacity, or lower the batch size.`,

	"SL0128": `
A multiplexing selector names a channel that its source does not have.

All channels in selector.mapping, selector.default and selector.optional must
also be in the source's channels. Flume drops the source. sluice stops; with
--lenient it does as Flume does.`,

	"SL0129": `
selector.optional names a channel that its source does not have.

In Flume every event then fails with a NullPointerException. sluice leaves the
name out. Correct it, or add it to the source's channels.`,

	"SL0130": `
Nothing answers a reference in a value, so it stays as it is.

${env:NAME} is a variable of the environment, ${sys:key} an option -Dkey=value,
${key} another property of the files, ${filter['key']} a config filter. Flume
leaves what it cannot resolve, and so does sluice. A default can follow:
${env:PORT:-4444}. $${x} is the text ${x}. The form ${NAME} reads the environment
only with -DpropertiesImplementation=org.apache.flume.node.EnvVarResolverProperties.`,

	"SL0131": `
A value cannot be resolved: its references lead back to themselves, are nested
too deep, or bring too much text.

The bounds are 16 levels and 8 MiB over the whole configuration. Flume fails on a
circle and has no bounds; it also finds ${key} by chance only, depending on the
order of a hash table.`,

	"SL0132": `
A config filter cannot be used, or does not know a key.

sluice has the filters env and external. external runs its command with the key
as last argument and takes the first line that it prints; validate does not run
commands. A key that is not found stays in the value as it is, as in Flume. The
hadoop filter reads a Java key store, which is not possible here.`,

	"SL0134": `
The file is not UTF-8, so it is read as ISO-8859-1.

Flume 1.10 and 1.11 read all files as ISO-8859-1, older ones by the locale. sluice
reads UTF-8, and falls back for the whole file when that is not possible.`,

	"SL0135": `
The file begins with a byte order mark.

Editors on Windows write it. Flume takes it for a part of the first key, and the
first line has no effect. sluice skips it.`,

	"SL0137": `
A line of a configuration in blocks is not understood.

Blocks look so:

    agent.sources {
      source1.type = exec
      source1.command = tail -F /var/log/app.log
    }
    agent.channels {
      channel1.type = memory
    }
    agent.sinks {
      sink1.type = logger
    }
    agent.sources(source1).channels(channel1)
    agent.sinks(sink1).channels(channel1)

The components of a block need no list. Flume itself does not read this form;
"sluice convert" turns it into one that Flume reads.`,

	"SL0138": `
In a configuration in blocks a sink says "channels".

Articles write it so. A sink drains one channel, and Flume's word is "channel";
in blocks sluice takes either. In a properties file it is an error, as there
Flume would drop the sink.`,

	"SL0140": `
A multiplexing selector has no default.

An event whose header is missing, or matches no mapping, goes nowhere: it is
dropped by rule, in Flume without a trace. sluice counts it. Add
selector.default to keep such events.`,

	"SL0141": `
A failover priority does not say what it seems to.

The sink with the highest number goes first. A priority must be a whole number
and belong to one sink only. In Flume the second of two equal ones is left out,
in the order of a hash table; sluice goes by the order of the group's list.`,

	"SL0142": `
A channel has neither source nor sink.

Either its name is written otherwise elsewhere, or those who used it were
dropped. Flume leaves such a channel out, and so does sluice.`,

	"SL0143": `
A channel has sources and no sink.

It fills up, and then its sources cannot go on; a source with several channels
stops for all of them. Add a sink, or take the channel off the source.`,

	"SL0144": `
Under compat=flume a logger sink gets no properties.

Because of a defect Flume ignores everything that is set for its logger sink, such
as maxBytesToLog. sluice heeds it, unless it was asked for Flume's defects.`,

	"SL0145": `
There is more to say about the configuration than is shown.

After 2000 remarks only the first error of each agent is added. Correct what is shown, and look again.`,

	"SL0160": `
A topic cannot have this name.

Names of topics have letters, digits, points, underscores and dashes, at most 249
of them. Those that begin with two underscores belong to the coordinators of
groups and transactions.`,

	"SL0161": `
A property of a topic has a value that it cannot have.

partitions and replicas are numbers from 1 on. A topic that is there already can
get more partitions and never fewer: the records of the others would be lost.
scale can only be "ordered". What is left out is the node's default for a new
topic, and stays as it is for another.`,

	"SL0162": `
A topic has no such config.

Below configs stand Kafka's own names, such as retention.ms, cleanup.policy or
max.message.bytes. Letter case counts. A name that is not known is refused rather
than kept: it would do nothing.`,

	"SL0163": `
A config of a topic has a value that it cannot have.

The message says what it may be. Times are in ms and sizes in bytes, without
units: retention.ms: 86400000.`,

	"SL0301": `
A value is not a number where one is wanted.

Numbers have no units, no points and no comments behind them: 1000, not 1k,
1.000 or "1000 # few". Flume drops the component, except where it catches the
mistake and uses the default.`,

	"SL0310": `
A memory channel's transactionCapacity is above its capacity.

A transaction could then never fill. Flume refuses the channel, and every source
and sink on it goes with it. Both are 100 unless set, so raising only
transactionCapacity is the usual mistake. Raise capacity as well; it should hold
several transactions.`,
}
