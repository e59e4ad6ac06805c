/** A web page in Chromium, and a WebSocket that it opens: what a test wants of it runs in the page. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { type Browser, chromium, type JSHandle } from "playwright-core";
import { next } from "../helpers/wait.ts";
import { skipWithout } from "./peer-process.ts";

/** Debian's. */
const CHROMIUM = "/usr/bin/chromium";

export const skipWithoutChromium = skipWithout("chromium", [CHROMIUM, "--version"]);

export function launchChromium(): Promise<Browser> {
  // Its sandbox does not work for root, and the pages are the tests' own.
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
}

/** How a WebSocket ended, as its page is told. */
export interface PageClose {
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
}

/** In the page. */
interface Opened {
  readonly socket: WebSocket;
  readonly closed: Promise<PageClose>;
}

export class PageSocket {
  readonly #opened: JSHandle<Opened>;

  constructor(opened: JSHandle<Opened>) {
    this.#opened = opened;
  }

  /** What was agreed on when it was opened; empty where it was refused. */
  agreed(): Promise<{ readonly protocol: string; readonly extensions: string }> {
    return this.#opened.evaluate(({ socket: { protocol, extensions } }) => ({ protocol, extensions }));
  }

  /** Sends text, and gives the next message; undefined when that is binary, or the end comes instead. */
  echoText(text: string): Promise<string | undefined> {
    return this.#opened.evaluate(async ({ socket, closed }, sent) => {
      const { promise, resolve } = Promise.withResolvers<unknown>();
      socket.addEventListener("message", ({ data }) => resolve(data), { once: true });
      socket.send(sent);
      const data = await Promise.race([promise, closed]);
      return typeof data === "string" ? data : undefined;
    }, text);
  }

  /**
   * Sends `length` bytes of a pattern as a binary message, and waits for the next one, or the end.
   *
   * @returns whether it was binary and the same
   */
  echoBytes(length: number): Promise<boolean> {
    return this.#opened.evaluate(async ({ socket, closed }, wanted) => {
      const sent = Uint8Array.from({ length: wanted }, (_, index) => (index * 31 + (index >> 8)) % 256);
      const { promise, resolve } = Promise.withResolvers<unknown>();
      socket.addEventListener("message", ({ data }) => resolve(data), { once: true });
      socket.send(sent);
      const data = await Promise.race([promise, closed]);
      if (!(data instanceof ArrayBuffer) || data.byteLength !== wanted) return false;
      const heard = new Uint8Array(data);
      return sent.every((byte, index) => byte === heard[index]);
    }, length);
  }

  /** Sends so many bytes. */
  send(length: number): Promise<void> {
    return this.#opened.evaluate(({ socket }, wanted) => socket.send(new Uint8Array(wanted)), length);
  }

  close(code: number, reason: string): Promise<void> {
    return this.#opened.evaluate(({ socket }, say) => socket.close(say.code, say.reason), { code, reason });
  }

  /** Waits for its end. */
  closed(): Promise<PageClose> {
    return this.#opened.evaluate(({ closed }) => closed);
  }
}

export interface TestPage {
  /** Where it is from, such as `http://127.0.0.1:40812`. */
  readonly origin: string;
  /** Opens a WebSocket; resolves when it is open or refused. */
  open(url: string, protocols?: readonly string[]): Promise<PageSocket>;
  /** Goes away. */
  leave(): Promise<void>;
}

/** Opens a page of an origin of its own. It goes with the test. */
export async function openPage(t: TestContext, browser: Browser): Promise<TestPage> {
  const server = createServer((_request, response) => {
    response.setHeader("content-type", "text/html");
    response.end("<!doctype html><title>A game</title>");
  });
  server.listen(0, "127.0.0.1");
  await next(server, "listening");
  // The certificates of the tests are of an authority that Chromium does not know.
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  t.after(async () => {
    await context.close();
    server.closeAllConnections();
    server.close();
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const page = await context.newPage();
  await page.goto(origin);
  return {
    origin,
    async open(url, protocols = []) {
      const opened = await page.evaluateHandle(
        async ({ url, protocols }) => {
          const socket = new WebSocket(url, protocols);
          socket.binaryType = "arraybuffer";
          const closing = Promise.withResolvers<PageClose>();
          const opening = Promise.withResolvers<void>();
          socket.addEventListener("open", () => opening.resolve());
          socket.addEventListener("close", ({ code, reason, wasClean }) => {
            closing.resolve({ code, reason, wasClean });
          });
          await Promise.race([opening.promise, closing.promise]);
          return { socket, closed: closing.promise };
        },
        { url, protocols: [...protocols] },
      );
      return new PageSocket(opened);
    },
    leave: () => page.close(),
  };
}
