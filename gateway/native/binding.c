/*
 * What JavaScript has of the poller (gateway/transports/poller.ts), and how the event loop of Node.js runs it: libuv is
 * told of one descriptor, that of the poller's epoll. Everything runs on the loop's thread.
 */

#include <stdlib.h>
#include <uv.h>

#define NAPI_VERSION 8
#include <node_api.h>

#include "poller.h"

enum { MAX_ARGUMENTS = 3, RECORD_NUMBERS = sizeof(struct record) / sizeof(int32_t) };

struct binding {
	struct poller poller;
	napi_env env;
	napi_ref memory, records, told;
	napi_async_cleanup_hook_handle cleanup;
	uv_poll_t *handle;
};

/* For the poller. */

/* Tells JavaScript; what it throws is an uncaught exception there. */
static void tell(struct poller *poller)
{
	struct binding *binding = (struct binding *)poller;
	napi_env env = binding->env;
	napi_handle_scope scope;
	napi_value told, global, count;
	napi_open_handle_scope(env, &scope);
	napi_get_reference_value(env, binding->told, &told);
	napi_get_global(env, &global);
	napi_create_uint32(env, poller->record_count, &count);
	if (napi_make_callback(env, NULL, global, told, 1, &count, NULL) == napi_pending_exception) {
		napi_value error;
		napi_get_and_clear_last_exception(env, &error);
		napi_fatal_exception(env, error);
	}
	napi_close_handle_scope(env, scope);
}

/* The process goes on for as long as there is a descriptor. */
static void in_use(struct poller *poller, bool is)
{
	uv_handle_t *handle = (uv_handle_t *)((struct binding *)poller)->handle;
	if (is) uv_ref(handle);
	else uv_unref(handle);
}

/* For the event loop. */

static void on_ready(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	poller_run(handle->data);
}

static void torn_down(uv_handle_t *handle)
{
	struct binding *binding = handle->data;
	poller_end(&binding->poller);
	napi_remove_async_cleanup_hook(binding->cleanup);
	free(binding);
	free(handle);
}

static void tear_down(napi_async_cleanup_hook_handle cleanup, void *data)
{
	(void)cleanup;
	uv_close((uv_handle_t *)((struct binding *)data)->handle, torn_down);
}

/* For JavaScript. */

static struct poller *arguments(napi_env env, napi_callback_info info, napi_value values[MAX_ARGUMENTS])
{
	size_t count = MAX_ARGUMENTS;
	struct binding *binding;
	napi_get_cb_info(env, info, &count, values, NULL, (void **)&binding);
	return &binding->poller;
}

/* A number that is none stands for no descriptor. */
static int to_int(napi_env env, napi_value value)
{
	int32_t number;
	return napi_get_value_int32(env, value, &number) == napi_ok ? number : -1;
}

static napi_value from_int(napi_env env, int number)
{
	napi_value value;
	napi_create_int32(env, number, &value);
	return value;
}

/* listen(descriptor, keepAliveSeconds) */
static napi_value js_listen(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	struct poller *poller = arguments(env, info, values);
	return from_int(env, poller_listen(poller, to_int(env, values[0]), to_int(env, values[1])));
}

/* stop(descriptor) */
static napi_value js_stop(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	struct poller *poller = arguments(env, info, values);
	poller_stop(poller, to_int(env, values[0]));
	return NULL;
}

/* copy(descriptor) */
static napi_value js_copy(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	struct poller *poller = arguments(env, info, values);
	return from_int(env, poller_copy(poller, to_int(env, values[0])));
}

/* peer(descriptor): empty when it is gone */
static napi_value js_peer(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS], text;
	struct poller *poller = arguments(env, info, values);
	char peer[PEER_TEXT_BYTES];
	bool is_there = poller_peer(poller, to_int(env, values[0]), peer);
	napi_create_string_latin1(env, is_there ? peer : "", NAPI_AUTO_LENGTH, &text);
	return text;
}

/* resume(descriptor) */
static napi_value js_resume(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	struct poller *poller = arguments(env, info, values);
	return from_int(env, poller_resume(poller, to_int(env, values[0])));
}

/* pause(descriptor) */
static napi_value js_pause(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	struct poller *poller = arguments(env, info, values);
	poller_pause(poller, to_int(env, values[0]));
	return NULL;
}

/* send(descriptor, bytes) */
static napi_value js_send(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	struct poller *poller = arguments(env, info, values);
	void *bytes;
	size_t length;
	if (napi_get_buffer_info(env, values[1], &bytes, &length) != napi_ok) return from_int(env, UV_EINVAL);
	return from_int(env, poller_send(poller, to_int(env, values[0]), bytes, length));
}

/* shutDown(descriptor) */
static napi_value js_shut_down(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	struct poller *poller = arguments(env, info, values);
	return from_int(env, poller_shut_down(poller, to_int(env, values[0])));
}

/* close(descriptor, resets) */
static napi_value js_close(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	struct poller *poller = arguments(env, info, values);
	bool resets = false;
	napi_get_value_bool(env, values[1], &resets);
	poller_close(poller, to_int(env, values[0]), resets);
	return NULL;
}

/* Takes what `start` is given. */
static bool take_buffers(struct poller *poller, napi_env env, const napi_value *values)
{
	napi_typedarray_type type;
	napi_valuetype told;
	size_t numbers;
	void *memory, *records;
	if (napi_get_buffer_info(env, values[0], &memory, &poller->memory_bytes) != napi_ok ||
	    napi_get_typedarray_info(env, values[1], &type, &numbers, &records, NULL, NULL) != napi_ok ||
	    napi_typeof(env, values[2], &told) != napi_ok)
		return false;
	poller->memory = memory;
	poller->records = records;
	poller->record_room = (uint32_t)(numbers / RECORD_NUMBERS);
	return poller->memory_bytes >= READ_BYTES && poller->memory_bytes <= INT32_MAX && type == napi_int32_array &&
	       poller->record_room >= RECORDS_PER_EVENT && told == napi_function;
}

static napi_value methods(napi_env env, struct binding *binding)
{
	const struct {
		const char *name;
		napi_callback run;
	} all[] = {{"listen", js_listen}, {"stop", js_stop},          {"copy", js_copy},
	           {"peer", js_peer},     {"resume", js_resume},      {"pause", js_pause},
	           {"send", js_send},     {"shutDown", js_shut_down}, {"close", js_close}};
	napi_value object;
	napi_create_object(env, &object);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		napi_value method;
		napi_create_function(env, all[i].name, NAPI_AUTO_LENGTH, all[i].run, binding, &method);
		napi_set_named_property(env, object, all[i].name, method);
	}
	return object;
}

static napi_value fail(napi_env env, struct binding *binding, const char *message)
{
	if (binding != NULL) free(binding->handle);
	free(binding);
	napi_throw_error(env, NULL, message);
	return NULL;
}

/*
 * start(memory, records, told): what is received lies in the Buffer `memory`, what is told in the Int32Array `records`,
 * and `told` is called with the number of records. Gives what can be asked for.
 */
static napi_value js_start(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	size_t count = MAX_ARGUMENTS;
	napi_get_cb_info(env, info, &count, values, NULL, NULL);
	struct binding *binding = calloc(1, sizeof *binding);
	if (binding == NULL) return fail(env, NULL, "out of memory");
	struct poller *poller = &binding->poller;
	binding->env = env;
	binding->handle = calloc(1, uv_handle_size(UV_POLL));
	if (binding->handle == NULL) return fail(env, binding, "out of memory");
	if (!take_buffers(poller, env, values))
		return fail(env, binding, "start wants a Buffer, an Int32Array and a function");
	poller->tell = tell;
	poller->in_use = in_use;
	if (poller_begin(poller) < 0) return fail(env, binding, "there is no epoll");
	uv_loop_t *loop;
	if (napi_get_uv_event_loop(env, &loop) != napi_ok || uv_poll_init(loop, binding->handle, poller->epoll) != 0) {
		poller_end(poller);
		return fail(env, binding, "the event loop does not take the poller");
	}
	binding->handle->data = binding;
	napi_create_reference(env, values[0], 1, &binding->memory);
	napi_create_reference(env, values[1], 1, &binding->records);
	napi_create_reference(env, values[2], 1, &binding->told);
	napi_add_async_cleanup_hook(env, tear_down, binding, &binding->cleanup);
	uv_poll_start(binding->handle, UV_READABLE, on_ready);
	uv_unref((uv_handle_t *)binding->handle);
	return methods(env, binding);
}

NAPI_MODULE_INIT(/* napi_env env, napi_value exports */)
{
	napi_value start;
	napi_create_function(env, "start", NAPI_AUTO_LENGTH, js_start, NULL, &start);
	napi_set_named_property(env, exports, "start", start);
	return exports;
}
