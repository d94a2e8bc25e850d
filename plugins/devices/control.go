package main

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

const maxArgument = 1024 // bytes; what current Device OS accepts of an argument and of an event's data

// act finds the device for a change. It has answered when nil comes back.
func (m *Devices) act(w http.ResponseWriter, r *http.Request) *target {
	if !sdk.UserFrom(r.Context()).Can("devices.control") { // the host has checked it; a mistake in the manifest must not open it
		sdk.Fail(w, r, fault.New(fault.Denied, "You may look at devices, but not control them."))
		return nil
	}
	t, err := m.find(r)
	if err != nil {
		sdk.Fail(w, r, err)
		return nil
	}
	return t
}

// callData is the view "call": the call's fields beside the device and its function.
type callData struct {
	callView
	Device   deviceView   `json:"device"`
	Tile     functionView `json:"function_tile"`
	Control  bool         `json:"control"`
	DeviceID string       `json:"device_id"`
}

// callFunction calls a function once, and never again by itself: after a timeout nobody knows whether it ran.
func (m *Devices) callFunction(w http.ResponseWriter, r *http.Request) {
	t := m.act(w, r)
	if t == nil {
		return
	}
	name, argument := r.PathValue("name"), r.PostFormValue("arg")
	var v callView
	switch {
	case !isName(name):
		v = failedCallView(readable(name), argument, &trouble{Kind: "not_found", Message: t.name() + " has no function of that name.", Remedy: "Choose one from the device's page.", Status: http.StatusNotFound}, m.now(), m.now())
	case len(argument) > maxArgument || !utf8.ValidString(argument):
		v = failedCallView(name, "", &trouble{Kind: "invalid", Message: "The argument is too long or not text.", Remedy: "Devices take at most 1024 bytes, older ones 63.", Status: http.StatusUnprocessableEntity}, m.now(), m.now())
	default:
		v = m.call(r.Context(), t, name, argument)
	}
	m.calls.put(callKey{sdk.UserFrom(r.Context()).UserID, t.key(), t.device.ID}, v)
	data := callData{callView: v, Device: viewOf(t.holding, t.device), Tile: functionView{Name: v.Function, Tile: tileOf("fn", v.Function), Call: &v}, Control: true, DeviceID: t.device.ID}
	sdk.Render(w, r, sdk.View{Template: "call", Title: v.Function + " on " + t.name(), Status: v.Status, Data: data, Breadcrumbs: above(t)})
}

func above(t *target) []sdk.Link {
	return []sdk.Link{{Title: "Devices", Path: "/devices"}, {Title: t.name(), Path: "/devices/" + t.device.ID}}
}

func (m *Devices) call(ctx context.Context, t *target, name, argument string) callView {
	began := m.now()
	if t.refusal != nil {
		return failedCallView(name, argument, t.refusal, began, m.now())
	}
	// A page that is closed must not take the call back half way: its result is told to the other pages.
	result, err := t.call(context.WithoutCancel(ctx), t.device.ID, name, argument)
	if err != nil {
		v := failedCallView(name, argument, t.explain(ctx, err, t.name()), began, m.now())
		if particle.Is(err, particle.NotFound) && len(t.device.Functions) > 0 {
			v.Remedy = "It has: " + strings.Join(t.device.Functions, ", ") + ". Upper and lower case count."
		}
		return v
	}
	v := doneCall(name, argument, result, began, m.now())
	m.afterCall(ctx, t, v)
	return v
}

// afterCall tells open pages, and reads the variables anew in the background, since the call has probably changed one.
func (m *Devices) afterCall(ctx context.Context, t *target, v callView) {
	m.live.tell(&t.holding, sdk.UserFrom(ctx).UserID, t.device.ID, "call", map[string]any{"call": v})
	names := make([]string, 0, len(t.device.Variables))
	for name := range t.device.Variables {
		if len(names) < maxFirstPass {
			names = append(names, name)
		}
	}
	background := context.WithoutCancel(ctx)
	go m.readAll(background, t, names, time.Minute)
}

// variableData is the view "variable": the value's fields beside the device.
type variableData struct {
	valueView
	Device  deviceView `json:"device"`
	Trouble *trouble   `json:"trouble"` // null: it was read just now
}

// readVariable asks the device for one value now.
func (m *Devices) readVariable(w http.ResponseWriter, r *http.Request) {
	t, err := m.find(r)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	name := r.PathValue("name")
	if !isName(name) {
		sdk.Fail(w, r, fault.New(fault.NotFound, "%s has no variable of that name.", t.name()))
		return
	}
	ctx := r.Context()
	known, err := m.records.values(ctx, sdk.UserFrom(ctx).UserID, t.key(), t.device.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	refused, got := t.refusal, reading{name: name}
	if refused == nil {
		if got = m.readOne(ctx, t, name); got.err != nil {
			refused = t.explain(ctx, got.err, t.name())
		}
	}
	data := variableData{valueView: m.viewOfKnown(t, name, known), Device: viewOf(t.holding, t.device)}
	view := sdk.View{Template: "variable", Title: name + " of " + t.name(), Breadcrumbs: above(t)}
	if refused != nil {
		data.Trouble = refused
		data.State, data.Message, view.Status = "failed", data.Trouble.Message, data.Trouble.Status
	} else {
		m.keep(ctx, sdk.UserFrom(ctx).UserID, t, map[string]reading{name: got}, "value")
		data.valueView = m.viewOfReading(t, got, data.valueView)
	}
	view.Data = data
	sdk.Render(w, r, view)
}

// change is a command other than a function: what to do at the cloud, and what to say when it is done.
type change struct {
	do    func(ctx context.Context) error
	done  func() sdk.Message
	facts map[string]any // for programs, beside ok and message
	form  formData
}

// perform does a change and answers it: a browser goes back to the device's page, a program gets the facts.
func (m *Devices) perform(w http.ResponseWriter, r *http.Request, t *target, c change) {
	trouble := t.refusal
	if trouble == nil {
		if err := c.do(context.WithoutCancel(r.Context())); err != nil {
			trouble = t.explain(r.Context(), err, t.name())
		}
	}
	if trouble != nil {
		if sdk.WantsJSON(r) {
			sdk.Render(w, r, sdk.View{Template: "done", Title: t.name(), Status: trouble.Status, Data: map[string]any{"ok": false, "device_id": t.device.ID, "trouble": trouble,
				"kind": trouble.Kind, "message": trouble.Message, "remedy": trouble.Remedy, "relink": trouble.Relink}})
			return
		}
		m.renderDevice(w, r, t, sdk.View{Status: trouble.Status, Message: &sdk.Message{Tone: sdk.Bad, Text: strings.TrimSpace(trouble.Message + " " + trouble.Remedy)}}, c.form)
		return
	}
	message := c.done()
	if sdk.WantsJSON(r) {
		data := map[string]any{"ok": true, "device_id": t.device.ID, "message": message.Text}
		for key, fact := range c.facts {
			data[key] = fact
		}
		sdk.Render(w, r, sdk.View{Template: "done", Title: t.name(), Data: data})
		return
	}
	sdk.Redirect(w, r, "/devices/"+t.device.ID, message)
}

// correct shows the form again with what is wrong beside its field.
func (m *Devices) correct(w http.ResponseWriter, r *http.Request, t *target, form formData, fields map[string]string) {
	if sdk.WantsJSON(r) {
		sdk.Fail(w, r, fault.InvalidFields("Some fields need to be corrected.", fields))
		return
	}
	m.renderDevice(w, r, t, sdk.View{Status: http.StatusUnprocessableEntity, FieldErrors: fields,
		Message: &sdk.Message{Tone: sdk.Bad, Text: "Some fields need to be corrected."}}, form)
}

// publishSetting lets people send events in the name of a device that the maker gave them. What listens takes them for the device's own.
const publishSetting = "publish_events"

// mayPublish tells whether events may be sent from a device's page: through people's own accounts always, in the name of a device of
// the maker's when the maker wants it.
func (m *Devices) mayPublish(t *target) bool {
	return t.origin().Kind != fromProduct || m.host.Settings().Bool(publishSetting)
}

func (m *Devices) publishEvent(w http.ResponseWriter, r *http.Request) {
	t := m.act(w, r)
	if t == nil {
		return
	}
	if t.refusal == nil && !m.mayPublish(t) {
		sdk.Fail(w, r, fault.New(fault.Denied, "Events of %s come from the device alone: the maker of this site does not let them be sent in its name.", t.name()))
		return
	}
	// The page has a second field "name", that of the device, so its own form calls this one event_name.
	field := "name"
	if r.PostFormValue(field) == "" && r.PostForm.Has("event_name") {
		field = "event_name"
	}
	form := formData{Event: strings.TrimSpace(r.PostFormValue(field)), Data: r.PostFormValue("data")}
	wrong := map[string]string{}
	switch {
	case form.Event == "" || len(form.Event) > maxName || !isPlain(form.Event):
		wrong[field] = "expected a name of 1 to 64 characters without blanks, such as garden/pump"
	case strings.HasPrefix(form.Event, "spark/") || strings.HasPrefix(form.Event, "particle/"):
		wrong[field] = "names that start with spark/ or particle/ belong to Particle"
	}
	if len(form.Data) > maxArgument || !utf8.ValidString(form.Data) {
		wrong["data"] = "expected at most 1024 bytes of text"
	}
	if len(wrong) > 0 {
		m.correct(w, r, t, form, wrong)
		return
	}
	m.perform(w, r, t, change{
		do: func(ctx context.Context) error {
			return t.publish(ctx, t.device.ID, form.Event, form.Data)
		},
		done:  func() sdk.Message { return sdk.Message{Tone: sdk.Good, Text: "Published " + form.Event + "."} },
		facts: map[string]any{"name": form.Event, "data": form.Data},
		form:  form,
	})
}

func (m *Devices) renameDevice(w http.ResponseWriter, r *http.Request) {
	t := m.act(w, r)
	if t == nil {
		return
	}
	form := formData{Rename: strings.TrimSpace(r.PostFormValue("name"))}
	own := t.origin().OwnNames
	if n := utf8.RuneCountInString(form.Rename); n == 0 && !own || n > 60 || readable(form.Rename) != form.Rename {
		m.correct(w, r, t, form, map[string]string{"name": "expected a name of 1 to 60 characters"})
		return
	}
	m.perform(w, r, t, change{
		do: func(ctx context.Context) error { return t.rename(ctx, t.device.ID, form.Rename) },
		done: func() sdk.Message {
			if form.Rename == "" {
				return sdk.Message{Tone: sdk.Good, Text: "The device has the maker's name again."}
			}
			return sdk.Message{Tone: sdk.Good, Text: "The device is now called " + form.Rename + "."}
		},
		facts: map[string]any{"name": form.Rename},
		form:  form,
	})
}

func (m *Devices) signalDevice(w http.ResponseWriter, r *http.Request) {
	t := m.act(w, r)
	if t == nil {
		return
	}
	on := r.PostFormValue("signal") != "0"
	m.perform(w, r, t, change{
		do: func(ctx context.Context) error { return t.signal(ctx, t.device.ID, on) },
		done: func() sdk.Message {
			if on {
				return sdk.Message{Tone: sdk.Good, Text: "The light of " + t.name() + " shouts rainbows now."}
			}
			return sdk.Message{Tone: sdk.Good, Text: "The light of " + t.name() + " is back to normal."}
		},
		facts: map[string]any{"signaling": on},
	})
}

func (m *Devices) pingDevice(w http.ResponseWriter, r *http.Request) {
	t := m.act(w, r)
	if t == nil {
		return
	}
	facts := map[string]any{}
	online := false
	m.perform(w, r, t, change{
		do: func(ctx context.Context) (err error) {
			online, err = t.ping(ctx, t.device.ID)
			facts["online"] = online
			return err
		},
		done: func() sdk.Message {
			m.live.tell(&t.holding, 0, t.device.ID, "device", map[string]any{"device": map[string]any{"online": online, "status": onlineWord(online)}})
			if online {
				return sdk.Message{Tone: sdk.Good, Text: t.name() + " is online: it answered."}
			}
			return sdk.Message{Tone: sdk.Warn, Text: t.name() + " did not answer: it is offline."}
		},
		facts: facts,
	})
}

// isPlain tells whether s is visible ASCII without blanks.
func isPlain(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// readable takes out what cannot be read, and shortens.
func readable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > maxName {
		s = string(runes[:maxName])
	}
	return s
}
