/** The `ctl` command in this process, against an API of the test's own. */

import { Command } from "commander";
import { ctlCommand } from "../../manager-stub/ctl.ts";

/** Runs `ctl` against the API on `port`, and gives what it prints. */
export async function ctl(port: number, ...args: readonly string[]): Promise<string> {
  let printed = "";
  await ctlPrinting(
    port,
    (text) => {
      printed += text;
    },
    ...args,
  );
  return printed;
}

/** The same; what is printed before a command fails is seen, too. */
export async function ctlPrinting(
  port: number,
  print: (text: string) => void,
  ...args: readonly string[]
): Promise<void> {
  const command = ctlCommand(print);
  for (const one of [command, ...command.commands]) one.configureOutput({ writeErr: () => {} });
  const program = new Command()
    .option("--http <address>")
    .setOptionValue("http", { host: "127.0.0.1", port });
  await program.addCommand(command).parseAsync(["ctl", ...args], { from: "user" });
}
