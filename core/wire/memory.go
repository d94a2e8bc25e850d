package wire

import (
	"bufio"
	"bytes"
	"strconv"
	"strings"
)

// parsePSS reads the proportional set size out of a smaps_rollup file, in bytes; 0 when it is not there.
func parsePSS(text []byte) int64 {
	scanner := bufio.NewScanner(bytes.NewReader(text))
	for scanner.Scan() {
		if rest, ok := strings.CutPrefix(scanner.Text(), "Pss:"); ok {
			fields := strings.Fields(rest)
			if len(fields) == 0 {
				return 0
			}
			kib, err := strconv.ParseInt(fields[0], 10, 64)
			if err != nil || kib < 0 {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}
