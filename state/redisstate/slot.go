package redisstate

import "strings"

// slots is how many a Cluster has.
const slots = 16384

// slotOf returns the slot of a key. All keys here have a tag.
func slotOf(key string) int {
	_, tag, _ := strings.Cut(key, "{")
	tag, _, _ = strings.Cut(tag, "}")
	crc := uint16(0) // CRC-16/XMODEM, as the Cluster's specification says
	for _, b := range []byte(tag) {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc % slots)
}
