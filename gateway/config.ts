/** From layers of settings, flags over environment over file over profile over defaults, to one frozen configuration. */

import type { z } from "zod";
import { ConfigError } from "./config-error.ts";
import { profiles } from "./profiles.ts";
import { type SettingName, settingNames, settings } from "./settings.ts";
import { suggestion } from "./suggestion.ts";

/** The frozen configuration. */
export type Config = { readonly [K in SettingName]: z.output<(typeof settings)[K]["schema"]> };

/** Where values came from, and the values as they were given, by setting. */
export interface Layer {
  /** How a source names a setting, for messages: `--max-frame`, `SIDEGATE_MAX_FRAME`, `maxFrame in FILE`. */
  readonly describe: (name: SettingName) => string;
  readonly values: Partial<Record<SettingName, unknown>>;
}

/** One setting as it was resolved. */
export interface Resolved {
  readonly name: SettingName;
  /** As it was given. */
  readonly given: unknown;
  /** Which layer gave it; "default" for none. */
  readonly source: string;
}

/**
 * Resolves every setting once: the first layer that has it wins, and behind all of them the profile that they name.
 *
 * @throws ConfigError for a value out of its bounds, or values that contradict each other
 */
export function resolveConfig(layers: readonly Layer[]): { config: Config; resolved: readonly Resolved[] } {
  const profile = parseSetting(resolve("profile", layers)) as Config["profile"];
  const all = [...layers, { values: profiles[profile], describe: () => `profile ${profile}` }];
  const resolved = settingNames.map((name) => resolve(name, all));
  const config = Object.fromEntries(resolved.map((one) => [one.name, parseSetting(one)])) as Config;
  checkTogether(config);
  return { config: Object.freeze(config), resolved };
}

function resolve(name: SettingName, layers: readonly Layer[]): Resolved {
  const layer = layers.find((candidate) => candidate.values[name] !== undefined);
  return layer === undefined
    ? { name, given: settings[name].fallback, source: "default" }
    : { name, given: layer.values[name], source: layer.describe(name) };
}

function parseSetting({ name, given, source }: Resolved): unknown {
  const parsed = settings[name].schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const message = parsed.error.issues[0]?.message ?? "is wrong";
  const shown = settings[name].secret || message.includes("'") ? "" : `, not ${JSON.stringify(given)}`;
  throw new ConfigError(`${name} (${source}): ${message}${shown}`);
}

function checkTogether(config: Config): void {
  if (config.reconnectMinMs > config.reconnectMaxMs) {
    throw new ConfigError(
      `reconnectMinMs (${config.reconnectMinMs}) must not be more than reconnectMaxMs (${config.reconnectMaxMs})`,
    );
  }
  checkSecrets(config);
  checkLink(config);
  checkChoice(config);
  const names = config.listen.map((address) => address.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new ConfigError(`listen: two listeners are named '${twice}'; tell them apart with ?name=`);
  }
}

/** Each secret stands in one place; and where tickets are wanted, there is one that they are signed with. */
function checkSecrets(config: Config): void {
  for (const [secret, file] of [
    ["managerSecret", "managerSecretFile"],
    ["ticketSecret", "ticketSecretFile"],
  ] as const) {
    if (config[secret] !== undefined && config[file] !== undefined) {
      throw new ConfigError(`${secret} and ${file} are both set; set one of them`);
    }
  }
  const checked = config.listen.find((address) => address.ticket !== "off");
  if (checked !== undefined && config.ticketSecret === undefined && config.ticketSecretFile === undefined) {
    throw new ConfigError(
      `listen: '${checked.name}' wants tickets; set SIDEGATE_TICKET_SECRET, or ticketSecretFile, to what they are signed with`,
    );
  }
}

/** What is set for the link is used, or refused: nobody shall take a link for safer than it is. */
function checkLink(config: Config): void {
  if ((config.managerCert === undefined) !== (config.managerKey === undefined)) {
    throw new ConfigError("managerCert and managerKey go together; set both, or none");
  }
  if (config.manager.some(({ address }) => address.kind === "tls")) return;
  for (const name of ["managerCa", "managerCert", "managerServername"] as const) {
    if (config[name] !== undefined) throw new ConfigError(`${name} is for a manager at tls://host:port`);
  }
}

/** What a choice of managers goes by is there, names managers that there are, and is not set for another choice. */
function checkChoice(config: Config): void {
  checkListenerChoice(config);
  checkFirstMessageChoice(config);
  const unchecked = config.listen.find(({ ticket }) => ticket === "off");
  if (config.managerChoice === "ticket" && unchecked !== undefined) {
    throw new ConfigError(
      `listen: '${unchecked.name}' wants no tickets; with managerChoice=ticket it must have ticket=`,
    );
  }
}

function checkListenerChoice(config: Config): void {
  const isUsed = config.managerChoice === "listener";
  for (const { name, manager } of config.listen) {
    if (manager !== undefined && !isUsed) {
      throw new ConfigError(`listen: '${name}' has manager=, which is for managerChoice=listener`);
    }
    if (manager === undefined && isUsed) {
      throw new ConfigError(
        `listen: '${name}' names no manager; with managerChoice=listener it must have manager=`,
      );
    }
    if (manager !== undefined) checkKnown(config, `listen: '${name}'`, manager);
  }
}

function checkFirstMessageChoice(config: Config): void {
  const { managerChoice, managerPrefixes } = config;
  const isUsed = managerChoice === "first-message";
  if (managerPrefixes.length > 0 && !isUsed) {
    throw new ConfigError("managerPrefixes is for managerChoice=first-message");
  }
  if (managerPrefixes.length === 0 && isUsed) {
    throw new ConfigError("managerChoice=first-message must have managerPrefixes, such as BATTLE=battle");
  }
  for (const { manager } of managerPrefixes) checkKnown(config, "managerPrefixes", manager);
}

function checkKnown({ manager }: Config, where: string, name: string): void {
  const names = manager.map((one) => one.name);
  if (names.includes(name)) return;
  throw new ConfigError(`${where} names the manager '${name}', which there is not${suggestion(name, names)}`);
}
