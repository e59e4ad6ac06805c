#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

_Noreturn void die(const char *format, ...)
{
	int error = errno;
	va_list arguments;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	if (error != 0) fprintf(stderr, " (%s)", strerror(error));
	fputc('\n', stderr);
	exit(1);
}

void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);
	if (memory == NULL) die("out of memory");
	return memory;
}

uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

const char *option(int argc, char **argv, const char *name, const char *fallback)
{
	for (int i = 1; i + 1 < argc; i += 2)
		if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, name) == 0) return argv[i + 1];
	return fallback;
}

uint64_t number_option(int argc, char **argv, const char *name, uint64_t fallback)
{
	const char *text = option(argc, argv, name, NULL);
	if (text == NULL) return fallback;
	char *end;
	uint64_t value = strtoull(text, &end, 10);
	errno = 0;
	if (*text == '\0' || *end != '\0') die("--%s wants a whole number, not '%s'", name, text);
	return value;
}

void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) die("getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0) die("setrlimit");
}

static struct sockaddr_in loopback(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static struct sockaddr_un unix_address(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path) die("the path %s is too long for a socket", path);
	strcpy(address.sun_path, path);
	return address;
}

int listen_tcp(uint16_t *port, bool reuse_port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) die("socket");
	int on = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (reuse_port) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	struct sockaddr_in address = loopback(*port);
	socklen_t length = sizeof address;
	if (bind(fd, (struct sockaddr *)&address, length) != 0) die("bind to port %u", *port);
	if (listen(fd, BACKLOG) != 0) die("listen");
	if (getsockname(fd, (struct sockaddr *)&address, &length) != 0) die("getsockname");
	*port = ntohs(address.sin_port);
	return fd;
}

int connect_tcp(uint16_t port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) die("socket");
	set_no_delay(fd);
	struct sockaddr_in address = loopback(port);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS)
		die("connect to port %u", port);
	return fd;
}

int listen_unix(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) die("socket");
	struct sockaddr_un address = unix_address(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) die("bind to %s", path);
	if (listen(fd, BACKLOG) != 0) die("listen");
	return fd;
}

int connect_unix(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) die("socket");
	struct sockaddr_un address = unix_address(path);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("connect to %s", path);
	return fd;
}

void set_not_blocking(int fd)
{
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) die("fcntl");
}

void set_no_delay(int fd)
{
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void watch(int epoll, int fd, uint32_t events, uint64_t tag)
{
	struct epoll_event event = {.events = events, .data.u64 = tag};
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

void watch_again(int epoll, int fd, uint32_t events, uint64_t tag)
{
	struct epoll_event event = {.events = events, .data.u64 = tag};
	if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) != 0) die("epoll_ctl");
}

bool asked_on_stdin(void)
{
	char text[256];
	ssize_t length = read(STDIN_FILENO, text, sizeof text);
	if (length < 0 && (errno == EAGAIN || errno == EINTR)) return false;
	if (length <= 0) exit(0);
	return memchr(text, '\n', (size_t)length) != NULL;
}
