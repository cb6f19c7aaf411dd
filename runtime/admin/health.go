package admin

import (
	"fmt"
	"io"
	"net/http"
)

// livez answers as long as the process can answer at all.
func (s *Server) livez(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "ok\n")
}

// Readiness is the answer of /readyz?verbose.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []Reason `json:"reasons"` // blocking ones make Ready false
}

// readyz says whether everything deployed runs; with ?verbose, what does not.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	st := s.snapshot()
	code := http.StatusOK
	if !st.Ready() {
		code = http.StatusServiceUnavailable
	}
	if r.URL.Query().Has("verbose") {
		reasons := st.Reasons()
		if reasons == nil {
			reasons = []Reason{}
		}
		answer(w, code, Readiness{Ready: code == http.StatusOK, Reasons: reasons})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	if code == http.StatusOK {
		io.WriteString(w, "ok\n")
		return
	}
	fmt.Fprintln(w, "not ready; see /readyz?verbose")
}
