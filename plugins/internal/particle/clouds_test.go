package particle_test

import (
	"testing"

	"mortise/plugins/internal/particle"
)

func TestClouds_KeepOneClientForEachAddress(t *testing.T) {
	t.Parallel()
	var clouds particle.Clouds
	defer clouds.Close()
	one, err := clouds.Of(particle.Options{BaseURL: "https://api.particle.io"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := clouds.Of(particle.Options{BaseURL: "https://api.particle.io"})
	if err != nil || again != one {
		t.Errorf("the same address gave another client, %v", err)
	}
	other, err := clouds.Of(particle.Options{BaseURL: "https://cloud.example.com"})
	if err != nil || other == one {
		t.Errorf("another address gave the same client, %v", err)
	}
	if _, err := clouds.Of(particle.Options{BaseURL: "not an address"}); err == nil {
		t.Error("a client for no address was made")
	}
}
