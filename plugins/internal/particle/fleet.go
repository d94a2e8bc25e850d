package particle

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// DeviceSort is what a list of devices is ordered by.
type DeviceSort string

// Orders.
const (
	SortLastConnection DeviceSort = "lastConnection" // the cloud's default, newest first
	SortName           DeviceSort = "deviceName"
	SortID             DeviceSort = "deviceId"
	SortFirmware       DeviceSort = "firmwareVersion"
)

// DeviceQuery selects and orders the devices of a product. The zero value is the first page of all, the last connected first.
type DeviceQuery struct {
	Name        string   // part of the name
	ID          string   // part of the id
	Serial      string   // part of the serial number
	Groups      []string // full names; a device in any of them
	Quarantined bool     // only those that wait for approval
	Sort        DeviceSort
	Ascending   bool
	Page        Page
}

func (q DeviceQuery) query() string {
	v := q.Page.values()
	for key, value := range map[string]string{"deviceName": q.Name, "deviceId": q.ID, "serialNumber": q.Serial,
		"groups": strings.Join(q.Groups, ","), "sortAttr": string(q.Sort)} {
		if value != "" {
			v.Set(key, value)
		}
	}
	switch {
	case q.Ascending:
		v.Set("sortDir", "asc")
	case q.Sort != "":
		v.Set("sortDir", "desc")
	}
	if q.Quarantined {
		v.Set("quarantined", "true")
	}
	return "?" + v.Encode()
}

// DevicePage is one page of a product's devices.
type DevicePage struct {
	Devices   []Device
	Customers []Customer // customers who own devices of the page, without their devices
	Pages     int        // how many pages there are, at least 1
}

// FindProductDevices lists one page of the product's devices that fit the query.
//
// Source: GET /v1/products/{product}/devices.
func (c *Client) FindProductDevices(ctx context.Context, token, product string, q DeviceQuery) (DevicePage, error) {
	const op = "list product devices"
	if err := notEmpty(op, product); err != nil {
		return DevicePage{}, err
	}
	body, err := c.do(ctx, call{op: op, method: http.MethodGet, url: c.path("v1", "products", product, "devices") + q.query(), token: token, timeout: c.timeouts.Call})
	if err != nil {
		return DevicePage{}, err
	}
	rows, err := decodeList[deviceRow](op, body, "devices")
	if err != nil {
		return DevicePage{}, err
	}
	page := DevicePage{Devices: devices(rows), Pages: totalPages(body)}
	if customers, err := decodeList[customerRow](op, body, "customers"); err == nil {
		page.Customers = customersOf(customers)
	}
	return page, nil
}

// Most pages that a walk over a whole list takes, and their size.
const (
	maxPages = 400
	walkSize = 100
)

// EachProductDevice visits all devices that fit the query, page by page, by id when the query has no order of its own, so
// that devices that connect meanwhile do not move between pages. It ends with visit's error or after 400 pages of 100.
func (c *Client) EachProductDevice(ctx context.Context, token, product string, q DeviceQuery, visit func(Device) error) error {
	if q.Sort == "" {
		q.Sort, q.Ascending = SortID, true
	}
	for n := 1; n <= maxPages; n++ {
		q.Page = Page{Number: n, Size: walkSize}
		page, err := c.FindProductDevices(ctx, token, product, q)
		if err != nil {
			return err
		}
		for _, d := range page.Devices {
			if err := visit(d); err != nil {
				return err
			}
		}
		if n >= page.Pages || len(page.Devices) == 0 {
			return nil
		}
	}
	return nil
}

// CountDevices counts the devices of a product without reading them all.
func (c *Client) CountDevices(ctx context.Context, token, product string) (int, error) {
	return count(func(p Page) (int, int, error) {
		page, err := c.FindProductDevices(ctx, token, product, DeviceQuery{Page: p})
		return len(page.Devices), page.Pages, err
	})
}

// count asks for pages of one, whose number is the answer. A cloud that ignores the size is asked for its last page too.
func count(get func(Page) (rows, pages int, err error)) (int, error) {
	rows, pages, err := get(Page{Number: 1, Size: 1})
	switch {
	case err != nil:
		return 0, err
	case rows == 0 || pages == 1:
		return rows, nil
	case rows == 1:
		return pages, nil
	}
	last, _, err := get(Page{Number: pages, Size: 1})
	return (pages-1)*rows + last, err
}

// SetGroups puts a product's device into exactly these groups; none takes it out of all. The client must be InProduct.
//
// Source: PUT /v1/products/{product}/devices/{id} with groups.
func (c *Client) SetGroups(ctx context.Context, token, id string, groups []string) error {
	if groups == nil {
		groups = []string{}
	}
	return c.updateInProduct(ctx, "change groups", token, id, map[string]any{"groups": groups})
}

// SetDevelopment marks a product's device as one for development, which gets no released firmware, or ends that. The client
// must be InProduct.
//
// Source: PUT /v1/products/{product}/devices/{id} with development.
func (c *Client) SetDevelopment(ctx context.Context, token, id string, on bool) error {
	return c.updateInProduct(ctx, "change development mark", token, id, map[string]any{"development": on})
}

func (c *Client) updateInProduct(ctx context.Context, op, token, id string, fields map[string]any) error {
	if err := notEmpty(op, id, c.product); err != nil {
		return err
	}
	_, err := c.do(ctx, call{op: op, method: http.MethodPut, url: c.devicePath(id), token: token, json: fields, timeout: c.timeouts.Call})
	return ofDevice(err)
}

// RemoveFromProduct takes a device out of the product and ends the ownership of a customer. The client must be InProduct.
//
// Source: DELETE /v1/products/{product}/devices/{id}; 204.
func (c *Client) RemoveFromProduct(ctx context.Context, token, id string) error {
	return c.leaveProduct(ctx, "remove device", token, id, nil)
}

// DenyDevice refuses a device in quarantine, for good. The client must be InProduct.
//
// Source: DELETE /v1/products/{product}/devices/{id} with deny; 204.
func (c *Client) DenyDevice(ctx context.Context, token, id string) error {
	return c.leaveProduct(ctx, "deny device", token, id, map[string]any{"deny": true})
}

func (c *Client) leaveProduct(ctx context.Context, op, token, id string, fields map[string]any) error {
	if err := notEmpty(op, id, c.product); err != nil {
		return err
	}
	r := call{op: op, method: http.MethodDelete, url: c.devicePath(id), token: token, timeout: c.timeouts.Call, plain: true}
	if fields != nil {
		r.json = fields
	}
	_, err := c.do(ctx, r)
	return ofDevice(err)
}

// PublishAs sends an event to the product as if one of its devices had published it. The client must be InProduct.
//
// Source: POST /v1/products/{product}/events with as_device_id.
func (c *Client) PublishAs(ctx context.Context, token, deviceID, name, data string) error {
	const op = "publish event"
	if err := notEmpty(op, name, deviceID, c.product); err != nil {
		return err
	}
	form := url.Values{"name": {name}, "data": {data}, "private": {"true"}, "ttl": {"60"}, "as_device_id": {NormalID(deviceID)}}
	_, err := c.do(ctx, call{op: op, method: http.MethodPost, url: c.path("v1", "products", c.product, "events"), token: token, form: form, timeout: c.timeouts.Call})
	return err
}
