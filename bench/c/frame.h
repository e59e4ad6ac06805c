/* The manager link (docs/protocol.md): frames, and as much of MessagePack as its maps need. */

#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "buffer.h"

enum {
	HEADER_BYTES = 8,
	SESSION_BYTES = 4,
	MAX_FRAME_BYTES = 1 << 20,
	SLOT_BITS = 20,
	MAX_GENERATION = 4095,
};

enum from_gateway {
	FROM_CL_JOIN = 0,
	FROM_CL_DISCONNECTED = 1,
	FROM_MSG = 2,
	FROM_PING = 3,
	FROM_REGISTER = 16,
	FROM_LISTENING = 18,
	FROM_ACK = 19,
	FROM_DRAINING = 20,
};

enum from_manager {
	TO_MSG = 0,
	TO_MSG_ALL = 1,
	TO_DROP = 2,
	TO_DROP_DISCARD = 3,
	TO_SHUTDOWN = 4,
	TO_REGISTERED = 16,
	TO_REJECTED = 17,
	TO_ACK = 19,
	TO_PONG = 20,
};

/* The machines that this runs on are little-endian, as is the wire. */
static inline uint32_t read_u32(const uint8_t *bytes)
{
	uint32_t value;
	memcpy(&value, bytes, sizeof value);
	return value;
}

static inline void write_u32(uint8_t *bytes, uint32_t value)
{
	memcpy(bytes, &value, sizeof value);
}

/* Appends a frame's header, and the session behind it; `length` bytes of payload are to follow. */
static inline void append_session_header(struct buffer *out, uint32_t type, uint32_t session, size_t length)
{
	uint8_t *head = buffer_room(out, HEADER_BYTES + SESSION_BYTES + length);
	write_u32(head, type);
	write_u32(head + 4, (uint32_t)(SESSION_BYTES + length));
	write_u32(head + 8, session);
	out->end += HEADER_BYTES + SESSION_BYTES;
}

/* Appends a frame's header whose length is not known yet; gives its place for `end_frame`. */
size_t begin_frame(struct buffer *out, uint32_t type);
void end_frame(struct buffer *out, size_t place);

/*
 * The next whole frame in `in`, as `*type`, `*data` and `*length`, and takes it out; false when more bytes are
 * needed. `data` is good until `in` is added to.
 */
bool next_frame(struct buffer *in, uint32_t *type, const uint8_t **data, size_t *length);

void put_map(struct buffer *out, unsigned entries);
void put_array(struct buffer *out, unsigned entries);
void put_text(struct buffer *out, const char *text);
void put_number(struct buffer *out, uint64_t value);
void put_bytes(struct buffer *out, const uint8_t *bytes, unsigned length);
void put_false(struct buffer *out);

/* One encoded value. */
struct value {
	const uint8_t *bytes;
	size_t length;
};

/* The value of `key` in the map that fills `map`; ends the program when there is none. */
struct value map_get(struct value map, const char *key);
/* The entries of an array: the first one, and how many; the next one stands right behind it. */
struct value array_entries(struct value array, unsigned *count);
struct value array_next(struct value entry, struct value array);
uint64_t value_number(struct value value);
/* Copies text into `out`, of `size` bytes, cut where it does not fit. */
void value_text(struct value value, char *out, size_t size);

#endif
