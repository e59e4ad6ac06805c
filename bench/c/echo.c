/*
 * An echo server, the back end of plain relays: what comes in goes out. It tells its ports, and for each line on
 * standard input what it has counted.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buffer.h"
#include "util.h"

enum { MAX_EVENTS = 512, READ_BYTES = 64 * 1024, ACCEPTS_A_TURN = 64 };

/* A tag is what kind of descriptor it is, and the descriptor. */
enum kind { LISTENER, CONNECTION, ASKED };

struct connection {
	/* What the client has not taken yet; it is not read from until it has. */
	struct buffer waiting;
};

static int epoll;
static struct connection *connections;
static size_t connection_limit;
static uint64_t accepted, closed, bytes_in, bytes_out;

static uint64_t tag(enum kind kind, int fd)
{
	return (uint64_t)kind << 32 | (uint32_t)fd;
}

static void accept_some(int listener)
{
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED)) return;
		if (fd < 0 || (size_t)fd >= connection_limit) die("accept");
		set_no_delay(fd);
		accepted++;
		watch(epoll, fd, EPOLLIN, tag(CONNECTION, fd));
	}
}

static void end(int fd)
{
	struct buffer *waiting = &connections[fd].waiting;
	waiting->start = waiting->end = 0;
	close(fd);
	closed++;
}

/* Sends, and gives how many bytes the kernel took; -1 when the connection has failed and was ended. */
static ssize_t send_some(int fd, const uint8_t *bytes, size_t length)
{
	ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
	if (sent >= 0) {
		bytes_out += (uint64_t)sent;
		return sent;
	}
	if (errno == EAGAIN) return 0;
	end(fd);
	return -1;
}

static void readable(int fd)
{
	static uint8_t bytes[READ_BYTES];
	ssize_t length = recv(fd, bytes, sizeof bytes, 0);
	if (length < 0 && errno == EAGAIN) return;
	if (length <= 0) {
		end(fd);
		return;
	}
	bytes_in += (uint64_t)length;
	ssize_t sent = send_some(fd, bytes, (size_t)length);
	if (sent < 0 || sent == length) return;
	buffer_append(&connections[fd].waiting, bytes + sent, (size_t)(length - sent));
	watch_again(epoll, fd, EPOLLOUT, tag(CONNECTION, fd));
}

static void writable(int fd)
{
	struct buffer *waiting = &connections[fd].waiting;
	ssize_t sent = send_some(fd, waiting->bytes + waiting->start, buffer_length(waiting));
	if (sent < 0) return;
	waiting->start += (size_t)sent;
	if (buffer_length(waiting) == 0) watch_again(epoll, fd, EPOLLIN, tag(CONNECTION, fd));
}

static void tell(void)
{
	printf("{\"open\":%" PRIu64 ",\"joins\":%" PRIu64 ",\"leaves\":%" PRIu64 ",\"bytesIn\":%" PRIu64
	       ",\"bytesOut\":%" PRIu64 "}\n",
	       accepted - closed, accepted, closed, bytes_in, bytes_out);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	raise_descriptor_limit();
	connection_limit = (size_t)sysconf(_SC_OPEN_MAX);
	connections = allocate(connection_limit, sizeof *connections);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	set_not_blocking(STDIN_FILENO);
	watch(epoll, STDIN_FILENO, EPOLLIN, tag(ASKED, STDIN_FILENO));
	uint64_t listeners = number_option(argc, argv, "listeners", 1);
	printf("{\"ports\":[");
	for (uint64_t i = 0; i < listeners; i++) {
		uint16_t port = 0;
		int fd = listen_tcp(&port, false);
		watch(epoll, fd, EPOLLIN, tag(LISTENER, fd));
		printf("%s%u", i == 0 ? "" : ",", port);
	}
	printf("]}\n");
	fflush(stdout);
	for (;;) {
		struct epoll_event events[MAX_EVENTS];
		int count = epoll_wait(epoll, events, MAX_EVENTS, -1);
		for (int i = 0; i < count; i++) {
			int fd = (int)(uint32_t)events[i].data.u64;
			enum kind kind = (enum kind)(events[i].data.u64 >> 32);
			if (kind == LISTENER) accept_some(fd);
			else if (kind == ASKED) {
				if (asked_on_stdin()) tell();
			} else if ((events[i].events & EPOLLOUT) != 0) writable(fd);
			else readable(fd);
		}
	}
}
