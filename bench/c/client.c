#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"
#include "tls.h"
#include "util.h"

enum {
	SCRATCH_BYTES = 64 * 1024,
	WS_MASK_BYTES = 4,
	WS_SMALL = 125,
	WS_BINARY = 0x82,
	WS_MASKED = 0x80,
	WS_LENGTH_16 = 126,
	WS_LENGTH_64 = 127,
	WS_CONTROL = 0x08,
};

static const uint8_t WS_MASK[WS_MASK_BYTES] = {0x5a, 0xc3, 0x17, 0x8e};

static const char UPGRADE[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2lkZWdhdGUgYmVuY2ggMQ==\r\n\r\n";
static const char UPGRADED[] = "HTTP/1.1 101";

static uint8_t scratch[SCRATCH_BYTES];

/* A message as it goes over the wire, but for its stamp, which stands at `stamp_offset`. */
static uint8_t *template;
static uint32_t wire_bytes, stamp_offset;

static uint32_t ws_header(uint8_t *header, uint32_t length)
{
	header[0] = WS_BINARY;
	if (length <= WS_SMALL) {
		header[1] = (uint8_t)(WS_MASKED | length);
		memcpy(header + 2, WS_MASK, WS_MASK_BYTES);
		return 2 + WS_MASK_BYTES;
	}
	header[1] = WS_MASKED | WS_LENGTH_16;
	header[2] = (uint8_t)(length >> 8);
	header[3] = (uint8_t)length;
	memcpy(header + 4, WS_MASK, WS_MASK_BYTES);
	return 4 + WS_MASK_BYTES;
}

static void ws_mask(uint8_t *bytes, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++) bytes[i] ^= WS_MASK[i % WS_MASK_BYTES];
}

void clients_prepare(struct clients *clients)
{
	uint32_t size = clients->message_bytes;
	if (size < STAMP_BYTES || size > SCRATCH_BYTES / 2) die("messages have %d to %d bytes", STAMP_BYTES, SCRATCH_BYTES / 2);
	template = allocate(1, size + 2 * STAMP_BYTES);
	if (clients->scheme == SCHEME_WS) stamp_offset = ws_header(template, size);
	wire_bytes = stamp_offset + size;
	memset(template + stamp_offset, 'x', size);
	if (clients->scheme == SCHEME_WS) ws_mask(template + stamp_offset, size);
	if (clients->scheme == SCHEME_TLS) tls_prepare();
}

static void watch_client(struct clients *clients, struct client *client, bool wants_write)
{
	if (client->wants_write == wants_write) return;
	client->wants_write = wants_write;
	watch_again(clients->epoll, client->fd, wants_write ? EPOLLIN | EPOLLOUT : EPOLLIN, client->index);
}

void client_connect(struct clients *clients, struct client *client, uint16_t port)
{
	uint32_t index = client->index;
	uint64_t *ring = client->sent_at_ns;
	*client = (struct client){.index = index, .sent_at_ns = ring, .state = CLIENT_CONNECTING, .wants_write = true};
	if (ring == NULL) client->sent_at_ns = allocate(clients->ring, sizeof *ring);
	client->fd = connect_tcp(port);
	watch(clients->epoll, client->fd, EPOLLIN | EPOLLOUT, index);
}

static _Noreturn void lost(const struct client *client, const char *when)
{
	die("client %u lost its connection %s, after %llu messages sent and %llu received", client->index, when,
	    (unsigned long long)client->sent, (unsigned long long)client->received);
}

/* How many bytes were read, 0 for none yet. */
static size_t read_some(struct client *client, uint8_t *bytes, size_t length)
{
	if (client->tls != NULL) {
		long got = tls_read(client->tls, bytes, length);
		if (got < 0) lost(client, "while it read");
		return (size_t)got;
	}
	ssize_t got = recv(client->fd, bytes, length, 0);
	if (got > 0) return (size_t)got;
	if (got < 0 && errno == EAGAIN) return 0;
	if (got == 0) errno = 0;
	lost(client, "while it read");
}

static size_t write_some(struct client *client, const uint8_t *bytes, size_t length)
{
	if (client->tls != NULL) {
		long taken = tls_write(client->tls, bytes, length);
		if (taken < 0) lost(client, "while it wrote");
		return (size_t)taken;
	}
	ssize_t taken = send(client->fd, bytes, length, MSG_NOSIGNAL);
	if (taken >= 0) return (size_t)taken;
	if (errno == EAGAIN) return 0;
	lost(client, "while it wrote");
}

static void connected(struct clients *clients, struct client *client)
{
	int error = 0;
	socklen_t length = sizeof error;
	getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	errno = error;
	if (error != 0) die("client %u could not connect", client->index);
	client->state = CLIENT_SHAKING_HANDS;
	if (clients->scheme == SCHEME_TLS) client->tls = tls_connect(client->fd);
	if (clients->scheme != SCHEME_WS) return;
	if (write_some(client, (const uint8_t *)UPGRADE, sizeof UPGRADE - 1) != sizeof UPGRADE - 1)
		die("client %u could not send its upgrade at once", client->index);
}

/* Reads the answer byte by byte, so that nothing of what follows it is taken. */
static bool upgraded(struct client *client)
{
	static const char end[] = "\r\n\r\n";
	uint8_t byte;
	/* How much of `end` was just read stands in the low bits, what was read before it in the others. */
	while (read_some(client, &byte, 1) == 1) {
		unsigned matched = client->upgrade_bytes & 3u, position = client->upgrade_bytes >> 2;
		errno = 0;
		if (position < sizeof UPGRADED - 1 && byte != UPGRADED[position])
			die("client %u was not upgraded to WebSocket", client->index);
		matched = byte == end[matched] ? matched + 1 : byte == end[0];
		if (matched == sizeof end - 1) return true;
		client->upgrade_bytes = (uint16_t)((position + 1) << 2 | matched);
	}
	return false;
}

bool client_advance(struct clients *clients, struct client *client)
{
	if (client->state == CLIENT_CONNECTING) connected(clients, client);
	if (clients->scheme == SCHEME_TLS) {
		int wanted = tls_shake_hands(client->tls);
		if (wanted < 0) lost(client, "during the TLS handshake");
		if (wanted > 0) {
			watch_client(clients, client, wanted == TLS_WANTS_WRITE);
			return false;
		}
	}
	watch_client(clients, client, false);
	if (clients->scheme == SCHEME_WS && !upgraded(client)) return false;
	client->state = CLIENT_GREETING;
	return true;
}

static void put_message(uint8_t *out, const struct client *client, uint64_t number)
{
	memcpy(out, template, wire_bytes);
	uint8_t stamp[STAMP_BYTES];
	write_u32(stamp, client->index);
	write_u32(stamp + 4, (uint32_t)number);
	if (stamp_offset > 0) ws_mask(stamp, sizeof stamp);
	memcpy(out + stamp_offset, stamp, sizeof stamp);
}

void client_send(struct clients *clients, struct client *client)
{
	while (client->sent < client->due) {
		uint64_t number = client->sent;
		size_t length = 0;
		while (number < client->due && length + wire_bytes <= SCRATCH_BYTES) {
			put_message(scratch + length, client, number++);
			length += wire_bytes;
		}
		length -= client->sent_bytes;
		size_t taken = write_some(client, scratch + client->sent_bytes, length);
		size_t through = client->sent_bytes + taken;
		client->sent += through / wire_bytes;
		client->sent_bytes = (uint32_t)(through % wire_bytes);
		clients->bytes_sent += through / wire_bytes * clients->message_bytes;
		if (taken < length) {
			watch_client(clients, client, true);
			return;
		}
	}
	watch_client(clients, client, false);
}

void client_send_raw(struct clients *clients, struct client *client, const uint8_t *bytes, uint32_t length)
{
	uint8_t message[WS_SMALL + 16];
	errno = 0;
	if (length > WS_SMALL) die("%u bytes are too many to send raw", length);
	uint32_t header = clients->scheme == SCHEME_WS ? ws_header(message, length) : 0;
	memcpy(message + header, bytes, length);
	if (header > 0) ws_mask(message + header, length);
	if (write_some(client, message, header + length) != header + length)
		die("client %u could not send at once", client->index);
	clients->bytes_sent += length;
}

void client_greet(struct clients *clients, struct client *client)
{
	static const uint8_t greeting = 0;
	if (clients->expectation == EXPECT_ECHO) client_send(clients, client);
	else client_send_raw(clients, client, &greeting, sizeof greeting);
}

static void check_stamp(struct clients *clients, struct client *client)
{
	uint32_t first = read_u32(client->stamp), second = read_u32(client->stamp + 4);
	errno = 0;
	if (clients->expectation == EXPECT_ECHO) {
		if (first != client->index || second != (uint32_t)client->received)
			die("client %u received message %u of client %u in the place of its own %u", client->index, second,
			    first, (uint32_t)client->received);
		return;
	}
	if (client->received > 0 && first != client->last_broadcast + 1)
		die("client %u received broadcast %u behind %u", client->index, first, client->last_broadcast);
	client->last_broadcast = first;
}

static void take_payload(struct clients *clients, struct client *client, const uint8_t *bytes, size_t length)
{
	uint32_t size = clients->message_bytes;
	if (clients->expectation == EXPECT_BROADCAST && client->state == CLIENT_GREETING && length > 0) {
		client->state = CLIENT_OPEN;
		bytes++;
		length--;
	}
	clients->bytes_received += length;
	while (length > 0) {
		uint32_t offset = (uint32_t)(client->received_bytes % size);
		size_t part = size - offset;
		if (part > length) part = length;
		if (offset < STAMP_BYTES) {
			size_t of_stamp = part < STAMP_BYTES - offset ? part : STAMP_BYTES - offset;
			memcpy(client->stamp + offset, bytes, of_stamp);
			if (offset + of_stamp == STAMP_BYTES) check_stamp(clients, client);
		}
		client->received_bytes += part;
		if (offset + part == size) client->received++;
		bytes += part;
		length -= part;
	}
	if (client->received > 0) client->state = CLIENT_OPEN;
}

/* Bytes of a server's frame's header, as far as its first `have` bytes tell. */
static uint8_t ws_header_length(const uint8_t *header, uint8_t have)
{
	if (have < 2) return 2;
	uint8_t length = header[1] & 0x7f;
	return length == WS_LENGTH_16 ? 4 : length == WS_LENGTH_64 ? 10 : 2;
}

static void ws_begin_frame(struct client *client)
{
	struct ws_reader *ws = &client->ws;
	uint8_t length = ws->header[1] & 0x7f;
	ws->remaining = length;
	if (length >= WS_LENGTH_16) {
		ws->remaining = 0;
		for (uint8_t i = 2; i < ws->header_bytes; i++) ws->remaining = ws->remaining << 8 | ws->header[i];
	}
	ws->control = (ws->header[0] & WS_CONTROL) != 0;
	errno = 0;
	if ((ws->header[0] & 0x0f) == 0x08) lost(client, "to a WebSocket close");
	if ((ws->header[1] & WS_MASKED) != 0) die("client %u received a masked frame", client->index);
	ws->header_bytes = 0;
}

/* A ping is not answered: a connection of the bench does not live long enough for it to matter. */
static void take_ws(struct clients *clients, struct client *client, const uint8_t *bytes, size_t length)
{
	struct ws_reader *ws = &client->ws;
	while (length > 0) {
		if (ws->remaining > 0) {
			size_t part = ws->remaining < length ? (size_t)ws->remaining : length;
			if (!ws->control) take_payload(clients, client, bytes, part);
			ws->remaining -= part;
			bytes += part;
			length -= part;
			continue;
		}
		ws->header[ws->header_bytes++] = *bytes++;
		length--;
		if (ws->header_bytes == ws_header_length(ws->header, ws->header_bytes)) ws_begin_frame(client);
	}
}

uint64_t client_receive(struct clients *clients, struct client *client)
{
	uint64_t before = client->received;
	size_t length;
	do {
		length = read_some(client, scratch, SCRATCH_BYTES);
		if (clients->scheme == SCHEME_WS) take_ws(clients, client, scratch, length);
		else take_payload(clients, client, scratch, length);
		/* What TLS holds already the kernel does not tell of. */
	} while (client->tls != NULL && length > 0 && tls_holds_more(client->tls));
	return client->received - before;
}

void client_close(struct client *client, bool reset)
{
	if (client->state == CLIENT_CLOSED) return;
	if (client->tls != NULL) tls_free(client->tls);
	client->tls = NULL;
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	if (reset) setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(client->fd);
	client->state = CLIENT_CLOSED;
}
