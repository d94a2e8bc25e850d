package web

import (
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"mortise/core/sdk"
)

// flashText bounds the message for the next page in bytes; a cookie has about 4 KiB in all.
const flashText = 600

// keepMessage has the next page show m. It travels in a signed cookie, so that no other site can put words into ours.
func (v *visit) keepMessage(m sdk.Message) {
	text := clip(m.Text, flashText)
	if text == "" {
		return
	}
	v.setCookie(flashCookie, v.s.sign.sign("flash", string(toneOf(string(m.Tone)))+"."+encoding.EncodeToString([]byte(text))), 2*time.Minute)
}

// takeMessage gives the message that the request before left, once.
func (v *visit) takeMessage() *sdk.Message {
	signed := v.c.Cookies(v.s.cookieName(flashCookie))
	if signed == "" {
		return nil
	}
	v.setCookie(flashCookie, "", -1)
	value, ok := v.s.sign.open("flash", signed)
	if !ok {
		return nil
	}
	tone, coded, _ := strings.Cut(value, ".")
	text, err := encoding.DecodeString(coded)
	if err != nil || len(text) == 0 {
		return nil
	}
	return &sdk.Message{Tone: toneOf(tone), Text: string(text)}
}

// parseFlash reads sdk.FlashHeader: the tone, a space, and the percent-encoded text.
func parseFlash(header string) (sdk.Message, bool) {
	tone, coded, ok := strings.Cut(header, " ")
	if !ok {
		return sdk.Message{}, false
	}
	text, err := url.QueryUnescape(coded)
	if err != nil || !utf8.ValidString(text) {
		return sdk.Message{}, false
	}
	text = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, clip(text, flashText))
	return sdk.Message{Tone: toneOf(tone), Text: text}, text != ""
}

func toneOf(name string) sdk.Tone {
	switch tone := sdk.Tone(name); tone {
	case sdk.Good, sdk.Warn, sdk.Bad:
		return tone
	}
	return sdk.Info
}

// clip cuts text to at most limit bytes without breaking a character.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
