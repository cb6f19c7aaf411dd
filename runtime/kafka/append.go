package kafka

import "encoding/binary"

// appendArray appends the number of elements of an array that is not null.
func appendArray(b []byte, n int, flexible bool) []byte {
	if flexible {
		return binary.AppendUvarint(b, uint64(n)+1)
	}
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

// appendNull appends an array that is null.
func appendNull(b []byte, flexible bool) []byte {
	if flexible {
		return append(b, 0)
	}
	return binary.BigEndian.AppendUint32(b, 0xffffffff)
}

func appendText(b []byte, s string, flexible bool) []byte {
	if flexible {
		b = binary.AppendUvarint(b, uint64(len(s))+1)
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	}
	return append(b, s...)
}

const reasonMax = 1 << 10 // bytes of an error's text

// appendReason appends what err says as a nullable string.
func appendReason(b []byte, err error, flexible bool) []byte {
	switch {
	case err != nil:
		text := err.Error()
		return appendText(b, text[:min(len(text), reasonMax)], flexible)
	case flexible:
		return append(b, 0)
	}
	return binary.BigEndian.AppendUint16(b, 0xffff)
}

func appendNoTags(b []byte, flexible bool) []byte {
	if flexible {
		return append(b, 0)
	}
	return b
}

// appendLeaderTag appends a tagged field with the leader of a partition.
func appendLeaderTag(b []byte, tag byte, leader, epoch int32) []byte {
	b = append(b, tag, 9)
	b = binary.BigEndian.AppendUint32(b, uint32(leader))
	b = binary.BigEndian.AppendUint32(b, uint32(epoch))
	return append(b, 0)
}
