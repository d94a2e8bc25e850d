package ownership

import "net/http"

// Routes names the pages of this part.
func (o *Ownership) Routes(mux *http.ServeMux) {}
