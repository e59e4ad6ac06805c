import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MAX_MANAGERS, parseManagers } from "../../gateway/links/manager-address.ts";

const many = (count: number) => Array.from({ length: count }, (_, i) => `m${i}=tcp://127.0.0.1:${i + 1}`);

describe("the managers of a gateway", () => {
  test("are each a name and an address, in the order in which they are given", () => {
    assert.deepEqual(parseManagers(["lobby=unix:/run/lobby.sock", "b-1.a_Z=tls://[::1]:7390"]), [
      { name: "lobby", address: { kind: "unix", path: "/run/lobby.sock" } },
      { name: "b-1.a_Z", address: { kind: "tls", host: "::1", port: 7390 } },
    ]);
  });

  test("need no name where there is one alone, which may have one", () => {
    const address = { kind: "tcp", host: "127.0.0.1", port: 1 };
    assert.deepEqual(parseManagers(["tcp://127.0.0.1:1"]), [{ name: "manager", address }]);
    assert.deepEqual(parseManagers(["lobby=tcp://127.0.0.1:1"]), [{ name: "lobby", address }]);
  });

  for (const path of ["/a=b", "a=b", "a=unix:/b", "/="]) {
    test(`may be at unix:${path}, which names nobody`, () => {
      assert.deepEqual(parseManagers([`unix:${path}`]), [
        { name: "manager", address: { kind: "unix", path } },
      ]);
      assert.deepEqual(parseManagers([`x=unix:${path}`])[0], { name: "x", address: { kind: "unix", path } });
    });
  }

  test("may be called whatever an object has", () => {
    const names = ["__proto__", "constructor", "toString"];
    const given = names.map((name) => `${name}=unix:/${name}`);
    assert.deepEqual(
      parseManagers(given).map(({ name }) => name),
      names,
    );
  });

  test("are as many as there may be, and no more", () => {
    assert.equal(parseManagers(many(MAX_MANAGERS)).length, 64);
    assert.throws(() => parseManagers(many(MAX_MANAGERS + 1)), { message: "must have at most 64 entries" });
    assert.throws(() => parseManagers([]), { message: "must not be empty" });
  });

  const wantedName = "is not a manager's name; it has 1 to 64 letters, digits, '.', '_' and '-'";
  for (const [what, given, message] of [
    [
      "no address",
      ["http://x"],
      "'http://x' is not a link address; use unix:/path, tcp://host:port or tls://host:port",
    ],
    [
      "a name and no address",
      ["lobby=7300"],
      "'7300' is not a link address; use unix:/path, tcp://host:port or tls://host:port",
    ],
    [
      "a name alone",
      ["lobby="],
      "'' is not a link address; use unix:/path, tcp://host:port or tls://host:port",
    ],
    ["a path that is none", ["lobby=unix:"], "'unix:' names no path; use unix:/path/to.sock"],
    ["an empty name", ["=unix:/x"], `'' ${wantedName}`],
    ["a name with a blank", ["the lobby=unix:/x"], `'the lobby' ${wantedName}`],
    ["a name with a slash", ["a/b=unix:/x"], `'a/b' ${wantedName}`],
    ["a name with another letter", ["käse=unix:/x"], `'käse' ${wantedName}`],
    ["a name that is too long", [`${"n".repeat(65)}=unix:/x`], `'${"n".repeat(65)}' ${wantedName}`],
    [
      "several of which the first has no name",
      ["unix:/x", "b=unix:/y"],
      "'unix:/x' has no name; of several managers each must have one: name=unix:/x",
    ],
    [
      "several of which another has no name",
      ["a=unix:/x", "tcp://[::1]:1"],
      "'tcp://[::1]:1' has no name; of several managers each must have one: name=tcp://[::1]:1",
    ],
    [
      "several in one text",
      ["a=unix:/x,b=unix:/y"],
      "'a=unix:/x,b=unix:/y' are several managers; give each one by itself",
    ],
    [
      "two of one name",
      ["a=unix:/x", "b=unix:/y", "a=unix:/z"],
      "two managers are named 'a'; give each a name of its own",
    ],
    [
      "two of one place",
      ["a=unix:/x", "b=unix:///x"],
      "'a' and 'b' are both at unix:/x; name one manager once",
    ],
  ] as const) {
    test(`are not ${what}`, () => {
      assert.throws(() => parseManagers(given), { message });
    });
  }

  test("may have a comma in a path", () => {
    assert.deepEqual(parseManagers(["a=unix:/x,y=z"])[0].address, { kind: "unix", path: "/x,y=z" });
  });

  test("may have a name of 64 characters", () => {
    assert.equal(parseManagers([`${"n".repeat(64)}=unix:/x`])[0].name.length, 64);
  });
});
