/** A setting is wrong. The message names it, where it came from, and what is wanted. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}
