package broker

// StopFollowing lets the metadata change without anything following it.
func (b *Broker) StopFollowing() { b.follow.stop() }
