package persistence

// (draft of the interface; the store's implementation replaces this file)
//
//	func Open(dir string, o Options) (*Store, error)      // Options: Flush default, Threshold, SegmentBytes, MinFree, Log *slog.Logger, Fatal func(error), faults hook
//	func (s *Store) Close() error                           // clean stop
//	func (s *Store) OpenLog(name string, o LogOptions) (*Log, error)   // finds or creates; LogOptions{Flush Policy; State [][]byte: key prefixes that a state frame carries}
//	func (s *Store) DeleteLog(name string) error
//	func (s *Store) Submit(w *Write)                        // never blocks; bounded by its callers' credits
//	func (s *Store) Get(key []byte) (value []byte, ok bool, err error)
//	func (s *Store) Scan(prefix []byte, fn func(key, value []byte) error) error
//	func (s *Store) Writable() error                        // nil, or why writes are refused now (free space)
//
//	type Write struct {
//		Appends []Append         // each to the end of its log; all or none
//		Trims   []Trim           // {Log *Log; To record.Offset}: entries wholly below To go; segments follow
//		Sets    []KV             // {Key, Value []byte}
//		Deletes [][]byte
//		Done    func(err error)  // once; per log in the order of Submit; must not block
//	}
//	type Append struct {
//		Log     *Log
//		Base    record.Offset    // set by Submit: first offset of the batch
//		Count   int              // records
//		Payload []byte           // a RecordBatch v2; untouched by the caller until Done; the store stamps its base offset
//		MaxTime int64
//	}
//	func (l *Log) Name() string
//	func (l *Log) Start() record.Offset    // first offset kept
//	func (l *Log) Next() record.Offset     // one past the last durable record
//	func (l *Log) Entries(from record.Offset, fn func(Entry) bool) error   // Entry{Base, Last record.Offset; Bytes int; MaxTime int64}: metadata only, no payload read
//	func (l *Log) Read(e Entry, buf []byte) ([]byte, error)                // appends the RecordBatch to buf; CRC checked; ErrDamaged with the exact range
//
//	func CheckpointKey(agent, source, channel, stream string) []byte
//	func SinkKey(agent, sink, name string) []byte
//	func ChannelKey(agent, channel, what string) []byte
