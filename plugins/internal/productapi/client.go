package productapi

import "context"

// Client calls the service. sdk.Host's Call fits. Every method's error is a *particle.Error for what went wrong at Particle, so that
// particle.Is and errors.As work, and otherwise the fault of the call.
type Client struct {
	Call func(ctx context.Context, service, method string, in, out any) error
}

// carrier is every answer that may carry a problem.
type carrier interface{ problem() *Problem }

func (o Outcome) problem() *Problem { return o.Problem }

func ask[T carrier](ctx context.Context, c Client, method string, in any) (out T, err error) {
	if err := c.Call(ctx, Service, method, in, &out); err != nil {
		return out, err
	}
	return out, out.problem().Err(method)
}

// Products lists the products of all workspaces. Nothing is asked at Particle.
func (c Client) Products(ctx context.Context) ([]ProductInfo, error) {
	var out Products
	err := c.Call(ctx, Service, MethodProducts, struct{}{}, &out)
	return out.Products, err
}

// Devices lists a page of a product's devices.
func (c Client) Devices(ctx context.Context, q DeviceQuery) (Devices, error) {
	return ask[Devices](ctx, c, MethodDevices, q)
}

// Device describes one device with its functions and variables. UnknownDevice: it is not in the product.
func (c Client) Device(ctx context.Context, p Product, id string) (Device, error) {
	out, err := ask[OneDevice](ctx, c, MethodDevice, DeviceRef{p, id})
	return out.Device, err
}

// States tells how many devices are at once. It is cheap: ask it as often as a page is drawn.
func (c Client) States(ctx context.Context, p Product, ids []string) (States, error) {
	if ids == nil {
		ids = []string{}
	}
	return ask[States](ctx, c, MethodStates, StateQuery{p, ids})
}

// Variable reads a variable from the device itself: a round trip to it.
func (c Client) Variable(ctx context.Context, p Product, id, name string) (Value, error) {
	return ask[Value](ctx, c, MethodVariable, Name{DeviceRef{p, id}, name})
}

// CallFunction runs a function on the device. It is never repeated: after an error whose Uncertain is true nobody knows whether it ran.
func (c Client) CallFunction(ctx context.Context, p Product, id, name, argument string) (int, error) {
	out, err := ask[Returned](ctx, c, MethodCall, FunctionCall{DeviceRef{p, id}, name, argument})
	return out.Value, err
}

// Publish sends an event to the product, or with an id as if that device had published it.
func (c Client) Publish(ctx context.Context, p Product, id, name, data string) error {
	_, err := ask[Done](ctx, c, MethodPublish, Publication{DeviceRef{p, id}, name, data})
	return err
}

// Rename gives the device a name.
func (c Client) Rename(ctx context.Context, p Product, id, name string) error {
	_, err := ask[Done](ctx, c, MethodRename, Name{DeviceRef{p, id}, name})
	return err
}

// Signal makes the device's light shout rainbows, or ends it.
func (c Client) Signal(ctx context.Context, p Product, id string, on bool) error {
	_, err := ask[Done](ctx, c, MethodSignal, SignalSwitch{DeviceRef{p, id}, on})
	return err
}

// Ping asks the device itself whether it is online. That it is offline is an answer, not an error.
func (c Client) Ping(ctx context.Context, p Product, id string) (online bool, err error) {
	out, err := ask[Pong](ctx, c, MethodPing, DeviceRef{p, id})
	return out.Online, err
}

// Release ends the ownership of the device. It stays in the product.
func (c Client) Release(ctx context.Context, p Product, id string) error {
	_, err := ask[Done](ctx, c, MethodRelease, DeviceRef{p, id})
	return err
}

// Customers lists a page of the product's customers at Particle.
func (c Client) Customers(ctx context.Context, q CustomerQuery) (Customers, error) {
	return ask[Customers](ctx, c, MethodCustomers, q)
}

// DeleteCustomer removes a customer at Particle with its tokens. particle.IsGone tells that there was none.
func (c Client) DeleteCustomer(ctx context.Context, p Product, username string) error {
	_, err := ask[Done](ctx, c, MethodCustomerDelete, CustomerRef{p, username})
	return err
}

// SetCustomerPassword replaces the password of a customer that has one at Particle.
func (c Client) SetCustomerPassword(ctx context.Context, p Product, username, password string) error {
	_, err := ask[Done](ctx, c, MethodCustomerPassword, CustomerPassword{CustomerRef{p, username}, password})
	return err
}

// Events waits for the events of a product. Ask again with the answer's cursor and state for as long as they are wanted; the stream
// is closed about a minute after the last poll.
func (c Client) Events(ctx context.Context, q Poll) (Events, error) {
	return ask[Events](ctx, c, MethodEvents, q)
}
