package source

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"sync"

	"github.com/sluicehq/sluice/actors/source/interceptor"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

// httpHandler cuts a request into records. It is used by many goroutines.
type httpHandler interface {
	// limit is the largest request, unpacked.
	limit() int64
	// events makes records of the request's body, which batch has claimed.
	events(r *http.Request, batch *record.Slab) error
}

// httpError is an error with the status that tells it.
type httpError struct {
	status int
	err    error
}

func (e *httpError) Error() string { return e.err.Error() }

func refused(status int, format string, args ...any) error {
	return &httpError{status, fmt.Errorf(format, args...)}
}

// jsonHandler is Flume's JSONHandler.
type jsonHandler struct {
	max    int64
	compat bool
	pool   sync.Pool // of *jsonEvents
}

func newJSONHandler(max int64, env Env) *jsonHandler {
	return &jsonHandler{max: max, compat: env.Compat, pool: sync.Pool{New: func() any { return new(jsonEvents) }}}
}

func (h *jsonHandler) limit() int64 { return h.max }

func (h *jsonHandler) events(r *http.Request, batch *record.Slab) error {
	charset, err := h.charset(r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	start, end := 0, len(batch.Buffer())
	if !charset.UTF8() {
		text := charset.Decode(nil, batch.Buffer())
		start = end
		copy(batch.Tail(len(text)), text)
		batch.Advance(len(text))
		end = len(batch.Buffer())
	}
	j := h.pool.Get().(*jsonEvents)
	defer h.pool.Put(j)
	switch err = j.parse(batch, start, end); {
	case err == nil:
	case errors.Is(err, errNullEvent):
		return refused(http.StatusInternalServerError, "%w", err)
	default:
		return refused(http.StatusBadRequest, "invalid JSON: %w", err)
	}
	if h.compat && charset.Unit() > 1 {
		for i := range batch.Len() { // Flume keeps bodies in the request's own character set
			batch.SetBody(i, charset.Encode(nil, batch.Body(i)))
		}
	}
	return nil
}

// charset is the request's character set. Without one it is UTF-8; Flume takes
// Latin-1 where the type is text.
func (h *jsonHandler) charset(contentType string) (*interceptor.Charset, error) {
	media, params, _ := mime.ParseMediaType(contentType)
	name := params["charset"]
	switch strings.ToLower(name) {
	case "", "utf-8", "utf-16", "utf-32":
	default:
		return nil, refused(http.StatusInternalServerError, "character set %q: only UTF-8, UTF-16 and UTF-32 are read", name)
	}
	if name == "" && h.compat && strings.HasPrefix(media, "text/") {
		name = "ISO-8859-1"
	}
	return interceptor.CharsetNamed(name)
}

// blobHandler is Flume's BLOBHandler: a request is one record.
type blobHandler struct {
	max       int64
	mandatory []string
}

func newBlobHandler(s topologies.Settings) *blobHandler {
	h := &blobHandler{max: s.Int64("maxBlobLength")}
	for _, name := range strings.Split(s.String("mandatoryParameters"), ",") {
		if name = strings.TrimSpace(name); name != "" {
			h.mandatory = append(h.mandatory, name)
		}
	}
	return h
}

func (h *blobHandler) limit() int64 { return h.max }

func (h *blobHandler) events(r *http.Request, batch *record.Slab) error {
	batch.Mark(0, len(batch.Buffer()))
	query := r.URL.Query()
	for _, name := range h.mandatory {
		if !query.Has(name) {
			return refused(http.StatusInternalServerError, "the parameter %s is missing", name)
		}
	}
	for name, values := range query {
		batch.SetHeader(0, name, []byte(values[0]))
	}
	return nil
}
