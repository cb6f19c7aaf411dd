package topologies

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluicehq/sluice/topologies/kinds"
)

// The measures of the picture, in pixels.
const (
	svgLetter  = 7.4 // the width of a letter of 13 pixels, on the wide side
	svgPadding = 14
	svgLine    = 17
	svgGapX    = 110
	svgGapY    = 22
	svgMargin  = 24
	svgTitle   = 34
)

// box is where a node stands.
type box struct {
	n          *node
	x, y, w, h float64
}

var svgColours = map[kinds.Category][2]string{ // fill, stroke
	kinds.Source:  {"#e3f2ea", "#2e7d55"},
	kinds.Channel: {"#e4edf8", "#2f62a3"},
	kinds.Sink:    {"#fbeedd", "#a8641b"},
}

func drawSVG(b *strings.Builder, t *Topology) {
	var body strings.Builder
	width, y := 0.0, float64(svgMargin)
	for _, p := range pictures(t) {
		w, h := drawAgent(&body, &p, y)
		width, y = max(width, w), y+h+svgGapY
	}
	width += svgMargin
	height := y + svgMargin - svgGapY
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="system-ui, sans-serif" font-size="13">`+"\n", width, height, width, height)
	fmt.Fprintf(b, "<title>%s</title>\n", xmlText(t.Name))
	b.WriteString(`<rect width="100%" height="100%" fill="#ffffff"/>` + "\n" +
		`<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="#5b6470"/></marker></defs>` + "\n")
	b.WriteString(body.String())
	b.WriteString("</svg>\n")
}

// drawAgent draws an agent whose upper edge is at top and returns its right edge
// and its height.
func drawAgent(b *strings.Builder, p *picture, top float64) (right, height float64) {
	columns := [][]*node{p.sources, orderedBy(p.channels, p.sources), nil}
	columns[2] = orderedBy(p.sinks, columns[1])
	together(columns[2], p.frames)
	boxes := map[*node]*box{}
	x, tallest := float64(svgMargin+svgPadding), 0.0
	var columnX, columnW [3]float64
	for i, column := range columns {
		w, h := 0.0, 0.0
		for _, n := range column {
			w = max(w, nodeWidth(n))
			h += nodeHeight(n) + svgGapY
		}
		columnX[i], columnW[i] = x, w
		if w > 0 {
			x += w + svgGapX + labelWidth(column)
		}
		tallest = max(tallest, h)
	}
	for i, column := range columns {
		h := -float64(svgGapY)
		for _, n := range column {
			h += nodeHeight(n) + svgGapY
		}
		y := top + svgTitle + (tallest-svgGapY-h)/2 + 10
		for _, n := range column {
			boxes[n] = &box{n, columnX[i], y, columnW[i], nodeHeight(n)}
			y += nodeHeight(n) + svgGapY
		}
	}
	for i := range columnX {
		if columnW[i] > 0 {
			right = columnX[i] + columnW[i] + svgPadding
		}
	}
	height = svgTitle + tallest + svgPadding
	right = max(right, svgMargin+svgPadding*2+svgLetter*float64(utf8.RuneCountInString(p.agent)+6))
	fmt.Fprintf(b, `<rect x="%d" y="%.0f" width="%.0f" height="%.0f" rx="10" fill="#f7f8fa" stroke="#c9ced6"/>`+"\n", svgMargin, top, right-svgMargin, height)
	fmt.Fprintf(b, `<text x="%d" y="%.0f" font-weight="600" fill="#3a424d">agent %s</text>`+"\n", svgMargin+svgPadding, top+22, xmlText(p.agent))
	for _, f := range p.frames {
		drawFrame(b, f, boxes)
	}
	for _, n := range p.nodes() {
		for _, e := range n.to {
			drawEdge(b, boxes[n], boxes[e.to], e.label)
		}
	}
	for _, n := range p.nodes() {
		drawNode(b, boxes[n])
	}
	return right, height
}

// orderedBy sorts nodes by the middle of those that lead to them, so that few
// lines cross.
func orderedBy(nodes, before []*node) []*node {
	middle := map[*node]float64{}
	for _, n := range nodes {
		sum, count := 0.0, 0
		for i, from := range before {
			for _, e := range from.to {
				if e.to == n {
					sum += float64(i)
					count++
				}
			}
		}
		if middle[n] = 1e9; count > 0 {
			middle[n] = sum / float64(count)
		}
	}
	out := slices.Clone(nodes)
	slices.SortStableFunc(out, func(a, b *node) int {
		switch {
		case middle[a] < middle[b]:
			return -1
		case middle[a] > middle[b]:
			return 1
		}
		return 0
	})
	return out
}

// together moves the sinks of a group below its first, so that one frame holds
// them and nothing else.
func together(sinks []*node, frames []frame) {
	for _, f := range frames {
		at := slices.IndexFunc(sinks, func(n *node) bool { return slices.Contains(f.nodes, n) })
		if at < 0 {
			continue
		}
		var in, out []*node
		for _, n := range sinks[at:] {
			if slices.Contains(f.nodes, n) {
				in = append(in, n)
			} else {
				out = append(out, n)
			}
		}
		copy(sinks[at:], append(in, out...))
	}
}

func nodeWidth(n *node) float64 {
	letters := max(utf8.RuneCountInString(n.name)+1, utf8.RuneCountInString(n.kind), 8)
	for _, note := range n.notes {
		letters = max(letters, utf8.RuneCountInString(note)+1)
	}
	return float64(letters)*svgLetter + 2*svgPadding
}

func nodeHeight(n *node) float64 { return float64(2+len(n.notes))*svgLine + svgPadding }

// labelWidth is the room that the texts on a column's lines need.
func labelWidth(column []*node) float64 {
	letters := 0
	for _, n := range column {
		for _, e := range n.to {
			letters = max(letters, utf8.RuneCountInString(e.label))
		}
	}
	return max(0, float64(letters)*6-50)
}

func drawNode(b *strings.Builder, at *box) {
	colour := svgColours[at.n.category]
	round := 6
	if at.n.category == kinds.Channel {
		round = 18
	}
	fmt.Fprintf(b, `<rect x="%.0f" y="%.0f" width="%.0f" height="%.0f" rx="%d" fill="%s" stroke="%s" stroke-width="1.5"/>`+"\n", at.x, at.y, at.w, at.h, round, colour[0], colour[1])
	y := at.y + svgLine + 3
	text := func(s, style string) {
		fmt.Fprintf(b, `<text x="%.0f" y="%.0f" %s>%s</text>`+"\n", at.x+svgPadding, y, style, xmlText(s))
		y += svgLine
	}
	text(at.n.name, `font-weight="600" fill="#1d232b"`)
	text(at.n.kind, `fill="`+colour[1]+`"`)
	for _, note := range at.n.notes {
		text(note, `font-size="12" fill="#5b6470"`)
	}
}

func drawEdge(b *strings.Builder, from, to *box, label string) {
	x1, y1, x2, y2 := from.x+from.w, from.y+from.h/2, to.x, to.y+to.h/2
	bend, dashes := (x2-x1)/2, ""
	if label == "optional" {
		dashes = ` stroke-dasharray="5 4"`
	}
	fmt.Fprintf(b, `<path d="M%.0f %.0f C%.0f %.0f %.0f %.0f %.0f %.0f" fill="none" stroke="#5b6470" stroke-width="1.5"%s marker-end="url(#arrow)"/>`+"\n",
		x1, y1, x1+bend, y1, x2-bend, y2, x2-1, y2, dashes)
	if label != "" { // near the end, where lines have parted
		x, y := x1+(x2-x1)*0.62, y1+(y2-y1)*0.70
		fmt.Fprintf(b, `<text x="%.0f" y="%.0f" text-anchor="middle" font-size="11" fill="#3a424d" stroke="#f7f8fa" stroke-width="4" paint-order="stroke">%s</text>`+"\n", x, y-5, xmlText(label))
	}
}

func drawFrame(b *strings.Builder, f frame, boxes map[*node]*box) {
	if len(f.nodes) == 0 {
		return
	}
	first := boxes[f.nodes[0]]
	low, high := first.y, first.y+first.h
	for _, n := range f.nodes {
		low, high = min(low, boxes[n].y), max(high, boxes[n].y+boxes[n].h)
	}
	fmt.Fprintf(b, `<rect x="%.0f" y="%.0f" width="%.0f" height="%.0f" rx="8" fill="none" stroke="#a8641b" stroke-dasharray="4 4"/>`+"\n", first.x-8, low-7, first.w+16, high-low+14)
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f" text-anchor="end" font-size="11" fill="#a8641b" stroke="#f7f8fa" stroke-width="4" paint-order="stroke">%s</text>`+"\n", first.x+first.w+4, low-3, xmlText(f.title))
}

// xmlText is s between tags.
func xmlText(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
