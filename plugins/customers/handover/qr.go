package handover

import (
	"fmt"
	"image/color"
	"strconv"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// quiet is the empty edge around a code, in modules. The standard asks for four.
const quiet = 4

// qrSVG draws text as a QR code that stays readable with 15 % of it damaged (level M). One unit of the drawing is one module.
func qrSVG(text string) ([]byte, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return nil, fmt.Errorf("draw the QR code of %d characters: %w", len(text), err)
	}
	size := code.Bounds().Dx()
	var b strings.Builder
	b.Grow(size * size * 4)
	all := strconv.Itoa(size + 2*quiet)
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ` + all + ` ` + all + `" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h` + all + `v` + all + `H0z"/><path d="`)
	for y := range size {
		for x := 0; x < size; {
			run := 0
			for x+run < size && code.At(x+run, y) == color.Color(color.Gray16{}) {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run, run)
			}
			x += run + 1
		}
	}
	b.WriteString(`"/></svg>`)
	return []byte(b.String()), nil
}
