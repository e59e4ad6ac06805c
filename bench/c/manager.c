/*
 * A manager (docs/protocol.md): it registers gateways, acknowledges those who leave, and answers everything that
 * one read brought in one write. Echoing, it sends each `Msg` back to who said it. Broadcasting, it takes each
 * byte that a client says for the order to send everybody 2^byte bytes; a byte of 0 is a greeting, and is echoed.
 *
 * It tells each gateway that listens, with its ports, and for each line on standard input what it has counted, and the
 * last heartbeat's body as it came, in hexadecimal digits.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "frame.h"
#include "util.h"

enum { MAX_LINKS = 16, MAX_EVENTS = 32, READ_BYTES = 256 * 1024, MAX_BROADCAST_BITS = 16 };

/* Numbered frames are acknowledged after so many bytes or frames, or so long after the first. */
enum { ACK_BYTES = 64 * 1024, ACK_FRAMES = 1024, ACK_MS = 100 };

/* A heartbeat that is longer is not told. */
enum { MAX_PING_BYTES = 16 * 1024 };

enum tags { ASKED = MAX_LINKS, LISTENER };

struct link {
	int fd;
	bool registered, stalled;
	struct buffer in, out;
	/* Numbered frames that were handled, those that were acknowledged, and what came since, from when on. */
	uint64_t handled, acknowledged;
	size_t owed_bytes;
	int64_t owed_since;
	/* By slot: the session that is there, 0 for none. */
	uint32_t *sessions;
};

static int epoll;
static struct link links[MAX_LINKS];
static unsigned link_count;
static uint64_t capacity, ping_ms;
static bool broadcasts_only;
static uint8_t last_ping[MAX_PING_BYTES];
static size_t last_ping_bytes;
static uint64_t joins, leaves, messages, empty, bytes_in, bytes_out, broadcasts, reads, writes;

static void reply_registered(struct link *link)
{
	uint8_t epoch[16];
	if (getrandom(epoch, sizeof epoch, 0) != sizeof epoch) die("getrandom");
	struct buffer *out = &link->out;
	size_t frame = begin_frame(out, TO_REGISTERED);
	put_map(out, 7);
	put_text(out, "id");
	put_number(out, (uint64_t)(link - links) + 1);
	put_text(out, "capacity");
	put_number(out, capacity);
	put_text(out, "epoch");
	put_bytes(out, epoch, sizeof epoch);
	put_text(out, "pingMs");
	put_number(out, ping_ms);
	put_text(out, "maxFrame");
	put_number(out, MAX_FRAME_BYTES);
	put_text(out, "resumed");
	put_false(out);
	put_text(out, "received");
	put_number(out, 0);
	end_frame(out, frame);
	link->registered = true;
}

static void keep_ping(struct value ping)
{
	last_ping_bytes = ping.length > sizeof last_ping ? 0 : ping.length;
	memcpy(last_ping, ping.bytes, last_ping_bytes);
}

static void reply_pong(struct link *link, struct value ping)
{
	struct value seq = map_get(ping, "seq"), at = map_get(ping, "at");
	struct buffer *out = &link->out;
	size_t frame = begin_frame(out, TO_PONG);
	put_map(out, 2);
	put_text(out, "seq");
	buffer_append(out, seq.bytes, seq.length);
	put_text(out, "at");
	buffer_append(out, at.bytes, at.length);
	end_frame(out, frame);
}

static void tell_listening(struct value body)
{
	struct value endpoints = map_get(body, "endpoints");
	unsigned count;
	struct value endpoint = array_entries(endpoints, &count);
	printf("{\"event\":\"listening\",\"ports\":[");
	for (unsigned i = 0; i < count; i++) {
		if (i > 0) endpoint = array_next(endpoint, endpoints);
		printf("%s%" PRIu64, i == 0 ? "" : ",", value_number(map_get(endpoint, "port")));
	}
	printf("]}\n");
	fflush(stdout);
}

static uint32_t *session_place(struct link *link, uint32_t session)
{
	uint32_t slot = session & ((1u << SLOT_BITS) - 1);
	errno = 0;
	if (!link->registered || slot >= capacity) die("the session %u is beyond the capacity", session);
	return &link->sessions[slot];
}

static void require_joined(struct link *link, uint32_t session)
{
	if (*session_place(link, session) != session) die("the session %u has not joined", session);
}

/* Broadcasts carry their number, by which clients see that none was lost. */
static void broadcast(struct link *link, unsigned bits)
{
	static uint8_t payload[1 << MAX_BROADCAST_BITS];
	errno = 0;
	if (bits > MAX_BROADCAST_BITS || bits < 2) die("a broadcast of 2^%u bytes is not known", bits);
	size_t length = (size_t)1 << bits;
	write_u32(payload, (uint32_t)++broadcasts);
	uint8_t *head = buffer_room(&link->out, HEADER_BYTES + length);
	write_u32(head, TO_MSG_ALL);
	write_u32(head + 4, (uint32_t)length);
	memcpy(head + HEADER_BYTES, payload, length);
	link->out.end += HEADER_BYTES + length;
	bytes_out += length;
}

/* Is not counted: those who count broadcasts do not count it either. */
static void greet(struct link *link, uint32_t session)
{
	static const uint8_t greeting = 0;
	append_session_header(&link->out, TO_MSG, session, sizeof greeting);
	buffer_append(&link->out, &greeting, sizeof greeting);
}

static void message(struct link *link, uint32_t session, const uint8_t *payload, size_t length)
{
	require_joined(link, session);
	messages++;
	if (length == 0) empty++;
	bytes_in += length;
	if (broadcasts_only) {
		for (size_t i = 0; i < length; i++) {
			if (payload[i] == 0) greet(link, session);
			else broadcast(link, payload[i]);
		}
		return;
	}
	append_session_header(&link->out, TO_MSG, session, length);
	buffer_append(&link->out, payload, length);
	bytes_out += length;
}

static void received(struct link *link, uint32_t type, const uint8_t *data, size_t length)
{
	errno = 0;
	bool of_session = type <= FROM_MSG;
	if (of_session && length < SESSION_BYTES) die("a frame of type %u has %zu bytes", type, length);
	uint32_t session = of_session ? read_u32(data) : 0;
	switch (type) {
	case FROM_CL_JOIN:
		if (*session_place(link, session) != 0) die("the slot of session %u is taken", session);
		*session_place(link, session) = session;
		joins++;
		return;
	case FROM_CL_DISCONNECTED:
		require_joined(link, session);
		*session_place(link, session) = 0;
		leaves++;
		append_session_header(&link->out, TO_DROP, session, 0);
		return;
	case FROM_MSG:
		message(link, session, data + SESSION_BYTES, length - SESSION_BYTES);
		return;
	case FROM_PING:
		keep_ping((struct value){data, length});
		reply_pong(link, (struct value){data, length});
		return;
	case FROM_REGISTER:
		reply_registered(link);
		return;
	case FROM_LISTENING:
		tell_listening((struct value){data, length});
		return;
	case FROM_DRAINING:
	case FROM_ACK:
		return;
	default:
		die("a gateway sends frames of type %u", type);
	}
}

static int64_t now_ms(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void count_handled(struct link *link, size_t length)
{
	if (link->handled == link->acknowledged) link->owed_since = now_ms();
	link->handled++;
	link->owed_bytes += HEADER_BYTES + length;
}

/* Appends what is owed, once it is time. */
static void acknowledge(struct link *link)
{
	if (link->handled == link->acknowledged) return;
	bool many = link->owed_bytes >= ACK_BYTES || link->handled - link->acknowledged >= ACK_FRAMES;
	if (!many && now_ms() - link->owed_since < ACK_MS) return;
	size_t frame = begin_frame(&link->out, TO_ACK);
	buffer_append(&link->out, &link->handled, sizeof link->handled);
	end_frame(&link->out, frame);
	link->acknowledged = link->handled;
	link->owed_bytes = 0;
}

static void end(struct link *link)
{
	close(link->fd);
	link->fd = -1;
}

static void send_out(struct link *link)
{
	size_t length = buffer_length(&link->out);
	if (length == 0 || link->fd < 0) return;
	ssize_t sent = send(link->fd, link->out.bytes + link->out.start, length, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN) {
		end(link);
		return;
	}
	writes++;
	if (sent > 0) link->out.start += (size_t)sent;
	bool stalled = buffer_length(&link->out) > 0;
	if (stalled == link->stalled) return;
	link->stalled = stalled;
	watch_again(epoll, link->fd, stalled ? EPOLLIN | EPOLLOUT : EPOLLIN, (uint64_t)(link - links));
}

static void readable(struct link *link)
{
	uint8_t *room = buffer_room(&link->in, READ_BYTES);
	ssize_t length = recv(link->fd, room, READ_BYTES, 0);
	if (length < 0 && errno == EAGAIN) return;
	if (length <= 0) {
		end(link);
		return;
	}
	reads++;
	link->in.end += (size_t)length;
	uint32_t type;
	const uint8_t *data;
	size_t data_length;
	while (next_frame(&link->in, &type, &data, &data_length)) {
		received(link, type, data, data_length);
		if (type <= FROM_MSG) count_handled(link, data_length);
	}
}

static void accept_link(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) return;
	if (link_count == MAX_LINKS) die("more than %d gateways", MAX_LINKS);
	struct link *link = &links[link_count++];
	link->fd = fd;
	link->sessions = allocate(capacity, sizeof *link->sessions);
	watch(epoll, fd, EPOLLIN, (uint64_t)(link - links));
}

static void tell(void)
{
	printf("{\"open\":%" PRIu64 ",\"joins\":%" PRIu64 ",\"leaves\":%" PRIu64 ",\"bytesIn\":%" PRIu64
	       ",\"bytesOut\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"empty\":%" PRIu64 ",\"broadcasts\":%" PRIu64 ",\"reads\":%" PRIu64
	       ",\"writes\":%" PRIu64 ",\"ping\":\"",
	       joins - leaves, joins, leaves, bytes_in, bytes_out, messages, empty, broadcasts, reads, writes);
	for (size_t i = 0; i < last_ping_bytes; i++) printf("%02x", last_ping[i]);
	printf("\"}\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *path = option(argc, argv, "listen", "");
	capacity = number_option(argc, argv, "capacity", 10000);
	ping_ms = number_option(argc, argv, "ping-ms", 5000);
	broadcasts_only = strcmp(option(argc, argv, "behaviour", "echo"), "broadcast") == 0;
	epoll = epoll_create1(EPOLL_CLOEXEC);
	int listener = listen_unix(path);
	watch(epoll, listener, EPOLLIN, LISTENER);
	set_not_blocking(STDIN_FILENO);
	watch(epoll, STDIN_FILENO, EPOLLIN, ASKED);
	puts("{\"event\":\"ready\"}");
	fflush(stdout);
	for (;;) {
		struct epoll_event events[MAX_EVENTS];
		int count = epoll_wait(epoll, events, MAX_EVENTS, ACK_MS);
		for (int i = 0; i < count; i++) {
			uint64_t tag = events[i].data.u64;
			if (tag == LISTENER) accept_link(listener);
			else if (tag == ASKED) {
				if (asked_on_stdin()) tell();
			} else {
				struct link *link = &links[tag];
				if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) readable(link);
				acknowledge(link);
				send_out(link);
			}
		}
		for (unsigned i = 0; count == 0 && i < link_count; i++) {
			if (links[i].fd < 0) continue;
			acknowledge(&links[i]);
			send_out(&links[i]);
		}
	}
}
