package ownership

import (
	"bytes"
	"context"
	"encoding/json"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

// ClientService is the service by which Organizations hands over the OAuth client that makes shadow customers.
const ClientService = "customers.client"

// Call answers the services customers.devices and customers.client.
func (o *Ownership) Call(ctx context.Context, call sdk.Call) (any, error) {
	switch call.Service {
	case attachapi.Service:
		if !call.User.SignedIn() {
			return nil, fault.New(fault.SignedOut, "Nobody is signed in.")
		}
		switch call.Method {
		case attachapi.List:
			return o.callList(ctx, call.User.UserID)
		case attachapi.Check:
			return o.callCheck(ctx, call)
		case attachapi.Others:
			return o.callOthers(ctx, call)
		}
	case ClientService:
		switch call.Method {
		case "get":
			return o.callClients(ctx)
		case "set":
			return o.callSetClient(ctx, call)
		}
	}
	return nil, fault.New(fault.NotFound, "There is no method %q of a service %q.", call.Method, call.Service)
}

// callList is on the way of every page that shows a person's devices: two queries.
func (o *Ownership) callList(ctx context.Context, userID int64) (any, error) {
	devices, err := o.records.attachedTo(ctx, userID)
	if err != nil {
		return nil, err
	}
	granted, err := o.records.grantsOf(ctx, userID)
	if err != nil {
		return nil, err
	}
	products := make([]attachapi.Grant, 0, len(granted))
	for i := range granted {
		products = append(products, granted[i].forService())
	}
	return attachedAnswer{devices, products}, nil
}

// attachedAnswer is attachapi.Attached with the devices as JSON.
type attachedAnswer struct {
	Devices  json.RawMessage   `json:"devices"`
	Products []attachapi.Grant `json:"products"`
}

// callOthers tells which of some devices a whole product does not give the person, because they are attached to somebody else. To whom
// is not told.
func (o *Ownership) callOthers(ctx context.Context, call sdk.Call) (any, error) {
	var in attachapi.Devices
	if err := json.Unmarshal(call.Input, &in); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "expected device_ids")
	}
	if len(in.DeviceIDs) > attachapi.MaxIDs {
		return nil, fault.New(fault.Invalid, "expected at most %d device_ids, got %d: ask for them in parts", attachapi.MaxIDs, len(in.DeviceIDs))
	}
	ids := make([]string, 0, len(in.DeviceIDs))
	for _, id := range in.DeviceIDs {
		if id = particle.NormalID(id); isDeviceID(id) {
			ids = append(ids, id)
		}
	}
	others, err := o.records.ofOthers(ctx, call.User.UserID, ids)
	return attachapi.Devices{DeviceIDs: others}, err
}

// callCheck answers for one device. A whole product that the person has is named when the device could be in it.
func (o *Ownership) callCheck(ctx context.Context, call sdk.Call) (any, error) {
	var in attachapi.Question
	if err := json.Unmarshal(call.Input, &in); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "expected device_id")
	}
	id := particle.NormalID(in.DeviceID)
	if !isDeviceID(id) {
		return attachapi.Verdict{}, nil
	}
	row, err := o.records.device(ctx, id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	verdict := attachapi.Verdict{}
	if err == nil && row.DetachedAt == nil {
		if row.UserID != call.User.UserID { // nobody else's whole product counts then
			return verdict, nil
		}
		device := row.forService()
		verdict.Attached, verdict.Device = true, &device
		return verdict, nil
	}
	granted, err := o.records.grantsOf(ctx, call.User.UserID)
	if err != nil || len(granted) == 0 {
		return verdict, err
	}
	product := granted[o.likely(ctx, granted, id)].forService()
	verdict.Product = &product
	return verdict, nil
}

// likely gives the place of the product that has the device, among several that a person has as a whole; the first when nobody can tell.
func (o *Ownership) likely(ctx context.Context, granted []grant, deviceID string) int {
	for i := range granted {
		if len(granted) == 1 {
			break
		}
		states, err := o.cloudOf.States(ctx, productapi.Product{WorkspaceID: granted[i].WorkspaceID, ProductID: granted[i].ProductID}, []string{deviceID})
		if err == nil && len(states.Devices) == 1 {
			return i
		}
	}
	return 0
}

// clientInUse is an entry of the answer of customers.client get. It holds no secret.
type clientInUse struct {
	ClientID    string `json:"client_id"`
	WorkspaceID int64  `json:"workspace_id"`
	ProductID   string `json:"product_id"`
}

func (o *Ownership) callClients(ctx context.Context) (any, error) {
	rows, err := o.records.products(ctx)
	if err != nil {
		return nil, err
	}
	list := []clientInUse{}
	for _, row := range rows {
		if row.ClientID != "" {
			list = append(list, clientInUse{row.ClientID, row.WorkspaceID, row.ProductID})
		}
	}
	return map[string]any{"clients": list}, nil
}

// newClient is the input of customers.client set.
type newClient struct {
	WorkspaceID  int64  `json:"workspace_id"`
	ProductID    string `json:"product_id"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	BaseURL      string `json:"base_url"`
}

func (o *Ownership) callSetClient(ctx context.Context, call sdk.Call) (any, error) {
	if !call.User.Can(mayConfigure) {
		return nil, fault.New(fault.Denied, "Only somebody who may set up how customers own devices can hand over an OAuth client for shadow customers.")
	}
	var in newClient
	decoder := json.NewDecoder(bytes.NewReader(call.Input))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return nil, fault.New(fault.Invalid, "expected workspace_id, product_id, client_id, client_secret and base_url") // the cause would quote the secret
	}
	return struct{}{}, o.takeClient(ctx, in, call.User.Name)
}

// takeClient seals a client. The secret is sealed first: a client whose id is noted can be used.
func (o *Ownership) takeClient(ctx context.Context, in newClient, by string) error {
	if in.WorkspaceID <= 0 || !isProductID(in.ProductID) || !oneWord(in.ClientID, 100) || !oneWord(in.ClientSecret, 200) {
		return fault.New(fault.Invalid, "Expected a product, and the id and the secret of an OAuth client, each as one word.")
	}
	base, err := particle.ParseBaseURL(in.BaseURL)
	if err != nil {
		return err
	}
	sealed, err := json.Marshal(sealedClient{ID: in.ClientID, Secret: in.ClientSecret, BaseURL: base.String()})
	if err != nil {
		return err
	}
	if err := o.site.Host.Secrets().Set(ctx, secretClient, clientKey(in.WorkspaceID, in.ProductID), string(sealed)); err != nil {
		return err
	}
	row, err := o.records.product(o.site.DB.WithContext(ctx), in.WorkspaceID, in.ProductID)
	if err != nil {
		return err
	}
	now := o.site.Now()
	row.ClientID, row.ClientBaseURL, row.ClientProblem, row.ClientAt = in.ClientID, base.String(), "", &now
	row.ChangedAt, row.ChangedBy = now, by
	if err := o.records.saveProduct(o.site.DB.WithContext(ctx), &row); err != nil {
		return err
	}
	o.site.Host.Log().Info("another module has handed over an OAuth client", "client", in.ClientID, "product", in.ProductID)
	return o.records.wake(ctx, in.WorkspaceID, in.ProductID)
}

func oneWord(s string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	for _, c := range s {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}
