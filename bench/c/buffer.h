/* Bytes that grow at the end and are taken from the front. */

#ifndef BUFFER_H
#define BUFFER_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

struct buffer {
	uint8_t *bytes;
	/* What is in it: bytes[start..end). */
	size_t start, end, capacity;
};

static inline size_t buffer_length(const struct buffer *buffer)
{
	return buffer->end - buffer->start;
}

/* Makes room for `length` more bytes, and says where they go; buffer->end is then the caller's to move. */
static inline uint8_t *buffer_room(struct buffer *buffer, size_t length)
{
	if (buffer->start == buffer->end) buffer->start = buffer->end = 0;
	if (buffer->capacity - buffer->end < length && buffer->start > 0) {
		memmove(buffer->bytes, buffer->bytes + buffer->start, buffer_length(buffer));
		buffer->end -= buffer->start;
		buffer->start = 0;
	}
	if (buffer->capacity - buffer->end < length) {
		buffer->capacity = 2 * (buffer->end + length);
		buffer->bytes = realloc(buffer->bytes, buffer->capacity);
		if (buffer->bytes == NULL) die("out of memory");
	}
	return buffer->bytes + buffer->end;
}

static inline void buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
	memcpy(buffer_room(buffer, length), bytes, length);
	buffer->end += length;
}

#endif
