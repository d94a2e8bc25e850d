package particle

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// Most ids in one call. The cloud has no documented limit; a request body is kept small.
const (
	maxAddDevices    = 500
	maxUploadDevices = 10000
)

// ImportOptions are what may happen to devices beside being added.
type ImportOptions struct {
	ClaimUser string // user name of a team member who becomes their owner; "": they stay as they are
	SIMs      bool   // their SIM cards are added too
}

// ImportOutcome is what became of one id.
type ImportOutcome string

// Outcomes.
const (
	ImportAdded     ImportOutcome = "added"      // in the product now
	ImportExisting  ImportOutcome = "existing"   // was in the product before
	ImportNotMember ImportOutcome = "not_member" // belongs to somebody outside the team
	ImportInvalid   ImportOutcome = "invalid"    // unknown, of another platform, or in another product
	ImportProtected ImportOutcome = "protected"  // a protected device, which must be unlocked first
	ImportUnknown   ImportOutcome = "unknown"    // the cloud says nothing about it: look with Device
)

// ImportResult tells what became of each id. The cloud answers a success even when nothing was added.
type ImportResult struct {
	Added     []string
	Existing  []string
	NotMember []string
	Invalid   []string
	Protected []string
}

// Outcome is what became of one id as it was sent.
func (r ImportResult) Outcome(id string) ImportOutcome {
	id = NormalID(id)
	for _, in := range []struct {
		list    []string
		outcome ImportOutcome
	}{
		{r.Added, ImportAdded}, {r.Existing, ImportExisting}, {r.NotMember, ImportNotMember}, {r.Invalid, ImportInvalid}, {r.Protected, ImportProtected},
	} {
		for _, have := range in.list {
			if NormalID(have) == id {
				return in.outcome
			}
		}
	}
	return ImportUnknown
}

// AddDevices adds at most 500 devices to a product. It may be repeated: what is in the product then is Existing.
//
// Source: POST /v1/products/{product}/devices with ids.
func (c *Client) AddDevices(ctx context.Context, token, product string, ids []string, o ImportOptions) (ImportResult, error) {
	const op = "add devices"
	if err := checkIDs(op, product, ids, maxAddDevices); err != nil {
		return ImportResult{}, err
	}
	fields := map[string]any{"ids": normalIDs(ids)}
	if o.ClaimUser != "" {
		fields["claim_user"] = o.ClaimUser
	}
	if o.SIMs {
		fields["import_sims"] = true
	}
	return c.importDevices(ctx, call{op: op, method: http.MethodPost, url: c.path("v1", "products", product, "devices"), token: token, json: fields, timeout: c.timeouts.Device}, ids)
}

// UploadDevices adds at most 10,000 devices as a file does in Particle's console: one id, serial number, IMEI or ICCID a line.
//
// Source: POST /v1/products/{product}/devices, multipart, with file.
func (c *Client) UploadDevices(ctx context.Context, token, product string, ids []string, o ImportOptions) (ImportResult, error) {
	const op = "add devices"
	if err := checkIDs(op, product, ids, maxUploadDevices); err != nil {
		return ImportResult{}, err
	}
	fields := url.Values{}
	if o.ClaimUser != "" {
		fields.Set("claim_user", o.ClaimUser)
	}
	if o.SIMs {
		fields.Set("import_sims", "true")
	}
	file := &upload{field: "file", name: "devices.txt", content: []byte(strings.Join(normalIDs(ids), "\n") + "\n")}
	return c.importDevices(ctx, call{op: op, method: http.MethodPost, url: c.path("v1", "products", product, "devices"), token: token, form: fields, file: file, timeout: c.timeouts.Device}, ids)
}

func normalIDs(ids []string) []string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = NormalID(id)
	}
	return list
}

func checkIDs(op, product string, ids []string, limit int) error {
	if err := notEmpty(op, append([]string{product}, ids...)...); err != nil {
		return err
	}
	bad := func(message, hint string) error {
		e := newError(Invalid, op)
		e.Message, e.Hint = message, hint
		return e
	}
	if len(ids) == 0 {
		return bad("There are no devices to add.", "Enter at least one device id.")
	}
	if len(ids) > limit {
		return bad("There are more than "+itoa(limit)+" devices in one request.", "Add them in several parts.")
	}
	for _, id := range ids {
		if strings.ContainsAny(id, "\r\n,") || len(id) > 64 {
			return bad("\""+short(id)+"\" is not a device id.", "An id has 24 digits from 0 to 9 and a to f.")
		}
	}
	return nil
}

func (c *Client) importDevices(ctx context.Context, r call, ids []string) (ImportResult, error) {
	body, err := c.do(ctx, r)
	if err != nil {
		return ImportResult{}, err
	}
	return readImport(r.op, body, ids)
}

// readImport reads the lists. Old answers name only how many were added and which were refused: the rest was then added or
// there before, and is taken for added when the number says so.
func readImport(op string, body []byte, ids []string) (ImportResult, error) {
	var answer struct {
		Updated   number `json:"updated"`
		Added     *texts `json:"updatedDeviceIds"`
		Existing  texts  `json:"existingDeviceIds"`
		NotMember texts  `json:"nonmemberDeviceIds"`
		Invalid   texts  `json:"invalidDeviceIds"`
		Protected texts  `json:"protectedDeviceIds"`
	}
	if json.Unmarshal(body, &answer) != nil || !answer.Updated.present && answer.Added == nil {
		return ImportResult{}, unexpected(op, "answer does not tell what became of the devices")
	}
	r := ImportResult{Existing: answer.Existing, NotMember: answer.NotMember, Invalid: answer.Invalid, Protected: answer.Protected}
	if answer.Added != nil {
		r.Added = *answer.Added
		return r, nil
	}
	var rest []string
	for _, id := range normalIDs(ids) {
		if r.Outcome(id) == ImportUnknown {
			rest = append(rest, id)
		}
	}
	if int64(len(rest)) == answer.Updated.value {
		r.Added = rest
	}
	return r, nil
}

// IsDeviceID tells whether s is a device id, upper case and spaces around it allowed: 24 hex digits.
func IsDeviceID(s string) bool {
	id := NormalID(s)
	return len(id) == 24 && isHex(id)
}
