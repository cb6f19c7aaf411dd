package kinds

import "math"

const (
	maxInt  = math.MaxInt32 // the largest Java int
	maxLong = math.MaxInt64
	maxPort = 65535
)

// with is common followed by own.
func with(common []Property, own ...Property) []Property {
	return append(common[:len(common):len(common)], own...)
}

// typeOnly is the table of a part whose type stands beside its properties.
var typeOnly = []Property{
	{Name: "type", Type: String, Required: true, Meaning: "The kind of the part: an alias or a Java class name."},
}

var sourceCommon = []Property{
	{Name: "type", Type: String, Required: true, Meaning: "The kind of source: an alias or a Java class name."},
	{Name: "channels", Type: List, Required: true, Meaning: "The channels that the source puts its events into."},
	{Name: "selector.type", Type: Class, Category: Selector, Default: "replicating", Meaning: "How the channels of each event are chosen."},
	{Name: "interceptors", Type: List, Meaning: "The interceptors that run over each batch, in this order."},
	{Name: "interceptors.<name>.type", Type: Class, Category: Interceptor, Meaning: "The kind of the interceptor."},
}

var pollableCommon = with(sourceCommon,
	Property{Name: "backoffSleepIncrement", Type: Duration, Unit: "ms", Default: "1000", Min: 0, Max: maxLong, Meaning: "By how much the pause grows with each poll that found nothing."},
	Property{Name: "maxBackoffSleep", Type: Duration, Unit: "ms", Default: "5000", Min: 0, Max: maxLong, Meaning: "The longest pause between two polls."},
)

var sinkCommon = []Property{
	{Name: "type", Type: String, Required: true, Meaning: "The kind of sink: an alias or a Java class name."},
	{Name: "channel", Type: String, Required: true, Meaning: "The channel that the sink takes its events from."},
}

var channelCommon = []Property{
	{Name: "type", Type: String, Required: true, Meaning: "The kind of channel: an alias or a Java class name."},
}

const keystoreNote = "A PEM file with the certificate chain and the private key is read as well; what the file holds decides, not keystore-type."

// serverTLS are the properties of a listener that can speak TLS.
var serverTLS = []Property{
	{Name: "ssl", Type: Bool, Default: "false", Meaning: "Whether clients have to speak TLS."},
	{Name: "keystore", Type: Path, Meaning: "The file with the certificate and its private key.", Support: Noted, Note: keystoreNote},
	{Name: "keystore-password", Type: String, Meaning: "The password of the keystore; a PEM file has none."},
	{Name: "keystore-type", Type: Enum, Default: "JKS", Values: []string{"JKS", "PKCS12", "PEM"}, Meaning: "The format of the keystore.", Support: Noted, Note: keystoreNote},
	{Name: "exclude-protocols", Type: List, Default: "SSLv3", Meaning: "The TLS versions that are refused.", Support: Noted, Note: "TLS 1.2 is the lowest version in any case."},
	{Name: "include-protocols", Type: List, Meaning: "The TLS versions that are accepted.", Support: Noted, Note: "TLS 1.2 is the lowest version in any case."},
	{Name: "exclude-cipher-suites", Type: List, Meaning: "The cipher suites that are refused.", Support: Ignored, Note: "Go's list of secure cipher suites is used."},
	{Name: "include-cipher-suites", Type: List, Meaning: "The cipher suites that are accepted.", Support: Ignored, Note: "Go's list of secure cipher suites is used."},
}
