/** Parts of `ws` that it exports and its published types leave out. */

export {};

declare module "ws" {
  /** Inflates what one client sends. */
  export class PerMessageDeflate {
    static readonly extensionName: string;
    /** What was agreed with the client. */
    readonly params: { readonly server_max_window_bits?: number | true };
    /** @param isLast whether the message ends with `data` */
    decompress(
      data: Buffer,
      isLast: boolean,
      done: (error: NodeJS.ErrnoException | null, inflated: Buffer) => void,
    ): void;
  }

  /** `Sec-WebSocket-Extensions`. */
  export const extension: {
    /**
     * The offers by the names of their extensions, each with its parameters by their names.
     *
     * @throws SyntaxError
     */
    parse(header: string): Partial<Record<string, readonly Record<string, readonly (string | true)[]>[]>>;
  };
}
