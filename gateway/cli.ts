/** Flags, environment and file to one frozen configuration: flags win over environment over file over defaults. */

import { readFileSync } from "node:fs";
import { Command, Option } from "commander";
import { parseArguments } from "./arguments.ts";
import { type Config, type Layer, type Resolved, resolveConfig } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { type SettingName, settingNames, settings } from "./settings.ts";
import { suggestion } from "./suggestion.ts";
import { runTicketCommand } from "./ticket-command.ts";

const ENV_PREFIX = "SIDEGATE_";
const CONFIG_VARIABLE = `${ENV_PREFIX}CONFIG`;

/**
 * Variables that Kubernetes sets for every Service, and Docker for a link, as `NAME=value`: for a Service called `sidegate`, or
 * `sidegate-` and anything, they begin like a setting's.
 */
const SERVICE_VARIABLE =
  /^\w+_(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT=(tcp|udp|sctp):\/\/|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=)/;

/** What a command line asks for. */
export type Invocation =
  | { readonly action: "run"; readonly config: Config }
  /** Print `text`, and exit with 0. */
  | { readonly action: "print"; readonly text: string };

/**
 * Reads a command line.
 *
 * @param args the arguments behind the program's name
 * @param env the environment
 * @throws ConfigError for anything that is not known or out of its bounds
 */
export function readCommandLine(args: readonly string[], env: NodeJS.ProcessEnv): Invocation {
  if (args[0] === "ticket") return { action: "print", text: runTicketCommand(args.slice(1), env) };
  const program = buildProgram();
  const help = parseArguments(program, args);
  if (help !== undefined) return { action: "print", text: help };
  const { config: configFlag, printConfig, ...flags } = program.opts();
  const file: string | undefined = configFlag ?? env[CONFIG_VARIABLE];
  const layers = [flagLayer(flags), envLayer(env), ...(file === undefined ? [] : [fileLayer(file)])];
  const { config, resolved } = resolveConfig(layers);
  return printConfig === true ? { action: "print", text: formatConfig(resolved) } : { action: "run", config };
}

/** The flag of a setting: `--client-buffer-bytes`. */
export function flagOf(name: SettingName): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** The environment variable of a setting: `SIDEGATE_CLIENT_BUFFER_BYTES`. */
export function variableOf(name: SettingName): string {
  return ENV_PREFIX + name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

function buildProgram(): Command {
  const program = new Command("sidegate").description(
    "Holds client connections at the edge; a manager drives it.",
  );
  for (const name of settingNames) {
    const { placeholder, description, fallback, repeatable, secret } = settings[name];
    if (secret) continue;
    const option = new Option(`${flagOf(name)} <${placeholder}>`, describe(description, name, fallback));
    if (repeatable) option.argParser((value: string, before: string[] = []) => [...before, value]);
    program.addOption(option);
  }
  return program
    .option("--config <file>", `a JSON file with the same keys in camelCase (${CONFIG_VARIABLE})`)
    .option("--print-config", "print every setting, its value and where it came from, and exit")
    .addHelpText("after", "\nsidegate ticket signs an admission ticket; see sidegate ticket --help.");
}

function describe(description: string, name: SettingName, fallback: unknown): string {
  const shown = name === "name" ? "host and process id" : [fallback].flat().join(",");
  return shown === "" ? description : `${description} (default: ${shown})`;
}

function flagLayer(values: Partial<Record<SettingName, unknown>>): Layer {
  return { values, describe: (name) => `from ${flagOf(name)}` };
}

function envLayer(env: NodeJS.ProcessEnv): Layer {
  const byVariable = new Map(settingNames.map((name) => [variableOf(name), name]));
  const values: Partial<Record<SettingName, unknown>> = {};
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith(ENV_PREFIX)) continue;
    const name = byVariable.get(variable);
    if (name !== undefined) values[name] = value;
    else if (variable !== CONFIG_VARIABLE && !SERVICE_VARIABLE.test(`${variable}=${value}`)) {
      const hint = suggestion(variable, [...byVariable.keys(), CONFIG_VARIABLE]);
      throw new ConfigError(`unknown environment variable '${variable}'${hint}`);
    }
  }
  return { values, describe: (name) => `from ${variableOf(name)}` };
}

function fileLayer(file: string): Layer {
  const values = readConfigFile(file);
  for (const key of Object.keys(values)) {
    if (!Object.hasOwn(settings, key)) {
      throw new ConfigError(`unknown key '${key}' in ${file}${suggestion(key, settingNames)}`);
    }
    if (settings[key as SettingName].secret) {
      throw new ConfigError(`${key} may not stand in ${file}; set ${variableOf(key as SettingName)}`);
    }
  }
  return { values, describe: () => `from ${file}` };
}

function readConfigFile(file: string): Partial<Record<SettingName, unknown>> {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigError(`cannot read the configuration file: ${(error as Error).message}`);
  }
  try {
    const values: unknown = JSON.parse(text.replace(/^\uFEFF/, ""));
    if (typeof values === "object" && values !== null && !Array.isArray(values)) return values;
  } catch (error) {
    throw new ConfigError(`${file} is not JSON: ${(error as Error).message}`);
  }
  throw new ConfigError(`${file} must hold one JSON object`);
}

function showValue(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value ?? "");
}

function formatConfig(resolved: readonly Resolved[]): string {
  const shown = ({ name, given }: Resolved) =>
    settings[name].secret && given !== undefined ? "***" : [given].flat().map(showValue).join(",");
  const rows = resolved.map((one) => [one.name, shown(one), one.source] as const);
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const lines = rows.map(([name, value, source]) => {
    return `${name.padEnd(widths[0] ?? 0)}  ${value.padEnd(widths[1] ?? 0)}  ${source}`;
  });
  return `${lines.join("\n")}\n`;
}
