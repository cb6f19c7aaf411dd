package source

// ParseFlumeMeta shows tests what a file of progress says.
func ParseFlumeMeta(text []byte) (file string, offset int64, err error) {
	m, err := parseFlumeMeta(text)
	return m.file, m.offset, err
}
