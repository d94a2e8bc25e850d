package theme

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The ratios of WCAG 2.2, criteria 1.4.3 (text) and 1.4.11 (parts that one must see to use the page).
const (
	TextContrast = 4.5
	PartContrast = 3.0
)

// Color is a colour of the sRGB space.
type Color struct{ R, G, B uint8 }

// ParseColor reads "#rgb" or "#rrggbb".
func ParseColor(text string) (Color, error) {
	digits, ok := strings.CutPrefix(text, "#")
	if len(digits) == 3 {
		digits = string([]byte{digits[0], digits[0], digits[1], digits[1], digits[2], digits[2]})
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if !ok || len(digits) != 6 || err != nil {
		return Color{}, fmt.Errorf("%q is not a colour: expected # and six hexadecimal digits, such as #1f6f5c", text)
	}
	return Color{uint8(n >> 16), uint8(n >> 8), uint8(n)}, nil
}

// String is "#rrggbb".
func (c Color) String() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// mix gives share (0 to 1) of c upon under.
func (c Color) mix(share float64, under Color) Color {
	one := func(a, b uint8) uint8 { return uint8(math.Round(float64(a)*share + float64(b)*(1-share))) }
	return Color{one(c.R, under.R), one(c.G, under.G), one(c.B, under.B)}
}

// luminance is WCAG's relative luminance.
func (c Color) luminance() float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}

// Contrast is WCAG's ratio of two colours, from 1 to 21.
func Contrast(a, b Color) float64 {
	x, y := a.luminance(), b.luminance()
	if x < y {
		x, y = y, x
	}
	return (x + 0.05) / (y + 0.05)
}

// pair is a foreground that the style sheets put on a background.
type pair struct {
	front, back string
	least       float64
}

// pairs are all combinations that the shipped style sheets use.
func pairs() []pair {
	list := []pair{
		{"accent-ink", "accent", TextContrast},
		{"accent", "accent-soft", TextContrast},
		{"ink", "accent-soft", TextContrast},
		{"edge", "raised", PartContrast},
		{"edge", "paper", PartContrast},
	}
	for _, back := range []string{"paper", "raised", "sunken"} {
		for _, front := range []string{"ink", "ink-2", "accent"} {
			list = append(list, pair{front, back, TextContrast})
		}
	}
	for _, state := range []string{"good", "warn", "bad", "off"} {
		list = append(list, pair{state, "paper", TextContrast}, pair{state, "raised", TextContrast},
			pair{state, state + "-soft", TextContrast}, pair{"ink", state + "-soft", TextContrast})
	}
	return list
}

// LowContrast is a pair of colours that is too hard to tell apart.
type LowContrast struct {
	Scheme      string // "light" or "dark"
	Front, Back string // token names
	Ratio       float64
	Least       float64
}

// Error says it in a sentence.
func (l LowContrast) Error() string {
	return fmt.Sprintf("%s on %s in the %s scheme has a contrast of %.1f to 1, at least %.1f is needed", l.Front, l.Back, l.Scheme, l.Ratio, l.Least)
}

// CheckContrast finds the pairs of tokens that are too close. Tokens without a colour are passed over.
func CheckContrast(t Tokens) []LowContrast {
	var low []LowContrast
	for _, scheme := range []string{"light", "dark"} {
		values := t.scheme(scheme)
		for _, p := range pairs() {
			front, err := ParseColor(values[p.front])
			if err != nil {
				continue
			}
			back, err := ParseColor(values[p.back])
			if err != nil {
				continue
			}
			if ratio := Contrast(front, back); ratio < p.least {
				low = append(low, LowContrast{scheme, p.front, p.back, ratio, p.least})
			}
		}
	}
	return low
}
