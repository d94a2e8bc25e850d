// Package items is the data behind the measured page: one table, its rows and the queries of a page. The module and the single process
// that it is compared with use the same code, so that nothing but the isolation differs.
package items

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Rows is how many rows the measured table has, and FewRows how many that of a module which is only enabled and removed.
const Rows, FewRows = 1000, 40

// PageRows is how many rows a page shows.
const PageRows = 20

// Item is one row. Its table carries the module's prefix.
type Item struct {
	ID        int64 `gorm:"primaryKey"`
	Title     string
	Note      string
	Owner     string
	State     string
	Value     float64
	UpdatedAt time.Time
}

// Fill puts so many rows into an empty table.
func Fill(tx *gorm.DB, rows int) error {
	states := []string{"online", "offline", "updating"}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	list := make([]Item, rows)
	for i := range list {
		list[i] = Item{
			ID: int64(i + 1), Title: fmt.Sprintf("Greenhouse sensor %04d", i+1), Owner: fmt.Sprintf("person%03d@example.org", i%97),
			Note:  fmt.Sprintf("Row %d <door & sun>, week %d", i%40, i%52),
			State: states[i%len(states)], Value: float64(i%400)/10 - 5, UpdatedAt: at.Add(time.Duration(i) * time.Minute),
		}
	}
	if err := tx.CreateInBatches(list, 100).Error; err != nil {
		return fmt.Errorf("fill the table: %w", err)
	}
	return nil
}

// Page runs a page's queries: one for its rows, then one row by its key for each further query. n numbers the request; it moves the
// window, so that no two requests in a row ask for the same.
func Page(ctx context.Context, db *gorm.DB, queries int, n uint64) (list, looked []Item, err error) {
	db = db.WithContext(ctx)
	from := int64(n % (Rows - PageRows))
	if err := db.Where("id > ?", from).Order("id").Limit(PageRows).Find(&list).Error; err != nil {
		return nil, nil, fmt.Errorf("read the page's rows: %w", err)
	}
	for q := 1; q < queries; q++ {
		var one Item
		if err := db.First(&one, 1+(from+int64(q)*131)%Rows).Error; err != nil {
			return nil, nil, fmt.Errorf("read one row: %w", err)
		}
		looked = append(looked, one)
	}
	return list, looked, nil
}

// View is a row as the template sees it.
type View struct {
	ID        int64     `json:"id"`
	Title     string    `json:"title"`
	Note      string    `json:"note"`
	Owner     string    `json:"owner"`
	State     string    `json:"state"`
	Tone      string    `json:"tone"`
	Value     float64   `json:"value"`
	UpdatedAt time.Time `json:"updated_at"`
}

// ViewOf gives the row for the template.
func ViewOf(i *Item) View {
	tone := "off"
	switch i.State {
	case "online":
		tone = "good"
	case "updating":
		tone = "info"
	}
	return View{ID: i.ID, Title: i.Title, Note: i.Note, Owner: i.Owner, State: i.State, Tone: tone, Value: i.Value, UpdatedAt: i.UpdatedAt}
}

// Views gives rows for the template.
func Views(list []Item) []View {
	views := make([]View, len(list))
	for i := range list {
		views[i] = ViewOf(&list[i])
	}
	return views
}
