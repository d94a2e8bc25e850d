package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

// fleet is a product of the maker's: the source of those of its devices that are attached to the person, or of all. What is done with
// them goes through the service particle.product, with the maker's credential. That the person may is known here and only here.
type fleet struct {
	m       *Devices
	product productapi.Product
	label   string
	user    int64
	given   map[string]attachapi.Attachment // devices that are attached one by one, by id
	whole   bool                            // every device of the product is
	names   map[deviceKey]string            // the person's own
	later   bool                            // how the devices are is asked later, for a page of them: see byname.go
	unsure  int                             // times in a row that still could not be found out
}

func productKey(workspace int64, product string) string {
	return fmt.Sprintf("product/%d/%s", workspace, product)
}

func (p *fleet) key() string { return productKey(p.product.WorkspaceID, p.product.ProductID) }

func (p *fleet) origin() origin { return origin{Kind: fromProduct, Label: p.label, OwnNames: true} }

// service is particle.product for what people do. A call waits for its turn for a while; the polls for events have room of their own.
func (p *fleet) service() productapi.Client { return productapi.Client{Call: p.m.callProduct} }

const (
	maxProductCalls = 24              // at once, of the 64 that the host allows this module
	waitForTurn     = 5 * time.Second // then nothing is sent
)

func (m *Devices) callProduct(ctx context.Context, service, method string, in, out any) error {
	waiting := time.NewTimer(waitForTurn)
	defer waiting.Stop()
	select {
	case m.turns <- struct{}{}:
		defer func() { <-m.turns }()
	case <-ctx.Done():
		return ctx.Err()
	case <-waiting.C:
		return fault.New(fault.TooMany, "%d calls of %s are under way", maxProductCalls, service)
	}
	return m.host.Call(ctx, service, method, in, out)
}

// list takes the attached devices' states, or the whole product's list. A device is called what the person calls it, else what the
// maker called it when it was handed over, else what the fleet calls it.
func (p *fleet) list(ctx, limited context.Context, w wish) holding {
	var h holding
	switch {
	case w.id != "":
		h = p.listOne(ctx, limited, w.id)
	case p.whole:
		h = p.listWhole(ctx, limited, w.search)
	case p.later:
		h = p.listByName(ctx)
	default:
		h = p.listGiven(ctx, limited, p.ids())
	}
	p.callThem(h.devices)
	return h
}

// callThem gives devices, which are this request's own copies, their names.
func (p *fleet) callThem(devices []particle.Device) {
	for i := range devices {
		d := &devices[i]
		given := p.given[d.ID]
		chosen := ""
		if given.Given {
			chosen = given.Name
		}
		d.Name = cmp.Or(p.names[deviceKey{p.key(), d.ID}], chosen, d.Name, given.Name)
	}
}

// ids are those of the devices that are attached one by one, sorted.
func (p *fleet) ids() []string { return slices.Sorted(maps.Keys(p.given)) }

// listOne asks for one device with everything about it.
func (p *fleet) listOne(ctx, limited context.Context, id string) holding {
	h := holding{source: p}
	given, attached := p.given[id]
	if !attached && !p.whole { // another device of the product is attached to the person, and this one is not
		return h
	}
	batch, err := p.m.lists.get(limited, p.question("device/"+id, listLife, func(ctx context.Context) (batch, error) {
		d, err := p.service().Device(ctx, p.product, id)
		return batch{devices: []particle.Device{deviceOf(d)}}, err
	}))
	switch {
	case err == nil:
		h.devices = append(h.devices, batch.devices...)
		p.m.keepDevices(ctx, p.user, p.key(), id, h.devices, true)
	case particle.Is(err, particle.UnknownDevice) && attached:
		h.missing = []particle.Device{unknownDevice(id, given.Name)}
	case particle.Is(err, particle.UnknownDevice): // the person has the whole product, and it is not in there
	default:
		return p.withKnown(ctx, p.failed(h, err), func(known string) bool { return known == id })
	}
	return h
}

// listGiven asks how attached devices are: a cheap call for each 500 of them.
func (p *fleet) listGiven(ctx, limited context.Context, ids []string) holding {
	h := holding{source: p}
	told, wanted := map[string]bool{}, make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	for part := range slices.Chunk(ids, productapi.MaxStates) {
		states, err := p.service().States(limited, p.product, part)
		if err != nil {
			h = p.failed(h, err)
			break
		}
		for _, d := range states.Devices {
			told[d.ID] = true
			h.devices = append(h.devices, deviceOf(d))
		}
		for _, id := range states.Missing {
			told[id] = true
			h.missing = append(h.missing, unknownDevice(id, p.given[id].Name))
		}
		if states.Stale {
			why := states.Why.Err("ask for states")
			if why == nil { // it only takes long
				why = &particle.Error{Kind: particle.NoAnswer}
			}
			h.stale, h.trouble = true, p.words(why, "")
		}
	}
	if h.trouble != nil {
		return p.withKnown(ctx, h, func(id string) bool { return wanted[id] && !told[id] })
	}
	about := ""
	if p.later {
		about = "from " + ids[0]
	}
	p.m.keepDevices(ctx, p.user, p.key(), about, h.devices, false)
	return h
}

// listWhole takes the product's first devices; where there are more, also those that hold what is searched for.
func (p *fleet) listWhole(ctx, limited context.Context, search string) holding {
	h := holding{source: p}
	ask := func(search string) (batch, error) {
		return p.m.lists.get(limited, p.question("all/"+search, wholeLife, func(ctx context.Context) (batch, error) { return p.askWhole(ctx, search) }))
	}
	got, err := ask("")
	if err == nil && got.total > 0 && search != "" {
		got, err = ask(search)
	}
	if err != nil {
		return p.withKnown(ctx, p.failed(h, err), func(string) bool { return true })
	}
	h.devices, h.total = append(h.devices, got.devices...), got.total
	if search == "" {
		p.m.keepDevices(ctx, p.user, p.key(), "", h.devices, false)
	}
	return h
}

// wholeLife is how long a whole product's list is taken from memory: it costs a question a page.
const wholeLife = 10 * time.Second

func (p *fleet) askWhole(ctx context.Context, search string) (batch, error) {
	var all batch
	for page, pages := 1, 1; page <= pages && len(all.devices) < maxDevices; page++ {
		got, err := p.service().Devices(ctx, productapi.DeviceQuery{Product: p.product, Page: page, PerPage: productapi.MaxPerPage, Search: search, Sort: productapi.SortName})
		if err != nil {
			return batch{}, err
		}
		for _, d := range got.Devices {
			all.devices = append(all.devices, deviceOf(d))
		}
		pages = got.Pages
		if page == maxDevices/productapi.MaxPerPage && pages > page {
			all.total = pages * productapi.MaxPerPage
			if got.Total != nil {
				all.total = *got.Total
			}
		}
	}
	return all, nil
}

func (p *fleet) question(about string, life time.Duration, ask func(context.Context) (batch, error)) question {
	return question{key: p.key() + "/" + about, life: life, ask: ask}
}

// failed says why the product could not be asked. While the service itself is away nothing is tried.
func (p *fleet) failed(h holding, err error) holding {
	h.trouble = p.words(err, "")
	if fault.Is(err, fault.Unavailable) && particle.KindOf(err) == "" {
		h.refusal = h.trouble
	}
	return h
}

// withKnown adds what was known of devices that could not be asked for, or at least that they are attached.
func (p *fleet) withKnown(ctx context.Context, h holding, wanted func(id string) bool) holding {
	known := p.m.remember(ctx, holding{source: p})
	h.stale = true
	have := map[string]bool{}
	for _, d := range known.devices {
		if _, attached := p.given[d.ID]; wanted(d.ID) && (attached || p.whole) {
			have[d.ID] = true
			h.devices = append(h.devices, d)
		}
	}
	for id, a := range p.given {
		if wanted(id) && !have[id] {
			h.devices = append(h.devices, unknownDevice(id, a.Name))
		}
	}
	return h
}

func deviceOf(d productapi.Device) particle.Device {
	at := func(t *time.Time) time.Time {
		if t == nil {
			return time.Time{}
		}
		return *t
	}
	// Notes, owner and address are the maker's, not the customer's.
	return particle.Device{ID: strings.ToLower(d.ID), Name: d.Name, Online: d.Online, LastHeard: at(d.LastHeard), Handshake: at(d.LastHandshake),
		ProductID: d.ProductID, PlatformID: d.PlatformID, Cellular: d.Cellular, Status: d.Status, Functions: d.Functions, Variables: d.Variables,
		Serial: d.Serial, System: d.System, Firmware: d.Firmware}
}

func (p *fleet) variable(ctx context.Context, device, name string) (any, error) {
	v, err := p.service().Variable(ctx, p.product, device, name)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(strings.NewReader(string(v.Value)))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, &particle.Error{Kind: particle.NotParticle, Op: "read variable", Cause: err}
	}
	return value, nil
}

// call is sent once. When the service does not answer, nobody knows whether it was.
func (p *fleet) call(ctx context.Context, device, function, argument string) (int, error) {
	value, err := p.service().CallFunction(ctx, p.product, device, function, argument)
	return value, uncertain("call function", err)
}

// uncertain says of a service that went away with a change that nobody knows whether it was made.
func uncertain(op string, err error) error {
	if particle.KindOf(err) == "" && (fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Timeout)) {
		return &particle.Error{Kind: particle.NoAnswer, Op: op, Cause: err}
	}
	return err
}

// publish sends an event as if the device had published it.
func (p *fleet) publish(ctx context.Context, device, name, data string) error {
	return uncertain("publish event", p.service().Publish(ctx, p.product, device, name, data))
}

// rename keeps the person's own name here: the one at Particle belongs to the maker's fleet. "" goes back to that one.
func (p *fleet) rename(ctx context.Context, device, name string) error {
	return p.m.records.saveName(ctx, ownName{UserID: p.user, Source: p.key(), DeviceID: device, Name: name, ChangedAt: p.m.now()})
}

func (p *fleet) signal(ctx context.Context, device string, on bool) error {
	return uncertain("signal device", p.service().Signal(ctx, p.product, device, on))
}

func (p *fleet) ping(ctx context.Context, device string) (bool, error) {
	defer p.moved(device)
	return p.service().Ping(ctx, p.product, device)
}

func (p *fleet) moved(device string) { p.m.lists.drop(p.key() + "/device/" + device) }

// events come from one poll for the whole product, whoever watches.
func (p *fleet) events() *feedSource {
	return &feedSource{
		key:     p.key(),
		open:    func(string) (upstream, error) { return newPoll(p.m, p.product), nil },
		most:    maxPolls,
		glances: maxPolls / 2,
		recheck: p.m.patience.recheck,
		moved:   p.moved,
		ended:   "interrupted: the maker's connection to Particle has a problem",
	}
}

// maxUnsure is how many times in a row it may stay unknown whether the person still has a device.
const maxUnsure = 6

// still asks customers again, since a fact may have been missed.
func (p *fleet) still(ctx context.Context, device string) bool {
	verdict, err := p.m.verdictOf(ctx, device)
	if err != nil {
		p.unsure++
		return fault.Is(err, fault.Unavailable) && p.unsure < maxUnsure
	}
	p.unsure = 0
	if a := verdict.Device; a != nil {
		return a.Way != attachapi.Account && productKey(a.WorkspaceID, a.ProductID) == p.key()
	}
	g := verdict.Product
	return g != nil && g.Way != attachapi.Account && productKey(g.WorkspaceID, g.ProductID) == p.key() && !p.left(ctx, device)
}

// left tells whether the product says that a device is not in it any more. While it cannot be asked, nothing is known against it.
func (p *fleet) left(ctx context.Context, device string) bool {
	states, err := p.service().States(ctx, p.product, []string{device})
	return err == nil && !states.Stale && slices.Contains(states.Missing, device)
}

// explain has nothing to do: organizations knows itself what is wrong with its credential.
func (p *fleet) explain(_ context.Context, err error, name string) *trouble {
	return p.words(err, name)
}

// words speak of the maker: the person has no account at Particle in this.
func (p *fleet) words(err error, name string) *trouble {
	switch kind := particle.KindOf(err); {
	case kind == particle.DeadToken, kind == particle.MissingScope, kind == particle.BadScope, kind == particle.Denied, kind == particle.BadClient,
		kind == "" && (fault.Is(err, fault.NotFound) || fault.Is(err, fault.Denied)):
		return &trouble{Kind: "maker", Message: "The maker's connection to Particle has a problem.", Remedy: "Your device is fine, and the maker's staff have been told. Try again later.", Status: http.StatusServiceUnavailable}
	case kind == particle.UnknownDevice && name != "":
		return &trouble{Kind: string(kind), Message: name + " is not among the maker's devices any more.", Remedy: "Ask the staff of this site; quote the device's id.", Status: http.StatusNotFound}
	case kind != "":
		return troubleOf(err, name)
	case errors.Is(err, context.DeadlineExceeded), fault.Is(err, fault.Timeout):
		return troubleOf(&particle.Error{Kind: particle.NoAnswer}, name)
	case fault.Is(err, fault.TooMany):
		return &trouble{Kind: "busy", Message: "Very many people use their devices at this moment.", Remedy: "Nothing was sent. Try again in a moment.", Status: http.StatusTooManyRequests}
	case fault.Is(err, fault.Unavailable):
		return &trouble{Kind: "maker_away", Message: "What the maker of this site gave you cannot be reached at the moment.", Remedy: "Your devices are fine. Try again in a few minutes.", Status: http.StatusServiceUnavailable}
	}
	return troubleOf(err, name)
}
