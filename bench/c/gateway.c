/*
 * A bare gateway: the framing and the batching of sidegate's, and nothing else: no timeouts, no half-close, no
 * log. What the machine can do at the most with a gateway of this kind, and so the measure of what sidegate adds.
 *
 * In one turn of its loop it reads what clients say into one batch of `Msg` frames, and writes that to the link
 * in one call; of what it reads from the link it writes to each client once, joined.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "frame.h"
#include "util.h"

enum {
	MAX_EVENTS = 512,
	MAX_LISTENERS = 16,
	CLIENT_READ_BYTES = 64 * 1024,
	LINK_READ_BYTES = 256 * 1024,
	ACCEPTS_A_TURN = 64,
	/* With more queued for the manager no client is read. */
	LINK_BUFFER_BYTES = 4 << 20,
	/* With more queued for it a client is cut. */
	CLIENT_BUFFER_BYTES = 1 << 20,
	MAX_JOINED = 64,
	NONE = -1,
};

enum kind { LISTENER, CLIENT, LINK, ASKED };

struct slot {
	int fd;
	uint32_t generation;
	bool in_use;
	/* What the kernel did not take yet. */
	struct buffer waiting;
	/* What this turn is to send: a chain of pieces. */
	int first_piece, last_piece;
};

/* A part of what was read from the link, for one client. */
struct piece {
	const uint8_t *bytes;
	size_t length;
	int next;
};

static int epoll, link_fd;
static struct slot *slots;
static uint32_t capacity, sessions;
/* A ring of the slots that are free. */
static uint32_t *free_ring, free_head, free_count;
static struct piece *pieces;
static size_t piece_count, piece_capacity;
static uint32_t *touched, touched_count;
static struct buffer to_link, from_link;
static int listeners[MAX_LISTENERS];
static uint16_t ports[MAX_LISTENERS];
static unsigned listener_count;
static uint64_t ping_ms, ping_due_ms, pings;

static uint64_t tag(enum kind kind, uint32_t what)
{
	return (uint64_t)kind << 32 | what;
}

static uint64_t wall_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint32_t session_of(uint32_t index)
{
	return slots[index].generation << SLOT_BITS | index;
}

static size_t begin_session_map(uint32_t type, uint32_t index, unsigned entries)
{
	size_t frame = begin_frame(&to_link, type);
	uint8_t session[SESSION_BYTES];
	write_u32(session, session_of(index));
	buffer_append(&to_link, session, sizeof session);
	put_map(&to_link, entries);
	return frame;
}

static void put_endpoints(void)
{
	put_text(&to_link, "endpoints");
	put_array(&to_link, listener_count);
	for (unsigned i = 0; i < listener_count; i++) {
		char name[16];
		snprintf(name, sizeof name, "%u", i);
		put_map(&to_link, 4);
		put_text(&to_link, "transport");
		put_text(&to_link, "tcp");
		put_text(&to_link, "host");
		put_text(&to_link, "127.0.0.1");
		put_text(&to_link, "port");
		put_number(&to_link, ports[i]);
		put_text(&to_link, "name");
		put_text(&to_link, name);
	}
}

static void append_register(const char *name)
{
	uint8_t nonce[16];
	if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce) die("getrandom");
	size_t frame = begin_frame(&to_link, FROM_REGISTER);
	put_map(&to_link, 6);
	put_text(&to_link, "version");
	put_number(&to_link, 1);
	put_text(&to_link, "name");
	put_text(&to_link, name);
	put_text(&to_link, "pid");
	put_number(&to_link, (uint64_t)getpid());
	put_endpoints();
	put_text(&to_link, "maxFrame");
	put_number(&to_link, MAX_FRAME_BYTES);
	put_text(&to_link, "nonce");
	put_bytes(&to_link, nonce, sizeof nonce);
	end_frame(&to_link, frame);
}

static void append_listening(void)
{
	size_t frame = begin_frame(&to_link, FROM_LISTENING);
	put_map(&to_link, 1);
	put_endpoints();
	end_frame(&to_link, frame);
}

static void append_ping(void)
{
	size_t frame = begin_frame(&to_link, FROM_PING);
	put_map(&to_link, 4);
	put_text(&to_link, "seq");
	put_number(&to_link, ++pings);
	put_text(&to_link, "at");
	put_number(&to_link, wall_ms());
	put_text(&to_link, "sessions");
	put_number(&to_link, sessions);
	put_text(&to_link, "capacity");
	put_number(&to_link, capacity);
	end_frame(&to_link, frame);
}

static void append_join(uint32_t index, const struct sockaddr_in *from)
{
	char address[INET_ADDRSTRLEN];
	inet_ntop(AF_INET, &from->sin_addr, address, sizeof address);
	size_t frame = begin_session_map(FROM_CL_JOIN, index, 5);
	put_text(&to_link, "addr");
	put_text(&to_link, address);
	put_text(&to_link, "port");
	put_number(&to_link, ntohs(from->sin_port));
	put_text(&to_link, "transport");
	put_text(&to_link, "tcp");
	put_text(&to_link, "listener");
	put_text(&to_link, "0");
	put_text(&to_link, "at");
	put_number(&to_link, wall_ms());
	end_frame(&to_link, frame);
}

static void append_disconnected(uint32_t index, const char *reason)
{
	static const char *const counts[] = {"inBytes", "outBytes", "inMsgs", "outMsgs", "unsentBytes", "ms"};
	size_t frame = begin_session_map(FROM_CL_DISCONNECTED, index, 8);
	put_text(&to_link, "reason");
	put_text(&to_link, reason);
	put_text(&to_link, "by");
	put_text(&to_link, "client");
	for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++) {
		put_text(&to_link, counts[i]);
		put_number(&to_link, 0);
	}
	end_frame(&to_link, frame);
}

static void free_slot(uint32_t index)
{
	free_ring[(free_head + free_count++) % capacity] = index;
}

static void accept_some(int listener)
{
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		struct sockaddr_in from;
		socklen_t length = sizeof from;
		int fd = accept4(listener, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED)) return;
		if (fd < 0) die("accept");
		if (free_count == 0) {
			close(fd);
			continue;
		}
		set_no_delay(fd);
		uint32_t index = free_ring[free_head];
		free_head = (free_head + 1) % capacity;
		free_count--;
		struct slot *slot = &slots[index];
		slot->fd = fd;
		slot->generation = slot->generation % MAX_GENERATION + 1;
		slot->in_use = true;
		slot->first_piece = NONE;
		sessions++;
		append_join(index, &from);
		watch(epoll, fd, EPOLLIN, tag(CLIENT, index));
	}
}

/* The slot stays taken until the manager has acknowledged. */
static void end_client(uint32_t index, const char *reason)
{
	struct slot *slot = &slots[index];
	if (!slot->in_use) return;
	slot->in_use = false;
	slot->waiting.start = slot->waiting.end = 0;
	close(slot->fd);
	sessions--;
	append_disconnected(index, reason);
}

static void read_client(uint32_t index)
{
	struct slot *slot = &slots[index];
	if (!slot->in_use) return;
	/* Read to where the frame's payload goes, so that there is no copy. */
	size_t head = HEADER_BYTES + SESSION_BYTES;
	uint8_t *frame = buffer_room(&to_link, head + CLIENT_READ_BYTES);
	ssize_t length = recv(slot->fd, frame + head, CLIENT_READ_BYTES, 0);
	if (length < 0 && errno == EAGAIN) return;
	if (length <= 0) {
		end_client(index, length == 0 ? "client-closed" : "client-reset");
		return;
	}
	append_session_header(&to_link, FROM_MSG, session_of(index), (size_t)length);
	to_link.end += (size_t)length;
}

static void keep_waiting(uint32_t index, const uint8_t *bytes, size_t length)
{
	struct slot *slot = &slots[index];
	if (buffer_length(&slot->waiting) == 0) watch_again(epoll, slot->fd, EPOLLIN | EPOLLOUT, tag(CLIENT, index));
	buffer_append(&slot->waiting, bytes, length);
	if (buffer_length(&slot->waiting) > CLIENT_BUFFER_BYTES) end_client(index, "slow-consumer");
}

static void client_writable(uint32_t index)
{
	struct slot *slot = &slots[index];
	struct buffer *waiting = &slot->waiting;
	if (!slot->in_use || buffer_length(waiting) == 0) return;
	ssize_t sent = send(slot->fd, waiting->bytes + waiting->start, buffer_length(waiting), MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN) {
		end_client(index, "client-reset");
		return;
	}
	if (sent > 0) waiting->start += (size_t)sent;
	if (buffer_length(waiting) == 0) watch_again(epoll, slot->fd, EPOLLIN, tag(CLIENT, index));
}

/* Notes that a client is to get these bytes at the end of the turn. */
static void add_piece(uint32_t index, const uint8_t *bytes, size_t length)
{
	struct slot *slot = &slots[index];
	if (piece_count == piece_capacity) {
		piece_capacity = 2 * piece_capacity + 1024;
		pieces = realloc(pieces, piece_capacity * sizeof *pieces);
		if (pieces == NULL) die("out of memory");
	}
	int piece = (int)piece_count++;
	pieces[piece] = (struct piece){bytes, length, NONE};
	if (slot->first_piece == NONE) {
		slot->first_piece = piece;
		touched[touched_count++] = index;
	} else {
		pieces[slot->last_piece].next = piece;
	}
	slot->last_piece = piece;
}

/* Sends up to MAX_JOINED pieces, from `piece` on, in one call; gives the piece behind them. */
static int send_joined(uint32_t index, int piece)
{
	struct slot *slot = &slots[index];
	struct iovec parts[MAX_JOINED];
	int count = 0;
	for (; piece != NONE && count < MAX_JOINED; piece = pieces[piece].next)
		parts[count++] = (struct iovec){(void *)pieces[piece].bytes, pieces[piece].length};
	ssize_t sent = 0;
	if (buffer_length(&slot->waiting) == 0) {
		struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
		sent = count == 1 ? send(slot->fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL)
		                  : sendmsg(slot->fd, &message, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN) {
			end_client(index, "client-reset");
			return NONE;
		}
		if (sent < 0) sent = 0;
	}
	size_t taken = (size_t)sent;
	for (int i = 0; i < count && slot->in_use; i++) {
		size_t skipped = taken < parts[i].iov_len ? taken : parts[i].iov_len;
		taken -= skipped;
		if (skipped < parts[i].iov_len)
			keep_waiting(index, (uint8_t *)parts[i].iov_base + skipped, parts[i].iov_len - skipped);
	}
	return slot->in_use ? piece : NONE;
}

static void send_pieces(void)
{
	for (uint32_t i = 0; i < touched_count; i++) {
		uint32_t index = touched[i];
		int piece = slots[index].in_use ? slots[index].first_piece : NONE;
		while (piece != NONE) piece = send_joined(index, piece);
		slots[index].first_piece = NONE;
	}
	touched_count = 0;
	piece_count = 0;
}

static void registered(struct value body)
{
	errno = 0;
	if (capacity != 0) die("registered twice");
	capacity = (uint32_t)value_number(map_get(body, "capacity"));
	ping_ms = value_number(map_get(body, "pingMs"));
	ping_due_ms = now_ns() / 1000000 + ping_ms;
	slots = allocate(capacity, sizeof *slots);
	free_ring = allocate(capacity, sizeof *free_ring);
	touched = allocate(capacity, sizeof *touched);
	for (uint32_t i = 0; i < capacity; i++) free_slot(i);
	for (unsigned i = 0; i < listener_count; i++) watch(epoll, listeners[i], EPOLLIN, tag(LISTENER, i));
	append_listening();
}

/* The slot that a session from the manager means, or NONE when it is gone. */
static int64_t find(const uint8_t *data, size_t length)
{
	errno = 0;
	if (length < SESSION_BYTES) die("a frame from the manager is too short");
	uint32_t session = read_u32(data);
	uint32_t index = session & ((1u << SLOT_BITS) - 1);
	return index < capacity && session_of(index) == session ? (int64_t)index : NONE;
}

static void from_manager(uint32_t type, const uint8_t *data, size_t length)
{
	int64_t found;
	switch (type) {
	case TO_MSG:
		found = find(data, length);
		if (found != NONE && slots[found].in_use)
			add_piece((uint32_t)found, data + SESSION_BYTES, length - SESSION_BYTES);
		return;
	case TO_MSG_ALL:
		for (uint32_t i = 0; i < capacity; i++)
			if (slots[i].in_use) add_piece(i, data, length);
		return;
	case TO_DROP:
	case TO_DROP_DISCARD:
		found = find(data, length);
		errno = 0;
		if (found == NONE || slots[found].in_use) die("the bare gateway knows a drop only as an acknowledgement");
		free_slot((uint32_t)found);
		return;
	case TO_REGISTERED:
		registered((struct value){data, length});
		return;
	case TO_PONG:
	case TO_ACK:
		return;
	default:
		die("the bare gateway does not know frames of type %u", type);
	}
}

static void read_link(void)
{
	uint8_t *room = buffer_room(&from_link, LINK_READ_BYTES);
	ssize_t length = recv(link_fd, room, LINK_READ_BYTES, MSG_DONTWAIT);
	if (length < 0 && errno == EAGAIN) return;
	if (length <= 0) exit(0);
	from_link.end += (size_t)length;
	uint32_t type;
	const uint8_t *data;
	size_t data_length;
	while (next_frame(&from_link, &type, &data, &data_length)) from_manager(type, data, data_length);
	send_pieces();
}

/* One write a turn; while too much is left of it, nothing else is done than to speak with the manager. */
static void flush_link(void)
{
	while (buffer_length(&to_link) > 0) {
		ssize_t sent =
			send(link_fd, to_link.bytes + to_link.start, buffer_length(&to_link), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno != EAGAIN) exit(0);
		if (sent > 0) to_link.start += (size_t)sent;
		if (buffer_length(&to_link) <= LINK_BUFFER_BYTES) break;
		struct pollfd both = {.fd = link_fd, .events = POLLIN | POLLOUT};
		poll(&both, 1, -1);
		if ((both.revents & POLLIN) != 0) read_link();
	}
	static bool stalled;
	bool now_stalled = buffer_length(&to_link) > 0;
	if (now_stalled == stalled) return;
	stalled = now_stalled;
	watch_again(epoll, link_fd, stalled ? EPOLLIN | EPOLLOUT : EPOLLIN, tag(LINK, 0));
}

static int until_ping_ms(void)
{
	if (capacity == 0) return -1;
	uint64_t now = now_ns() / 1000000;
	if (now >= ping_due_ms) {
		append_ping();
		flush_link();
		ping_due_ms = now + ping_ms;
	}
	return (int)(ping_due_ms - now);
}

static void dispatch(const struct epoll_event *event)
{
	enum kind kind = (enum kind)(event->data.u64 >> 32);
	uint32_t what = (uint32_t)event->data.u64;
	if (kind == CLIENT) {
		if ((event->events & EPOLLOUT) != 0) client_writable(what);
		if ((event->events & ~(uint32_t)EPOLLOUT) != 0) read_client(what);
	} else if (kind == LINK) {
		if ((event->events & ~(uint32_t)EPOLLOUT) != 0) read_link();
	} else if (kind == LISTENER) {
		accept_some(listeners[what]);
	} else {
		asked_on_stdin();
	}
}

int main(int argc, char **argv)
{
	raise_descriptor_limit();
	epoll = epoll_create1(EPOLL_CLOEXEC);
	listener_count = (unsigned)number_option(argc, argv, "listeners", 1);
	uint16_t port = (uint16_t)number_option(argc, argv, "port", 0);
	bool reuse_port = number_option(argc, argv, "reuse-port", 0) != 0;
	if (listener_count > MAX_LISTENERS) die("at most %d listeners", MAX_LISTENERS);
	for (unsigned i = 0; i < listener_count; i++) {
		ports[i] = i == 0 ? port : 0;
		listeners[i] = listen_tcp(&ports[i], reuse_port);
	}
	link_fd = connect_unix(option(argc, argv, "manager", ""));
	watch(epoll, link_fd, EPOLLIN, tag(LINK, 0));
	set_not_blocking(STDIN_FILENO);
	watch(epoll, STDIN_FILENO, EPOLLIN, tag(ASKED, 0));
	append_register(option(argc, argv, "name", "bare"));
	flush_link();
	for (;;) {
		struct epoll_event events[MAX_EVENTS];
		int count = epoll_wait(epoll, events, MAX_EVENTS, until_ping_ms());
		for (int i = 0; i < count; i++) dispatch(&events[i]);
		flush_link();
	}
}
