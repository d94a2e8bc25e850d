package handover

import (
	"encoding/xml"
	"fmt"
	"image/color"
	"strings"
	"testing"

	"github.com/boombuler/barcode/qr"
)

// drawn reads the modules of a drawing back: dark[y][x], the quiet zone included.
func drawn(t *testing.T, svg []byte) [][]bool {
	t.Helper()
	var doc struct {
		ViewBox string `xml:"viewBox,attr"`
		Paths   []struct {
			Fill string `xml:"fill,attr"`
			D    string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := xml.Unmarshal(svg, &doc); err != nil {
		t.Fatal(err)
	}
	var wide, high int
	if _, err := fmt.Sscanf(doc.ViewBox, "0 0 %d %d", &wide, &high); err != nil || wide != high || len(doc.Paths) != 2 || doc.Paths[0].Fill != "#fff" {
		t.Fatalf("the drawing is %s", svg)
	}
	dark := make([][]bool, high)
	for y := range dark {
		dark[y] = make([]bool, wide)
	}
	for _, run := range strings.Split(strings.TrimSuffix(doc.Paths[1].D, "z"), "z") {
		var x, y, n, back int
		if _, err := fmt.Sscanf(run, "M%d %dh%dv1h-%d", &x, &y, &n, &back); err != nil || n != back || n < 1 {
			t.Fatalf("a run is %q: %v", run, err)
		}
		for i := range n {
			dark[y][x+i] = true
		}
	}
	return dark
}

func TestQR_DrawsEveryModuleOfTheCodeWithAQuietZoneAround(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"https://site.example/customers/claim?key=" + newKey().String(),
		"https://" + strings.Repeat("long.", 40) + "example/customers/claim?key=" + newKey().String()} {
		svg, err := qrSVG(address)
		if err != nil {
			t.Fatal(err)
		}
		code, err := qr.Encode(address, qr.M, qr.Unicode)
		if err != nil {
			t.Fatal(err)
		}
		dark, size := drawn(t, svg), code.Bounds().Dx()
		if len(dark) != size+8 {
			t.Fatalf("%d modules are %d wide", size, len(dark))
		}
		for y := range dark {
			for x := range dark[y] {
				inside := x >= 4 && y >= 4 && x < size+4 && y < size+4
				want := inside && code.At(x-4, y-4) == color.Color(color.Black)
				if dark[y][x] != want {
					t.Fatalf("module %d, %d is %v", x, y, dark[y][x])
				}
			}
		}
	}
}

func TestQR_RefusesMoreThanACodeHolds(t *testing.T) {
	t.Parallel()
	if _, err := qrSVG(strings.Repeat("ü", 5000)); err == nil {
		t.Error("10,000 bytes were drawn")
	}
}
