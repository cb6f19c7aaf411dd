package kafka

// Supported is one request of the Kafka protocol that is served, and in which
// versions.
type Supported struct {
	Key      int16
	Name     string
	Min, Max int16
}

// SupportedAPIs are all requests that are served, by key. What is not here is
// not advertised, and a client that sends it is disconnected.
func SupportedAPIs() []Supported {
	var out []Supported
	for _, a := range served() {
		out = append(out, Supported{a.key, a.name, a.min, a.max})
	}
	return out
}
