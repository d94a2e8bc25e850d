package ownership

import "net/http"

// Routes names the pages of this part. The manifest says who may see each.
func (o *Ownership) Routes(mux *http.ServeMux) {
	const (
		product = " /admin/customers/products/{workspace}/{product}"
		person  = " /admin/customers/people/{person}"
		device  = " /admin/customers/devices/{device}"
		changes = " /admin/customers/operations"
	)
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET /admin/customers/products":                  o.listProducts,
		"GET" + product:                                  o.showProduct,
		"POST" + product:                                 o.saveWay,
		"POST" + product + "/move":                       o.move,
		"GET" + product + "/particle":                    o.listAtParticle,
		"GET" + product + "/particle/{customer}/reset":   o.confirmReset,
		"POST" + product + "/particle/{customer}/reset":  o.sendReset,
		"GET" + product + "/particle/{customer}/delete":  o.confirmDelete,
		"POST" + product + "/particle/{customer}/delete": o.deleteCustomer,
		"GET" + person + "/devices":                      o.showPerson,
		"GET" + person + "/attach":                       o.showAttach,
		"POST" + person + "/attach":                      o.attach,
		"POST" + person + "/detach":                      o.detach,
		"POST" + person + "/shadow":                      o.changeShadow,
		"GET /admin/customers/devices":                   o.listDevices,
		"GET" + device:                                   o.showDevice,
		"GET" + device + "/transfer":                     o.showTransfer,
		"POST" + device + "/transfer":                    o.transfer,
		"POST" + device + "/detach":                      o.detachDevice,
		"POST" + device + "/undo":                        o.undo,
		"GET" + changes:                                  o.listOperations,
		"GET" + changes + "/{operation}":                 o.showOperation,
		"POST" + changes + "/{operation}/retry":          o.retry,
		"GET /customers/password":                        o.showPassword,
		"POST /customers/password":                       o.choosePassword,
	} {
		mux.HandleFunc(pattern, handler)
	}
}
