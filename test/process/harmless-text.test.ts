import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { harmless, harmlessLines, quoted } from "../../process/harmless-text.ts";

/** Any text, halves of characters among it. */
const anyText = fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units));

/** The first and the last of each range that no terminal is to get. */
const harmful: readonly (readonly [what: string, from: number, to: number])[] = [
  ["controls, escape among them", 0x00, 0x1f],
  ["DEL and the controls of C1", 0x7f, 0x9f],
  ["the soft hyphen", 0xad, 0xad],
  ["the combining grapheme joiner", 0x034f, 0x034f],
  ["the Arabic letter mark", 0x061c, 0x061c],
  ["the fillers of Hangul", 0x115f, 0x1160],
  ["the separator of Mongolian vowels", 0x180e, 0x180e],
  ["invisible spaces, joiners and marks of direction", 0x200b, 0x200f],
  ["separators of lines and paragraphs, and overrides of direction", 0x2028, 0x202e],
  ["the word joiner, invisible operators, isolates", 0x2060, 0x206f],
  ["another filler of Hangul", 0x3164, 0x3164],
  ["half characters", 0xd800, 0xdfff],
  ["what is for private use", 0xe000, 0xf8ff],
  ["variation selectors", 0xfe00, 0xfe0f],
  ["the byte order mark", 0xfeff, 0xfeff],
  ["annotations", 0xfff9, 0xfffb],
  ["tags", 0xe0000, 0xe007f],
  ["more variation selectors", 0xe0100, 0xe01ef],
];

function isHarmful(code: number): boolean {
  return harmful.some(([, from, to]) => code >= from && code <= to);
}

describe("a text that is made harmless", () => {
  for (const [what, from, to] of harmful) {
    test(`has no more ${what}`, () => {
      for (let code = from; code <= to; code++)
        assert.equal(harmless(`a${String.fromCodePoint(code)}b`), "a\ufffdb", code.toString(16));
    });
  }

  test("is as it was where it was harmless", () => {
    const text = 'Zoë, 東京, Ελλάδα, עברית, 👾, ~!"\\ \u00a0\ufffd';
    assert.equal(harmless(text), text);
  });

  test("has nothing of the kind, whatever it was", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const rest = Array.from(harmless(text), (character) => character.codePointAt(0) ?? 0);
        assert.deepEqual(rest.filter(isHarmful), []);
      }),
    );
  });

  test("keeps its line ends, and nothing else, where they are its layout", () => {
    assert.equal(harmlessLines("one\r\n\ttwo\u2028\n"), "one\ufffd\n\ufffdtwo\ufffd\n");
  });
});

describe("a text in quotes", () => {
  test("is one in JSON, exactly, with nothing harmful in it, whatever it was", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const shown = quoted(text);
        assert.equal(JSON.parse(shown), text);
        assert.equal(harmless(shown), shown);
      }),
    );
  });

  test("shows what it can as it is", () => {
    assert.equal(quoted('Zoë: "東京"\u009b\n'), String.raw`"Zoë: \"東京\"\u009b\n"`);
  });
});
