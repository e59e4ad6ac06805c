/** Arguments read by commander, which by itself would print, and end the process. */

import { type Command, CommanderError } from "commander";
import { ConfigError } from "./config-error.ts";

/**
 * Has a command read its arguments, so that its options are there to be asked for.
 *
 * @returns the help, when that is what they ask for
 * @throws ConfigError for what the command does not know
 */
export function parseArguments(command: Command, args: readonly string[]): string | undefined {
  let help = "";
  const writeOut = (text: string) => {
    help += text;
  };
  command.exitOverride().configureOutput({ writeOut, writeErr: () => {} });
  try {
    command.parse(args, { from: "user" });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return help;
    throw new ConfigError(error.message.replace(/^error: /, "").replaceAll("\n", " "));
  }
}
