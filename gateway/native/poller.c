/*
 * Sockets are watched edge-triggered, for reading and writing at once, so that one epoll_ctl lasts for a socket's life:
 * who was not read, because it was paused or had more than one read takes, is looked at again when asked for.
 */

#include "poller.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	MAX_EVENTS = 512,
	/* A turn takes in no more new clients than this from a listener, so that the others are heard too. */
	MAX_ACCEPTS = 64,
};

/*
 * With one of these a read of less than was asked for is not all there is: an end or an error follows, or what lies behind
 * urgent data, at which a read stops.
 */
static const uint32_t MORE_THAN_DATA = EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI;

static const int KEEP_ALIVE_INTERVAL_S = 1, KEEP_ALIVE_PROBES = 10;

enum use { USE_NONE, USE_LISTENER, USE_CLIENT };

struct socket {
	/* Tells a socket from one that had its descriptor before. */
	uint32_t generation;
	uint8_t use;
	bool watched, paused, ended, wants_write;
};

/* The socket of a descriptor; NULL when it is not in that use here. */
static struct socket *find(struct poller *poller, int fd, enum use use)
{
	if (fd < 0 || (uint32_t)fd >= poller->socket_room) return NULL;
	struct socket *socket = &poller->sockets[fd];
	return socket->use == use ? socket : NULL;
}

static int adopt(struct poller *poller, int fd, enum use use)
{
	if ((uint32_t)fd >= poller->socket_room) {
		uint32_t room = poller->socket_room * 2 > (uint32_t)fd ? poller->socket_room * 2 : (uint32_t)fd + 1;
		struct socket *sockets = realloc(poller->sockets, room * sizeof *sockets);
		if (sockets == NULL) return -ENOMEM;
		memset(sockets + poller->socket_room, 0, (room - poller->socket_room) * sizeof *sockets);
		poller->sockets = sockets;
		poller->socket_room = room;
	}
	struct socket *socket = &poller->sockets[fd];
	*socket = (struct socket){.generation = socket->generation + 1, .use = (uint8_t)use};
	if (poller->open_count++ == 0) poller->in_use(poller, true);
	return 0;
}

/* Keeps a descriptor to be given up when there is no other. */
static void keep_spare(struct poller *poller)
{
	if (poller->spare < 0) poller->spare = fcntl(poller->epoll, F_DUPFD_CLOEXEC, 0);
}

static void discard(struct poller *poller, int fd)
{
	poller->sockets[fd].use = USE_NONE;
	close(fd);
	keep_spare(poller);
	if (--poller->open_count == 0) poller->in_use(poller, false);
}

/* Watches a socket, or looks at it again. */
static int watch(struct poller *poller, int fd, struct socket *socket)
{
	int operation = socket->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	struct epoll_event event = {
		.events = socket->use == USE_LISTENER ? EPOLLIN : EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
		.data.u64 = (uint64_t)socket->generation << 32 | (uint32_t)fd,
	};
	if (epoll_ctl(poller->epoll, operation, fd, &event) < 0) return -errno;
	socket->watched = true;
	return 0;
}

/* What is told. */

static void record(struct poller *poller, int fd, enum kind kind, int32_t first, int32_t second)
{
	poller->records[poller->record_count++] = (struct record){fd, kind, first, second};
}

static bool has_room(const struct poller *poller, uint32_t records)
{
	return poller->record_room - poller->record_count >= records &&
	       poller->memory_bytes - poller->memory_used >= READ_BYTES;
}

static void tell(struct poller *poller)
{
	if (poller->record_count > 0) poller->tell(poller);
	poller->record_count = 0;
	poller->memory_used = 0;
}

/* What the kernel says. */

/*
 * With no descriptor left, who waits is accepted with the one that is kept for this, and closed: its waiting would be
 * told again and again.
 */
static bool send_away(struct poller *poller, int listener)
{
	/* Somebody else may have been quicker the last time. */
	keep_spare(poller);
	if (poller->spare < 0) return false;
	close(poller->spare);
	poller->spare = -1;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) close(fd);
	keep_spare(poller);
	return fd >= 0;
}

/* Accepts who waits; no more than `most`, or than there is room for. */
static void accept_some(struct poller *poller, int listener, uint32_t most)
{
	for (uint32_t i = 0; i < most && poller->record_count < poller->record_room; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			int failed = adopt(poller, fd, USE_CLIENT);
			if (failed != 0) close(fd);
			record(poller, listener, KIND_ARRIVAL, failed == 0 ? fd : failed, 0);
		} else if (errno == EMFILE || errno == ENFILE) {
			if (!send_away(poller, listener)) return;
			record(poller, listener, KIND_ARRIVAL, -EMFILE, 0);
		} else if (errno == ECONNABORTED) {
			record(poller, listener, KIND_ARRIVAL, -ECONNABORTED, 0);
		} else if (errno != EINTR) {
			return;
		}
	}
}

/*
 * Reads what there is, once. What fills the read is looked at again, behind the others.
 *
 * @param to_end whether a read of less than was asked for may have left something
 */
static void read_client(struct poller *poller, int fd, struct socket *socket, bool to_end)
{
	for (;;) {
		ssize_t length = recv(fd, poller->memory + poller->memory_used, READ_BYTES, 0);
		if (length == 0) {
			socket->ended = true;
			record(poller, fd, KIND_END, 0, 0);
			return;
		}
		if (length < 0) {
			if (errno == EINTR) continue;
			if (errno != EAGAIN) record(poller, fd, KIND_ERROR, -errno, 0);
			return;
		}
		int32_t start = (int32_t)poller->memory_used;
		poller->memory_used += (size_t)length;
		record(poller, fd, KIND_DATA, start, (int32_t)poller->memory_used);
		if (length < READ_BYTES && !to_end) return;
		/* There is to be room for one more, and for what is told behind it. */
		if (length == READ_BYTES || !has_room(poller, 2)) {
			watch(poller, fd, socket);
			return;
		}
	}
}

/* A client that is paused is not read, but it does not go unnoticed. */
static void notice_end(struct poller *poller, int fd, uint32_t events)
{
	if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
		int error = 0;
		socklen_t length = sizeof error;
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
		record(poller, fd, KIND_ERROR, error == 0 ? -ECONNRESET : -error, 0);
	} else if ((events & EPOLLRDHUP) != 0) {
		record(poller, fd, KIND_ENDING, 0, 0);
	}
}

static void heard(struct poller *poller, const struct epoll_event *event)
{
	int fd = (int)(uint32_t)event->data.u64;
	uint32_t generation = (uint32_t)(event->data.u64 >> 32);
	struct socket *socket = find(poller, fd, USE_CLIENT);
	if (socket == NULL) {
		if (find(poller, fd, USE_LISTENER) != NULL) accept_some(poller, fd, MAX_ACCEPTS);
		return;
	}
	/* It was closed since, by what was told before. */
	if (socket->generation != generation) return;
	bool is_readable = (event->events & ~(uint32_t)EPOLLOUT) != 0 && !socket->paused && !socket->ended;
	if (is_readable) read_client(poller, fd, socket, (event->events & MORE_THAN_DATA) != 0);
	else if (socket->paused && !socket->ended) notice_end(poller, fd, event->events);
	/* Behind what it said: a send to one that is gone fails, and then nothing more is told of it. */
	if ((event->events & EPOLLOUT) != 0 && socket->wants_write) {
		socket->wants_write = false;
		record(poller, fd, KIND_WRITABLE, 0, 0);
	}
}

void poller_run(struct poller *poller)
{
	struct epoll_event ready[MAX_EVENTS];
	int count = epoll_wait(poller->epoll, ready, MAX_EVENTS, 0);
	for (int i = 0; i < count; i++) {
		if (!has_room(poller, RECORDS_PER_EVENT)) tell(poller);
		heard(poller, &ready[i]);
	}
	tell(poller);
}

/* What is asked for. */

int poller_begin(struct poller *poller)
{
	poller->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (poller->epoll < 0) return -errno;
	poller->spare = -1;
	keep_spare(poller);
	return 0;
}

void poller_end(struct poller *poller)
{
	for (uint32_t fd = 0; fd < poller->socket_room; fd++)
		if (poller->sockets[fd].use != USE_NONE) close((int)fd);
	free(poller->sockets);
	if (poller->spare >= 0) close(poller->spare);
	close(poller->epoll);
}

static int copy(struct poller *poller, int descriptor, enum use use)
{
	int fd = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) return -errno;
	int failed = adopt(poller, fd, use);
	if (failed == 0) return fd;
	close(fd);
	return failed;
}

int poller_copy(struct poller *poller, int fd)
{
	return copy(poller, fd, USE_CLIENT);
}

int poller_listen(struct poller *poller, int descriptor, int keep_alive_s)
{
	int fd = copy(poller, descriptor, USE_LISTENER);
	if (fd < 0) return fd;
	const int yes = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &keep_alive_s, sizeof keep_alive_s);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &KEEP_ALIVE_INTERVAL_S, sizeof KEEP_ALIVE_INTERVAL_S);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &KEEP_ALIVE_PROBES, sizeof KEEP_ALIVE_PROBES);
	int failed = watch(poller, fd, &poller->sockets[fd]);
	if (failed == 0) return fd;
	discard(poller, fd);
	return failed;
}

void poller_stop(struct poller *poller, int fd)
{
	const struct socket *socket = find(poller, fd, USE_LISTENER);
	if (socket == NULL) return;
	uint32_t generation = socket->generation;
	bool may_tell = poller->record_count == 0;
	if (may_tell) accept_some(poller, fd, UINT32_MAX);
	while (may_tell && poller->record_count == poller->record_room) {
		tell(poller);
		socket = find(poller, fd, USE_LISTENER);
		/* Whoever was told has stopped it, too. */
		if (socket == NULL || socket->generation != generation) return;
		accept_some(poller, fd, UINT32_MAX);
	}
	discard(poller, fd);
	if (may_tell) tell(poller);
}

bool poller_peer(struct poller *poller, int fd, char text[PEER_TEXT_BYTES])
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} peer;
	socklen_t length = sizeof peer;
	if (find(poller, fd, USE_CLIENT) == NULL || getpeername(fd, &peer.any, &length) < 0) return false;
	bool is_v6 = peer.any.sa_family == AF_INET6;
	const void *bytes = is_v6 ? (const void *)&peer.v6.sin6_addr : (const void *)&peer.v4.sin_addr;
	uint16_t port = ntohs(is_v6 ? peer.v6.sin6_port : peer.v4.sin_port);
	char address[INET6_ADDRSTRLEN];
	if (inet_ntop(peer.any.sa_family, bytes, address, sizeof address) == NULL) return false;
	snprintf(text, PEER_TEXT_BYTES, "%s %u", address, port);
	return true;
}

int poller_resume(struct poller *poller, int fd)
{
	struct socket *socket = find(poller, fd, USE_CLIENT);
	if (socket == NULL) return -EBADF;
	if (socket->watched && !socket->paused) return 0;
	socket->paused = false;
	return watch(poller, fd, socket);
}

void poller_pause(struct poller *poller, int fd)
{
	struct socket *socket = find(poller, fd, USE_CLIENT);
	if (socket == NULL) return;
	socket->paused = true;
	/* Its end is told of all the same. When this fails it is tried again by who resumes it. */
	if (!socket->watched) watch(poller, fd, socket);
}

int poller_send(struct poller *poller, int fd, const void *bytes, size_t length)
{
	struct socket *socket = find(poller, fd, USE_CLIENT);
	if (socket == NULL) return -EBADF;
	if (length > INT32_MAX) return -EMSGSIZE;
	ssize_t sent;
	do sent = send(fd, bytes, length, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno != EAGAIN) return -errno;
	if (sent < 0) sent = 0;
	if ((size_t)sent == length) return (int)sent;
	socket->wants_write = true;
	if (socket->watched) return (int)sent;
	/* It was never resumed: it is watched for this alone. */
	socket->paused = true;
	int failed = watch(poller, fd, socket);
	return failed < 0 ? failed : (int)sent;
}

int poller_shut_down(struct poller *poller, int fd)
{
	if (find(poller, fd, USE_CLIENT) == NULL) return -EBADF;
	return shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
}

void poller_close(struct poller *poller, int fd, bool resets)
{
	if (find(poller, fd, USE_CLIENT) == NULL) return;
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	if (resets) setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	discard(poller, fd);
}
