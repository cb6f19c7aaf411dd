package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"
)

// flumeMetaName is Flume's file of progress in its tracker directory: an Avro
// container whose header names the file and whose last record says how far it
// was read.
const flumeMetaName = ".flumespool-main.meta"

const flumeMetaSchema = `{"type":"record","name":"TransferStateFileMeta","namespace":"org.apache.flume.serialization","fields":[{"name":"offset","type":"long"}]}`

// flumeMeta is what it says.
type flumeMeta struct {
	file   string
	offset int64
}

func parseFlumeMeta(text []byte) (m flumeMeta, err error) {
	r, err := ocf.NewReader(bytes.NewReader(text))
	if err != nil {
		return m, err
	}
	defer r.Close()
	m.file = string(r.Metadata()["file"])
	if m.file == "" {
		return m, errors.New("it names no file")
	}
	for {
		var rec struct {
			Offset int64 `avro:"offset"`
		}
		err := r.Decode(&rec)
		if err == io.EOF {
			return m, nil
		}
		if err != nil {
			return m, err
		}
		if rec.Offset < 0 {
			return m, fmt.Errorf("it holds the offset %d", rec.Offset)
		}
		m.offset = rec.Offset
	}
}

func (m flumeMeta) encode() ([]byte, error) {
	schema, err := avro.Parse(flumeMetaSchema)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	w, err := ocf.NewWriter(&text, schema, ocf.WithMetadata(map[string][]byte{"file": []byte(m.file)}), ocf.WithSchema(flumeMetaSchema))
	if err != nil {
		return nil, err
	}
	err = w.Encode(struct {
		Offset int64 `avro:"offset"`
	}{m.offset})
	err = errors.Join(err, w.Close())
	return text.Bytes(), err
}

// loadFlumeMeta reads Flume's file of progress, unless we wrote it. An empty
// one is what a crash of Flume leaves.
func loadFlumeMeta(path string, wrote *ownWrites, log *slog.Logger) (m flumeMeta, foreign bool) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m, false
	case err != nil:
		log.Warn("Flume's file of progress cannot be read", "err", err)
		return m, false
	case len(text) == 0:
		os.Remove(path)
		return m, false
	case wrote.has(text):
		return m, false
	}
	if m, err = parseFlumeMeta(text); err != nil {
		aside := path + ".damaged"
		if os.Rename(path, aside) != nil {
			aside = "nowhere"
		}
		log.Error("Flume's file of progress is damaged; its file is read from where sluice was, or from its start", "file", path, "err", err, "kept as", aside)
		return m, false
	}
	log.Info("Flume's file of progress holds for its file", "file", m.file, "offset", m.offset)
	return m, true
}
