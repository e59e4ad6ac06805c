#include "frame.h"

#include <errno.h>

size_t begin_frame(struct buffer *out, uint32_t type)
{
	uint8_t header[HEADER_BYTES] = {0};
	write_u32(header, type);
	/* Where the frame lies is told from the start of what is in the buffer, which may move. */
	size_t place = buffer_length(out);
	buffer_append(out, header, sizeof header);
	return place;
}

void end_frame(struct buffer *out, size_t place)
{
	uint8_t *header = out->bytes + out->start + place;
	write_u32(header + 4, (uint32_t)(buffer_length(out) - place - HEADER_BYTES));
}

bool next_frame(struct buffer *in, uint32_t *type, const uint8_t **data, size_t *length)
{
	size_t have = buffer_length(in);
	if (have < HEADER_BYTES) return false;
	const uint8_t *header = in->bytes + in->start;
	*type = read_u32(header);
	*length = read_u32(header + 4);
	errno = 0;
	if (*length > MAX_FRAME_BYTES) die("a frame of type %u announces %zu bytes", *type, *length);
	if (have < HEADER_BYTES + *length) return false;
	*data = header + HEADER_BYTES;
	in->start += HEADER_BYTES + *length;
	return true;
}

static void put_byte(struct buffer *out, unsigned value)
{
	uint8_t byte = (uint8_t)value;
	buffer_append(out, &byte, 1);
}

static void put_big_endian(struct buffer *out, uint64_t value, unsigned length)
{
	while (length-- > 0) put_byte(out, (unsigned)(value >> (8 * length)));
}

void put_map(struct buffer *out, unsigned entries)
{
	put_byte(out, 0x80 | entries);
}

void put_array(struct buffer *out, unsigned entries)
{
	put_byte(out, 0xdc);
	put_big_endian(out, entries, 2);
}

void put_text(struct buffer *out, const char *text)
{
	size_t length = strlen(text);
	put_byte(out, 0xd9);
	put_byte(out, (unsigned)length);
	buffer_append(out, text, length);
}

void put_number(struct buffer *out, uint64_t value)
{
	if (value < 128) {
		put_byte(out, (unsigned)value);
	} else if (value <= UINT32_MAX) {
		put_byte(out, 0xce);
		put_big_endian(out, value, 4);
	} else {
		/* As a gateway does it: above 32 bits as a float64. */
		double real = (double)value;
		uint64_t bits;
		memcpy(&bits, &real, sizeof bits);
		put_byte(out, 0xcb);
		put_big_endian(out, bits, 8);
	}
}

void put_bytes(struct buffer *out, const uint8_t *bytes, unsigned length)
{
	put_byte(out, 0xc4);
	put_byte(out, length);
	buffer_append(out, bytes, length);
}

void put_false(struct buffer *out)
{
	put_byte(out, 0xc2);
}

static uint64_t big_endian(const uint8_t *bytes, size_t length)
{
	uint64_t value = 0;
	for (size_t i = 0; i < length; i++) value = value << 8 | bytes[i];
	return value;
}

/* What a value's first bytes say of it. */
struct head {
	/* Bytes of the head, of what is directly behind it, and values that follow as its own. */
	size_t bytes, body, children;
};

static struct head read_head(struct value value)
{
	errno = 0;
	if (value.length == 0) die("a map is cut off");
	uint8_t first = value.bytes[0];
	if (first <= 0x7f || first >= 0xe0 || first == 0xc0 || first == 0xc2 || first == 0xc3)
		return (struct head){1, 0, 0};
	if (first <= 0x8f) return (struct head){1, 0, 2 * (first & 15u)};
	if (first <= 0x9f) return (struct head){1, 0, first & 15u};
	if (first <= 0xbf) return (struct head){1, first & 31u, 0};
	/* By the first byte, from 0xc4: bytes of the length that follows; or, negative, of the body itself. */
	static const int8_t sizes[0xe0 - 0xc4] = {
		[0xc4 - 0xc4] = 1,  [0xc5 - 0xc4] = 2,  [0xc6 - 0xc4] = 4,  [0xca - 0xc4] = -4, [0xcb - 0xc4] = -8,
		[0xcc - 0xc4] = -1, [0xcd - 0xc4] = -2, [0xce - 0xc4] = -4, [0xcf - 0xc4] = -8, [0xd0 - 0xc4] = -1,
		[0xd1 - 0xc4] = -2, [0xd2 - 0xc4] = -4, [0xd3 - 0xc4] = -8, [0xd9 - 0xc4] = 1,  [0xda - 0xc4] = 2,
		[0xdb - 0xc4] = 4,  [0xdc - 0xc4] = 2,  [0xdd - 0xc4] = 4,  [0xde - 0xc4] = 2,  [0xdf - 0xc4] = 4,
	};
	int size = first < 0xc4 ? 0 : sizes[first - 0xc4];
	if (size < 0) return (struct head){1, (size_t)-size, 0};
	if (size == 0 || value.length < 1 + (size_t)size) die("a map holds what is not plain: 0x%02x", first);
	size_t count = big_endian(value.bytes + 1, (size_t)size);
	if (first <= 0xdb) return (struct head){1 + (size_t)size, count, 0};
	return (struct head){1 + (size_t)size, 0, first <= 0xdd ? count : 2 * count};
}

/* The value that `rest` begins with. */
static struct value first_value(struct value rest)
{
	size_t length = 0;
	for (size_t wanted = 1; wanted > 0; wanted--) {
		struct head head = read_head((struct value){rest.bytes + length, rest.length - length});
		length += head.bytes + head.body;
		wanted += head.children;
		if (length > rest.length) die("a map is cut off");
	}
	return (struct value){rest.bytes, length};
}

static struct value behind(struct value value, struct value all)
{
	const uint8_t *next = value.bytes + value.length;
	return (struct value){next, (size_t)(all.bytes + all.length - next)};
}

struct value map_get(struct value map, const char *key)
{
	struct head head = read_head(map);
	struct value rest = {map.bytes + head.bytes, map.length - head.bytes};
	for (size_t i = 0; i < head.children; i += 2) {
		struct value name = first_value(rest);
		struct value value = first_value(behind(name, map));
		size_t skipped = read_head(name).bytes;
		size_t length = name.length - skipped;
		if (length == strlen(key) && memcmp(name.bytes + skipped, key, length) == 0) return value;
		rest = behind(value, map);
	}
	die("a map has no '%s'", key);
}

struct value array_entries(struct value array, unsigned *count)
{
	struct head head = read_head(array);
	*count = (unsigned)head.children;
	struct value rest = {array.bytes + head.bytes, array.length - head.bytes};
	return head.children == 0 ? rest : first_value(rest);
}

struct value array_next(struct value entry, struct value array)
{
	return first_value(behind(entry, array));
}

uint64_t value_number(struct value value)
{
	uint8_t first = value.bytes[0];
	if (first <= 0x7f) return first;
	uint64_t bits = big_endian(value.bytes + 1, value.length - 1);
	if (first >= 0xcc && first <= 0xcf) return bits;
	errno = 0;
	if (first != 0xcb) die("a number was wanted, not 0x%02x", first);
	double real;
	memcpy(&real, &bits, sizeof real);
	return (uint64_t)real;
}

void value_text(struct value value, char *out, size_t size)
{
	size_t skipped = read_head(value).bytes;
	size_t length = value.length - skipped;
	if (length >= size) length = size - 1;
	memcpy(out, value.bytes + skipped, length);
	out[length] = '\0';
}
