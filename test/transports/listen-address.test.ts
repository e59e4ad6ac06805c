import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  formatListenAddress,
  type ListenAddress,
  parseListenAddress,
} from "../../gateway/transports/listen-address.ts";
import {
  type ListenOptionName,
  listenOptions,
  optionsOf,
  type Transport,
  transports,
} from "../../gateway/transports/listen-options.ts";

/** What each transport's URL must have. */
const BASES: Readonly<Record<Transport, string>> = {
  tcp: "tcp://127.0.0.1:7300",
  tls: "tls://127.0.0.1:7300?cert=/c&key=/k",
  ws: "ws://127.0.0.1:7300",
  wss: "wss://127.0.0.1:7300?cert=/c&key=/k",
  unix: "unix:/run/game.sock",
};

/** An option as it stands in a URL and in a file, and what becomes of it. */
interface Row {
  readonly option: ListenOptionName;
  readonly on: Transport;
  readonly inUrl: string;
  readonly inFile: unknown;
  readonly value: unknown;
  /** What else it needs. */
  readonly beside?: string;
}

const SET = Symbol("a set of addresses, which is looked at by itself");

const rows: readonly Row[] = [
  { option: "name", on: "tcp", inUrl: "game", inFile: "game", value: "game" },
  { option: "reusePort", on: "wss", inUrl: "true", inFile: true, value: true },
  { option: "backlog", on: "tls", inUrl: "511", inFile: 511, value: 511 },
  { option: "mode", on: "unix", inUrl: "0660", inFile: "660", value: 0o660 },
  { option: "framing", on: "unix", inUrl: "u16be", inFile: "u16be", value: "u16be" },
  { option: "lengthCountsItself", on: "tcp", inUrl: "true", inFile: true, value: true },
  { option: "maxMessageBytes", on: "ws", inUrl: "1024", inFile: 1024, value: 1024 },
  { option: "proxy", on: "tcp", inUrl: "any", inFile: "any", value: "any", beside: "trusted=10.0.0.1" },
  { option: "trusted", on: "ws", inUrl: "10.0.0.0/8,::1", inFile: ["10.0.0.0/8", "::1"], value: SET },
  { option: "cert", on: "tls", inUrl: "/etc/a.crt", inFile: "/etc/a.crt", value: "/etc/a.crt" },
  { option: "key", on: "wss", inUrl: "/etc/a.key", inFile: "/etc/a.key", value: "/etc/a.key" },
  { option: "minVersion", on: "tls", inUrl: "TLSv1.3", inFile: "TLSv1.3", value: "TLSv1.3" },
  {
    option: "alpn",
    on: "tls",
    inUrl: "game/2,game/1",
    inFile: ["game/2", "game/1"],
    value: ["game/2", "game/1"],
  },
  {
    option: "clientCertificate",
    on: "tls",
    inUrl: "require",
    inFile: "require",
    value: "require",
    beside: "clientCa=/ca",
  },
  { option: "clientCa", on: "wss", inUrl: "/ca", inFile: "/ca", value: "/ca" },
  { option: "path", on: "ws", inUrl: "/game", inFile: "/game", value: "/game" },
  {
    option: "origins",
    on: "ws",
    inUrl: "https://a.example,https://b.example",
    inFile: ["https://a.example", "https://b.example"],
    value: ["https://a.example", "https://b.example"],
  },
  { option: "subprotocols", on: "wss", inUrl: "v2,v1", inFile: ["v2", "v1"], value: ["v2", "v1"] },
  {
    option: "headers",
    on: "ws",
    inUrl: "User-Agent,X-Region",
    inFile: ["user-agent", "X-REGION"],
    value: ["user-agent", "x-region"],
  },
  { option: "frames", on: "ws", inUrl: "mirror", inFile: "mirror", value: "mirror" },
  { option: "deflate", on: "wss", inUrl: "true", inFile: true, value: true },
  { option: "pingMs", on: "ws", inUrl: "0", inFile: 0, value: 0 },
  {
    option: "forwarded",
    on: "ws",
    inUrl: "x-forwarded-for",
    inFile: "x-forwarded-for",
    value: "x-forwarded-for",
    beside: "trusted=10.0.0.1",
  },
  { option: "ticket", on: "ws", inUrl: "query", inFile: "query", value: "query" },
  { option: "manager", on: "unix", inUrl: "battle", inFile: "battle", value: "battle" },
];

const mark = (url: string) => (url.includes("?") ? "&" : "?");

/** The base without what the row gives itself. */
function baseOf({ on, option, beside }: Row): string {
  const base = BASES[on].replace(`${option}=/${option[0]}`, "");
  return beside === undefined ? base : `${base}${mark(base)}${beside}`;
}

function optionOf(address: ListenAddress, { option, value }: Row): unknown {
  if (value !== SET) return address[option];
  const { trusted } = address;
  assert.deepEqual(
    ["10.1.2.3", "::1", "11.0.0.1", "::2"].map((one) => trusted.has(one)),
    [true, true, false, false],
  );
  return SET;
}

describe("an option of a listener", () => {
  test("has a row here, each of them", () => {
    assert.deepEqual(rows.map(({ option }) => option).sort(), Object.keys(listenOptions).sort());
  });

  for (const row of rows) {
    const { option, on, inUrl, inFile, value } = row;
    test(`may stand in a URL or be a key in the file: ${option}`, () => {
      const base = baseOf(row);
      const byUrl = parseListenAddress(`${base}${mark(base)}${option}=${inUrl}`);
      const byKey = parseListenAddress({ url: base, [option]: inFile });
      assert.deepEqual([optionOf(byUrl, row), optionOf(byKey, row)], [value, value]);
      const plain = parseListenAddress(BASES[on]);
      assert.notDeepEqual(plain[option], byUrl[option], "its default is another");
    });
  }

  test("that the transport does not have is refused, with those that have it", () => {
    for (const transport of transports) {
      for (const { option, inFile } of rows) {
        if (optionsOf(transport).includes(option)) continue;
        const having = listenOptions[option].transports.join(", ");
        assert.throws(() => parseListenAddress({ url: BASES[transport], [option]: inFile }), {
          message: `'${BASES[transport]}' has an unknown option '${option}'; only ${having} listeners have it`,
        });
      }
    }
  });

  test("is what the documentation says when it is not given", () => {
    const { trusted, ...given } = parseListenAddress("tcp://127.0.0.1:7300");
    assert.equal(trusted.size, 0);
    assert.deepEqual(given, {
      transport: "tcp",
      host: "127.0.0.1",
      port: 7300,
      name: "tcp-7300",
      ipv6Only: false,
      reusePort: false,
      backlog: 4096,
      mode: 0o600,
      framing: "none",
      lengthCountsItself: false,
      maxMessageBytes: 65_536,
      proxy: "off",
      cert: undefined,
      key: undefined,
      minVersion: "TLSv1.2",
      alpn: [],
      clientCertificate: "none",
      clientCa: undefined,
      path: undefined,
      origins: [],
      subprotocols: [],
      headers: [],
      frames: "binary",
      deflate: false,
      pingMs: 30_000,
      forwarded: "off",
      ticket: "off",
      manager: undefined,
    });
  });

  test("may have its special characters escaped in a URL", () => {
    const { origins, name } = parseListenAddress(
      "ws://127.0.0.1:1?name=a%26b&origins=https%3A%2F%2Fa.example%2Chttps://b.example",
    );
    assert.deepEqual([name, origins], ["a&b", ["https://a.example", "https://b.example"]]);
  });
});

describe("where a listener is", () => {
  for (const [url, transport, host, port, name] of [
    ["tcp://0.0.0.0:0", "tcp", "0.0.0.0", 0, "tcp-0"],
    ["tcp://0.0.0.0:65535/", "tcp", "0.0.0.0", 65_535, "tcp-65535"],
    ["tcp://[::1]:7300", "tcp", "::1", 7300, "tcp-7300"],
    ["tls://[::ffff:127.0.0.1]:7443?cert=/c&key=/k", "tls", "::ffff:127.0.0.1", 7443, "tls-7443"],
    ["ws://localhost:80", "ws", "localhost", 80, "ws-80"],
    ["wss://game.example:443?cert=/c&key=/k", "wss", "game.example", 443, "wss-443"],
    ["unix:/run/game.sock", "unix", "/run/game.sock", 0, "unix-game.sock"],
    ["unix:///run/game.sock", "unix", "/run/game.sock", 0, "unix-game.sock"],
    ["unix:run/game.sock", "unix", "run/game.sock", 0, "unix-game.sock"],
  ] as const) {
    test(`is read from ${url}`, () => {
      const address = parseListenAddress(url);
      assert.deepEqual(
        [address.transport, address.host, address.port, address.name],
        [transport, host, port, name],
      );
    });
  }

  test("is shown without its options, as it could be given again", () => {
    const shown = (url: string) => formatListenAddress(parseListenAddress(url));
    assert.equal(shown("tcp://[::1]:7300?name=six"), "tcp://[::1]:7300");
    assert.equal(shown("wss://game.example:443?cert=/c&key=/k"), "wss://game.example:443");
    assert.equal(shown("unix:///run/game.sock?mode=0660"), "unix:/run/game.sock");
  });

  test("has a name that the manager can take, however long its path", () => {
    const { name } = parseListenAddress(`unix:/${"p".repeat(100)}`);
    assert.equal(name, `unix-${"p".repeat(100)}`);
    assert.equal(parseListenAddress({ url: "tcp://a:1", name: "n".repeat(128) }).name.length, 128);
  });

  const wrong = [
    "7300",
    "tcp:127.0.0.1:7300",
    "tcp://127.0.0.1",
    "tcp://127.0.0.1:",
    "tcp://127.0.0.1:65536",
    "tcp://127.0.0.1:123456",
    "tcp://127.0.0.1:-1",
    "tcp://127.0.0.1:80a",
    "tcp://:7300",
    "tcp://::1:7300",
    "tcp://[::1:7300",
    "tcp://[::g]:7300",
    "tcp://256.0.0.1:7300",
    "tcp://user@host:7300",
    "tcp://a b:7300",
    "tcp://host:7300/path",
    "TCP://host:7300",
    "udp://host:7300",
    "http://host:80",
    "",
  ];
  for (const url of wrong) {
    test(`can't be read from '${url}', and what can is said`, () => {
      assert.throws(() => parseListenAddress(url), {
        message:
          `'${url}' is not an address to listen on; ` +
          "use tcp://host:port, tls://host:port, ws://host:port, wss://host:port or unix:/path",
      });
    });
  }

  test("can't be read from an object without a URL", () => {
    for (const given of [{}, { url: 7300 }, { name: "game" }]) {
      assert.throws(
        () => parseListenAddress(given),
        /^Error: a listener must have a 'url'; use tcp:\/\/host:port/,
      );
    }
  });

  test("is no empty path, and none that no Unix socket can have", () => {
    assert.throws(() => parseListenAddress("unix:"), /'unix:' names no path; use unix:\/path\/to\.sock/);
    assert.throws(() => parseListenAddress("unix:?mode=0600"), /names no path/);
    const long = "ä".repeat(60);
    assert.throws(
      () => parseListenAddress(`unix:/${long}`),
      /is longer than the \d+ bytes that a Unix socket's path/,
    );
  });
});

describe("what is wrong with an option is said, and what is wanted", () => {
  for (const [what, url, message] of [
    ["unknown", "tcp://a:1?reuseport=true", /unknown option 'reuseport'; did you mean 'reusePort'\?/],
    ["unknown, and like nothing", "tcp://a:1?zzzzzzzz=1", /unknown option 'zzzzzzzz'$/],
    ["unknown, and of every object", "tcp://a:1?toString=1", /unknown option 'toString'/],
    ["unknown, and the prototype", "tcp://a:1?__proto__=1", /unknown option '__proto__'/],
    ["the URL once more", "tcp://a:1?url=tcp://b:2", /unknown option 'url'/],
    ["given twice", "tcp://a:1?name=a&name=b", /has the option 'name' twice/],
    ["empty", "tcp://a:1?name=", /name must have 1 to 128 characters, not ''/],
    ["too long a name", `tcp://a:1?name=${"n".repeat(129)}`, /name must have 1 to 128 characters/],
    ["no truth value", "tcp://a:1?reusePort=yes", /reusePort must be true or false, not 'yes'/],
    ["too small", "tcp://a:1?backlog=0", /backlog must be a whole number from 1 to 65535, not '0'/],
    ["too large", "tcp://a:1?backlog=65536", /backlog must be a whole number from 1 to 65535/],
    [
      "no number",
      "tcp://a:1?maxMessageBytes=64k",
      /maxMessageBytes must be a whole number from 1 to 67108864/,
    ],
    ["not whole", "ws://a:1?pingMs=1.5", /pingMs must be a whole number from 0 to 3600000, not '1.5'/],
    [
      "no framing",
      "tcp://a:1?framing=u24be",
      /framing must be one of none, u16be, u16le, u32be, u32le, line/,
    ],
    ["no file mode", "unix:/s?mode=rw", /mode must be an octal file mode such as 0660, not 'rw'/],
    ["no octal mode", "unix:/s?mode=0680", /mode must be an octal file mode/],
    ["a mode with more than permissions", "unix:/s?mode=1777", /mode must be an octal file mode/],
    ["no version", "tcp://a:1?trusted=10.0.0.1&proxy=v3", /proxy must be one of off, v1, v2, any, not 'v3'/],
    ["no CIDR", "tcp://a:1?proxy=v1&trusted=10.0.0.0/33", /trusted .*10\.0\.0\.0\/33/],
    ["no address", "tcp://a:1?proxy=v1&trusted=10.0.0.1,proxy.example", /trusted .*proxy\.example/],
    [
      "an old TLS",
      "tls://a:1?cert=/c&key=/k&minVersion=TLSv1.1",
      /minVersion must be one of TLSv1\.2, TLSv1\.3/,
    ],
    ["no path", "ws://a:1?path=game", /path must begin with \/ and have no query, not 'game'/],
    ["a path with a query", "ws://a:1?path=/game%3Fa", /path must begin with \/ and have no query/],
    ["no header", "ws://a:1?headers=user agent", /headers must be a header's name/],
    [
      "too many headers",
      `ws://a:1?headers=${Array.from({ length: 33 }, (_, i) => `h${i}`).join(",")}`,
      /headers must have at most 32 entries/,
    ],
    ["no kind of frames", "ws://a:1?frames=json", /frames must be one of binary, text, mirror/],
    ["no manager", "ws://a:1?manager=", /manager must have 1 to 64 characters, not ''/],
    ["no kind of ticket", "ws://a:1?ticket=cookie", /ticket must be one of off, first-message, query/],
  ] as const) {
    test(what, () => {
      assert.throws(
        () => parseListenAddress(url),
        (error: Error) => {
          assert.match(error.message, message);
          assert.ok(error.message.startsWith(`'${url}'`), "it says which listener");
          return true;
        },
      );
    });
  }

  test("given in the URL and beside it", () => {
    assert.throws(
      () => parseListenAddress({ url: "tcp://a:1?name=a", name: "a" }),
      /'tcp:\/\/a:1\?name=a' has the option 'name' twice/,
    );
  });

  test("of the wrong type in the file", () => {
    const wrongTypes = [
      [{ url: BASES.tcp, reusePort: 1 }, /reusePort must be true or false/],
      [{ url: BASES.tcp, backlog: [1] }, /backlog must be a whole number/],
      [{ url: BASES.unix, mode: 600 }, /mode must be text/],
      [{ url: BASES.ws, origins: [1] }, /origins must be text/],
      [{ url: BASES.ws, origins: { a: 1 } }, /origins must be a list/],
      [{ url: BASES.tcp, name: {} }, /name must be text/],
    ] as const;
    for (const [given, message] of wrongTypes) assert.throws(() => parseListenAddress(given), message);
  });
});

describe("options that need each other, or don't go together, are refused with what to do", () => {
  for (const [url, message] of [
    ["tls://a:1", /a TLS listener must have cert and key, the files/],
    ["tls://a:1?cert=/c", /a TLS listener must have cert and key/],
    ["wss://a:1?key=/k", /a TLS listener must have cert and key/],
    [
      `${BASES.tls}&clientCertificate=require`,
      /clientCertificate must have clientCa, the file of who signs them/,
    ],
    [`${BASES.wss}&clientCertificate=request`, /clientCertificate must have clientCa/],
    ["ws://a:1?proxy=v1&forwarded=forwarded&trusted=10.0.0.1", /both say who the client is; use one/],
    ["tcp://a:1?proxy=v2", /must have trusted, the addresses that they are believed from/],
    ["ws://a:1?forwarded=forwarded", /must have trusted/],
    [
      "tcp://a:1?ticket=query&framing=line",
      /only ws and wss listeners have a query; use ticket=first-message/,
    ],
    ["tcp://a:1?ticket=first-message", /ticket=first-message must have a framing/],
    ["unix:/s?ticket=first-message", /ticket=first-message must have a framing/],
  ] as const) {
    test(url, () => {
      assert.throws(
        () => parseListenAddress(url),
        (error: Error) => {
          assert.match(error.message, message);
          assert.ok(error.message.startsWith(`'${url}': `));
          return true;
        },
      );
    });
  }

  test("and those that do are not", () => {
    for (const url of [
      "unix:/s?proxy=v2",
      "unix:/s?ticket=first-message&framing=line",
      "ws://a:1?ticket=first-message",
      `${BASES.wss}&clientCertificate=request&clientCa=/ca&proxy=any&trusted=::1&ticket=query`,
    ]) {
      parseListenAddress(url);
    }
  });
});
