/**
 * Text from outside, for people's terminals. What clients, gateways and managers say may have in it what a terminal does
 * not show but obeys, or what makes other text look like something that it is not.
 */

/**
 * Controls (C0 with line ends and tabs, DEL, C1 with the one-character CSI), format characters (bidirectional marks, joiners,
 * tags), surrogates without their other half, private and unassigned characters, line and paragraph separators; and all
 * others that are invisible by themselves, such as fillers and variation selectors.
 */
const HARMFUL = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** Stands for a character that is not shown. */
const REPLACEMENT = "\u{fffd}";

/** Makes one line of a text, with a replacement character for each that is not to reach a terminal. */
export function harmless(text: string): string {
  return text.replaceAll(HARMFUL, REPLACEMENT);
}

/** The same for a text whose line ends are its layout, such as the stack of an error. */
export function harmlessLines(text: string): string {
  return text.split("\n").map(harmless).join("\n");
}

/** A text in quotes, from which all of it can be told: a JSON string in which what is harmful is escaped. */
export function quoted(text: string): string {
  return JSON.stringify(text).replaceAll(HARMFUL, escaped);
}

function escaped(character: string): string {
  const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}
