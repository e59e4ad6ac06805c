/** A manager's HTTP API on a port of its own, and the plainest of clients for it. */

import { type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders, request } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { TestContext } from "node:test";
import { createApi } from "../../manager-stub/http-api.ts";
import type { ManagerServer } from "../../manager-stub/index.ts";
import { next, until } from "../helpers/wait.ts";

/** An answer whose body a test takes for a `T`. */
export interface Answer<T> {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: T;
}

/** What is answered when something is wrong. */
export interface Failure {
  readonly code: string;
  readonly message: string;
}

export interface CallOptions {
  /** Sent as JSON, unless it is text or bytes already. */
  readonly body?: unknown;
  readonly headers?: OutgoingHttpHeaders;
}

export interface Api {
  readonly port: number;
  /** The connections that the manager holds open. */
  readonly sockets: ReadonlySet<Socket>;
  /** Makes a request as it is, and gives its answer, which must be JSON. */
  call<T = Failure>(method: string, path: string, options?: CallOptions): Promise<Answer<T>>;
  get<T = Failure>(path: string): Promise<Answer<T>>;
  post<T = Failure>(path: string, body?: unknown): Promise<Answer<T>>;
  /** A request whose answer is read by the test. */
  open(method: string, path: string, headers?: OutgoingHttpHeaders): ClientRequest;
}

/** Serves a manager's API until the test ends. */
export async function startApi(
  t: TestContext,
  manager: ManagerServer,
  names: readonly string[] = [],
): Promise<Api> {
  const server = createApi(manager, names);
  server.listen(0, "127.0.0.1");
  await next(server, "listening");
  const { port } = server.address() as AddressInfo;
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  t.after(async () => {
    server.close();
    server.closeAllConnections();
    await until(() => sockets.size === 0, "the API's connections are closed");
  });
  const open: Api["open"] = (method, path, headers = {}) =>
    request({ host: "127.0.0.1", port, method, path, headers, agent: false });
  const call = async <T>(
    method: string,
    path: string,
    { body, headers }: CallOptions = {},
  ): Promise<Answer<T>> => {
    const asked = open(method, path, headers);
    const answered = next<[IncomingMessage]>(asked, "response");
    asked.end(
      body === undefined || typeof body === "string" || body instanceof Buffer ? body : JSON.stringify(body),
    );
    const [response] = await answered;
    const parts = await response.toArray();
    const { statusCode: status = 0, headers: answerHeaders } = response;
    return { status, headers: answerHeaders, body: JSON.parse(Buffer.concat(parts).toString()) };
  };
  return {
    port,
    sockets,
    call,
    open,
    get: <T>(path: string) => call<T>("GET", path),
    post: <T>(path: string, body?: unknown) => call<T>("POST", path, { body }),
  };
}
