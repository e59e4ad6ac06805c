#include "tls.h"

#include "util.h"

#ifdef WITH_TLS

#include <errno.h>
#include <openssl/ssl.h>

static SSL_CTX *context;

void tls_prepare(void)
{
	context = SSL_CTX_new(TLS_client_method());
	if (context == NULL) die("OpenSSL makes no context");
	/* The same cipher with everybody, whatever a server prefers. */
	if (SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1 ||
	    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1)
		die("OpenSSL does not know TLS 1.3");
	SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* A record in one system call, not in one for its header and one for its body. */
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

void *tls_connect(int fd)
{
	SSL *ssl = SSL_new(context);
	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) die("OpenSSL makes no connection");
	SSL_set_connect_state(ssl);
	return ssl;
}

static int wanted(SSL *ssl, int result)
{
	int error = SSL_get_error(ssl, result);
	if (error == SSL_ERROR_WANT_READ) return TLS_WANTS_READ;
	if (error == SSL_ERROR_WANT_WRITE) return TLS_WANTS_WRITE;
	if (error != SSL_ERROR_SYSCALL) errno = 0;
	return -1;
}

int tls_shake_hands(void *tls)
{
	int result = SSL_do_handshake(tls);
	return result == 1 ? TLS_DONE : wanted(tls, result);
}

long tls_read(void *tls, void *bytes, size_t length)
{
	int result = SSL_read(tls, bytes, (int)length);
	if (result > 0) return result;
	return wanted(tls, result) < 0 ? -1 : 0;
}

long tls_write(void *tls, const void *bytes, size_t length)
{
	int result = SSL_write(tls, bytes, (int)length);
	if (result > 0) return result;
	return wanted(tls, result) < 0 ? -1 : 0;
}

bool tls_holds_more(void *tls)
{
	return SSL_has_pending(tls) == 1;
}

void tls_free(void *tls)
{
	SSL_free(tls);
}

#else

static const char MISSING[] = "the load was built without OpenSSL";

void tls_prepare(void)
{
	die("%s", MISSING);
}

void *tls_connect(int fd)
{
	(void)fd;
	die("%s", MISSING);
}

int tls_shake_hands(void *tls)
{
	(void)tls;
	die("%s", MISSING);
}

long tls_read(void *tls, void *bytes, size_t length)
{
	(void)tls, (void)bytes, (void)length;
	die("%s", MISSING);
}

long tls_write(void *tls, const void *bytes, size_t length)
{
	(void)tls, (void)bytes, (void)length;
	die("%s", MISSING);
}

bool tls_holds_more(void *tls)
{
	(void)tls;
	return false;
}

void tls_free(void *tls)
{
	(void)tls;
}

#endif
