import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConnectionCounts } from "../../gateway/guard/connection-counts.ts";

describe("the counts of connections", () => {
  test("are kept in total, for each address and for each /64", () => {
    const counts = new ConnectionCounts();
    for (const address of ["192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]) {
      counts.add(address);
    }
    assert.equal(counts.total, 5);
    assert.deepEqual([counts.ofAddress("192.0.2.1"), counts.ofAddress("192.0.2.2")], [2, 0]);
    assert.deepEqual([counts.ofAddress("2001:db8::1"), counts.ofPrefix("2001:db8::1")], [1, 2]);
    assert.equal(counts.ofPrefix("2001:db8::99"), 2);
    assert.equal(counts.ofPrefix("2001:db8:0:1::99"), 1);
    assert.equal(counts.ofPrefix("192.0.2.1"), 0);
  });

  test("count who has no address in total only", () => {
    const counts = new ConnectionCounts();
    counts.add("");
    assert.deepEqual([counts.total, counts.ofAddress(""), counts.ofPrefix("")], [1, 0, 0]);
    counts.remove("");
    assert.equal(counts.total, 0);
  });

  test("keep nothing of those who have left", () => {
    const counts = new ConnectionCounts();
    const addresses = ["192.0.2.1", "2001:db8::1", "2001:db8::2", "192.0.2.1", ""];
    for (const address of addresses) counts.add(address);
    assert.equal(counts.entryCount, 4);
    for (const address of addresses.slice(0, 2)) counts.remove(address);
    assert.deepEqual(
      [counts.total, counts.ofAddress("192.0.2.1"), counts.ofPrefix("2001:db8::1")],
      [3, 1, 1],
    );
    for (const address of addresses.slice(2)) counts.remove(address);
    assert.deepEqual([counts.total, counts.entryCount], [0, 0]);
  });

  test("refuse to go wrong when one leaves that never entered", () => {
    const counts = new ConnectionCounts();
    assert.throws(() => counts.remove(""), /never entered/);
    counts.add("192.0.2.1");
    assert.throws(() => counts.remove("192.0.2.2"), /'192\.0\.2\.2'.*never entered/);
    assert.equal(counts.total, 1);
  });
});
